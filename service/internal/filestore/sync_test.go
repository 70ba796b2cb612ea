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
