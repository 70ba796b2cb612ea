package glance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
)

// A house is Images over a catalog and a store in memory, and what it told
// its notifier.
type house struct {
	*glance.Images
	catalog *memory.Catalog
	store   *memory.Store
	events  *events
}

func newHouse(t testing.TB, o glance.Options, more ...glance.Store) *house {
	t.Helper()
	h := &house{catalog: new(memory.Catalog), store: new(memory.Store), events: new(events)}
	o = h.options(o)
	var stores []glance.Backend
	for _, s := range append(more, h.store) {
		stores = append(stores, glance.Backend{Store: s})
	}
	images, err := glance.New(h.catalog, stores, o)
	if err != nil {
		t.Fatal(err)
	}
	h.Images = images
	return h
}

// options returns o with IDs and times that count up, and the house's events.
func (h *house) options(o glance.Options) glance.Options {
	var made atomic.Int64
	o.NewID = func() glance.ID { return number(made.Add(1)) }
	o.Now = func() time.Time { return time.Date(2026, 11, 20, 4, 30, int(made.Load()), 999, time.UTC) }
	o.Notify = h.events
	return o
}

func number(n int64) glance.ID { return glance.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)) }

func p[T any](v T) *T { return &v }

// create makes an image of project t1 that is ready for data.
func (h *house) create(t testing.TB, change ...func(*glance.Draft)) *glance.Image {
	t.Helper()
	d := glance.Draft{Name: p("i"), DiskFormat: p("raw"), ContainerFormat: p("bare")}
	for _, f := range change {
		f(&d)
	}
	im, err := h.Create(as(t, "admin t1"), d)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// active makes an image of project t1 with data.
func (h *house) active(t testing.TB, data string, change ...func(*glance.Draft)) *glance.Image {
	t.Helper()
	im := h.create(t, change...)
	if err := h.Upload(as(t, "member t1"), im.ID, strings.NewReader(data), glance.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	return h.get(t, im.ID)
}

// get returns the image as the catalog has it, deleted or not.
func (h *house) get(t testing.TB, id glance.ID) *glance.Image {
	t.Helper()
	im, err := h.catalog.Get(t.Context(), id, true)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// as returns a context of a caller: "admin", "admin t1", "member t1",
// "reader t1" or "anonymous".
func as(t testing.TB, who string) context.Context {
	t.Helper()
	role, project, _ := strings.Cut(who, " ")
	c := glance.Caller{ProjectID: project, Roles: []string{role}}
	switch role {
	case "admin":
		c.Admin = true
	case "anonymous":
		c = glance.Caller{Anonymous: true}
	case "member":
		c.Roles = []string{"member", "reader"}
	case "reader", "service":
	default:
		t.Fatalf("nobody is called %q", who)
	}
	return glance.WithCaller(t.Context(), c)
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

// events is a Notifier that remembers.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) Notify(_ context.Context, event glance.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := event.Type
	if s == "image.delete" {
		s += " " + string(event.Image.Status)
	}
	if event.Err != nil {
		s += " failed"
	}
	e.all = append(e.all, s)
}

// take returns what happened since it was last called.
func (e *events) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := strings.Join(e.all, ", ")
	e.all = nil
	return s
}

// read returns the data of an image as the caller of ctx gets it.
func (h *house) read(ctx context.Context, id glance.ID, off, n int64) (string, error) {
	d, err := h.Download(ctx, id)
	if err != nil {
		return "", err
	}
	rc, err := d.Open(ctx, off, n)
	if err != nil {
		return "", err
	}
	defer rc.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, rc)
	return b.String(), err
}
