package imagecache

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/ownership"
)

const (
	// A fill buffers at most bufferSize * buffers bytes.
	bufferSize = 256 << 10
	buffers    = 8

	// A download waits this long for the cache's disk, and a tenth of its own
	// time; then it goes on alone.
	patience      = 2 * time.Second
	patienceShare = 10

	// An incomplete file that has not grown for so long belongs to nobody.
	aliveTime = time.Minute
	// A client that takes longer than this does not keep the image out of the
	// cache: another download may fill as well.
	turnTime = 10 * time.Minute
)

var (
	errTaken   = fmt.Errorf("somebody else is caching the image: %w", glance.ErrConflict)
	errTooBig  = fmt.Errorf("image is larger than the cache: %w", glance.ErrTooLarge)
	errCut     = errors.New("download ended early")
	errDropped = errors.New("image was dropped from the cache")
	errSlow    = errors.New("disk is slower than the download")
	errWrong   = errors.New("data is not the image's: wrong length or checksum")
)

// A fill writes data to an incomplete entry, behind a few buffers and in a
// goroutine of its own, so that a slow disk does not hold up the download.
type fill struct {
	c *Cache
	e identity
	f *os.File

	// Of the download: write and end.
	cur     []byte
	waited  time.Duration
	began   time.Time
	patient bool // waits for the disk as long as it takes

	free chan []byte // buffers to be filled; nil ones are not allocated yet
	full chan []byte // buffers to be written; closed by end; nil if linked
	dead chan struct{}
	slow bool // the disk could not follow; read after full is closed

	linked bool // f is the store's own file: there is nothing to write
	cut    bool // a linked one was not read to its end

	// Of the writer.
	sum    hash.Hash
	hashed int64 // bytes from the beginning that are in sum
	size   int64
	result chan error // gets one value when all is done
}

// begin starts to fill the cache with e's data. The caller feeds it with
// write and must call end.
func (c *Cache) begin(e identity, patient bool) (*fill, error) {
	if c.o.MaxSize > 0 && e.size > c.o.MaxSize {
		return nil, errTooBig
	}
	f, err := c.createIncomplete(e.id)
	if err != nil {
		return nil, err
	}
	w := newFill(c, e, f)
	w.patient = patient
	c.underway.Go(w.run)
	return w, nil
}

// newFill returns what writes e's data to an incomplete entry, once it runs.
func newFill(c *Cache, e identity, f *os.File) *fill {
	w := &fill{
		c: c, e: e, f: f, began: time.Now(),
		free: make(chan []byte, buffers), full: make(chan []byte, buffers), dead: make(chan struct{}),
		sum: md5.New(), result: make(chan error, 1),
	}
	for range buffers {
		w.free <- nil
	}
	return w
}

// createIncomplete creates the file of a fill, unless another fill of the image
// is under way, here or in another process. What one has left whose process was
// killed is no hindrance. Two processes that begin at the
// same moment both do it and one entry replaces the other: that costs some
// disk time, a lock would cost more.
func (c *Cache) createIncomplete(id glance.ID) (*os.File, error) {
	c.beginning.Lock()
	defer c.beginning.Unlock()
	others, err := c.incomplete(id)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for _, other := range others {
		if !hasTurn(other, now) {
			continue
		}
		if gone, err := c.sweepIncomplete(other.Name()); err != nil || !gone {
			return nil, errors.Join(errTaken, err)
		}
	}
	for {
		f, err := os.CreateTemp(filepath.Join(c.dir, incompleteDir), fmt.Sprintf("%s.%d.*", id, now.Unix()))
		if err != nil {
			return nil, err
		}
		if err := errors.Join(f.Chmod(0o640), ownership.GiveAway(f, c.dir)); err != nil {
			return nil, errors.Join(err, f.Close(), remove(f.Name()))
		}
		if held(f) {
			return f, nil
		}
		f.Close()
	}
}

// held locks a new file, by which others see that its writer lives. It returns
// false if somebody has taken the file for dead in the moment before. Without
// locks it is the reaper that goes by its age.
func held(f *os.File) bool {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false // he is about to remove it
	}
	if err != nil {
		return true
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || stat.Nlink > 0
}

// hasTurn reports whether an incomplete file keeps others from filling: it
// grows, and has not taken too long already.
func hasTurn(f fs.DirEntry, now time.Time) bool {
	info, err := f.Info()
	if err != nil || now.Sub(info.ModTime()) >= aliveTime {
		return false
	}
	name := strings.Split(f.Name(), ".")
	began, err := strconv.ParseInt(name[1], 10, 64)
	return err == nil && now.Sub(time.Unix(began, 0)) < turnTime
}

// incomplete returns the incomplete entries of an image.
func (c *Cache) incomplete(id glance.ID) ([]fs.DirEntry, error) {
	all, err := os.ReadDir(filepath.Join(c.dir, incompleteDir))
	if err != nil {
		return nil, err
	}
	var found []fs.DirEntry
	for _, f := range all {
		if strings.HasPrefix(f.Name(), string(id)+".") {
			found = append(found, f)
		}
	}
	return found, nil
}

// write takes a copy of p. It returns false when the fill has failed and wants
// no more.
func (w *fill) write(p []byte) bool {
	for len(p) > 0 {
		if w.cur == nil && !w.nextBuffer() {
			return false
		}
		n := copy(w.cur[len(w.cur):cap(w.cur)], p)
		w.cur = w.cur[:len(w.cur)+n]
		p = p[n:]
		if len(w.cur) == cap(w.cur) {
			w.full <- w.cur // never blocks: there are no more buffers than places
			w.cur = nil
		}
	}
	return true
}

// nextBuffer makes w.cur an empty buffer. It returns false when the disk has
// failed or has used up the patience.
func (w *fill) nextBuffer() bool {
	var b []byte
	select {
	case <-w.dead:
		return false
	case b = <-w.free:
	default:
		asked := time.Now()
		var timeout <-chan time.Time
		if !w.patient {
			timer := time.NewTimer(w.c.patience + asked.Sub(w.began)/patienceShare - w.waited)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-w.dead:
			return false
		case <-timeout:
			w.slow = true
			return false
		case b = <-w.free:
		}
		w.waited += time.Since(asked)
	}
	if b == nil {
		b = make([]byte, 0, bufferSize)
	}
	w.cur = b[:0]
	return true
}

// end says that no more data comes. What becomes of the entry is decided
// behind the caller's back.
func (w *fill) end() {
	if len(w.cur) > 0 {
		w.full <- w.cur
	}
	close(w.full)
}

// run writes what comes, and makes it an entry if it is all of the image.
func (w *fill) run() {
	err := w.writeAll()
	if err == nil {
		err = w.finish()
	}
	w.f.Close()
	if err != nil {
		if err := remove(w.f.Name()); err != nil {
			w.c.o.Log.Warn("cannot clean the image cache", slog.Any("error", err))
		}
		w.c.logFill(context.Background(), w.e.id, err)
	}
	w.result <- err
}

func (c *Cache) logFill(ctx context.Context, id glance.ID, err error) {
	level := slog.LevelWarn
	for _, usual := range []error{errTaken, errTooBig, errCut, errDropped} {
		if errors.Is(err, usual) {
			level = slog.LevelDebug
		}
	}
	c.o.Log.Log(ctx, level, "image is not cached", slog.String("image", string(id)), slog.Any("error", err))
}

// writeAll writes every buffer until end. It hashes them on the way until it
// falls behind the download for the first time; what follows is hashed by
// finish, so that hashing takes no time from a fast download.
func (w *fill) writeAll() error {
	if w.linked {
		if w.cut {
			return errCut
		}
		return nil
	}
	for b := range w.full {
		if w.size+int64(len(b)) > w.e.size {
			close(w.dead)
			return errWrong
		}
		if _, err := w.f.Write(b); err != nil {
			close(w.dead)
			return err
		}
		if w.hashed == w.size && len(w.full) == 0 {
			w.sum.Write(b)
			w.hashed += int64(len(b))
		}
		w.size += int64(len(b))
		w.free <- b
	}
	switch {
	case w.slow:
		return errSlow
	case w.size < w.e.size:
		return errCut
	}
	return nil
}

// finish verifies the data and makes it the entry of its image.
func (w *fill) finish() error {
	if f := w.c.lookup(context.Background(), w.e, false); f != nil {
		return errors.Join(errTaken, f.Close()) // a faster one
	}
	if _, err := io.Copy(w.sum, io.NewSectionReader(w.f, w.hashed, w.size-w.hashed)); err != nil {
		return err
	}
	if w.linked && hex.EncodeToString(w.sum.Sum(nil)) != w.e.checksum {
		return errWrong // whoever wants to look at it finds it in the store
	}
	if hex.EncodeToString(w.sum.Sum(nil)) != w.e.checksum {
		return errors.Join(errWrong, w.c.invalidate(w.f.Name(), w.e.id))
	}
	// The entry will be believed without reading it again.
	if err := w.f.Sync(); err != nil {
		return err
	}
	return w.c.publish(w.f.Name(), w.e)
}

// publish makes the verified file name the entry e. The old entry goes first:
// at no moment is there data beside the state of other data.
func (c *Cache) publish(name string, e identity) error {
	if err := remove(c.data(e.id)); err != nil {
		return err
	}
	if err := c.newState(e); err != nil {
		return err
	}
	err := os.Rename(name, c.data(e.id))
	if errors.Is(err, fs.ErrNotExist) {
		err = errDropped
	}
	if err != nil {
		return errors.Join(err, remove(c.state(e.id)))
	}
	return c.Unqueue(e.id)
}

// Fill gets the whole data of im by fetch and returns when it is in the cache.
// It waits for a slow disk as long as ctx lasts. ErrConflict means that somebody
// else is caching the image at the moment, ErrTooLarge that it is larger than
// the cache, ErrInvalid that it has no size or checksum to verify it by.
func (c *Cache) Fill(ctx context.Context, im *glance.Image, fetch func() (io.ReadCloser, error)) error {
	e, ok := identityOf(im)
	if !ok {
		return fmt.Errorf("cache %s: no size or checksum: %w", im.ID, glance.ErrInvalid)
	}
	if c.Has(im) {
		return c.Unqueue(im.ID)
	}
	w, err := c.begin(e, true)
	if err != nil {
		return fmt.Errorf("cache %s: %w", im.ID, err)
	}
	fetchErr := w.copyFrom(ctx, fetch)
	w.end()
	err = <-w.result
	if fetchErr != nil {
		err = fetchErr // the cause of the other
	}
	if err != nil {
		return fmt.Errorf("cache %s: %w", im.ID, err)
	}
	return nil
}

// copyFrom feeds the fill with what fetch gives.
func (w *fill) copyFrom(ctx context.Context, fetch func() (io.ReadCloser, error)) error {
	src, err := fetch()
	if err != nil {
		return err
	}
	defer src.Close()
	buf := make([]byte, bufferSize)
	for {
		n, err := src.Read(buf)
		if !w.write(buf[:n]) || err == io.EOF {
			return nil // the writer knows what is wrong, if anything is
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
}
