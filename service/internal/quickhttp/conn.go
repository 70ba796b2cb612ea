package quickhttp

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// largest is how long the head of a small request may be.
const largest = 4 << 10

// unwatched is how long an answer may take before somebody looks whether the
// client still waits for it.
const unwatched = 50 * time.Millisecond

// A conn is a connection on which all requests were small.
type conn struct {
	*net.TCPConn
	server *Server
	remote string
	waits  atomic.Bool // for a request: it may be closed
	armed  time.Time   // until when the next request must have come, as the system knows it
	late   time.Time   // until when a write must have ended, likewise
	in     [largest]byte
	have   int // bytes of in

	watch *time.Timer
	mu    sync.Mutex // guards what follows
	asked *asked     // nil between requests
}

// An asked is a request that is being answered.
type asked struct {
	cancel  context.CancelFunc
	watched chan struct{} // closed when nobody reads any more; nil as long as nobody does
}

// serve answers requests until one is not small.
func (c *conn) serve(b *branch) {
	defer c.server.forget(c)
	first := true
	for {
		if !c.read(first) {
			c.Close()
			return
		}
		first = false
		r := c.request()
		if r == nil {
			_ = c.SetDeadline(time.Time{}) // net/http sets its own
			b.pass(&begun{c.TCPConn, append([]byte(nil), c.in[:c.have]...), &c.server.files})
			return
		}
		c.have = 0
		if !c.respond(r) {
			c.Close()
			return
		}
	}
}

// least is how many bytes net/http waits for between requests: of a connection
// that ends before, it takes no notice.
const least = 4

// read waits for a request, or for the rest of one; false if there is none.
func (c *conn) read(first bool) bool {
	c.arm(first)
	c.waits.Store(true)
	defer c.waits.Store(false)
	if c.server.ending.Load() { // who ends the server now has seen that c waits
		return false
	}
	for {
		n, err := c.TCPConn.Read(c.in[c.have:])
		if c.have += n; n == 0 || err != nil {
			return false
		}
		if first || c.have >= least {
			return true
		}
	}
}

// arm sets the time by which a request must have come. To tell the system
// costs more than to look whether it knows nearly the same.
func (c *conn) arm(first bool) {
	limit := c.server.HTTP.IdleTimeout
	if first && c.server.HTTP.ReadHeaderTimeout > 0 {
		limit = c.server.HTTP.ReadHeaderTimeout
	}
	var until time.Time
	now := time.Now()
	if limit > 0 {
		until = now.Add(limit)
	}
	if !does(c.armed, until, now) {
		c.armed = until
		_ = c.SetReadDeadline(until) // the read tells that it failed
	}
}

// does reports whether a time that was set does for the one that is wanted: it
// takes away a sixteenth of what is left at most. The zero time is never.
func does(set, wanted, now time.Time) bool {
	if set.IsZero() || wanted.IsZero() {
		return set.IsZero() && wanted.IsZero()
	}
	short := wanted.Sub(set)
	return short >= 0 && short <= wanted.Sub(now)/16
}

// respond answers a request; false if the connection has to end.
func (c *conn) respond(r *http.Request) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a := c.server.answer()
	defer c.server.giveBack(a)
	c.begin(cancel)
	whole := c.handle(a, r.WithContext(ctx))
	c.end()
	if !whole {
		return false
	}
	if !does(c.late, a.late, time.Now()) {
		c.late = a.late
		_ = c.SetWriteDeadline(a.late) // the write tells that it failed
	}
	wire, last := a.wire(c.server.now(), c.server.ending.Load())
	_, err := c.TCPConn.Write(wire)
	return err == nil && !last
}

// handle calls the handler. It returns false if that has panicked.
func (c *conn) handle(a *answer, r *http.Request) (whole bool) {
	defer func() {
		if whole {
			return
		}
		if why := recover(); why != http.ErrAbortHandler {
			stack := make([]byte, 64<<10)
			c.server.logf("http: panic serving %v: %v\n%s", c.remote, why, stack[:runtime.Stack(stack, false)])
		}
	}()
	c.server.HTTP.Handler.ServeHTTP(a, r)
	return true
}

// begin has the connection watched after a while: a client that goes away is
// to end what is done for it.
func (c *conn) begin(cancel context.CancelFunc) {
	c.mu.Lock()
	c.asked = &asked{cancel: cancel}
	c.mu.Unlock()
	if c.watch == nil {
		c.watch = time.AfterFunc(unwatched, c.look)
		return
	}
	c.watch.Reset(unwatched)
}

// look reads until the client goes away, sends more, or is answered.
func (c *conn) look() {
	c.mu.Lock()
	now := c.asked
	if now == nil || now.watched != nil { // it was answered just now
		c.mu.Unlock()
		return
	}
	now.watched = make(chan struct{})
	_ = c.SetReadDeadline(time.Time{})
	c.mu.Unlock()
	n, err := c.TCPConn.Read(c.in[:1])
	c.have = n
	if ne, ok := err.(net.Error); err != nil && !(ok && ne.Timeout()) {
		now.cancel()
	}
	close(now.watched)
}

// end stops watching.
func (c *conn) end() {
	c.watch.Stop()
	c.mu.Lock()
	was := c.asked
	c.asked = nil
	c.mu.Unlock()
	if was.watched == nil {
		return
	}
	c.armed = time.Unix(1, 0)
	_ = c.SetReadDeadline(c.armed)
	<-was.watched
}
