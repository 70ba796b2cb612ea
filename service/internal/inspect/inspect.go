// Package inspect recognises the formats of disk images by the bytes that
// pass, and finds what makes an image dangerous to whoever opens it: names of
// other files in it, features that nobody knows, two formats in one.
//
// The service hands an [Inspector] to glance.Images, which shows it every
// upload. An inspection reads the stream once, never seeks, keeps a bounded
// part of it and comes to the same verdict however the stream is cut. What an
// image was declared to be, and what follows from the verdict, is not known
// here.
package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"glancectl/service/glance"
)

// Options are the optional settings of New. The zero value is ready to use.
type Options struct {
	// VMDKTypes are the createTypes that a VMDK may have, in any case; nil
	// means monolithicSparse and streamOptimized, whose data is all in one file.
	VMDKTypes []string
	// TolerateMBR makes a bad partition table a doubt and not a danger.
	TolerateMBR bool
}

// An Inspector is a glance.Inspector.
type Inspector struct {
	vmdkTypes   []string // lower case
	tolerateMBR bool
}

var _ glance.Inspector = (*Inspector)(nil)

// New returns an inspector.
func New(o Options) *Inspector {
	if o.VMDKTypes == nil {
		o.VMDKTypes = []string{monolithicSparse, streamOptimized}
	}
	i := &Inspector{tolerateMBR: o.TolerateMBR}
	for _, t := range o.VMDKTypes {
		i.vmdkTypes = append(i.vmdkTypes, strings.ToLower(t))
	}
	return i
}

const raw = "raw"

// Knows implements glance.Inspector.
func (*Inspector) Knows(diskFormat string) bool {
	return diskFormat == raw || slices.ContainsFunc(formats, func(f format) bool { return f.name == diskFormat })
}

// Inspect implements glance.Inspector.
func (i *Inspector) Inspect() glance.Inspection { return &inspection{inspector: i} }

// A format is one of those that are recognised.
type format struct {
	name  string
	match func(s *inspection) bool
	// read returns the size of the disk inside, 0 if it is not known, and what
	// makes the data dangerous or shows that it cannot be understood.
	read func(s *inspection) (size uint64, danger error)
}

// formats are all formats but raw, which is what none of them is.
var formats = []format{
	{"gpt", isPartitioned, readPartitions},
	{"iso", isISO, readISO},
	{"luks", isLUKS, readLUKS},
	{"qcow2", isQcow2, readQcow2},
	{"qed", isQED, readQED},
	{"vdi", isVDI, readVDI},
	{"vhd", isVHD, readVHD},
	{"vhdx", isVHDX, readVHDX},
	{"vmdk", isVMDK, readVMDK},
}

const (
	headSize = 64 << 10 // has the descriptor of any VMDK and the first sectors of an ISO 9660
	tailSize = 3 * sectorSize

	sectorSize = 512
)

// An inspection is what is kept of one stream.
type inspection struct {
	inspector *Inspector
	size      int64          // of what has passed
	head      []byte         // the first headSize bytes of it
	tail      [tailSize]byte // the last; zeros in front if there are fewer
	vhdx      *vhdx          // if it is one
}

// Write implements glance.Inspection.
func (s *inspection) Write(p []byte) (int, error) {
	if room := headSize - len(s.head); room > 0 {
		s.head = append(s.head, p[:min(room, len(p))]...)
		if s.vhdx == nil && isVHDX(s) {
			s.vhdx = newVHDX()
		}
	}
	if s.vhdx != nil {
		s.vhdx.write(p, s.size)
	}
	if len(p) < tailSize {
		copy(s.tail[:], s.tail[len(p):])
	}
	last := p[max(0, len(p)-tailSize):]
	copy(s.tail[tailSize-len(last):], last)
	s.size += int64(len(p))
	return len(p), nil
}

// Verdict implements glance.Inspection.
func (s *inspection) Verdict() glance.Verdict {
	var found []format
	var names []string
	for _, f := range formats {
		// A disc image or a VHD that is only a footer begins with what it
		// holds, and that may be partitioned.
		if f.match(s) && (f.name != "gpt" || !isISO(s) && !isFixedVHD(s)) {
			found = append(found, f)
			names = append(names, f.name)
		}
	}
	switch len(found) {
	case 0:
		return glance.Verdict{Format: raw, VirtualSize: s.size}
	case 1:
		return s.verdict(found[0])
	}
	all := strings.Join(names, " and ")
	return glance.Verdict{Format: all, Unsafe: fmt.Errorf("multiple formats detected: %s", all)}
}

// verdict is Verdict for the one format that the data has.
func (s *inspection) verdict(f format) glance.Verdict {
	v := glance.Verdict{Format: f.name}
	size, err := f.read(s)
	switch {
	case err == nil && size > math.MaxInt64:
		v.Unsafe = fmt.Errorf("%s: virtual size of %d bytes", f.name, size)
	case err != nil && f.name == "gpt" && s.inspector.tolerateMBR:
		v.Doubt, v.VirtualSize = fmt.Errorf("%s: %w", f.name, err), int64(size)
	case err != nil:
		v.Unsafe = fmt.Errorf("%s: %w", f.name, err)
	default:
		v.VirtualSize = int64(size)
	}
	return v
}

// errCut says that a stream ends before what its format needs.
var errCut = errors.New("ends too early")

// begins reports whether the stream begins with magic.
func (s *inspection) begins(magic string) bool { return bytes.HasPrefix(s.head, []byte(magic)) }
