package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

func createAndGet(t *testing.T, c glance.Catalog) {
	for _, im := range []*glance.Image{bare(1), full(2)} {
		want := clone(im)
		create(t, c, im)
		got, err := c.Get(t.Context(), im.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Errorf("Get after Create (-want +got):\n%s", diff)
		}
	}
}

func createTwice(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	is(t, "Create of the same ID", c.Create(t.Context(), bare(1)), glance.ErrExists)
	same(t, "image after a refused Create", get(t, c, id(1)), full(1))

	change(t, c, id(1), func(im *glance.Image) { im.Status = glance.Deleted })
	is(t, "Create of the ID of a deleted image", c.Create(t.Context(), bare(1)), glance.ErrExists)

	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = c.Create(t.Context(), bare(2)) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		is(t, "Create beside others", err, glance.ErrExists)
	}
	if made != 1 {
		t.Errorf("%d of %d Creates of one ID succeed; want 1", made, n)
	}
}

func getMissing(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	for _, deleted := range []bool{false, true} {
		_, err := c.Get(t.Context(), id(2), deleted)
		is(t, fmt.Sprintf("Get(unknown, %t)", deleted), err, glance.ErrNotFound)
	}
}

// text keeps what looks like something else to a database.
func text(t *testing.T, c glance.Catalog) {
	for i, s := range []string{
		"Zürich ⛰ 日本語",
		`'; DROP TABLE images; --`,
		`100%_\`,
		"line\nbreak\ttab",
		`"quoted" \'escaped\'`,
		"?:1 $1 {}",
		strings.Repeat("ä", 255),
	} {
		im := full(i)
		im.Name = &s
		im.Properties = map[string]string{"key": s}
		im.Tags = []string{s}
		im.Locations = []glance.Location{{URL: "http://x/" + s, Metadata: map[string]string{s: s}, Status: glance.Active}}
		create(t, c, im)
		same(t, fmt.Sprintf("image with %q", s), get(t, c, im.ID), im)
		list, err := c.List(t.Context(), glance.Query{
			Admin:      true,
			Filters:    []glance.Filter{{Attribute: "name", Op: "eq", Values: []string{s}}},
			Properties: map[string]string{"key": s},
			Tags:       []string{s},
			Limit:      -1,
		})
		if err != nil || len(list) != 1 || list[0].ID != im.ID {
			t.Errorf("List by %q = %d images, %v; want the one", s, len(list), err)
		}
	}
}

// wideCharacters are beyond what Glance's tables hold on MySQL. A catalog
// keeps them or refuses; it does not keep something else.
func wideCharacters(t *testing.T, c glance.Catalog) {
	const wide = "a 😀 b"
	for i, spoil := range []func(im *glance.Image){
		func(im *glance.Image) { im.Name = p(wide) },
		func(im *glance.Image) { im.Properties[wide] = "x" },
		func(im *glance.Image) { im.Properties["x"] = wide },
		func(im *glance.Image) { im.Tags = []string{wide} },
		func(im *glance.Image) { im.Locations[0].URL = wide },
	} {
		im := full(i)
		spoil(im)
		err := c.Create(t.Context(), im)
		if err == nil {
			same(t, "image with wide characters", get(t, c, im.ID), im)
			continue
		}
		is(t, "Create with wide characters", err, glance.ErrInvalid)
		im = full(100 + i)
		create(t, c, im)
		after := clone(im)
		spoil(after)
		is(t, "Update to wide characters", c.Update(t.Context(), im, after), glance.ErrInvalid)
		same(t, "image after a refused Update", get(t, c, im.ID), full(100+i))
	}
}

func endedContext(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Get(ctx, id(1), false)
	is(t, "Get", err, context.Canceled)
	_, err = c.List(ctx, glance.Query{Admin: true, Limit: -1})
	is(t, "List", err, context.Canceled)
	is(t, "Create", c.Create(ctx, bare(2)), context.Canceled)
	after := full(1)
	after.Name = nil
	is(t, "Update", c.Update(ctx, full(1), after), context.Canceled)
	same(t, "image after an Update that was cancelled", get(t, c, id(1)), full(1))
}

func updateAttributes(t *testing.T, c glance.Catalog) {
	create(t, c, bare(1))
	start := time.Now().UTC().Truncate(time.Second)
	_, after := change(t, c, id(1), func(im *glance.Image) {
		created := im.CreatedAt
		*im = *full(1)
		im.CreatedAt = created
	})
	got := get(t, c, id(1))
	same(t, "image with everything set", got, full(1))
	if !got.UpdatedAt.Equal(after.UpdatedAt) || got.UpdatedAt.Before(start.Add(-time.Second)) {
		t.Errorf("UpdatedAt is %v, and %v in the image given to Update; want one time from now on", got.UpdatedAt, after.UpdatedAt)
	}
	change(t, c, id(1), func(im *glance.Image) {
		*im = *bare(1)
		im.Visibility = glance.Private
		im.Status = glance.Deactivated
	})
	want := bare(1)
	want.Visibility = glance.Private
	want.Status = glance.Deactivated
	same(t, "image with everything cleared", get(t, c, id(1)), want)
}

func updateProperties(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	for _, want := range []map[string]string{
		{"os_distro": "ubuntu", "empty": "", "new": "1"},
		{"os_distro": "debian", "new": "1"},
		{},
		{"os_distro": "debian again", "empty": "no more"},
		{"os_distro": "debian again", "empty": "no more"},
	} {
		change(t, c, id(1), func(im *glance.Image) { im.Properties = want })
		if got := get(t, c, id(1)).Properties; !cmp.Equal(got, want, equal) {
			t.Errorf("properties = %q; want %q", got, want)
		}
	}
}

func updateTags(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	for _, want := range [][]string{{"lts", "new", "x86"}, {"new"}, nil, {"lts", "x86"}} {
		change(t, c, id(1), func(im *glance.Image) { im.Tags = want })
		if got := get(t, c, id(1)).Tags; !cmp.Equal(got, want, equal) {
			t.Errorf("tags = %q; want %q", got, want)
		}
	}
	// Two that add one tag from what they saw add it once.
	before := get(t, c, id(1))
	for range 2 {
		after := clone(before)
		after.Tags = []string{"lts", "twice", "x86"}
		if err := c.Update(t.Context(), before, after); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := get(t, c, id(1)).Tags, []string{"lts", "twice", "x86"}; !cmp.Equal(got, want) {
		t.Errorf("tags = %q; want %q", got, want)
	}
	change(t, c, id(1), func(im *glance.Image) { im.Tags = nil })
	if got := get(t, c, id(1)).Tags; len(got) > 0 {
		t.Errorf("tags = %q; want none", got)
	}
}

func updateLocations(t *testing.T, c glance.Catalog) {
	create(t, c, bare(1))
	at := func(url string, meta ...string) glance.Location {
		l := glance.Location{URL: url, Status: glance.Active}
		if len(meta) > 0 {
			l.Metadata = map[string]string{"store": meta[0]}
		}
		return l
	}
	for _, want := range [][]glance.Location{
		{at("http://a"), at("http://b", "two")},
		{at("http://a", "one"), at("http://b")},
		{at("http://b"), at("http://a", "one")},
		{at("http://c"), at("http://b")},
		{at("http://b"), at("http://c"), at("http://C")},
		{},
		{at("http://a")},
	} {
		change(t, c, id(1), func(im *glance.Image) { im.Locations = want })
		if diff := cmp.Diff(want, get(t, c, id(1)).Locations, equal); diff != "" {
			t.Errorf("locations (-want +got):\n%s", diff)
		}
	}
	// One that adds a location does not take away another's.
	before := get(t, c, id(1))
	for _, url := range []string{"http://x", "http://y"} {
		after := clone(before)
		after.Locations = append(after.Locations, at(url))
		if err := c.Update(t.Context(), before, after); err != nil {
			t.Fatal(err)
		}
	}
	want := []glance.Location{at("http://a"), at("http://x"), at("http://y")}
	if diff := cmp.Diff(want, get(t, c, id(1)).Locations, equal); diff != "" {
		t.Errorf("locations after two that added one (-want +got):\n%s", diff)
	}
}

func updateRefused(t *testing.T, c glance.Catalog) {
	create(t, c, full(1), bare(2))
	before := full(1)
	before.Status = glance.Saving
	after := clone(before)
	after.Status = glance.Queued
	after.Name = p("not to be seen")
	after.Properties["not"] = "to be seen"
	after.Tags = nil
	after.Locations = nil
	is(t, "Update from another status", c.Update(t.Context(), before, after), glance.ErrConflict)
	same(t, "image after a refused Update", get(t, c, id(1)), full(1))

	before, after = full(3), full(3)
	after.Name = nil
	is(t, "Update of an unknown image", c.Update(t.Context(), before, after), glance.ErrNotFound)

	before, gone := change(t, c, id(2), func(im *glance.Image) { im.Status = glance.Deleted })
	after = clone(before)
	after.Name = p("too late")
	is(t, "Update of an image that was deleted meanwhile", c.Update(t.Context(), before, after), glance.ErrNotFound)
	after = clone(before)
	after.Status = glance.Saving
	is(t, "status change of an image that was deleted meanwhile", c.Update(t.Context(), before, after), glance.ErrNotFound)
	same(t, "deleted image", get(t, c, id(2)), gone)
}

func staleUpdates(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	before := full(1)
	changes := []func(im *glance.Image){
		func(im *glance.Image) { im.Name = p("renamed") },
		func(im *glance.Image) { im.MinRAM = 1 },
		func(im *glance.Image) { im.Protected = false },
		func(im *glance.Image) { im.Owner = nil },
		func(im *glance.Image) { im.Properties["os_distro"] = "debian" },
		func(im *glance.Image) { im.Properties["added"] = "yes" },
		func(im *glance.Image) { delete(im.Properties, "empty") },
		func(im *glance.Image) { im.Tags = append(im.Tags, "zz") },
		func(im *glance.Image) { im.Tags = im.Tags[1:] },
		func(im *glance.Image) { im.Status = glance.Deactivated },
	}
	want := full(1)
	for _, f := range changes {
		after := clone(before)
		f(after)
		if err := c.Update(t.Context(), before, after); err != nil {
			t.Fatal(err)
		}
		f(want)
	}
	same(t, "image after changes by many who saw it unchanged", get(t, c, id(1)), want)
}

func concurrentUpdates(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	want := full(1)
	want.Name = p("renamed")
	var wg sync.WaitGroup
	update := func(f func(im *glance.Image)) {
		wg.Go(func() {
			before, after := full(1), full(1)
			f(after)
			if err := c.Update(t.Context(), before, after); err != nil {
				t.Errorf("Update beside others: %v", err)
			}
		})
	}
	update(func(im *glance.Image) { im.Name = want.Name })
	for i := range 15 {
		key := fmt.Sprintf("key%02d", i)
		update(func(im *glance.Image) { im.Properties[key] = "x" })
		update(func(im *glance.Image) { im.Tags = append(im.Tags, "y"+key) })
		want.Properties[key] = "x"
		want.Tags = append(want.Tags, "y"+key)
	}
	wg.Wait()
	same(t, "image after many updates at once", get(t, c, id(1)), want)
}

func oneWins(t *testing.T, c glance.Catalog) {
	create(t, c, bare(1))
	const n = 16
	var wg sync.WaitGroup
	var mu sync.Mutex
	var winners []string
	for i := range n {
		wg.Go(func() {
			before, after := bare(1), bare(1)
			after.Status = glance.Saving
			after.Name = p(fmt.Sprint("by ", i))
			err := c.Update(t.Context(), before, after)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				winners = append(winners, *after.Name)
			case !errors.Is(err, glance.ErrConflict):
				t.Errorf("Update beside others: %v; want %v", err, glance.ErrConflict)
			}
		})
	}
	wg.Wait()
	if len(winners) != 1 {
		t.Fatalf("%d of %d changes from queued to saving succeed; want 1", len(winners), n)
	}
	if got := get(t, c, id(1)); got.Status != glance.Saving || *got.Name != winners[0] {
		t.Errorf("image is %s, %q; want %s, %q", got.Status, *got.Name, glance.Saving, winners[0])
	}
}

func remove(t *testing.T, c glance.Catalog) {
	create(t, c, full(1), full(2))
	if err := c.AddMember(t.Context(), &glance.Member{ImageID: id(1), ProjectID: "p"}); err != nil {
		t.Fatal(err)
	}
	change(t, c, id(1), func(im *glance.Image) { im.Properties = map[string]string{"left": "over"} })
	_, after := change(t, c, id(1), func(im *glance.Image) {
		im.Status = glance.Deleted
		for i := range im.Locations {
			im.Locations[i].Status = glance.Deleted
		}
	})
	_, err := c.Get(t.Context(), id(1), false)
	is(t, "Get of a deleted image", err, glance.ErrNotFound)
	got := get(t, c, id(1))
	same(t, "deleted image", got, after)
	if got.DeletedAt == nil || !got.DeletedAt.Equal(got.UpdatedAt) {
		t.Errorf("DeletedAt is %v; want the time of the last update, %v", got.DeletedAt, got.UpdatedAt)
	}
	if list, err := c.Members(t.Context(), id(1)); err != nil || len(list) > 0 {
		t.Errorf("Members of a deleted image = %v, %v; want none", list, err)
	}
	is(t, "AddMember to a deleted image", c.AddMember(t.Context(), &glance.Member{ImageID: id(1), ProjectID: "q"}), glance.ErrNotFound)
	same(t, "another image", get(t, c, id(2)), full(2))
}

// pendingDelete walks the way of an image whose data is removed later.
func pendingDelete(t *testing.T, c glance.Catalog) {
	create(t, c, full(1), full(2))
	_, after := change(t, c, id(1), func(im *glance.Image) {
		im.Status = glance.PendingDelete
		for i := range im.Locations {
			im.Locations[i].Status = glance.PendingDelete
		}
	})
	_, err := c.Get(t.Context(), id(1), false)
	is(t, "Get of an image that is pending_delete", err, glance.ErrNotFound)
	waiting := func() []*glance.Image {
		t.Helper()
		list, err := c.List(t.Context(), glance.Query{Admin: true, AllVisible: true, Deleted: true, Statuses: []glance.Status{glance.PendingDelete}, Limit: -1})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	list := waiting()
	if len(list) != 1 {
		t.Fatalf("%d images are pending_delete; want 1", len(list))
	}
	same(t, "image that is pending_delete", list[0], after)

	// One of two locations is done with.
	change(t, c, id(1), func(im *glance.Image) { im.Locations[0].Status = glance.Deleted })
	after.Locations[0].Status = glance.Deleted
	if list = waiting(); len(list) != 1 {
		t.Fatalf("%d images are pending_delete; want 1", len(list))
	}
	same(t, "image with one location deleted", list[0], after)

	stale := clone(list[0])
	change(t, c, id(1), func(im *glance.Image) {
		im.Status = glance.Deleted
		im.Locations[1].Status = glance.Deleted
	})
	if list = waiting(); len(list) != 0 {
		t.Errorf("%d images are pending_delete; want none", len(list))
	}
	after.Status = glance.Deleted
	after.Locations[1].Status = glance.Deleted
	same(t, "deleted image", get(t, c, id(1)), after)
	again := clone(stale)
	again.Status = glance.Deleted
	is(t, "second scrubbing", c.Update(t.Context(), stale, again), glance.ErrConflict)
}

func restore(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	change(t, c, id(1), func(im *glance.Image) {
		delete(im.Properties, "empty")
		im.Tags = []string{"x86"}
	})
	change(t, c, id(1), func(im *glance.Image) {
		im.Status = glance.PendingDelete
		for i := range im.Locations {
			im.Locations[i].Status = glance.PendingDelete
		}
	})
	change(t, c, id(1), func(im *glance.Image) {
		im.Status = glance.Active
		im.DeletedAt = nil
		for i := range im.Locations {
			im.Locations[i].Status = glance.Active
		}
	})
	got, err := c.Get(t.Context(), id(1), false)
	if err != nil {
		t.Fatal(err)
	}
	want := full(1)
	delete(want.Properties, "empty")
	want.Tags = []string{"x86"}
	same(t, "restored image", got, want)
	if got.DeletedAt != nil {
		t.Errorf("DeletedAt of a restored image is %v; want none", got.DeletedAt)
	}
	restoreOrRemove(t, c)
}

// restoreOrRemove checks that of who restores an image and who removes its data
// the first one wins.
func restoreOrRemove(t *testing.T, c glance.Catalog) {
	_, deleted := change(t, c, id(1), func(im *glance.Image) { all(im, glance.PendingDelete) })
	back := clone(deleted)
	all(back, glance.Active)
	removing := clone(deleted)
	all(removing, glance.Removing)
	removing.Status = glance.PendingDelete
	deleted = get(t, c, id(1))
	is(t, "restoring", c.Update(t.Context(), deleted, clone(back)), nil)
	is(t, "removing what is back", c.Update(t.Context(), deleted, clone(removing)), glance.ErrConflict)
	if n := len(get(t, c, id(1)).Locations); n != len(back.Locations) {
		t.Errorf("an image that is back has %d locations; want %d", n, len(back.Locations))
	}
	for _, l := range get(t, c, id(1)).Locations {
		if l.Status != glance.Active {
			t.Errorf("location of an image that is back is %s; want active", l.Status)
		}
	}
	change(t, c, id(1), func(im *glance.Image) { all(im, glance.PendingDelete) })
	deleted = get(t, c, id(1))
	if n := len(deleted.Locations); n != len(back.Locations) {
		t.Errorf("an image that was back and is deleted has %d locations; want %d", n, len(back.Locations))
	}
	is(t, "removing", c.Update(t.Context(), deleted, clone(removing)), nil)
	is(t, "restoring what is removed", c.Update(t.Context(), deleted, clone(back)), glance.ErrConflict)
	for _, l := range get(t, c, id(1)).Locations {
		if l.Status != glance.Removing {
			t.Errorf("location of an image whose data is removed is %s; want removing", l.Status)
		}
	}
}

// all gives an image and its locations a status.
func all(im *glance.Image, to glance.Status) {
	im.Status = to
	for i := range im.Locations {
		im.Locations[i].Status = to
	}
}
