package service_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service"
)

// replicate runs glance-replicator as an administrator and returns what it
// answers, its exit code, and what it says beside that.
func replicate(t *testing.T, o service.Options, args ...string) (answer, said string) {
	t.Helper()
	var out, talk bytes.Buffer
	o.Stdout, o.Stderr = &out, &talk
	if r := o.Replication; r.Token+r.SourceToken+r.TargetToken == "" {
		o.Replication.Token = "admin"
	}
	code, err := service.Replicate(t.Context(), o, args)
	if err != nil {
		fmt.Fprintln(&talk, err)
	}
	return out.String() + "=" + strconv.Itoa(code), talk.String()
}

// region is an image service of its own.
func region(t *testing.T) (*site, *daemon) {
	t.Helper()
	s := newSite(t)
	return s, s.api("")
}

const (
	public   = "aaaaaaaa-0000-4000-8000-000000000001"
	shared   = "aaaaaaaa-0000-4000-8000-000000000002"
	hidden   = "aaaaaaaa-0000-4000-8000-000000000003"
	closed   = "aaaaaaaa-0000-4000-8000-000000000004"
	waiting  = "aaaaaaaa-0000-4000-8000-000000000005"
	empty    = "aaaaaaaa-0000-4000-8000-000000000006"
	everyone = "aaaaaaaa-0000-4000-8000-000000000007"
)

// furnish makes one image of each kind.
func furnish(d *daemon) {
	d.t.Helper()
	admin := []string{"X-Auth-Token", "admin", "Content-Type", "application/json"}
	image := func(id, more, data string) {
		d.t.Helper()
		body := `{"id": "` + id + `", "disk_format": "raw", "container_format": "bare"` + more + `}`
		d.want(201, "", "POST", "/v2/images", body, admin...)
		if id != waiting {
			d.want(204, "", "PUT", "/v2/images/"+id+"/file", data, "X-Auth-Token", "admin", "Content-Type", octets)
		}
	}
	image(public, `, "name": "öffentlich", "visibility": "public", "protected": true, "min_disk": 3, "tags": ["b", "a"], "os_distro": "x~y/z", "a/b": ""`, "public data")
	image(shared, `, "name": "shared", "owner": "p-alice"`, "shared data")
	d.want(200, "", "POST", "/v2/images/"+shared+"/members", `{"member": "p-bob"}`, admin...)
	d.want(200, "", "PUT", "/v2/images/"+shared+"/members/p-bob", `{"status": "accepted"}`, admin...)
	d.want(200, "", "POST", "/v2/images/"+shared+"/members", `{"member": "p-carol"}`, admin...)
	image(hidden, `, "os_hidden": true, "visibility": "private"`, "hidden data")
	image(closed, "", "closed data")
	d.want(204, "", "POST", "/v2/images/"+closed+"/actions/deactivate", "", "X-Auth-Token", "admin")
	image(waiting, "", "")
	image(empty, "", "")
	image(everyone, `, "visibility": "community", "owner": "p-bob"`, "everyone's data")
}

func TestReplicate(t *testing.T) {
	noEnvironment(t)
	_, from := region(t)
	_, to := region(t)
	_, third := region(t)
	furnish(from)
	a, b, c := strings.TrimPrefix(from.url, "http://"), to.url, third.url
	want := func(want string, args ...string) string {
		t.Helper()
		got, said := replicate(t, service.Options{}, args...)
		if got != want {
			t.Errorf("glance-replicator %s = %s\nwant %s\n%s", args, got, want, said)
		}
		return said
	}
	want("Total size is 48 bytes (48.0 B) across 5 images\n=0", "size", a)
	missing := func(id, name string) string {
		return fmt.Sprintf("Image %s (%q) entirely missing from the destination\n", id, name)
	}
	want(missing(public, "öffentlich")+missing(shared, "shared")+missing(empty, "")+missing(everyone, "")+missing(hidden, "")+"=0", "compare", a, b)
	want("=0", "livecopy", a, b)
	want("=0", "compare", a, b)
	want("Total size is 48 bytes (48.0 B) across 5 images\n=0", "size", b)
	to.want(200, "öffentlich", "GET", "/v2/images/"+public, "", as("alice")...)
	to.want(200, "shared data", "GET", "/v2/images/"+shared+"/file", "", as("bob")...)
	to.want(200, `"visibility": "community"`, "GET", "/v2/images/"+everyone, "", as("carol")...)
	to.want(404, "", "GET", "/v2/images/"+closed, "", as("admin")...)
	if said := want("=0", "livecopy", a, b); said != "" {
		t.Errorf("a second livecopy says %q", said)
	}

	dir := filepath.Join(t.TempDir(), "dump")
	want("=0", "dump", a, dir)
	if said := want("=0", "dump", a, dir); said != "" {
		t.Errorf("a second dump says %q", said)
	}
	want("=0", "load", c, dir)
	want("=0", "compare", a, c)
	names, err := filepath.Glob(dir + "/*")
	if err != nil || len(names) != 7*2+5 {
		t.Errorf("the directory has %d files, %v: %s", len(names), err, names)
	}

	// What changes at the source is changed, also what others may see.
	from.patch(200, "", "admin", public, "replace", "name", "new")
	from.patch(200, "", "admin", public, "add", "added", "1")
	from.want(200, "", "PATCH", "/v2/images/"+public, `[{"op": "remove", "path": "/a~1b"}, {"op": "replace", "path": "/protected", "value": false}, {"op": "replace", "path": "/tags", "value": []}]`,
		"X-Auth-Token", "admin", "Content-Type", "application/openstack-images-v2.1-json-patch")
	from.patch(200, "", "admin", public, "replace", "visibility", "private")
	from.want(204, "", "DELETE", "/v2/images/"+shared+"/members/p-bob", "", as("admin")...)
	from.want(204, "", "POST", "/v2/images/"+everyone+"/actions/deactivate", "", as("admin")...)
	differs := func(id, name, one, other string) string {
		return fmt.Sprintf("%s: field %s differs (source is %s, destination is %s)\n", id, name, one, other)
	}
	all := differs(public, "name", "new", "öffentlich") + differs(public, "visibility", "private", "public") +
		differs(public, "protected", "False", "True") + differs(public, "tags", "None", "a,b") + differs(public, "added", "1", "undefined") +
		differs(public, "a/b", "undefined", "") +
		differs(shared, "members", "p-carol:pending", "p-bob:accepted,p-carol:pending") + differs(everyone, "status", "deactivated", "active") + "=0"
	want(all, "compare", a, b)
	want("=0", "livecopy", a, b)
	want("=0", "compare", a, b)
	want("=0", "dump", a, dir)
	want("=0", "load", c, dir)
	want("=0", "compare", a, c)
	to.want(404, "", "GET", "/v2/images/"+public, "", as("alice")...)
	to.want(403, "", "GET", "/v2/images/"+everyone+"/file", "", as("bob")...)

	// What is not to be replicated stays as it is.
	from.patch(200, "", "admin", public, "replace", "name", "newer")
	from.patch(200, "", "admin", public, "add", "added", "2")
	got, _ := replicate(t, service.Options{Replication: service.Replication{Leave: "name properties"}}, "compare", a, b)
	if got != "=0" {
		t.Errorf("compare without what is left out = %s", got)
	}
}

// TestReplicateRefuses: what cannot be done is said, and the other images are
// copied all the same.
func TestReplicateRefuses(t *testing.T) {
	noEnvironment(t)
	_, from := region(t)
	_, to := region(t)
	_, other := region(t)
	furnish(from)
	to.want(201, "", "POST", "/v2/images", `{"id": "`+hidden+`", "disk_format": "raw", "container_format": "bare"}`, as("alice")...)
	to.want(204, "", "PUT", "/v2/images/"+hidden+"/file", "other data!", as("alice", "Content-Type", octets)...)
	to.want(201, "", "POST", "/v2/images", `{"id": "`+empty+`"}`, as("alice")...)
	to.want(204, "", "DELETE", "/v2/images/"+empty, "", as("alice")...)
	dir := t.TempDir()
	secret := filepath.Join(dir, "glance-replicator.conf")
	if err := os.WriteFile(secret, []byte("[DEFAULT]\nsourcetoken = admin\ntargettoken = nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		o           service.Options
		args, wants string
		says        []string
	}{
		{service.Options{}, "livecopy " + from.url + " " + to.url, "=1", []string{
			hidden + ": the target has other data: checksum is ", empty + ": the target has it already, or had it, but does not show it", "2 of 7 images failed"}},
		{service.Options{Replication: service.Replication{Token: "nobody"}}, "size " + from.url, "=1", []string{"401 Unauthorized"}},
		{service.Options{Replication: service.Replication{SourceToken: "admin", TargetToken: "bob"}}, "livecopy " + from.url + " " + other.url, "=1", []string{
			shared + ": ", "403 Forbidden", "(-D with owner leaves the owner out)"}},
		{service.Options{Replication: service.Replication{SourceToken: "admin", TargetToken: "bob", Leave: "owner visibility members"}},
			"livecopy " + from.url + " " + other.url, "=0", []string{"is being synced"}},
		{service.Options{}, "size 127.0.0.1", "=1", []string{`"127.0.0.1" is no server: want host:port`}},
		{service.Options{}, "size", "=1", []string{"want SERVER\nusage: glance-replicator size SERVER"}},
		{service.Options{}, "copy a b", "=1", []string{"unknown command: copy\ncommands:"}},
		{service.Options{}, "load " + to.url + " " + dir + "/none", "=1", []string{"none: no such file"}},
		{service.Options{Replication: service.Replication{Chunk: -1}}, "size " + from.url, "=1", []string{"chunksize: -1 is not between"}},
	} {
		got, said := replicate(t, test.o, strings.Fields(test.args)...)
		if got != test.wants {
			t.Errorf("glance-replicator %s = %s; want %s\n%s", test.args, got, test.wants, said)
		}
		for _, text := range test.says {
			if !strings.Contains(said, text) {
				t.Errorf("glance-replicator %s says\n%s\nwant %q", test.args, said, text)
			}
		}
	}
	to.want(200, "other data!", "GET", "/v2/images/"+hidden+"/file", "", as("alice")...)
	to.want(200, "shared data", "GET", "/v2/images/"+shared+"/file", "", as("alice")...)

	var talk bytes.Buffer
	code, err := service.Replicate(t.Context(), service.Options{Files: []string{secret}, Stdout: io.Discard, Stderr: &talk}, []string{"livecopy", from.url, to.url})
	if code != 1 || err == nil || !strings.Contains(err.Error(), to.url) || !strings.Contains(err.Error(), "401") {
		t.Errorf("with the tokens of a file: %d, %v; want the target to refuse", code, err)
	}
	t.Setenv("SOURCE_OS_TOKEN", "admin")
	t.Setenv("TARGET_OS_TOKEN", "admin")
	t.Setenv("OS_TOKEN", "nobody")
	var out bytes.Buffer
	code, err = service.Replicate(t.Context(), service.Options{Stdout: &out, Stderr: &talk}, []string{"compare", from.url, to.url})
	if want := hidden + ": field visibility differs (source is private, destination is shared)"; code != 0 || err != nil || !strings.Contains(out.String(), want) {
		t.Errorf("with the tokens of the environment: %d, %v, %q; want %q", code, err, out.String(), want)
	}
}

// A road is what lies between a client and a service. It can spoil data.
type road struct {
	*httptest.Server
	cut    atomic.Int64 // transfers that are cut in the middle
	twist  atomic.Int64 // transfers that are damaged
	ranges atomic.Int64 // answers that were parts
	slow   atomic.Int64 // transfers that take half a second
	busy   atomic.Int64 // uploads that meet one that has just ended
	before func()       // is called before data is asked for
}

func newRoad(t *testing.T, to string) *road {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	r := new(road)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	proxy.ModifyResponse = func(resp *http.Response) error {
		if resp.StatusCode == http.StatusPartialContent {
			r.ranges.Add(1)
		}
		if strings.HasSuffix(resp.Request.URL.Path, "/file") && resp.Request.Method == http.MethodGet {
			resp.Body = r.spoil(resp.Body)
		}
		return nil
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/file") && req.Method == http.MethodGet && r.before != nil {
			r.before()
		}
		if strings.HasSuffix(req.URL.Path, "/file") && req.Method == http.MethodPut {
			if r.busy.Add(-1) >= 0 {
				http.Error(w, "Image status transition from saving to saving is not allowed", http.StatusConflict)
				return
			}
			req.Body = r.spoil(req.Body)
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

type spoiled struct {
	io.ReadCloser
	r     *road
	cut   bool
	twist bool
	slow  bool
	sent  int
	done  bool
}

func (r *road) spoil(body io.ReadCloser) io.ReadCloser {
	return &spoiled{ReadCloser: body, r: r, cut: r.cut.Add(-1) >= 0, twist: r.twist.Add(-1) >= 0, slow: r.slow.Add(-1) >= 0}
}

func (s *spoiled) Read(p []byte) (int, error) {
	if s.done {
		return 0, io.ErrUnexpectedEOF
	}
	if s.slow && s.sent > 100_000 {
		s.slow = false
		time.Sleep(500 * time.Millisecond) // what is slow is what is tested
	}
	n, err := s.ReadCloser.Read(p)
	s.sent += n
	s.done = s.cut && s.sent > 100_000
	if s.twist && n > 0 {
		p[0] ^= 1
	}
	return n, err
}

// TestReplicateOverABadRoad: transfers that are cut go on, and data that comes
// otherwise than it was sent is not taken.
func TestReplicateOverABadRoad(t *testing.T) {
	noEnvironment(t)
	_, from := region(t)
	_, to := region(t)
	_, third := region(t)
	data := strings.Repeat("0123456789abcdef", 40000)
	from.create(imageA, data, "X-Auth-Token", "admin")
	near, far := newRoad(t, from.url), newRoad(t, third.url)
	run := func(code string, says string, args ...string) {
		t.Helper()
		got, said := replicate(t, service.Options{}, args...)
		if got != "="+code || !strings.Contains(said, says) {
			t.Errorf("glance-replicator %s = %s, says\n%s\nwant %s and %q", args, got, said, code, says)
		}
	}
	dir := t.TempDir()
	img := filepath.Join(dir, imageA+".img")
	near.cut.Store(1)
	run("0", "trying again", "dump", near.URL, dir)
	if n := near.ranges.Load(); n != 1 {
		t.Errorf("%d parts were asked for; want 1: the rest of what was cut", n)
	}
	if got, err := os.ReadFile(img); err != nil || string(got) != data {
		t.Errorf("the dump has %d bytes, %v; want %d", len(got), err, len(data))
	}
	near.twist.Store(1)
	other := t.TempDir()
	run("1", imageA+": the data is damaged: its sha512 is ", "dump", near.URL, other)
	if names, _ := filepath.Glob(other + "/*"); len(names) != 0 {
		t.Errorf("damaged data leaves %s", names)
	}
	near.twist.Store(1)
	run("1", "the data is damaged", "livecopy", near.URL, to.url)
	// Until the target has read the end of what it was sent it takes nothing else.
	eventually(t, "the target to see the end of the damaged data", func() bool {
		return strings.Contains(to.log.String(), "PUT /v2/images/"+imageA+"/file HTTP/1.1\" 400")
	})
	to.want(200, `"queued"`, "GET", "/v2/images/"+imageA, "", as("admin")...)
	near.cut.Store(1)
	run("0", "trying again", "livecopy", near.URL, to.url)
	to.want(200, data, "GET", "/v2/images/"+imageA+"/file", "", as("admin")...)

	// Damage on the way to the target is told by what it says of the data.
	far.twist.Store(1)
	run("1", imageA+": the target has other data: checksum is ", "livecopy", from.url, far.URL)
	third.want(204, "", "DELETE", "/v2/images/"+imageA, "", as("admin")...)
	_, fourth := region(t)
	far = newRoad(t, fourth.url)
	far.cut.Store(1)
	run("0", "trying again", "load", far.URL, dir)
	fourth.want(200, data, "GET", "/v2/images/"+imageA+"/file", "", as("admin")...)

	// What is cut may be noticed between the next try and the question what it met.
	_, fourth = region(t)
	far = newRoad(t, fourth.url)
	far.busy.Store(1)
	run("0", "trying again", "load", far.URL, dir)
	fourth.want(200, data, "GET", "/v2/images/"+imageA+"/file", "", as("admin")...)

	// A file that somebody has changed is not loaded.
	if err := os.WriteFile(img, []byte(strings.ToUpper(data)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, fifth := region(t)
	run("1", "the data is damaged", "load", fifth.url, dir)
	if err := os.Truncate(img, 10); err != nil {
		t.Fatal(err)
	}
	run("1", "has 10 bytes, not ", "load", fifth.url, dir)
	fifth.want(204, "", "GET", "/v2/images/"+imageA+"/file", "", as("admin")...)
}

// TestReplicateOldDumps: a directory that the original has written is loaded,
// with its nulls, and the names of the older document are what they were.
func TestReplicateOldDumps(t *testing.T) {
	noEnvironment(t)
	_, to := region(t)
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	document := func(id, more string) string {
		return `{"status": "active", "deleted": false, "container_format": "bare", "min_ram": 0, "updated_at": "2013-06-01T12:00:00.000000", "owner": "p-bob",
			"min_disk": 2, "id": "` + id + `", "size": 4, "name": "old", "deleted_at": null, "virtual_size": null, "disk_format": "raw",
			"properties": {"os_distro": "x", "nothing": null}, "created_at": "2013-06-01T12:00:00.000000", "checksum": "8d777f385d3dfec8815d20f7496026dc"` + more + `}`
	}
	write(imageA, document(imageA, `, "is_public": true, "protected": true`))
	write(imageA+".img", "data")
	write(imageB, document(imageB, `, "is_public": false, "protected": false`))
	write(imageB+".img", "data")
	write(shared, document(shared, ""))
	write("README", "not an image")
	if got, said := replicate(t, service.Options{}, "load", to.url, dir); got != "=0" {
		t.Errorf("load = %s\n%s", got, said)
	}
	a := to.want(200, `"visibility": "public"`, "GET", "/v2/images/"+imageA, "", as("admin")...).body
	for _, text := range []string{`"os_distro": "x"`, `"nothing": ""`, `"protected": true`, `"min_disk": 2`, `"owner": "p-bob"`, `"status": "active"`} {
		if !strings.Contains(a, text) {
			t.Errorf("what was loaded has no %s: %s", text, a)
		}
	}
	to.want(200, `"visibility": "shared"`, "GET", "/v2/images/"+imageB, "", as("bob")...)
	to.want(404, "", "GET", "/v2/images/"+shared, "", as("admin")...)

	again := t.TempDir()
	if got, said := replicate(t, service.Options{}, "dump", to.url, again); got != "=0" {
		t.Errorf("dump = %s\n%s", got, said)
	}
	text, err := os.ReadFile(filepath.Join(again, imageB))
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`20[0-9TZ:.-]{18,}`).ReplaceAllString(string(text), "TIME")
	want := `{"id":"` + imageB + `","name":"old","status":"active","size":4,"disk_format":"raw","container_format":"bare",` +
		`"checksum":"8d777f385d3dfec8815d20f7496026dc","owner":"p-bob","is_public":false,"protected":false,"deleted":false,"min_disk":2,"min_ram":0,` +
		`"created_at":"TIME","updated_at":"TIME","properties":{"nothing":"","os_distro":"x"}}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the document of a dump (-want +got):\n%s", diff)
	}
}

// TestReplicateFromVersion1: a source that has no other version, as the oldest
// releases, is read by that.
func TestReplicateFromVersion1(t *testing.T) {
	noEnvironment(t)
	_, from := region(t)
	_, to := region(t)
	furnish(from)
	u, err := url.Parse(from.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			proxy.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusMultipleChoices)
		_, _ = io.WriteString(w, `{"versions": [{"id": "v1.1", "status": "CURRENT"}, {"id": "v1.0", "status": "SUPPORTED"}]}`)
	}))
	defer old.Close()
	for _, args := range [][]string{{"size", old.URL}, {"livecopy", old.URL, to.url}, {"compare", old.URL, to.url}, {"dump", old.URL, t.TempDir()}} {
		want := "=0"
		if args[0] == "size" {
			want = "Total size is 48 bytes (48.0 B) across 5 images\n=0"
		}
		if got, said := replicate(t, service.Options{}, args...); got != want {
			t.Errorf("glance-replicator %s = %s\nwant %s\n%s", args, got, want, said)
		}
	}
	to.want(200, "shared data", "GET", "/v2/images/"+shared+"/file", "", as("bob")...)
	to.want(200, `"os_distro": "x~y/z"`, "GET", "/v2/images/"+public, "", as("carol")...)

	// What version 1 has no words for stays as it is.
	to.want(204, "", "PUT", "/v2/images/"+hidden+"/tags/mine", "", as("admin")...)
	to.want(200, "", "PUT", "/v2/images/"+shared+"/members/p-carol", `{"status": "rejected"}`, as("carol")...)
	to.patch(200, "", "admin", hidden, "replace", "visibility", "private")
	from.patch(200, "", "admin", hidden, "replace", "name", "new")
	dir := filepath.Join(t.TempDir(), "old")
	for _, args := range [][]string{{"livecopy", old.URL, to.url}, {"compare", old.URL, to.url}, {"dump", old.URL, dir}, {"load", to.url, dir}} {
		if got, said := replicate(t, service.Options{}, args...); got != "=0" {
			t.Errorf("glance-replicator %s = %s\n%s", args, got, said)
		}
	}
	to.want(200, `"name": "new"`, "GET", "/v2/images/"+hidden, "", as("admin")...)
	for path, text := range map[string]string{hidden: `"tags": ["mine"]`, shared + "/members/p-carol": `"status": "rejected"`} {
		to.want(200, text, "GET", "/v2/images/"+path, "", as("admin")...)
	}
	to.want(200, `"visibility": "private"`, "GET", "/v2/images/"+hidden, "", as("admin")...)
}

// TestReplicateTells: a copy that takes a while says how far it is.
func TestReplicateTells(t *testing.T) {
	noEnvironment(t)
	_, from := region(t)
	from.create(imageA, strings.Repeat("0123456789abcdef", 40000), "X-Auth-Token", "admin")
	near := newRoad(t, from.url)
	near.slow.Store(1)
	log := filepath.Join(t.TempDir(), "log")
	o := service.Options{Replication: service.Replication{Terminal: true}}
	if got, said := replicate(t, o, "dump", near.URL, t.TempDir()); got != "=0" || !regexp.MustCompile(`\r\x1b\[K *\d+ %  [\d.]+ KiB of 625.0 KiB  [\d.]+ [KM]iB/s.*\r\x1b\[K$`).MatchString(said) {
		t.Errorf("on a terminal: %s, %q", got, said)
	}
	o.Replication.Log = log
	if got, said := replicate(t, o, "dump", from.url, t.TempDir()); got != "=0" || said != "" {
		t.Errorf("with a log: %s, %q", got, said)
	}
	if text, err := os.ReadFile(log); err != nil || !strings.HasPrefix(string(text), "Storing: "+imageA) {
		t.Errorf("the log has %q, %v", text, err)
	}
}

// TestReplicateWhatGoes: an image that leaves the source while it is copied is
// no failure, and leaves nothing.
func TestReplicateWhatGoes(t *testing.T) {
	noEnvironment(t)
	_, from := region(t)
	_, to := region(t)
	near := newRoad(t, from.url)
	dir := t.TempDir()
	for id, args := range map[string][]string{imageA: {"livecopy", near.URL, to.url}, imageB: {"dump", near.URL, dir}} {
		from.create(id, "data", "X-Auth-Token", "admin")
		near.before = func() { from.want(204, "", "DELETE", "/v2/images/"+id, "", as("admin")...) }
		if got, said := replicate(t, service.Options{}, args...); got != "=0" || !strings.Contains(said, id+": the source does not have it any more") {
			t.Errorf("%s: %s, %q", args, got, said)
		}
	}
	to.want(404, "", "GET", "/v2/images/"+imageA, "", as("admin")...)
	if names, err := filepath.Glob(dir + "/*"); err != nil || len(names) > 0 {
		t.Errorf("the dump has %s, %v", names, err)
	}
}
