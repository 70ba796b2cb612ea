package glance

import (
	"io"
	"math"
)

// A download is data on its way to whoever asked for it. It is an io.WriterTo:
// data that is a file is handed to a connection as one, which the system then
// sends without a copy, and the rest goes through a large buffer.
type download struct {
	io.ReadCloser
	n     int64 // what was asked for
	stock *stock
}

// WriteTo implements io.WriterTo.
func (d *download) WriteTo(w io.Writer) (int64, error) {
	from, some := d.ReadCloser.(io.WriterTo)
	to, able := w.(io.ReaderFrom)
	if some && able {
		return from.WriteTo(&window{Writer: w, to: to, left: d.n})
	}
	b := d.stock.get()
	defer d.stock.put(b)
	// Hidden is what else they can do, or it would be used in place of the buffer.
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{d.ReadCloser}, b.data[:])
}

// A window lets through what was asked for. A connection that is handed a file
// sends all of it, however long its answer was said to be.
type window struct {
	io.Writer
	to   io.ReaderFrom
	left int64
}

// ReadFrom implements io.ReaderFrom.
func (w *window) ReadFrom(r io.Reader) (int64, error) {
	part := &io.LimitedReader{R: r, N: math.MaxInt64}
	if l, ok := r.(*io.LimitedReader); ok {
		*part = *l // a file is recognised behind one limit, and not behind two
	}
	part.N = min(part.N, w.left)
	n, err := w.to.ReadFrom(part)
	w.left -= n
	return n, err
}
