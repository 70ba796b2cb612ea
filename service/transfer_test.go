package service_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"glancectl/service"
)

// catalogued is a Keystone whose catalog has image services by their regions.
func catalogued(t *testing.T, regions map[string]string) *httptest.Server {
	t.Helper()
	keystone, err := url.Parse(fakeKeystone(t, false).URL)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(keystone))
	mux.HandleFunc("GET /v3/auth/catalog", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := tokens[r.Header.Get("X-Auth-Token")]; !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var all []map[string]string
		for region, at := range regions {
			all = append(all, map[string]string{"region": region, "interface": "public", "url": at})
		}
		json.NewEncoder(w).Encode(map[string]any{"catalog": []any{map[string]any{"type": "image", "endpoints": all}}})
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

// fromRegion asks for an import from another region.
func fromRegion(region, id string) string {
	return fmt.Sprintf(`{"method": {"name": "glance-download", "glance_region": %q, "glance_image_id": %q}}`, region, id)
}

// owned makes an image of alice's without formats.
func (d *daemon) owned(id string) {
	d.t.Helper()
	a := d.want(201, "", "POST", "/v2/images", `{"id": "`+id+`"}`, "X-Auth-Token", "alice")
	if got := a.header.Get("OpenStack-image-import-methods"); got != "glance-download" {
		d.t.Errorf("OpenStack-image-import-methods = %q", got)
	}
}

// ended waits for the end of an import of alice's.
func (d *daemon) ended(id string) (last task) {
	d.t.Helper()
	eventually(d.t, "the import to end", func() bool {
		var doc struct{ Tasks []task }
		if err := json.Unmarshal([]byte(d.want(200, "", "GET", "/v2/images/"+id+"/tasks", "", "X-Auth-Token", "admin").body), &doc); err != nil {
			d.t.Fatal(err)
		}
		if len(doc.Tasks) > 0 {
			last = doc.Tasks[0]
		}
		return last.Status == "success" || last.Status == "failure"
	})
	return last
}

// TestGlanceDownload: an image comes from the service of another region, with
// the token of who wants it.
func TestGlanceDownload(t *testing.T) {
	secret, _ := trap(t)
	regions := map[string]string{"Metadata": "http://169.254.169.254", "Inside": strings.Replace(secret.URL, "127.0.0.1", "localhost", 1)}
	keystone := catalogued(t, regions)
	there := newSite(t)
	far := start(t, service.RunAPI, service.Options{Files: []string{there.conf("api", tokenOptions(keystone.URL))}})
	far.want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`", "name": "far", "disk_format": "qcow2", "container_format": "bare", "hw_disk_bus": "scsi", "mine": "x"}`, "X-Auth-Token", "alice")
	disk := sample(t, "qcow2-v3")
	far.want(204, "", "PUT", "/v2/images/"+imageA+"/file", disk, "Content-Type", "application/octet-stream", "X-Auth-Token", "alice")
	far.want(201, "", "POST", "/v2/images", `{"id": "`+imageB+`", "disk_format": "raw", "container_format": "bare"}`, "X-Auth-Token", "alice")
	regions["Far"] = far.url + "/"
	// Who is asked is what is allowed to lead to who must not be.
	lead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, secret.URL, http.StatusFound) }))
	defer lead.Close()
	regions["Leading"] = lead.URL

	s := newSite(t)
	port := func(u string) string { return u[strings.LastIndexByte(u, ':')+1:] }
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nenabled_import_methods = [glance-download]\n"+
		"[import_filtering_opts]\nallowed_hosts = [127.0.0.1]\nallowed_ports = ["+port(far.url)+","+port(lead.URL)+"]\n"+tokenOptions(keystone.URL))}})
	for i, test := range []struct{ region, image, text string }{
		{"Nowhere", imageA, "public glance endpoint not found for region Nowhere"},
		{"Metadata", imageA, "Processed URI for glance-download does not pass filtering: http://169.254.169.254/v2/images/" + imageA},
		{"Inside", imageA, "Processed URI for glance-download does not pass filtering: " + regions["Inside"] + "/v2/images/" + imageA},
		{"Leading", imageA, "Processed URI for glance-download does not pass filtering: " + lead.URL + "/v2/images/" + imageA},
		{"Far", "0f6f4c0e-9999-4000-8000-000000000000", "The image service of region Far answers with status 404."},
		{"Far", imageB, "Source image status should be active instead of queued"},
	} {
		id := fmt.Sprintf("0f6f4c0e-3333-4000-8000-%012d", i)
		d.owned(id)
		d.want(202, "", "POST", "/v2/images/"+id+"/import", fromRegion(test.region, test.image), "X-Auth-Token", "alice")
		if task := d.ended(id); task.Status != "failure" || task.Message != test.text {
			t.Errorf("from %s: task is %+v; want it failed: %s", test.region, task, test.text)
		}
		d.want(200, `"disk_format": null`, "GET", "/v2/images/"+id, "", "X-Auth-Token", "alice")
	}
	d.owned(imageA)
	for text, want := range map[string]string{
		`"glance_region": "Far"`:                                      "'glance_image_id' needs to be set for glance-download method",
		`"glance_image_id": "` + imageA + `"`:                         "'glance_region' needs to be set for glance-download method",
		`"glance_region": "Far", "glance_image_id": "x"`:              "Remote image id does not look like a UUID: x",
		`"glance_region": 1, "glance_image_id": "` + imageA + `"`:     "Import request requires 'glance_region' to be a string.",
		`"glance_service_interface": [], "glance_region": "Far"`:      "Import request requires 'glance_service_interface' to be a string.",
		`"glance_region": "Far", "glance_image_id": null, "uri": "x"`: "'glance_image_id' needs to be set for glance-download method",
	} {
		d.want(400, want, "POST", "/v2/images/"+imageA+"/import", `{"method": {"name": "glance-download", `+text+`}}`, "X-Auth-Token", "alice", "Accept", "application/json")
	}
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", fromRegion("far", imageA), "X-Auth-Token", "alice")
	if task := d.ended(imageA); task.Status != "success" {
		t.Fatalf("task is %+v", task)
	}
	a := d.want(200, `"hw_disk_bus": "scsi"`, "GET", "/v2/images/"+imageA, "", "X-Auth-Token", "alice")
	if !strings.Contains(a.body, `"disk_format": "qcow2", "container_format": "bare"`) || !strings.Contains(a.body, `"status": "active"`) || strings.Contains(a.body, "mine") {
		t.Errorf("image is %s", a.body)
	}
	if a := d.want(200, "", "GET", "/v2/images/"+imageA+"/file", "", "X-Auth-Token", "alice"); a.body != disk {
		t.Error("the data is not that of the other region")
	}
	if s.count("staging") != 0 {
		t.Error("data stays staged")
	}
}

// Without Keystone nobody has a token for other regions.
func TestGlanceDownloadWithoutKeystone(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nenabled_import_methods = [glance-download,web-download]\n")}})
	d.want(200, `"value": ["web-download"]`, "GET", "/v2/info/import", "")
	if !strings.Contains(d.log.String(), "images cannot be imported from other regions") {
		t.Error("the log does not say so")
	}
}

const converting = "[image_import_opts]\nimage_import_plugins = [image_decompression,image_conversion]\n"

// TestImageConversion imports images with the program itself or, where it is not
// installed, with one that does a little of what it does.
func TestImageConversion(t *testing.T) {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("qemu-img is not installed: apt-get install qemu-utils")
		}
		t.Log("not tested with qemu-img itself: it is not installed")
		install(t, `[ "$4" = qcow2 ] && head -c 3 "$7" | grep -q QFI || exit 1; head -c 100 "$7" | grep -q nonsense && exit 1; truncate -s 10M "$8"`)
	}
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", converting)}})
	for i, test := range []struct {
		format, data string
		text         string // of a failure
	}{
		{"qcow2", sample(t, "qcow2-v3"), ""},
		{"qcow2", gzipped(t, sample(t, "qcow2-v2")), ""},
		{"raw", "0123456789", ""},
		{"qcow2", sample(t, "vdi"), "Image disk_format qcow2 does not match stream data vdi"},
		{"raw", sample(t, "qcow2-v3"), ""}, // as it is, which nobody opens
		{"qcow2", "0123456789", "Image disk_format qcow2 does not match stream data raw"},
		{"qcow2", hostile(t), "Image failed safety checks: qcow2: has a backing file"},
		{"iso", sample(t, "iso"), ""}, // stays one
		{"iso", "0123456789", "Image disk_format iso does not match stream data raw"},
		{"aki", "0123456789", "Images of disk_format aki cannot be converted."},
		{"qcow2", broken(t), "The image could not be converted from qcow2 to raw."},
	} {
		id := fmt.Sprintf("0f6f4c0e-4444-4000-8000-%012d", i)
		d.want(201, "", "POST", "/v2/images", `{"id": "`+id+`", "disk_format": "`+test.format+`", "container_format": "bare"}`)
		d.stage(id, test.data)
		d.want(202, "", "POST", "/v2/images/"+id+"/import", direct)
		task := d.finish(id)
		if test.text != "" {
			if task.Status != "failure" || !strings.HasPrefix(task.Message, test.text) {
				t.Errorf("%d, %s: task is %+v; want it failed: %s", i, test.format, task, test.text)
			}
			d.want(200, `"disk_format": "`+test.format+`"`, "GET", "/v2/images/"+id, "")
			continue
		}
		if task.Status != "success" {
			t.Errorf("%d, %s: task is %+v", i, test.format, task)
		}
		if test.format == "iso" {
			d.want(200, `"disk_format": "iso"`, "GET", "/v2/images/"+id, "")
			continue
		}
		a := d.want(200, `"disk_format": "raw", "container_format": "bare"`, "GET", "/v2/images/"+id, "")
		if test.format != "raw" && !strings.Contains(a.body, `"size": 10485760, "virtual_size": 10485760, "status": "active"`) {
			t.Errorf("%d, %s: image is %s", i, test.format, a.body)
		}
	}
	if s.count("staging") != 0 {
		t.Error("data stays staged")
	}
}

// Without the program the import fails and says why; the service starts.
func TestConversionWithoutProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", converting)}})
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`", "disk_format": "qcow2", "container_format": "bare"}`)
	d.stage(imageA, sample(t, "qcow2-v3"))
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", direct)
	if task := d.finish(imageA); task.Status != "failure" || !strings.HasSuffix(task.Message, " is not installed.") {
		t.Errorf("task is %+v", task)
	}
}

// install puts a shell script in the place of qemu-img.
func install(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "qemu-img"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// hostile returns a qcow2 that says that it is only what differs from another
// file.
func hostile(t *testing.T) string {
	t.Helper()
	disk := []byte(sample(t, "qcow2-v3"))
	copy(disk[8:], "\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x0b") // offset and length of the name
	copy(disk[512:], "/etc/passwd")
	return string(disk)
}

// broken returns a qcow2 whose table of clusters is nowhere.
func broken(t *testing.T) string {
	t.Helper()
	disk := []byte(sample(t, "qcow2-v3"))
	copy(disk[40:], "nonsense")
	return string(disk)
}

func gzipped(t *testing.T, data string) string {
	t.Helper()
	var b strings.Builder
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
