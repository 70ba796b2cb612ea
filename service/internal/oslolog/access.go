package oslolog

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"glancectl/service/glance"
)

// Access passes requests on to next and logs a line about each when it is
// answered, in the shape of the web server below Python's services:
//
//	10.0.0.1 - - [02/Mar/2015 12:44:12] "POST /v2/images HTTP/1.1" 201 877 0.049153
//
// Where only warnings and errors are logged, a line about a request that the
// service failed is an error. A status of 0 is a connection that was broken off before there was one.
// Who asked is known only further in: [Identified] says so.
func Access(log *slog.Logger, next http.Handler) http.Handler {
	log = log.With(slog.String(NameKey, "eventlet.wsgi.server"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		a := &access{ResponseWriter: w, caller: glance.CallerFrom(r.Context())}
		answered := false
		defer func() { // also when next panics, as it does to break a connection off
			if a.status == 0 && answered {
				a.status = http.StatusOK
			}
			level := slog.LevelInfo
			if a.status >= http.StatusInternalServerError && !log.Enabled(r.Context(), level) {
				level = slog.LevelError // who watches the log for its 500s finds them in any case
			}
			if !log.Enabled(r.Context(), level) {
				return
			}
			// A record without the place in the code, which costs to find out.
			now := time.Now()
			line := slog.NewRecord(now, level, a.line(r, start, now.Sub(start)), 0)
			_ = log.Handler().Handle(glance.WithCaller(r.Context(), a.caller), line) // as Logger does
		}()
		next.ServeHTTP(a, r.WithContext(context.WithValue(r.Context(), accessKey{}, a)))
		answered = true
	})
}

// Identified passes requests on to next and has the line that Access writes
// about them, if there is an Access around it, name the caller.
func Identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a, ok := r.Context().Value(accessKey{}).(*access); ok {
			a.caller = glance.CallerFrom(r.Context())
		}
		next.ServeHTTP(w, r)
	})
}

type accessKey struct{}

// An access is one request, as far as the log is concerned.
type access struct {
	http.ResponseWriter
	caller glance.Caller
	status int
	bytes  int64
}

// Unwrap lets http.ResponseController find what is inside.
func (a *access) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *access) WriteHeader(status int) {
	if a.status < 200 { // 1xx may be followed by others
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *access) Write(p []byte) (int, error) {
	if a.status < 200 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, so that what is inside may send a file
// without having its data pass through this process.
func (a *access) ReadFrom(r io.Reader) (int64, error) {
	if a.status < 200 {
		a.status = http.StatusOK
	}
	n, err := io.Copy(a.ResponseWriter, r)
	a.bytes += n
	return n, err
}

func (a *access) line(r *http.Request, start time.Time, took time.Duration) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	b := make([]byte, 0, 256)
	b = append(append(b, host...), " - - ["...)
	b = append(start.AppendFormat(b, "02/Jan/2006 15:04:05"), "] \""...)
	b = append(append(b, r.Method...), ' ')
	b = append(append(b, r.RequestURI...), ' ')
	b = append(append(b, r.Proto...), "\" "...)
	b = append(strconv.AppendInt(b, int64(a.status), 10), ' ')
	b = append(strconv.AppendInt(b, a.bytes, 10), ' ')
	return string(strconv.AppendFloat(b, took.Seconds(), 'f', 6, 64))
}
