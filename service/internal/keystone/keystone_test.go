package keystone_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/keystone"

	"github.com/google/go-cmp/cmp"
)

// A site is a service behind the middleware, with its Keystone.
type site struct {
	*fakeKeystone
	clock *clock
	m     *keystone.Middleware
	log   *syncBuffer
}

func newSite(t *testing.T, change ...func(*keystone.Options)) *site {
	t.Helper()
	s := &site{clock: newClock(), log: new(syncBuffer)}
	s.fakeKeystone = newFakeKeystone(t, s.clock)
	o := keystone.Options{
		AuthURL:            s.URL + "/v3/",
		WWWAuthenticateURI: "http://keystone.example:5000",
		Username:           "glance",
		Password:           servicePassword,
		Project:            "service",
		Now:                s.clock.Now,
		Log:                slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	m, err := keystone.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	s.m = m
	return s
}

// get sends a request with headers, given as name, value, ..., through
// Require. The caller is the one the handler saw, nil if it was not reached.
func (s *site) get(headers ...string) (*httptest.ResponseRecorder, *glance.Caller) {
	return send(s.m.Require, headers...)
}

func send(middleware func(http.Handler) http.Handler, headers ...string) (*httptest.ResponseRecorder, *glance.Caller) {
	var seen *glance.Caller
	h := middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c := glance.CallerFrom(r.Context())
		seen = &c
	}))
	r := httptest.NewRequest(http.MethodGet, "/v2/images", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w, seen
}

var (
	member = &glance.Caller{UserID: "u1", ProjectID: "p1", Roles: []string{"member", "reader"}, Token: memberToken}
	admin  = &glance.Caller{UserID: "u0", ProjectID: "p0", Roles: []string{"admin"}, Admin: true, Token: adminToken}
)

func TestRequire(t *testing.T) {
	s := newSite(t)
	s.tokens["gAAAAA-expired"] = fakeToken{"u1", "p1", nil, s.clock.Now().Add(-time.Second)}
	s.tokens["gAAAAA-unscoped"] = fakeToken{"u1", "", nil, s.clock.Now().Add(time.Hour)}
	for _, test := range []struct {
		name    string
		headers []string
		code    int
		want    *glance.Caller
	}{
		{"member", []string{"X-Auth-Token", memberToken}, 200, member},
		{"admin", []string{"X-Auth-Token", adminToken}, 200, admin},
		{"storage token", []string{"X-Storage-Token", memberToken}, 200, member},
		{"auth token goes first", []string{"X-Storage-Token", memberToken, "X-Auth-Token", adminToken}, 200, admin},
		{"unscoped", []string{"X-Auth-Token", "gAAAAA-unscoped"}, 200, &glance.Caller{UserID: "u1", Roles: []string{}, Token: "gAAAAA-unscoped"}},
		{"none", nil, 401, nil},
		{"empty", []string{"X-Auth-Token", ""}, 401, nil},
		{"unknown", []string{"X-Auth-Token", "gAAAAA-unknown"}, 401, nil},
		{"expired", []string{"X-Auth-Token", "gAAAAA-expired"}, 401, nil},
		{"impossible", []string{"X-Auth-Token", "gAAAAA member"}, 401, nil},
		{"too long", []string{"X-Auth-Token", strings.Repeat("x", 1<<16)}, 401, nil},
		{"token of a service alone", []string{"X-Service-Token", adminToken}, 401, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, got := s.get(test.headers...)
			if w.Code != test.code {
				t.Errorf("code = %d; want %d", w.Code, test.code)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("caller (-want +got):\n%s", diff)
			}
			challenge := w.Header().Get("WWW-Authenticate")
			if want := `Keystone uri="http://keystone.example:5000"`; test.code == 401 && challenge != want {
				t.Errorf("WWW-Authenticate = %q; want %q", challenge, want)
			}
		})
	}
}

// The bodies are those of webob, which the service this one stands in for uses.
func TestRefusalBodies(t *testing.T) {
	s := newSite(t)
	for _, test := range []struct{ name, accept string }{
		{"text", ""},
		{"html", "*/*"},
		{"html", "text/html, application/json"},
		{"json", "application/json"},
		{"text", "text/plain"},
	} {
		w, _ := s.get("Accept", test.accept)
		golden(t, "401."+test.name, w)
	}
	s.Close()
	w, _ := s.get("X-Auth-Token", memberToken, "Accept", "*/*")
	golden(t, "503.html", w)
	w, _ = s.get("X-Auth-Token", memberToken, "Accept", "application/json")
	golden(t, "503.json", w)
}

// A middleware that decides at once says so in JSON, whatever is accepted.
func TestImmediate(t *testing.T) {
	s := newSite(t, func(o *keystone.Options) { o.Immediate = true })
	w, seen := s.get("Accept", "text/html")
	const want = `{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}`
	if w.Code != 401 || seen != nil || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("without a token: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w, _ := s.get("X-Auth-Token", memberToken); w.Code != 200 {
		t.Errorf("with a token: %d", w.Code)
	}
}

func golden(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	if got, want := w.Header().Get("Content-Length"), strconv.Itoa(w.Body.Len()); got != want {
		t.Errorf("%s: Content-Length = %s; want %s", name, got, want)
	}
	got := strconv.Itoa(w.Code) + "\n" + w.Header().Get("Content-Type") + "\n" + w.Body.String()
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestHeadIsRefusedWithoutBody(t *testing.T) {
	s := newSite(t)
	w := httptest.NewRecorder()
	s.m.Require(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/v2/images", nil))
	if w.Code != 401 || w.Body.Len() != 0 {
		t.Errorf("HEAD without a token = %d with %d bytes; want 401 with none", w.Code, w.Body.Len())
	}
}

func TestIdentify(t *testing.T) {
	s := newSite(t)
	anonymous := &glance.Caller{Anonymous: true}
	if _, got := send(s.m.Identify, "X-Auth-Token", memberToken); !cmp.Equal(got, member) {
		t.Errorf("caller with a token = %+v; want %+v", got, member)
	}
	if _, got := send(s.m.Identify); !cmp.Equal(got, anonymous) {
		t.Errorf("caller without a token = %+v; want an anonymous one", got)
	}
	s.Close()
	if w, got := send(s.m.Identify, "X-Auth-Token", adminToken); w.Code != 200 || !cmp.Equal(got, anonymous) {
		t.Errorf("caller while Keystone is down = %d, %+v; want 200 and an anonymous one", w.Code, got)
	}
}

// The headers by which a proxy of the original would say who the caller is.
var spoofed = []string{
	"X-Identity-Status", "Confirmed", "X-Service-Identity-Status", "Confirmed",
	"X-Roles", "admin", "X-Role", "admin", "X-Is-Admin-Project", "True",
	"X-User-Id", "root", "X-User-Name", "root", "X-User-Domain-Id", "default", "X-User", "root",
	"X-Project-Id", "victim", "X-Project-Name", "victim", "X-Project-Domain-Name", "d",
	"X-Tenant-Id", "victim", "X-Tenant-Name", "victim", "X-Tenant", "victim",
	"X-Service-Roles", "service", "X-Service-User-Id", "nova", "X-Service-Project-Id", "service",
	"X-Service-Catalog", "[]", "Openstack-System-Scope", "all", "X-Domain-Id", "d",
	"X_Roles", "admin", "x_identity_status", "Confirmed",
}

func TestSpoofedHeaders(t *testing.T) {
	s := newSite(t)
	for _, test := range []struct {
		name       string
		middleware func(http.Handler) http.Handler
		token      string
		want       glance.Caller
	}{
		{"Require", s.m.Require, memberToken, *member},
		{"Identify", s.m.Identify, "", glance.Caller{Anonymous: true}},
		{"NoKeystone", keystone.NoKeystone, "", glance.Caller{Roles: []string{"admin", "member", "reader"}, Admin: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/v2/images", nil)
			for i := 0; i < len(spoofed); i += 2 {
				r.Header[spoofed[i]] = []string{spoofed[i+1]} // as written, not canonical
			}
			r.Header.Set("X-Auth-Token", test.token)
			r.Header.Set("X-Openstack-Request-Id", "req-1")
			r.Header.Set("X-Image-Meta-Name", "kept")
			reached := false
			test.middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				reached = true
				for i := 0; i < len(spoofed); i += 2 {
					if v, ok := r.Header[spoofed[i]]; ok {
						t.Errorf("%s: %q got through", spoofed[i], v)
					}
				}
				if diff := cmp.Diff(test.want, glance.CallerFrom(r.Context())); diff != "" {
					t.Errorf("caller (-want +got):\n%s", diff)
				}
				if r.Header.Get("X-Openstack-Request-Id") == "" || r.Header.Get("X-Image-Meta-Name") == "" {
					t.Error("a header that claims no identity was removed")
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
			if !reached {
				t.Error("the handler was not reached")
			}
		})
	}
	w, got := s.get(append(slices.Clone(spoofed), "X-Auth-Token", "gAAAAA-unknown")...)
	if w.Code != 401 || got != nil {
		t.Errorf("spoofed headers with a bad token = %d, %+v; want 401", w.Code, got)
	}
}

func TestRequestIDIsKept(t *testing.T) {
	s := newSite(t)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Auth-Token", memberToken)
	r = r.WithContext(glance.WithCaller(r.Context(), glance.Caller{Admin: true, RequestID: "req-7"}))
	s.m.Require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		want := *member
		want.RequestID = "req-7"
		if got := glance.CallerFrom(r.Context()); !cmp.Equal(got, want) {
			t.Errorf("caller = %+v; want %+v", got, want)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
}

func TestNew(t *testing.T) {
	good := keystone.Options{AuthURL: "http://k:5000", Username: "glance", Password: "x", Project: "service"}
	for _, test := range []struct {
		name   string
		change func(*keystone.Options)
		want   string // in the error; "" for none
	}{
		{"complete", func(*keystone.Options) {}, ""},
		{"no address", func(o *keystone.Options) { o.AuthURL = "" }, "auth_url"},
		{"no scheme", func(o *keystone.Options) { o.AuthURL = "keystone:5000" }, "auth_url"},
		{"other scheme", func(o *keystone.Options) { o.AuthURL = "ftp://keystone" }, "auth_url"},
		{"no user", func(o *keystone.Options) { o.Username = "" }, "username"},
		{"no password", func(o *keystone.Options) { o.Password = "" }, "password"},
		{"no project", func(o *keystone.Options) { o.Project = "" }, "project_name"},
	} {
		o := good
		test.change(&o)
		_, err := keystone.New(o)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: New = %v; want an error about %q", test.name, err, test.want)
		}
	}
}

func TestAuthURLForms(t *testing.T) {
	for _, suffix := range []string{"", "/", "/v3", "/v3/", "/v2.0"} {
		s := newSite(t)
		m, err := keystone.New(keystone.Options{
			AuthURL: s.URL + suffix, Username: "glance", Password: servicePassword, Project: "service", Now: s.clock.Now,
		})
		if err != nil {
			t.Fatalf("New(%q): %v", suffix, err)
		}
		if w, _ := send(m.Require, "X-Auth-Token", memberToken); w.Code != 200 {
			t.Errorf("auth_url ending in %q: %d; want 200", suffix, w.Code)
		}
	}
}

// waitFor waits until something becomes true that another goroutine does.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited for 10 s in vain")
		}
	}
}

// A syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
