package apiv2

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
	"glancectl/service/glance/metadef"
)

var update = flag.Bool("update", false, "rewrite the responses in testdata")

// TestExchanges plays the requests of each archive in testdata, in order,
// against a service of its own, over a real connection, and compares the
// responses. In the archives
//
//   - As says who asks: a project and its roles (t1 member is the default),
//     admin (without a project), or anonymous;
//   - Accept is application/json unless the request says otherwise, and
//     "Accept: -" sends none;
//   - Until repeats the request until the answer has that text;
//   - $255x stands for 255 times x;
//   - the first image has the ID 00000000-0000-4000-8000-000000000001, and
//     each image is a second younger than the one before.
func TestExchanges(t *testing.T) {
	playAll(t, "testdata/*.txtar", func(t *testing.T) http.Handler { return newService(t, Options{}).handler() })
}

// playAll plays the archives of a pattern, each against a handler of its own.
func playAll(t *testing.T, pattern string, open func(t *testing.T) http.Handler) {
	archives, err := filepath.Glob(pattern)
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives in %s: %v", pattern, err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			srv := httptest.NewServer(open(t))
			defer srv.Close()
			for i := 0; i < len(archive.Files); i += 2 {
				play(t, srv.Listener.Addr().String(), archive.Files[i:])
			}
			if *update {
				if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// play sends the request in files[0] and compares the answer with files[1].
func play(t *testing.T, addr string, files []txtar.File) {
	t.Helper()
	if len(files) < 2 || files[0].Name != "request" || files[1].Name != "response" {
		t.Fatalf("archive: want a request and a response, got %q", files[0].Name)
	}
	request, until := cutUntil(string(files[0].Data))
	got := exchange(t, addr, request)
	for limit := time.Now().Add(10 * time.Second); !strings.Contains(got, until); got = exchange(t, addr, request) {
		if time.Now().After(limit) {
			t.Fatalf("%s: no answer with %s; the last one is\n%s", request, until, got)
		}
	}
	if *update {
		files[1].Data = []byte(got)
		return
	}
	if diff := cmp.Diff(string(files[1].Data), got); diff != "" {
		t.Errorf("%s(-want +got):\n%s", files[0].Data, diff)
	}
}

var untilLine = regexp.MustCompile(`(?m)^Until: (.*)\n`)

// cutUntil takes the text that is waited for out of a request.
func cutUntil(request string) (rest, text string) {
	if m := untilLine.FindStringSubmatch(request); m != nil {
		text = m[1]
	}
	return untilLine.ReplaceAllString(request, ""), text
}

// exchange sends one request and returns the answer as it stands in archives.
func exchange(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, raw(expand(request))); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, resp.StatusCode)
	for _, name := range []string{"Allow", "Accept-Patch", "Content-Type", "Content-Range", "Content-Md5", "Location", "OpenStack-Image-Store-Ids"} {
		if v := resp.Header.Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	if len(body) > 0 {
		fmt.Fprintf(&b, "\n%s\n", bytes.TrimRight(body, "\n"))
	}
	return shorten(b.String())
}

// raw returns a request of an archive as it goes over the wire.
func raw(request string) string {
	head, body, _ := strings.Cut(request, "\n\n")
	body = strings.TrimSuffix(body, "\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	accept := "Accept: application/json"
	headers := []string{"Host: glance.example:9292", "Connection: close"}
	for _, line := range lines[1:] {
		if strings.HasPrefix(line, "Accept:") {
			accept = strings.TrimSuffix(line, "Accept: -")
			continue
		}
		headers = append(headers, line)
	}
	if accept != "" {
		headers = append(headers, accept)
	}
	if body != "" {
		headers = append(headers, "Content-Length: "+strconv.Itoa(len(body)))
	}
	return lines[0] + " HTTP/1.1\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n" + body
}

var repetition = regexp.MustCompile(`\$(\d+)([a-z])`)

func expand(s string) string {
	return repetition.ReplaceAllStringFunc(s, func(m string) string {
		n, _ := strconv.Atoi(m[1 : len(m)-1])
		return strings.Repeat(m[len(m)-1:], n)
	})
}

func shorten(s string) string {
	for _, c := range "kxy" {
		s = regexp.MustCompile(string(c)+`{100,}`).ReplaceAllStringFunc(s, func(run string) string {
			return "$" + strconv.Itoa(len(run)) + string(c)
		})
	}
	return s
}

// A service is an API over a catalog and a store in memory.
type service struct {
	api     *API
	images  *glance.Images
	catalog *memory.Catalog
	store   *memory.Store
}

// newService returns an empty service with IDs that count up and a clock
// that ticks once for every image.
func newService(t testing.TB, o Options) *service {
	t.Helper()
	return newServiceWith(t, o, glance.LocationOptions{})
}

// newServiceWith is newService with more stores, of which none takes uploads.
func newServiceWith(t testing.TB, o Options, l glance.LocationOptions, more ...glance.Backend) *service {
	t.Helper()
	store := new(memory.Store)
	s := newServiceOf(t, o, glance.Options{Locations: l}, append([]glance.Backend{{Store: store}}, more...))
	s.store = store
	return s
}

// newServiceOf is newService with these stores.
func newServiceOf(t testing.TB, o Options, images glance.Options, stores []glance.Backend) *service {
	t.Helper()
	var made atomic.Int64
	start := time.Date(2026, 11, 20, 4, 30, 0, 0, time.UTC)
	now := func() time.Time { return start.Add(time.Duration(made.Load()) * time.Second) }
	s := &service{catalog: &memory.Catalog{Now: now}}
	images.Now = now
	images.NewID = func() glance.ID { return numbered(made.Add(1)) }
	images.MaxSize, images.PropertyQuota, images.TagQuota, images.MemberQuota = 1000, 5, 3, 2
	images.Import = glance.ImportOptions{
		Methods: []string{glance.GlanceDirect, glance.WebDownload},
		Tasks:   &memory.Tasks{Now: now}, Staging: new(memory.Store), Fetcher: slowWeb{},
	}
	if stores[0].ID != "" {
		images.Import.Methods = append(images.Import.Methods, glance.CopyImage)
	}
	served, err := glance.New(s.catalog, stores, images)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		served.Drain(ctx) // broken off are the downloads that never end
	})
	o.Definitions = metadef.New(&memory.Metadefs{Now: now}, metadef.Options{})
	s.images, s.api = served, New(served, o)
	return s
}

// slowWeb is a glance.Fetcher that knows one host, whose answer never comes.
type slowWeb struct{}

func (slowWeb) Check(_ context.Context, uri string) error {
	if !strings.HasPrefix(uri, "http://good.example/") {
		return errors.New("not allowed")
	}
	return nil
}

func (slowWeb) Fetch(ctx context.Context, _ string) (io.ReadCloser, int64, error) {
	<-ctx.Done()
	return nil, 0, ctx.Err()
}

func numbered(n int64) glance.ID {
	return glance.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
}

// handler is the API as it is put together in a daemon, with the header As in
// the place of an authentication.
func (s *service) handler() http.Handler {
	return s.api.Negotiate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.api.ServeHTTP(w, r.WithContext(glance.WithCaller(r.Context(), callerOf(r.Header.Get("As")))))
	}))
}

func callerOf(as string) glance.Caller {
	fields := strings.Fields(as)
	switch {
	case len(fields) == 0:
		return glance.Caller{UserID: "u1", ProjectID: "t1", Roles: []string{"member", "reader"}}
	case fields[0] == "admin":
		return glance.Caller{Admin: true}
	case fields[0] == "anonymous":
		return glance.Caller{Anonymous: true}
	}
	roles := fields[1:]
	return glance.Caller{UserID: "u-" + fields[0], ProjectID: fields[0], Roles: roles, Admin: slices.Contains(roles, "admin")}
}

// as returns a context of a caller like those in the archives.
func as(ctx context.Context, who string) context.Context {
	return glance.WithCaller(ctx, callerOf(who))
}
