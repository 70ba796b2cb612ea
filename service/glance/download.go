package glance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Data is the data of an image that the caller may read.
type Data struct {
	Image *Image
	// Receiver is the address of the client, for whoever is told that the data
	// was sent; it stays empty with version 2, which does not tell.
	Receiver string

	images *Images
	prefer []string // IDs of stores
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

// DownloadFromStore is the rule for choosing the store that data is read from.
const DownloadFromStore Rule = "download_from_store"

// Prefer has the data read from the first of these stores that gives it, and
// from the others if none does. ErrInvalid if there is no such store;
// ErrForbidden.
func (d *Data) Prefer(ctx context.Context, stores []string) error {
	s := d.images
	if !s.stores.named {
		return refuse(ErrInvalid, "Multi backend is not supported at this site.")
	}
	for _, id := range stores {
		if _, ok := s.stores.byID(id); !ok {
			return refuse(ErrInvalid, "Store '%s' does not exist.", id)
		}
	}
	if err := s.allow(CallerFrom(ctx), DownloadFromStore, Target{Image: d.Image}); err != nil {
		return err
	}
	d.prefer = slices.Clone(stores)
	return nil
}

// sources returns where the data is, in the order in which it is tried.
func (d *Data) sources() []Location {
	found := d.images.Sources(d.Image)
	rank := func(l Location) int {
		if at := slices.Index(d.prefer, l.Metadata[StoreKey]); at >= 0 {
			return at
		}
		return len(d.prefer)
	}
	slices.SortStableFunc(found, func(a, b Location) int { return rank(a) - rank(b) })
	return found
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
// caller closes the reader, and had best io.Copy it, which it does its own way. ErrNotFound if the image has no data; otherwise
// the error of the last location, when none of them could be opened.
func (d *Data) Open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	rc, err := d.open(ctx, off, n)
	if err != nil || d.Image.Size == nil {
		return rc, err
	}
	if n < 0 {
		n = *d.Image.Size - off
	}
	return &download{rc, n, &d.images.blocks}, nil
}

func (d *Data) open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	fetch := func(off, n int64) (io.ReadCloser, error) { return d.fetch(ctx, off, n) }
	if d.images.o.Cache == nil {
		return fetch(off, n)
	}
	return d.images.o.Cache.Open(ctx, d.Image, off, n, fetch)
}

// fetch opens the first location that yields data.
func (d *Data) fetch(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	err := error(ErrNotFound)
	sources := d.sources()
	for i, l := range sources {
		store, found := d.images.stores.of(l)
		if !found {
			err = fmt.Errorf("store of scheme %s: %w", scheme(l.URL), ErrUnavailable)
			continue
		}
		var rc io.ReadCloser
		rc, err = store.Open(ctx, l.URL, off, n)
		if err == nil && i < len(sources)-1 {
			rc, err = begun(rc, n != 0 && d.Image.Size != nil && off < *d.Image.Size)
		}
		if err == nil {
			return rc, nil
		}
	}
	return nil, fmt.Errorf("data of image %s: %w", d.Image.ID, err)
}

// begun reads the beginning of data that can be had elsewhere too, while there
// is still time to turn there. There must be some if more is true.
func begun(rc io.ReadCloser, more bool) (io.ReadCloser, error) {
	head := make([]byte, 512)
	n, err := rc.Read(head)
	if n == 0 && err == io.EOF && more {
		err = io.ErrUnexpectedEOF
	}
	if n == 0 && err != nil && err != io.EOF {
		return nil, errors.Join(err, rc.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head[:n]), rc), rc}, nil
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
