package benchservice

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// serve returns a server that keeps nothing but the length of the last body.
func serve(t *testing.T) (s target, got *int64) {
	t.Helper()
	got = new(int64)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Auth-Token"))
	})
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3000000")
		_, _ = io.CopyN(w, zeros{}, 3_000_000)
	})
	mux.HandleFunc("POST /v2/images", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id": "some-id"}`)
	})
	mux.HandleFunc("PUT /v2/images/some-id/file", func(w http.ResponseWriter, r *http.Request) {
		*got, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return target{strings.TrimPrefix(server.URL, "http://"), "secret"}, got
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAsk(t *testing.T) {
	s, _ := serve(t)
	if body, err := s.ask(t.Context(), "GET", "/small"); string(body) != "secret" || err != nil {
		t.Errorf("ask = %q, %v; want the token", body, err)
	}
	if _, err := s.ask(t.Context(), "GET", "/nowhere"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("ask for what is not there: %v; want 404", err)
	}
}

func TestRepeat(t *testing.T) {
	s, _ := serve(t)
	rate, err := s.repeat(t.Context(), 2, 50*time.Millisecond, s.head("GET", "/small"), s.head("GET", "/large"))
	if rate <= 0 || err != nil {
		t.Errorf("repeat = %g, %v; want some a second", rate, err)
	}
	if _, err := s.repeat(t.Context(), 2, time.Minute, s.head("GET", "/nowhere")); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("repeat with a 404: %v", err)
	}
}

// An answer may come in pieces, and must be as long as it says.
func TestRepeatReadsAnswers(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nDate: now\r\n"
	for _, test := range []struct{ answer, fault string }{
		{head + "Content-Length: 5\r\nServer: x\r\n\r\nhello", ""},
		{head + "content-length:0\r\n\r\n", ""},
		{head + "X-Content-Length: 5\r\n\r\nhello", "how long"},
		{head + "Content-Length: 4\r\n\r\nhello", "longer|answered .oHTTP"}, // the rest may come with the next answer
		{head + "Content-Length: 6\r\n\r\nhell", "EOF"},
		{"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "503"},
		{head, "EOF"},
	} {
		s := target{addr: say(t, test.answer)}
		rate, err := s.repeat(t.Context(), 1, 20*time.Millisecond, s.head("GET", "/"))
		if test.fault == "" && (err != nil || rate <= 0) || test.fault != "" && (err == nil || !regexp.MustCompile(test.fault).MatchString(err.Error())) {
			t.Errorf("repeat of %q = %g, %v; want %q", test.answer, rate, err, test.fault)
		}
	}
}

// say returns the address of a server that answers the first connection with
// one thing, byte by byte. What cannot be understood is followed by the end.
func say(t *testing.T, answer string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for in := bufio.NewReader(c); ; {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			for _, b := range []byte(answer) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
			if tcp, ok := c.(*net.TCPConn); ok && !strings.HasSuffix(answer, "\r\n\r\nhello") && !strings.HasSuffix(answer, ":0\r\n\r\n") {
				_ = tcp.CloseWrite()
			}
		}
	}()
	return l.Addr().String()
}

func TestTransfers(t *testing.T) {
	s, got := serve(t)
	id, err := s.create(t.Context(), "x")
	if id != "some-id" || err != nil {
		t.Fatalf("create = %q, %v", id, err)
	}
	if _, err := s.upload(t.Context(), id, 5_000_000, newBlock()); err != nil || *got != 5_000_000 {
		t.Errorf("upload: %v, %d bytes arrived; want 5000000", err, *got)
	}
	if _, err := s.download(t.Context(), "/large", 3_000_000, 3); err != nil {
		t.Error(err)
	}
	if _, err := s.download(t.Context(), "/large", 3_000_001, 1); err == nil {
		t.Error("download does not mind a file that is too short")
	}
}
