// Package quickhttp answers small requests over HTTP with less work than
// net/http does, which it leaves all others to.
//
// A request is small if it has no body, its head comes in one piece in which
// nothing is unusual, and the service says that its path has a short answer.
// Such a request costs one read and one write and no goroutine of its own. With
// the first request of a connection that is anything else, the connection goes
// to an [http.Server] for good, with every byte of that request. So this
// package need not know how to read what is doubtful: it refuses nothing, and
// for the handler there is no difference.
package quickhttp

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"glancectl/service/internal/sendfile"
)

// A Server serves connections. HTTP is set up as for serving alone: its
// handler, its times for a head and between requests, and its log count for
// small requests too. It has no TLS and no hooks.
type Server struct {
	HTTP *http.Server
	// Small reports whether GET requests for a path have answers that are never
	// large: they are kept in memory until they are whole. It is asked about
	// paths in which nothing is quoted.
	Small func(path string) bool

	date    atomic.Pointer[date]
	answers sync.Pool // of *answer
	ending  atomic.Bool
	files   sendfile.Sender

	mu    sync.Mutex // guards what follows
	conns map[*conn]bool
	ended chan struct{} // closed with the last connection, when ending
}

// Serve answers connections that l accepts until Shutdown or Close; then it
// returns http.ErrServerClosed. It is called once.
func (s *Server) Serve(l net.Listener) error {
	b := &branch{Listener: l, passed: make(chan net.Conn), closed: make(chan struct{})}
	var accepting sync.WaitGroup
	defer accepting.Wait()
	accepting.Go(func() { s.accept(b) })
	return s.HTTP.Serve(b)
}

// hopeful are the faults of accepting that pass by themselves.
var hopeful = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}

// accept takes connections until there are none any more.
func (s *Server) accept(b *branch) {
	for pause := time.Duration(0); ; {
		c, err := b.Listener.Accept()
		if err == nil {
			pause = 0
			s.begin(b, c)
			continue
		}
		if !slices.ContainsFunc(hopeful, func(kind error) bool { return errors.Is(err, kind) }) {
			b.fail(err)
			return
		}
		pause = min(max(5*time.Millisecond, 2*pause), time.Second)
		s.logf("http: Accept error: %v; retrying in %v", err, pause)
		select {
		case <-b.closed:
			return
		case <-time.After(pause):
		}
	}
}

// begin serves a connection.
func (s *Server) begin(b *branch, c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		b.pass(c)
		return
	}
	q := &conn{server: s, TCPConn: tcp, remote: c.RemoteAddr().String()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending.Load() {
		c.Close()
		return
	}
	if s.conns == nil {
		s.conns = make(map[*conn]bool)
	}
	s.conns[q] = true
	go q.serve(b) // which end waits for
}

// forget is for a connection that has ended or is somebody else's.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.ended != nil && len(s.conns) == 0 {
		close(s.ended)
	}
}

// end has every connection end after what it is doing, or at once.
func (s *Server) end(now bool) (ended <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending.Store(true)
	if s.ended == nil {
		s.ended = make(chan struct{})
		if len(s.conns) == 0 {
			close(s.ended)
		}
	}
	for c := range s.conns {
		if now || c.waits.Load() {
			c.Close()
		}
	}
	return s.ended
}

// Shutdown ends as http.Server's does: no new connections, no new requests,
// and those under way are waited for until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	ended := s.end(false)
	err := s.HTTP.Shutdown(ctx)
	select {
	case <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close breaks all connections off.
func (s *Server) Close() error {
	s.end(true)
	return s.HTTP.Close()
}

func (s *Server) logf(format string, args ...any) {
	if s.HTTP.ErrorLog != nil {
		s.HTTP.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

// A branch is the listener from which net/http gets what is left to it.
type branch struct {
	net.Listener
	passed chan net.Conn
	once   sync.Once
	closed chan struct{}
	err    error // why, when it is closed
}

// fail closes the branch.
func (b *branch) fail(err error) {
	b.once.Do(func() {
		b.err = err
		close(b.closed)
	})
}

// pass hands a connection over.
func (b *branch) pass(c net.Conn) {
	select {
	case b.passed <- c:
	case <-b.closed:
		c.Close()
	}
}

// Accept implements net.Listener.
func (b *branch) Accept() (net.Conn, error) {
	select {
	case c := <-b.passed:
		return c, nil
	case <-b.closed:
		return nil, b.err
	}
}

// Close implements net.Listener.
func (b *branch) Close() error {
	b.fail(net.ErrClosed)
	return b.Listener.Close()
}

// A begun connection is one of which something was read already.
type begun struct {
	net.Conn // a *net.TCPConn
	head     []byte
	files    *sendfile.Sender
}

// Read implements net.Conn.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.head) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.head)
	if b.head = b.head[n:]; len(b.head) == 0 {
		b.head = nil
	}
	return n, nil
}

// ReadFrom implements io.ReaderFrom, so that the system can send files.
func (b *begun) ReadFrom(r io.Reader) (int64, error) {
	return b.files.Send(b.Conn.(*net.TCPConn), r)
}

// CloseWrite is for net/http, which tells clients so that it reads no more.
func (b *begun) CloseWrite() error { return b.Conn.(*net.TCPConn).CloseWrite() }
