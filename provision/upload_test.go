package provision

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/blake2b"
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
			{"cannot be read", io.MultiReader(bytes.NewReader(stream[:blockSize]), iotest.ErrReader(errors.New("broken bundle"))), "", "upload " + filepath.Join(dir, "cannot be read") + ": broken bundle"},
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
	sum, check := sha256.Sum256(content), blake2b.Sum512(content)
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
			{"cut off", true, never, from(content[:blockSize]), "what arrived has BLAKE2b"},
			{"another content", true, never, from(bytes.ToUpper(content)), "what arrived has BLAKE2b"},
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
				BLAKE2b: func() (string, error) { return hex.EncodeToString(check[:]), nil },
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

// Uploads are ops like others: what stands before one is done before it, what
// comes after it afterwards, and all of it in one session.
func TestUploadAmongOthers(t *testing.T) {
	contents := [][]byte{bytes.Repeat([]byte("one\n"), blockSize/3), nil, []byte("three")}
	forShells(t, func(t *testing.T, m *machine) {
		dir := t.TempDir()
		sessions := &counting{Host: m.Host}
		through := &machine{Host: sessions, state: m.state}
		ops := []Op{MakeDir{Path: dir + "/d", Mode: 0o700}}
		for i, content := range contents {
			sum, check := sha256.Sum256(content), blake2b.Sum512(content)
			ops = append(ops, Upload{
				Path: fmt.Sprintf("%s/d/%d", dir, i), Mode: 0o750, SHA256: hex.EncodeToString(sum[:]),
				Plain:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
				BLAKE2b: func() (string, error) { return hex.EncodeToString(check[:]), nil },
			}, PutFile{Path: fmt.Sprintf("%s/after-%d", dir, i), Mode: 0o600, Content: []byte("x\n")})
		}
		var done []int
		ops = append(ops, Exec{Argv: []string{"sh", "-c", "read x; ls /proc/self/fd | grep -c '^4$'; exit 7"}})
		err := through.Do(t.Context(), ops, func(i int) { done = append(done, i) })
		// Programs find an empty input, and not what the script has as 4.
		if err == nil || !strings.Contains(err.Error(), "exit status 7: 0") {
			t.Errorf("Do = %v; want what the command says last", err)
		}
		if want := []int{0, 1, 2, 3, 4, 5, 6}; !slices.Equal(done, want) {
			t.Errorf("done: %v; want %v", done, want)
		}
		if n := sessions.n.Load(); n != 1 {
			t.Errorf("%d sessions; want 1", n)
		}
		for i, content := range contents {
			if b, err := os.ReadFile(fmt.Sprintf("%s/d/%d", dir, i)); !bytes.Equal(b, content) || err != nil {
				t.Errorf("upload %d: %d bytes, %v; want %d", i, len(b), err, len(content))
			}
		}
	})
}

// counting counts the sessions of a machine that is near.
type counting struct {
	Host
	n atomic.Int64
}

func (h *counting) Near() bool { return true }
func (h *counting) Run(ctx context.Context, c Cmd) (Result, error) {
	h.n.Add(1)
	return h.Host.Run(ctx, c)
}

// A script that fails before it asks for the content of an upload ends at
// once, and one whose stream cannot be opened does not begin.
func TestUploadThatIsNotAskedFor(t *testing.T) {
	forShells(t, func(t *testing.T, m *machine) {
		dir := t.TempDir()
		up := Upload{Path: dir + "/program", Mode: 0o755, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("never read")), nil
		}}
		begun := time.Now()
		err := m.Do(t.Context(), []Op{Exec{Argv: []string{"sh", "-c", "echo no; exit 3"}}, up}, nil)
		if err == nil || !strings.Contains(err.Error(), "exit status 3: no") || time.Since(begun) > 4*time.Second {
			t.Errorf("Do = %v after %s; want what failed, at once", err, time.Since(begun))
		}
		bad := up
		bad.Open = func() (io.ReadCloser, error) { return nil, errors.New("no such program") }
		err = m.Do(t.Context(), []Op{MakeDir{Path: dir + "/d", Mode: 0o700}, up, bad}, nil)
		var se *StepError
		if !errors.As(err, &se) || se.index != 2 || !strings.Contains(err.Error(), "no such program") {
			t.Errorf("Do = %v; want the upload whose stream cannot be opened", err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("something was done: %v, %v", entries, err)
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
				b.took()
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
