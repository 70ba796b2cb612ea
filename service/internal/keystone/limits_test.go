package keystone_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
	"glancectl/service/internal/keystone"
)

// A limitsKeystone has the limits of one endpoint, for a user who logs in for
// the whole deployment.
type limitsKeystone struct {
	*httptest.Server
	model string

	mu       sync.Mutex
	expired  bool // the tokens that were issued count no more
	logins   int
	requests []string
}

func newLimitsKeystone(t *testing.T) *limitsKeystone {
	k := &limitsKeystone{model: "flat"}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", k.issue)
	answer := func(pattern, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { k.answer(w, r, body) })
	}
	answer("GET /v3/endpoints/e1", `{"endpoint": {"id": "e1", "service_id": "s1", "region_id": "RegionOne"}}`)
	answer("GET /v3/services", `{"services": [{"id": "s1"}]}`)
	answer("GET /v3/endpoints", `{"endpoints": [{"id": "e1", "service_id": "s1", "region_id": "RegionOne"}]}`)
	answer("GET /v3/registered_limits", `{"registered_limits": [{"resource_name": "image_size_total", "default_limit": 1000}, {"resource_name": "image_count_total", "default_limit": 5}]}`)
	answer("GET /v3/limits", `{"limits": [{"resource_name": "image_size_total", "resource_limit": 20, "project_id": "p1"}, {"resource_name": "image_size_total", "resource_limit": 30, "project_id": "p2"}]}`)
	mux.HandleFunc("GET /v3/limits/model", func(w http.ResponseWriter, r *http.Request) {
		k.answer(w, r, fmt.Sprintf(`{"model": {"name": %q, "description": ""}}`, k.model))
	})
	k.Server = httptest.NewServer(mux)
	t.Cleanup(k.Close)
	return k
}

func (k *limitsKeystone) issue(w http.ResponseWriter, r *http.Request) {
	var body any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text, _ := json.Marshal(body)
	const want = `{"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"id":"default"},"name":"limiter","password":"pw"}}},"scope":{"system":{"all":true}}}}`
	if string(text) != want {
		http.Error(w, "log-in is "+string(text), http.StatusUnauthorized)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.logins++
	k.expired = false
	w.Header().Set("X-Subject-Token", "own-token")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"token": {"expires_at": %q, "user": {"id": "u"}}}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

func (k *limitsKeystone) answer(w http.ResponseWriter, r *http.Request, body string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.expired || r.Header.Get("X-Auth-Token") != "own-token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	k.requests = append(k.requests, strings.TrimPrefix(r.URL.RequestURI(), "/v3"))
	fmt.Fprint(w, body)
}

func (k *limitsKeystone) limits(t *testing.T, e keystone.Endpoint) *keystone.Limits {
	t.Helper()
	l, err := keystone.NewLimits(keystone.Options{AuthURL: k.URL, Username: "limiter", Password: "pw", UserDomainID: "default", System: true}, e)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLimits(t *testing.T) {
	k := newLimitsKeystone(t)
	l := k.limits(t, keystone.Endpoint{ID: "e1"})
	for project, want := range map[string]map[glance.Resource]int64{
		"p1": {glance.ImageSizeTotal: 20, glance.ImageCountTotal: 5},
		"p3": {glance.ImageSizeTotal: 1000, glance.ImageCountTotal: 5},
		"":   {glance.ImageSizeTotal: 1000, glance.ImageCountTotal: 5},
	} {
		got, err := l.Limits(t.Context(), project)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Limits(%q) (-want +got):\n%s", project, diff)
		}
	}
	k.mu.Lock()
	k.expired, k.requests = true, nil
	k.mu.Unlock()
	if _, err := l.Limits(t.Context(), "p1"); err != nil {
		t.Errorf("with a token that expired: %v", err)
	}
	// What is registered where does not change, and is not asked again.
	want := []string{"/registered_limits?region_id=RegionOne&service_id=s1", "/limits?project_id=p1&region_id=RegionOne&service_id=s1"}
	if diff := cmp.Diff(want, k.requests); diff != "" || k.logins != 2 {
		t.Errorf("%d log-ins, requests (-want +got):\n%s", k.logins, diff)
	}
}

func TestLimitsOfAnEndpointByName(t *testing.T) {
	k := newLimitsKeystone(t)
	l := k.limits(t, keystone.Endpoint{ServiceType: "image", ServiceName: "glance", Region: "RegionOne", Interface: "internalURL"})
	if _, err := l.Limits(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	want := []string{"/limits/model", "/services?name=glance&type=image", "/endpoints?interface=internal&region_id=RegionOne&service_id=s1",
		"/registered_limits?region_id=RegionOne&service_id=s1"}
	if diff := cmp.Diff(want, k.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestLimitsFail(t *testing.T) {
	k := newLimitsKeystone(t)
	if _, err := k.limits(t, keystone.Endpoint{ID: "e2"}).Limits(t.Context(), "p1"); err == nil || !strings.Contains(err.Error(), "/v3/endpoints/e2: 404") {
		t.Errorf("limits of an endpoint that there is not: %v", err)
	}
	k.model = "strict-two-level"
	if _, err := k.limits(t, keystone.Endpoint{ID: "e1"}).Limits(t.Context(), "p1"); err == nil || !strings.Contains(err.Error(), `"strict-two-level" is not supported`) {
		t.Errorf("limits in another model: %v", err)
	}
	if _, err := keystone.NewLimits(keystone.Options{AuthURL: k.URL, Username: "u", Password: "p", System: true}, keystone.Endpoint{}); err == nil {
		t.Error("limits of no endpoint: no error")
	}
	l := k.limits(t, keystone.Endpoint{ID: "e1"})
	k.Close()
	if _, err := l.Limits(t.Context(), "p1"); err == nil {
		t.Error("limits without a Keystone: no error")
	}
}
