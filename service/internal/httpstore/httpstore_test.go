package httpstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/storetest"
)

// A server serves what is put there, or as handle does.
type server struct {
	*httptest.Server
	handle func(w http.ResponseWriter, r *http.Request, data []byte)

	mu   sync.Mutex
	data map[string][]byte
}

func serve(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, data []byte)) *server {
	s := &server{handle: handle, data: make(map[string][]byte)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		data, ok := s.data[r.URL.EscapedPath()]
		s.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		s.handle(w, r, data)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) place(id glance.ID, data []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := "/images/" + string(id)
	s.data[path] = data
	return s.URL + path
}

// direct is a Web without judgement.
type direct struct{}

func (direct) Do(ctx context.Context, method, url string, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", glance.ErrInvalid, err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", glance.ErrUnavailable, err)
	}
	return resp, nil
}

// The servers that there are: they differ in what they know of ranges and of
// sizes.
var servers = map[string]func(w http.ResponseWriter, r *http.Request, data []byte){
	"knows ranges": func(w http.ResponseWriter, r *http.Request, data []byte) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	},
	"knows no ranges": func(w http.ResponseWriter, r *http.Request, data []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		if r.Method == http.MethodGet {
			w.Write(data)
		}
	},
	"answers GET alone": func(w http.ResponseWriter, r *http.Request, data []byte) {
		if r.Method != http.MethodGet {
			http.Error(w, "no", http.StatusMethodNotAllowed)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	},
	"tells no length of the head": func(w http.ResponseWriter, r *http.Request, data []byte) {
		if r.Method == http.MethodHead {
			w.(http.Flusher).Flush()
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data)
	},
}

func TestStore(t *testing.T) {
	for _, name := range []string{"knows ranges", "knows no ranges"} {
		t.Run(name, func(t *testing.T) {
			storetest.RunReadOnly(t, func(t *testing.T) (glance.Store, storetest.Place) {
				return New(direct{}), serve(t, servers[name]).place
			})
		})
	}
}

func TestSize(t *testing.T) {
	for name, handle := range servers {
		srv := serve(t, handle)
		for _, want := range []int{0, 1, 100_000} {
			if n, err := New(direct{}).Size(t.Context(), srv.place(id, make([]byte, want))); n != int64(want) || err != nil {
				t.Errorf("%s: Size of %d bytes = %d, %v", name, want, n, err)
			}
		}
	}
}

const id = glance.ID("71c675ab-d94f-49cd-a114-e12490b328d9")

// What a server says wrongly is not believed.
func TestBadServers(t *testing.T) {
	part := func(contentRange string) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, r *http.Request, data []byte) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data)
		}
	}
	fail := func(code int) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, r *http.Request, _ []byte) { w.WriteHeader(code) }
	}
	for _, test := range []struct {
		name       string
		handle     func(http.ResponseWriter, *http.Request, []byte)
		open, size error
	}{
		{"another part", part("bytes 3-6/10"), glance.ErrUnavailable, nil},
		{"no part", part(""), glance.ErrUnavailable, glance.ErrUnavailable},
		{"nonsense", part("bytes x-y/z"), glance.ErrUnavailable, glance.ErrUnavailable},
		{"a negative size", part("bytes 2-5/-10"), glance.ErrUnavailable, glance.ErrUnavailable},
		{"a size that is not known", part("bytes 2-5/*"), nil, glance.ErrUnavailable},
		{"nobody may", fail(403), glance.ErrUnavailable, glance.ErrUnavailable},
		{"broken", fail(500), glance.ErrUnavailable, glance.ErrUnavailable},
		{"gone", fail(410), glance.ErrNotFound, glance.ErrNotFound},
		{"a redirect to nowhere", fail(302), glance.ErrUnavailable, glance.ErrUnavailable},
	} {
		srv := serve(t, test.handle)
		s, url := New(direct{}), srv.place(id, []byte("abcd"))
		if rc, err := s.Open(t.Context(), url, 2, 4); !errors.Is(err, test.open) {
			t.Errorf("%s: Open: %v; want %v", test.name, err, test.open)
		} else if err == nil {
			rc.Close()
		}
		if _, err := s.Size(t.Context(), url); !errors.Is(err, test.size) {
			t.Errorf("%s: Size: %v; want %v", test.name, err, test.size)
		}
	}
	s := New(direct{})
	if _, err := s.Open(t.Context(), "http://127.0.0.1:1/x", 0, -1); !errors.Is(err, glance.ErrUnavailable) {
		t.Errorf("Open where nobody answers: %v", err)
	}
}

// A transfer that ends early is no end of the data.
func TestShort(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request, data []byte) {
		w.Header().Set("Content-Length", "100")
		w.Write(data)
	})
	for _, off := range []int64{0, 2, 50} {
		rc, err := New(direct{}).Open(t.Context(), srv.place(id, []byte("abcd")), off, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(rc); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("read from %d of data that breaks off: %v; want %v", off, err, io.ErrUnexpectedEOF)
		}
		rc.Close()
	}
}

// A denying Web may not ask for anything.
type denying struct{}

func (denying) Do(context.Context, string, string, http.Header) (*http.Response, error) {
	return nil, fmt.Errorf("%w: not here", glance.ErrInvalid)
}

func TestRefused(t *testing.T) {
	s := New(denying{})
	_, err := s.Open(t.Context(), "http://user:secret@x/y", 0, -1)
	if !errors.Is(err, glance.ErrNotFound) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Open of what may not be asked for: %v", err)
	}
	if _, err := s.Size(t.Context(), "https://user:secret@x/y"); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("Size of what may not be asked for: %v", err)
	}
	for url, want := range map[string]bool{"http://x/y": true, "https://x": true, "HTTP://x/y": true, "ftp://x": false, "http:x": false, "": false, "http://": false} {
		if got := s.Owns(url); got != want {
			t.Errorf("Owns(%q) = %t", url, got)
		}
	}
}
