package service_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"glancectl/service"
)

// planted is the password of tests that look for it where it must not be.
const planted = "Pl4nted-5ecret"

// A listener hears everything that the service says to anybody, and fails the
// test if a planted secret is in it.
type listener struct{ *daemon }

func (l listener) call(method, path, body string, headers ...string) answer {
	l.t.Helper()
	a := l.daemon.call(method, path, body, headers...)
	var all strings.Builder
	if err := a.header.Write(&all); err != nil {
		l.t.Fatal(err)
	}
	if strings.Contains(all.String()+a.body, planted) {
		l.t.Errorf("%s %s is answered with a secret: %s%s", method, path, all.String(), a.body)
	}
	return a
}

// quiet fails the test if a planted secret, as it is or as it stands in URLs,
// is in the log.
func (l listener) quiet(what string) {
	l.t.Helper()
	for line := range strings.SplitSeq(l.log.String(), "\n") {
		if strings.Contains(line, planted) {
			l.t.Errorf("%s: the log says: %s", what, line)
		}
	}
}

// nowhere is an address where nobody listens.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Passwords of stores are in no answer and no line of the log, also when the
// store refuses them or is away.
func TestStorePasswordsStayInside(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no "+r.Header.Get("X-Auth-Key"), http.StatusUnauthorized)
	}))
	defer refuses.Close()
	for name, auth := range map[string]string{"refuses": refuses.URL + "/v1.0", "refuses v3": refuses.URL + "/v3", "away": "http://" + nowhere(t) + "/v3"} {
		s := newSite(t)
		swift := s.write("swift.conf", "[ref1]\nauth_address = "+auth+"\nuser = service:glance\nkey = "+planted+"\n")
		d := listener{start(t, service.RunAPI, service.Options{Debug: true, Files: []string{s.conf("api", `[DEFAULT]
show_multiple_locations = True
show_image_direct_url = True
[glance_store]
stores = swift
default_store = swift
default_swift_reference = ref1
swift_store_config_file = `+swift+`
`)}})}
		d.call("POST", "/v2/images", `{"id": "`+imageA+`", "disk_format": "raw", "container_format": "bare"}`)
		if a := d.call("PUT", "/v2/images/"+imageA+"/file", "data", "Content-Type", octets); a.code < 400 {
			t.Errorf("upload to a store that %s = %d", name, a.code)
		}
		d.call("POST", "/v1/images", "data", "X-Image-Meta-Name", "x", "X-Image-Meta-Disk-Format", "raw", "X-Image-Meta-Container-Format", "bare")
		for _, path := range []string{"/v2/images", "/v2/images/" + imageA, "/v2/info/stores/detail", "/v1/images/detail", "/v2/images/" + imageA + "/file"} {
			d.call("GET", path, "")
		}
		d.quiet("a store that " + name)
	}
}

// A password that somebody put into a location is shown to nobody who may not
// see locations, and logged nowhere.
func TestLocationPasswordsStayInside(t *testing.T) {
	served := true
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !served {
			http.Error(w, "gone", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Length", "4")
		fmt.Fprint(w, "data")
	}))
	defer web.Close()
	s := newSite(t)
	d := listener{start(t, service.RunAPI, service.Options{Debug: true, Files: []string{s.conf("api",
		"[DEFAULT]\nshow_multiple_locations = True\n[glance_store]\nstores = file,http\n"+allow(web)+tokenOptions(fakeKeystone(t, false).URL))}})}
	location := strings.Replace(web.URL, "http://", "http://user:"+planted+"@", 1) + "/x"
	d.call("POST", "/v2/images", `{"id": "`+imageA+`", "disk_format": "raw", "container_format": "bare"}`, as("alice")...)
	patch := func(url string) answer {
		// Not by the listener: who adds a location is answered with it.
		return d.daemon.call("PATCH", "/v2/images/"+imageA, `[{"op": "add", "path": "/locations/-", "value": {"url": "`+url+`", "metadata": {}}}]`,
			as("alice", "Content-Type", "application/openstack-images-v2.1-json-patch")...)
	}
	patch(strings.Replace(location, "/x", ":1/x", 1)) // which is no address
	patch("http://user:" + planted + "@169.254.169.254/x")
	if a := patch(location); a.code != 200 {
		t.Fatalf("add a location = %d %s", a.code, a.body)
	}
	d.call("GET", "/v2/images/"+imageA+"/file", "", as("alice")...)
	served = false
	if a := d.call("GET", "/v2/images/"+imageA+"/file", "", as("alice")...); a.code == 200 && a.body == "data" {
		t.Error("the data comes from a server that fails")
	}
	d.patch(200, "", "admin", imageA, "replace", "visibility", "public")
	for _, path := range []string{"/v2/images/" + imageA, "/v2/images", "/v1/images/" + imageA, "/v1/images/detail", "/v2/images/" + imageA + "/file"} {
		d.call("GET", path, "", as("bob")...)
	}
	d.call("DELETE", "/v2/images/"+imageA, "", as("alice")...)
	d.quiet("a location")
}

// The passwords of the database and of the service user, and the tokens of
// callers, are in no answer and no line of the log, also when the servers that
// they are for are away.
func TestServicePasswordsStayInside(t *testing.T) {
	s := newSite(t)
	options := "[DEFAULT]\n[database]\nconnection = mysql+pymysql://glance:" + planted + "@" + nowhere(t) + "/glance\n" +
		strings.ReplaceAll(tokenOptions("http://"+nowhere(t)), "pa$$word", planted)
	d := listener{start(t, service.RunAPI, service.Options{Debug: true, Files: []string{s.conf("api", options)}})}
	if a := d.call("GET", "/v2/images", "", as(planted)...); a.code != 503 {
		t.Errorf("without a Keystone = %d; want 503", a.code)
	}
	d.quiet("a Keystone that is away")

	refuses := strings.ReplaceAll(tokenOptions(fakeKeystone(t, false).URL), "pa$$word", planted)
	d = listener{start(t, service.RunAPI, service.Options{Debug: true, Files: []string{s.conf("api", refuses)}})}
	if a := d.call("GET", "/v2/images", "", as("alice")...); a.code != 503 {
		t.Errorf("with a Keystone that refuses the service = %d; want 503", a.code)
	}
	d.quiet("a Keystone that refuses")

	away := "[database]\nconnection = mysql+pymysql://glance:" + planted + "@" + nowhere(t) + "/glance\n"
	d = listener{start(t, service.RunAPI, service.Options{Debug: true, Files: []string{s.conf("api", away)}})}
	if a := d.call("GET", "/v2/images", ""); a.code != 503 {
		t.Errorf("without a database = %d; want 503", a.code)
	}
	d.quiet("a database that is away")
}
