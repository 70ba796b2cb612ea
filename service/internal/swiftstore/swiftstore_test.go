package swiftstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncw/swift/v2"
	"github.com/ncw/swift/v2/swifttest"

	"glancectl/service/glance"
	"glancectl/service/glance/storetest"
)

const id glance.ID = "71c675ab-d94f-49cd-a114-e12490b328d9"

// A cluster is the Swift server of ncw/swift, with what it lacks in front.
type cluster struct {
	server *swifttest.SwiftServer
	front  *httptest.Server

	mu   sync.Mutex
	deny map[string]int // answers to requests, by "METHOD suffix-of-path"
	seen []string       // "METHOD path" of all requests

	containers sync.RWMutex // the server makes them without a lock of its own
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	server, err := swifttest.NewSwiftServer("localhost")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	c := &cluster{server: server, deny: map[string]int{}}
	c.front = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.front.Close)
	// Logins lead to the front.
	server.URL = c.front.URL + "/v1"
	return c
}

// container is the path of one.
var container = regexp.MustCompile(`^/v1/[^/]+/[^/]+$`)

// serve passes a request on. The server behind cannot start a large object
// in the middle, nor refuse to overwrite.
func (c *cluster) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.seen = append(c.seen, r.Method+" "+r.URL.Path)
	code := 0
	for what, answer := range c.deny {
		method, suffix, _ := strings.Cut(what, " ")
		if r.Method == method && strings.HasSuffix(r.URL.Path, suffix) {
			code = answer
		}
	}
	c.mu.Unlock()
	if code != 0 {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(code)
		// A careless cluster repeats what it was sent.
		fmt.Fprintf(w, "refused: key %s", swifttest.TEST_ACCOUNT)
		return
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", c.server.Listener.Addr().String(), ""
	out.Header.Del("Range")
	out.Header.Del("Expect")
	if r.Method == http.MethodPut && container.MatchString(r.URL.Path) {
		c.containers.Lock()
		defer c.containers.Unlock()
	} else {
		c.containers.RLock()
		defer c.containers.RUnlock()
	}
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	if rng := r.Header.Get("Range"); rng != "" && resp.StatusCode == http.StatusOK {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Del("Content-Length")
		r.Header = http.Header{"Range": {rng}}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		return
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

func (c *cluster) config() Config {
	return Config{
		AuthAddress:     strings.TrimPrefix(c.front.URL, "http://") + "/v1.0",
		User:            swifttest.TEST_ACCOUNT,
		Key:             swifttest.TEST_ACCOUNT,
		Container:       "images",
		CreateContainer: true,
		Reference:       "ref1",
		ChunkSize:       256 << 10,
	}
}

func open(t *testing.T, c Config) *Store {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// objects checks which objects of the container there are.
func (c *cluster) objects(t *testing.T, want ...string) {
	t.Helper()
	conn := &swift.Connection{AuthUrl: c.front.URL + "/v1.0", UserName: swifttest.TEST_ACCOUNT, ApiKey: swifttest.TEST_ACCOUNT}
	got, err := conn.ObjectNamesAll(t.Context(), "images", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("container holds %q; want %q", got, want)
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) glance.Store { return open(t, newCluster(t).config()) })
}

// The suite again with images that are one object each.
func TestStoreOfWholeObjects(t *testing.T) {
	storetest.Run(t, func(t *testing.T) glance.Store {
		c := newCluster(t).config()
		c.ChunkSize = 64 << 20
		return open(t, c)
	})
}

// What nobody recorded is removed by the image that it was for.
func TestDiscard(t *testing.T) {
	c := newCluster(t)
	s := open(t, c.config())
	if _, _, err := s.Put(t.Context(), id, bytes.NewReader(make([]byte, 256<<10+1))); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing
		if err := s.Discard(t.Context(), id); err != nil {
			t.Errorf("Discard: %v", err)
		}
		c.objects(t)
	}
}

func TestLayout(t *testing.T) {
	c := newCluster(t)
	s := open(t, c.config())
	for _, size := range []int{0, 1, 256 << 10} {
		url, n, err := s.Put(t.Context(), id, bytes.NewReader(make([]byte, size)))
		if err != nil || n != int64(size) {
			t.Fatalf("Put of %d bytes = %d, %v", size, n, err)
		}
		if want := "swift+config://ref1/images/" + string(id); url != want {
			t.Errorf("Put = %s; want %s", url, want)
		}
		c.objects(t, string(id))
		if err := s.Delete(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	}
	url, _, err := s.Put(t.Context(), id, bytes.NewReader(make([]byte, 256<<10+1)))
	if err != nil {
		t.Fatal(err)
	}
	info, h, err := s.conn.Object(t.Context(), "images", string(id))
	if err != nil {
		t.Fatal(err)
	}
	if info.Bytes != 256<<10+1 {
		t.Errorf("large object has %d bytes; want %d", info.Bytes, 256<<10+1)
	}
	prefix, ok := strings.CutPrefix(h["X-Object-Manifest"], "images/")
	if !ok || !strings.HasPrefix(prefix, string(id)+"-") {
		t.Errorf("manifest is %q; want segments in images named after the image", h["X-Object-Manifest"])
	}
	c.objects(t, string(id), prefix+"00001", prefix+"00002")
	if err := s.Delete(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	c.objects(t)
}

// OpenStack Glance names segments ID-00001; its images are read and deleted.
func TestGlancesOwnSegments(t *testing.T) {
	c := newCluster(t)
	s := open(t, c.config())
	ctx := t.Context()
	if err := s.conn.ContainerCreate(ctx, "images", nil); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{string(id) + "-00001": "one ", string(id) + "-00002": "two", "unrelated": "x"} {
		if err := s.conn.ObjectPutString(ctx, "images", name, data, ""); err != nil {
			t.Fatal(err)
		}
	}
	h := swift.Headers{"X-Object-Manifest": "images/" + string(id) + "-"}
	if _, err := s.conn.ObjectPut(ctx, "images", string(id), strings.NewReader(""), false, "", "", h); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(ctx, s.url(id), 2, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "e tw" {
		t.Errorf("bytes 2 to 5 = %q, %v; want %q", got, err, "e tw")
	}
	if err := s.Delete(ctx, s.url(id)); err != nil {
		t.Fatal(err)
	}
	c.objects(t, "unrelated")
}

// A manifest can name any prefix of any container. Only segments of the image
// itself are deleted.
func TestDeleteLeavesForeignSegments(t *testing.T) {
	c := newCluster(t)
	s := open(t, c.config())
	ctx := t.Context()
	if err := s.conn.ContainerCreate(ctx, "images", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.ObjectPutString(ctx, "images", "somebody-else", "x", ""); err != nil {
		t.Fatal(err)
	}
	h := swift.Headers{"X-Object-Manifest": "images/some"}
	if _, err := s.conn.ObjectPut(ctx, "images", string(id), strings.NewReader(""), false, "", "", h); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, s.url(id)); err != nil {
		t.Fatal(err)
	}
	c.objects(t, "somebody-else")
}

func TestFailedPutLeavesNoSegments(t *testing.T) {
	for _, test := range []struct {
		name, deny string
		code       int
		want       error
	}{
		{"segment refused", "PUT -00003", 507, glance.ErrStoreFull},
		{"over quota", "PUT -00002", 413, glance.ErrStoreFull},
		{"read only", "PUT -00001", 403, glance.ErrStoreReadOnly},
		{"manifest refused", "PUT " + string(id), 503, glance.ErrUnavailable},
		{"other was first", "PUT " + string(id), 412, glance.ErrExists},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t)
			c.deny[test.deny] = test.code
			s := open(t, c.config())
			_, _, err := s.Put(t.Context(), id, bytes.NewReader(make([]byte, 1<<20)))
			if !errors.Is(err, test.want) {
				t.Errorf("Put: %v; want %v", err, test.want)
			}
			c.objects(t)
		})
	}
}

func TestMissingContainer(t *testing.T) {
	c := newCluster(t)
	config := c.config()
	config.CreateContainer = false
	s := open(t, config)
	_, _, err := s.Put(t.Context(), id, strings.NewReader("x"))
	if !errors.Is(err, glance.ErrUnavailable) || !strings.Contains(err.Error(), "swift_store_create_container_on_put") {
		t.Errorf("Put without a container: %v; want what to set", err)
	}
	if slices.ContainsFunc(c.seen, func(s string) bool { return strings.HasPrefix(s, "PUT ") }) {
		t.Errorf("requests %q; want no PUT", c.seen)
	}
}

// A token that the cluster forgets is renewed, also in the middle of a Put.
func TestForgottenToken(t *testing.T) {
	c := newCluster(t)
	s := open(t, c.config())
	forget := func() {
		c.server.Lock()
		defer c.server.Unlock()
		clear(c.server.Sessions)
	}
	data := bytes.Repeat([]byte("x"), 1<<20)
	half := len(data) / 2
	r := io.MultiReader(bytes.NewReader(data[:half]), readerFunc(func([]byte) (int, error) {
		forget()
		return 0, io.EOF
	}), bytes.NewReader(data[half:]))
	url, _, err := s.Put(t.Context(), id, r)
	if err != nil {
		t.Fatal(err)
	}
	forget()
	f, err := s.Open(t.Context(), url, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v; want the %d put", len(got), err, len(data))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// Nothing a cluster answers brings the key into an error.
func TestErrorsHideTheKey(t *testing.T) {
	for _, code := range []int{400, 401, 403, 404, 409, 413, 422, 500, 503, 507} {
		for _, deny := range []string{"GET /v1.0", "HEAD images", "PUT -00001"} {
			c := newCluster(t)
			config := c.config()
			if err := open(t, config).conn.ContainerCreate(t.Context(), config.Container, nil); err != nil {
				t.Fatal(err)
			}
			c.deny[deny] = code
			config.CreateContainer = false
			s := open(t, config)
			_, _, err := s.Put(t.Context(), id, strings.NewReader("x"))
			if err == nil || strings.Contains(err.Error(), config.Key) {
				t.Errorf("%s answered with %d: %v; want an error without the key", deny, code, err)
			}
		}
	}
}

func TestUnreachable(t *testing.T) {
	c := newCluster(t)
	config := c.config()
	c.front.Close()
	s := open(t, config)
	for what, err := range map[string]error{
		"Put":    second(s.Put(t.Context(), id, strings.NewReader("x"))),
		"Delete": s.Delete(t.Context(), s.url(id)),
	} {
		if !errors.Is(err, glance.ErrUnavailable) || strings.Contains(err.Error(), config.Key) {
			t.Errorf("%s without a cluster: %v; want %v", what, err, glance.ErrUnavailable)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Delete(ctx, s.url(id)); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete after the end of its context: %v; want %v", err, context.Canceled)
	}
}

func second(_ string, _ int64, err error) error { return err }

func TestAuthAddress(t *testing.T) {
	for _, test := range []struct {
		in, want string
		version  int
		problem  string
	}{
		{in: "127.0.0.1:8080/v1.0", want: "http://127.0.0.1:8080/v1.0", version: 1},
		{in: "swift:8080/auth/v1.0/", want: "http://swift:8080/auth/v1.0", version: 1},
		{in: "https://swift/auth/v1", want: "https://swift/auth/v1", version: 1},
		{in: "http://keystone:5000/v3", want: "http://keystone:5000/v3", version: 3},
		{in: "keystone:5000/v3/", want: "http://keystone:5000/v3", version: 3},
		{in: "keystone:5000", problem: "must end in /v1.0 or /v3"},
		{in: "keystone:5000/v2.0", problem: "must end in /v1.0 or /v3"},
		{in: "http://user:secret@swift/v1.0", problem: "credentials"},
		{in: "ftp://swift/v1.0", problem: "neither"},
		{in: "", problem: "neither"},
	} {
		got, version, err := authAddress(test.in)
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) || strings.Contains(err.Error(), "secret") {
				t.Errorf("authAddress(%q): %v; want an error with %q", test.in, err, test.problem)
			}
			continue
		}
		if got != test.want || version != test.version || err != nil {
			t.Errorf("authAddress(%q) = %q, %d, %v; want %q, %d", test.in, got, version, err, test.want, test.version)
		}
	}
}

func TestOpenChecksItsConfig(t *testing.T) {
	good := Config{AuthAddress: "keystone:5000/v3", User: "service:glance", Key: "k", Container: "glance", Reference: "ref1"}
	if s := open(t, good); s.conn.Tenant != "service" || s.conn.UserName != "glance" || s.conn.Domain != "Default" || s.conn.TenantDomain != "Default" {
		t.Errorf("login is %q of %q in %q, %q", s.conn.UserName, s.conn.Tenant, s.conn.Domain, s.conn.TenantDomain)
	}
	for name, spoil := range map[string]func(c *Config){
		"container": func(c *Config) { c.Container = "a/b" },
		"reference": func(c *Config) { c.Reference = "" },
		"user":      func(c *Config) { c.User = "glance" },
		"key":       func(c *Config) { c.Key = "" },
		"address":   func(c *Config) { c.AuthAddress = "" },
	} {
		c := good
		spoil(&c)
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Open with a bad %s: %v; want an error that names it", name, err)
		}
	}
}
