package glance

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// A conversion is data that was converted, if any was.
type conversion struct {
	Converted
	s  *Images
	id ID
}

// remove removes the data.
func (c conversion) remove(ctx context.Context) {
	if c.Converted == nil {
		return
	}
	if err := c.Remove(); err != nil {
		c.s.o.Log.ErrorContext(ctx, "converted data stays behind", "image", c.id, "error", err)
	}
}

// convert turns the data of a delivery into the format that is wanted, if any
// is and it does not have that already. What the data is must be certain before a
// program opens it: unlike elsewhere, raw is not a name for everything. The
// caller removes what was made.
func (s *Images) convert(ctx context.Context, im *Image, to *delivery) (conversion, error) {
	none, converter := conversion{}, s.imports.Converter
	if converter == nil || *im.DiskFormat == converter.Format() {
		return none, nil
	}
	if *im.ContainerFormat != containerBare {
		return none, refuse(ErrInvalid, "Images of container_format %s cannot be converted.", *im.ContainerFormat)
	}
	if *im.DiskFormat == formatDisc {
		_, err := s.job(ctx, im, to) // what machines are to boot from stays a disc, and has to be one
		return none, err
	}
	if !converter.Reads(*im.DiskFormat) {
		return none, refuse(ErrInvalid, "Images of disk_format %s cannot be converted.", *im.DiskFormat)
	}
	job, err := s.job(ctx, im, to)
	if err != nil {
		return none, err
	}
	made, err := converter.Convert(ctx, job)
	if err != nil {
		return none, err
	}
	to.open = func(context.Context) (io.ReadCloser, error) { return made.Open() }
	to.fill = append(to.fill, func(im *Image) {
		format := converter.Format()
		im.DiskFormat = &format
	})
	return conversion{made, s, im.ID}, nil
}

// job looks at data that is to be converted, all of it, and describes it. It is
// an ErrWrongFormat if it is not what it is declared to be, or dangerous to open.
func (s *Images) job(ctx context.Context, im *Image, to *delivery) (c Conversion, err error) {
	data, err := to.open(ctx)
	if err != nil {
		return c, err
	}
	defer data.Close()
	in := &source{ctx: ctx, r: data, left: s.o.MaxSize, inspection: s.o.Inspector.Inspect()}
	n, err := io.Copy(io.Discard, in)
	if errors.Is(err, errTooLarge) {
		return c, tooLarge()
	}
	if err != nil {
		return c, fmt.Errorf("convert image %s: %w", im.ID, err)
	}
	declared, v := *im.DiskFormat, in.verdict()
	switch {
	case v.Unsafe != nil:
		return c, refuse(ErrWrongFormat, "Image failed safety checks: %v", v.Unsafe)
	case v.Format != declared && (v.Format != formatPartitioned || declared != formatRaw):
		return c, refuse(ErrWrongFormat, "Image disk_format %s does not match stream data %s", declared, v.Format)
	}
	c = Conversion{ID: im.ID, Format: declared, VirtualSize: max(v.VirtualSize, n), MaxSize: s.o.MaxSize, Open: to.open}
	if c.VirtualSize > c.MaxSize {
		return c, tooLarge()
	}
	if p, unpacks := data.(packed); !unpacks {
		c.URL = s.imports.Staging.URL(im.ID)
	} else if _, as := p.Reader.(plain); as {
		c.URL = s.imports.Staging.URL(im.ID)
	}
	return c, nil
}
