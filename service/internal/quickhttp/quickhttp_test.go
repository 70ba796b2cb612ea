package quickhttp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// show answers with all that it sees of a request, and does what the query
// says.
func show(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for _, line := range q["head"] {
		name, value, _ := strings.Cut(line, ":")
		w.Header().Add(name, value)
	}
	if q.Has("panic") {
		panic(http.ErrAbortHandler)
	}
	var code int
	if _, err := fmt.Sscan(q.Get("code"), &code); err == nil {
		w.WriteHeader(code)
		w.Header().Set("X-Late", "too late")
	}
	if q.Has("silent") {
		return
	}
	text := q.Get("text")
	if text == "" {
		var names []string
		for name, values := range r.Header {
			names = append(names, fmt.Sprintf("%s=%q", name, values))
		}
		slices.Sort(names)
		text = fmt.Sprintf("%s %q %q %q %s %d %q %q %t\n%s", r.Method, r.RequestURI, r.URL, r.URL.Path, r.Proto, r.ContentLength, r.TransferEncoding,
			r.Host, r.Close, strings.Join(names, "\n"))
	}
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s\nbody %q, %v", text, body, err)
}

// start serves h on an address of its own.
func start(t *testing.T, s *Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve = %v; want http.ErrServerClosed", err)
		}
	})
	return l.Addr().String()
}

// newServer returns one for which paths in /small are small, and count, which
// counts the requests that it found so.
func newServer(h http.HandlerFunc) (s *Server, count *atomic.Int64) {
	count = new(atomic.Int64)
	return &Server{
		HTTP: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, small := w.(*answer); small {
				count.Add(1)
			}
			h(w, r)
		}), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)},
		Small: func(path string) bool { return strings.HasPrefix(path, "/small") },
	}, count
}

// say sends bytes and returns all that comes back, and whether the server
// closed the connection by itself. Dates are taken out, and headers sorted.
func say(t *testing.T, addr, text string) (got string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Error(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	var b strings.Builder
	for in := bufio.NewReader(c); ; {
		resp, err := http.ReadResponse(in, &http.Request{Method: "GET"})
		if err != nil {
			return b.String()
		}
		resp.Header.Del("Date")
		dump, err := httputil.DumpResponse(resp, true)
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
		}
		head, body, _ := bytes.Cut(dump, []byte("\r\n\r\n"))
		lines := strings.Split(string(head), "\r\n")
		slices.Sort(lines[1:])
		fmt.Fprintf(&b, "%q\n%s\nclose %t\n", lines, body, resp.Close)
	}
}

// requests are sent to this server and to net/http's own. Of the first number
// the server itself answers so many.
var requests = []struct {
	small int64
	text  string
}{
	{1, "GET /small HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small/A?a=b&c=%20d+e;f HTTP/1.1\r\nHost: a.example:80\r\nuser-agent: x\r\nX-AUTH-TOKEN:  spaced \r\nAccept: */*\r\nConnection: Keep-Alive\r\n\r\n"},
	{1, "GET /small?head=Content-Type:text/x&head=X-Y:1%0a2&head=X-Y:3&code=404 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small?code=204&silent=1&head=Content-Length:5 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small?code=304&silent=1&head=Content-Type:a HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small?code=799 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small?silent=1 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small?text=%3Chtml%3E HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small?text=x&head=Content-Length:17 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small?text=x&head=Content-Length:16&head=Connection:close HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small?text=x&head=Date:never&head=Content-Encoding:x HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small?panic=1 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{1, "GET /small?code=103 HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n"},
	{0, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"},
	{0, "HEAD /small HTTP/1.1\r\nHost: a\r\n\r\n"},
	{0, "get /small HTTP/1.1\r\nHost: a\r\n\r\n"},
	{0, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"},
	{0, "GET /small HTTP/1.0\r\nHost: a\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a/b\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost:\r\n\r\n"},
	{0, "GET http://b/small HTTP/1.1\r\nHost: a\r\n\r\n"},
	{0, "GET /small/%41 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{0, "GET /small/% HTTP/1.1\r\nHost: a\r\n\r\n"},
	{0, "GET /small/\xff HTTP/1.1\r\nHost: a\r\n\r\n"},
	{0, "GET /small  HTTP/1.1\r\nHost: a\r\n\r\n"},
	{0, "GET /small HTTP/1.1\nHost: a\n\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nX: y\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nX: caf\xc3\xa9\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /small?second=1 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\n\r\nGET /small?second=1 HTTP/1.1\r\nHost: b\r\n\r\n"},
	{0, "\r\nGET /small HTTP/1.1\r\nHost: a\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 5000) + "\r\n\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\n" + manyHeaders(40) + "\r\n"},
	{0, "GET /small HTTP/1.1\r\nHost: a\r\n"},
	{0, "nonsense\r\n\r\n"},
}

func manyHeaders(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-%d: %d\r\n", i, i)
	}
	return b.String()
}

// Whatever a client sends, it gets from this server what it gets from
// net/http, byte for byte.
func TestSameAsNetHTTP(t *testing.T) {
	ours, small := newServer(show)
	theirs := &Server{HTTP: &http.Server{Handler: http.HandlerFunc(show), ErrorLog: ours.HTTP.ErrorLog}, Small: func(string) bool { return false }}
	a, b := start(t, ours), start(t, theirs)
	for _, r := range requests {
		small.Store(0)
		got, want := say(t, a, r.text), say(t, b, r.text)
		if strings.Contains(r.text, "code=103") { // the early answer is left out
			_, want, _ = strings.Cut(want, "close false\n")
		}
		if got != want {
			t.Errorf("%.200q: got\n%s\nwant\n%s", r.text, got, want)
		}
		if n := small.Load(); n != r.small {
			t.Errorf("%.200q: %d small requests; want %d", r.text, n, r.small)
		}
	}
}

// A length that is none is not sent: the true one is.
func TestLengthThatIsNone(t *testing.T) {
	s, _ := newServer(show)
	got := say(t, start(t, s), "GET /small?text=x&head=Content-Length:x HTTP/1.1\r\nHost: a\r\n\r\n")
	if !strings.Contains(got, `"Content-Length: 16"`) {
		t.Errorf("answer %s", got)
	}
}

// Connections go on, and change hands between two requests.
func TestConnectionsGoOn(t *testing.T) {
	s, small := newServer(show)
	addr := start(t, s)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for i, path := range []string{"/small", "/small", "/small/x", "/large", "/small", "/large"} {
		text := strings.Repeat("x", 100*i)
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nX-Text: %s\r\n\r\n", path, text); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(body), path) || !strings.Contains(string(body), text) {
			t.Errorf("request %d: %q, %v", i, body, err)
		}
	}
	if n := small.Load(); n != 3 {
		t.Errorf("%d requests were small; want the first 3", n)
	}
}

// A request in pieces is read whole, by net/http.
func TestPieces(t *testing.T) {
	s, small := newServer(show)
	addr := start(t, s)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, b := range []byte("GET /small?text=pieces HTTP/1.1\r\nHost: a\r\n\r\n") {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); !strings.Contains(string(body), "pieces") || err != nil || small.Load() > 1 {
		t.Errorf("answer %q, %v", body, err)
	}
}

// Who goes away while it is served ends what is done for it.
func TestClientThatGoesAway(t *testing.T) {
	gone := make(chan error, 1)
	begun := make(chan bool)
	s, _ := newServer(func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		<-r.Context().Done()
		gone <- r.Context().Err()
	})
	c, err := net.Dial("tcp", start(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /small HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-begun
	c.Close()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the request ended with %v", err)
	}
}

// A client may send its next request while it waits: nothing of it is lost,
// however long the answer takes.
func TestSlowAnswers(t *testing.T) {
	begun, goOn := make(chan bool), make(chan bool)
	s, small := newServer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "slow" {
			begun <- true
			<-goOn
		}
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request has ended: %v", err)
		}
		_, _ = io.WriteString(w, r.RequestURI)
	})
	c, err := net.Dial("tcp", start(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	ask := func(path string) {
		t.Helper()
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	answer := func(want string) {
		t.Helper()
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != want || err != nil {
			t.Errorf("answer %q, %v; want %s", body, err, want)
		}
	}
	for range 2 {
		ask("/small?slow")
		<-begun
		time.AfterFunc(2*unwatched, func() { goOn <- true }) // the connection is watched by then
		answer("/small?slow")
	}
	ask("/small?slow")
	<-begun
	time.AfterFunc(2*unwatched, func() { goOn <- true })
	ask("/small?next")
	answer("/small?slow")
	answer("/small?next")
	if n := small.Load(); n != 4 {
		t.Errorf("%d requests were small; want 4", n)
	}
}

// Shutdown waits for answers, and for nothing else.
func TestShutdown(t *testing.T) {
	begun, goOn := make(chan bool), make(chan bool)
	s, _ := newServer(func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		<-goOn
		_, _ = io.WriteString(w, "whole")
	})
	addr := start(t, s)
	idle, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	got := make(chan string)
	go func() { got <- say(t, addr, "GET /small HTTP/1.1\r\nHost: a\r\n\r\n") }()
	<-begun
	ended := make(chan error)
	go func() { ended <- s.Shutdown(context.Background()) }()
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("an idle connection is not closed")
	}
	select {
	case err := <-ended:
		t.Errorf("Shutdown = %v before the answer was given", err)
	default:
	}
	goOn <- true
	if text := <-got; !strings.Contains(text, "whole") || !strings.Contains(text, "close true") {
		t.Errorf("the last answer is %q", text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Shutdown gives up with its context, and Close breaks off.
func TestShutdownThatTakesTooLong(t *testing.T) {
	begun := make(chan bool)
	s, _ := newServer(func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		<-r.Context().Done()
	})
	addr := start(t, s)
	go say(t, addr, "GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown = %v; want %v", err, context.Canceled)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-s.end(true)
}

// A connection on which nothing comes is closed after a while.
func TestIdleConnections(t *testing.T) {
	s, _ := newServer(show)
	s.HTTP.ReadHeaderTimeout, s.HTTP.IdleTimeout = 20*time.Millisecond, 30*time.Millisecond
	addr := start(t, s)
	for _, text := range []string{"", "GET /small?text=x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /small?te"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("after %q: %v", text, err)
		}
		c.Close()
	}
}

// A client that takes nothing is left when its time is over.
func TestClientThatTakesNothing(t *testing.T) {
	s, _ := newServer(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 64<<20))
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Error(err)
		}
	})
	c, err := net.Dial("tcp", start(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /small HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil { // it waits for the connection to end
		t.Error(err)
	}
}

// A deadline that was set is kept for others only if they are hardly later.
func TestDoes(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) time.Time { return now.Add(d) }
	for _, test := range []struct {
		set, wanted time.Time
		want        bool
	}{
		{time.Time{}, time.Time{}, true},
		{time.Time{}, in(time.Minute), false},
		{in(time.Minute), time.Time{}, false},
		{in(time.Minute), in(time.Minute), true},
		{in(57 * time.Second), in(time.Minute), true},
		{in(56 * time.Second), in(time.Minute), false},
		{in(time.Second), in(2 * time.Second), false},
		{in(-time.Second), in(time.Millisecond), false},
		{in(time.Hour), in(time.Minute), false},
	} {
		if got := does(test.set, test.wanted, now); got != test.want {
			t.Errorf("does(%v, %v) = %t; want %t", test.set, test.wanted, got, test.want)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, small := range []bool{true, false} {
		b.Run(fmt.Sprintf("small=%t", small), func(b *testing.B) {
			s := &Server{HTTP: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Length", "900")
				_, _ = w.Write(make([]byte, 900))
			})}, Small: func(string) bool { return small }}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			go s.Serve(l)
			defer s.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			b.ReportAllocs()
			buf := make([]byte, 4096)
			for b.Loop() {
				if _, err := io.WriteString(c, "GET /v2/images/x HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nAccept: */*\r\nX-Auth-Token: abc\r\n\r\n"); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
