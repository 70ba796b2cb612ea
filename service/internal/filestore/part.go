package filestore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// newPart makes a file for data that is not whole. It is locked until it is
// closed, so that everybody can see that its writer lives.
func newPart(dir, name string) (*os.File, error) {
	for {
		f, err := os.CreateTemp(dir, partPrefix+name+"-*")
		if err != nil {
			return nil, err
		}
		if there, err := hold(f); err != nil || there {
			return f, nil // without locks, time has to tell
		}
		// Somebody has taken it for dead in the moment before it was locked.
		f.Close()
	}
}

// hold locks a file that was just made. There says that it still has a name;
// an error, that the file system has no locks.
func hold(f *os.File) (there bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil // who clears away has it, and removes it
	}
	if err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 0, nil
}

// clean removes the parts in dir whose writers are dead; where that cannot be
// seen, those that were last written to before the given time.
func clean(dir string, before time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), partPrefix) {
			continue
		}
		if err := cleanPart(filepath.Join(dir, e.Name()), before); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func cleanPart(path string, before time.Time) error {
	f, err := openFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil // its writer lives
	}
	if err != nil {
		info, err := f.Stat()
		if err != nil || !info.ModTime().Before(before) {
			return err
		}
	}
	return os.Remove(path)
}
