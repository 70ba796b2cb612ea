package filestore

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancectl/service/glance"
)

// What the disk says to a sync beside the writing is not lost.
func TestSyncerReports(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	s := &syncer{file: f}
	s.wrote(syncStep - 1)
	if err := s.end(); err != nil || s.steps != nil {
		t.Errorf("end of a small file: %v, began %t; want nothing done", err, s.steps != nil)
	}
	s = &syncer{file: f}
	s.wrote(syncStep)
	if err := s.end(); err != nil || s.steps == nil {
		t.Errorf("end of a large file: %v, began %t; want a sync", err, s.steps != nil)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s = &syncer{file: f}
	for range 5 {
		s.wrote(syncStep)
	}
	if err := s.end(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("end after a sync that failed: %v; want %v", err, os.ErrClosed)
	}
}

// Another name for a file is of that file, or is not made.
func TestLink(t *testing.T) {
	s := open(t)
	url, _, err := s.Put(t.Context(), id, strings.NewReader("data"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), url, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	path := r.(*reader).file.Name()
	name := filepath.Join(filepath.Dir(path), "link")
	if err := r.(*reader).Link(name); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(name); string(text) != "data" || err != nil {
		t.Errorf("the link has %q, %v", text, err)
	}
	again, err := r.(*reader).Again()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(again); string(text) != "data" || err != nil {
		t.Errorf("read again it has %q, %v", text, err)
	}
	again.Close()
	if err := r.(*reader).Link(name); !errors.Is(err, os.ErrExist) {
		t.Errorf("Link to a name that is taken: %v; want %v", err, os.ErrExist)
	}
	// Somebody has put another file in its place.
	if err := errors.Join(os.Remove(name), os.Remove(path), os.WriteFile(path, []byte("other"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := r.(*reader).Link(name); err == nil {
		t.Error("Link of another file succeeds")
	}
	if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Link that failed left %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := r.(*reader).Again(); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("Again of a file that is gone: %v; want %v", err, glance.ErrNotFound)
	}
}

// What the system does not have in memory is not read again.
func TestAgain(t *testing.T) {
	const size = 2<<20 + 5
	for name, test := range map[string]struct {
		make func(f *os.File) error
		want int // bytes; negative if it is not to be read
	}{
		"written":    {func(f *os.File) error { _, err := f.Write(make([]byte, size)); return err }, size},
		"empty":      {func(*os.File) error { return nil }, 0},
		"never read": {func(f *os.File) error { return f.Truncate(size) }, -1},
		"nearly read": {func(f *os.File) error {
			_, err := f.Write(make([]byte, size-64<<10))
			return errors.Join(err, f.Truncate(size))
		}, size},
		"partly read": {func(f *os.File) error {
			_, err := f.Write(make([]byte, 64<<10))
			return errors.Join(err, f.Truncate(size))
		}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "image"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(test.make(f), f.Close()); err != nil {
				t.Fatal(err)
			}
			again, err := (&reader{file: f}).Again()
			if err != nil || (again == nil) != (test.want < 0) {
				t.Fatalf("Again = %v, %v; want that it is read: %t", again, err, test.want >= 0)
			}
			if again == nil {
				return
			}
			if data, err := io.ReadAll(again); len(data) != test.want || err != nil {
				t.Errorf("read again it has %d bytes, %v; want %d", len(data), err, test.want)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
