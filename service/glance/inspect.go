package glance

import (
	"context"
	"io"
)

// An Inspector knows formats of image data by what the data looks like. It is
// safe for concurrent use.
type Inspector interface {
	// Inspect begins to look at the data of one image.
	Inspect() Inspection
	// Knows says whether a disk format is among those that are recognised.
	// Data of one that is not looks like raw data.
	Knows(diskFormat string) bool
}

// An Inspection looks at the data of one image while it passes by. Write takes
// all of it, in order and however it is cut, keeps nothing of what it is
// given and never fails.
type Inspection interface {
	io.Writer
	// Verdict says what the data was. Nothing is written afterwards.
	Verdict() Verdict
}

// A Verdict is what an Inspection found.
type Verdict struct {
	Format      string // a disk format or "gpt", a raw disk with partitions; "raw" if it is none that is known
	VirtualSize int64  // bytes of the disk inside; 0 if unknown
	Unsafe      error  // why nobody should open the data, whatever it is called; nil if there is no reason
	Doubt       error  // what is wrong with it and tolerated
}

const (
	formatRaw         = "raw"
	formatPartitioned = "gpt"
	formatDisc        = "iso"
	containerBare     = "bare"
)

// inspect begins to look at the data of im, if it is a disk image as it is,
// without a container around it. It returns nil if nobody looks.
func (s *Images) inspect(im *Image) Inspection {
	if s.o.Inspector == nil || *im.ContainerFormat != containerBare {
		return nil
	}
	return s.o.Inspector.Inspect()
}

// judge compares what an image was declared to be with what its data is. It
// sets the virtual size, or returns why the data cannot stay. The verdict is
// nil if nobody looked at the data.
func (s *Images) judge(ctx context.Context, im *Image, v *Verdict) error {
	declared := *im.DiskFormat
	if v == nil {
		if declared == formatRaw && *im.ContainerFormat == containerBare {
			im.setVirtualSize(*im.Size)
		}
		return nil
	}
	if v.Unsafe != nil {
		return refuse(ErrWrongFormat, "Image failed safety checks: %v", v.Unsafe)
	}
	if v.Doubt != nil {
		s.o.Log.WarnContext(ctx, "image failed a safety check that is not fatal", "image", im.ID, "cause", v.Doubt)
	}
	switch {
	case v.Format == declared, v.Format == formatPartitioned && declared == formatRaw:
		im.setVirtualSize(v.VirtualSize)
		return nil
	case v.Format == formatRaw && !s.o.Inspector.Knows(declared):
		return nil
	case declared == formatRaw: // any data can be meant to be taken as it is
		im.setVirtualSize(*im.Size)
	case !s.o.AnyFormat:
		return refuse(ErrWrongFormat, "Image disk_format %s does not match stream data %s", declared, v.Format)
	}
	s.o.Log.WarnContext(ctx, "image data is not what disk_format says", "image", im.ID, "disk_format", declared, "data", v.Format)
	return nil
}

// setVirtualSize sets the size of the disk inside, which nobody knows if it
// is 0.
func (im *Image) setVirtualSize(n int64) {
	if n > 0 {
		im.VirtualSize = &n
	}
}
