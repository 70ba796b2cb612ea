package imagecache

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"glancectl/service/glance"
)

// A linker is data that a store has as a file which nobody writes to any more.
// Link gives the file another name; it fails if that is on another file system.
type linker interface {
	Link(name string) error
}

// A linked is a download whose data the cache has already, by another name of
// the store's own file. It costs the download nothing. There is no copy that
// could differ, but the file may have been damaged before, and an entry stays
// when somebody puts a good file in its place: so the data is read, and compared
// with the image's checksum, when the download has ended, and only then it is an
// entry.
type linked struct {
	io.ReadCloser
	fill *fill
	left int64
	rest func(whole bool) // does what is left to be done for fill
}

// link returns a download that fills the cache without copying, or with a copy
// that is made later; nil if the data can only be copied meanwhile. While the image
// is being verified there is nothing to fill: then it is src.
func (c *Cache) link(ctx context.Context, src io.ReadCloser, e identity) io.ReadCloser {
	l, ok := src.(linker)
	if !ok || c.o.MaxSize > 0 && e.size > c.o.MaxSize {
		return nil
	}
	if !c.claim(e.id) {
		return src
	}
	f, err := c.linkIncomplete(l, e)
	if err == nil {
		w := &fill{c: c, e: e, f: f, size: e.size, sum: md5.New(), linked: true, result: make(chan error, 1)}
		return &linked{ReadCloser: src, fill: w, left: e.size, rest: w.verify}
	}
	if !errors.Is(err, syscall.EXDEV) {
		c.o.Log.DebugContext(ctx, "image data is copied to the cache", slog.String("image", string(e.id)), slog.Any("error", err))
	}
	if again, ok := src.(reopener); ok && e.size <= c.largest.Load() {
		return c.copyLater(ctx, src, e, again)
	}
	c.unclaim(e.id)
	return nil
}

// linkIncomplete gives the data a name among the incomplete entries.
func (c *Cache) linkIncomplete(l linker, e identity) (*os.File, error) {
	name := filepath.Join(c.dir, incompleteDir, fmt.Sprintf("%s.%d.%s", e.id, time.Now().Unix(), glance.NewUUID()))
	if err := l.Link(name); err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, errors.Join(err, remove(name))
	}
	info, err := f.Stat()
	if err == nil && info.Size() != e.size {
		err = errWrong
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), remove(name))
	}
	// As for a copy; but the lock is one for all names of the file, and another
	// process that links it as well may have it.
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if _, err := os.Lstat(name); err != nil {
		return nil, errors.Join(err, f.Close()) // taken for dead before it was locked
	}
	return f, nil
}

// claim says that the caller is the one to verify an image; false if there is
// one already. In another process there may be one too: then the work is done
// twice and one entry replaces the other.
func (c *Cache) claim(id glance.ID) bool {
	c.beginning.Lock()
	defer c.beginning.Unlock()
	if c.verifying[id] {
		return false
	}
	c.verifying[id] = true
	return true
}

func (c *Cache) unclaim(id glance.ID) {
	c.beginning.Lock()
	defer c.beginning.Unlock()
	delete(c.verifying, id)
}

// Read implements io.Reader.
func (l *linked) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	return n, err
}

// WriteTo implements io.WriterTo: the store's file may be sent by the system.
func (l *linked) WriteTo(w io.Writer) (int64, error) {
	from, ok := l.ReadCloser.(io.WriterTo)
	if !ok {
		return io.Copy(w, struct{ io.Reader }{l})
	}
	n, err := from.WriteTo(w)
	l.left -= n
	return n, err
}

// settle is how long after a download its data is verified: what is left of it
// in the buffers of the connection arrives first.
const settle = 250 * time.Millisecond

// Close implements io.Closer. A download that was broken off leaves nothing.
func (l *linked) Close() error {
	if w, whole := l.fill, l.left == 0; w != nil {
		l.fill = nil
		w.c.underway.Go(func() {
			defer w.c.unclaim(w.e.id)
			if whole {
				time.Sleep(w.c.settle)
			}
			l.rest(whole)
		})
	}
	return l.ReadCloser.Close()
}

// verify does what is left to be done for data that is linked.
func (w *fill) verify(whole bool) {
	w.cut = !whole
	w.run()
}
