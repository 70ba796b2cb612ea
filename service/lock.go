package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"glancectl/service/internal/ownership"
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
	f, err := ownership.Open(filepath.Join(p.LockPath, "glance-"+string(p.program)+".lock"), os.O_RDWR, 0o640)
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
