package service_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"glancectl/service"
)

// limited is a Keystone with unified limits in front of one without.
type limited struct {
	mu     sync.Mutex
	limits map[string]int // of p-alice
}

func (l *limited) set(name string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits[name] = n
}

func (l *limited) start(t *testing.T) *httptest.Server {
	t.Helper()
	inner, err := url.Parse(fakeKeystone(t, false).URL)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(inner))
	answer := func(pattern string, doc func(r *http.Request) any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Auth-Token") != "service-token" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if err := json.NewEncoder(w).Encode(doc(r)); err != nil {
				t.Error(err)
			}
		})
	}
	answer("GET /v3/limits/model", func(*http.Request) any { return map[string]any{"model": map[string]string{"name": "flat"}} })
	answer("GET /v3/endpoints/image-endpoint", func(*http.Request) any {
		return map[string]any{"endpoint": map[string]any{"service_id": "s", "region_id": nil}}
	})
	answer("GET /v3/registered_limits", func(*http.Request) any {
		all := []map[string]any{}
		for _, name := range []string{"image_size_total", "image_stage_total", "image_count_total", "image_count_uploading"} {
			all = append(all, map[string]any{"resource_name": name, "default_limit": 100})
		}
		return map[string]any{"registered_limits": all}
	})
	answer("GET /v3/limits", func(r *http.Request) any {
		all := []map[string]any{}
		for name, n := range l.limits {
			if r.URL.Query().Get("project_id") == "p-alice" {
				all = append(all, map[string]any{"resource_name": name, "resource_limit": n, "project_id": "p-alice"})
			}
		}
		return map[string]any{"limits": all}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestUnifiedLimits(t *testing.T) {
	s := newSite(t)
	l := &limited{limits: map[string]int{"image_count_total": 1}}
	keystone := l.start(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", tokenOptions(keystone.URL)+`
[oslo_limit]
auth_url = `+keystone.URL+`
username = glance
password = pa$$word
system_scope = all
user_domain_id = default
endpoint_id = image-endpoint
[DEFAULT]
use_keystone_limits = True
`)}})
	alice := []string{"X-Auth-Token", "alice", "Accept", "application/json"}
	d.create(imageA, strings.Repeat("x", 2<<20), alice...)
	d.want(413, `The response body:\nProject p-alice is over a limit for [Resource image_count_total is over limit of 1 due to current usage 1 and delta 1]`,
		"POST", "/v2/images", `{}`, alice...)
	d.want(201, "", "POST", "/v2/images", `{}`, "X-Auth-Token", "bob")
	l.set("image_count_total", 10)
	l.set("image_size_total", 1)
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageB+`", "disk_format": "raw", "container_format": "bare"}`, alice...)
	d.want(413, "image_size_total is over limit of 1 due to current usage 2 and delta 0", "PUT", "/v2/images/"+imageB+"/file", "x",
		append(alice, "Content-Type", "application/octet-stream")...)
	d.want(200, `{"usage": {"image_size_total": {"limit": 1, "usage": 2}, "image_stage_total": {"limit": 100, "usage": 0}, `+
		`"image_count_total": {"limit": 10, "usage": 2}, "image_count_uploading": {"limit": 100, "usage": 0}}}`, "GET", "/v2/info/usage", "", alice...)
	d.want(200, `"image_count_total": {"limit": 100, "usage": 1}`, "GET", "/v2/info/usage", "", "X-Auth-Token", "bob")
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		d.want(404, "", method, "/v2/info/usage", "", alice...)
	}
	const third = "0f6f4c0e-1111-4000-8000-00000000000c"
	d.want(413, "image_size_total is over limit of 1 due to current usage 2 and delta 0", "POST", "/v1/images", "x", described(third)...)
	d.v1status(third, "killed")
	keystone.Close() // tokens are remembered, limits are not
	d.want(500, "The server has either erred", "POST", "/v2/images", `{}`, alice...)
	if strings.Contains(d.log.String(), "pa$word") {
		t.Error("the log has the password")
	}
}

func TestStorageQuota(t *testing.T) {
	s := newSite(t)
	keystone := fakeKeystone(t, false)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nuser_storage_quota = 1KB\nimage_size_cap = 900\nimage_tag_quota = 0\n"+tokenOptions(keystone.URL))}})
	d.create(imageA, strings.Repeat("x", 600), "X-Auth-Token", "alice")
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageB+`", "disk_format": "raw", "container_format": "bare"}`, "X-Auth-Token", "alice")
	put := func(n int, want string) {
		t.Helper()
		d.want(413, want, "PUT", "/v2/images/"+imageB+"/file", strings.Repeat("x", n), "X-Auth-Token", "alice", "Content-Type", "application/octet-stream")
	}
	put(500, "Image exceeds the storage quota: The size of the data 500 will exceed the limit. 424 bytes remaining.")
	put(1000, "Image exceeds the storage quota: The size of the data 1000 will exceed the limit. 424 bytes remaining.")
	d.want(200, `{"usage": {}}`, "GET", "/v2/info/usage", "", "X-Auth-Token", "alice")
	d.want(413, "The limit has been exceeded on the number of allowed image tags. Attempted: 1, Maximum: 0", "POST", "/v2/images", `{"tags": ["a"]}`, "X-Auth-Token", "alice")
	const bobs = "0f6f4c0e-2222-4000-8000-00000000000c"
	d.want(201, "", "POST", "/v2/images", `{"id": "`+bobs+`", "disk_format": "raw", "container_format": "bare"}`, "X-Auth-Token", "bob")
	d.want(413, "The incoming image is too large: The provided image is too large.", "PUT", "/v2/images/"+bobs+"/file", strings.Repeat("x", 950),
		"X-Auth-Token", "bob", "Content-Type", "application/octet-stream")
	d.want(204, "", "PUT", "/v2/images/"+bobs+"/file", strings.Repeat("x", 800), "X-Auth-Token", "bob", "Content-Type", "application/octet-stream")
	if a := d.call("GET", "/v2/images/"+imageB, "", "X-Auth-Token", "alice"); !strings.Contains(a.body, `"status": "queued"`) {
		t.Errorf("after refused uploads: %s", a.body)
	}
}
