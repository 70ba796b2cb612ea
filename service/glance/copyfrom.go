package glance

import (
	"context"
	"errors"
	"io"
)

// A Copy is data on another machine that can be made an image's. Whoever opens
// one closes it, unless CopyInto took it.
type Copy struct {
	Size int64 // -1 if it is not known

	uri   string
	ctx   context.Context // of the data: it ends with the service
	close func()
	data  io.ReadCloser // nil when it has been given up
}

// OpenCopy asks for the data at uri. ErrForbidden; ErrInvalid if the URI may
// not be fetched, or there is nothing; ErrNotFound if nothing can be fetched
// here.
func (s *Images) OpenCopy(ctx context.Context, uri string) (*Copy, error) {
	if err := s.allow(CallerFrom(ctx), CopyFrom, Target{}); err != nil {
		return nil, err
	}
	if s.imports.Fetcher == nil {
		return nil, refuse(ErrNotFound, "Data cannot be fetched here.")
	}
	if err := s.imports.Fetcher.Check(ctx, uri); err != nil {
		s.o.Log.InfoContext(ctx, "a URI may not be fetched", "cause", err)
		return nil, refuse(ErrInvalid, "URI for %s does not pass filtering: %s", CopyFrom, masked(uri))
	}
	// What was asked for outlives the request, but not the service.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(s.imports.ctx, cancel)
	c := &Copy{uri: uri, ctx: ctx, close: func() { stop(); cancel() }}
	if err := c.open(s.imports.Fetcher); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *Copy) open(f Fetcher) error {
	data, size, err := f.Fetch(c.ctx, c.uri)
	if err != nil {
		return err
	}
	c.data, c.Size = data, size
	return nil
}

// Close gives the data up.
func (c *Copy) Close() {
	c.hangUp()
	c.close()
}

func (c *Copy) hangUp() {
	if c.data != nil {
		c.data.Close()
		c.data = nil
	}
}

// CopyInto begins to store the data of c as that of a queued image, and
// returns. The image is active when all of it is there, and killed if that
// does not come to be. After an error c is still the caller's.
func (s *Images) CopyInto(ctx context.Context, id ID, c *Copy) error {
	im, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	if err := s.allow(CallerFrom(ctx), UploadImage, Target{Image: im}); err != nil {
		return err
	}
	if !s.imports.enter() {
		return refuse(ErrUnavailable, "The service is about to end.")
	}
	go func() {
		defer s.imports.running.Done()
		defer c.Close()
		err := s.copy(c.ctx, id, c)
		if err == nil {
			return
		}
		end := context.WithoutCancel(c.ctx)
		s.o.Log.WarnContext(end, "an image could not be copied", "image", id, "error", err)
		if err := s.Kill(end, id); err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
			s.o.Log.ErrorContext(end, "image stays behind after a failed copy", "image", id, "error", err)
		}
	}()
	return nil
}

// copy uploads the data of c. It waits until not too many others do the same,
// and asks for the data anew if it had to.
func (s *Images) copy(ctx context.Context, id ID, c *Copy) error {
	select {
	case s.imports.slots <- struct{}{}:
	default:
		c.hangUp()
		select {
		case s.imports.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-s.imports.slots }()
	if c.data == nil {
		if err := c.open(s.imports.Fetcher); err != nil {
			return err
		}
	}
	o := UploadOptions{Kill: true}
	if c.Size >= 0 {
		o.Size, o.WantSize = c.Size, &c.Size
	}
	return s.Upload(ctx, id, breakable{c.data}, o)
}
