// Package sendfile has the system send files over TCP connections, as quickly
// as a client that is near takes them.
//
// Package quickhttp sends with it what net/http is given to send. It knows
// nothing of HTTP, and nothing of what is in the files.
package sendfile

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// soon is how many milliseconds a connection is waited for by the thread
	// that sends to it. A client that is near takes what was sent in less, and
	// waking a thread is much quicker than waking a goroutine by way of the
	// poller.
	soon = 1
	// atOnce is after how much it is noticed that the connection was closed or
	// its deadline is over. A client that is near needs a millisecond for it.
	atOnce = 4 << 20
)

// A Part is a piece of a file on its way to a connection: the next N bytes, or
// what there is of them. It goes down by what has left. Who does not know what
// it is can read it.
type Part struct {
	File *os.File
	N    int64
	// Moved is called before the beginning and whenever the client has taken
	// something, before it is waited for again: a deadline that it sets is one
	// for the next step only. It may be nil.
	Moved func()
}

// Read implements io.Reader.
func (p *Part) Read(b []byte) (int, error) {
	if p.N <= 0 {
		return 0, io.EOF
	}
	p.moved()
	n, err := p.File.Read(b[:min(int64(len(b)), p.N)])
	p.N -= int64(n)
	return n, err
}

func (p *Part) moved() {
	if p.Moved != nil {
		p.Moved()
	}
}

// A Sender sends files. The zero value is ready to use, by several goroutines
// at once.
type Sender struct {
	waiting atomic.Int64 // threads that wait for a connection
}

// Send sends what r yields. If that is a [Part], or a file behind one limit,
// the system does it, and it goes down by what was sent, whatever happens. A
// deadline of the connection holds.
func (s *Sender) Send(c *net.TCPConn, r io.Reader) (int64, error) {
	switch from := r.(type) {
	case *Part:
		return s.part(c, from)
	case *io.LimitedReader:
		f, ok := from.R.(*os.File)
		if !ok {
			break
		}
		p := &Part{File: f, N: from.N}
		defer func() { from.N = p.N }()
		return s.part(c, p)
	}
	return c.ReadFrom(r)
}

// part sends a part, with a copy if it cannot be sent otherwise.
func (s *Sender) part(c *net.TCPConn, p *Part) (sent int64, err error) {
	all := p.N
	err = s.send(c, p)
	if sent = all - p.N; sent == 0 && (errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EOPNOTSUPP)) {
		return c.ReadFrom(p)
	}
	return sent, err
}

// send has the system send a part.
func (s *Sender) send(c *net.TCPConn, p *Part) error {
	from, err := p.File.SyscallConn()
	if err != nil {
		return err
	}
	to, err := c.SyscallConn()
	if err != nil {
		return err
	}
	// The whole leaves in full packets. Without a cork, each of the pieces that
	// the system makes ends in a small one, because a connection of Go's never
	// waits for more; one of them in each MiB takes a quarter of the speed.
	cork(to, 1)
	defer cork(to, 0)
	for more := true; more && err == nil; {
		more, err = s.step(from, to, p)
	}
	return err
}

// step sends some of a part. It returns false if there is no more of it.
func (s *Sender) step(from, to syscall.RawConn, p *Part) (more bool, err error) {
	p.moved()
	end := max(p.N-atOnce, 0)
	left := int64(-1) // of the part, when the connection was last waited for
	short := false    // the file is
	var fault, waited error
	err = from.Control(func(in uintptr) {
		waited = to.Write(func(out uintptr) (done bool) {
			for p.N > end {
				n, err := unix.Sendfile(int(out), int(in), nil, int(p.N-end))
				switch {
				case n > 0:
					p.N -= int64(n)
				case err == unix.EINTR:
				case err == unix.EAGAIN && p.N == left:
					return false // the poller waits, as long as the deadline says
				case err == unix.EAGAIN:
					left = p.N
					p.moved()
					if !s.wait(int(out)) {
						return false
					}
				default: // the end of the file, too
					fault, short = os.NewSyscallError("sendfile", err), true
					return true
				}
			}
			return true
		})
	})
	return p.N > 0 && !short, cmp.Or(err, waited, fault)
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
