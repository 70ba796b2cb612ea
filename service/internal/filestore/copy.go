package filestore

import (
	"context"
	"io"
	"os"
	"sync"
)

// bufferSize is how much one write takes: large enough that the number of
// calls does not matter, small enough for the second-level cache.
const bufferSize = 256 << 10

// buffers are used again, so that an upload costs no garbage.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// copyTo writes what r yields until its end, as long as ctx lasts.
func copyTo(ctx context.Context, f *os.File, r io.Reader) (n int64, err error) {
	b := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(b)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		got, rerr := fill(r, b[:])
		if got > 0 {
			if _, err := f.Write(b[:got]); err != nil {
				return n, err
			}
			n += int64(got)
		}
		if rerr == io.EOF {
			return n, nil
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

// A reader is a whole file. A copy to a network connection finds the file in
// it and leaves the work to the kernel.
type reader struct{ *os.File }

// WriteTo implements io.WriterTo.
func (r *reader) WriteTo(w io.Writer) (int64, error) { return send(w, r.File) }

// A part is some bytes of a file.
type part struct {
	io.LimitedReader
	file *os.File
}

// WriteTo implements io.WriterTo.
func (p *part) WriteTo(w io.Writer) (int64, error) { return send(w, &p.LimitedReader) }

// Close implements io.Closer.
func (p *part) Close() error { return p.file.Close() }

// send copies a file, or a limited reader of one, to w in the way w prefers.
func send(w io.Writer, r io.Reader) (int64, error) {
	if rf, ok := w.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	b := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(b)
	return io.CopyBuffer(w, struct{ io.Reader }{r}, b[:])
}
