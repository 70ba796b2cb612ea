package service_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestCacheHits downloads an image from the cache, through both versions: the
// store has no data any more. Who may have it is asked each time, and parts are
// to be had as from a store.
func TestCacheHits(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, open func(string) *daemon) {
		s.write("policy.yaml", "download_image: role:member and not 'secret':%(name)s\n")
		d := open("[paste_deploy]\nflavor = keystone+caching\n")
		d.create(imageA, "0123456789", as("alice")...)
		v1, v2 := "/v1/images/"+imageA, "/v2/images/"+imageA+"/file"
		d.want(200, "0123456789", "GET", v1, "", as("alice")...)
		eventually(t, "the image to be cached", func() bool { return s.exists("cache", imageA) })
		if err := os.Remove(s.path("images", imageA)); err != nil {
			t.Fatal(err)
		}
		both := func(when string, code1, code2 int, who string) {
			t.Helper()
			if a := d.call("GET", v1, "", as(who)...); a.code != code1 || (a.code == 200) != (a.body == "0123456789") {
				t.Errorf("%s %s is answered %d %s by version 1; want %d", when, who, a.code, a.body, code1)
			}
			if a := d.call("GET", v2, "", as(who)...); a.code != code2 || (a.code == 200) != (a.body == "0123456789") {
				t.Errorf("%s %s is answered %d %s by version 2; want %d", when, who, a.code, a.body, code2)
			}
		}
		both("at first", 200, 200, "alice")
		both("at first", 403, 403, "rita") // a reader of the project
		both("at first", 404, 404, "bob")
		a := d.want(200, "0123456789", "GET", v1, "", as("alice")...)
		for name, want := range map[string]string{"Etag": "781e5e245d69b566979b86e28d23f2c7", "Content-Length": "10", "Content-Type": octets,
			"X-Image-Meta-Size": "10", "X-Image-Meta-Status": "active", "X-Image-Meta-Location": ""} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s of what comes from the cache = %q; want %q", name, got, want)
			}
		}
		for _, test := range []struct{ asked, body, told string }{
			{"bytes=2-4", "234", "bytes 2-4/10"},
			{"bytes=7-", "789", "bytes 7-9/10"},
			{"bytes=-2", "89", "bytes 8-9/10"},
			{"bytes=8-99", "89", "bytes 8-9/10"},
		} {
			a := d.want(206, "", "GET", v2, "", as("alice", "Range", test.asked)...)
			if a.body != test.body || a.header.Get("Content-Range") != test.told || a.header.Get("Content-Length") != fmt.Sprint(len(test.body)) {
				t.Errorf("%s = %q, %s; want %q, %s", test.asked, a.body, a.header.Get("Content-Range"), test.body, test.told)
			}
		}
		d.want(416, "", "GET", v2, "", as("alice", "Range", "bytes=10-")...)
		d.want(404, "", "GET", v2, "", as("bob", "Range", "bytes=2-4")...)
		d.want(403, "", "GET", v2, "", as("rita", "Range", "bytes=2-4")...)

		d.want(200, "", "POST", "/v2/images/"+imageA+"/members", `{"member": "p-bob"}`, as("alice")...)
		both("shared", 200, 200, "bob")
		d.want(204, "", "DELETE", "/v2/images/"+imageA+"/members/p-bob", "", as("alice")...)
		both("not shared any more", 404, 404, "bob")

		d.patch(200, "", "alice", imageA, "replace", "name", "secret")
		both("with another name", 403, 403, "alice")
		d.patch(200, "", "alice", imageA, "replace", "name", "open")
		both("with a third name", 200, 200, "alice")

		d.want(204, "", "POST", "/v2/images/"+imageA+"/actions/deactivate", "", as("admin")...)
		both("deactivated", 403, 403, "alice")
		d.want(204, "", "POST", "/v2/images/"+imageA+"/actions/reactivate", "", as("admin")...)
		both("reactivated", 200, 200, "alice")
		d.want(200, "", "DELETE", v1, "", as("alice")...)
		both("deleted", 404, 404, "alice")
	})
}

// TestV1CacheAPI manages the cache through version 1.
func TestV1CacheAPI(t *testing.T) {
	s := newSite(t)
	d := s.api("[paste_deploy]\nflavor = keystone+cachemanagement\n")
	for _, id := range []string{imageA, imageB} {
		d.create(id, "data", as("alice")...)
	}
	for _, call := range []string{
		"GET cached_images", "DELETE cached_images", "DELETE cached_images/" + imageA,
		"GET queued_images", "DELETE queued_images", "DELETE queued_images/" + imageA, "PUT queued_images/" + imageA,
	} {
		method, path, _ := strings.Cut(call, " ")
		d.want(403, "Access was denied to this resource.", method, "/v1/"+path, "", as("alice")...)
		d.want(401, "", method, "/v1/"+path, "")
	}
	is := func(code int, want, method, path string) {
		t.Helper()
		if a := d.want(code, want, method, path, "", as("admin")...); code == 200 && (a.body != want || a.header.Get("Content-Type") != "application/json") {
			t.Errorf("%s %s = %s, %s; want %s", method, path, a.body, a.header.Get("Content-Type"), want)
		}
	}
	is(200, `{"queued_images": []}`, "GET", "/v1/queued_images")
	is(200, "null", "PUT", "/v1/queued_images/"+imageA)
	is(200, "null", "PUT", "/v1/queued_images/"+imageA)
	is(200, "null", "PUT", "/v1.1/queued_images/"+imageB)
	is(200, `{"queued_images": ["`+imageA+`", "`+imageB+`"]}`, "GET", "/v1.0/queued_images")
	is(200, "null", "DELETE", "/v1/queued_images/"+imageA)
	is(200, "null", "DELETE", "/v1/queued_images/"+imageA)
	is(200, `{"queued_images": ["`+imageB+`"]}`, "GET", "/v1/queued_images")
	is(200, `{"num_deleted": 1}`, "DELETE", "/v1/queued_images")
	is(200, `{"num_deleted": 0}`, "DELETE", "/v1/queued_images")
	is(404, "", "PUT", "/v1/queued_images/nonsense")
	is(404, "", "PUT", "/v1/cached_images/"+imageA)
	is(404, "", "POST", "/v1/queued_images")

	is(200, `{"cached_images": []}`, "GET", "/v1/cached_images")
	for _, id := range []string{imageA, imageB} {
		d.want(200, "data", "GET", "/v1/images/"+id, "", as("alice")...)
	}
	eventually(t, "both to be cached", func() bool { return s.exists("cache", imageA) && s.exists("cache", imageB) })
	is(200, "null", "DELETE", "/v1/cached_images/"+imageA)
	is(200, "null", "DELETE", "/v1/cached_images/"+imageA)
	is(200, "null", "DELETE", "/v1/cached_images/nonsense")
	a := d.want(200, `{"cached_images": [{"image_id": "`+imageB+`", "hits": 0, "last_accessed": `, "GET", "/v1.1/cached_images", "", as("admin")...)
	if strings.Contains(a.body, imageA) || s.exists("cache", imageA) || !s.exists("cache", imageB) {
		t.Errorf("after one was deleted the cache has %s", a.body)
	}
	is(200, `{"num_deleted": 1}`, "DELETE", "/v1/cached_images")
	is(200, `{"num_deleted": 0}`, "DELETE", "/v1/cached_images")
}
