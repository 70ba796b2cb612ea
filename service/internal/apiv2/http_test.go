package apiv2

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"glancectl/service/glance"
)

func TestRequestID(t *testing.T) {
	h := newService(t, Options{NewRequestID: func() string { return "req-new" }}).handler()
	for _, test := range []struct{ sent, want string }{
		{"", "req-new"},
		{"req-71c675ab-d94f-49cd-a114-e12490b328d9", "req-71c675ab-d94f-49cd-a114-e12490b328d9"},
		{"71c675ab", "req-71c675ab"},
		{strings.Repeat("x", 64), "req-" + strings.Repeat("x", 64)},
		{strings.Repeat("x", 65), "req-new"},
	} {
		for _, path := range []string{"/v2/images", "/v2/nosuch"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("X-Openstack-Request-ID", test.sent)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("X-Openstack-Request-Id"); got != test.want {
				t.Errorf("GET %s with ID %q is answered with %q; want %q", path, test.sent, got, test.want)
			}
		}
	}
	h = newService(t, Options{}).handler()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v2/images", nil))
	if got := w.Header().Get("X-Openstack-Request-Id"); !regexp.MustCompile(`^req-[0-9a-f-]{36}$`).MatchString(got) {
		t.Errorf("new request ID is %q; want req- and a UUID", got)
	}
}

// Without anybody in front that says who asks, nobody may change anything.
func TestNoCaller(t *testing.T) {
	s := newService(t, Options{})
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, httptest.NewRequest("POST", "/v2/images", strings.NewReader("{}")))
	if w.Code != http.StatusForbidden {
		t.Errorf("POST without a caller is answered with %d; want 403", w.Code)
	}
}

func TestFaultOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
		text string
	}{
		{fmt.Errorf("get: %w", glance.ErrNotFound), 404, "The resource could not be found."},
		{fmt.Errorf("get: %w", &glance.Refusal{Kind: glance.ErrForbidden, Message: "No."}), 403, "No."},
		{&glance.Refusal{Kind: glance.ErrForbidden, Message: "No.", Remark: true}, 403, "Access was denied to this resource. No."},
		{glance.ErrExists, 409, "There was a conflict when trying to complete your request."},
		{glance.ErrConflict, 409, "There was a conflict when trying to complete your request."},
		{glance.ErrInvalid, 400, "The server could not comply with the request since it is either malformed or otherwise incorrect."},
		{glance.ErrTooLarge, 413, "The body of your request was too large for this server."},
		{&glance.Refusal{Kind: glance.ErrWrongFormat, Message: "Image disk_format qcow2 does not match stream data raw"}, 415, "Image disk_format qcow2 does not match stream data raw"},
		{glance.ErrStoreFull, 413, "The body of your request was too large for this server."},
		{glance.ErrGone, 410, "This resource is no longer available. No forwarding address is given."},
		{glance.ErrStoreReadOnly, 503, "The server is currently unavailable. Please try again at a later time."},
		{glance.ErrUnavailable, 503, "The server is currently unavailable. Please try again at a later time."},
		{errors.New("dial tcp 10.0.0.7:3306: password secret refused"), 500, "The server has either erred or is incapable of performing the requested operation."},
	} {
		if p := faultOf(test.err); p.Code != test.code || p.Error() != test.text {
			t.Errorf("faultOf(%v) = %d, %q; want %d, %q", test.err, p.Code, p, test.code, test.text)
		}
	}
}

// A fault of the service is logged with what is known, and the client is told
// nothing of it; what the client did wrong is not logged.
func TestFault(t *testing.T) {
	var log bytes.Buffer
	a := New(newService(t, Options{}).images, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	w := httptest.NewRecorder()
	a.fail(w, httptest.NewRequest("GET", "/v2/images", nil), errors.New("secret of the database"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("a fault is answered with %d, %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "secret of the database") {
		t.Errorf("log is %q; want the error", &log)
	}
	log.Reset()
	a.fail(httptest.NewRecorder(), httptest.NewRequest("GET", "/v2/images", nil), glance.ErrNotFound)
	if log.Len() > 0 {
		t.Errorf("log of a client's mistake is %q; want none", &log)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	a.fail(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, "GET", "/v2/images", nil), context.Canceled)
	if log.Len() > 0 {
		t.Errorf("log of a client that went away is %q; want none", &log)
	}
}

// begin makes an image and starts to upload data to it, with half of what it
// promises sent. It returns when the service has begun to read.
func (s *service) begin(t *testing.T, addr, header, half string) (glance.ID, net.Conn, *bufio.Reader) {
	t.Helper()
	format, container := "raw", "bare"
	im, err := s.images.Create(as(t.Context(), ""), glance.Draft{DiskFormat: &format, ContainerFormat: &container})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PUT /v2/images/%s/file HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nExpect: 100-continue\r\n%s\r\n\r\n", im.ID, header)
	answers := bufio.NewReader(conn)
	line, err := answers.ReadString('\n')
	if err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("answer to Expect: 100-continue is %q, %v", line, err)
	}
	answers.ReadString('\n') // the empty line behind it
	if _, err := io.WriteString(conn, half); err != nil {
		t.Fatal(err)
	}
	return im.ID, conn, answers
}

// When a client hangs up in the middle, the image is queued again and no data
// is left.
func TestUploadCutOff(t *testing.T) {
	for header, half := range map[string]string{
		"Content-Length: 900":        strings.Repeat("x", 450),
		"Transfer-Encoding: chunked": "1c2\r\n" + strings.Repeat("x", 450) + "\r\n",
	} {
		t.Run(header, func(t *testing.T) {
			s := newService(t, Options{})
			done := make(chan int, 1)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				s.handler().ServeHTTP(struct{ http.ResponseWriter }{rec}, r)
				done <- rec.Code
			}))
			defer srv.Close()
			id, conn, _ := s.begin(t, srv.Listener.Addr().String(), header, half)
			if im, err := s.images.Get(as(t.Context(), ""), id); err != nil || im.Status != glance.Saving {
				t.Errorf("image is %+v, %v during the upload; want it saving", im, err)
			}
			conn.Close()
			if code := <-done; code != http.StatusBadRequest {
				t.Errorf("the upload is answered with %d; want 400", code)
			}
			im, err := s.images.Get(as(t.Context(), ""), id)
			if err != nil || im.Status != glance.Queued || im.Size != nil || s.store.Len() != 0 {
				t.Errorf("image is %+v, %v, with %d objects in the store; want it queued with none", im, err, s.store.Len())
			}
		})
	}
}

func TestUploadChunked(t *testing.T) {
	s := newService(t, Options{})
	srv := httptest.NewServer(s.handler())
	defer srv.Close()
	id, conn, answers := s.begin(t, srv.Listener.Addr().String(), "Transfer-Encoding: chunked", "5\r\n01234\r\n")
	defer conn.Close()
	io.WriteString(conn, "5\r\n56789\r\n0\r\n\r\n")
	resp, err := http.ReadResponse(answers, nil)
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("answer = %v, %v; want 204", resp, err)
	}
	im, err := s.images.Get(as(t.Context(), ""), id)
	if err != nil || im.Status != glance.Active || *im.Size != 10 {
		t.Errorf("image is %+v, %v; want it active with 10 bytes", im, err)
	}
}

// Patches of different properties by many clients at once all survive.
func TestPatchesAtOnce(t *testing.T) {
	s := newService(t, Options{})
	srv := httptest.NewServer(s.handler())
	defer srv.Close()
	im, err := s.images.Create(as(t.Context(), ""), glance.Draft{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			body := fmt.Sprintf(`[{"op": "add", "path": "/p%d", "value": "%d"}]`, i, i)
			req, _ := http.NewRequest("PATCH", srv.URL+"/v2/images/"+string(im.ID), strings.NewReader(body))
			req.Header.Set("Content-Type", patchV21)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("PATCH is answered with %d; want 200", resp.StatusCode)
			}
		})
	}
	wg.Wait()
	if im, err = s.images.Get(as(t.Context(), ""), im.ID); err != nil || len(im.Properties) != 5 {
		t.Errorf("properties = %v, %v; want all five", im.Properties, err)
	}
}

// Next links lead to every image once.
func TestPages(t *testing.T) {
	s := newService(t, Options{LimitMax: 7})
	const n = 30
	for i := range n {
		name := fmt.Sprintf("%d & co", i%4)
		if _, err := s.images.Create(as(t.Context(), ""), glance.Draft{Name: &name, Tags: []string{"a b"}}); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool)
	for path := "/v2/images?limit=1000&sort=name:asc,size&tag=a+b&created_at=gte:2026-01-01T00:00:00Z"; path != ""; {
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		var doc struct {
			Images []struct{ ID string }
			First  string
			Next   string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Fatalf("GET %s: %v", path, err)
		}
		if len(doc.Images) > 7 || strings.Contains(doc.First, "marker") {
			t.Errorf("GET %s: %d images, first page %s", path, len(doc.Images), doc.First)
		}
		for _, im := range doc.Images {
			if seen[im.ID] {
				t.Errorf("image %s comes twice", im.ID)
			}
			seen[im.ID] = true
		}
		path = doc.Next
	}
	if len(seen) != n {
		t.Errorf("the pages have %d images; want %d", len(seen), n)
	}
}

// A broken store yields only the first half of every image.
type broken struct{ glance.Store }

func (b broken) Open(ctx context.Context, url string, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("disk on fire")))), nil
}

// A download that fails in the middle is seen by the client to be short, and
// is logged.
func TestDownloadFails(t *testing.T) {
	var log bytes.Buffer
	s := newService(t, Options{})
	images, err := glance.New(s.catalog, []glance.Backend{{Store: broken{s.store}}}, glance.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.images, s.api = images, New(images, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	format, container := "raw", "bare"
	ctx := as(t.Context(), "")
	im, err := images.Create(ctx, glance.Draft{DiskFormat: &format, ContainerFormat: &container})
	if err == nil {
		err = images.Upload(ctx, im.ID, strings.NewReader("half and half"), glance.UploadOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.handler())
	resp, err := http.Get(srv.URL + "/v2/images/" + string(im.ID) + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != "half" || err != io.ErrUnexpectedEOF {
		t.Errorf("the client reads %q, %v; want half and %v", b, err, io.ErrUnexpectedEOF)
	}
	srv.Close()
	if !strings.Contains(log.String(), "disk on fire") {
		t.Errorf("log is %q; want the error", &log)
	}
}

func TestDirectURL(t *testing.T) {
	s := newService(t, Options{ShowDirectURL: true})
	format, container := "raw", "bare"
	ctx := as(t.Context(), "")
	im, err := s.images.Create(ctx, glance.Draft{DiskFormat: &format, ContainerFormat: &container})
	if err != nil {
		t.Fatal(err)
	}
	show := func() string {
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, httptest.NewRequest("GET", "/v2/images/"+string(im.ID), nil))
		return w.Body.String()
	}
	if doc := show(); strings.Contains(doc, "direct_url") {
		t.Errorf("document without data is %s; want no direct_url", doc)
	}
	if err := s.images.Upload(ctx, im.ID, strings.NewReader("x"), glance.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	if doc, want := show(), `"direct_url": "memory://`+string(im.ID)+`", "tags"`; !strings.Contains(doc, want) {
		t.Errorf("document is %s; want %s", doc, want)
	}
}

func TestPublicEndpoint(t *testing.T) {
	s := newService(t, Options{PublicEndpoint: "https://images.example/"})
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, httptest.NewRequest("GET", "/versions", nil))
	if want := `"href": "https://images.example/v2/"`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("versions are %s; want %s", w.Body, want)
	}
}
