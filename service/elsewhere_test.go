package service_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"glancectl/service"
)

// A front is the URL that a service is reached by: it exists before the service
// has an address, and can be led elsewhere.
type front struct {
	*httptest.Server
	mu    sync.Mutex
	to    http.Handler
	asked []string // method and token
}

func newFront(t *testing.T) *front {
	f := new(front)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.Method+" "+r.Header.Get("X-Auth-Token"))
		to := f.to
		f.mu.Unlock()
		to.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) lead(to http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = to
}

func (f *front) leadTo(d *daemon) {
	u, err := url.Parse(d.url)
	if err != nil {
		d.t.Fatal(err)
	}
	f.lead(httputil.NewSingleHostReverseProxy(u))
}

// What is staged with one service can be imported and deleted through another
// one: the request is passed on with the caller's token.
func TestStagedElsewhere(t *testing.T) {
	s := newSite(t)
	keystone := tokenOptions(fakeKeystone(t, false).URL)
	fronts := []*front{newFront(t), newFront(t)}
	var services []*daemon
	for i, name := range []string{"one", "two"} {
		conf := s.conf(name, "[DEFAULT]\nworker_self_reference_url = "+fronts[i].URL+"/\nnode_staging_uri = file://DIR/"+name+"\n"+keystone)
		d := start(t, service.RunAPI, service.Options{Files: []string{conf}})
		fronts[i].leadTo(d)
		services = append(services, d)
	}
	one, two := services[0], services[1]
	token := []string{"X-Auth-Token", "alice"}
	stage := func(id string) {
		t.Helper()
		one.want(201, "", "POST", "/v2/images", `{"id": "`+id+`", "disk_format": "raw", "container_format": "bare"}`, token...)
		one.want(204, "", "PUT", "/v2/images/"+id+"/stage", "staged", "Content-Type", "application/octet-stream", "X-Auth-Token", "alice")
	}
	staged := func() int {
		t.Helper()
		files, err := filepath.Glob(s.path("one") + "/[0-9a-f]*")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	const direct = `{"method": {"name": "glance-direct"}}`

	stage(imageA)
	two.want(404, "", "POST", "/v2/images/"+imageA+"/import", direct, "X-Auth-Token", "bob")
	two.want(404, "", "DELETE", "/v2/images/"+imageA, "", "X-Auth-Token", "bob")
	if len(fronts[0].asked) != 0 {
		t.Errorf("requests of somebody who may not make them are passed on: %q", fronts[0].asked)
	}
	two.want(202, "", "POST", "/v2/images/"+imageA+"/import", direct, token...)
	eventually(t, "the import to end", func() bool {
		return two.call("GET", "/v2/images/"+imageA+"/file", "", token...).body == "staged"
	})
	eventually(t, "the staged data to go", func() bool { return staged() == 0 })

	stage(imageB)
	if n := staged(); n != 1 {
		t.Errorf("%d files are staged; want one", n)
	}
	two.want(204, "", "DELETE", "/v2/images/"+imageB, "", token...)
	one.want(404, "", "GET", "/v2/images/"+imageB, "", token...)
	if n := staged(); n != 0 {
		t.Errorf("%d files are staged after the delete; want none", n)
	}
	if got := fronts[0].asked; len(got) != 2 || got[0] != "POST alice" || got[1] != "DELETE alice" {
		t.Errorf("the first service was asked %q; want POST and DELETE with the token of alice", got)
	}
	if len(fronts[1].asked) != 0 {
		t.Errorf("the second service was asked %q", fronts[1].asked)
	}
}

// A service that refuses is heard, one that is wrong or away is answered for,
// and keeps no image from being deleted.
func TestStagedWithNobody(t *testing.T) {
	s := newSite(t)
	away := newFront(t)
	one := start(t, service.RunAPI, service.Options{Files: []string{s.conf("one", "[DEFAULT]\npublic_endpoint = "+away.URL+"\nnode_staging_uri = file://DIR/one\n")}})
	two := start(t, service.RunAPI, service.Options{Files: []string{s.conf("two", "[DEFAULT]\nnode_staging_uri = file://DIR/two\n")}})
	one.draft(imageA)
	one.stage(imageA, "staged")
	const direct = `{"method": {"name": "glance-direct"}}`
	answer := func(code int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	for _, test := range []struct {
		what         string
		to           http.Handler
		imports, del int
	}{
		{"refuses", answer(409), 409, 409},
		{"wants to be asked elsewhere", http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound), 400, 400},
	} {
		away.lead(test.to)
		two.want(test.imports, "", "POST", "/v2/images/"+imageA+"/import", direct)
		two.want(test.del, "", "DELETE", "/v2/images/"+imageA, "")
		two.want(200, `"status": "uploading"`, "GET", "/v2/images/"+imageA, "")
	}
	away.leadTo(two) // which is asked, and asked by itself
	two.want(502, "", "POST", "/v2/images/"+imageA+"/import", direct)
	if n := len(away.asked); n != 5 {
		t.Errorf("the front was asked %d times; want 5, the last time once", n)
	}
	away.Close()
	two.want(504, "Stage host is unavailable", "POST", "/v2/images/"+imageA+"/import", direct)
	two.want(200, `"status": "uploading"`, "GET", "/v2/images/"+imageA, "")
	two.want(204, "", "DELETE", "/v2/images/"+imageA, "")
	two.want(404, "", "GET", "/v2/images/"+imageA, "")
}
