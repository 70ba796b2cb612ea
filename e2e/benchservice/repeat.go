package benchservice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// A crowd puts load on a server over several connections at once, from one
// thread: what it costs the machine is a wait for whoever has an answer, a
// read and a write for each request. The requests are made beforehand, and of
// an answer it looks at the status and the length. Servers that answer in a
// few microseconds would otherwise be measured together with their client.
type crowd struct {
	epoll    int
	askers   map[int32]*asker
	requests [][]byte
	buf      []byte
	events   []syscall.EpollEvent
	answered int
}

// An asker is one connection of a crowd.
type asker struct {
	file *os.File
	fd   int
	next int    // request
	head []byte // of an answer, as long as it is not whole
	left int64  // of the body of an answer
}

// repeat sends requests over connections that are kept, one after another on
// each, and returns how many were answered with 200 in a second. Of several
// requests, each connection begins with another.
func (t target) repeat(ctx context.Context, conns int, d time.Duration, requests ...[]byte) (perSecond float64, err error) {
	runtime.LockOSThread() // which then does nothing else
	defer runtime.UnlockOSThread()
	c := &crowd{askers: make(map[int32]*asker), requests: requests, buf: make([]byte, 256<<10), events: make([]syscall.EpollEvent, conns)}
	if c.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return 0, err
	}
	defer syscall.Close(c.epoll)
	defer func() { err = errors.Join(err, c.close()) }()
	for i := range conns {
		if err := c.join(ctx, t.addr, i); err != nil {
			return 0, err
		}
	}
	begun := time.Now()
	for _, a := range c.askers {
		if err := c.ask(a); err != nil {
			return 0, err
		}
	}
	for time.Since(begun) < d {
		if err := c.wait(ctx); err != nil {
			return 0, err
		}
	}
	return float64(c.answered) / time.Since(begun).Seconds(), nil
}

// join adds a connection.
func (c *crowd) join(ctx context.Context, addr string, first int) error {
	dialled, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer dialled.Close() // the copy is not watched by the runtime as well
	f, err := dialled.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	a := &asker{file: f, fd: int(f.Fd()), next: first % len(c.requests)}
	c.askers[int32(a.fd)] = a
	if err := syscall.SetNonblock(a.fd, true); err != nil {
		return err
	}
	return syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, a.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(a.fd)})
}

func (c *crowd) close() (err error) {
	for _, a := range c.askers {
		err = errors.Join(err, a.file.Close())
	}
	return err
}

// wait waits for answers and sends the next requests.
func (c *crowd) wait(ctx context.Context) error {
	n, err := syscall.EpollWait(c.epoll, c.events, int(patience.Milliseconds()))
	if errors.Is(err, syscall.EINTR) {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("wait for an answer: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("no answer within %v", patience)
	}
	for _, e := range c.events[:n] {
		if err := c.read(c.askers[e.Fd]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// read takes what has come of an answer. After the last of it a asks again.
func (c *crowd) read(a *asker) error {
	n, err := syscall.Read(a.fd, c.buf)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("read an answer: %w", io.ErrUnexpectedEOF)
	}
	part := c.buf[:n]
	if a.left == 0 {
		if len(a.head) > 0 {
			a.head = append(a.head, part...)
			part = a.head
		}
		end := bytes.Index(part, []byte("\r\n\r\n"))
		if end < 0 {
			a.head = append(a.head[:0], part...)
			return nil
		}
		if a.left, err = lengthOf(part[:end+2]); err != nil {
			return fmt.Errorf("%s: %w", bytes.SplitN(c.requests[a.next], []byte("\r\n"), 2)[0], err)
		}
		part, a.head = part[end+4:], a.head[:0]
	}
	a.left -= int64(len(part))
	switch {
	case a.left < 0:
		return errors.New("an answer is longer than it says")
	case a.left > 0:
		return nil
	}
	c.answered++
	a.next = (a.next + 1) % len(c.requests)
	return c.ask(a)
}

// ask sends a request. It is so short that it goes at once.
func (c *crowd) ask(a *asker) error {
	n, err := syscall.Write(a.fd, c.requests[a.next])
	if err == nil && n < len(c.requests[a.next]) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("send a request: %w", err)
	}
	return nil
}

var contentLength = []byte("\r\ncontent-length:")

// lengthOf returns how long the body of an answer is that begins with head. It
// must be 200.
func lengthOf(head []byte) (int64, error) {
	if len(head) < 12 || string(head[9:12]) != "200" {
		return 0, fmt.Errorf("answered %.40q", head)
	}
	for at := 0; ; at++ {
		next := bytes.Index(head[at:], contentLength[:2])
		if next < 0 || len(head)-at-next < len(contentLength) {
			return 0, errors.New("the answer does not say how long it is")
		}
		at += next
		if bytes.EqualFold(head[at:at+len(contentLength)], contentLength) {
			value, _, _ := bytes.Cut(head[at+len(contentLength):], contentLength[:2])
			return strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		}
	}
}
