package glance_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"glancectl/service/glance"
)

func TestParseID(t *testing.T) {
	for _, good := range []string{"71c675ab-d94f-49cd-a114-e12490b328d9", "71C675AB-D94F-49CD-A114-E12490B328D9", "00000000-0000-0000-0000-000000000000"} {
		if id, err := glance.ParseID(good); err != nil || string(id) != good {
			t.Errorf("ParseID(%q) = %q, %v; want it as it is", good, id, err)
		}
	}
	for _, bad := range []string{
		"", "x", "71c675abd94f49cda114e12490b328d9", "{71c675ab-d94f-49cd-a114-e12490b328d9}", "71c675ab-d94f-49cd-a114-e12490b328d",
		"71c675ab-d94f-49cd-a114-e12490b328d9\n", "71c675ab-d94f-49cd-a114-e12490b328dg", "../../../../../../../../../etc/passwd", "71c675ab-d94f-49cd-a114-e12490b328d9/..",
	} {
		if id, err := glance.ParseID(bad); !errors.Is(err, glance.ErrInvalid) {
			t.Errorf("ParseID(%q) = %q, %v; want %v", bad, id, err, glance.ErrInvalid)
		}
	}
	for range 100 {
		if _, err := glance.ParseID(glance.NewUUID()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNew(t *testing.T) {
	if _, err := glance.New(nil, nil, glance.Options{}); err == nil {
		t.Error("New without a store succeeds")
	}
	h := newHouse(t, glance.Options{DefaultStore: "memory"}, drain{})
	if im := h.active(t, "x"); !strings.HasPrefix(im.Locations[0].URL, "memory:") {
		t.Errorf("data went to %s; want the default store", im.Locations[0].URL)
	}
	if _, err := glance.New(h.catalog, []glance.Backend{{Store: h.store}}, glance.Options{DefaultStore: "rbd"}); err == nil || !strings.Contains(err.Error(), `"rbd"`) {
		t.Errorf("New with an unknown default store: %v; want its name", err)
	}
}

// actions are what a caller may want to do with an image that has data. Each
// gets an image of its own.
var actions = []struct {
	name string
	do   func(h *house, t *testing.T, who string, id glance.ID) error
}{
	{"get", func(h *house, t *testing.T, who string, id glance.ID) error {
		_, err := h.Get(as(t, who), id)
		return err
	}},
	{"download", func(h *house, t *testing.T, who string, id glance.ID) error {
		_, err := h.read(as(t, who), id, 0, -1)
		return err
	}},
	{"update", func(h *house, t *testing.T, who string, id glance.ID) error {
		_, err := h.Update(as(t, who), id, []glance.Change{{Op: glance.Replace, Attribute: "name", Value: "x"}})
		return err
	}},
	{"publish", func(h *house, t *testing.T, who string, id glance.ID) error {
		_, err := h.Update(as(t, who), id, []glance.Change{{Op: glance.Replace, Attribute: "visibility", Value: "public"}})
		return err
	}},
	{"upload", func(h *house, t *testing.T, who string, id glance.ID) error {
		err := h.Upload(as(t, who), id, strings.NewReader("x"), glance.UploadOptions{})
		if errors.Is(err, glance.ErrConflict) {
			return nil // it was allowed, but the image has data
		}
		return err
	}},
	{"tag", func(h *house, t *testing.T, who string, id glance.ID) error { return h.AddTag(as(t, who), id, "x") }},
	{"deactivate", func(h *house, t *testing.T, who string, id glance.ID) error { return h.Deactivate(as(t, who), id) }},
	{"reactivate", func(h *house, t *testing.T, who string, id glance.ID) error { return h.Reactivate(as(t, who), id) }},
	{"delete", func(h *house, t *testing.T, who string, id glance.ID) error { return h.Delete(as(t, who), id) }},
}

// TestAccess says for every kind of caller and image which actions succeed.
// Of the others, those on images that the caller can see are ErrForbidden and
// those on images that it cannot see are ErrNotFound, without exception.
func TestAccess(t *testing.T) {
	all := "get download update upload tag deactivate reactivate delete"
	for _, test := range []struct {
		who        string
		visibility glance.Visibility
		sees       bool
		may        string
	}{
		{"admin", glance.Private, true, all + " publish"},
		{"admin t9", glance.Shared, true, all + " publish"},
		{"member t1", glance.Private, true, all},
		{"member t1", glance.Public, true, all},
		{"reader t1", glance.Private, true, "get"},
		{"member t2", glance.Private, false, ""},
		{"member t2", glance.Shared, false, ""},
		{"member t2", glance.Community, true, "get download"},
		{"member t2", glance.Public, true, "get download"},
		{"member guest", glance.Shared, true, "get download"},
		{"reader guest", glance.Shared, true, "get"},
		{"member guest", glance.Private, false, ""},
		{"anonymous", glance.Public, true, "get download"},
		{"anonymous", glance.Shared, false, ""},
		{"member ", glance.Public, true, "get"}, // no project
		{"member ", glance.Shared, false, ""},
	} {
		for _, action := range actions {
			name := fmt.Sprintf("%s may %s a %s image", test.who, action.name, test.visibility)
			t.Run(name, func(t *testing.T) {
				h := newHouse(t, glance.Options{})
				im := h.active(t, "data")
				if _, err := h.AddMember(as(t, "member t1"), im.ID, "guest"); err != nil {
					t.Fatal(err)
				}
				_, err := h.Update(as(t, "admin"), im.ID, []glance.Change{{Op: glance.Replace, Attribute: "visibility", Value: string(test.visibility)}})
				if err != nil {
					t.Fatal(err)
				}
				var want error
				switch {
				case slices.Contains(strings.Fields(test.may), action.name):
				case action.name == "publish" && test.visibility == glance.Public && strings.Contains(test.may, "update"):
					want = glance.ErrForbidden // although it is public already
				case test.sees:
					want = glance.ErrForbidden
				default:
					want = glance.ErrNotFound
				}
				before := h.get(t, im.ID)
				is(t, name, action.do(h, t, test.who, im.ID), want)
				if after := h.get(t, im.ID); want != nil && (after.Status != before.Status || *after.Name != *before.Name || len(after.Tags) > 0 || h.store.Len() != 1) {
					t.Errorf("a refused %s changed the image: %+v", action.name, after)
				}
			})
		}
	}
}

// An image without an owner is for everybody to see and for admins to change.
func TestOwnerless(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t, func(d *glance.Draft) { d.Ownerless = true })
	if _, err := h.Get(as(t, "member t2"), im.ID); err != nil {
		t.Errorf("Get: %v", err)
	}
	is(t, "Delete", h.Delete(as(t, "member t2"), im.ID), glance.ErrForbidden)
	is(t, "Delete without a project", h.Delete(as(t, "member "), im.ID), glance.ErrForbidden)
	is(t, "Delete by an admin", h.Delete(as(t, "admin"), im.ID), nil)
}

// only is a policy that allows what it lists, and nothing else.
type only []glance.Rule

func (o only) Allows(_ glance.Caller, r glance.Rule, _ glance.Target) bool {
	return slices.Contains(o, r)
}

// A policy is asked by the names that policy files use, and what it says
// holds for admins as well.
func TestPolicy(t *testing.T) {
	h := newHouse(t, glance.Options{Policy: only{glance.GetImage, glance.AddImage, glance.GetImages}})
	im, err := h.Create(as(t, "anonymous"), glance.Draft{})
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	err = h.Delete(as(t, "admin"), im.ID)
	is(t, "Delete", err, glance.ErrForbidden)
	if want := "You are not authorized to complete delete_image action."; err.Error() != want {
		t.Errorf("Delete: %q; want %q", err, want)
	}
	hidden := newHouse(t, glance.Options{Policy: only{glance.AddImage, glance.GetImages}})
	im, err = hidden.Create(as(t, "admin t1"), glance.Draft{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = hidden.Get(as(t, "admin t1"), im.ID)
	is(t, "Get", err, glance.ErrNotFound)
	list, _, err := hidden.List(as(t, "admin t1"), glance.Query{Limit: 10})
	if err != nil || len(list) != 0 {
		t.Errorf("List = %v, %v; want nothing, for nothing may be looked at", list, err)
	}
}

// A query says nothing about who asks, whatever it holds.
func TestListAsCaller(t *testing.T) {
	h := newHouse(t, glance.Options{})
	h.create(t, func(d *glance.Draft) { d.Visibility = glance.Private })
	list, _, err := h.List(as(t, "member t2"), glance.Query{Admin: true, ProjectID: "t1", Limit: 10})
	if err != nil || len(list) != 0 {
		t.Errorf("List by another project = %v, %v; want nothing", list, err)
	}
}

func TestListPages(t *testing.T) {
	h := newHouse(t, glance.Options{})
	for range 4 {
		h.create(t)
	}
	for _, test := range []struct {
		limit int
		n     int
		more  bool
	}{{0, 0, false}, {3, 3, true}, {4, 4, true}, {5, 4, false}, {-1, 4, false}} {
		list, more, err := h.List(as(t, "member t1"), glance.Query{Limit: test.limit})
		if err != nil || len(list) != test.n || more != test.more {
			t.Errorf("List(limit %d) = %d images, more %v, %v; want %d, %v", test.limit, len(list), more, err, test.n, test.more)
		}
	}
	_, _, err := h.List(as(t, "member t1"), glance.Query{Limit: 1, Marker: number(99)})
	is(t, "List after an unknown marker", err, glance.ErrInvalid)
}

func TestDownload(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	d, err := h.Download(as(t, "member t1"), im.ID)
	if err != nil || !d.Empty() {
		t.Fatalf("Download of a queued image = %+v, %v; want it empty", d, err)
	}
	_, err = d.Open(t.Context(), 0, -1)
	is(t, "Open of nothing", err, glance.ErrNotFound)
	if err := h.Upload(as(t, "member t1"), im.ID, strings.NewReader("0123456789"), glance.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		off, n int64
		want   string
	}{{0, -1, "0123456789"}, {4, -1, "456789"}, {2, 3, "234"}, {0, 0, ""}} {
		if got, err := h.read(as(t, "member t1"), im.ID, test.off, test.n); err != nil || got != test.want {
			t.Errorf("read(%d, %d) = %q, %v; want %q", test.off, test.n, got, err, test.want)
		}
	}
}

// The next location takes over when one cannot be opened; no message names a
// URL, which may hold a password.
func TestDownloadLocations(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.active(t, "data")
	good := im.Locations[0]
	lost := glance.Location{URL: "memory://lost", Status: glance.Active}
	foreign := glance.Location{URL: "swift://user:secret@host/x", Status: glance.Active}
	gone := glance.Location{URL: good.URL, Status: glance.Deleted}
	for _, test := range []struct {
		name      string
		locations []glance.Location
		want      error
	}{
		{"the second is there", []glance.Location{lost, foreign, good}, nil},
		{"none is there", []glance.Location{foreign, lost}, glance.ErrNotFound},
		{"no such store", []glance.Location{lost, foreign}, glance.ErrUnavailable},
		{"deleted", []glance.Location{gone}, glance.ErrNotFound},
	} {
		before := h.get(t, im.ID)
		after := before.Clone()
		after.Locations = test.locations
		if err := h.catalog.Update(t.Context(), before, after); err != nil {
			t.Fatal(err)
		}
		got, err := h.read(as(t, "member t1"), im.ID, 0, -1)
		is(t, test.name, err, test.want)
		if err == nil && got != "data" {
			t.Errorf("%s: data = %q", test.name, got)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %q shows where the data is", test.name, err)
		}
	}
}

// A cache is asked only for what the caller may read, and forgets what is
// deleted.
func TestCache(t *testing.T) {
	c := new(copies)
	h := newHouse(t, glance.Options{Cache: c})
	im := h.active(t, "data")
	for range 2 {
		if got, err := h.read(as(t, "member t1"), im.ID, 0, -1); err != nil || got != "data" {
			t.Errorf("read = %q, %v; want data", got, err)
		}
	}
	if c.fetched != 1 {
		t.Errorf("%d downloads came from the store; want 1", c.fetched)
	}
	if err := h.Deactivate(as(t, "member t1"), im.ID); err != nil {
		t.Fatal(err)
	}
	asked := c.asked
	_, err := h.read(as(t, "member t1"), im.ID, 0, -1)
	is(t, "download of a deactivated image", err, glance.ErrForbidden)
	_, err = h.read(as(t, "member t2"), im.ID, 0, -1)
	is(t, "download by another project", err, glance.ErrNotFound)
	if c.asked != asked {
		t.Error("the cache was asked for what the caller may not read")
	}
	if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
		t.Fatal(err)
	}
	if len(c.data) != 0 {
		t.Error("the cache still has a deleted image")
	}
}

// TestDelete: what is deleted is gone at once for everybody; its data is gone
// too, or waits for Scrub.
func TestDelete(t *testing.T) {
	for _, delayed := range []bool{false, true} {
		t.Run(fmt.Sprintf("delayed %v", delayed), func(t *testing.T) {
			h := newHouse(t, glance.Options{DelayedDelete: delayed})
			im := h.active(t, "data", func(d *glance.Draft) { d.Properties = map[string]string{"a": "b"} })
			h.events.take()
			if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
				t.Fatal(err)
			}
			want := map[bool]string{false: "image.delete deleted", true: "image.delete pending_delete"}[delayed]
			if got := h.events.take(); got != want {
				t.Errorf("events = %s; want %s", got, want)
			}
			_, err := h.Get(as(t, "admin"), im.ID)
			is(t, "Get", err, glance.ErrNotFound)
			is(t, "second Delete", h.Delete(as(t, "member t1"), im.ID), glance.ErrNotFound)
			if delayed {
				h.isAt(t, im.ID, glance.PendingDelete, 1)
				is(t, "Scrub by a member", h.Scrub(as(t, "member t1"), im.ID), glance.ErrForbidden)
				is(t, "Scrub", h.Scrub(as(t, "admin"), im.ID), nil)
			}
			h.isAt(t, im.ID, glance.Deleted, 0)
			is(t, "Scrub of a deleted image", h.Scrub(as(t, "admin"), im.ID), glance.ErrConflict)
			is(t, "Scrub of none", h.Scrub(as(t, "admin"), number(99)), glance.ErrNotFound)
		})
	}
}

func (h *house) isAt(t *testing.T, id glance.ID, want glance.Status, objects int) {
	t.Helper()
	im := h.get(t, id)
	if im.Status != want || im.Locations[0].Status != want || h.store.Len() != objects {
		t.Errorf("image is %s, its location %s, with %d objects in the store; want %s with %d", im.Status, im.Locations[0].Status, h.store.Len(), want, objects)
	}
}

// isStuck checks that the data of an image cannot be removed.
func (h *house) isStuck(t *testing.T, id glance.ID) {
	t.Helper()
	im := h.get(t, id)
	if im.Status != glance.PendingDelete || im.Locations[0].Status != glance.Removing || h.store.Len() != 1 {
		t.Errorf("image is %s, its location %s, with %d objects in the store; want pending_delete, removing, 1", im.Status, im.Locations[0].Status, h.store.Len())
	}
	is(t, "Restore", h.Restore(as(t, "admin"), id), glance.ErrConflict)
}

// TestRestore: what waits for Scrub can come back, and nothing else.
func TestRestore(t *testing.T) {
	h := newHouse(t, glance.Options{DelayedDelete: true})
	im := h.active(t, "data", func(d *glance.Draft) { d.Properties = map[string]string{"a": "b"} })
	is(t, "Restore of an active image", h.Restore(as(t, "admin"), im.ID), glance.ErrConflict)
	is(t, "Restore of none", h.Restore(as(t, "admin"), number(99)), glance.ErrNotFound)
	if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
		t.Fatal(err)
	}
	is(t, "Restore by a member", h.Restore(as(t, "member t1"), im.ID), glance.ErrForbidden)
	is(t, "Restore", h.Restore(as(t, "admin"), im.ID), nil)
	h.isAt(t, im.ID, glance.Active, 1)
	if got, err := h.read(as(t, "member t1"), im.ID, 0, -1); err != nil || got != "data" || h.get(t, im.ID).Properties["a"] != "b" {
		t.Errorf("read = %q, %v, %v; want data and the property", got, err, h.get(t, im.ID).Properties)
	}
	if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
		t.Fatal(err)
	}
	is(t, "Scrub", h.Scrub(as(t, "admin"), im.ID), nil)
	is(t, "Restore of a scrubbed image", h.Restore(as(t, "admin"), im.ID), glance.ErrConflict)
}

// Of a scrubber and one who restores, at the same time, one wins; no image is
// active without data.
func TestRestoreBesideScrub(t *testing.T) {
	h := newHouse(t, glance.Options{DelayedDelete: true})
	for range 200 {
		im := h.active(t, "data")
		if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
			t.Fatal(err)
		}
		var scrubbed, restored error
		var both sync.WaitGroup
		both.Go(func() { scrubbed = h.Scrub(as(t, "admin"), im.ID) })
		both.Go(func() { restored = h.Restore(as(t, "admin"), im.ID) })
		both.Wait()
		switch {
		case scrubbed == nil:
			is(t, "Restore after Scrub", restored, glance.ErrConflict)
			h.isAt(t, im.ID, glance.Deleted, 0)
		default:
			is(t, "Scrub after Restore", scrubbed, glance.ErrConflict)
			is(t, "Restore", restored, nil)
			h.isAt(t, im.ID, glance.Active, 1)
			if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
				t.Fatal(err)
			}
			is(t, "Scrub", h.Scrub(as(t, "admin"), im.ID), nil)
		}
	}
}

// When the store does not remove the data the image is deleted all the same,
// and Scrub finds the rest.
func TestDeleteWithBrokenStore(t *testing.T) {
	store := &stuck{}
	h := newHouse(t, glance.Options{}, store)
	store.Store = h.store
	for _, status := range []glance.Status{glance.Active, glance.Deactivated} {
		im := h.active(t, "data")
		if status == glance.Deactivated {
			if err := h.Deactivate(as(t, "member t1"), im.ID); err != nil {
				t.Fatal(err)
			}
		}
		store.err = io.ErrClosedPipe
		if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
			t.Fatal(err)
		}
		h.isStuck(t, im.ID)
		is(t, "Scrub", h.Scrub(as(t, "admin"), im.ID), io.ErrClosedPipe)
		h.isStuck(t, im.ID)
		store.err = nil
		is(t, "Scrub", h.Scrub(as(t, "admin"), im.ID), nil)
		h.isAt(t, im.ID, glance.Deleted, 0)
	}
}
