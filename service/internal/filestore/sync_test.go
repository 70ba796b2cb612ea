package filestore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
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
