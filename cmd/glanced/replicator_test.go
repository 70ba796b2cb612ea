package main

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const replicated = "aaaaaaaa-0000-4000-8000-000000000001"

// A gate lies before a service. Of the next answers with data that have to
// wait, it lets one half through and then holds the rest until it is opened.
type gate struct {
	*httptest.Server
	waiting atomic.Int64
	held    chan struct{} // one for each that waits
	open    chan struct{} // one for each that may go on
	parts   atomic.Int64  // answers that were parts
}

func newGate(t *testing.T, address string) *gate {
	g := &gate{held: make(chan struct{}), open: make(chan struct{})}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	proxy.FlushInterval = -1
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	proxy.ModifyResponse = func(resp *http.Response) error {
		if resp.StatusCode == http.StatusPartialContent {
			g.parts.Add(1)
		}
		if strings.HasSuffix(resp.Request.URL.Path, "/file") && g.waiting.Add(-1) >= 0 {
			half := io.LimitReader(resp.Body, resp.ContentLength/2)
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(half, &turnstile{g: g}, resp.Body), resp.Body}
		}
		return nil
	}
	g.Server = httptest.NewServer(proxy)
	t.Cleanup(g.Close)
	return g
}

// A turnstile yields nothing, when it is opened.
type turnstile struct{ g *gate }

func (s *turnstile) Read([]byte) (int, error) {
	s.g.held <- struct{}{}
	<-s.g.open
	return 0, io.EOF
}

// TestReplicatorKilled has real processes: whatever is killed in the middle of
// a copy, what is there afterwards is whole or not there, and the copy ends.
func TestReplicatorKilled(t *testing.T) {
	program := build(t)
	fromConf, from := configure(t, program)
	toConf, to := configure(t, program)
	source := launch(t, program, fromConf, from)
	defer func() { end(t, source) }()
	target := launch(t, program, toConf, to)
	defer func() { end(t, target) }()
	data := make([]byte, 32<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	send(t, "POST", "http://"+from+"/v2/images", "application/json", []byte(`{"id": "`+replicated+`", "name": "n", "visibility": "public", "disk_format": "raw", "container_format": "bare"}`))
	send(t, "PUT", "http://"+from+"/v2/images/"+replicated+"/file", "application/octet-stream", data)
	g := newGate(t, from)
	dir := t.TempDir()
	file := filepath.Join(dir, replicated+".img")

	replicator := func(args ...string) *exec.Cmd {
		c := exec.Command(program, append([]string{"replicator", "-v"}, args...)...)
		c.Env = []string{"HOME=" + dir}
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		var said bytes.Buffer
		c.Stdout, c.Stderr = &said, &said
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("glance-replicator %s:\n%s", args, &said)
			}
		})
		return c
	}
	// begin runs until half of the data is through.
	begin := func(args ...string) *exec.Cmd {
		t.Helper()
		g.waiting.Store(1)
		c := replicator(args...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		<-g.held
		return c
	}
	kill := func(c *exec.Cmd) {
		t.Helper()
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait() // it was killed
	}
	done := func(c *exec.Cmd, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", c.Args[1:], err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		c := replicator(args...)
		done(c, c.Run())
	}

	// The copier of a dump, and its source.
	c := begin("dump", g.URL, dir)
	awaitSize(t, file+".part", int64(len(data))/2)
	kill(c)
	g.open <- struct{}{}
	if names, err := filepath.Glob(dir + "/*"); err != nil || len(names) != 1 {
		t.Errorf("a dump that was killed leaves %s, %v; want the part of the data only", names, err)
	}
	c = begin("dump", g.URL, dir)
	awaitSize(t, file+".part", int64(len(data))*3/4)
	kill(source)
	g.open <- struct{}{}
	source = launch(t, program, fromConf, from)
	done(c, c.Wait())
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the dump has %d bytes, %v; want those of the image", len(got), err)
	}
	if n := g.parts.Load(); n < 2 {
		t.Errorf("%d parts were asked for; want one after each end", n)
	}

	// The copier of a livecopy, and its target.
	c = begin("livecopy", g.URL, to)
	kill(c)
	g.open <- struct{}{}
	if got := get(t, "http://"+to+"/v2/images/"+replicated); !strings.Contains(got, `"visibility": "private"`) || !strings.Contains(got, `"size": null`) {
		t.Errorf("while the data is not there the target has %s", got)
	}
	c = begin("livecopy", g.URL, to)
	kill(target)
	target = launch(t, program, toConf, to)
	g.open <- struct{}{}
	done(c, c.Wait())
	if got := get(t, "http://"+to+"/v2/images/"+replicated+"/file"); got != string(data) {
		t.Errorf("the target has %d other bytes", len(got))
	}
	c = replicator("compare", from, to)
	var differences bytes.Buffer
	c.Stdout = &differences
	done(c, c.Run())
	if differences.Len() > 0 {
		t.Errorf("glance-replicator compare: %s", &differences)
	}

	// A load of what was dumped finds that nothing is missing.
	run("load", to, dir)
	run("size", to)
}

// awaitSize waits until a file has that size.
func awaitSize(t *testing.T, name string, size int64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		info, err := os.Stat(name)
		if err == nil && info.Size() >= size {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v, %v; want %d bytes", name, info, err, size)
		}
	}
}

func send(t *testing.T, method, url, kind string, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode > 299 {
		t.Fatalf("%s %s = %s", method, url, resp.Status)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %s, %v", url, resp.Status, err)
	}
	return string(body)
}
