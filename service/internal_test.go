package service

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
	"glancectl/service/internal/config"
	"glancectl/service/internal/imagecache"
)

func TestSource(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"glance-api.conf", "glance-cache.conf", "glance-pruner.conf", "glance-registry.conf"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "glance-api.conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	at := func(name string) []string { return []string{filepath.Join(dir, name)} }
	for _, test := range []struct {
		program config.Program
		o       Options
		want    config.Source
	}{
		{config.API, Options{Debug: true}, config.Source{Files: at("glance-api.conf"), Dirs: at("glance-api.conf.d"), Debug: true}},
		{config.Pruner, Options{}, config.Source{Files: at("glance-pruner.conf")}},
		{config.Reaper, Options{}, config.Source{Files: at("glance-cache.conf")}},
		{config.Manage, Options{}, config.Source{Files: at("glance-registry.conf")}},
		{config.Scrubber, Options{}, config.Source{}},
		{config.API, Options{Files: []string{"a", "b"}}, config.Source{Files: []string{"a", "b"}}},
		{config.API, Options{Dirs: []string{"d"}}, config.Source{Dirs: []string{"d"}}},
	} {
		if diff := cmp.Diff(test.want, test.o.source(test.program, dir)); diff != "" {
			t.Errorf("source of %s with %+v (-want +got):\n%s", test.program, test.o, diff)
		}
	}
}

func TestForwarded(t *testing.T) {
	for _, test := range []struct {
		believed bool
		headers  map[string]string
		want     string // scheme and host
	}{
		{true, nil, "|front:9292"},
		{true, map[string]string{"X-Forwarded-Proto": "https"}, "https|front:9292"},
		{true, map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a"}, "https|a"},
		{true, map[string]string{"Forwarded": `for=1.2.3.4;Host="a:1"; PROTO=HTTPS, host=b;proto=http`}, "https|a:1"},
		{true, map[string]string{"Forwarded": "for=1.2.3.4", "X-Forwarded-Proto": "https"}, "|front:9292"},
		{true, map[string]string{"X-Forwarded-Proto": "gopher"}, "|front:9292"},
		{false, map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a"}, "|front:9292"},
	} {
		p := &process{Settings: &config.Settings{Server: config.Server{ProxyHeaders: test.believed}}}
		var got string
		h := p.forwarded(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.Scheme + "|" + r.Host }))
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = "front:9292"
		for name, value := range test.headers {
			r.Header.Set(name, value)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got != test.want {
			t.Errorf("forwarded(%v), believed %v, gives %s; want %s", test.headers, test.believed, got, test.want)
		}
	}
}

func TestBacklog(t *testing.T) {
	p := &process{Settings: &config.Settings{Server: config.Server{Host: "127.0.0.1", Backlog: 3}}}
	l, err := p.listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// Of a socket that listens, Linux shows the backlog as "sacked".
	var info syscall.TCPInfo
	size := uint32(syscall.SizeofTCPInfo)
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err != nil || errno != 0 || info.Sacked != 3 {
		t.Errorf("the backlog is %d, %v, %v; want 3", info.Sacked, err, errno)
	}
}

func TestNotify(t *testing.T) {
	if err := notify("", "READY=1"); err != nil {
		t.Errorf("without a socket: %v", err)
	}
	if err := notify(filepath.Join(t.TempDir(), "none"), "READY=1"); err == nil {
		t.Error("to a socket that is not there: no error")
	}
	// A name that begins with @ is in no directory.
	name := "@glance-test-" + filepath.Base(t.TempDir()) + t.Name() + time.Now().Format("150405.000000")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := notify(name, "READY=1"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := c.Read(b); string(b[:n]) != "READY=1" {
		t.Errorf("it is told %q, %v", b[:n], err)
	}
}

func TestWaitForRequests(t *testing.T) {
	inside, leave := make(chan bool), make(chan bool)
	u := &underway{next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		inside <- true
		<-leave
	})}
	ended := make(chan bool)
	go func() {
		u.ServeHTTP(nil, nil)
		close(ended)
	}()
	<-inside
	if u.wait(time.Millisecond) {
		t.Error("wait returns while a request is under way")
	}
	close(leave)
	<-ended
	other := &underway{}
	if !other.wait(time.Minute) {
		t.Error("wait finds a request where there is none")
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("a request that comes too late panics with %v; want ErrAbortHandler", v)
		}
	}()
	other.ServeHTTP(nil, nil)
	t.Error("a request that comes too late is served")
}

// A stuck is a Downloader that does not come to an end by itself.
type stuck chan struct{}

func (s stuck) Download(ctx context.Context, _ glance.ID) (*glance.Data, error) {
	s <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// What is being fetched into the cache is broken off at the end, and stays
// queued as what has not begun.
func TestCacheControlEnds(t *testing.T) {
	cache, err := imagecache.Open(t.TempDir(), imagecache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	begun := make(stuck, 2)
	c := newCacheControl(cache, begun, slog.New(slog.DiscardHandler))
	ids := []glance.ID{glance.ID(glance.NewUUID()), glance.ID(glance.NewUUID())}
	for _, id := range append(ids, ids...) { // the second time they are queued already
		if err := c.Queue(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	<-begun
	c.close()
	if len(begun) != 0 {
		t.Error("a second image was fetched beside the first, or after the end")
	}
	if queued, err := cache.Queued(t.Context()); err != nil || len(queued) != 2 {
		t.Errorf("queued are %v, %v; want both", queued, err)
	}
}

// Memory is given back once there is nothing to do, and not again before there
// was something.
func TestGiveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &underway{next: http.NotFoundHandler()}
		ctx, cancel := context.WithCancel(t.Context())
		ticks, freed := make(chan time.Time), 0
		go u.giveBack(ctx, ticks, func() { freed++ })
		for _, work := range []bool{false, true, true, false, false, false, true, false} {
			if work {
				u.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			}
			ticks <- time.Now()
			synctest.Wait() // until it has looked
		}
		cancel()
		synctest.Wait()
		if freed != 2 {
			t.Errorf("memory is given back %d times; want 2", freed)
		}
	})
}

// There is one processor more than before as long as anybody hashes much, unless
// the number was set from outside.
func TestProcessors(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	runtime.SetDefaultGOMAXPROCS()
	there := runtime.GOMAXPROCS(0)
	now := func(want int, when string) {
		t.Helper()
		if n := runtime.GOMAXPROCS(0); n != want {
			t.Errorf("%d processors %s; want %d", n, when, want)
		}
	}
	p := new(processors)
	first, second := p.begin(), p.begin()
	now(there+1, "while two hash")
	first()
	now(there+1, "while one hashes")
	second()
	now(there, "afterwards")
	t.Setenv("GOMAXPROCS", "5")
	end := p.begin()
	now(there, "that were set")
	end()
	now(there, "that were set, afterwards")
}
