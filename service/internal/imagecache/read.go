package imagecache

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"glancectl/service/glance"
)

// Open implements [glance.DataCache]. A whole download that no other download
// is caching already is written to the cache while it is read; if the cache's
// disk is too slow for that or fails, the download goes on without it. Data that
// is a file on the cache's own file system is not written again but linked, and
// that of a file elsewhere, unless it is large, copied when the download has ended.
func (c *Cache) Open(ctx context.Context, im *glance.Image, off, n int64, fetch func(off, n int64) (io.ReadCloser, error)) (io.ReadCloser, error) {
	e, ok := identityOf(im)
	if !ok || off < 0 || off > e.size {
		return fetch(off, n)
	}
	if n < 0 || n > e.size-off {
		n = e.size - off
	}
	if f := c.lookup(ctx, e, true); f != nil {
		return &hit{f: f, off: off, left: n, fetch: fetch, failed: func(err error) { c.hitFailed(ctx, e.id, err) }}, nil
	}
	src, err := fetch(off, n)
	if err != nil || n < e.size {
		return src, err
	}
	if l := c.link(ctx, src, e); l != nil {
		return l, nil
	}
	w, err := c.begin(e, false)
	if err != nil {
		c.logFill(ctx, e.id, err)
		return src, nil
	}
	return &tee{src: src, fill: w}, nil
}

// Has reports whether the data of im is in the cache.
func (c *Cache) Has(im *glance.Image) bool {
	e, ok := identityOf(im)
	if !ok {
		return false
	}
	f := c.lookup(context.Background(), e, false)
	if f == nil {
		return false
	}
	f.Close()
	return true
}

// lookup returns the data of e if the cache has it, else nil. Data that cannot
// be e's is taken out of the cache.
func (c *Cache) lookup(ctx context.Context, e identity, count bool) *os.File {
	f, err := os.Open(c.data(e.id))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.o.Log.WarnContext(ctx, "cannot read from the image cache", slog.Any("error", err))
		}
		return nil
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.Size() != e.size:
		err = c.invalidate(c.data(e.id), e.id)
	case !c.matches(e, count):
		err = c.removeEntry(e.id)
	default:
		return f
	}
	f.Close()
	if err != nil {
		c.o.Log.WarnContext(ctx, "cannot clean the image cache", slog.Any("error", err))
	}
	return nil
}

// hitFailed takes an entry out of the cache that cannot be read.
func (c *Cache) hitFailed(ctx context.Context, id glance.ID, err error) {
	c.o.Log.WarnContext(ctx, "cannot read from the image cache", slog.Any("error", err))
	if err := c.invalidate(c.data(id), id); err != nil {
		c.o.Log.WarnContext(ctx, "cannot clean the image cache", slog.Any("error", err))
	}
}

// A hit reads an entry. If the cache's disk fails on the way, the rest comes
// from the store.
type hit struct {
	f      *os.File
	off    int64
	left   int64
	fetch  func(off, n int64) (io.ReadCloser, error)
	rest   io.ReadCloser   // from the store, after a failure
	failed func(err error) // told that f cannot be read
}

func (h *hit) Read(p []byte) (int, error) {
	if h.left == 0 {
		return 0, io.EOF
	}
	if h.rest != nil {
		return h.rest.Read(p)
	}
	if int64(len(p)) > h.left {
		p = p[:h.left]
	}
	n, err := h.f.ReadAt(p, h.off)
	h.off += int64(n)
	h.left -= int64(n)
	if n > 0 || err == nil {
		return n, nil
	}
	h.failed(err)
	if h.rest, err = h.fetch(h.off, h.left); err != nil {
		return 0, err
	}
	return h.rest.Read(p)
}

// WriteTo implements io.WriterTo. What can read from a file is given the file:
// a network connection then has the system send it, without a copy.
func (h *hit) WriteTo(w io.Writer) (n int64, err error) {
	if to, ok := w.(io.ReaderFrom); ok && h.rest == nil {
		n, err = h.send(to)
	}
	if err != nil || h.left == 0 {
		return n, err
	}
	more, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{h}, make([]byte, bufferSize))
	return n + more, err
}

// send gives the file to a connection. What the file does not yield is left to
// be read, and is no error.
func (h *hit) send(to io.ReaderFrom) (n int64, err error) {
	if _, err := h.f.Seek(h.off, io.SeekStart); err != nil {
		return 0, nil
	}
	n, err = to.ReadFrom(&io.LimitedReader{R: h.f, N: h.left})
	h.off, h.left = h.off+n, h.left-n
	if err != nil && h.left > 0 {
		if _, broken := h.f.ReadAt(make([]byte, 1), h.off); broken != nil {
			return n, nil // it was not the connection
		}
	}
	return n, err
}

func (h *hit) Close() error {
	err := h.f.Close()
	if h.rest != nil {
		err = h.rest.Close()
	}
	return err
}

// A tee reads a download and feeds a fill with what it reads.
type tee struct {
	src  io.ReadCloser
	fill *fill // nil when it was given up
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.src.Read(p)
	if t.fill == nil {
		return n, err
	}
	if !t.fill.write(p[:n]) || err != nil && err != io.EOF {
		t.fill.end()
		t.fill = nil
	}
	return n, err
}

func (t *tee) Close() error {
	if t.fill != nil {
		t.fill.end()
		t.fill = nil
	}
	return t.src.Close()
}
