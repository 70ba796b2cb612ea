package quickhttp

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// data makes a file and returns its content.
func data(t *testing.T, n int) (path string, content []byte) {
	t.Helper()
	content = make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(content)
	path = filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// sending answers with what send does with a file.
func sending(t *testing.T, path string, send func(http.ResponseWriter, *http.Request, *os.File)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		send(w, r, f)
	}
}

// A file comes whole, whether the client is quick or lets the server wait.
func TestFile(t *testing.T) {
	path, content := data(t, 20<<20)
	s, _ := newServer(sending(t, path, func(w http.ResponseWriter, _ *http.Request, f *os.File) {
		if _, err := f.Seek(1000, io.SeekStart); err != nil {
			t.Error(err)
		}
		part := &io.LimitedReader{R: f, N: 15 << 20}
		if n, err := w.(io.ReaderFrom).ReadFrom(part); n != 15<<20 || part.N != 0 || err != nil {
			t.Errorf("ReadFrom = %d, %v, and leaves %d; want all", n, err, part.N)
		}
	}))
	url := "http://" + start(t, s) + "/file"
	want := sha256.Sum256(content[1000 : 1000+15<<20])
	for _, pause := range []time.Duration{0, 20 * time.Millisecond} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		time.Sleep(pause) // the connection is full meanwhile
		if _, err := got.ReadFrom(resp.Body); err != nil {
			t.Error(err)
		}
		resp.Body.Close()
		if sha256.Sum256(got.Bytes()) != want {
			t.Errorf("after %v: %d bytes came, and other ones", pause, got.Len())
		}
	}
}

// A client that takes nothing is waited for until the deadline, and one that
// goes away is not.
func TestFileNobodyTakes(t *testing.T) {
	path, _ := data(t, 30<<20)
	ended := make(chan error, 1)
	s, _ := newServer(sending(t, path, func(w http.ResponseWriter, r *http.Request, f *os.File) {
		if r.URL.Path == "/late" {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Error(err)
			}
		}
		_, err := w.(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: f, N: 30 << 20})
		ended <- err
	}))
	addr := start(t, s)
	for _, path := range []string{"/late", "/gone"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if path == "/gone" {
			if _, err := io.ReadFull(c, make([]byte, 1<<20)); err != nil {
				t.Error(err)
			}
			c.Close()
		}
		select {
		case err := <-ended:
			if err == nil || path == "/late" && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: it is still sent", path)
		}
	}
}
