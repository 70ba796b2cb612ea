package v1wire

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

func p[T any](v T) *T { return &v }

// TestRecord has an image go to the wire and back.
func TestRecord(t *testing.T) {
	at := time.Date(2026, 11, 20, 4, 27, 31, 757402000, time.UTC)
	im := &glance.Image{
		ID: "00000000-0000-4000-8000-000000000001", Name: p(`ü "x": <y>, \z`), DiskFormat: p("raw"), ContainerFormat: p("bare"), Size: p(int64(3)),
		VirtualSize: p(int64(4)), Status: glance.PendingDelete, Visibility: glance.Public, Checksum: p("sum"), MinDisk: 5, MinRAM: 6, Owner: p("o"),
		Protected: true, CreatedAt: at, UpdatedAt: at.Add(time.Second), DeletedAt: p(at.Add(time.Minute)), Properties: map[string]string{"a": "1:,"},
		Locations: []glance.Location{{ID: 7, URL: "file:///x", Metadata: map[string]string{"k": "v"}, Status: glance.PendingDelete}},
	}
	body, err := JSON(RecordOf(im))
	if err != nil {
		t.Fatal(err)
	}
	var r Record
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(im, r.Image()); diff != "" {
		t.Errorf("after the wire (-want +got):\n%s\n%s", diff, body)
	}
	if err := json.Unmarshal([]byte(`{"created_at": "yesterday"}`), &r); err == nil {
		t.Error("a time that is none is read")
	}
}

// TestParams has parameters become a query and parameters again.
func TestParams(t *testing.T) {
	admin := glance.Caller{Admin: true, ProjectID: "p"}
	for _, test := range []struct {
		caller      glance.Caller
		query, want string
	}{
		{glance.Caller{ProjectID: "p"}, "name=n&status=active&container_format=bare&disk_format=raw&is_public=None&deleted=True",
			"container_format=bare&disk_format=raw&limit=25&name=n&sort_dir=desc&sort_key=created_at&status=active"},
		{admin, "", "limit=25&sort_dir=desc&sort_key=created_at"},
		{admin, "is_public=None&deleted=1", "deleted=True&is_public=None&limit=25&sort_dir=desc&sort_key=created_at"},
		{admin, "is_public=False&limit=3&sort_key=name&sort_dir=asc", "is_public=False&limit=3&sort_dir=asc&sort_key=name"},
		{admin, "min_ram=1&min_disk=2&size_min=3&size_max=4&protected=1&property-os=x",
			"limit=25&min_disk=2&min_ram=1&property-os=x&protected=true&size_max=4&size_min=3&sort_dir=desc&sort_key=created_at"},
		{admin, "changes-since=2026-11-20T01:00:00%2B01:00", "changes-since=2026-11-20T00%3A00%3A00Z&limit=25&sort_dir=desc&sort_key=created_at"},
	} {
		values, err := url.ParseQuery(test.query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Params(values).Query(test.caller, Limits{Default: 25, Max: 1000})
		if err != nil {
			t.Errorf("%s: %v", test.query, err)
			continue
		}
		if got := url.Values(ParamsOf(q)).Encode(); got != test.want {
			t.Errorf("%s becomes %s; want %s", test.query, got, test.want)
		}
		again, err := Params(ParamsOf(q)).Query(test.caller, Limits{Default: 25, Max: 1000})
		if diff := cmp.Diff(q, again); err != nil || diff != "" {
			t.Errorf("%s, asked again, %v (-first +second):\n%s", test.query, err, diff)
		}
	}
}

func TestKnown(t *testing.T) {
	got := Params{"name": {"a"}, "property-x": {"b"}, "deleted": {"True"}, "foo": {"bar"}, "limit": {"1"}}.Known()
	if diff := cmp.Diff(Params{"name": {"a"}, "property-x": {"b"}, "limit": {"1"}}, got); diff != "" {
		t.Errorf("Known (-want +got):\n%s", diff)
	}
}
