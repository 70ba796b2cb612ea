package service_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"glancectl/service"
	"glancectl/service/client"
)

const (
	imageA = "0f6f4c0e-1111-4000-8000-00000000000a"
	imageB = "0f6f4c0e-1111-4000-8000-00000000000b"
)

func TestLifeOfAnImage(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	d.want(200, "OK", "GET", "/healthcheck", "")
	d.want(300, `"versions"`, "GET", "/", "")
	d.create(imageA, "0123456789")

	sum := md5.Sum([]byte("0123456789"))
	d.want(200, `"checksum": "`+hex.EncodeToString(sum[:])+`"`, "GET", "/v2/images/"+imageA, "")
	d.want(200, `"status": "active"`, "GET", "/v2/images?name=test", "")
	if info, err := os.Stat(s.path("images", imageA)); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file is %v, %v; want mode 0640", info, err)
	}
	if a := d.want(200, "", "GET", "/v2/images/"+imageA+"/file", ""); a.body != "0123456789" {
		t.Errorf("the data is %q", a.body)
	}
	if a := d.want(206, "", "GET", "/v2/images/"+imageA+"/file", "", "Range", "bytes=2-4"); a.body != "234" {
		t.Errorf("bytes 2 to 4 are %q", a.body)
	}
	d.want(200, `"member_id": "p2"`, "POST", "/v2/images/"+imageA+"/members", `{"member": "p2"}`)
	d.want(200, `"member_id": "p2"`, "GET", "/v2/images/"+imageA+"/members", "")
	d.want(200, `"name": "new"`, "PATCH", "/v2/images/"+imageA, `[{"op": "replace", "path": "/name", "value": "new"}]`,
		"Content-Type", "application/openstack-images-v2.1-json-patch")
	a := d.want(204, "", "DELETE", "/v2/images/"+imageA, "")
	if id := a.header.Get("X-Openstack-Request-Id"); !strings.HasPrefix(id, "req-") || !strings.Contains(d.log.String(), id) {
		t.Errorf("request ID %q is not in the log", id)
	}
	d.want(404, "", "GET", "/v2/images/"+imageA, "")
	if _, err := os.Stat(s.path("images", imageA)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the delete the file: %v", err)
	}
}

func TestRequestIDs(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	long := strings.Repeat("x", 62)
	for sent, want := range map[string]string{"req-1": "req-1", "1": "req-1", long: "req-" + long} {
		a := d.want(200, "", "GET", "/v2/images", "", "X-Openstack-Request-ID", sent)
		if got := a.header.Get("X-Openstack-Request-Id"); got != want || !strings.Contains(d.log.String(), " ["+want+" ") {
			t.Errorf("ID %s is answered with %s; want %s, in the log too", sent, got, want)
		}
	}
	d.want(431, "", "GET", "/v2/images", "", "X-Openstack-Request-ID", long+"xyz")
}

func TestClient(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	c, err := client.New(d.url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := c.Health(ctx); err != nil {
		t.Errorf("Health = %v", err)
	}
	spec := client.Spec{Name: "cirros & co", DiskFormat: "qcow2", ContainerFormat: "bare", Visibility: "public", Properties: map[string]string{"os_distro": "x"}}
	im, err := c.Create(ctx, spec)
	if err != nil || im.Status != "queued" || im.Visibility != "public" {
		t.Fatalf("Create = %+v, %v", im, err)
	}
	if images, err := c.List(ctx, spec.Name); err != nil || len(images) != 1 || images[0].ID != im.ID {
		t.Errorf("List = %+v, %v; want the one that was created", images, err)
	}
	if images, err := c.List(ctx, "other"); err != nil || len(images) != 0 {
		t.Errorf("List of another name = %+v, %v", images, err)
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	copy(data, "QFI\xfb\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00") // version 2, no backing file
	copy(data[24:], "\x00\x00\x00\x00\x00\xa0\x00\x00")                   // of 10 MiB
	if err := c.Upload(ctx, im.ID, io.MultiReader(bytes.NewReader(data)), -1); err != nil {
		t.Fatalf("Upload = %v", err)
	}
	if im, err = c.Show(ctx, im.ID); err != nil || im.Status != "active" || im.Size != int64(len(data)) || im.HashAlgo != "sha512" {
		t.Errorf("Show = %+v, %v", im, err)
	}
	err = c.Upload(ctx, im.ID, strings.NewReader("again"), 5)
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusConflict || e.Message == "" {
		t.Errorf("Upload to an active image = %v; want 409 with a message", err)
	}
	if err := c.Delete(ctx, im.ID); err != nil {
		t.Errorf("Delete = %v", err)
	}
	if _, err := c.Show(ctx, im.ID); !client.IsNotFound(err) {
		t.Errorf("Show after Delete = %v; want not found", err)
	}
}

// TestOptions starts the service with options that are not the default and
// looks for their effect.
func TestOptions(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", `[DEFAULT]
public_endpoint = https://images.example.com
limit_param_default = 1
image_size_cap = 4
image_tag_quota = 1
hashing_algorithm = sha256
show_image_direct_url = True
notifier_strategy = logging
http_keepalive = False
[image_format]
disk_formats = raw
[oslo_middleware]
enable_proxy_headers_parsing = True
`)}})
	d.want(300, "https://images.example.com/v2/", "GET", "/", "")
	d.want(400, "", "POST", "/v2/images", `{"disk_format": "qcow2"}`)
	d.create(imageA, "data")
	d.want(200, `"os_hash_algo": "sha256"`, "GET", "/v2/images/"+imageA, "")
	d.want(200, `"direct_url": "file://`+s.path("images", imageA), "GET", "/v2/images/"+imageA, "")
	a := d.want(201, "", "POST", "/v2/images", `{"id": "`+imageB+`", "disk_format": "raw", "container_format": "bare"}`,
		"X-Forwarded-Proto", "https", "X-Forwarded-Host", "front")
	if got := a.header.Get("Location"); got != "https://front/v2/images/"+imageB {
		t.Errorf("Location = %s; want the proxy's address", got)
	}
	if !a.closes {
		t.Error("the connection is kept alive")
	}
	d.want(413, "", "PUT", "/v2/images/"+imageB+"/file", "12345", "Content-Type", "application/octet-stream")
	d.want(200, `"next"`, "GET", "/v2/images", "")
	d.want(204, "", "PUT", "/v2/images/"+imageB+"/tags/a", "")
	d.want(413, "", "PUT", "/v2/images/"+imageB+"/tags/b", "")
	for _, event := range []string{
		` INFO oslo.messaging.notification.image.create [req-`,
		`"event_type":"image.create","priority":"INFO","payload":{"id":"` + imageA + `"`,
		` ERROR oslo.messaging.notification.image.upload [req-`,
		`"priority":"ERROR","payload":"Failed to upload image data for image ` + imageB + ` due to internal error: The provided image is too large."`,
	} {
		if !strings.Contains(d.log.String(), event) {
			t.Errorf("the log has no %q:\n%s", event, d.log)
		}
	}
	if strings.Contains(d.log.String(), "file:///") {
		t.Error("the log has a location")
	}
}

// TestFailedUploadsAreLogged: an upload that comes to nothing leaves a line,
// with the request and who made it, also where nobody is told and little is
// logged; and one line if the log is told anyway.
func TestFailedUploadsAreLogged(t *testing.T) {
	for _, strategy := range []string{"noop", "logging"} {
		s := newSite(t)
		d := s.api("[DEFAULT]\nimage_size_cap = 4\nverbose = False\nnotifier_strategy = " + strategy + "\n")
		d.want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`", "disk_format": "raw", "container_format": "bare"}`, as("alice")...)
		d.want(413, "", "PUT", "/v2/images/"+imageA+"/file", "12345", as("alice", "Content-Type", octets)...)
		d.want(400, "", "POST", "/v1/images", "1234", as("alice", "Content-Type", octets, "X-Image-Meta-Id", imageB, "X-Image-Meta-Checksum", "bad",
			"X-Image-Meta-Disk_format", "raw", "X-Image-Meta-Container_format", "bare")...)
		for _, id := range []string{imageA, imageB} {
			line := regexp.MustCompile(` ERROR \S+ \[req-\S+ u-alice p-alice - - -\] .*Failed to upload image data for image ` + id + ` due to internal error: `)
			if got := len(line.FindAllString(d.log.String(), -1)); got != 1 {
				t.Errorf("with %s %d lines fit %s; want one:\n%s", strategy, got, line, d.log)
			}
		}
	}
}

func TestRegistry(t *testing.T) {
	s := newSite(t)
	api := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	api.create(imageA, "data")
	d := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", "")}})
	d.want(200, "OK", "GET", "/healthcheck", "")
	d.want(200, imageA, "GET", "/images?is_public=None", "")
	a := d.want(200, `"file://`+s.path("images", imageA), "GET", "/images/"+imageA, "")
	if !strings.HasPrefix(a.header.Get("X-Openstack-Request-Id"), "req-") {
		t.Errorf("the registry's answer has request ID %q", a.header.Get("X-Openstack-Request-Id"))
	}
	if want := `"GET /images/` + imageA + ` HTTP/1.1" 200 `; !strings.Contains(d.log.String(), want) {
		t.Errorf("the log has no %q", want)
	}
}

func TestHealthCheck(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	d.want(204, "", "HEAD", "/healthcheck", "")
	d.want(200, "OK", "POST", "/healthcheck", "")
	d.want(200, "OK", "GET", "//healthcheck", "")
	s.write("off", "")
	d.want(503, "DISABLED BY FILE", "GET", "/healthcheck", "")
	d.want(503, "", "HEAD", "/healthcheck", "")
	if err := os.Remove(s.path("off")); err != nil {
		t.Fatal(err)
	}
	d.want(200, "OK", "GET", "/healthcheck", "")
}

// TestDatabaseComesLater starts before there is a database: the log says what
// to do, and once that is done the service works without a restart.
func TestDatabaseComesLater(t *testing.T) {
	s := &site{t, t.TempDir()}
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	eventually(t, "the warning", func() bool {
		return strings.Contains(d.log.String(), "the database cannot be used") && strings.Contains(d.log.String(), "glance-manage db sync")
	})
	d.want(200, "OK", "GET", "/healthcheck", "")
	d.want(503, "", "GET", "/v2/images", "")
	code, err := service.Manage(t.Context(), service.Options{Files: []string{s.conf("manage", "")}, Stdout: io.Discard}, []string{"db", "sync"})
	if code != service.ManageDone || err != nil {
		t.Fatalf("db sync = %d, %v", code, err)
	}
	d.want(200, `"images"`, "GET", "/v2/images", "")
}
