package service_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"glancectl/service"

	"github.com/google/go-cmp/cmp"
)

// rpc has the registry carry out one command, and returns its result.
func (d *daemon) rpc(name, kwargs string) string {
	d.t.Helper()
	a := d.want(200, "", "POST", "/rpc", fmt.Sprintf(`[{"command": %q, "kwargs": %s}]`, name, kwargs))
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list) != 1 {
		d.t.Fatalf("%s %s = %s; want one result", name, kwargs, a.body)
	}
	return string(list[0])
}

func TestRPCLists(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", "")}})
	for i, values := range []string{
		`{"name": "a", "status": "queued", "visibility": "public", "size": 10, "min_ram": 5}`,
		`{"name": "b", "status": "active", "visibility": "shared", "owner": "p1", "size": 30, "properties": {"os": "linux"}, "protected": true}`,
		`{"name": "c", "status": "active", "visibility": "community", "owner": "p1", "size": 20, "os_hidden": true}`,
		`{"name": "d", "status": "deactivated", "visibility": "private", "owner": "p2", "disk_format": "raw"}`,
		`{"name": "e", "status": "active", "visibility": "public", "size": 3}`,
	} {
		id := fmt.Sprintf(`{"id": "0000000%d-0000-4000-8000-000000000000", `, i+1)
		if got := d.rpc("image_create", `{"values": `+strings.Replace(values, "{", id, 1)+`}`); strings.Contains(got, "_error") {
			t.Fatal(got)
		}
	}
	d.rpc("image_tag_set_all", `{"image_id": "00000002-0000-4000-8000-000000000000", "tags": ["x", "y"]}`)
	d.rpc("image_destroy", `{"image_id": "00000005-0000-4000-8000-000000000000"}`)
	names := regexp.MustCompile(`"min_disk": 0|"name": "([a-e])", "min_disk"`)
	for _, test := range []struct{ kwargs, want string }{
		{`{}`, "dcba"},
		{`{"is_public": true}`, "a"},
		{`{"is_public": null}`, "dcba"},
		{`{"filters": {"is_public": false}}`, "dcb"},
		{`{"filters": {"visibility": "community"}}`, "c"},
		{`{"filters": {"visibility": "all"}}`, "dcba"},
		{`{"filters": {"deleted": true}}`, "e"},
		{`{"filters": {"deleted": false}}`, "dcba"},
		{`{"filters": {"changes-since": {"_type": "datetime", "_value": "2020-11-20T04:27:31.357680"}}}`, "edcba"},
		{`{"filters": {"changes-since": "2099-01-01T00:00:00Z"}}`, ""},
		{`{"filters": {"changes-since": "soon"}}`, "Invalid"},
		{`{"filters": {"os_hidden": true}}`, "c"},
		{`{"filters": {"os_hidden": false}}`, "dba"},
		{`{"filters": {"protected": true}}`, "b"},
		{`{"filters": {"tags": ["x", "y"]}}`, "b"},
		{`{"filters": {"tags": ["x", "z"]}}`, ""},
		{`{"filters": {"properties": {"os": "linux"}}}`, "b"},
		{`{"filters": {"properties": 7}}`, "Invalid"},
		{`{"filters": {"os": "linux"}}`, "b"},
		{`{"filters": {"os": null}}`, "dcba"},
		{`{"filters": {"size_min": 20}}`, "cb"},
		{`{"filters": {"size_max": "10"}}`, "a"},
		{`{"filters": {"size_min": "lots"}}`, "Invalid"},
		{`{"filters": {"min_ram": 5}}`, "a"},
		{`{"filters": {"id": "in:00000001-0000-4000-8000-000000000000,00000002-0000-4000-8000-000000000000"}}`, "ba"},
		{`{"filters": {"owner": "p1", "status": "active"}}`, "cb"},
		{`{"filters": {"disk_format": "raw"}}`, "d"},
		{`{"filters": {"container_format": "bare"}}`, ""},
		{`{"filters": {"checksum": "x", "os_hash_algo": "y", "os_hash_value": "z", "virtual_size": 4}}`, ""},
		{`{"filters": {"name": "eq:a"}}`, "a"},
		{`{"filters": {"name": "x:a"}}`, ""},
		{`{"filters": {"created_at": "lt:2020-11-20T02:30:00"}}`, ""},
		{`{"filters": {"created_at": "gte:2020-11-20T02:00:00", "updated_at": "gt:2020-01-01T00:00:00"}}`, "dcba"},
		{`{"filters": {"created_at": "lt:soon"}}`, "Invalid"},
		{`{"sort_key": ["name"], "sort_dir": ["asc"], "limit": 2}`, "ab"},
		{`{"sort_key": "size", "sort_dir": "asc", "filters": {"size_min": 1}}`, "acb"},
		{`{"sort_key": ["status", "name"], "sort_dir": ["asc", "desc"]}`, "cbda"},
		{`{"sort_key": ["nothing"]}`, "Invalid"},
		{`{"sort_key": ["name"], "sort_dir": ["up"]}`, "Invalid"},
		{`{"limit": 0}`, ""},
		{`{"limit": "x"}`, "Invalid"},
		{`{"limit": -1}`, "Invalid"},
		{`{"marker": "00000002-0000-4000-8000-000000000000"}`, "a"},
		{`{"member_status": "all"}`, "dcba"},
		{`{"admin_as_user": true, "member_status": "accepted"}`, "a"},
		{`{"marker": "x"}`, "ImageNotFound"},
	} {
		result := d.rpc("image_get_all", test.kwargs)
		var got strings.Builder
		for _, m := range names.FindAllStringSubmatch(result, -1) {
			got.WriteString(m[1])
		}
		if _, class, failed := strings.Cut(result, `"cls": "glance.common.exception.`); failed {
			class, _, _ = strings.Cut(class, `"`)
			got.WriteString(class)
		}
		if diff := cmp.Diff(test.want, got.String()); diff != "" {
			t.Errorf("image_get_all %s (-want +got):\n%s\n%s", test.kwargs, diff, result)
		}
	}
}

// TestRegistrySwitches turns off the one half of the registry and the other.
func TestRegistrySwitches(t *testing.T) {
	for options, want := range map[string][2]int{
		"":                             {200, 200},
		"enable_v1_registry = False\n": {404, 200},
		"enable_v2_registry = False\n": {200, 404},
	} {
		s := newSite(t)
		d := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", "[DEFAULT]\n"+options)}})
		got := [2]int{d.call("GET", "/images", "").code, d.call("POST", "/rpc", "[]").code}
		if got != want {
			t.Errorf("with %q /images and /rpc are answered %d; want %d", options, got, want)
		}
		d.want(http.StatusNotFound, "", "GET", "/rpc", "")
	}
}
