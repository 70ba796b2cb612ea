package glance

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A conn remembers what it was handed as a file.
type conn struct {
	bytes.Buffer
	files []*io.LimitedReader
}

func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			c.files = append(c.files, &io.LimitedReader{R: l.R, N: l.N})
		}
	}
	return io.Copy(&c.Buffer, struct{ io.Reader }{r})
}

// A kept is data of a store that is a file.
type kept struct {
	*os.File
	limit int64 // 0 for none
}

func (k kept) WriteTo(w io.Writer) (int64, error) {
	if k.limit > 0 {
		return w.(io.ReaderFrom).ReadFrom(io.LimitReader(k.File, k.limit))
	}
	return w.(io.ReaderFrom).ReadFrom(k.File)
}

// Data that is a file reaches the connection as one, and never more of it than
// was asked for.
func TestDownloadOfFile(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ n, limit, want int64 }{
		{1000, 0, 1000}, {600, 0, 600}, {600, 600, 600}, {600, 500, 500}, {600, 700, 600}, {1200, 0, 1000}, {0, 0, 0},
	} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var c conn
		n, err := io.Copy(&c, &download{kept{f, test.limit}, test.n, new(stock)})
		if n != test.want || err != nil || !bytes.Equal(c.Bytes(), data[:test.want]) {
			t.Errorf("copy of %+v = %d, %v with %d bytes; want %d", test, n, err, c.Len(), test.want)
		}
		if len(c.files) != 1 || c.files[0].N > test.n {
			t.Errorf("copy of %+v: the connection was handed %+v; want one file, and no more than was asked for", test, c.files)
		}
		f.Close()
	}
}

// Data that is no file, or goes to no connection, is copied.
func TestDownloadOfOther(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), blockSize/5)
	broken := errors.New("broken")
	var pool stock
	for _, r := range []io.Reader{bytes.NewReader(data), struct{ io.Reader }{bytes.NewReader(data)}} {
		var got bytes.Buffer
		n, err := io.Copy(struct{ io.Writer }{&got}, &download{io.NopCloser(r), int64(len(data)), &pool})
		if n != int64(len(data)) || err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("copy = %d, %v; want %d bytes as they are", n, err, len(data))
		}
	}
	pr, pw := io.Pipe()
	pr.CloseWithError(broken)
	if _, err := io.Copy(pw, &download{io.NopCloser(bytes.NewReader(data)), 10, &pool}); err != broken {
		t.Errorf("copy to a broken connection: %v; want %v", err, broken)
	}
}
