package filestore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"sync"
)

// bufferSize is how much one read or write takes: large enough that the number
// of calls does not matter, small enough for the second-level cache.
const bufferSize = 256 << 10

// buffers are used again, so that an upload or a download costs no garbage.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// copyTo writes what r yields until its end, as long as ctx lasts. Runs of zeros
// that fill a hole are left out, if there are to be any. Most of a large file is
// on the disk when copyTo returns.
func (s *Store) copyTo(ctx context.Context, f *os.File, r io.Reader) (n int64, err error) {
	disk := &syncer{file: f}
	defer func() {
		if serr := disk.end(); err == nil {
			err = serr
		}
	}()
	w := &writer{ctx: ctx, file: f, disk: disk}
	if s.hole == 0 {
		if s.direct {
			w.past = newBypass(f)
		}
		return copyAll(ctx, w, r)
	}
	thin := &thinWriter{writer: w, hole: min(s.hole, len(empty))}
	if n, err = copyAll(ctx, thin, r); err != nil {
		return n, err
	}
	return n, f.Truncate(n) // what ends with a hole has no last byte yet
}

func copyAll(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	if from, ok := r.(io.WriterTo); ok {
		return from.WriteTo(w) // it has buffers of its own
	}
	b := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(b)
	var n int64
	for {
		got, rerr := fill(r, b[:])
		if got > 0 {
			if _, err := w.Write(b[:got]); err != nil {
				return n, err
			}
			n += int64(got)
		}
		if rerr == io.EOF {
			return n, ctx.Err()
		}
		if rerr != nil {
			return n, rerr
		}
	}
}

// fill reads until b is full or r fails. A connection yields little at a time,
// and a full buffer makes few writes. io.ReadFull would do, if its error for a
// short last buffer were not the one of a request that was cut off.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var got int
		got, err = r.Read(b[n:])
		n += got
	}
	return n, err
}

// A writer is a file that takes data as long as a context lasts.
type writer struct {
	ctx  context.Context // of the one call that made it
	file *os.File
	disk *syncer
	past *bypass // nil when the page cache is not bypassed
}

func (w *writer) Write(b []byte) (n int, err error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	if w.past != nil {
		var ended bool
		if n, ended, err = w.past.write(b); ended {
			w.past = nil
		}
	}
	if err == nil && n < len(b) {
		var more int
		more, err = w.file.Write(b[n:])
		n += more
	}
	w.disk.wrote(n)
	return n, err
}

// empty is what a hole reads as.
var empty [64 << 10]byte

// A thinWriter leaves out pieces of a file that are nothing but zeros.
type thinWriter struct {
	*writer
	hole int // at most len(empty)
}

func (w *thinWriter) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		zeros, length := w.run(b)
		if zeros {
			_, err = w.file.Seek(int64(length), io.SeekCurrent)
		} else {
			_, err = w.writer.Write(b[:length])
		}
		if err != nil {
			return n, err
		}
		n, b = n+length, b[length:]
	}
	return n, w.ctx.Err()
}

// run returns how much of b, from its beginning, is all zeros or has none of
// the pieces that are.
func (w *thinWriter) run(b []byte) (zeros bool, length int) {
	for length < len(b) {
		piece := b[length:min(length+w.hole, len(b))]
		z := bytes.Equal(piece, empty[:len(piece)])
		if length > 0 && z != zeros {
			break
		}
		zeros, length = z, length+len(piece)
	}
	return zeros, length
}

// A reader is a file, or n bytes of it.
type reader struct {
	file *os.File
	left int64 // negative for all
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	if r.left == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	if r.left > 0 && int64(len(b)) > r.left {
		b = b[:r.left]
	}
	n, err := r.file.Read(b)
	if r.left > 0 {
		r.left -= int64(n)
	}
	return n, err
}

// WriteTo implements io.WriterTo. What can read from a file is given the file:
// a network connection then has the system send it, without a copy.
func (r *reader) WriteTo(w io.Writer) (n int64, err error) {
	to, ok := w.(io.ReaderFrom)
	if !ok {
		b := buffers.Get().(*[bufferSize]byte)
		defer buffers.Put(b)
		return io.CopyBuffer(w, struct{ io.Reader }{r}, b[:])
	}
	part := &io.LimitedReader{R: r.file, N: r.left}
	if r.left < 0 {
		part.N = math.MaxInt64
	}
	n, err = to.ReadFrom(part)
	if r.left > 0 {
		r.left -= n
	}
	return n, err
}

// Link gives the file that is read another name, on the same file system. Its
// data never changes.
func (r *reader) Link(name string) error {
	if err := os.Link(r.file.Name(), name); err != nil {
		return err
	}
	own, err := r.file.Stat()
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	if other, err := os.Lstat(name); err != nil || !os.SameFile(own, other) {
		return errors.Join(errors.New("the file is another one by now"), err, os.Remove(name))
	}
	return nil
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.file.Close() }
