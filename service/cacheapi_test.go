package service_test

import (
	"encoding/json"
	"strings"
	"testing"

	"glancectl/service"
)

// cacheState is what GET /v2/cache answers.
type cacheState struct {
	Cached []struct {
		ID       string  `json:"image_id"`
		Hits     int     `json:"hits"`
		Size     int     `json:"size"`
		Accessed float64 `json:"last_accessed"`
		Modified float64 `json:"last_modified"`
	} `json:"cached_images"`
	Queued []string `json:"queued_images"`
}

func (d *daemon) cacheState() (c cacheState) {
	d.t.Helper()
	a := d.want(200, "", "GET", "/v2/cache", "", "X-Auth-Token", "admin")
	if err := json.Unmarshal([]byte(a.body), &c); err != nil {
		d.t.Fatalf("GET /v2/cache = %s: %v", a.body, err)
	}
	return c
}

func TestCacheAPI(t *testing.T) {
	s := newSite(t)
	keystone := fakeKeystone(t, false)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", tokenOptions(keystone.URL))}})
	d.want(300, `{"id": "v2.16", "status": "`, "GET", "/", "")
	d.want(300, `{"id": "v2.14", "status": "`, "GET", "/", "")
	admin, json := []string{"X-Auth-Token", "admin"}, []string{"X-Auth-Token", "admin", "Accept", "application/json"}
	d.create(imageA, "data", "X-Auth-Token", "alice")
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageB+`"}`, "X-Auth-Token", "alice")
	d.want(200, `{"cached_images": [], "queued_images": []}`, "GET", "/v2/cache", "", admin...)

	for _, call := range []string{"GET /v2/cache", "DELETE /v2/cache", "PUT /v2/cache/" + imageA, "DELETE /v2/cache/" + imageA} {
		method, path, _ := strings.Cut(call, " ")
		d.want(403, "You are not authorized to complete cache_", method, path, "", "X-Auth-Token", "alice")
		d.want(401, "", method, path, "")
	}
	const nobody = "0f6f4c0e-2222-4000-8000-00000000000c"
	d.want(404, "Image "+nobody+" not found.", "PUT", "/v2/cache/"+nobody, "", json...)
	d.want(404, "Image nope not found.", "PUT", "/v2/cache/nope", "", json...)
	d.want(404, "Image "+nobody+" not found.", "DELETE", "/v2/cache/"+nobody, "", json...)
	d.want(400, "Only images with status active can be targeted for queueing", "PUT", "/v2/cache/"+imageB, "", json...)
	d.want(400, "If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.", "DELETE", "/v2/cache", "",
		append(json, "x-image-cache-clear-target", "all")...)
	if a := d.want(405, "", "POST", "/v2/cache/"+imageA, "", admin...); a.header.Get("Allow") != "DELETE, PUT" {
		t.Errorf("Allow = %s", a.header.Get("Allow"))
	}
	d.want(204, "", "DELETE", "/v2/cache/"+imageA, "", admin...) // nothing to do

	d.want(202, "", "PUT", "/v2/cache/"+imageA, "", admin...)
	eventually(t, "the image to be cached", func() bool { return len(d.cacheState().Cached) == 1 })
	c := d.cacheState()
	if e := c.Cached[0]; e.ID != imageA || e.Size != 4 || e.Accessed == 0 || e.Modified == 0 || len(c.Queued) != 0 {
		t.Errorf("GET /v2/cache = %+v", c)
	}
	d.want(204, "", "DELETE", "/v2/cache", "", append(admin, "x-image-cache-clear-target", "queue")...)
	if c := d.cacheState(); len(c.Cached) != 1 {
		t.Errorf("emptying the queue leaves %+v", c)
	}
	d.want(204, "", "DELETE", "/v2/cache", "", admin...)
	s.write("cache/queue/"+imageA, "") // it waits for the prefetcher
	d.want(202, "", "PUT", "/v2/cache/"+imageA, "", admin...)
	eventually(t, "the image to be cached again", func() bool { return len(d.cacheState().Cached) == 1 })
	d.want(202, "", "PUT", "/v2/cache/"+imageA, "", admin...) // it is there
	s.write("cache/queue/"+imageB, "")
	d.want(204, "", "DELETE", "/v2/cache", "", append(admin, "x-image-cache-clear-target", "Cache")...)
	if c := d.cacheState(); len(c.Cached) != 0 || len(c.Queued) != 1 {
		t.Errorf("emptying the cache leaves %+v", c)
	}
	d.want(204, "", "DELETE", "/v2/cache", "", admin...)
	s.write("cache/queue/"+nobody, "") // of an image that is gone
	d.want(204, "", "DELETE", "/v2/cache/"+nobody, "", admin...)
	if c := d.cacheState(); len(c.Cached)+len(c.Queued) != 0 {
		t.Errorf("emptying both leaves %+v", c)
	}
}

// The rules of each call can be given to others.
func TestCachePolicy(t *testing.T) {
	s := newSite(t)
	s.write("policy.yaml", "cache_list: role:member\ncache_image: project_id:%(owner)s\n")
	d := s.api("")
	d.create(imageA, "data", "X-Auth-Token", "alice")
	d.want(200, "", "GET", "/v2/cache", "", "X-Auth-Token", "bob")
	d.want(202, "", "PUT", "/v2/cache/"+imageA, "", "X-Auth-Token", "alice")
	d.want(404, "", "PUT", "/v2/cache/"+imageA, "", "X-Auth-Token", "bob")
	d.want(403, "", "DELETE", "/v2/cache/"+imageA, "", "X-Auth-Token", "alice")
	eventually(t, "the image to be cached", func() bool { return len(d.cacheState().Cached) == 1 })
}

func TestNoCacheAPI(t *testing.T) {
	s := newSite(t)
	keystone := fakeKeystone(t, false)
	conf := s.conf("api", tokenOptions(keystone.URL))
	d := start(t, service.RunAPI, service.Options{Files: []string{conf, s.write("off.conf", "[DEFAULT]\nimage_cache_dir =\n")}})
	d.create(imageA, "data", "X-Auth-Token", "alice")
	for _, call := range []string{"GET /v2/cache", "DELETE /v2/cache", "PUT /v2/cache/" + imageA, "DELETE /v2/cache/" + imageA} {
		method, path, _ := strings.Cut(call, " ")
		d.want(404, "Caching via API is not supported at this site.", method, path, "", "X-Auth-Token", "admin")
		d.want(403, "", method, path, "", "X-Auth-Token", "alice")
	}
	if a := d.want(300, "", "GET", "/", ""); strings.Contains(a.body, "v2.14") || strings.Contains(a.body, "v2.16") {
		t.Errorf("the versions without a cache: %s", a.body)
	}
}
