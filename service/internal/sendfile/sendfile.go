// Package sendfile has the system send files over TCP connections, as quickly
// as a client that is near takes them.
//
// Package quickhttp sends with it what net/http is given to send. It knows
// nothing of HTTP, and nothing of what is in the files.
package sendfile

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// soon is how many milliseconds a connection is waited for by the thread that
// sends to it. A client that is near takes what was sent in less, and waking a
// thread is much quicker than waking a goroutine by way of the poller.
const soon = 1

// A Sender sends files. The zero value is ready to use, by several goroutines
// at once.
type Sender struct {
	waiting atomic.Int64 // threads that wait for a connection
}

// Send sends what r yields. If that is a file behind one limit, the system
// does it, and the limit goes down by what was sent, whatever happens. A
// deadline of the connection holds.
func (s *Sender) Send(c *net.TCPConn, r io.Reader) (int64, error) {
	part, limited := r.(*io.LimitedReader)
	if !limited {
		return c.ReadFrom(r)
	}
	f, file := part.R.(*os.File)
	if !file {
		return c.ReadFrom(r)
	}
	n, err := s.send(c, f, part.N)
	part.N -= n
	if n == 0 && (errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EOPNOTSUPP)) {
		return c.ReadFrom(r) // a file that cannot be sent so
	}
	return n, err
}

// send has the system send the next n bytes of a file, or what there is.
func (s *Sender) send(c *net.TCPConn, f *os.File, n int64) (sent int64, err error) {
	from, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	to, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	// What is sent in one go leaves in whole packets, and its rest at the end.
	// Without a cork, each of the pieces that the system makes ends in a small
	// one, because a connection of Go's never waits for more.
	cork(to, 1)
	defer cork(to, 0)
	var fault, waited error
	err = from.Control(func(in uintptr) {
		waited = to.Write(func(out uintptr) (done bool) {
			for sent < n {
				k, err := unix.Sendfile(int(out), int(in), nil, int(min(n-sent, 1<<30)))
				switch {
				case k > 0:
					sent += int64(k)
				case err == unix.EINTR:
				case err == unix.EAGAIN:
					if !s.wait(int(out)) {
						return false // the poller waits, as long as the deadline says
					}
				default: // the end of the file, too
					fault = os.NewSyscallError("sendfile", err)
					return true
				}
			}
			return true
		})
	})
	return sent, errors.Join(err, waited, fault)
}

// cork holds small packets back, or lets them go. If the system will not, they
// are sent as ever.
func cork(c syscall.RawConn, on int) {
	_ = c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, on) })
}

// wait waits until more can be sent. It returns false if that takes long, or
// if as many threads wait as there are processors.
func (s *Sender) wait(fd int) bool {
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > int64(runtime.GOMAXPROCS(0)) {
		return false
	}
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, soon)
	return ready > 0 && err == nil
}
