package service

import (
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
	"glancectl/service/internal/oslolog"
	"glancectl/service/internal/sendfile"
)

const requestHeader = "X-Openstack-Request-Id"

// tooLong says that the ID that came with a request is longer than it may be.
func (p *process) tooLong(r *http.Request) bool {
	return p.Server.MaxRequestID > 0 && len(r.Header.Get(requestHeader)) > p.Server.MaxRequestID
}

// requestID gives a request the ID that it has in the log from here on: the
// one that came with it, or a new one. Caller and application see the same.
func (p *process) requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestHeader)
		switch {
		case id == "":
			id = "req-" + glance.NewUUID()
			r.Header.Set(requestHeader, id)
		case p.tooLong(r):
			id = "req-" + glance.NewUUID()
		case !strings.HasPrefix(id, "req-"):
			id = "req-" + id
		}
		ctx := glance.WithCaller(r.Context(), glance.Caller{Anonymous: true, RequestID: id})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// identified is where it is known who asks.
func (p *process) identified(next http.Handler) http.Handler {
	return oslolog.Identified(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(requestHeader, glance.CallerFrom(r.Context()).RequestID)
		if p.tooLong(r) {
			(&fault.Fault{Code: http.StatusRequestHeaderFieldsTooLarge}).Write(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// maxHeaders is how long the head of a request may be, unless one line of it
// may be longer.
const maxHeaders = 64 << 10

// shortLines refuses requests with a header that is longer than
// max_header_line: the server itself only knows how long all of them are.
func (p *process) shortLines(next http.Handler) http.Handler {
	limit := p.Server.MaxHeader
	if limit <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			for _, v := range values {
				if len(name)+len(": \r\n")+len(v) > limit {
					w.Header().Set("Connection", "close")
					w.WriteHeader(http.StatusBadRequest)
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// patient breaks a request off when the client neither sends nor takes
// anything for client_socket_timeout. A transfer that moves, however slowly,
// may take as long as it wants.
func (p *process) patient(next http.Handler) http.Handler {
	limit := p.Server.IdleTimeout
	if limit <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &transfer{ResponseWriter: w, control: http.NewResponseController(w), limit: limit}
		t.extend()
		defer t.extend() // for what is still in the server's buffer
		if r.Body != nil && r.Body != http.NoBody {
			r = r.WithContext(r.Context()) // the server's own stays as it is
			r.Body = &upload{ReadCloser: r.Body, transfer: t}
		}
		next.ServeHTTP(t, r)
	})
}

// A transfer is a response whose every step has a deadline of its own. Errors
// of setting one are left to the step itself to find.
type transfer struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
}

// Unwrap lets http.ResponseController find what is inside.
func (t *transfer) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *transfer) extend() { _ = t.control.SetWriteDeadline(time.Now().Add(t.limit)) }

// Write implements http.ResponseWriter.
func (t *transfer) Write(p []byte) (int, error) {
	t.extend()
	return t.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, so that files can be sent by the system.
func (t *transfer) ReadFrom(r io.Reader) (int64, error) {
	all, ok := r.(*io.LimitedReader)
	if !ok {
		all = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	f, ok := all.R.(*os.File)
	if !ok {
		return io.Copy(t.ResponseWriter, &supply{r, t})
	}
	part := &sendfile.Part{File: f, N: all.N, Moved: t.extend}
	defer func() { all.N = part.N }()
	return io.Copy(t.ResponseWriter, part)
}

// A supply is what a transfer sends. What is read of it is written next.
type supply struct {
	io.Reader
	transfer *transfer
}

// Read implements io.Reader.
func (s *supply) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.transfer.extend() // however long the read has taken
	return n, err
}

// An upload is a request body whose every read has a deadline of its own.
type upload struct {
	io.ReadCloser
	transfer *transfer
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	_ = u.transfer.control.SetReadDeadline(time.Now().Add(u.transfer.limit))
	n, err := u.ReadCloser.Read(p)
	if err != nil {
		// From here on the server itself listens for the client to go away,
		// and that may take as long as the answer does.
		_ = u.transfer.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
