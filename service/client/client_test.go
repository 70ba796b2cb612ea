package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/client"
)

// connect returns a client of a server that answers with handler.
func connect(t *testing.T, o client.Options, handler http.HandlerFunc) *client.Client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	o.HTTP = s.Client()
	c, err := client.New(s.URL+"/", o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func token(context.Context) (string, error) { return "planted-token", nil }

func TestRequests(t *testing.T) {
	const document = `{"id": "i1", "name": "n", "status": "queued", "size": null, "os_hash_value": null}`
	image := client.Image{ID: "i1", Name: "n", Status: "queued"}
	for _, test := range []struct {
		name   string
		call   func(context.Context, *client.Client) (any, error)
		want   string // the request
		code   int
		answer string
		result any
	}{
		{"health", func(ctx context.Context, c *client.Client) (any, error) { return nil, c.Health(ctx) },
			"GET /healthcheck token= type= body=", 200, "OK", nil},
		{"list", func(ctx context.Context, c *client.Client) (any, error) { return c.List(ctx, "a b&c") },
			"GET /v2/images?limit=100&name=a+b%26c token=planted-token type= body=", 200, `{"images": [` + document + `]}`, []client.Image{image}},
		{"show", func(ctx context.Context, c *client.Client) (any, error) { return c.Show(ctx, "a/b") },
			"GET /v2/images/a%2Fb token=planted-token type= body=", 200, document, image},
		{"create", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Create(ctx, client.Spec{Name: "n", DiskFormat: "raw", ContainerFormat: "bare", Properties: map[string]string{"os": "x", "name": "y"}})
		}, `POST /v2/images token=planted-token type=application/json body={"container_format":"bare","disk_format":"raw","name":"n","os":"x"}`,
			201, document, image},
		{"upload", func(ctx context.Context, c *client.Client) (any, error) {
			return nil, c.Upload(ctx, "i1", strings.NewReader("data"), 4)
		}, "PUT /v2/images/i1/file token=planted-token type=application/octet-stream body=data", 204, "", nil},
		{"upload without size", func(ctx context.Context, c *client.Client) (any, error) {
			return nil, c.Upload(ctx, "i1", strings.NewReader("data"), -1)
		}, "PUT /v2/images/i1/file token=planted-token type=application/octet-stream chunked body=data", 204, "", nil},
		{"upload of nothing", func(ctx context.Context, c *client.Client) (any, error) {
			return nil, c.Upload(ctx, "i1", strings.NewReader(""), 0)
		}, "PUT /v2/images/i1/file token=planted-token type=application/octet-stream body=", 204, "", nil},
		{"delete", func(ctx context.Context, c *client.Client) (any, error) { return nil, c.Delete(ctx, "i1") },
			"DELETE /v2/images/i1 token=planted-token type= body=", 204, "", nil},
	} {
		var got string
		c := connect(t, client.Options{Token: token}, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			chunked := ""
			if len(r.TransferEncoding) > 0 {
				chunked = " chunked"
			}
			got = fmt.Sprintf("%s %s token=%s type=%s%s body=%s", r.Method, r.RequestURI, r.Header.Get("X-Auth-Token"),
				r.Header.Get("Content-Type"), chunked, body)
			w.WriteHeader(test.code)
			_, _ = io.WriteString(w, test.answer)
		})
		result, err := test.call(t.Context(), c)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s sends (-want +got):\n%s", test.name, diff)
		}
		if diff := cmp.Diff(test.result, result); diff != "" {
			t.Errorf("%s returns (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestListFollowsPages(t *testing.T) {
	pages := map[string]string{
		"/v2/images?limit=100":        `{"images": [{"id": "1"}], "next": "/v2/images?marker=1"}`,
		"/v2/images?marker=1":         `{"images": [{"id": "2"}], "next": "/v2/images?marker=2"}`,
		"/v2/images?marker=2":         `{"images": []}`,
		"/v2/images?limit=100&name=x": `{"images": [{"id": "1"}], "next": "http://elsewhere/"}`,
	}
	c := connect(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, pages[r.RequestURI])
	})
	got, err := c.List(t.Context(), "")
	if diff := cmp.Diff([]client.Image{{ID: "1"}, {ID: "2"}}, got); err != nil || diff != "" {
		t.Errorf("List = %v (-want +got):\n%s", err, diff)
	}
	if _, err := c.List(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "the next page is elsewhere") {
		t.Errorf("List of pages on another machine = %v; want a refusal", err)
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		code             int
		kind, body, want string
	}{
		{403, "application/json", `{"message": "You may not.<br /><br />\n\n\n", "code": "403 Forbidden", "title": "Forbidden"}`, "403 Forbidden: You may not."},
		{401, "application/json", `{"error":{"code":401,"title":"Unauthorized","message":"Log in."}}`, "401 Unauthorized: Log in."},
		{404, "text/html; charset=UTF-8", "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image.<br /><br />\n</body></html>", "404 Not Found: No image."},
		{409, "text/plain", "409 Conflict\n\nIt is\nthere.\n\n   ", "409 Conflict: It is there."},
		{502, "text/html", "", "502 Bad Gateway"},
		{302, "", "", "302 Found"},
		{500, "text/plain", strings.Repeat("x", 400), "500 Internal Server Error: " + strings.Repeat("x", 300) + "…"},
	} {
		c := connect(t, client.Options{Token: token}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/images/i" {
				t.Errorf("the token followed a redirect to %s", r.URL)
			}
			w.Header().Set("Content-Type", test.kind)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(test.code)
			_, _ = io.WriteString(w, test.body)
		})
		_, err := c.Show(t.Context(), "i")
		if err == nil {
			t.Errorf("status %d: no error", test.code)
			continue
		}
		_, got, _ := strings.Cut(err.Error(), "/v2/images/i: ")
		if got != test.want {
			t.Errorf("status %d: error %q; want %q", test.code, got, test.want)
		}
		if client.IsNotFound(err) != (test.code == 404) {
			t.Errorf("IsNotFound of status %d = %v", test.code, client.IsNotFound(err))
		}
		if strings.Contains(err.Error(), "planted") {
			t.Errorf("the error shows the token: %v", err)
		}
	}
}

func TestFailures(t *testing.T) {
	broken := errors.New("disk is gone")
	c := connect(t, client.Options{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "no JSON")
	})
	if err := c.Upload(t.Context(), "i", iotest.ErrReader(broken), -1); !errors.Is(err, broken) {
		t.Errorf("Upload of a broken reader = %v; want %v", err, broken)
	}
	if _, err := c.Show(t.Context(), "i"); err == nil || client.IsNotFound(err) {
		t.Errorf("Show of no JSON = %v; want an error of decoding", err)
	}
	refused := errors.New("wrong password")
	c = connect(t, client.Options{Token: func(context.Context) (string, error) { return "", refused }},
		func(http.ResponseWriter, *http.Request) { t.Error("a request without a token was sent") })
	if _, err := c.Show(t.Context(), "i"); !errors.Is(err, refused) {
		t.Errorf("Show without a token = %v; want %v", err, refused)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Health(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Health with an ended context = %v; want Canceled", err)
	}
	for _, address := range []string{"", "10.0.0.1:9292", "ftp://a", "http://"} {
		if _, err := client.New(address, client.Options{}); err == nil {
			t.Errorf("New(%q): no error", address)
		}
	}
}
