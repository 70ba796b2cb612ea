package filestore

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// alignment is what every disk can live with: of memory, offset and length.
	alignment = 4096
	// bypassStep is after how much it is asked whether the disk keeps up.
	bypassStep = 16 << 20
	// fastDisk is how many bytes a second a disk takes at its best that is not
	// slow even if it takes most of the time, as under many uploads at once or
	// where the processors are busy.
	fastDisk = 400e6
)

// A bypass writes to a file past the page cache. That saves copying the data,
// finding memory for it and writing it out later, together more than what is
// needed to hash it; whoever reads the data first gets it from the disk. It
// ends, and the page cache takes over, when the disk is the slow part: a disk
// that takes long for every write is better off with many at once, and data
// that it gives back as slowly should be in memory.
type bypass struct {
	file *os.File
	now  func() time.Time

	began   time.Time // the step
	writing time.Duration
	n       int     // bytes of the step
	best    float64 // bytes a second of its quickest write
}

// newBypass returns the bypass of a file that is empty, or nil if its file
// system has none.
func newBypass(f *os.File) *bypass {
	d := &bypass{file: f, now: time.Now}
	if d.set(unix.O_DIRECT) != nil {
		return nil
	}
	d.began = d.now()
	return d
}

// set makes flag, O_DIRECT or 0, hold for the file.
func (d *bypass) set(flag int) error {
	raw, err := d.file.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	err = raw.Control(func(fd uintptr) {
		var flags int
		if flags, ferr = unix.FcntlInt(fd, unix.F_GETFL, 0); ferr == nil {
			_, ferr = unix.FcntlInt(fd, unix.F_SETFL, flags&^unix.O_DIRECT|flag)
		}
	})
	return errors.Join(err, ferr)
}

// write writes b, or says that the bypass has ended and what of b it has
// written. The next write is not for it then.
func (d *bypass) write(b []byte) (n int, ended bool, err error) {
	if len(b)%alignment != 0 || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%alignment != 0 {
		return 0, true, d.set(0) // the end of the file, as a rule
	}
	begun := d.now()
	n, err = d.file.Write(b)
	if refuses(err) {
		return n, true, d.set(0)
	}
	now := d.now()
	took := now.Sub(begun)
	d.writing, d.best = d.writing+took, max(d.best, float64(n)/took.Seconds())
	if d.n += n; err != nil || d.n < bypassStep {
		return n, false, err
	}
	slow := d.best < fastDisk && d.writing > now.Sub(d.began)*3/4
	d.began, d.writing, d.n, d.best = now, 0, 0, 0
	if slow {
		return n, true, d.set(0)
	}
	return n, false, nil
}

// refuses says of the error of a write that the disk wants something else, or
// that there is no bypass although the flag could be set.
func refuses(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}
