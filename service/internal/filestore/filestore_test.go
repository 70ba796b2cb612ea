package filestore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

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
	path := filepath.Join(s.dirs[0].Path, string(id))
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
	entries, err := os.ReadDir(s.dirs[0].Path)
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
		entries, err := os.ReadDir(s.dirs[0].Path)
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

// A directory that is gone, with its disk perhaps, is no missing image.
func TestDirectoryGone(t *testing.T) {
	s := open(t)
	if err := os.RemoveAll(s.dirs[0].Path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Put(t.Context(), id, strings.NewReader("x")); !errors.Is(err, glance.ErrUnavailable) || errors.Is(err, glance.ErrNotFound) {
		t.Errorf("Put: %v; want %v", err, glance.ErrUnavailable)
	}
}

// What is left of a writer that died goes with the next Open; a writer that
// lives loses nothing.
func TestLeftovers(t *testing.T) {
	s := open(t)
	for _, name := range []string{".part-dead-1", "not-ours", ".also-not-ours", string(id)} {
		if err := os.WriteFile(filepath.Join(s.dirs[0].Path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reopened := false
	_, _, err := s.Put(t.Context(), "b2173dd3-7ad6-4362-baa6-a68bce3565cb", readerFunc(func([]byte) (int, error) {
		if reopened {
			return 0, io.EOF
		}
		reopened = true
		_, err := Open(s.dirs[0].Path, Options{})
		return 0, err
	}))
	if err != nil {
		t.Errorf("Put while the store is opened again: %v", err)
	}
	names(t, s, ".also-not-ours", string(id), "b2173dd3-7ad6-4362-baa6-a68bce3565cb", "not-ours")
}

// A part that is taken for dead in the moment before it is locked is not
// written to.
func TestPartLost(t *testing.T) {
	s := open(t)
	f, err := os.CreateTemp(s.dirs[0].Path, partPrefix+"*")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if there, err := hold(f); !there || err != nil {
		t.Errorf("hold = %t, %v; want that it is there", there, err)
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	if there, err := hold(f); there || err != nil {
		t.Errorf("hold of a file that is gone = %t, %v", there, err)
	}
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
	if err := os.Symlink(secret, filepath.Join(s.dirs[0].Path, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.dirs[0].Path, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(s.dirs[0].Path, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{
		"file://" + secret,
		"file://" + s.dirs[0].Path + "/link",
		"file://" + s.dirs[0].Path + "/folder",
		"file://" + s.dirs[0].Path + "/pipe",
		"file://" + s.dirs[0].Path + "/folder/../../secret",
		"file://localhost" + s.dirs[0].Path + "/" + string(id),
	} {
		if f, err := s.Open(t.Context(), location, 0, -1); !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("Open(%s) = %v, %v; want %v", location, f, err, glance.ErrNotFound)
		}
	}
	for _, location := range []string{"file://" + secret, "file://" + s.dirs[0].Path + "/folder"} {
		if err := s.Delete(t.Context(), location); !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("Delete(%s): %v; want %v", location, err, glance.ErrNotFound)
		}
	}
	// What a link leads to stays.
	if err := s.Delete(t.Context(), "file://"+s.dirs[0].Path+"/link"); err != nil {
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
		"file://" + s.dirs[0].Path + "/" + string(id),
		"filesystem://" + s.dirs[0].Path + "/" + string(id),
		"file://" + s.dirs[0].Path + "//" + string(id),
		"file://" + s.dirs[0].Path + "/%37" + string(id)[1:],
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

// A copy makes few large writes, whatever the writer can do.
func TestCopyMakesLargeWrites(t *testing.T) {
	s := open(t)
	url, _, err := s.Put(t.Context(), id, io.LimitReader(zeros{}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		off, n, want int64
		writes       int
	}{{0, -1, 1 << 20, 4}, {1, -1, 1<<20 - 1, 4}, {5, 300 << 10, 300 << 10, 2}, {0, 0, 0, 0}} {
		f, err := s.Open(t.Context(), url, test.off, test.n)
		if err != nil {
			t.Fatal(err)
		}
		w := new(counter)
		if n, err := io.Copy(w, f); n != test.want || err != nil || w.writes != test.writes {
			t.Errorf("copy of (%d, %d) = %d, %v in %d writes; want %d in %d", test.off, test.n, n, err, w.writes, test.want, test.writes)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A counter counts writes.
type counter struct{ writes int }

func (c *counter) Write(b []byte) (int, error) {
	c.writes++
	return len(b), nil
}

// An upload and a download need a buffer, not the image, in memory.
func TestMemory(t *testing.T) {
	s := open(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	url, _, err := s.Put(t.Context(), id, io.LimitReader(zeros{}, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Open(t.Context(), url, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(new(counter), f); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("64 MiB up and down allocated %d bytes; want at most 1 MiB", got)
	}
}

func TestDirectoryMode(t *testing.T) {
	s := open(t)
	info, err := os.Stat(s.dirs[0].Path)
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

// BenchmarkGet sends the file over a loopback connection: as the store does
// it, by the system alone, and through a buffer.
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
		{"buffer", func(w net.Conn, r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{w}, r) }},
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
