package glance_test

import (
	"context"
	"io"
	"strings"

	"glancectl/service/glance"
)

// A stuck store fails to Delete with err, if it is not nil.
type stuck struct {
	glance.Store
	err error
}

func (s *stuck) Scheme() string { return "memory" }

func (s *stuck) Delete(ctx context.Context, url string) error {
	if s.err != nil {
		return s.err
	}
	return s.Store.Delete(ctx, url)
}

// copies is a cache that keeps everything.
type copies struct {
	data           map[glance.ID]string
	asked, fetched int
}

func (c *copies) Open(_ context.Context, im *glance.Image, off, n int64, fetch func(off, n int64) (io.ReadCloser, error)) (io.ReadCloser, error) {
	c.asked++
	data, there := c.data[im.ID]
	if !there {
		c.fetched++
		rc, err := fetch(0, -1)
		if err != nil {
			return nil, err
		}
		defer rc.Close()
		b, err := io.ReadAll(rc)
		if err != nil {
			return nil, err
		}
		data = string(b)
		c.data = map[glance.ID]string{im.ID: data}
	}
	if n < 0 {
		n = int64(len(data)) - off
	}
	return io.NopCloser(io.NewSectionReader(strings.NewReader(data), off, n)), nil
}

func (c *copies) Drop(_ context.Context, id glance.ID) error {
	delete(c.data, id)
	return nil
}
