package service_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service"
)

// A site is a directory with the files of one deployment.
type site struct {
	t   *testing.T
	dir string
}

// newSite returns a site with a database that is synced.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t, t.TempDir()}
	code, err := service.Manage(t.Context(), service.Options{Files: []string{s.conf("manage", "")}, Stdout: io.Discard}, []string{"db", "sync"})
	if code != service.ManageDone || err != nil {
		t.Fatalf("db sync = %d, %v", code, err)
	}
	return s
}

// path returns a path below the directory of the site.
func (s *site) path(elem ...string) string { return filepath.Join(append([]string{s.dir}, elem...)...) }

// conf writes the configuration of a program and returns its name. The options
// that every program has come first; DIR in text is the site's directory.
func (s *site) conf(program, text string) string {
	s.t.Helper()
	return s.write(program+".conf", `[DEFAULT]
verbose = True
bind_host = 127.0.0.1
bind_port = 0
image_cache_dir = DIR/cache
[database]
connection = sqlite:///DIR/glance.sqlite
[glance_store]
filesystem_store_datadir = DIR/images
[oslo_concurrency]
lock_path = DIR/lock
[healthcheck]
disable_by_file_path = DIR/off
`+text)
}

func (s *site) write(name, text string) string {
	s.t.Helper()
	name = s.path(name)
	if err := os.WriteFile(name, []byte(strings.ReplaceAll(text, "DIR", s.dir)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return name
}

// A logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A runner runs a program until its end or that of the context.
type runner = func(context.Context, service.Options) error

// A daemon is a program that serves.
type daemon struct {
	t    *testing.T
	url  string
	log  *logBuffer
	stop func() error // asks it to end and waits until it has
}

// start starts a daemon and waits until it takes connections. It is ended
// with the test, if not before.
func start(t *testing.T, run runner, o service.Options) *daemon {
	t.Helper()
	d := &daemon{t: t, log: new(logBuffer)}
	ready := make(chan net.Addr, 1)
	o.Stderr, o.Version = d.log, "test"
	o.Ready = func(a net.Addr) { ready <- a }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o) }()
	select {
	case err := <-ended:
		cancel()
		t.Fatalf("it did not start: %v", err)
	case addr := <-ready:
		d.url = "http://" + addr.String()
	}
	d.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("at the end: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", d.log)
		}
	})
	return d
}

// An answer is a response that was read to its end.
type answer struct {
	code   int
	header http.Header
	body   string
	closes bool // the connection is not used again
}

// call sends a request; headers are names and values in turn.
func (d *daemon) call(method, path, body string, headers ...string) answer {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text), resp.Close}
}

// want is call for what has to be answered with a code and a body that has a
// text in it. It returns the answer.
func (d *daemon) want(code int, text, method, path, body string, headers ...string) answer {
	d.t.Helper()
	a := d.call(method, path, body, headers...)
	if a.code != code || !strings.Contains(a.body, text) {
		d.t.Errorf("%s %s = %d %s; want %d and %q", method, path, a.code, clip(a.body), code, clip(text))
	}
	return a
}

// clip keeps the data of an image out of what a test says.
func clip(text string) string {
	const enough = 2000
	if len(text) <= enough {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:enough], len(text))
}

// eventually waits until ok, and fails the test if that takes too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// create makes an image with data and returns its ID.
func (d *daemon) create(id, data string, headers ...string) string {
	d.t.Helper()
	d.want(201, `"status": "queued"`, "POST", "/v2/images",
		fmt.Sprintf(`{"id": %q, "name": "test", "disk_format": "raw", "container_format": "bare"}`, id), headers...)
	d.want(204, "", "PUT", "/v2/images/"+id+"/file", data, append([]string{"Content-Type", "application/octet-stream"}, headers...)...)
	return id
}
