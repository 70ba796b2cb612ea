package filestore

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Again opens the file once more, from its beginning, even after Close. It
// returns nil if the system does not have all of it in memory any more: to read
// it would take the disk, or the network, a second time.
func (r *reader) Again() (io.ReadCloser, error) {
	f, err := openFile(r.file.Name())
	if err != nil {
		return nil, fmt.Errorf("read image data: %w", kind(err))
	}
	info, err := f.Stat()
	if err == nil {
		var all bool
		if all, err = resident(f, info.Size()); all {
			return &reader{file: f, left: -1}, nil
		}
	}
	f.Close() // it was not written to
	if err != nil {
		return nil, fmt.Errorf("look whether image data is in memory: %w", err)
	}
	return nil, nil
}

// window is how much of a file is looked at at once.
const window = 256 << 20

// resident reports whether the system has the first size bytes of a file in
// memory.
func resident(f *os.File, size int64) (bool, error) {
	page := int64(os.Getpagesize())
	for at := int64(0); at < size; at += window {
		b, err := unix.Mmap(int(f.Fd()), at, int(min(window, size-at)), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return false, os.NewSyscallError("mmap", err)
		}
		pages := make([]byte, (int64(len(b))+page-1)/page)
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&pages[0])))
		if err := unix.Munmap(b); err != nil {
			return false, os.NewSyscallError("munmap", err)
		}
		if errno != 0 {
			return false, os.NewSyscallError("mincore", syscall.Errno(errno))
		}
		for _, p := range pages {
			if p&1 == 0 {
				return false, nil
			}
		}
	}
	return true, nil
}
