// Package ownership sees that files which root makes by hand belong to the user
// that the service runs as: a program that root runs once must not keep the
// service from its lock, its log or its cache. Who that user is, it takes from
// the directory; of what is in the files it knows nothing.
package ownership

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Open opens a file, or makes it with mode for the owner of its directory.
// flags are those of os.OpenFile; os.O_CREATE is added. A file that is there
// keeps its owner.
func Open(name string, flags int, mode fs.FileMode) (*os.File, error) {
	flags |= os.O_CREATE
	// Only a new file is given away. What is there may be a link to anything.
	f, err := os.OpenFile(name, flags|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(name, flags, mode)
	}
	if err != nil {
		return nil, err
	}
	if err := GiveAway(f, filepath.Dir(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// GiveAway makes a new file of root's that of the owner of dir. For another user
// it does nothing.
func GiveAway(f *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
