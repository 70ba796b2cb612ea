package glance

import (
	"context"
	"strings"
)

// A fill is what becomes of an image that is being imported, besides that it
// gets data. Nothing of it is recorded before the image is active, so that there
// is nothing to take back.
type fill []func(im *Image)

// of returns im as it will be.
func (f fill) of(im *Image) *Image {
	filled := im.Clone()
	for _, change := range f {
		change(filled)
	}
	return filled
}

// describePeer returns what an image of another region makes of im, and how much
// data it has.
func (s *Images) describePeer(ctx context.Context, im *Image, from Source) (change func(im *Image), size int64, err error) {
	d, err := s.imports.Peer.Describe(ctx, from)
	if err != nil {
		return nil, 0, err
	}
	if d.Status != Active {
		return nil, 0, refuse(ErrInvalid, "Source image status should be active instead of %s", d.Status)
	}
	if d.Size == nil {
		return nil, 0, refuse(ErrInvalid, "Size attribute of remote image %s could not be determined.", from.Image)
	}
	if *d.Size > s.o.MaxSize {
		return nil, 0, tooLarge()
	}
	change = func(im *Image) {
		im.DiskFormat, im.ContainerFormat = clone(d.DiskFormat), clone(d.ContainerFormat)
		if im.Properties == nil {
			im.Properties = make(map[string]string)
		}
		for name, value := range d.Properties {
			if s.copies(ctx, name) {
				im.Properties[name] = value
			}
		}
	}
	filled := fill{change}.of(im)
	if err := filled.complete(); err != nil {
		return nil, 0, err
	}
	return change, *d.Size, s.check(filled, im)
}

// copies says whether a property comes with an image from another region.
func (s *Images) copies(ctx context.Context, property string) bool {
	if reserved(property) || !s.permits(CallerFrom(ctx), CreateProperty, property) {
		return false
	}
	for _, begin := range s.imports.Copied {
		if strings.HasPrefix(property, begin) {
			return true
		}
	}
	return false
}

// fetchPeer downloads the data of an image of another region to the staging
// area.
func (s *Images) fetchPeer(ctx context.Context, r *run, id ID, from Source, size int64) error {
	data, err := s.imports.Peer.Fetch(ctx, from)
	if err != nil {
		return err
	}
	defer data.Close()
	n, err := s.stage(ctx, id, breakable{data})
	if err == nil && n != size {
		err = refuse(ErrUnavailable, "Task %s failed because downloaded data size %d is different from expected %d", r.task.ID, n, size)
	}
	return err
}
