package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// lock takes the lock of the program, a file below lock_path. It is not free
// if another process holds it. The kernel drops the lock when a process ends,
// however it ends. Without a lock_path nothing is locked.
func (p *process) lock() (unlock func(), free bool, err error) {
	if p.LockPath == "" {
		p.log.Warn("no [oslo_concurrency] lock_path: this run may overlap another")
		return func() {}, true, nil
	}
	if err := os.MkdirAll(p.LockPath, 0o750); err != nil {
		return nil, false, p.fault("[oslo_concurrency] lock_path: %w", err)
	}
	f, err := openShared(filepath.Join(p.LockPath, "glance-"+string(p.program)+".lock"))
	if err != nil {
		return nil, false, p.fault("[oslo_concurrency] lock_path: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, false, f.Close()
	}
	if err != nil {
		return nil, false, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return func() { f.Close() }, true, nil
}

// openShared opens a file for reading and writing, or makes it. What root makes
// belongs to the owner of the directory: a run by hand must not keep out those
// of the service's user.
func openShared(name string) (*os.File, error) {
	// Only a new file is given away. What is there may be a link to anything.
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	}
	if err != nil {
		return nil, err
	}
	if err := giveAway(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// giveAway makes a new file of root's that of the owner of its directory.
func giveAway(f *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
