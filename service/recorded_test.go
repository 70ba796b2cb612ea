package service_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"glancectl/service"
)

// A difference is one that is meant between an answer of this service and the
// one that was recorded.
type difference struct {
	at     string // the beginning of the request; empty means any
	ours   string // a regular expression
	theirs string // what was recorded in its place
	why    string
}

var meant = []difference{
	{"GET /", `"versions": \[.*"v2\.6", "status": "SUPPORTED"`, `"versions": [{"id": "v2.6", "status": "CURRENT"`,
		"version 2 has grown since"},
	{"POST /rpc", `, "os_hidden": false, "os_hash_algo": "sha512", "os_hash_value": "[0-9a-f]{128}"`, "",
		"they came with the Glance after, whose registry still was asked that way"},
	{"", `"virtual_size": \d+`, `"virtual_size": null`, "what the data would be on a disk is known here, and is told by both versions"},
	{"", `X-Image-Meta-Virtual_size: \d+\n`, "", "as in documents"},
	{"GET /v1/images/", `Content-Length: \n(Content-Type: application/octet-stream\nEtag: .*\n)`, "${1}Transfer-Encoding: chunked\n",
		"a client can see from the length whether it has all"},
	{"POST /v1/images", `The Store URI was malformed.`,
		`The HTTP URL is invalid: HTTPConnectionPool(host=&#x27;127.0.0.1&#x27;, port=1): Max retries exceeded with url: /x (Caused by NewConnectionError(&#x27;&lt;urllib3.connection.HTTPConnection object at 0x7f6bfb9da6d0&gt;: Failed to establish a new connection: [Errno 111] ECONNREFUSED&#x27;))`,
		"whether a port of another machine is open is not told"},
}

// TestRecordedV1 asks what the last Glance with version 1 and its registry were
// asked, and compares what they answered, byte by byte where that was recorded
// and in length where not. What is meant to differ is in the list above.
func TestRecordedV1(t *testing.T) {
	used := make(map[int]bool)
	for _, way := range []string{"catalog", "registry"} {
		t.Run(way, func(t *testing.T) {
			archive, err := txtar.ParseFile("testdata/recorded/v1.txtar")
			if err != nil {
				t.Fatal(err)
			}
			r := newRecording(t, way == "registry", used)
			var asked string
			for _, f := range archive.Files {
				switch f.Name {
				case "versions":
					r.versions = strings.TrimSuffix(string(f.Data), "\n")
				case "registry":
					r.addr = r.registry
				case "before":
					r.answer(t, string(f.Data), "")
				case "request":
					asked = string(f.Data)
				case "response":
					if diff := cmp.Diff(string(f.Data), r.answer(t, asked, string(f.Data))); diff != "" {
						t.Errorf("%s(-recorded +got):\n%s", asked, diff)
					}
				default:
					t.Fatalf("%s is no part of a recording", f.Name)
				}
			}
		})
	}
	for i, d := range meant {
		if !used[i] {
			t.Errorf("nothing differs as %q because %s", d.ours, d.why)
		}
	}
}

// A recording is a stage with an API and a registry.
type recording struct {
	*stage
	registry string // its address
	versions string // what the stage's web server has
	images   string // where the store keeps data
	used     map[int]bool
}

func newRecording(t *testing.T, asked bool, used map[int]bool) *recording {
	s, keystone := newSite(t), fakeKeystone(t, false)
	r := &recording{images: s.path("images"), used: used}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, r.versions) }))
	t.Cleanup(web.Close)
	options := tokenOptions(keystone.URL)
	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", options)}})
	r.registry = strings.TrimPrefix(registry.url, "http://")
	if asked {
		options = "[DEFAULT]\n" + registryOptions(t, registry.url) + options
	}
	options = strings.Replace(options, "keystone\n", "keystone+cachemanagement\n", 1) + "[glance_store]\nstores = file,http\n" +
		"[import_filtering_opts]\nallowed_hosts = [127.0.0.1]\nallowed_ports = [1," + web.URL[strings.LastIndex(web.URL, ":")+1:] + "]\n"
	r.stage = newStage(start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", options)}}).url, web.URL)
	return r
}

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
	named  = regexp.MustCompile(`\bID(\d+)\b`)
)

// answer sends a request and returns the answer in the form of the recorded
// one.
func (r *recording) answer(t *testing.T, request, recorded string) string {
	t.Helper()
	return r.repeat(request, func(lines []string, body string) string {
		resp, answer := r.exchanged(t, lines, body)
		return r.form(lines[0], resp, string(answer), recorded)
	})
}

// form returns an answer in the form of the recorded one.
func (r *recording) form(request string, resp *http.Response, body, recorded string) string {
	length := resp.ContentLength
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		body = strings.TrimSpace(spaces.ReplaceAllString(tags.ReplaceAllString(body, " "), " "))
	}
	// The data was in a directory whose name had six letters less.
	length -= int64(strings.Count(body, r.images) * (len(r.images) - len("/var/lib/glance/images") + 6))
	body = strings.ReplaceAll(body, r.images, "/var/lib/glance/images")
	var head strings.Builder
	fmt.Fprintln(&head, resp.StatusCode)
	names := []string{"Content-Length"}
	for name := range resp.Header {
		if !slices.Contains([]string{"Connection", "Content-Length", "Date", "X-Openstack-Request-Id"}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	resp.Header.Del("Content-Length") // until it is known what differs
	for _, name := range names {
		fmt.Fprintf(&head, "%s: %s\n", name, resp.Header.Get(name))
	}
	headers := head.String()
	for i, d := range meant {
		ours := regexp.MustCompile(d.ours)
		if !strings.HasPrefix(request, d.at) || !ours.MatchString(headers+body) {
			continue
		}
		r.used[i] = true
		before := len(body)
		headers, body = ours.ReplaceAllString(headers, d.theirs), ours.ReplaceAllString(body, d.theirs)
		length += int64(len(body) - before)
	}
	headers = strings.Replace(headers, "Content-Length: \n", "Content-Length: "+strconv.FormatInt(length, 10)+"\n", 1)
	return r.part(headers, body, recorded)
}

// part returns what is recorded of an answer, with the names of archives. No ID
// gets a name that is not in what was recorded.
func (r *recording) part(headers, body, recorded string) string {
	if since.MatchString(body) { // which have digits as it comes
		headers = regexp.MustCompile(`Content-Length: .*\n`).ReplaceAllString(headers, "")
	}
	got := headers
	if body != "" {
		got += "\n" + strings.TrimSuffix(body, "\n") + "\n"
	}
	known := len(r.ids)
	for _, m := range named.FindAllStringSubmatch(recorded, -1) {
		n, _ := strconv.Atoi(m[1])
		known = max(known, n)
	}
	for _, id := range madeID.FindAllString(got, -1) {
		if (recorded == "" || len(r.ids) < known) && !slices.Contains(r.ids, id) && !strings.HasPrefix(id, "00000000") {
			r.ids = append(r.ids, id)
		}
	}
	for i, id := range r.ids {
		got = strings.ReplaceAll(got, id, "ID"+strconv.Itoa(i+1))
	}
	got = since.ReplaceAllString(moment.ReplaceAllString(got, "TIME"), `"$1": TIME`)
	got = strings.ReplaceAll(got, r.addr, "API")
	if begin, cut := strings.CutSuffix(recorded, "…\n"); cut && len(got) > len(begin) {
		got = got[:len(begin)] + "…\n"
	}
	return got
}
