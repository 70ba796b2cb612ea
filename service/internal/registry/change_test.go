package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
	"glancectl/service/internal/registry"
)

// A step is a request and what comes of it.
type step struct {
	as           glance.Caller
	method, path string
	body         string
	purge        bool
	code         int
	want         string // of the answer: part of a page, all of a short body, or fields of an image
}

// walk makes the requests, one after the other.
func walk(t *testing.T, h http.Handler, steps []step) {
	t.Helper()
	for _, s := range steps {
		r := httptest.NewRequest(s.method, s.path, strings.NewReader(s.body))
		if s.purge {
			r.Header.Set("X-Glance-Registry-Purge-Props", "true")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(glance.WithCaller(r.Context(), s.as)))
		if w.Code != s.code {
			t.Errorf("%s %s %s = %d %s; want %d", s.method, s.path, s.body, w.Code, w.Body, s.code)
			continue
		}
		var one struct{ Image map[string]any }
		if json.Unmarshal(w.Body.Bytes(), &one) != nil || one.Image == nil {
			if got := withoutMarkup(w.Body.String()); !strings.Contains(got, s.want) || (s.want == "") != (got == "") {
				t.Errorf("%s %s %s = %s; want %s", s.method, s.path, s.body, got, s.want)
			}
			continue
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(s.want), &want); err != nil {
			t.Fatalf("%s %s: %q: %v", s.method, s.path, s.want, err)
		}
		got := make(map[string]any)
		for name := range want {
			got[name] = one.Image[name]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s %s (-want +got):\n%s", s.method, s.path, s.body, diff)
		}
	}
}

// newHandler returns a registry with no images and IDs that count up.
func newHandler() (*registry.Handler, *memory.Catalog) {
	c, n := new(memory.Catalog), 0
	return registry.New(c, registry.Options{NewID: func() glance.ID { n++; return id(n) }}), c
}

func at(n int) string { return "/images/" + string(id(n)) }

func TestCreate(t *testing.T) {
	h, _ := newHandler()
	walk(t, h, []step{
		{t1, "POST", "/images", `{"image": {"name": "a", "size": "3", "owner": "t9", "is_public": true, "properties": {"x": 1, "y": "z"}, "deleted": true, "nonsense": []}}`, false, 200,
			`{"status": "active", "owner": "t1", "size": 3, "is_public": true, "deleted": false, "properties": {"x": "1", "y": "z"}, "location": null, "location_data": []}`},
		{admin, "POST", "/images", `{"image": {"status": "queued", "owner": "t9", "location": "file:///x"}}`, false, 200,
			`{"status": "queued", "owner": "t9", "name": null, "is_public": false, "location": "file:///x"}`},
		{admin, "POST", "/images", `{"image": {"owner": null, "location": "b://1", "location_data": [{"url": "a://1", "metadata": {}, "status": "active"}, {"url": "b://1", "metadata": {"k": "v"}, "status": "active"}]}}`, false, 200,
			`{"owner": null, "location": "b://1"}`},
		{t1, "POST", "/images", `{"image": {"id": "` + string(id(1)) + `"}}`, false, 409, "Image with identifier " + string(id(1)) + " already exists!"},
		{t1, "POST", "/images", `{"image": {"id": "x"}}`, false, 400, "Invalid image id format"},
		{t1, "POST", "/images", `{"image": {"status": "x"}}`, false, 400, "Failed to add image metadata. Got error: Invalid image status 'x' for image."},
		{t1, "POST", "/images", `{"image": {"size": -1}}`, false, 400, "Invalid value '-1' for parameter 'size'."},
		{t1, "POST", "/images", `{"image": {"min_ram": 2147483648}}`, false, 400, "min_ram"},
		{t1, "POST", "/images", `{"image": {"name": "` + strings.Repeat("x", 256) + `"}}`, false, 400, "name is longer than 255 characters."},
		{t1, "POST", "/images", `{"image": {"is_public": true, "visibility": "public"}}`, false, 400, "not permissiable"},
		{t1, "POST", "/images", `{"image": {"visibility": "secret"}}`, false, 400, "Invalid visibility 'secret'"},
		{t1, "POST", "/images", `{"image": {"properties": 7}}`, false, 400, "Properties"},
		{t1, "POST", "/images", `{"image": {"location_data": [{}]}}`, false, 400, "A location has no url."},
		{t1, "POST", "/images", `{"image": 1}`, false, 400, "Malformed JSON"},
		{t1, "POST", "/images", `[]`, false, 400, "Malformed JSON"},
		{t1, "POST", "/images", ``, false, 400, "Malformed JSON"},
		{t1, "POST", "/images", `{"image": {"name": "` + strings.Repeat("x", 5<<20) + `"}}`, false, 413, "too large"},
		{glance.Caller{Anonymous: true}, "POST", "/images", `{"image": {}}`, false, 401, "401"},
	})
	if got := list(t, h, admin, "/images?is_public=None&sort_key=id&sort_dir=asc"); len(got) != 3 {
		t.Errorf("there are images %v; want 3", got)
	}
}

func TestUpdate(t *testing.T) {
	h, c := newHandler()
	walk(t, h, []step{
		{t1, "POST", "/images", `{"image": {"status": "queued", "name": "n", "properties": {"a": "1", "b": "2"}}}`, false, 200, `{"status": "queued"}`},
		{t1, "PUT", at(1), `{"image": {"name": "m", "owner": "t2", "properties": {"b": "3"}}}`, false, 200, `{"name": "m", "owner": "t1", "properties": {"a": "1", "b": "3"}}`},
		{t1, "PUT", at(1), `{"image": {"properties": {"c": "4"}}}`, true, 200, `{"name": "m", "properties": {"c": "4"}}`},
		{t1, "PUT", at(1), `{"image": {"name": null}}`, true, 200, `{"name": null, "properties": {"c": "4"}}`},
		{t1, "PUT", at(1), `{"image": {"status": "saving"}, "from_state": "queued"}`, false, 200, `{"status": "saving"}`},
		{t1, "PUT", at(1), `{"image": {"status": "saving"}, "from_state": "queued"}`, false, 409, "Image operation conflicts"},
		{t1, "PUT", at(1), `{"image": {"status": "active", "location": "s://1", "location_data": [{"url": "s://1", "metadata": {"a": "b"}, "status": "active"}], "os_hash_algo": "md5"}, "from_state": "saving"}`, false, 200, `{"status": "active", "location": "s://1"}`},
		{t1, "PUT", at(1), `{"image": {"min_disk": 7}}`, false, 200, `{"min_disk": 7, "location": "s://1"}`},
		{t1, "PUT", at(1), `{"image": {"status": "y"}}`, false, 400, "Failed to update image metadata."},
		{t2, "PUT", at(1), `{"image": {"name": "x"}}`, false, 404, "Image not found"},
		{t2, "PUT", at(9), `{"image": {"name": "x"}}`, false, 404, "Image not found"},
		{t2, "PUT", "/images/x", `{"image": {"name": "x"}}`, false, 404, "Image not found"},
		{admin, "PUT", at(1), `{"image": {"is_public": true, "owner": "t3"}}`, false, 200, `{"is_public": true, "owner": "t3"}`},
		{t2, "PUT", at(1), `{"image": {"name": "x"}}`, false, 403, "Access was denied to this resource."},
		{t2, "DELETE", at(1), "", false, 403, "Access was denied to this resource."},
	})
	im, err := c.Get(t.Context(), id(1), false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]glance.Location{{URL: "s://1", Metadata: map[string]string{"a": "b"}, Status: glance.Active}}, im.Locations); diff != "" || *im.HashAlgo != "md5" {
		t.Errorf("hash %s, locations (-want +got):\n%s", *im.HashAlgo, diff)
	}
}

// TestDelete deletes in the steps in which an API does, and in one.
func TestDelete(t *testing.T) {
	h, c := newHandler()
	for range 4 {
		walk(t, h, []step{{t1, "POST", "/images", `{"image": {"location": "s://1", "properties": {"a": "b"}}}`, false, 200, `{"status": "active"}`}})
	}
	status := func(n int) glance.Status {
		im, err := c.Get(t.Context(), id(n), true)
		if err != nil {
			t.Fatal(err)
		}
		return im.Status
	}
	walk(t, h, []step{
		{t1, "PUT", at(1), `{"image": {"status": "deleted"}}`, false, 200, `{"status": "deleted", "location": "s://1", "properties": {"a": "b"}}`},
		{t1, "GET", at(1), "", false, 404, "404"},
		{t2, "DELETE", at(1), "", false, 404, "404"},
		{t1, "PUT", at(1), `{"image": {"status": "active"}}`, false, 200, `{"status": "active", "location": "s://1", "properties": {"a": "b"}}`},
		{t1, "PUT", at(1), `{"image": {"status": "deleted"}}`, false, 200, `{"status": "deleted"}`},
		{t1, "DELETE", at(1), "", false, 200, `{"status": "deleted", "deleted": true, "location": null, "properties": {}}`},
		{t1, "DELETE", at(1), "", false, 404, "404"},
		{t1, "PUT", at(1), `{"image": {"status": "active"}}`, false, 404, "Image not found"},
		{admin, "GET", at(1), "", false, 200, `{"status": "deleted", "deleted": true}`},

		{t1, "PUT", at(2), `{"image": {"status": "pending_delete"}, "from_state": "active"}`, false, 200, `{"status": "pending_delete"}`},
		{t1, "DELETE", at(2), "", false, 200, `{"status": "pending_delete", "deleted": true}`},
		{admin, "GET", at(2), "", false, 200, `{"status": "pending_delete", "properties": {"a": "b"}}`},

		{t1, "DELETE", at(3), "", false, 200, `{"status": "active", "deleted": true}`},
		{t1, "DELETE", at(3), "", false, 404, "404"},
		{t2, "DELETE", at(4), "", false, 404, "404"},
		{t1, "DELETE", "/images/x", "", false, 404, "404"},
	})
	got := fmt.Sprint(status(1), " ", status(2), " ", status(3), " ", status(4))
	if want := "deleted pending_delete pending_delete active"; got != want {
		t.Errorf("the images are %s; want %s", got, want)
	}
}

func TestMembers(t *testing.T) {
	h, _ := newHandler()
	const none = `{"members": []}`
	walk(t, h, []step{
		{t1, "POST", "/images", `{"image": {}}`, false, 200, `{}`},
		{t1, "GET", at(1) + "/members", "", false, 200, none},
		{t2, "GET", at(1) + "/members", "", false, 404, "404"},
		{t1, "GET", at(9) + "/members", "", false, 404, "Image " + string(id(9)) + " not found"},
		{t2, "PUT", at(1) + "/members/t2", "", false, 404, "404"},
		{t1, "PUT", at(1) + "/members/t2", "", false, 204, ""},
		{t2, "PUT", at(1) + "/members/t3", "", false, 403, "No permission to share that image"},
		{t1, "PUT", at(1) + "/members/t2", `{"member": {"can_share": true}}`, false, 204, ""},
		{t1, "PUT", at(1) + "/members/t2", "", false, 204, ""},
		{t2, "GET", at(1) + "/members", "", false, 200, `{"members": [{"member_id": "t2", "can_share": true}]}`},
		{t2, "PUT", at(1) + "/members/t3", "", false, 204, ""},
		{t1, "PUT", at(1) + "/members/t3", `{}`, false, 400, "Invalid membership association: 'member'"},
		{t1, "PUT", at(1) + "/members/t3", `{"member": {}}`, false, 400, "Invalid membership association: 'can_share'"},
		{t1, "GET", "/shared-images/t2", "", false, 200, `{"shared_images": [{"image_id": "` + string(id(1)) + `", "can_share": true}]}`},
		{t2, "GET", "/shared-images/t3", "", false, 200, `{"shared_images": []}`},
		{t1, "PUT", at(1) + "/members", `{"memberships": [{"member_id": "t4", "can_share": true}, {"member_id": "t2"}, {"member_id": "t5"}]}`, false, 204, ""},
		{t1, "GET", at(1) + "/members", "", false, 200, `{"members": [{"member_id": "t2", "can_share": true}, {"member_id": "t4", "can_share": true}, {"member_id": "t5", "can_share": false}]}`},
		{t1, "PUT", at(1) + "/members", `{"memberships": [{"can_share": true}]}`, false, 400, "Invalid membership association: 'member_id'"},
		{t1, "PUT", at(1) + "/members", `{}`, false, 400, "Invalid membership association: 'memberships'"},
		{t1, "DELETE", at(1) + "/members/t5", "", false, 204, ""},
		{t1, "DELETE", at(1) + "/members/t5", "", false, 404, "Membership could not be found."},
		{t1, "PUT", at(1) + "/members", `{"memberships": []}`, false, 204, ""},
		{t1, "GET", at(1) + "/members", "", false, 200, none},
		{glance.Caller{UserID: "u"}, "PUT", at(1) + "/members/x", "", false, 401, "No authenticated user"},
	})
}
