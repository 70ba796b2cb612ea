package apiv2

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

func TestParseRange(t *testing.T) {
	for _, test := range []struct {
		name, value string
		size        int64
		off, n      int64
		code        int // instead
	}{
		{"Range", "bytes=0-3", 10, 0, 4, 0},
		{"Range", "bytes=9-", 10, 9, 1, 0},
		{"Range", "BYTES = 2 - 3 ", 10, 2, 2, 0},
		{"Range", "bytes=0-9223372036854775807", 10, 0, 10, 0},
		{"Range", "bytes=-9223372036854775807", 10, 0, 10, 0},
		{"Range", "bytes=9223372036854775807-", 10, 0, 0, 416},
		{"Range", "bytes=0-9223372036854775808", 10, 0, 10, 0},
		{"Range", "bytes=-1", 0, 0, 0, 416},
		{"Range", "bytes=0-0x", 10, 0, 1, 0},
		{"Range", "bytes=x-0", 10, 0, 0, 416},
		{"Range", "bits=0-1", 10, 0, 0, 416},
		{"Range", "bytes=0-1,2-3", 10, 0, 0, 400},
		{"Content-Range", "bytes 0-9/10", 10, 0, 10, 0},
		{"Content-Range", "bytes 9-9/*", 10, 9, 1, 0},
		{"Content-Range", "bytes 3-2/10", 10, 0, 0, 416},
		{"Content-Range", "bytes 0-10/11", 10, 0, 0, 416},
		{"Content-Range", "bytes 0-9223372036854775808/*", 10, 0, 0, 416},
	} {
		got, err := parseRange(http.Header{test.name: {test.value}}, test.size)
		if test.code != 0 {
			if p := faultOf(err); err == nil || p.Code != test.code {
				t.Errorf("%s: %s of %d bytes: %+v, %v; want code %d", test.name, test.value, test.size, got, err, test.code)
			}
			continue
		}
		if want := (&span{test.off, test.n}); err != nil || *got != *want {
			t.Errorf("%s: %s of %d bytes: %+v, %v; want %+v", test.name, test.value, test.size, got, err, want)
		}
	}
}

func TestParseList(t *testing.T) {
	no, yes := false, true
	newest := []glance.SortKey{{Attribute: "created_at", Descending: true}}
	filter := func(attribute, op string, values ...string) glance.Query {
		return glance.Query{Limit: 25, Hidden: &no, Sort: newest, Filters: []glance.Filter{{Attribute: attribute, Op: op, Values: values}}}
	}
	sorted := func(keys ...glance.SortKey) glance.Query { return glance.Query{Limit: 25, Hidden: &no, Sort: keys} }
	a := New(newService(t, Options{}).images, Options{})
	for _, test := range []struct {
		query string
		want  glance.Query
	}{
		{"", sorted(newest...)},
		{"limit=3", glance.Query{Limit: 3, Hidden: &no, Sort: newest}},
		{"limit=3000", glance.Query{Limit: 1000, Hidden: &no, Sort: newest}},
		{"os_hidden=True", glance.Query{Limit: 25, Hidden: &yes, Sort: newest}},
		{"tag=+a&tag=b", glance.Query{Limit: 25, Hidden: &no, Sort: newest, Tags: []string{"a", "b"}}},
		{"visibility=shared&member_status=rejected", glance.Query{Limit: 25, Hidden: &no, Sort: newest, Visibility: glance.Shared, MemberStatus: glance.Rejected}},
		{"visibility=all&member_status=all", glance.Query{Limit: 25, Hidden: &no, Sort: newest, AllVisible: true, AnyMember: true}},
		{"os_distro=debian&x_min_y=1", glance.Query{Limit: 25, Hidden: &no, Sort: newest, Properties: map[string]string{"os_distro": "debian", "x_min_y": "1"}}},
		{"sort=name,size:asc", sorted(glance.SortKey{Attribute: "name", Descending: true}, glance.SortKey{Attribute: "size"})},
		{"sort_key=name&sort_key=id&sort_dir=asc", sorted(glance.SortKey{Attribute: "name"}, glance.SortKey{Attribute: "id"})},
		{"sort_key=name&sort_key=id&sort_dir=asc&sort_dir=desc", sorted(glance.SortKey{Attribute: "name"}, glance.SortKey{Attribute: "id", Descending: true})},
		{"sort_dir=asc", sorted(glance.SortKey{Attribute: "created_at"})},
		{"name=a", filter("name", "eq", "a")},
		{"name=eq:a:b", filter("name", "eq", "a:b")},
		{"name=in:a,%22b,c%22,,d", filter("name", "in", "a", "b,c", "", "d")},
		{"name=in:,a,", filter("name", "in", "", "a")},
		{"name=in:%22%22,", filter("name", "in", "")},
		{"name=in:", filter("name", "in")},
		{`name=in:a%5C%22b,%22c%5C%22,d%22,e%5C`, filter("name", "in", `a"b`, `c",d`, `e\`)},
		{"name=2020-01-01T10:11:12Z", filter("name", "eq", "2020-01-01T10:11:12Z")},
		{"protected=false", filter("protected", "eq", "false")},
		{"owner=a:b", filter("owner", "eq", "a:b")},
		{"size=5", filter("size", "eq", "5")},
		{"size_min=5", filter("size", "gte", "5")},
		{"min_ram_max=5", filter("min_ram", "lte", "5")},
		{"created_at=2020-01-01T10:00:00%2B01:00", filter("created_at", "eq", "2020-01-01T09:00:00Z")},
		{"updated_at=lte:2020-01-01", filter("updated_at", "lte", "2020-01-01T00:00:00Z")},
		{"created_at=neq:2020-01-01T10:11", filter("created_at", "neq", "2020-01-01T10:11:00Z")},
	} {
		got, err := a.parseList(test.query)
		if err != nil {
			t.Errorf("%s: %v", test.query, err)
			continue
		}
		if diff := cmp.Diff(test.want, got.query); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.query, diff)
		}
	}
}

// Whatever a query holds, the links of its page mean the same as it.
func FuzzParseList(f *testing.F) {
	for _, seed := range []string{"", "limit=1&marker=" + string(numbered(1)), "name=in:%22a,b%22,c", "created_at=gt:2020-01-01T00:00:00%2B01:00&tag=a&tag=b", "sort=name:asc,size", "a=%ff", "&&=&%"} {
		f.Add(seed)
	}
	a := New(newService(f, Options{}).images, Options{})
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := a.parseList(raw)
		if err != nil {
			if faultOf(err).Code != http.StatusBadRequest {
				t.Errorf("%q: %v; want a bad request", raw, err)
			}
			return
		}
		u, err := url.Parse(p.link(numbered(7)))
		if err != nil {
			t.Fatalf("%q: next link: %v", raw, err)
		}
		again, err := a.parseList(u.RawQuery)
		if err != nil {
			t.Fatalf("%q: next link %s: %v", raw, u, err)
		}
		p.query.Marker = numbered(7)
		if diff := cmp.Diff(p.query, again.query); diff != "" {
			t.Errorf("%q: next link %s means something else (-request +link):\n%s", raw, u, diff)
		}
	})
}

// A patch is understood or refused as a mistake of the client.
func FuzzReadPatch(f *testing.F) {
	for _, seed := range []string{
		`[{"op": "add", "path": "/a~1b", "value": "c"}]`, `[{"replace": "/tags", "value": ["a", null]}]`, `[{"op": null, "path": 1}]`,
		`[{"op": "remove", "path": "/locations/-1"}]`, `[{"op": "add", "path": "/min_ram", "value": 1e9}]`, `[[{}], 1, "x"]`, `{`, `[{"op": "add", "path": "/", "value": {"a": [1]}}]`,
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	a := New(newService(f, Options{}).images, Options{})
	f.Fuzz(func(t *testing.T, body string, old bool) {
		r := httptest.NewRequest("PATCH", "/v2/images/x", strings.NewReader(body))
		r.Header.Set("Content-Type", patchV21)
		if old {
			r.Header.Set("Content-Type", patchV20)
		}
		changes, err := a.readPatch(r)
		if p := faultOf(err); err != nil && (p.Code < 400 || p.Code > 499) {
			t.Errorf("%q: %v; want a mistake of the client", body, err)
		}
		for _, c := range changes {
			switch c.Value.(type) {
			case nil, string, bool, int64, []string, []any:
			default:
				t.Errorf("%q: value of %s is %#v", body, c.Attribute, c.Value)
			}
		}
	})
}

// What is written is JSON and means what was given.
func FuzzString(f *testing.F) {
	for _, seed := range []string{"", "a\"\\/\b\f\n\r\t\x00\x1f\x7f", "ä€😀", "\u2028", "<&>", "\xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := appendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q is written as %s: %v", s, b, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && got != want {
			t.Errorf("%q is written as %s, which means %q", s, b, got)
		}
	})
}

func TestRepr(t *testing.T) {
	for _, test := range []struct {
		v    any
		want string
	}{
		{nil, "None"},
		{true, "True"},
		{json.Number("1.50"), "1.50"},
		{"it's", `"it's"`},
		{`it's "x"`, `'it\'s "x"'`},
		{"a\n\t\\\x01\u200b€", `'a\n\t\\\x01\u200b€'`},
		{list{nil, "a", list{}}, "[None, 'a', []]"},
		{map[string]any{"b": false, "a": list{json.Number("1")}}, "{'a': [1], 'b': False}"},
	} {
		if got := repr(test.v); got != test.want {
			t.Errorf("repr(%#v) = %s; want %s", test.v, got, test.want)
		}
	}
}

// The schema names everything that a document has.
func TestSchemaIsComplete(t *testing.T) {
	s := newService(t, Options{ShowDirectURL: true})
	var doc map[string]any
	im := &glance.Image{ID: numbered(1), Locations: []glance.Location{{URL: "memory://x", Status: glance.Active}}}
	if err := json.Unmarshal(s.api.appendImage(t.Context(), nil, im), &doc); err != nil {
		t.Fatal(err)
	}
	for name := range doc {
		if !s.api.isBase(name) {
			t.Errorf("the schema does not know %s", name)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		want          bool
	}{
		{"/v2/images", "/v2/images", true},
		{"/v2/images", "/v2/images/", false},
		{"/v2/images", "/v2", false},
		{"/v2/images/{id}", "/v2/images/x", true},
		{"/v2/images/{id}", "/v2/images/", false},
		{"/v2/images/{id}", "/v2/images/x/file", false},
		{"/v2/images/{id}/file", "/v2/images/x/file", true},
		{"/v2/images/{id}/file", "/v2/images//file", false},
	} {
		id := ""
		got := route{path: test.pattern}.match(test.path, func(_, value string) { id = value })
		if got != test.want || got && strings.Contains(test.pattern, "{") && id != "x" {
			t.Errorf("%s matches %s: %v, id %q; want %v", test.pattern, test.path, got, id, test.want)
		}
	}
}
