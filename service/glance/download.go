package glance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Data is the data of an image that the caller may read.
type Data struct {
	Image  *Image
	images *Images
}

// Download returns the data of an image. It opens nothing yet. ErrNotFound,
// or ErrForbidden, also for an image that is deactivated, unless the caller
// is an admin.
func (s *Images) Download(ctx context.Context, id ID) (*Data, error) {
	c := CallerFrom(ctx)
	im, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if im.Status == Deactivated && !c.Admin {
		return nil, refuse(ErrForbidden, "The requested image has been deactivated. Image data download is forbidden.")
	}
	if err := s.allow(c, DownloadImage, Target{Image: im}); err != nil {
		return nil, err
	}
	return &Data{Image: s.shown(c, im), images: s}, nil
}

// Empty says that the image has no data, which is another thing than data of
// size 0.
func (d *Data) Empty() bool {
	for _, l := range d.Image.Locations {
		if l.Status == Active {
			return false
		}
	}
	return true
}

// Open returns n bytes from off on, all that is left when n is negative. The
// caller closes the reader. ErrNotFound if the image has no data; otherwise
// the error of the last location, when none of them could be opened.
func (d *Data) Open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	fetch := func(off, n int64) (io.ReadCloser, error) { return d.fetch(ctx, off, n) }
	if d.images.o.Cache == nil {
		return fetch(off, n)
	}
	return d.images.o.Cache.Open(ctx, d.Image, off, n, fetch)
}

// fetch opens the first location that can be opened.
func (d *Data) fetch(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	err := error(ErrNotFound)
	for _, l := range d.images.Sources(d.Image) {
		store, found := d.images.stores.of(l)
		if !found {
			err = fmt.Errorf("store of scheme %s: %w", scheme(l.URL), ErrUnavailable)
			continue
		}
		var rc io.ReadCloser
		if rc, err = store.Open(ctx, l.URL, off, n); err == nil {
			return rc, nil
		}
	}
	return nil, fmt.Errorf("data of image %s: %w", d.Image.ID, err)
}

// scheme returns what stands before the colon; the rest may hold a password
// and belongs in no message.
func scheme(url string) string {
	before, _, _ := strings.Cut(url, ":")
	return before
}

// remove deletes the object at l; one that is not there is no error.
func (s *Images) remove(ctx context.Context, l Location) error {
	store, found := s.stores.of(l)
	if !found {
		return fmt.Errorf("store of scheme %s: %w", scheme(l.URL), ErrUnavailable)
	}
	if err := store.Delete(ctx, l.URL); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}
