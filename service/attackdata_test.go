package service_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"glancectl/service"
)

const octets = "application/octet-stream"

// as returns the header of a caller's token, and more headers.
func as(who string, more ...string) []string { return append([]string{"X-Auth-Token", who}, more...) }

// Who may see an image and not delete it leaves its data where it is, by
// whichever way, and so does whoever cannot even see it.
func TestForeignDeletes(t *testing.T) {
	for _, delayed := range []string{"False", "True"} {
		for _, share := range []string{"public", "community", "shared", "private"} {
			s := newSite(t) // an ID is used once
			d := s.api("[DEFAULT]\ndelayed_delete = " + delayed + "\n")
			d.create(imageA, "data of alice", as("alice")...)
			d.patch(200, "", "admin", imageA, "replace", "visibility", share)
			if share == "shared" {
				d.want(200, "", "POST", "/v2/images/"+imageA+"/members", `{"member": "p-bob"}`, as("alice")...)
				d.want(200, "", "PUT", "/v2/images/"+imageA+"/members/p-bob", `{"status": "accepted"}`, as("bob")...)
			}
			code := 403
			if share == "private" {
				code = 404
			}
			for _, path := range []string{"/v2/images/" + imageA, "/v1/images/" + imageA} {
				if a := d.call("DELETE", path, "", as("bob")...); a.code != code && a.code != 404 {
					t.Errorf("DELETE of a %s image at %s = %d; want %d or 404", share, path, a.code, code)
				}
			}
			for _, change := range []string{"PUT /v2/images/%s/file", "POST /v2/images/%s/actions/deactivate", "PUT /v2/images/%s/stage", "DELETE /v2/stores/file/%s"} {
				method, path, _ := strings.Cut(fmt.Sprintf(change, imageA), " ")
				if a := d.call(method, path, "", as("bob", "Content-Type", octets)...); a.code < 400 {
					t.Errorf("%s %s of a %s image = %d; want a refusal", method, path, share, a.code)
				}
			}
			d.want(200, "data of alice", "GET", "/v2/images/"+imageA+"/file", "", as("alice")...)
			d.want(204, "", "DELETE", "/v2/images/"+imageA, "", as("alice")...)
		}
	}
}

// What the cache holds is given to nobody who would not get it from the store.
func TestCachedDownloads(t *testing.T) {
	s := newSite(t)
	s.write("policy.yaml", "download_image: project_id:%(owner)s or rule:context_is_admin\n")
	d := s.api("[paste_deploy]\nflavor = keystone+cachemanagement\n")
	d.create(imageA, "data of alice", as("alice")...)
	d.patch(200, "", "admin", imageA, "replace", "visibility", "public")
	d.want(200, "data of alice", "GET", "/v2/images/"+imageA+"/file", "", as("alice")...)
	eventually(t, "the image to be cached", func() bool { return len(d.cacheState().Cached) == 1 })
	if err := os.Remove(s.path("images", imageA)); err != nil {
		t.Fatal(err)
	}
	d.want(200, "data of alice", "GET", "/v2/images/"+imageA+"/file", "", as("alice")...) // only the cache has it
	for _, version := range []string{"v1", "v2"} {
		path := "/" + version + "/images/" + imageA
		if version == "v2" {
			path += "/file"
		}
		refused := func(code int, who string) {
			t.Helper()
			a := d.want(code, "", "GET", path, "", as(who)...)
			if strings.Contains(a.body, "data of alice") {
				t.Errorf("GET %s as %s shows the data", path, who)
			}
		}
		refused(403, "bob")
		d.want(401, "", "GET", path, "")
		d.want(204, "", "POST", "/v2/images/"+imageA+"/actions/deactivate", "", as("admin")...)
		refused(403, "alice")
		d.want(204, "", "POST", "/v2/images/"+imageA+"/actions/reactivate", "", as("admin")...)
		d.patch(200, "", "admin", imageA, "replace", "visibility", "private")
		refused(404, "bob")
		d.patch(200, "", "admin", imageA, "replace", "visibility", "public")
	}
	// A cached answer of v1 says no more than another one.
	if a := d.want(200, "data of alice", "GET", "/v1/images/"+imageA, "", as("admin")...); a.header.Get("X-Image-Meta-Location") != "" {
		t.Errorf("a cached v1 answer has the location %s", a.header.Get("X-Image-Meta-Location"))
	}
	d.want(204, "", "DELETE", "/v2/images/"+imageA, "", as("alice")...)
	d.want(404, "", "GET", "/v2/images/"+imageA+"/file", "", as("alice")...)
}

// Nothing larger than the limit is kept, whoever says how large it is, and by
// whichever way it comes.
func TestSizeCap(t *testing.T) {
	s := newSite(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush() // without a length
		_, _ = io.WriteString(w, strings.Repeat("x", 2000))
	}))
	defer web.Close()
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nimage_size_cap = 1000\n[glance_store]\nstores = file,http\n"+allow(web))}})
	chunked := func(method, path string, headers ...string) int {
		t.Helper()
		// A reader of unknown length is sent in chunks.
		r, err := http.NewRequestWithContext(t.Context(), method, d.url+path, io.MultiReader(strings.NewReader(strings.Repeat("x", 2000))))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", octets)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	d.draft(imageA)
	for _, path := range []string{"/file", "/stage"} {
		if code := chunked("PUT", "/v2/images/"+imageA+path); code != 413 {
			t.Errorf("chunked PUT of too much to %s = %d; want 413", path, code)
		}
		d.want(200, `"status": "queued"`, "GET", "/v2/images/"+imageA, "")
	}
	if code := chunked("POST", "/v1/images", "X-Image-Meta-Name", "x", "X-Image-Meta-Disk-Format", "raw", "X-Image-Meta-Container-Format", "bare"); code != 413 {
		t.Errorf("chunked POST of too much to v1 = %d; want 413", code)
	}
	// One that lies about its size is believed in what it sends.
	if code := chunked("POST", "/v1/images", "X-Image-Meta-Name", "x", "X-Image-Meta-Disk-Format", "raw", "X-Image-Meta-Container-Format", "bare", "X-Image-Meta-Size", "10"); code < 400 {
		t.Errorf("v1 takes 2000 bytes that were said to be 10: %d", code)
	}
	d.want(202, "", "POST", "/v2/images/"+imageA+"/import", download(web.URL+"/x"))
	if task := d.finish(imageA); task.Status != "failure" {
		t.Errorf("the download of too much is %+v", task)
	}
	d.want(201, "", "POST", "/v1/images", "", "X-Image-Meta-Id", imageB, "X-Image-Meta-Name", "copied", "X-Image-Meta-Disk-Format", "raw", "X-Image-Meta-Container-Format", "bare",
		"X-Glance-Api-Copy-From", web.URL+"/x")
	eventually(t, "the copy to be given up", func() bool {
		return d.call("HEAD", "/v1/images/"+imageB, "").header.Get("X-Image-Meta-Status") == "killed"
	})
	// The status is told before what came is removed.
	eventually(t, "what came of the copy to be removed", func() bool { return s.count("staging", "images") == 0 })
}

// Who deletes an image while its data comes gains no room: the data goes, even
// if the token that began the upload is no longer valid at its end.
func TestDeleteDuringUpload(t *testing.T) {
	s := newSite(t)
	d := s.api("[DEFAULT]\nuser_storage_quota = 20\n")
	for _, id := range []string{imageA, imageB} {
		d.want(201, "", "POST", "/v2/images", `{"id": "`+id+`", "disk_format": "raw", "container_format": "bare"}`, as("alice")...)
		body, data := io.Pipe()
		answered := make(chan int, 1)
		r, err := http.NewRequestWithContext(t.Context(), "PUT", d.url+"/v2/images/"+id+"/file", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", octets)
		r.Header.Set("X-Auth-Token", "alice")
		go func() {
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				answered <- 0
				return
			}
			resp.Body.Close()
			answered <- resp.StatusCode
		}()
		if _, err := io.WriteString(data, "0123456789"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the upload to begin", func() bool {
			return strings.Contains(d.call("GET", "/v2/images/"+id, "", as("alice")...).body, `"status": "saving"`)
		})
		d.want(204, "", "DELETE", "/v2/images/"+id, "", as("alice")...)
		_, _ = io.WriteString(data, "01234") // the service may have gone already
		data.Close()
		if code := <-answered; code == 204 {
			t.Error("the upload to a deleted image is answered with 204")
		}
		eventually(t, "the data to go", func() bool { return s.count("images") == 0 })
	}
	d.create("0f6f4c0e-2222-4000-8000-00000000000c", strings.Repeat("x", 20), as("alice")...) // the room is there
	d.want(201, "", "POST", "/v2/images", `{"id": "0f6f4c0e-2222-4000-8000-00000000000d", "disk_format": "raw", "container_format": "bare"}`, as("alice")...)
	d.want(413, "", "PUT", "/v2/images/0f6f4c0e-2222-4000-8000-00000000000d/file", "x", as("alice", "Content-Type", octets)...)
}

// Attributes that are the service's own cannot be set by anybody, through any
// version.
func TestOwnAttributes(t *testing.T) {
	s := newSite(t)
	d := s.api("")
	d.create(imageA, "data", as("alice")...)
	for _, attribute := range []string{"status", "checksum", "size", "os_hash_value", "os_hash_algo", "created_at", "id", "direct_url", "deleted", "owner"} {
		if a := d.call("PATCH", "/v2/images/"+imageA, `[{"op": "replace", "path": "/`+attribute+`", "value": "queued"}]`,
			as("alice", "Content-Type", "application/openstack-images-v2.1-json-patch")...); a.code != 403 {
			t.Errorf("PATCH of %s = %d %s; want 403", attribute, a.code, a.body)
		}
	}
	for _, reserved := range []string{"os_glance_import_task", "os_glance_importing_to_stores", "os_glance_anything"} {
		d.want(403, "", "POST", "/v2/images", `{"`+reserved+`": "x"}`, as("alice")...)
		d.patch(403, "", "alice", imageA, "add", reserved, "x")
	}
	d.want(403, "", "PUT", "/v1/images/"+imageA, "", as("alice", "X-Image-Meta-Status", "queued")...)
	d.want(200, `"status": "active"`, "GET", "/v2/images/"+imageA, "", as("alice")...)
	d.want(409, "", "PUT", "/v2/images/"+imageA+"/file", "other", as("alice", "Content-Type", octets)...)
	d.want(200, "data", "GET", "/v2/images/"+imageA+"/file", "", as("alice")...)
}

// What users say about where data is leads to no file of the server's, and to
// no account of its stores, through v1 neither.
func TestOldLocationAttacks(t *testing.T) {
	s := newSite(t)
	secret := s.write("secret", "of the server")
	asked := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the service asks for %s", r.URL) }))
	defer asked.Close()
	d := s.api("[glance_store]\nstores = file,http\n")
	for _, header := range []string{"X-Image-Meta-Location", "X-Glance-Api-Copy-From"} {
		for _, url := range []string{
			"file://" + secret, "filesystem://" + secret, "swift+config://ref1/container/object", "cinder://x", "FILE://" + secret,
			"http://169.254.169.254/latest", "http://2852039166/latest", "http://[::ffff:169.254.169.254]/", "http://0251.0376.0251.0376/", asked.URL + "/x",
		} {
			a := d.call("POST", "/v1/images", "", as("alice", "X-Image-Meta-Name", "x", "X-Image-Meta-Disk-Format", "raw", "X-Image-Meta-Container-Format", "bare", header, url)...)
			if a.code != 400 && a.code != 403 {
				t.Errorf("%s: %s = %d %s; want 400 or 403", header, url, a.code, a.body)
			}
		}
	}
	if body := d.call("GET", "/v2/images", "", as("alice")...).body; strings.Contains(body, `"status": "active"`) {
		t.Errorf("there are images: %s", body)
	}
}
