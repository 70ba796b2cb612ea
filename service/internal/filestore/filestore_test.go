package filestore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/storetest"
)

const id glance.ID = "71c675ab-d94f-49cd-a114-e12490b328d9"

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "images"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) glance.Store { return open(t) })
}

// The layout is the one of OpenStack Glance: it can take the directory over.
func TestLayout(t *testing.T) {
	s := open(t)
	url, _, err := s.Put(t.Context(), id, strings.NewReader("data"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, string(id))
	if want := "file://" + path; url != want {
		t.Errorf("Put = %s; want %s", url, want)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o640 {
		t.Errorf("mode of the file is %v; want 0640", info.Mode())
	}
	names(t, s, string(id))
}

// names checks which files are in the directory.
func names(t *testing.T, s *Store, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("directory holds %q; want %q", got, want)
	}
}

func TestFailedPutLeavesNoFile(t *testing.T) {
	s := open(t)
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader("part"), readerFunc(func([]byte) (int, error) {
		entries, err := os.ReadDir(s.dir)
		if err != nil || len(entries) != 1 || !strings.HasPrefix(entries[0].Name(), partPrefix) {
			t.Errorf("directory during a Put: %v, %v; want one part", entries, err)
		}
		return 0, broken
	}))
	if _, _, err := s.Put(t.Context(), id, r); !errors.Is(err, broken) {
		t.Errorf("Put: %v; want %v", err, broken)
	}
	names(t, s)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestLeftovers(t *testing.T) {
	s := open(t)
	now := time.Now()
	for name, age := range map[string]time.Duration{
		".part-old-1":       25 * time.Hour,
		".part-running-2":   time.Hour,
		"not-ours":          48 * time.Hour,
		".also-not-ours":    48 * time.Hour,
		string(id):          480 * time.Hour,
		".part-old-while-3": 24*time.Hour + time.Minute,
	} {
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(s.dir, Options{Now: func() time.Time { return now }}); err != nil {
		t.Fatal(err)
	}
	names(t, s, ".also-not-ours", ".part-running-2", string(id), "not-ours")
}

func TestOpenRefusesRelativePaths(t *testing.T) {
	if _, err := Open("images", Options{}); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf(`Open("images"): %v; want an error about an absolute path`, err)
	}
}

// A location leads only to regular files that are directly in the directory.
func TestStrangeFiles(t *testing.T) {
	s := open(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(s.dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(s.dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{
		"file://" + secret,
		"file://" + s.dir + "/link",
		"file://" + s.dir + "/folder",
		"file://" + s.dir + "/pipe",
		"file://" + s.dir + "/folder/../../secret",
		"file://localhost" + s.dir + "/" + string(id),
	} {
		if f, err := s.Open(t.Context(), location, 0, -1); !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("Open(%s) = %v, %v; want %v", location, f, err, glance.ErrNotFound)
		}
	}
	for _, location := range []string{"file://" + secret, "file://" + s.dir + "/folder"} {
		if err := s.Delete(t.Context(), location); !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("Delete(%s): %v; want %v", location, err, glance.ErrNotFound)
		}
	}
	// What a link leads to stays.
	if err := s.Delete(t.Context(), "file://"+s.dir+"/link"); err != nil {
		t.Errorf("Delete of a link: %v", err)
	}
	if _, err := os.Stat(secret); err != nil {
		t.Error(err)
	}
}

// Locations that OpenStack Glance wrote with other spellings are understood.
func TestSpellings(t *testing.T) {
	s := open(t)
	if _, _, err := s.Put(t.Context(), id, strings.NewReader("data")); err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{
		"file://" + s.dir + "/" + string(id),
		"filesystem://" + s.dir + "/" + string(id),
		"file://" + s.dir + "//" + string(id),
		"file://" + s.dir + "/%37" + string(id)[1:],
	} {
		f, err := s.Open(t.Context(), location, 0, -1)
		if err != nil {
			t.Errorf("Open(%s): %v", location, err)
			continue
		}
		f.Close()
	}
}

func TestKind(t *testing.T) {
	for _, test := range []struct{ err, want error }{
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, glance.ErrStoreFull},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}, glance.ErrStoreFull},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EFBIG}, glance.ErrStoreFull},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, glance.ErrStoreReadOnly},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, glance.ErrStoreReadOnly},
		{&os.LinkError{Op: "link", Old: "x", New: "y", Err: syscall.EEXIST}, glance.ErrExists},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, glance.ErrNotFound},
		{io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
	} {
		if got := kind(test.err); !errors.Is(got, test.want) || !errors.Is(got, test.err) {
			t.Errorf("kind(%v) = %v; want both it and %v", test.err, got, test.want)
		}
	}
}

// TestFull fills a real file system of one megabyte.
func TestFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("not root: the kinds of error alone are tested, in TestKind")
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Logf("cannot mount a small file system here: %v", err)
		return
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Put(t.Context(), id, bytes.NewReader(make([]byte, 2<<20))); !errors.Is(err, glance.ErrStoreFull) {
		t.Errorf("Put of 2 MiB into 1 MiB: %v; want %v", err, glance.ErrStoreFull)
	}
	names(t, s)
	if _, _, err := s.Put(t.Context(), id, bytes.NewReader(make([]byte, 512<<10))); err != nil {
		t.Errorf("Put after a full disk: %v", err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Put(t.Context(), "other", strings.NewReader("x")); !errors.Is(err, glance.ErrStoreReadOnly) {
		t.Errorf("Put on a read-only file system: %v; want %v", err, glance.ErrStoreReadOnly)
	}
	if err := s.Delete(t.Context(), "file://"+dir+"/"+string(id)); !errors.Is(err, glance.ErrStoreReadOnly) {
		t.Errorf("Delete on a read-only file system: %v; want %v", err, glance.ErrStoreReadOnly)
	}
}

// A copy hands the file itself to a writer that can take it, a network
// connection above all.
func TestCopyHandsOverTheFile(t *testing.T) {
	s := open(t)
	url, _, err := s.Put(t.Context(), id, strings.NewReader("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		off, n int64
		want   string
	}{{0, -1, "0123456789"}, {3, -1, "3456789"}, {3, 4, "3456"}} {
		f, err := s.Open(t.Context(), url, test.off, test.n)
		if err != nil {
			t.Fatal(err)
		}
		w := new(taker)
		if _, err := io.Copy(w, f); err != nil || w.String() != test.want || !w.file {
			t.Errorf("copy of (%d, %d) = %q, %v, file seen: %t; want %q and the file", test.off, test.n, w.String(), err, w.file, test.want)
		}
		f.Close()
	}
}

// A taker is a writer that looks for a file to send, as net.TCPConn does.
type taker struct {
	bytes.Buffer
	file bool
}

func (w *taker) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		_, w.file = l.R.(*os.File)
	} else {
		_, w.file = r.(*os.File)
	}
	return w.Buffer.ReadFrom(r)
}

func TestDirectoryMode(t *testing.T) {
	s := open(t)
	info, err := os.Stat(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeDir|0o750 {
		t.Errorf("mode of the directory is %v; want 0750", info.Mode())
	}
}

const benchSize = 256 << 20

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func BenchmarkPut(b *testing.B) {
	s := open(b)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		url, _, err := s.Put(b.Context(), id, io.LimitReader(zeros{}, benchSize))
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Delete(b.Context(), url); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGet sends the file over a loopback connection, where the kernel
// can copy, and through the process.
func BenchmarkGet(b *testing.B) {
	s := open(b)
	url, _, err := s.Put(b.Context(), id, io.LimitReader(zeros{}, benchSize))
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name string
		copy func(w net.Conn, r io.Reader) (int64, error)
	}{
		{"sendfile", func(w net.Conn, r io.Reader) (int64, error) { return io.Copy(w, r) }},
		{"copy", func(w net.Conn, r io.Reader) (int64, error) {
			return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, bufferSize))
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			w := drain(b)
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				f, err := s.Open(b.Context(), url, 0, -1)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := way.copy(w, f); err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
		})
	}
}

// drain returns a connection whose other end reads and forgets.
func drain(b *testing.B) net.Conn {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 1<<20)
		for err == nil {
			_, err = c.Read(buf)
		}
	}()
	w, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		w.Close()
		l.Close()
		<-done
	})
	return w
}
