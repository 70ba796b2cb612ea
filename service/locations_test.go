package service_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"glancectl/service"
)

const patchJSON = "application/openstack-images-v2.1-json-patch"

// place gives an image a location by a patch.
func (d *daemon) place(code int, text, id, url string) answer {
	d.t.Helper()
	body := fmt.Sprintf(`[{"op": "add", "path": "/locations/-", "value": {"url": %q, "metadata": {}}}]`, url)
	return d.want(code, text, "PATCH", "/v2/images/"+id, body, "Content-Type", patchJSON, "Accept", "application/json")
}

// A trap is a server that nobody may ask, and a site beside it that leads
// there.
func trap(t *testing.T) (secret, site *httptest.Server) {
	secret = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the service asks for %s %s", r.Method, r.URL)
	}))
	t.Cleanup(secret.Close)
	return secret, source(t)
}

// TestLocations: an image whose data is on a web server, all its life.
func TestLocations(t *testing.T) {
	s := newSite(t)
	secret, from := trap(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nshow_multiple_locations = True\nshow_image_direct_url = True\n"+allow(from))}})
	d.draft(imageA)
	for _, uri := range []string{
		"file:///etc/passwd", "filesystem:///etc/passwd", "swift+config://ref1/images/x", "ftp://x/y", "x", from.URL + "/nothing",
		// what is allowed leads to what is not
		from.URL + "/to?u=" + secret.URL + "/x", from.URL + "/to?u=http://169.254.169.254/", from.URL + "/to?u=file:///etc/passwd",
	} {
		d.place(400, "Invalid location", imageA, uri)
	}
	port := secret.URL[strings.LastIndexByte(secret.URL, ':'):]
	for _, uri := range []string{
		secret.URL, "http://localhost" + port, "http://2130706433" + port, "http://0x7f000001" + port, "http://017700000001" + port, "http://127.1" + port,
		"http://[::1]" + port, "http://[::ffff:127.0.0.1]" + port, "http://[::ffff:7f00:1]" + port, "http://0.0.0.0" + port,
		"http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://nosuch.invalid/x", "https://10.0.0.1:22/",
	} {
		d.place(400, "URI for add location does not pass filtering: "+uri, imageA, uri)
		d.want(400, "URI for add location does not pass filtering: "+uri, "POST", "/v2/images/"+imageA+"/locations",
			fmt.Sprintf(`{"url": %q}`, uri), "Accept", "application/json")
	}
	d.want(200, `"status": "queued"`, "GET", "/v2/images/"+imageA, "")

	uri := from.URL + "/to?u=/image"
	d.place(200, `"locations": [{"url": "`+uri+`", "metadata": {}}], "direct_url": "`+uri+`"`, imageA, uri)
	d.want(200, `"size": 10, "virtual_size": null, "status": "active"`, "GET", "/v2/images/"+imageA, "")
	d.want(200, "0123456789", "GET", "/v2/images/"+imageA+"/file", "")
	d.want(206, "345", "GET", "/v2/images/"+imageA+"/file", "", "Range", "bytes=3-5")
	d.want(200, `[{"url": "`+uri+`", "metadata": {}}]`, "GET", "/v2/images/"+imageA+"/locations", "")
	d.want(204, "", "DELETE", "/v2/images/"+imageA, "")
	if n := s.count("images"); n != 0 {
		t.Errorf("there are %d files", n)
	}
}

// TestAddLocation: the data is hashed after the image has its location.
func TestAddLocation(t *testing.T) {
	s := newSite(t)
	_, from := trap(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", allow(from))}})
	d.draft(imageA)
	body, err := json.Marshal(map[string]any{"url": strings.Replace(from.URL, "//", "//user:secret@", 1) + "/image", "validation_data": map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	d.want(202, `"status": "queued"`, "POST", "/v2/images/"+imageA+"/locations", string(body))
	if task := d.finish(imageA); task.Status != "success" || task.Type != "location_import" {
		t.Errorf("task is %+v", task)
	}
	eventually(t, "the hash", func() bool {
		return strings.Contains(d.want(200, `"status": "active"`, "GET", "/v2/images/"+imageA, "").body,
			`"checksum": "781e5e245d69b566979b86e28d23f2c7"`)
	})
	d.want(200, `"os_hash_algo": "sha512", "os_hash_value": "bb96c2fc40d2d54617d6f276febe571f623a8dadf0b734855299b0e107fda32c`, "GET", "/v2/images/"+imageA, "")
	d.want(200, "0123456789", "GET", "/v2/images/"+imageA+"/file", "")
	if a := d.want(200, "", "GET", "/v2/images/"+imageA+"/tasks", ""); strings.Contains(a.body, "secret") || strings.Contains(d.log.String(), "secret") {
		t.Errorf("the password of the URL is told: %s", a.body)
	}
	d.want(409, "", "POST", "/v2/images/"+imageA+"/locations", string(body))
}

// TestHTTPStore: the store believes the certificates that it is told to.
func TestHTTPStore(t *testing.T) {
	var asked atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Write([]byte("0123456789"))
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	for option, ok := range map[string]bool{
		"":                       false,
		"https_insecure = False": false,
		"https_insecure = True":  true,
		"https_ca_certificates_file = DIR/ca.pem":                        true,
		"https_insecure = True\nhttps_ca_certificates_file = DIR/ca.pem": true,
	} {
		s := newSite(t)
		s.write("ca.pem", pemOf(srv))
		d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[glance_store]\n"+option+"\n[DEFAULT]\nshow_multiple_locations = True\n"+allow(srv))}})
		d.draft(imageA)
		asked.Store(0)
		if ok {
			d.place(200, `"status": "active"`, imageA, srv.URL+"/x")
			d.want(200, "0123456789", "GET", "/v2/images/"+imageA+"/file", "")
		} else {
			d.place(400, "The Store URI was malformed.", imageA, srv.URL+"/x")
			if asked.Load() != 0 {
				t.Errorf("%q: the service tells its request to a server that it does not believe", option)
			}
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	}
	s := newSite(t)
	for text, want := range map[string]string{
		"https_ca_certificates_file = DIR/nothing":     "[glance_store] https_ca_certificates_file: open DIR/nothing: no such file or directory",
		"https_ca_certificates_file = DIR/manage.conf": "[glance_store] https_ca_certificates_file: the file has no certificate",
		"http_proxy_information = ftp:x:1":             "[glance_store] http_proxy_information: proxy ftp:x:1: want a scheme of http or https and an address of a proxy",
	} {
		err := service.RunAPI(t.Context(), service.Options{Files: []string{s.conf("api", "[glance_store]\n"+text+"\n")}, Stderr: t.Output()})
		if want = strings.ReplaceAll(want, "DIR", s.path()); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
}

func pemOf(srv *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}

// TestWhoAddsLocations: users give their own images locations, services of the
// cloud everybody's that they can see, and only services are told where data is.
func TestWhoAddsLocations(t *testing.T) {
	s := newSite(t)
	from := source(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", allow(from)+tokenOptions(fakeKeystone(t, false).URL))}})
	where := fmt.Sprintf(`{"url": %q, "validation_data": {}}`, from.URL+"/image")
	for i, test := range []struct {
		who       string
		add, read int
	}{
		{"rita", 403, 403},
		{"bob", 403, 403},
		{"alice", 202, 403},
		{"nova", 202, 200},
		{"admin", 202, 200},
	} {
		id := fmt.Sprintf("0f6f4c0e-5555-4000-8000-%012d", i)
		d.want(201, "", "POST", "/v2/images", `{"id": "`+id+`", "disk_format": "raw", "container_format": "bare", "visibility": "community"}`, "X-Auth-Token", "alice")
		path := "/v2/images/" + id + "/locations"
		d.want(test.add, "", "POST", path, where, "X-Auth-Token", test.who)
		if test.add != 202 {
			d.want(202, "", "POST", path, where, "X-Auth-Token", "alice")
		}
		d.ended(id)
		d.want(test.read, "", "GET", path, "", "X-Auth-Token", test.who)
	}
}
