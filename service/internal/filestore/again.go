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
// returns nil if the system does not have nearly all of it in memory any more: to
// read it would take the disk, or the network, a second time.
func (r *reader) Again() (io.ReadCloser, error) {
	f, err := openFile(r.file.Name())
	if err != nil {
		return nil, fmt.Errorf("read image data: %w", kind(err))
	}
	info, err := f.Stat()
	if err == nil {
		var missing int64
		if missing, err = absent(f, info.Size()); err == nil && missing <= info.Size()/bearable {
			return &reader{file: f, left: -1}, nil
		}
	}
	f.Close() // it was not written to
	if err != nil {
		return nil, fmt.Errorf("look whether image data is in memory: %w", err)
	}
	return nil, nil
}

const (
	// bearable is the part of a file that may be read a second time. Systems that
	// look for memory to give back take a page here and there.
	bearable = 16
	// window is how much of a file is looked at at once.
	window = 256 << 20
)

// absent returns how many of the first size bytes of a file the system does not
// have in memory, in whole pages.
func absent(f *os.File, size int64) (missing int64, err error) {
	page := int64(os.Getpagesize())
	for at := int64(0); at < size; at += window {
		b, err := unix.Mmap(int(f.Fd()), at, int(min(window, size-at)), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return 0, os.NewSyscallError("mmap", err)
		}
		pages := make([]byte, (int64(len(b))+page-1)/page)
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&pages[0])))
		if err := unix.Munmap(b); err != nil {
			return 0, os.NewSyscallError("munmap", err)
		}
		if errno != 0 {
			return 0, os.NewSyscallError("mincore", syscall.Errno(errno))
		}
		for _, p := range pages {
			if p&1 == 0 {
				missing += page
			}
		}
	}
	return missing, nil
}
