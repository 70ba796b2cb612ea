package oslolog_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/internal/oslolog"
)

func TestAccess(t *testing.T) {
	identify := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := glance.Caller{RequestID: "req-7", UserID: "u", ProjectID: "p"}
			next.ServeHTTP(w, r.WithContext(glance.WithCaller(r.Context(), c)))
		})
	}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		known   bool
		want    string // after the date, without the duration
	}{
		{"answer", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
			w.WriteHeader(http.StatusAccepted) // too late, and not what the client saw
			_, _ = io.WriteString(w, "hello")
		}, true, `[req-7 u p - - -] 127.0.0.1 - - [DATE] "POST /v2/images?x=%0A HTTP/1.1" 201 5 `},
		{"copy", func(w http.ResponseWriter, r *http.Request) {
			if _, ok := w.(io.ReaderFrom); !ok {
				t.Error("the writer is no io.ReaderFrom")
			}
			_, _ = io.Copy(w, strings.NewReader("hello"))
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Errorf("Flush: %v", err)
			}
		}, false, `[-] 127.0.0.1 - - [DATE] "POST /v2/images?x=%0A HTTP/1.1" 200 5 `},
		{"nothing", func(w http.ResponseWriter, r *http.Request) {}, false,
			`[-] 127.0.0.1 - - [DATE] "POST /v2/images?x=%0A HTTP/1.1" 200 0 `},
		{"broken off", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "hel")
			panic(http.ErrAbortHandler)
		}, false, `[-] 127.0.0.1 - - [DATE] "POST /v2/images?x=%0A HTTP/1.1" 200 3 `},
		{"broken off at once", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, false,
			`[-] 127.0.0.1 - - [DATE] "POST /v2/images?x=%0A HTTP/1.1" 0 0 `},
	} {
		var b bytes.Buffer
		log := slog.New(logTo(t, &b, slog.LevelInfo))
		handler := oslolog.Identified(test.handler)
		if test.known {
			handler = identify(handler)
		}
		s := httptest.NewServer(oslolog.Access(log, handler))
		if resp, err := http.Post(s.URL+"/v2/images?x=%0A", "", nil); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		s.Close() // waits for the handler
		line := regexp.MustCompile(`\[\d\d/[A-Z][a-z][a-z]/\d{4} \d\d:\d\d:\d\d\]`).ReplaceAllString(b.String(), "[DATE]")
		_, got, _ := strings.Cut(line, " INFO eventlet.wsgi.server ")
		rest, found := strings.CutPrefix(got, test.want)
		if !found || !regexp.MustCompile(`^\d+\.\d{6}\n$`).MatchString(rest) {
			t.Errorf("%s: line %q; want %q and a duration", test.name, line, test.want)
		}
	}
}

// Where only warnings and errors are logged, what the service failed is.
func TestAccessOfFailures(t *testing.T) {
	for status, want := range map[int]string{200: "", 404: "", 500: ` ERROR eventlet.wsgi.server [-] `, 503: ` ERROR eventlet.wsgi.server [-] `} {
		var b bytes.Buffer
		h := oslolog.Access(slog.New(logTo(t, &b, slog.LevelWarn)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/images", nil))
		end := fmt.Sprintf(`"POST /v1/images HTTP/1.1" %d 0 `, status)
		if got := b.String(); want == "" && got != "" || !strings.Contains(got, want) || want != "" && !strings.Contains(got, end) {
			t.Errorf("after status %d the log has %q; want %q and %q", status, got, want, end)
		}
	}
}

func TestIdentifiedWithoutAccess(t *testing.T) {
	w := httptest.NewRecorder()
	oslolog.Identified(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("status %d; want 404", w.Code)
	}
}
