package service

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"glancectl/service/internal/config"
	"glancectl/service/internal/quickhttp"
	"glancectl/service/internal/sendfile"
)

// TestPatientSends checks that what is no file arrives whole.
func TestPatientSends(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	p := &process{Settings: &config.Settings{Server: config.Server{IdleTimeout: time.Minute}}}
	s := httptest.NewServer(p.patient(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := &io.LimitedReader{R: bytes.NewReader(data), N: int64(len(data)) - 10}
		n, err := w.(io.ReaderFrom).ReadFrom(part)
		if n != int64(len(data))-10 || part.N != 0 || err != nil {
			t.Errorf("ReadFrom = %d, %v and leaves %d; want %d", n, err, part.N, len(data)-10)
		}
	})))
	defer s.Close()
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, data[:len(data)-10]) {
		t.Errorf("%d bytes arrive, %v; want %d", len(got), err, len(data)-10)
	}
}

// A recorder is a response that remembers what it was handed as files, and the
// deadlines it had.
type recorder struct {
	*httptest.ResponseRecorder
	files     []int64 // bytes
	deadlines int
}

func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	if part, ok := src.(*sendfile.Part); ok {
		r.files = append(r.files, part.N)
		part.Moved()
	}
	return io.Copy(r.Body, src)
}

func (r *recorder) SetWriteDeadline(time.Time) error {
	r.deadlines++
	return nil
}

// TestPatientKeepsFiles checks that a file is handed on as one, and extends
// its deadline: the system sends nothing else by itself.
func TestPatientKeepsFiles(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	size := int64(len(data))
	for _, test := range []struct{ limit, handed, sent int64 }{
		{0, math.MaxInt64, size}, {size - 10, size - 10, size - 10}, {2 * size, 2 * size, size},
	} {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		src := io.Reader(f)
		if test.limit > 0 {
			src = io.LimitReader(f, test.limit)
		}
		w := &recorder{ResponseRecorder: httptest.NewRecorder()}
		tr := &transfer{ResponseWriter: w, control: http.NewResponseController(w), limit: time.Minute}
		n, err := tr.ReadFrom(src)
		if n != test.sent || err != nil || !bytes.Equal(w.Body.Bytes(), data[:test.sent]) {
			t.Errorf("with limit %d: ReadFrom = %d, %v with %d bytes; want %d", test.limit, n, err, w.Body.Len(), test.sent)
		}
		if l, ok := src.(*io.LimitedReader); ok && l.N != test.limit-test.sent {
			t.Errorf("with limit %d: %d are left; want %d", test.limit, l.N, test.limit-test.sent)
		}
		if len(w.files) != 1 || w.files[0] != test.handed || w.deadlines < 2 { // of the beginning, and of reading
			t.Errorf("with limit %d: files of %d bytes were handed on, with %d deadlines; want %d", test.limit, w.files, w.deadlines, test.handed)
		}
	}
}

// TestStalledFileIsBrokenOff has a client that takes some of a file, and then
// nothing.
func TestStalledFileIsBrokenOff(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 64 << 20
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	p := &process{Settings: &config.Settings{Server: config.Server{IdleTimeout: 200 * time.Millisecond}}}
	s := &quickhttp.Server{Small: func(string) bool { return false }, HTTP: &http.Server{
		Handler: p.patient(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, err := w.(io.ReaderFrom).ReadFrom(f)
			ended <- err
		})),
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-served
	}()
	c := download(t, l.Addr().String())
	if _, err := io.ReadFull(c, make([]byte, 20<<20)); err != nil {
		t.Fatal(err)
	}
	wantTimeout(t, ended)
}

// TestStalledDownloadIsBrokenOff has a client that takes nothing.
func TestStalledDownloadIsBrokenOff(t *testing.T) {
	ended := make(chan error, 1)
	p := &process{Settings: &config.Settings{Server: config.Server{IdleTimeout: 100 * time.Millisecond}}}
	s := httptest.NewServer(p.patient(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(w, zeros{})
		ended <- err
	})))
	defer s.Close()
	download(t, strings.TrimPrefix(s.URL, "http://"))
	wantTimeout(t, ended)
}

// download asks for something and takes nothing of it.
func download(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// wantTimeout waits for a download to end at its deadline.
func wantTimeout(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the download ends with %v; want a timeout", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the download goes on")
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
