package service_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"glancectl/service"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// TestV1Exchanges plays the archives in testdata/v1 against a service that
// asks its catalog, and against one that asks a registry: the answers are the
// same. An archive is a sequence of requests to one service, each followed by
// its answer.
//
// The token of a request is in its header As. ID1 is the first image ID that an
// answer has made, and so on; TIME is any time, API the address of the service,
// WEB that of a web server with some data. A request with the header Until is
// repeated until its answer has what that says. Of an error's page there is
// only the message.
func TestV1Exchanges(t *testing.T) {
	for _, way := range []string{"catalog", "registry"} {
		t.Run(way, func(t *testing.T) {
			playAll(t, "testdata/v1/*.txtar", *update && way == "catalog", func(t *testing.T) *stage { return apiStage(t, way == "registry") })
		})
	}
}

// TestRegistryExchanges plays the archives in testdata/registry against a
// registry, in the same way.
func TestRegistryExchanges(t *testing.T) {
	playAll(t, "testdata/registry/*.txtar", *update, func(t *testing.T) *stage {
		s, keystone := newSite(t), fakeKeystone(t, false)
		d := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", tokenOptions(keystone.URL))}})
		return newStage(d.url, "")
	})
}

func playAll(t *testing.T, pattern string, rewrite bool, open func(t *testing.T) *stage) {
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("archives %s: %v, %v", pattern, names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := open(t)
			for files := archive.Files; len(files) > 0; files = files[2:] {
				if len(files) < 2 || files[0].Name != "request" || files[1].Name != "response" {
					t.Fatalf("%s: want a request and a response, got %q", name, files[0].Name)
				}
				got := s.exchange(t, string(files[0].Data))
				if rewrite {
					files[1].Data = []byte(got)
				} else if diff := cmp.Diff(string(files[1].Data), got); diff != "" {
					t.Errorf("%s(-want +got):\n%s", files[0].Data, diff)
				}
			}
			if rewrite {
				if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A stage is where an archive is played: a service, and what its answers are
// made the same with each time.
type stage struct {
	addr string
	web  string
	ids  []string // as they were first seen
}

func newStage(address, web string) *stage {
	return &stage{addr: strings.TrimPrefix(address, "http://"), web: strings.TrimPrefix(web, "http://")}
}

// apiStage is an API with a cache, and with a registry behind it if asked is
// set.
func apiStage(t *testing.T, asked bool) *stage {
	s, keystone := newSite(t), fakeKeystone(t, false)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/data":
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("data of the web"))
		case "/short":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "not all of it")
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(web.Close)
	options := "[DEFAULT]\nimage_size_cap = 1000\nimage_property_quota = 4\nimage_member_quota = 3\n"
	if asked {
		registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", tokenOptions(keystone.URL))}})
		u, err := url.Parse(registry.url)
		if err != nil {
			t.Fatal(err)
		}
		options += "registry_host = " + u.Hostname() + "\nregistry_port = " + u.Port() + "\n"
		t.Cleanup(func() {
			if !strings.Contains(registry.log.String(), `"POST /images HTTP/1.1" 200`) {
				t.Errorf("the registry was not asked")
			}
		})
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(web.URL, "http://"))
	options += "[import_filtering_opts]\nallowed_hosts = [127.0.0.1]\nallowed_ports = [" + port + "]\n" +
		"[glance_store]\nstores = file,http\n" + strings.Replace(tokenOptions(keystone.URL), "keystone\n", "keystone+cachemanagement\n", 1)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", options)}})
	return newStage(d.url, web.URL)
}

// shownHeaders are the headers that an answer has in an archive, beside those
// that describe an image.
var shownHeaders = []string{"Allow", "Content-Type", "Content-Length", "Location", "Etag", "Www-Authenticate"}

// exchange sends a request and returns its answer as archives have it.
func (s *stage) exchange(t *testing.T, request string) string {
	t.Helper()
	return s.repeat(request, func(lines []string, body string) string { return s.send(t, lines, body) })
}

// repeat has a request sent until its answer has what the header Until says.
func (s *stage) repeat(request string, send func(lines []string, body string) string) string {
	var until string
	var lines []string
	head, body, _ := strings.Cut(request, "\n\n")
	for line := range strings.SplitSeq(strings.TrimSpace(head), "\n") {
		if want, ok := strings.CutPrefix(line, "Until: "); ok {
			until = want
			continue
		}
		lines = append(lines, line)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got := send(lines, strings.TrimSuffix(body, "\n"))
		if until == "" || strings.Contains(got, until) || time.Now().After(deadline) {
			return got
		}
	}
}

// exchanged sends a request and returns its answer and the body of that.
func (s *stage) exchanged(t *testing.T, lines []string, body string) (*http.Response, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, s.raw(lines, body)); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(lines[0], " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", lines[0], err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", lines[0], err)
	}
	return resp, answer
}

func (s *stage) send(t *testing.T, lines []string, body string) string {
	t.Helper()
	resp, answer := s.exchanged(t, lines, body)
	method, _, _ := strings.Cut(lines[0], " ")
	var b strings.Builder
	fmt.Fprintln(&b, resp.StatusCode)
	for _, name := range shownHeaders {
		if v := resp.Header.Get(name); v != "" && (name != "Content-Length" || method == "HEAD") {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	var described []string
	for name, values := range resp.Header {
		if strings.HasPrefix(name, "X-Image-Meta-") {
			described = append(described, name+": "+values[0]+"\n")
		}
	}
	slices.Sort(described)
	b.WriteString(strings.Join(described, ""))
	if m := page.FindSubmatch(answer); m != nil && string(m[1]) == string(m[2]) && strings.HasPrefix(string(m[1]), strconv.Itoa(resp.StatusCode)+" ") {
		answer = fmt.Appendf(nil, "page %q", m[3])
	}
	if len(answer) > 0 {
		fmt.Fprintf(&b, "\n%s\n", bytes.TrimRight(answer, "\n"))
	}
	return s.plain(b.String())
}

// page is the page of an error; archives have what is not the same in all.
var page = regexp.MustCompile(`(?s)^<html>\n <head>\n  <title>([^<]*)</title>\n </head>\n <body>\n  <h1>([^<]*)</h1>\n  (.*)\n </body>\n</html>$`)

// raw returns a request of an archive as it goes over the wire.
func (s *stage) raw(lines []string, body string) string {
	body = s.named(body)
	accept := "Accept: */*"
	headers := []string{"Host: " + s.addr, "Connection: close"}
	for _, line := range lines[1:] {
		if token, ok := strings.CutPrefix(line, "As: "); ok {
			line = "X-Auth-Token: " + token
		}
		if strings.HasPrefix(line, "Accept:") {
			accept = line
			continue
		}
		headers = append(headers, line)
	}
	if headers = append(headers, accept); body != "" {
		headers = append(headers, "Content-Length: "+strconv.Itoa(len(body)))
	}
	return s.named(lines[0]+" HTTP/1.1\r\n"+strings.Join(headers, "\r\n")) + "\r\n\r\n" + body
}

// named puts in what an archive has names for.
func (s *stage) named(text string) string {
	for n := len(s.ids); n > 0; n-- {
		text = strings.ReplaceAll(text, "ID"+strconv.Itoa(n), s.ids[n-1])
	}
	return strings.ReplaceAll(text, "WEB", s.web)
}

var (
	madeID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}`)
	since  = regexp.MustCompile(`"(last_accessed|last_modified)": [0-9.]+`)
)

// plain returns an answer without what differs from one time to the next.
func (s *stage) plain(answer string) string {
	for _, id := range madeID.FindAllString(answer, -1) {
		if !slices.Contains(s.ids, id) && !strings.HasPrefix(id, "00000000") {
			s.ids = append(s.ids, id)
		}
	}
	for i, id := range s.ids {
		answer = strings.ReplaceAll(answer, id, "ID"+strconv.Itoa(i+1))
	}
	answer = since.ReplaceAllString(moment.ReplaceAllString(answer, "TIME"), `"$1": TIME`)
	answer = strings.ReplaceAll(answer, s.addr, "API")
	if s.web != "" {
		answer = strings.ReplaceAll(answer, s.web, "WEB")
	}
	return answer
}
