package quickhttp

import (
	"net/http"
	"strconv"
	"time"
)

// An answer is an http.ResponseWriter that keeps what is written until the
// handler has ended. It leaves out answers that come before the final one.
type answer struct {
	header   http.Header
	status   int
	head     buffer // what WriteHeader found
	body     []byte
	late     time.Time // until when the client must have taken it
	declared int64     // length of the body; negative if it was not said
	typed    bool      // the head has a type
	last     bool      // the head says so
}

// A buffer is an io.Writer and io.StringWriter.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func (b *buffer) WriteString(s string) (int, error) {
	*b = append(*b, s...)
	return len(s), nil
}

// largestKept is how much memory an answer may take along to the next one.
const largestKept = 64 << 10

// answer returns an empty one.
func (s *Server) answer() *answer {
	if a, ok := s.answers.Get().(*answer); ok {
		return a
	}
	return &answer{header: make(http.Header)}
}

// giveBack takes an answer that was sent.
func (s *Server) giveBack(a *answer) {
	if cap(a.head)+cap(a.body) > largestKept {
		return
	}
	clear(a.header)
	*a = answer{header: a.header, head: a.head[:0], body: a.body[:0]}
	s.answers.Put(a)
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// SetWriteDeadline is for http.ResponseController.
func (a *answer) SetWriteDeadline(t time.Time) error {
	a.late = t
	return nil
}

// SetReadDeadline is for http.ResponseController. There is nothing to be read.
func (a *answer) SetReadDeadline(time.Time) error { return nil }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	if code < 100 || code > 999 {
		panic("quickhttp: no such status: " + strconv.Itoa(code))
	}
	if a.status != 0 || code < 200 {
		return
	}
	a.status, a.declared = code, -1
	h := a.header
	h.Del("Transfer-Encoding")
	switch {
	case code == http.StatusNoContent, code == http.StatusNotModified:
		h.Del("Content-Length")
		if code == http.StatusNotModified {
			h.Del("Content-Type")
		}
	default:
		n, err := strconv.ParseUint(h.Get("Content-Length"), 10, 63)
		if err != nil {
			h.Del("Content-Length")
		} else {
			a.declared = int64(n)
		}
	}
	_, a.typed = h["Content-Type"]
	a.typed = a.typed || h.Get("Content-Encoding") != ""
	a.last = h.Get("Connection") == "close"
	a.head = append(a.head, "HTTP/1.1 "...)
	a.head = strconv.AppendInt(a.head, int64(code), 10)
	a.head = append(a.head, ' ')
	if text := http.StatusText(code); text != "" {
		a.head = append(a.head, text...)
	} else {
		a.head = strconv.AppendInt(append(a.head, "status code "...), int64(code), 10)
	}
	a.head = append(a.head, "\r\n"...)
	_ = h.Write(&a.head) // to memory; it takes line ends out of values
}

// hasBody reports whether the status is one with a body.
func (a *answer) hasBody() bool {
	return a.status != http.StatusNoContent && a.status != http.StatusNotModified
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	switch {
	case len(p) == 0:
		return 0, nil
	case !a.hasBody():
		return 0, http.ErrBodyNotAllowed
	case a.declared >= 0 && int64(len(a.body)+len(p)) > a.declared:
		return 0, http.ErrContentLength
	}
	a.body = append(a.body, p...)
	return len(p), nil
}

// wire returns the answer as it is sent, once, and whether it is the last one
// of its connection, which it also is if it does not keep what it says.
func (a *answer) wire(date []byte, last bool) ([]byte, bool) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	w := a.head
	if a.declared < 0 && a.hasBody() {
		w = append(strconv.AppendInt(append(w, "Content-Length: "...), int64(len(a.body)), 10), "\r\n"...)
	}
	if !a.typed && len(a.body) > 0 {
		w = append(append(append(w, "Content-Type: "...), http.DetectContentType(a.body)...), "\r\n"...)
	}
	if last && !a.last {
		w = append(w, "Connection: close\r\n"...)
	}
	if len(a.header["Date"]) == 0 {
		w = append(w, date...)
	}
	w = append(append(w, "\r\n"...), a.body...)
	a.head = w
	return w, last || a.last || a.declared > int64(len(a.body))
}

// A date is the line of an answer that says when it was given.
type date struct {
	second int64
	line   []byte
}

// now returns the line for the time that it is.
func (s *Server) now() []byte {
	t := time.Now()
	if d := s.date.Load(); d != nil && d.second == t.Unix() {
		return d.line
	}
	d := &date{second: t.Unix(), line: append(t.UTC().AppendFormat([]byte("Date: "), http.TimeFormat), "\r\n"...)}
	s.date.Store(d)
	return d.line
}
