package filestore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/storetest"

	"golang.org/x/sys/unix"
)

func TestDirectStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) glance.Store {
		s, err := Open(t.TempDir(), Options{Direct: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// Data of every length is whole, whatever part of it goes past the page cache.
func TestDirectPut(t *testing.T) {
	s, err := Open(t.TempDir(), Options{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 3*bufferSize+alignment)
	for i := range data {
		data[i] = byte(i * i >> 9)
	}
	for _, n := range []int{0, 1, alignment - 1, alignment, bufferSize, bufferSize + 1, 2*bufferSize + 512, len(data)} {
		url, size, err := s.Put(t.Context(), id, struct{ io.Reader }{bytes.NewReader(data[:n])})
		if err != nil || size != int64(n) {
			t.Fatalf("Put of %d bytes = %d, %v", n, size, err)
		}
		rc, err := s.Open(t.Context(), url, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(rc)
		if err := errors.Join(err, rc.Close(), s.Delete(t.Context(), url)); err != nil || !bytes.Equal(got, data[:n]) {
			t.Errorf("of %d bytes, %d came back, %v; want the same", n, len(got), err)
		}
	}
}

// direct says whether the page cache is bypassed.
func direct(t *testing.T, f *os.File) bool {
	t.Helper()
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_DIRECT != 0
}

// bypassed returns a writer past the page cache, or nil where there is no such
// thing: then nothing may be different for that.
func bypassed(t *testing.T) *writer {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	w := &writer{ctx: t.Context(), file: f, disk: &syncer{file: f}, past: newBypass(f)}
	if w.past == nil {
		if direct(t, f) {
			t.Error("the file has no bypass, but its flag")
		}
		return nil
	}
	return w
}

func TestBypass(t *testing.T) {
	buf := buffers.New().(*[bufferSize]byte)
	for _, test := range []struct {
		name  string
		piece []byte
		want  bool // it goes on
	}{
		{"whole pages", buf[:], true},
		{"a page", buf[alignment : 2*alignment], true},
		{"the end", buf[:alignment+1], false},
		{"in the middle of a page", buf[512 : 512+alignment], false},
	} {
		w := bypassed(t)
		if w == nil {
			return
		}
		for range 2 {
			if n, err := w.Write(test.piece); n != len(test.piece) || err != nil {
				t.Errorf("%s: Write = %d, %v; want all", test.name, n, err)
			}
		}
		if got := direct(t, w.file); got != test.want || (w.past != nil) != test.want {
			t.Errorf("%s: past the page cache afterwards: %t; want %t", test.name, got, test.want)
		}
		if info, err := w.file.Stat(); err != nil || info.Size() != int64(2*len(test.piece)) {
			t.Errorf("%s: the file has %d bytes, %v", test.name, info.Size(), err)
		}
	}
}

// A disk that takes most of the time ends the bypass.
func TestBypassOfSlowDisk(t *testing.T) {
	for _, test := range []struct {
		write, read time.Duration
		want        bool
	}{
		{10 * time.Millisecond, 10 * time.Millisecond, true}, // the client is slow as well
		{100 * time.Microsecond, time.Microsecond, true},     // the disk is fast
		{10 * time.Millisecond, time.Millisecond, false},
	} {
		w := bypassed(t)
		if w == nil {
			return
		}
		var at time.Time
		var calls int
		w.past.now = func() time.Time { // it is asked before and after every write
			if calls++; calls%2 == 0 {
				at = at.Add(test.write)
			} else {
				at = at.Add(test.read)
			}
			return at
		}
		w.past.began = at
		buf := buffers.New().(*[bufferSize]byte)
		for range bypassStep / bufferSize {
			if _, err := w.Write(buf[:]); err != nil {
				t.Fatal(err)
			}
		}
		if got := direct(t, w.file); got != test.want {
			t.Errorf("%v for every write and %v in between: past the page cache: %t; want %t", test.write, test.read, got, test.want)
		}
	}
}

// A disk that takes the flag and then refuses the write has it written without:
// here because of where the write begins.
func TestBypassRefused(t *testing.T) {
	w := bypassed(t)
	if w == nil {
		return
	}
	if _, err := w.file.WriteAt([]byte("x"), 0); err == nil {
		t.Log("this disk takes single bytes as well")
	} else if !refuses(err) {
		t.Errorf("a write of one byte: %v", err)
	}
	if _, err := w.file.Seek(1, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	buf := buffers.New().(*[bufferSize]byte)
	buf[0], buf[bufferSize-1] = 'a', 'z'
	for range 2 {
		if n, err := w.Write(buf[:]); n != bufferSize || err != nil {
			t.Errorf("Write = %d, %v; want all", n, err)
		}
	}
	got, err := os.ReadFile(w.file.Name())
	if err != nil || len(got) != 1+2*bufferSize || !bytes.Equal(got[1:1+bufferSize], buf[:]) || !bytes.Equal(got[1+bufferSize:], buf[:]) {
		t.Errorf("the file has %d bytes, or other ones, %v", len(got), err)
	}
}

func TestRefuses(t *testing.T) {
	for err, want := range map[error]bool{
		nil: false, unix.EINVAL: true, unix.EOPNOTSUPP: true, unix.ENOSYS: true, unix.ENOSPC: false, unix.EIO: false, unix.EDQUOT: false,
	} {
		if got := refuses(&os.PathError{Op: "write", Path: "x", Err: err}); got != want {
			t.Errorf("refuses(%v) = %t; want %t", err, got, want)
		}
	}
}

// A write that fails is reported, with or without the bypass.
func TestBypassFails(t *testing.T) {
	w := bypassed(t)
	if w == nil {
		return
	}
	w.file.Close()
	for _, piece := range [][]byte{make([]byte, bufferSize), make([]byte, 7)} {
		if _, err := w.Write(piece); err == nil {
			t.Errorf("Write of %d bytes to a closed file succeeds", len(piece))
		}
	}
}
