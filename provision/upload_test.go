package provision

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// packed is n bytes that do not get smaller, and their gzip stream.
func packed(t *testing.T, n int) (content, stream []byte) {
	t.Helper()
	content = make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{})
	_, _ = rnd.Read(content)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return content, b.Bytes()
}

func TestUpload(t *testing.T) {
	forShells(t, func(t *testing.T, m *machine) {
		dir := t.TempDir()
		content, stream := packed(t, 3*blockSize+7)
		sum := sha256.Sum256(content)
		for _, test := range []struct {
			name   string
			stream io.Reader
			sum    string
			err    string
		}{
			{"whole", bytes.NewReader(stream), hex.EncodeToString(sum[:]), ""},
			{"in small pieces", iotest.HalfReader(bytes.NewReader(stream)), hex.EncodeToString(sum[:]), ""},
			{"another content", bytes.NewReader(stream), strings.Repeat("0", 64), "what arrived has SHA-256"},
			{"cut off", bytes.NewReader(stream[:len(stream)/2]), hex.EncodeToString(sum[:]), "unexpected end of file"},
			{"nothing", strings.NewReader(""), hex.EncodeToString(sum[:]), "exit status"},
			{"not gzip", bytes.NewReader(content), hex.EncodeToString(sum[:]), "not in gzip format"},
			{"cannot be read", io.MultiReader(bytes.NewReader(stream[:blockSize]), iotest.ErrReader(errors.New("broken bundle"))), "", "upload"},
		} {
			path := filepath.Join(dir, test.name)
			err := m.Do(t.Context(), []Op{Upload{
				Path: path, Mode: 0o755, SHA256: test.sum,
				Open: func() (io.ReadCloser, error) { return io.NopCloser(test.stream), nil },
			}}, nil)
			got, _ := os.ReadFile(path) // its absence shows below
			switch {
			case test.err == "" && (err != nil || !bytes.Equal(got, content)):
				t.Errorf("%s: Do = %v, and %d bytes arrived; want all %d", test.name, err, len(got), len(content))
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || got != nil):
				t.Errorf("%s: Do = %v, and %d bytes are there; want %q and no file", test.name, err, len(got), test.err)
			}
			if names, err := filepath.Glob(dir + "/.*"); err != nil || len(names) > 0 {
				t.Errorf("%s: left behind: %q, %v", test.name, names, err)
			}
		}
	})
}

// nearHost is a machine that is as near as it is told.
type nearHost struct {
	Host
	near bool
}

func (h nearHost) Near() bool { return h.near }

// A machine that is near, also through a Pool, gets the content as it is, if
// there is a way to have that.
func TestUploadPlain(t *testing.T) {
	content, stream := packed(t, 2*blockSize+1)
	sum := sha256.Sum256(content)
	from := func(b []byte) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	}
	never := func() (io.ReadCloser, error) { return nil, errors.New("not this one") }
	forShells(t, func(t *testing.T, m *machine) {
		for _, test := range []struct {
			name        string
			near        bool
			open, plain func() (io.ReadCloser, error)
			err         string
		}{
			{"near", true, never, from(content), ""},
			{"far", false, from(stream), never, ""},
			{"near, packed only", true, from(stream), nil, ""},
			{"cut off", true, never, from(content[:blockSize]), "what arrived has SHA-256"},
		} {
			pool := NewPool(func(context.Context, string) (Host, error) { return nearHost{m.Host, test.near}, nil })
			host, err := pool.Connect(t.Context(), "node")
			if err != nil {
				t.Fatal(err)
			}
			through := &machine{Host: host, state: m.state}
			path := filepath.Join(t.TempDir(), "program")
			err = through.Do(t.Context(), []Op{Upload{
				Path: path, Mode: 0o755, SHA256: hex.EncodeToString(sum[:]), Open: test.open, Plain: test.plain,
			}}, nil)
			got, _ := os.ReadFile(path) // its absence shows below
			switch {
			case test.err == "" && (err != nil || !bytes.Equal(got, content)):
				t.Errorf("%s: Do = %v, and %d bytes arrived; want all %d", test.name, err, len(got), len(content))
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || got != nil):
				t.Errorf("%s: Do = %v, and %d bytes are there; want %q and no file", test.name, err, len(got), test.err)
			}
		}
	})
}

// A block is waited with until one before it was taken, but not for ever.
func TestBlocksOnWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const blocks = blocksOnWay + 2
		b := newBlocks(strings.NewReader(strings.Repeat("x", blocks*blockSize)), blocksOnWay)
		var read atomic.Int64
		done := make(chan error)
		go func() {
			_, err := io.Copy(writerFunc(func(p []byte) (int, error) {
				read.Add(int64(len(p)))
				return len(p), nil
			}), struct{ io.Reader }{b})
			done <- err
		}()
		whole := int64(blockSize + len("1048576\n"))
		for n := int64(blocksOnWay); n < blocks; n++ {
			synctest.Wait()
			if got, want := read.Load(), n*whole; got != want {
				t.Errorf("%d bytes were handed out before a block was taken; want %d", got, want)
			}
			if n == blocksOnWay {
				_, _ = b.Write([]byte("\n")) // it has no error to give
			} else {
				time.Sleep(blockPatience)
			}
		}
		time.Sleep(blockPatience) // the end is told as a block is
		if err := <-done; err != nil || read.Load() != blocks*whole+int64(len("0\n")) {
			t.Errorf("in the end %d bytes were handed out, %v", read.Load(), err)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
