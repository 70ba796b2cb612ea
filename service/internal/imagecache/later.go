package imagecache

import (
	"context"
	"io"
	"log/slog"
	"syscall"
)

// A reopener is data that a store has as a file, which can be read once more
// from its beginning, also after it was closed. Again returns nil if the system
// has not kept nearly all of it in memory: it is not to be read from the store a
// second time.
type reopener interface {
	Again() (io.ReadCloser, error)
}

// memoryShare is the part of the machine's memory that an image may have of
// which it is taken that the system still has it in memory after a download.
const memoryShare = 4

// memory returns how much of it the machine has.
func memory() int64 {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// copyLater returns a download after whose end the data is copied to the cache:
// out of the memory of the system, which has just sent it from there. Beside the
// download the copy would take from it what processors there are.
// Copies are made one after the other. The caller has claimed the image.
func (c *Cache) copyLater(ctx context.Context, src io.ReadCloser, e identity, again reopener) io.ReadCloser {
	f, err := c.createIncomplete(e.id) // from now on others see that it is being cached, and Drop finds it
	if err != nil {
		c.unclaim(e.id)
		c.logFill(ctx, e.id, err)
		return src
	}
	w := newFill(c, e, f)
	w.patient = true
	return &linked{ReadCloser: src, fill: w, left: e.size, rest: func(whole bool) {
		c.underway.Go(w.run)
		if whole {
			c.copying.Lock()
			defer c.copying.Unlock()
			c.copyKept(w, again)
		}
		w.end()
		<-w.result
	}}
}

// copyKept copies what the system has kept of a download. If that is not all of
// it, nothing is cached, and the next image that is as large is copied
// while it is downloaded.
func (c *Cache) copyKept(w *fill, again reopener) {
	src, err := again.Again()
	switch {
	case err != nil:
		c.o.Log.Warn("cannot read an image again to cache it", slog.String("image", string(w.e.id)), slog.Any("error", err))
		return
	case src == nil:
		c.largest.Store(min(c.largest.Load(), w.e.size-1))
		c.o.Log.Debug("an image is not cached: the system has not kept it in memory", slog.String("image", string(w.e.id)))
		return
	}
	if err := w.copyFrom(context.Background(), func() (io.ReadCloser, error) { return src, nil }); err != nil {
		c.o.Log.Warn("cannot read an image again to cache it", slog.String("image", string(w.e.id)), slog.Any("error", err))
	}
}
