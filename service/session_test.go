package service

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A session is dead when nobody holds its file, and only one can see to it.
func TestSessions(t *testing.T) {
	dir := t.TempDir()
	begin := func() *session {
		t.Helper()
		s, err := newSession(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.close)
		return s
	}
	dead := func(s *session) map[string]*os.File {
		t.Helper()
		found, err := s.dead()
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	us, other, gone := begin(), begin(), begin()
	if got := dead(us); len(got) != 0 {
		t.Errorf("%d sessions are dead; want none", len(got))
	}
	gone.close()
	found := dead(us)
	if len(found) != 1 || found[gone.name] == nil {
		t.Errorf("dead are %v; want %s", found, gone.name)
	}
	if got := dead(other); len(got) != 0 {
		t.Errorf("another process sees to %v as well", got)
	}
	if err := forget(found, true); err != nil {
		t.Error(err)
	}
	found = dead(other)
	if len(found) != 1 {
		t.Errorf("after nothing was done about it dead are %v; want %s", found, gone.name)
	}
	if err := forget(found, false); err != nil {
		t.Error(err)
	}
	if got := dead(us); len(got) != 0 {
		t.Errorf("after it was seen to dead are %v", got)
	}
	if files, err := filepath.Glob(filepath.Join(dir, sessionPrefix+"*")); len(files) != 2 || err != nil {
		t.Errorf("there are %q, %v; want the files of those that live", files, err)
	}
}

// A file that somebody has removed before it was locked says nothing.
func TestSessionLost(t *testing.T) {
	s, err := newSession(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if !named(s.file) {
		t.Error("the file of a session is not there")
	}
	if err := os.Remove(s.file.Name()); err != nil {
		t.Fatal(err)
	}
	if named(s.file) {
		t.Error("a file that was removed is there")
	}
	if err := os.WriteFile(s.file.Name(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if named(s.file) {
		t.Error("another file passes for it")
	}
	if _, err := newSession(filepath.Join(s.file.Name(), "x")); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a session in no directory: %v", err)
	}
}
