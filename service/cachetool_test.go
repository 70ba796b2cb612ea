package service_test

import (
	"bytes"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"glancectl/service"
)

// remote returns how a tool reaches the daemon.
func (d *daemon) remote() service.Remote {
	d.t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		d.t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		d.t.Fatal(err)
	}
	return service.Remote{Host: host, Port: n}
}

// noEnvironment takes away what the tools would read.
func noEnvironment(t *testing.T) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OS_") {
			t.Setenv(name, "")
		}
	}
}

func TestCacheManageTool(t *testing.T) {
	noEnvironment(t)
	s := newSite(t)
	keystone := fakeKeystone(t, false)
	d := start(t, service.RunAPI, service.Options{Files: []string{
		s.conf("api", strings.Replace(tokenOptions(keystone.URL), "flavor = keystone", "flavor = keystone+cachemanagement", 1))}})
	d.create(imageA, "data", "X-Auth-Token", "admin")
	tool := func(o service.Options, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		token := o.Remote.Token
		o.Remote, o.Stdout = d.remote(), &out
		o.Remote.Token = token
		code, err := service.CacheManage(t.Context(), o, args)
		if err != nil {
			t.Errorf("glance-cache-manage %s: %v", args, err)
		}
		return out.String() + "=" + strconv.Itoa(code)
	}
	admin := service.Remote{Token: "admin"}
	for _, test := range []struct {
		o    service.Options
		args string
		want string
	}{
		{service.Options{Remote: admin}, "list-cached", "No cached images.\n=0"},
		{service.Options{Remote: admin}, "list-queued", "No queued images.\n=0"},
		{service.Options{Remote: admin, Stdin: strings.NewReader("\n")}, "queue-image " + imageA, "Queue image " + imageA + " for caching? [y/N] =0"},
		{service.Options{Remote: admin, Stdin: strings.NewReader("")}, "delete-all-queued-images", "Delete all queued images? [y/N] =0"},
		{service.Options{Remote: admin}, "list-queued", "No queued images.\n=0"},
		{service.Options{Remote: admin, Stdin: strings.NewReader("Yes\n"), Verbose: true}, "queue-image " + imageA,
			"Queue image " + imageA + " for caching? [y/N] Queued image " + imageA + " for caching\n=0"},
		{service.Options{Remote: admin}, "list-queued", "Found 1 queued images...\nID                                  \n" + strings.Repeat("-", 36) + "\n" + imageA + "\n=0"},
		{service.Options{Remote: admin, Force: true}, "queue-image " + imageB, "=0"},
		{service.Options{Remote: admin, Force: true, Verbose: true}, "delete-queued-image " + imageB, "Deleted queued image " + imageB + "\n=0"},
		{service.Options{Remote: admin, Force: true, Verbose: true}, "delete-all-queued-images", "Deleted 1 queued images\n=0"},
		{service.Options{Remote: admin, Force: true, Verbose: true}, "delete-cached-image " + imageB, "Deleted cached image " + imageB + "\n=0"},
		{service.Options{Remote: admin, Force: true}, "queue-image", "Please specify one and only ID of the image as the first argument\n=1"},
		{service.Options{Remote: admin, Force: true}, "delete-cached-image x", "Image ID 'x' is not a valid UUID.\n=1"},
		{service.Options{Remote: service.Remote{Token: "alice"}}, "list-cached", "Not authorized to make this request.\n=1"},
		{service.Options{Force: true}, "delete-all-cached-images", "Failed to Delete all cached images. Got error:\n"},
	} {
		if got := tool(test.o, strings.Fields(test.args)...); got != test.want && !(strings.HasSuffix(test.want, "error:\n") && strings.HasPrefix(got, test.want) && strings.HasSuffix(got, "=1")) {
			t.Errorf("glance-cache-manage %s:\n%s\nwant\n%s", test.args, got, test.want)
		}
	}
	d.want(200, "data", "GET", "/v2/images/"+imageA+"/file", "", "X-Auth-Token", "admin")
	eventually(t, "the cache to have it", func() bool { return s.exists("cache", imageA) })
	want := regexp.MustCompile(`^Found 1 cached images\.\.\.
ID                                   Last Accessed \(UTC\) Last Modified \(UTC\) Size           Hits      
------------------------------------ ------------------- ------------------- -------------- ----------
` + imageA + ` (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d|N/A                ) \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d              4          \d
=0$`)
	if got := tool(service.Options{Remote: admin}, "list-cached"); !want.MatchString(got) {
		t.Errorf("glance-cache-manage list-cached:\n%s\nwant\n%s", got, want)
	}
	if got := tool(service.Options{Remote: admin, Force: true, Verbose: true}, "delete-all-cached-images"); got != "Deleted 1 cached images\n=0" {
		t.Errorf("glance-cache-manage delete-all-cached-images: %s", got)
	}
}

func TestCacheManageToolWithoutManagement(t *testing.T) {
	noEnvironment(t)
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	var out bytes.Buffer
	code, err := service.CacheManage(t.Context(), service.Options{Remote: d.remote(), Stdout: &out}, []string{"list-cached"})
	if want := "Cache management middleware not enabled on host 127.0.0.1\n"; code != 1 || err != nil || out.String() != want {
		t.Errorf("list-cached = %d, %v, %q; want 1, %q", code, err, out.String(), want)
	}
}

// glance-manage index lists the images with a token, and as somebody who logs
// in and asks the catalog of Keystone.
func TestManageIndex(t *testing.T) {
	noEnvironment(t)
	s := newSite(t)
	keystone := fakeKeystone(t, false)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", tokenOptions(keystone.URL))}})
	index := func(r service.Remote) (string, int, error) {
		var out bytes.Buffer
		code, err := service.Manage(t.Context(), service.Options{Remote: r, Stdout: &out}, []string{"index"})
		return out.String(), code, err
	}
	admin := d.remote()
	admin.Token = "admin"
	if out, code, err := index(admin); out != "" || code != 0 || err != nil {
		t.Errorf("index of no images = %q, %d, %v; want nothing", out, code, err)
	}
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`", "name": "one \u001b[31m", "visibility": "public", "disk_format": "raw", "container_format": "bare"}`, "X-Auth-Token", "admin")
	want := "ID                                   Name                           Disk Format          Container Format     Size          \n" +
		"------------------------------------ ------------------------------ -------------------- -------------------- --------------\n" +
		imageA + " one ?[31m                      raw                  bare                              0\n"
	if out, code, err := index(admin); out != want || code != 0 || err != nil {
		t.Errorf("index = %d, %v,\n%s\nwant\n%s", code, err, out, want)
	}
	nobody := d.remote()
	if out, code, err := index(nobody); out != "" || code != 1 || err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("index by nobody = %q, %d, %v", out, code, err)
	}

	t.Setenv("OS_AUTH_URL", keystone.URL+"/v3")
	t.Setenv("OS_USERNAME", "glance")
	t.Setenv("OS_PASSWORD", "wrong")
	t.Setenv("OS_PROJECT_NAME", "service")
	t.Setenv("TEST_IMAGE_URL", d.url+"/v2")
	if out, code, err := index(service.Remote{}); code != 1 || err == nil || strings.Contains(out+err.Error(), "wrong") {
		t.Errorf("index with a wrong password = %q, %d, %v", out, code, err)
	}
	t.Setenv("OS_PASSWORD", "pa$word")
	if out, code, err := index(service.Remote{}); out != want || code != 0 || err != nil {
		t.Errorf("index by who logs in = %d, %v,\n%s\nwant\n%s", code, err, out, want)
	}
	t.Setenv("OS_REGION_NAME", "elsewhere")
	if _, code, err := index(service.Remote{}); code != 1 || err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("index of a region that is not there = %d, %v", code, err)
	}
}
