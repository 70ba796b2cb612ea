package service

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"glancectl/service/glance"
)

// A session is one run of a process that brings data into images. Its name
// stands in the claims that it makes in the catalog, and a file of that name is
// locked for as long as the process lives. So whoever sees the file, on this
// machine or on another one that shares the directory, knows for certain
// whether the owner of a claim is dead; whoever does not see it cannot know,
// and waits until the claim has not been renewed for long.
type session struct {
	name string
	dir  string // "" if there is no place for the file
	file *os.File
}

const sessionPrefix = ".session-"

// openSession begins a session. Its file is in the staging area, if data is
// staged, for there it outlives a restart of the machine, else in lock_path.
func (p *process) openSession() *session {
	var dirs []string
	if len(p.Imports.Methods) > 0 {
		dirs = append(dirs, p.Imports.StagingDir)
	}
	for _, dir := range append(dirs, p.LockPath) {
		if dir == "" {
			continue
		}
		s, err := newSession(dir)
		if err == nil {
			return s
		}
		p.log.Debug("no session file", slog.String("dir", dir), slog.Any("error", err))
	}
	p.log.Warn("neither a staging area nor a [oslo_concurrency] lock_path: what this process leaves behind if it dies is put in order after an hour, not by its next start")
	return &session{name: glance.NewUUID()}
}

func newSession(dir string) (*session, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	for {
		name := glance.NewUUID()
		f, err := os.OpenFile(filepath.Join(dir, sessionPrefix+name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && named(f) {
			return &session{name: name, dir: dir, file: f}, nil
		}
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), os.Remove(f.Name()), f.Close())
		}
		f.Close() // somebody has taken it for dead before it was locked
	}
}

// named says whether a file still is what its name means.
func named(f *os.File) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	found, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(opened, found)
}

// dead returns the sessions of dead processes by name. The caller has their
// locks until it closes the files.
func (s *session) dead() (map[string]*os.File, error) {
	found := make(map[string]*os.File)
	if s.dir == "" {
		return found, nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, is := strings.CutPrefix(e.Name(), sessionPrefix)
		if !is || name == s.name {
			continue
		}
		f, err := os.OpenFile(filepath.Join(s.dir, e.Name()), os.O_RDWR|syscall.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody else was faster
		}
		if err == nil {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		}
		switch {
		case err == nil && named(f):
			found[name] = f
		case f != nil:
			f.Close() // it lives, or somebody else puts in order what it left
		}
	}
	return found, nil
}

// forget removes the files of sessions of which nothing is left, and returns
// their locks; keep says that something is.
func forget(sessions map[string]*os.File, keep bool) error {
	var errs []error
	for _, f := range sessions {
		if !keep {
			errs = append(errs, os.Remove(f.Name()))
		}
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// close ends the session. The file stays: if something was left behind, the
// next start has to know.
func (s *session) close() {
	if s.file != nil {
		s.file.Close()
	}
}
