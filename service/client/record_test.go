package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/client"
)

func TestRecordCalls(t *testing.T) {
	const document = `{"os_distro": "x", "name": null, "min_disk": 2, "tags": ["b", "a"], "os_hidden": true, "id": "i1", "status": "active", "size": 4,
		"virtual_size": null, "self": "/v2/images/i1", "stores": "file", "os_glance_failed_import": "", "locations": [], "direct_url": "file:///x"}`
	record := client.Record{
		Image: client.Image{ID: "i1", Status: "active", Size: 4}, MinDisk: 2, Hidden: true,
		Tags: []string{"a", "b"}, Properties: map[string]string{"os_distro": "x"},
	}
	full := client.Record{
		Image: client.Image{ID: "i1", Name: "n", Visibility: "private", DiskFormat: "raw", ContainerFormat: "bare", Status: "active", Size: 4, Checksum: "c"},
		Owner: "o", MinRAM: 1, Protected: true, Hidden: true, Tags: []string{"t"}, CreatedAt: "then", Properties: map[string]string{"p": "", "name": "other"},
	}
	type c = client.Client
	for _, test := range []struct {
		name   string
		call   func(context.Context, *c) (any, error)
		want   string // the request
		answer string
		result any
	}{
		{"record", func(ctx context.Context, c *c) (any, error) { return c.Record(ctx, "i1") }, "GET /v2/images/i1  ", document, record},
		{"add", func(ctx context.Context, c *c) (any, error) { return nil, c.Add(ctx, &full) },
			`POST /v2/images application/json {"container_format":"bare","disk_format":"raw","id":"i1","min_ram":1,"name":"n","os_hidden":true,"owner":"o","p":"","protected":true,"tags":["t"],"visibility":"private"}`, "", nil},
		{"add little", func(ctx context.Context, c *c) (any, error) { return nil, c.Add(ctx, &client.Record{}) }, `POST /v2/images application/json {}`, "", nil},
		{"change", func(ctx context.Context, c *c) (any, error) {
			return nil, c.Change(ctx, "i1", []client.Change{{Op: "replace", Name: "name"}, {Op: "add", Name: "a/b~c", Value: "1"}, {Op: "remove", Name: "d", Value: "2"}})
		}, `PATCH /v2/images/i1 application/openstack-images-v2.1-json-patch [{"op":"replace","path":"/name","value":null},{"op":"add","path":"/a~1b~0c","value":"1"},{"op":"remove","path":"/d"}]`, "{}", nil},
		{"members", func(ctx context.Context, c *c) (any, error) { return c.Members(ctx, "i1") },
			"GET /v2/images/i1/members  ", `{"members": [{"member_id": "b", "status": "pending"}, {"member_id": "a", "status": "accepted"}]}`,
			[]client.Member{{ID: "a", Status: "accepted"}, {ID: "b", Status: "pending"}}},
		{"share", func(ctx context.Context, c *c) (any, error) { return nil, c.Share(ctx, "i1", "p") },
			`POST /v2/images/i1/members application/json {"member":"p"}`, "{}", nil},
		{"member", func(ctx context.Context, c *c) (any, error) {
			return nil, c.SetMember(ctx, "i1", client.Member{ID: "p/q", Status: "accepted"})
		}, `PUT /v2/images/i1/members/p%2Fq application/json {"status":"accepted"}`, "{}", nil},
		{"unshare", func(ctx context.Context, c *c) (any, error) { return nil, c.Unshare(ctx, "i1", "p") }, "DELETE /v2/images/i1/members/p  ", "", nil},
		{"deactivate", func(ctx context.Context, c *c) (any, error) { return nil, c.Deactivate(ctx, "i1") }, "POST /v2/images/i1/actions/deactivate  ", "", nil},
		{"reactivate", func(ctx context.Context, c *c) (any, error) { return nil, c.Reactivate(ctx, "i1") }, "POST /v2/images/i1/actions/reactivate  ", "", nil},
	} {
		var got string
		c := connect(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = fmt.Sprintf("%s %s %s %s", r.Method, r.RequestURI, r.Header.Get("Content-Type"), body)
			_, _ = io.WriteString(w, test.answer)
		})
		result, err := test.call(t.Context(), c)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s sends (-want +got):\n%s", test.name, diff)
		}
		if diff := cmp.Diff(test.result, result); diff != "" {
			t.Errorf("%s returns (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestRecords: all pages of all images, hidden ones too, each once; also from
// a service that does not know the visibility all.
func TestRecords(t *testing.T) {
	for _, old := range []bool{false, true} {
		c := connect(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			switch {
			case old && q.Has("visibility"):
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, "400 Bad Request\n\nInvalid visibility value: all")
			case q.Get("os_hidden") == "true":
				_, _ = io.WriteString(w, `{"images": [{"id": "1"}, {"id": "3"}]}`)
			case q.Get("marker") == "1":
				_, _ = io.WriteString(w, `{"images": [{"id": "2"}]}`)
			default:
				_, _ = io.WriteString(w, `{"images": [{"id": "1"}], "next": "/v2/images?marker=1"}`)
			}
		})
		list, err := c.Records(t.Context())
		var ids []string
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		if diff := cmp.Diff([]string{"1", "2", "3"}, ids); err != nil || diff != "" {
			t.Errorf("Records = %v (-want +got):\n%s", err, diff)
		}
	}
}

func TestDownload(t *testing.T) {
	for _, test := range []struct {
		from  int64
		code  int
		head  string // Content-Range
		start int64
		err   string
	}{
		{0, 200, "", 0, ""},
		{5, 206, "bytes 5-9/10", 5, ""},
		{5, 200, "", 0, ""},
		{5, 206, "bytes 6-9/10", 0, "another part"},
		{5, 206, "", 0, "another part"},
		{0, 204, "", 0, "the image has no data"},
		{0, 403, "", 0, "403 Forbidden: data"},
	} {
		var asked string
		c := connect(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
			asked = r.Header.Get("Range")
			if test.head != "" {
				w.Header().Set("Content-Range", test.head)
			}
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(test.code)
			if test.code != http.StatusNoContent {
				_, _ = io.WriteString(w, "data")
			}
		})
		data, start, err := c.Download(t.Context(), "i1", test.from)
		if want := fmt.Sprintf("bytes=%d-", test.from); test.from > 0 && asked != want || test.from == 0 && asked != "" {
			t.Errorf("Download from %d asks for %q", test.from, asked)
		}
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("Download from %d, answered %d %q = %v; want %q", test.from, test.code, test.head, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("Download from %d: %v", test.from, err)
			continue
		}
		text, err := io.ReadAll(data)
		data.Close()
		if err != nil || string(text) != "data" || start != test.start {
			t.Errorf("Download from %d = %q, %d, %v; want all from %d", test.from, text, start, err, test.start)
		}
	}
}
