package service_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancectl/service"
)

// several is a configuration with three file stores, one of them in two
// directories.
const several = `[DEFAULT]
enabled_backends = one:file, two:file, three:file, web:http
[glance_store]
default_backend = one
[one]
filesystem_store_datadir = DIR/images
store_description = The first
[two]
filesystem_store_datadirs = DIR/two-a:1
filesystem_store_datadirs = DIR/two-b:2
weight = 10
[three]
filesystem_store_datadir = DIR/three
filesystem_store_file_perm = 644
[os_glance_staging_store]
filesystem_store_datadir = DIR/staged
`

func TestSeveralStores(t *testing.T) {
	s := newSite(t)
	// An image from before stores had names.
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nshow_image_direct_url = True\n")}})
	d.create(imageA, "old data")
	d.want(404, "Multi backend is not supported at this site.", "GET", "/v2/info/stores", "")
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d = start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", several)}})
	d.want(200, `{"stores": [{"id": "one", "description": "The first", "default": "true"}, {"id": "two"}, {"id": "three"}, {"id": "web", "read-only": "true"}]}`, "GET", "/v2/info/stores", "")
	d.want(200, `"properties": {"data_dir": "`+s.path("two-b")+`", "chunk_size": 65536, "thin_provisioning": false}, "weight": 10}`, "GET", "/v2/info/stores/detail", "")
	d.want(200, `"stores": "one"`, "GET", "/v2/images/"+imageA, "")
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", `{"method": {"name": "copy-image"}, "all_stores": true}`)
	d.finish(imageA)
	d.want(200, `"stores": "one,two,three"`, "GET", "/v2/images/"+imageA, "")
	for _, dir := range []string{"images", "two-b", "three"} {
		if data, err := os.ReadFile(s.path(dir, imageA)); string(data) != "old data" || err != nil {
			t.Errorf("%s has %q, %v", dir, data, err)
		}
	}
	if info, err := os.Stat(s.path("three", imageA)); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode of the copy is %v, %v; want 0644", info.Mode(), err)
	}
	// The heaviest store is read; the others stand in for it.
	write(t, s.path("two-b", imageA), "two data")
	d.want(200, "two data", "GET", "/v2/images/"+imageA+"/file", "")
	if err := os.Remove(s.path("two-b", imageA)); err != nil {
		t.Fatal(err)
	}
	d.want(200, "old data", "GET", "/v2/images/"+imageA+"/file", "")
	d.want(204, "", "DELETE", "/v2/stores/two/"+imageA, "")
	d.want(200, `"stores": "one,three"`, "GET", "/v2/images/"+imageA, "")

	a := d.want(201, "", "POST", "/v2/images", `{"id": "`+imageB+`", "disk_format": "raw", "container_format": "bare"}`)
	if got := a.header.Get("OpenStack-image-store-ids"); got != "one,two,three,web" {
		t.Errorf("OpenStack-image-store-ids = %q", got)
	}
	d.want(400, "Store for identifier nope not found", "PUT", "/v2/images/"+imageB+"/file", "x", "Content-Type", "application/octet-stream", "X-Image-Meta-Store", "nope")
	d.want(204, "", "PUT", "/v2/images/"+imageB+"/file", "new data", "Content-Type", "application/octet-stream", "X-Image-Meta-Store", "three")
	d.want(200, `"stores": "three"`, "GET", "/v2/images/"+imageB, "")
	d.want(200, `{"id": "v2.8", "status": "SUPPORTED"`, "GET", "/versions", "")
	for _, id := range []string{imageA, imageB} {
		d.want(204, "", "DELETE", "/v2/images/"+id, "")
	}
	if n := s.count("images", "two-a", "two-b", "three", "staged"); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The scrubber removes what a delayed delete left in any store.
func TestScrubSeveralStores(t *testing.T) {
	s := newSite(t)
	delayed := several + "[DEFAULT]\ndelayed_delete = True\n"
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", delayed)}})
	d.create(imageA, "data")
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", `{"method": {"name": "copy-image"}, "stores": ["two", "three"]}`)
	d.finish(imageA)
	d.want(204, "", "DELETE", "/v2/images/"+imageA, "")
	stores := []string{"images", "two-a", "two-b", "three"}
	if n := s.count(stores...); n != 3 {
		t.Errorf("after a delayed delete there are %d files; want 3", n)
	}
	if err := service.RunScrubber(t.Context(), service.Options{Files: []string{s.conf("scrubber", delayed)}, Stderr: new(logBuffer)}); err != nil {
		t.Fatal(err)
	}
	if n := s.count(stores...); n != 0 {
		t.Errorf("the scrubber left %d files", n)
	}
}

// An import that one store fails at leaves nothing in any.
func TestImportToSeveralStoresFails(t *testing.T) {
	s := newSite(t)
	conf := s.conf("api", several)
	d := start(t, service.RunAPI, service.Options{Files: []string{conf}})
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`", "disk_format": "raw", "container_format": "bare"}`)
	d.stage(imageA, "data")
	// A directory in the place of the last store's file makes it fail.
	if err := os.MkdirAll(filepath.Join(s.path("three"), imageA), 0o700); err != nil {
		t.Fatal(err)
	}
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", `{"method": {"name": "glance-direct"}, "all_stores": true}`)
	if task := d.finish(imageA); task.Status != "failure" {
		t.Errorf("task is %+v", task)
	}
	d.want(200, `"os_glance_failed_import": "three", "os_glance_importing_to_stores": ""`, "GET", "/v2/images/"+imageA, "")
	d.want(200, `"status": "queued"`, "GET", "/v2/images/"+imageA, "")
	if n := s.count("images", "two-a", "two-b", "staged"); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

// What is shown of a store is what it was told, and none of its secrets.
func TestStoreDetails(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", `[DEFAULT]
enabled_backends = one:file, objects:swift, web:http
[glance_store]
default_backend = one
[one]
filesystem_store_datadir = DIR/images
filesystem_store_chunk_size = 4096
filesystem_thin_provisioning = True
[objects]
weight = 3
swift_store_auth_address = http://127.0.0.1:1/v3
swift_store_user = project:user
swift_store_key = Planted
swift_store_container = pictures
swift_store_large_object_chunk_size = 10
[os_glance_staging_store]
filesystem_store_datadir = DIR/staged
`)}})
	a := d.want(200, "", "GET", "/v2/info/stores/detail", "")
	want := `{"stores": [` +
		`{"id": "one", "default": "true", "type": "file", "properties": {"data_dir": "` + s.path("images") + `", "chunk_size": 4096, "thin_provisioning": true}, "weight": 0}, ` +
		`{"id": "objects", "type": "swift", "properties": {"container": "pictures", "large_object_size": 5368709120, "large_object_chunk_size": 10485760}, "weight": 3}, ` +
		`{"id": "web", "read-only": "true", "type": "http", "properties": {}, "weight": 0}]}`
	if a.body != want {
		t.Errorf("stores in detail are\n%s\nwant\n%s", a.body, want)
	}
	if strings.Contains(d.log.String(), "Planted") {
		t.Error("the key is in the log")
	}
}
