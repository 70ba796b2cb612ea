package registryclient

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

const id = glance.ID("00000000-0000-4000-8000-000000000001")

// newCatalog returns a catalog that asks h.
func newCatalog(t *testing.T, h http.HandlerFunc, o Options) *Catalog {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	o.Host = u.Hostname()
	if o.Port, err = strconv.Atoi(u.Port()); err != nil {
		t.Fatal(err)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// all calls every method that asks the registry.
var all = map[string]func(ctx context.Context, c *Catalog) error{
	"Create": func(ctx context.Context, c *Catalog) error { return c.Create(ctx, &glance.Image{ID: id}) },
	"Get":    func(ctx context.Context, c *Catalog) error { _, err := c.Get(ctx, id, true); return err },
	"List":   func(ctx context.Context, c *Catalog) error { _, err := c.List(ctx, glance.Query{Limit: 1}); return err },
	"List all": func(ctx context.Context, c *Catalog) error {
		_, err := c.List(ctx, glance.Query{Limit: -1})
		return err
	},
	"Update": func(ctx context.Context, c *Catalog) error {
		return c.Update(ctx, &glance.Image{ID: id}, &glance.Image{ID: id, MinRAM: 1})
	},
	"Members":     func(ctx context.Context, c *Catalog) error { _, err := c.Members(ctx, id); return err },
	"Memberships": func(ctx context.Context, c *Catalog) error { _, err := c.Memberships(ctx, "p"); return err },
	"AddMember": func(ctx context.Context, c *Catalog) error {
		return c.AddMember(ctx, &glance.Member{ImageID: id, ProjectID: "p"})
	},
	"SetMember": func(ctx context.Context, c *Catalog) error {
		return c.SetMember(ctx, &glance.Member{ImageID: id, ProjectID: "p"})
	},
	"RemoveMember": func(ctx context.Context, c *Catalog) error { return c.RemoveMember(ctx, id, "p") },
}

func TestFailures(t *testing.T) {
	for code, want := range map[int]error{
		400: glance.ErrInvalid, 401: glance.ErrUnavailable, 403: glance.ErrForbidden, 409: glance.ErrConflict,
		413: glance.ErrTooLarge, 500: glance.ErrUnavailable, 302: glance.ErrUnavailable,
	} {
		c := newCatalog(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			http.Error(w, "file:///secret", code)
		}, Options{})
		for name, call := range all {
			want := want
			if code == 409 && name == "Create" {
				want = glance.ErrExists
			}
			if err := call(t.Context(), c); !errors.Is(err, want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, answered with %d: %v; want %v", name, code, err, want)
			}
		}
	}
}

// TestNonsense has a registry that answers something else.
func TestNonsense(t *testing.T) {
	for _, body := range []string{"", "nonsense", "[]", `{"image": {}}`, `{"image": 7, "images": 7, "members": 7, "shared_images": 7}`} {
		c := newCatalog(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(body)) }, Options{})
		for _, name := range []string{"Create", "Get", "Update"} {
			if err := all[name](t.Context(), c); !errors.Is(err, glance.ErrUnavailable) {
				t.Errorf("%s, answered with %q: %v; want %v", name, body, err, glance.ErrUnavailable)
			}
		}
		for _, name := range []string{"List", "Members", "Memberships"} {
			if err := all[name](t.Context(), c); body != `{"image": {}}` && !errors.Is(err, glance.ErrUnavailable) {
				t.Errorf("%s, answered with %q: %v; want %v", name, body, err, glance.ErrUnavailable)
			}
		}
	}
}

// TestSilence has a registry that does not answer, or not in time.
func TestSilence(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	silent := func(w http.ResponseWriter, r *http.Request) { <-release }
	c := newCatalog(t, silent, Options{Timeout: 20 * time.Millisecond})
	if err := all["Get"](t.Context(), c); !errors.Is(err, glance.ErrUnavailable) {
		t.Errorf("Get without an answer: %v; want %v", err, glance.ErrUnavailable)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := all["Get"](ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("Get with an ended context: %v; want %v", err, context.Canceled)
	}
	broken := newCatalog(t, silent, Options{Token: func(context.Context) (string, error) { return "", errors.New("no token") }})
	if err := all["Get"](t.Context(), broken); !errors.Is(err, glance.ErrUnavailable) {
		t.Errorf("Get without a token: %v; want %v", err, glance.ErrUnavailable)
	}
}

// TestRequests checks what is asked: no more than what differs is sent, and
// deletions come in two steps.
func TestRequests(t *testing.T) {
	var got []string
	c := newCatalog(t, func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(body)
		line := r.Method + " " + r.URL.RequestURI()
		if len(body) > 0 {
			line += " " + string(body)
		}
		if r.Header.Get("X-Glance-Registry-Purge-Props") != "" {
			line += " purge"
		}
		got = append(got, line)
		if strings.HasPrefix(r.URL.Path, "/images/detail") {
			_, _ = w.Write([]byte(`{"images": []}`))
			return
		}
		_, _ = w.Write([]byte(`{"image": {"id": "` + string(id) + `", "status": "active", "created_at": "2026-11-20T04:27:31.757402", "updated_at": "2026-11-20T04:27:32.000000"}}`))
	}, Options{})
	name := "n"
	base := glance.Image{ID: id, Status: glance.Active, Visibility: glance.Shared, Properties: map[string]string{"a": "1", "b": "2"}}
	change := func(f func(*glance.Image)) *glance.Image {
		im := base.Clone()
		f(im)
		return im
	}
	for _, step := range []struct {
		to   *glance.Image
		want []string
	}{
		{change(func(im *glance.Image) { im.Name, im.Visibility = &name, glance.Public }),
			[]string{`PUT /images/` + string(id) + ` {"image":{"is_public":true,"name":"n"}}`}},
		{change(func(im *glance.Image) { im.Properties["b"] = "3" }), []string{`PUT /images/` + string(id) + ` {"image":{"properties":{"b":"3"}}}`}},
		{change(func(im *glance.Image) { delete(im.Properties, "b") }), []string{`PUT /images/` + string(id) + ` {"image":{"properties":{"a":"1"}}} purge`}},
		{change(func(im *glance.Image) { im.DiskFormat = &name }), []string{`PUT /images/` + string(id) + ` {"from_state":"active","image":{"disk_format":"n"}}`}},
		{change(func(im *glance.Image) { im.Locations = []glance.Location{{ID: 7, URL: "s://1", Status: glance.Active}} }),
			[]string{`PUT /images/` + string(id) + ` {"image":{"location_data":[{"id":7,"metadata":{},"status":"active","url":"s://1"}]}}`}},
		{change(func(im *glance.Image) { im.Status = glance.PendingDelete }),
			[]string{`PUT /images/` + string(id) + ` {"from_state":"active","image":{"status":"pending_delete"}}`, `DELETE /images/` + string(id)}},
	} {
		got = nil
		if err := c.Update(t.Context(), &base, step.to); err != nil {
			t.Errorf("Update: %v", err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		if step.to.UpdatedAt.Second() != 32 {
			t.Errorf("updated at %v; want what the registry says", step.to.UpdatedAt)
		}
	}
	tagged := change(func(im *glance.Image) { im.Tags = []string{"t"} })
	for what, err := range map[string]error{"Create": c.Create(t.Context(), tagged), "Update": c.Update(t.Context(), &base, tagged)} {
		if !errors.Is(err, glance.ErrInvalid) {
			t.Errorf("%s with tags: %v; want %v", what, err, glance.ErrInvalid)
		}
	}
	got = nil
	q := glance.Query{
		Admin: true, NotPublic: true, Limit: 7, Marker: id, Properties: map[string]string{"os": "x y"}, Sort: []glance.SortKey{{Attribute: "name"}},
		Filters: []glance.Filter{
			{Attribute: "name", Op: "eq", Values: []string{"n"}}, {Attribute: "size", Op: "gte", Values: []string{"1"}},
			{Attribute: "size", Op: "lte", Values: []string{"2"}}, {Attribute: "updated_at", Op: "gt", Values: []string{"2026-11-20T00:00:00Z"}},
		},
	}
	if _, err := c.List(t.Context(), q); err != nil {
		t.Error(err)
	}
	want := []string{"GET /images/detail?changes-since=2026-11-20T00%3A00%3A00Z&is_public=False&limit=7&marker=" + string(id) +
		"&name=n&property-os=x+y&size_max=2&size_min=1&sort_dir=asc&sort_key=name"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func TestNew(t *testing.T) {
	if _, err := New(Options{Host: "h", Key: "short"}); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("New with a bad key: %v; want an error without it", err)
	}
	c, err := New(Options{Host: "::1"})
	if err != nil || c.base != "http://[::1]:9191" {
		t.Errorf("New = %v, %v; want port 9191", c, err)
	}
}
