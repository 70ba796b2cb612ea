package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
	"glancectl/service/internal/registry"

	"github.com/google/go-cmp/cmp"
)

var (
	admin = glance.Caller{UserID: "u0", ProjectID: "t1", Roles: []string{"admin"}, Admin: true}
	t1    = glance.Caller{UserID: "u1", ProjectID: "t1", Roles: []string{"member"}}
	t2    = glance.Caller{UserID: "u2", ProjectID: "t2", Roles: []string{"member"}}
)

func ptr[T any](v T) *T { return &v }

// id returns the n-th image ID.
func id(n int) glance.ID { return glance.ID(fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)) }

// newCatalog returns a catalog with images.
func newCatalog(t testing.TB, images ...*glance.Image) *memory.Catalog {
	t.Helper()
	c := new(memory.Catalog)
	for _, im := range images {
		if err := c.Create(context.Background(), im); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// send sends a request as caller; headers are given as name, value, ...
func send(h http.Handler, caller glance.Caller, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(glance.WithCaller(r.Context(), caller)))
	return w
}

// list returns the numbers of the images that a list shows.
func list(t *testing.T, h http.Handler, caller glance.Caller, target string) []int {
	t.Helper()
	w := send(h, caller, http.MethodGet, target)
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s = %d %s; want 200", target, w.Code, w.Body)
	}
	var body struct{ Images []struct{ ID string } }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("GET %s: %v", target, err)
	}
	numbers := []int{}
	for _, im := range body.Images {
		n, err := strconv.ParseInt(im.ID[:8], 16, 0)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, int(n))
	}
	return numbers
}

// recorded are the images that were there when testdata/recorded.txt was made.
func recorded() []*glance.Image {
	at := func(s string) time.Time {
		t, err := time.Parse("2006-01-02T15:04:05.999999", s)
		if err != nil {
			panic(err)
		}
		return t
	}
	return []*glance.Image{{
		ID: "019f7cff-c037-4a2d-bfc3-cde0bb11c455", Name: ptr("reg"), Status: glance.Queued, Owner: ptr("t1"),
		Visibility: glance.Shared, ContainerFormat: ptr("bare"), DiskFormat: ptr("raw"), Size: ptr(int64(3)),
		CreatedAt: at("2026-11-20T04:27:31.757402"), UpdatedAt: at("2026-11-20T04:27:31.757405"),
		Properties: map[string]string{"a": "b"},
		Locations:  []glance.Location{{ID: 4, URL: "file:///x", Status: glance.Active}},
	}, {
		ID: "7a0e2a92-1b44-4b1e-9721-c5f1fc4ea1f6", Name: ptr("resv"), Status: glance.Active, Owner: ptr("t1"),
		Visibility: glance.Shared, ContainerFormat: ptr("bare"), DiskFormat: ptr("raw"), Size: ptr(int64(3)),
		Checksum:  ptr("423993785f4b991f94a99188d042a09d"),
		CreatedAt: at("2026-11-20T04:27:31.357680"), UpdatedAt: at("2026-11-20T04:27:31.387747"),
		Locations: []glance.Location{{
			ID: 3, URL: "file:///var/lib/glance/images/7a0e2a92-1b44-4b1e-9721-c5f1fc4ea1f6", Status: glance.Active,
		}},
	}}
}

// inOrder is a catalog whose lists are always the same. The original ordered
// images that were made within one second.
type inOrder struct {
	*memory.Catalog
	images []*glance.Image
}

func (c inOrder) List(context.Context, glance.Query) ([]*glance.Image, error) { return c.images, nil }

var exchange = regexp.MustCompile(`(?m)^> (\S+) (\S+)\n< (\d+) (\S+) (\d+|-) ?(.*)\n(.*)$`)

func TestRecordedExchanges(t *testing.T) {
	file, err := os.ReadFile("testdata/recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	h := registry.New(inOrder{newCatalog(t, recorded()...), recorded()}, registry.Options{})
	all := exchange.FindAllStringSubmatch(string(file), -1)
	if len(all) != strings.Count(string(file), "\n> ") {
		t.Fatalf("read %d exchanges; want all", len(all))
	}
	for _, e := range all {
		method, path, code, kind, length, allow, want := e[1], e[2], e[3], e[4], e[5], e[6], e[7]
		w := send(h, admin, method, path, "Accept", "*/*")
		if got := strconv.Itoa(w.Code); got != code {
			t.Errorf("%s %s = %s; want %s", method, path, got, code)
		}
		got, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
		if got != kind {
			t.Errorf("%s %s: type is %s; want %s", method, path, got, kind)
		}
		if got := strconv.Itoa(w.Body.Len()); length != "-" && got != length || w.Header().Get("Content-Length") != got {
			t.Errorf("%s %s: %s bytes, Content-Length %s; want %s", method, path, got, w.Header().Get("Content-Length"), length)
		}
		if got := w.Header().Get("Allow"); got != allow {
			t.Errorf("%s %s: Allow is %q; want %q", method, path, got, allow)
		}
		body := w.Body.String()
		if kind == "text/html" {
			body = withoutMarkup(body)
		}
		if beginning, cut := strings.CutSuffix(want, "..."); cut {
			want, body = beginning, body[:min(len(body), len(beginning))]
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", method, path, diff)
		}
	}
}

var markup = regexp.MustCompile(`<[^>]*>`)

func withoutMarkup(s string) string {
	return strings.Join(strings.Fields(html.UnescapeString(markup.ReplaceAllString(s, " "))), " ")
}

const malformed = "The server could not comply with the request since it is either malformed or otherwise incorrect."

// The v1 API wraps the registry's plain text into an HTML page of its own,
// and the lengths of those pages were recorded.
func TestBadQueries(t *testing.T) {
	h := registry.New(newCatalog(t), registry.Options{})
	for _, test := range []struct {
		query, text, detail string
		wrapped             int // length of the page of the v1 API; 0 if it was not recorded
	}{
		{"limit=x", malformed, "limit param must be an integer", 275},
		{"limit=", malformed, "limit param must be an integer", 0},
		{"limit=-1", malformed, "limit param must be positive", 273},
		{"marker=x", "Invalid marker format", "", 169},
		{"marker=836c614d-2562-4a5f-9c04-685c0c3b938d", "Invalid marker. Image could not be found.", "", 189},
		{"sort_key=x", "Unsupported sort_key. Acceptable values: name, status, container_format, disk_format, size, id, created_at, updated_at", "", 266},
		{"sort_dir=x", "Unsupported sort_dir. Acceptable values: asc, desc", "", 198},
		{"changes-since=foo", malformed, "Unrecognized changes-since value", 277},
		{"size_min=x", malformed, "Bad value passed to filter size_min got x", 0},
		{"size_max=1.5", malformed, "Bad value passed to filter size_max got 1.5", 0},
		{"min_ram=x", malformed, "Bad value passed to filter min_ram got x", 0},
		{"min_disk=%3Cb%3E", malformed, "Bad value passed to filter min_disk got ", 0}, // text has no tags
		{"protected=x", malformed, "protected must be True, or False", 0},
		{"is_public=foo", malformed, "is_public must be None, True, or False", 0},
	} {
		for _, path := range []string{"/", "/images", "/images/detail"} {
			target := path + "?" + test.query
			w := send(h, admin, http.MethodGet, target, "Accept", "text/plain")
			want := "400 Bad Request\n\n" + test.text + "\n\n   "
			if test.detail != "" {
				want = "400 Bad Request\n\n" + test.text + "\n\n " + test.detail + "  "
			}
			if diff := cmp.Diff(want, w.Body.String()); w.Code != 400 || diff != "" {
				t.Errorf("GET %s = %d (-want +got):\n%s", target, w.Code, diff)
			}
			const page = "<html>\n <head>\n  <title>400 Bad Request</title>\n </head>\n <body>\n" +
				"  <h1>400 Bad Request</h1>\n  <br /><br />\n\n\n\n </body>\n</html>"
			if got := w.Body.Len() + len(page); test.wrapped != 0 && got != test.wrapped {
				t.Errorf("GET %s: a page with the text has %d bytes; want %d", target, got, test.wrapped)
			}
		}
	}
}

func TestFaultForms(t *testing.T) {
	h := registry.New(newCatalog(t), registry.Options{})
	const target = "/images?min_ram=%22%27%3Cb%3E"
	for _, test := range []struct{ accept, kind, want string }{
		{"", "text/plain; charset=UTF-8", "400 Bad Request\n\n" + malformed + "\n\n Bad value passed to filter min_ram got \"'  "},
		{"text/html", "text/html; charset=UTF-8", "<html>\n <head>\n  <title>400 Bad Request</title>\n </head>\n <body>\n  <h1>400 Bad Request</h1>\n  " +
			malformed + "<br /><br />\nBad value passed to filter min_ram got &quot;&#x27;&lt;b&gt;\n\n\n </body>\n</html>"},
		{"*/*", "text/html; charset=UTF-8", "<html>\n <head>\n  <title>400 Bad Request</title>\n </head>\n <body>\n  <h1>400 Bad Request</h1>\n  " +
			malformed + "<br /><br />\nBad value passed to filter min_ram got &quot;&#x27;&lt;b&gt;\n\n\n </body>\n</html>"},
		{"application/json", "application/json", `{"message": "` + malformed +
			`<br /><br />\nBad value passed to filter min_ram got \"'<b>\n\n", "code": "400 Bad Request", "title": "Bad Request"}`},
	} {
		w := send(h, admin, http.MethodGet, target, "Accept", test.accept)
		if got := w.Header().Get("Content-Type"); got != test.kind {
			t.Errorf("Accept %q: type is %q; want %q", test.accept, got, test.kind)
		}
		if diff := cmp.Diff(test.want, w.Body.String()); diff != "" {
			t.Errorf("Accept %q (-want +got):\n%s", test.accept, diff)
		}
	}
}

func TestRoutes(t *testing.T) {
	h := registry.New(newCatalog(t, recorded()...), registry.Options{})
	const one = "/images/7a0e2a92-1b44-4b1e-9721-c5f1fc4ea1f6"
	for _, test := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/", 200},
		{"GET", "/images", 200},
		{"GET", "/images/detail", 200},
		{"GET", one, 200},
		{"GET", "/images/", 404},
		{"GET", one + "/", 404},
		{"GET", "/images/detail/", 404},
		{"GET", "/v1/images", 404},
		{"GET", "/image", 404},
		{"GET", "/images%2Fdetail", 404},
		{"HEAD", "/images", 404},
		{"POST", "/images/detail", 404},
		{"PATCH", one, 404},
		{"POST", one + "/members", 405},
		{"GET", one + "/members/t2", 405},
	} {
		w := send(h, admin, test.method, test.path)
		if w.Code != test.code {
			t.Errorf("%s %s = %d; want %d", test.method, test.path, w.Code, test.code)
		}
		if test.method == "HEAD" && w.Body.Len() != 0 {
			t.Errorf("%s %s has a body: %s", test.method, test.path, w.Body)
		}
	}
	if w := send(h, glance.Caller{Anonymous: true}, "GET", "/images"); w.Code != 401 {
		t.Errorf("GET /images without an identity = %d; want 401", w.Code)
	}
}

// library returns a catalog with an image for each case of visibility, the
// later ones newer, so that lists count down.
func library(t *testing.T) *memory.Catalog {
	t.Helper()
	c := newCatalog(t)
	for n, im := range []*glance.Image{
		0: {Visibility: glance.Public, Owner: ptr("t1")},
		1: {Visibility: glance.Private, Owner: ptr("t1")},
		2: {Visibility: glance.Private, Owner: ptr("t2")},
		3: {Visibility: glance.Shared, Owner: ptr("t2")},
		4: {Visibility: glance.Shared, Owner: ptr("t2")}, // with t1, who has not answered
		5: {Visibility: glance.Community, Owner: ptr("t2")},
		6: {Visibility: glance.Private},
		7: {Visibility: glance.Public, Owner: ptr("t2"), Status: glance.Killed},
		8: {Visibility: glance.Public, Owner: ptr("t1"), Status: glance.Deleted},
		9: {Visibility: glance.Public, Owner: ptr("t1"), Status: glance.PendingDelete},
	} {
		im.ID = id(n)
		im.CreatedAt = time.Date(2026, 11, 20, n, 0, 0, 0, time.UTC)
		im.UpdatedAt = im.CreatedAt
		if im.Status == "" {
			im.Status = glance.Active
		}
		if err := c.Create(t.Context(), im); err != nil {
			t.Fatal(err)
		}
	}
	err := c.AddMember(t.Context(), &glance.Member{ImageID: id(4), ProjectID: "t1", Status: glance.Pending})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestListVisibility(t *testing.T) {
	h := registry.New(library(t), registry.Options{})
	for _, test := range []struct {
		name   string
		caller glance.Caller
		query  string
		want   []int
	}{
		{"member", t1, "", []int{4, 1, 0}},
		{"owner of most", t2, "", []int{5, 4, 3, 2, 0}},
		{"member cannot choose", t1, "is_public=none&deleted=True", []int{4, 1, 0}},
		{"member may write anything there", t1, "is_public=foo", []int{4, 1, 0}},
		{"admin as a user", admin, "", []int{4, 1, 0}},
		{"admin as a user, said so", admin, "is_public=True", []int{4, 1, 0}},
		{"admin, all", admin, "is_public=None", []int{6, 5, 4, 3, 2, 1, 0}},
		{"admin, not public", admin, "is_public=0", []int{6, 5, 4, 3, 2, 1}},
		{"admin, deleted ones", admin, "deleted=yes&is_public=none", []int{9, 8}},
		{"admin, not deleted", admin, "deleted=nonsense&is_public=none", []int{6, 5, 4, 3, 2, 1, 0}},
		{"changed", t1, "changes-since=2026-11-20T00:30:00", []int{9, 8, 7, 4, 1}},
		{"changed, with zone", t1, "changes-since=2026-11-20T05:30:00%2B02:00", []int{9, 8, 7, 4}},
		{"changed, not deleted", admin, "changes-since=2026-11-20&deleted=False", []int{4, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, list(t, h, test.caller, "/images?"+test.query)); diff != "" {
				t.Errorf("GET /images?%s (-want +got):\n%s", test.query, diff)
			}
		})
	}
}

func TestShowVisibility(t *testing.T) {
	h := registry.New(library(t), registry.Options{})
	for _, test := range []struct {
		name   string
		caller glance.Caller
		want   []int
	}{
		{"member", t1, []int{0, 1, 4, 5, 6, 7}},
		{"other member", t2, []int{0, 2, 3, 4, 5, 6, 7}},
		{"nobody's member", glance.Caller{UserID: "u"}, []int{0, 5, 6, 7}},
		{"admin", admin, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
	} {
		seen := []int{}
		for n := range 11 {
			switch w := send(h, test.caller, http.MethodGet, "/images/"+string(id(n))); w.Code {
			case 200:
				seen = append(seen, n)
			case 404:
			default:
				t.Errorf("%s: image %d = %d; want 200 or 404", test.name, n, w.Code)
			}
		}
		if diff := cmp.Diff(test.want, seen); diff != "" {
			t.Errorf("images that the %s sees (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestFiltersAndOrder(t *testing.T) {
	at := func(n int) time.Time { return time.Date(2026, 11, 20, n, 0, 0, 0, time.UTC) }
	image := func(n int, name string, size int64) *glance.Image {
		return &glance.Image{
			ID: id(n), Name: &name, Size: &size, Status: glance.Active, Visibility: glance.Public,
			DiskFormat: ptr("raw"), ContainerFormat: ptr("bare"), CreatedAt: at(n), UpdatedAt: at(20 - n),
		}
	}
	a, b, c, d := image(1, "b", 10), image(2, "a", 30), image(3, "d", 20), image(4, "c", 40)
	a.Status, b.DiskFormat, c.ContainerFormat = glance.Queued, ptr("qcow2"), ptr("ami")
	a.MinRAM, b.MinDisk, c.Protected = 512, 7, true
	d.Properties = map[string]string{"os": "linux", "Arch": "x"}
	h := registry.New(newCatalog(t, a, b, c, d), registry.Options{DefaultLimit: 3, MaxLimit: 4})
	for _, test := range []struct {
		query string
		want  []int
	}{
		{"", []int{4, 3, 2}},
		{"limit=1", []int{4}},
		{"limit=0", []int{}},
		{"limit=1000", []int{4, 3, 2, 1}},
		{"limit=99999&limit=2", []int{4, 3}},
		{"limit=2&marker=" + string(id(3)), []int{2, 1}},
		{"limit=2&marker=", []int{4, 3}},
		{"name=a", []int{2}},
		{"name=", []int{}},
		{"status=queued", []int{1}},
		{"disk_format=qcow2", []int{2}},
		{"container_format=ami&name=d", []int{3}},
		{"container_format=ami&name=a", []int{}},
		{"min_ram=512", []int{1}},
		{"min_disk=7", []int{2}},
		{"size_min=20&size_max=30", []int{3, 2}},
		{"size_min=+20", []int{4, 3, 2}},
		{"protected=TRUE", []int{3}},
		{"protected=0", []int{4, 2, 1}},
		{"property-os=linux", []int{4}},
		{"property-os=linux&property-Arch=x", []int{4}},
		{"property-os=linux&property-Arch=y", []int{}},
		{"sort_key=name&sort_dir=asc&limit=4", []int{2, 1, 4, 3}},
		{"sort_key=size", []int{4, 2, 3}},
		{"sort_key=updated_at&sort_dir=desc", []int{1, 2, 3}},
		{"unknown=x&visibility=private", []int{4, 3, 2}},
	} {
		for _, path := range []string{"/", "/images", "/images/detail"} {
			if diff := cmp.Diff(test.want, list(t, h, t1, path+"?"+test.query)); diff != "" {
				t.Errorf("GET %s?%s (-want +got):\n%s", path, test.query, diff)
			}
		}
	}
}

// Images that are not public may stand anywhere between public ones: pages of
// them are full until the end.
func TestNotPublicPages(t *testing.T) {
	c := newCatalog(t)
	var want []int
	for n := range 200 {
		im := &glance.Image{ID: id(n), Status: glance.Active, Visibility: glance.Public, CreatedAt: time.Unix(int64(1000-n), 0)}
		if n%7 == 0 || n > 190 {
			im.Visibility = glance.Shared
			want = append(want, n)
		}
		if err := c.Create(t.Context(), im); err != nil {
			t.Fatal(err)
		}
	}
	h := registry.New(c, registry.Options{})
	for _, limit := range []int{1, 3, 10, 1000} {
		got, target := []int{}, fmt.Sprintf("/images?is_public=False&limit=%d", limit)
		for {
			page := list(t, h, admin, target)
			got = append(got, page...)
			if len(page) < limit {
				break
			}
			target = fmt.Sprintf("/images?is_public=False&limit=%d&marker=%s", limit, id(page[len(page)-1]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	if got := list(t, h, admin, "/images?is_public=False&limit=0"); len(got) != 0 {
		t.Errorf("limit=0 = %v; want nothing", got)
	}
}

func TestFullImage(t *testing.T) {
	deleted := time.Date(2026, 11, 20, 5, 0, 0, 0, time.UTC)
	im := &glance.Image{
		ID: id(1), Name: ptr(`ü "x": <y>, \z`), Status: glance.PendingDelete, Visibility: glance.Public,
		CreatedAt: deleted.Add(-time.Hour), UpdatedAt: deleted, DeletedAt: &deleted, VirtualSize: ptr(int64(5)),
		MinRAM: 1, MinDisk: 2, Protected: true, Properties: map[string]string{"b": "2", "a": "1:,"},
		Locations: []glance.Location{
			{ID: 1, URL: "file:///gone", Status: glance.Deleted},
			{ID: 2, URL: "file:///waits", Status: glance.PendingDelete, Metadata: map[string]string{"k": "v"}},
			{ID: 3, URL: "file:///is", Status: glance.Active},
		},
	}
	h := registry.New(newCatalog(t, im), registry.Options{})
	want := `{"image": {"container_format": null, "id": "00000001-0000-4000-8000-000000000001", "status": "pending_delete", ` +
		`"owner": null, "name": "ü \"x\": <y>, \\z", "deleted_at": "2026-11-20T05:00:00.000000", "checksum": null, "size": null, ` +
		`"created_at": "2026-11-20T04:00:00.000000", "deleted": true, "updated_at": "2026-11-20T05:00:00.000000", "is_public": true, ` +
		`"min_ram": 1, "min_disk": 2, "virtual_size": 5, "protected": true, "disk_format": null, "properties": {"a": "1:,", "b": "2"}, ` +
		`"location_data": [{"id": 2, "url": "file:///waits", "metadata": {"k": "v"}, "status": "pending_delete"}, ` +
		`{"id": 3, "url": "file:///is", "metadata": {}, "status": "active"}], "location": "file:///is"}}`
	if diff := cmp.Diff(want, send(h, admin, "GET", "/images/"+string(id(1))).Body.String()); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
	if got, want := send(registry.New(newCatalog(t), registry.Options{}), t1, "GET", "/").Body.String(), `{"images": []}`; got != want {
		t.Errorf("empty list = %s; want %s", got, want)
	}
}

// brokenCatalog is a catalog without its database.
type brokenCatalog struct{ glance.Catalog }

var errDatabase = errors.New("dial tcp 10.0.0.7:3306: connection refused")

func (brokenCatalog) Get(context.Context, glance.ID, bool) (*glance.Image, error) {
	return nil, errDatabase
}

func (brokenCatalog) List(context.Context, glance.Query) ([]*glance.Image, error) {
	return nil, errDatabase
}

func TestCatalogFails(t *testing.T) {
	var log bytes.Buffer
	h := registry.New(brokenCatalog{}, registry.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, path := range []string{"/", "/images/detail", "/images/" + string(id(1))} {
		log.Reset()
		w := send(h, admin, http.MethodGet, path)
		if w.Code != 500 || strings.Contains(w.Body.String(), "10.0.0.7") {
			t.Errorf("GET %s = %d %s; want 500 without details", path, w.Code, w.Body)
		}
		if !strings.Contains(log.String(), errDatabase.Error()) || !strings.Contains(log.String(), path) {
			t.Errorf("GET %s: log is %q; want the cause", path, log.String())
		}
	}
}

// FuzzQuery sends any query: the answer is a list or says what is wrong, and
// what the client sent never becomes markup.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"limit=1", "marker=x", "changes-since=2026-11-20T00:00:00Z", "size_min=<b>", "property-a=b&deleted=1", "%zz", "is_public=&x=;"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	h := registry.New(newCatalog(f, recorded()...), registry.Options{})
	f.Fuzz(func(t *testing.T, query string, asAdmin bool) {
		caller := t1
		caller.Admin = asAdmin
		r := httptest.NewRequest(http.MethodGet, "/images/detail", nil)
		r.URL.RawQuery = query
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(glance.WithCaller(r.Context(), caller)))
		switch body := w.Body.Bytes(); w.Code {
		case 200:
			if !json.Valid(body) {
				t.Errorf("%q: not JSON: %s", query, body)
			}
		case 400:
			if n := strings.Count(w.Body.String(), "<"); n != 12 {
				t.Errorf("%q: page has %d tags; want 12: %s", query, n, body)
			}
		default:
			t.Errorf("%q = %d; want 200 or 400", query, w.Code)
		}
	})
}
