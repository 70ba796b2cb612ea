package service_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"glancectl/service"
)

// bothWays has f try version 1 straight and by way of a registry. The API that
// f opens knows the tokens; its options begin in the section DEFAULT.
func bothWays(t *testing.T, f func(t *testing.T, s *site, open func(options string) *daemon)) {
	for _, way := range []string{"catalog", "registry"} {
		t.Run(way, func(t *testing.T) {
			s := newSite(t)
			login := tokenOptions(fakeKeystone(t, false).URL)
			f(t, s, func(options string) *daemon {
				if way == "registry" {
					r := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", login)}})
					options = registryOptions(t, r.url) + options
				}
				return start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", login+"[DEFAULT]\n"+options)}})
			})
		})
	}
}

// described are the headers of a request by alice with data for an image.
func described(id string, more ...string) []string {
	return as("alice", append([]string{"X-Image-Meta-Id", id, "X-Image-Meta-Name", "x", "X-Image-Meta-Disk-Format", "raw",
		"X-Image-Meta-Container-Format", "bare", "Content-Type", octets, "Accept", "text/plain"}, more...)...)
}

// v1status checks the status of an image, as an admin sees it.
func (d *daemon) v1status(id, want string) {
	d.t.Helper()
	if got := d.want(200, "", "HEAD", "/v1/images/"+id, "", as("admin")...).header.Get("X-Image-Meta-Status"); got != want {
		d.t.Errorf("the image is %s; want %s", got, want)
	}
}

// refusing is a Swift that logs everybody in and answers who brings an object
// with a code.
func refusing(t *testing.T, code *atomic.Int64) *httptest.Server {
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case r.URL.Path == "/v1.0":
			w.Header().Set("X-Storage-Url", s.URL+"/v1/a")
			w.Header().Set("X-Auth-Token", "t")
		case r.Method == http.MethodPut && strings.Count(r.URL.Path, "/") > 3:
			http.Error(w, planted, int(code.Load()))
		case r.Method == http.MethodHead && strings.Count(r.URL.Path, "/") > 3:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set("X-Container-Bytes-Used", "0")
			w.Header().Set("X-Container-Object-Count", "0")
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// TestV1StoreFails has stores that take no data. What the store says is not for
// the client, and an image whose data did not come is killed.
func TestV1StoreFails(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, open func(string) *daemon) {
		var code atomic.Int64
		swift := s.write("swift.conf", "[ref1]\nauth_address = "+refusing(t, &code).URL+"/v1.0\nauth_version = 1\nuser = a:b\nkey = "+planted+"\n")
		d := open("[glance_store]\nstores = file,swift\ndefault_swift_reference = ref1\nswift_store_config_file = " + swift + "\n")
		for i, test := range []struct {
			store int // what it answers
			code  int
			text  string
		}{
			{507, 413, "\n\nImage storage media is full: There is not enough disk space on the image storage media.\n\n"},
			{403, 503, "\n\nInsufficient permissions on image storage media: Permission to write image storage media denied.\n\n"},
			{400, 500, "\n\nFailed to upload image %s\n\n"},
		} {
			id, later := fmt.Sprintf("0f6f4c0e-1111-4000-8000-0000000001%02d", i), fmt.Sprintf("0f6f4c0e-1111-4000-8000-0000000002%02d", i)
			code.Store(int64(test.store))
			text := strings.Replace(test.text, "%s", id, 1)
			if a := d.want(test.code, text, "POST", "/v1/images", "some data", described(id, "X-Image-Meta-Store", "swift")...); strings.Contains(a.body, planted) {
				t.Errorf("the answer has what the store says: %s", a.body)
			}
			d.v1status(id, "killed")
			d.want(404, "Image "+id+" is not active", "GET", "/v1/images/"+id, "", as("alice")...)

			d.want(201, "", "POST", "/v1/images", "", described(later)...)
			d.want(test.code, strings.Replace(test.text, "%s", later, 1), "PUT", "/v1/images/"+later, "some data",
				as("alice", "Content-Type", octets, "X-Image-Meta-Store", "swift", "Accept", "text/plain")...)
			d.v1status(later, "killed")
		}
		if !strings.Contains(d.log.String(), " ERROR ") || strings.Contains(d.log.String(), planted) {
			t.Error("the log does not say that it failed, or says the password")
		}
		// A directory that is none.
		if err := os.RemoveAll(s.path("images")); err != nil {
			t.Fatal(err)
		}
		write(t, s.path("images"), "")
		d.want(500, "Failed to upload image "+imageA, "POST", "/v1/images", "some data", described(imageA)...)
		d.v1status(imageA, "killed")
	})
}

// begun is an upload through version 1, of which five bytes have come.
func (d *daemon) begun(id string) *slowUpload {
	d.t.Helper()
	body, data := io.Pipe()
	d.t.Cleanup(func() { data.Close() })
	u := &slowUpload{data, make(chan answer, 1)}
	r, err := http.NewRequest("POST", d.url+"/v1/images", body)
	if err != nil {
		d.t.Fatal(err)
	}
	for headers := described(id); len(headers) > 0; headers = headers[2:] {
		r.Header.Set(headers[0], headers[1])
	}
	go func() {
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			u.answer <- answer{}
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		u.answer <- answer{code: resp.StatusCode, body: string(text)}
	}()
	if _, err := io.WriteString(data, "first"); err != nil {
		d.t.Fatal(err)
	}
	eventually(d.t, "the upload to begin", func() bool {
		return d.call("HEAD", "/v1/images/"+id, "", as("alice")...).header.Get("X-Image-Meta-Status") == "saving"
	})
	return u
}

// TestV1UploadBreaks has images that are deleted, or get other data, while
// theirs comes, and clients that go away.
func TestV1UploadBreaks(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, open func(string) *daemon) {
		d := open("")
		u := d.begun(imageA)
		d.want(409, "Cannot upload to an unqueued image", "PUT", "/v1/images/"+imageA, "other", as("alice", "Content-Type", octets)...)
		d.want(200, "", "DELETE", "/v1/images/"+imageA, "", as("alice")...)
		u.data.Close()
		want := "Image " + imageA + " could not be found after upload. The image may have been deleted during the upload."
		if a := <-u.answer; a.code != 412 || !strings.Contains(a.body, want) {
			t.Errorf("the upload is answered with %d %s; want 412 and %s", a.code, a.body, want)
		}
		d.v1status(imageA, "deleted")

		u = d.begun(imageB)
		u.data.CloseWithError(io.ErrClosedPipe) // which ends the connection
		if a := <-u.answer; a.code != 0 {
			t.Errorf("an upload that breaks off is answered with %d", a.code)
		}
		eventually(t, "the image to be killed", func() bool {
			return d.call("HEAD", "/v1/images/"+imageB, "", as("alice")...).header.Get("X-Image-Meta-Status") == "killed"
		})
		eventually(t, "the store to be empty", func() bool { return s.count("images") == 0 })
	})
}

// TestV1Quotas has more data than there is room for.
func TestV1Quotas(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, open func(string) *daemon) {
		d := open("user_storage_quota = 10B\n")
		const third = "0f6f4c0e-1111-4000-8000-00000000000c"
		d.want(201, "", "POST", "/v1/images", "six by", described(imageA)...)
		d.want(413, "\n\nDenying attempt to upload image because it exceeds the quota: The size of the data 6 will exceed the limit. 4 bytes remaining.\n\n",
			"POST", "/v1/images", "six by", described(imageB)...)
		d.v1status(imageB, "killed")
		d.want(201, "", "POST", "/v1/images", "four", described(third)...)
		if n := s.count("images"); n != 2 {
			t.Errorf("the store has %d files; want 2", n)
		}
	})
}

// TestV1Reading has images whose data cannot be had, and one with none.
func TestV1Reading(t *testing.T) {
	bothWays(t, func(t *testing.T, s *site, open func(string) *daemon) {
		d := open("delayed_delete = True\nscrub_time = 3600\n")
		const empty = "0f6f4c0e-1111-4000-8000-00000000000c"
		for _, id := range []string{imageA, imageB} {
			d.want(201, "", "POST", "/v1/images", "some data", described(id)...)
		}
		d.want(201, `"status": "active"`, "POST", "/v1/images", "", described(empty, "X-Image-Meta-Size", "0")...)
		a := d.want(200, "", "GET", "/v1/images/"+empty, "", as("alice")...)
		if a.body != "" || a.header.Get("Content-Length") != "0" || a.header.Get("Content-Type") != octets || a.header.Get("X-Image-Meta-Size") != "0" {
			t.Errorf("GET of no data = %q with %v", a.body, a.header)
		}

		d.want(204, "", "POST", "/v2/images/"+imageA+"/actions/deactivate", "", as("admin")...)
		for _, who := range []string{"alice", "admin"} {
			d.want(403, "Image "+imageA+" is deactivated", "GET", "/v1/images/"+imageA, "", as(who)...)
		}
		d.v1status(imageA, "deactivated")
		d.want(204, "", "POST", "/v2/images/"+imageA+"/actions/reactivate", "", as("admin")...)
		d.want(200, "some data", "GET", "/v1/images/"+imageA, "", as("alice")...)

		if err := os.Remove(s.path("images", imageB)); err != nil {
			t.Fatal(err)
		}
		d.want(404, "Image "+imageB+" not found", "GET", "/v1/images/"+imageB, "", as("alice")...)
		d.v1status(imageB, "active")

		d.want(200, "", "DELETE", "/v1/images/"+imageA, "", as("alice")...)
		d.v1status(imageA, "pending_delete")
		d.want(404, "Image "+imageA+" is not active", "GET", "/v1/images/"+imageA, "", as("admin")...)
		d.want(403, "Forbidden to delete a pending_delete image.", "DELETE", "/v1/images/"+imageA, "", as("admin")...)
		d.want(403, "Forbidden to update deleted image.", "PUT", "/v1/images/"+imageA, "", as("admin", "X-Image-Meta-Name", "y")...)
		d.want(404, "Image with identifier "+imageA+" not found", "DELETE", "/v1/images/"+imageA, "", as("alice")...)
		if _, err := os.Stat(s.path("images", imageA)); err != nil {
			t.Errorf("data that waits for the scrubber: %v", err)
		}
		// Of one without data there is nothing to wait for.
		d.want(201, "", "POST", "/v1/images", "", as("alice", "X-Image-Meta-Id", imageA[:35]+"d", "X-Image-Meta-Name", "x")...)
		d.want(200, "", "DELETE", "/v1/images/"+imageA[:35]+"d", "", as("alice")...)
		d.v1status(imageA[:35]+"d", "deleted")
	})
}

// TestV1Conflict has an image changed by somebody else between the look at it
// and its change.
func TestV1Conflict(t *testing.T) {
	s := newSite(t)
	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", "")}})
	at, err := url.Parse(registry.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(at)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, "Image operation conflicts")
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\n"+registryOptions(t, front.URL))}})
	d.want(201, "", "POST", "/v1/images", "", "X-Image-Meta-Id", imageA, "X-Image-Meta-Name", "x")
	a := d.want(409, "", "PUT", "/v1/images/"+imageA, "", "X-Image-Meta-Name", "y")
	if a.body != "Image operation conflicts" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("the answer is %q, %s", a.body, a.header.Get("Content-Type"))
	}
	if name := d.want(200, "", "HEAD", "/v1/images/"+imageA, "").header.Get("X-Image-Meta-Name"); name != "x" {
		t.Errorf("the image is called %s; want x", name)
	}
}
