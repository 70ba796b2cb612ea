package catalogtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"glancectl/service/glance"
)

// locked returns a copy of im that holds the import lock, if task is not
// empty, and none otherwise.
func locked(im *glance.Image, task string) *glance.Image {
	im = clone(im)
	delete(im.Properties, glance.ImportLock)
	if task != "" {
		im.Properties[glance.ImportLock] = task
	}
	return im
}

// oneLocks has many imports at once, first of an image that was never locked
// and then of one that was.
func oneLocks(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	for round := range 2 {
		before := get(t, c, id(1))
		const n = 8
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { errs[i] = c.Update(t.Context(), before, locked(before, fmt.Sprint("task", i))) })
		}
		wg.Wait()
		winner := ""
		for i, err := range errs {
			switch {
			case err == nil && winner != "":
				t.Errorf("round %d: %s got the lock, and so did task%d", round, winner, i)
			case err == nil:
				winner = fmt.Sprint("task", i)
			case !errors.Is(err, glance.ErrConflict):
				t.Errorf("round %d: Update: %v; want %v", round, err, glance.ErrConflict)
			}
		}
		after := get(t, c, id(1))
		if got := after.Properties[glance.ImportLock]; got != winner || winner == "" {
			t.Errorf("round %d: the lock is %q; want %q", round, got, winner)
		}
		if err := c.Update(t.Context(), after, locked(after, "")); err != nil {
			t.Fatal(err)
		}
	}
}

func lockChanges(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	free := get(t, c, id(1))
	change(t, c, id(1), func(im *glance.Image) { im.Properties[glance.ImportLock] = "a" })
	a := get(t, c, id(1))
	ctx := t.Context()
	for what, err := range map[string]error{
		"to take it, as if it were free": c.Update(ctx, free, locked(free, "b")),
		"to take it from another":        c.Update(ctx, locked(free, "x"), locked(free, "b")),
		"to free what another holds":     c.Update(ctx, locked(free, "x"), free),
	} {
		is(t, what, err, glance.ErrConflict)
	}
	refused := locked(free, "b")
	refused.Name = p("written")
	is(t, "to take it and change the name", c.Update(ctx, free, refused), glance.ErrConflict)
	same(t, "image after refused updates", get(t, c, id(1)), a)

	// Who does not touch the lock does not have to know of it.
	renamed := clone(free)
	renamed.Name = p("renamed")
	if err := c.Update(ctx, free, renamed); err != nil {
		t.Errorf("Update of the name: %v", err)
	}
	if err := c.Update(ctx, a, locked(a, "b")); err != nil {
		t.Errorf("to take it from who is known to hold it: %v", err)
	}
	b := get(t, c, id(1))
	if b.Properties[glance.ImportLock] != "b" || *b.Name != "renamed" {
		t.Errorf("image is %+v; want it locked by b, and renamed", b)
	}
	is(t, "to free what another took", c.Update(ctx, a, locked(a, "")), glance.ErrConflict)
	if err := c.Update(ctx, b, locked(b, "")); err != nil {
		t.Errorf("to free it: %v", err)
	}
	if got, ok := get(t, c, id(1)).Properties[glance.ImportLock]; ok {
		t.Errorf("the lock that was freed is %q", got)
	}
}

// formatsChange has an image that begins to get data while somebody declares it
// to be something else.
func formatsChange(t *testing.T, c glance.Catalog) {
	create(t, c, bare(1))
	queued := get(t, c, id(1))
	for _, set := range []func(im *glance.Image){
		func(im *glance.Image) { im.DiskFormat = p("qcow2") },
		func(im *glance.Image) { im.ContainerFormat = p("bare") },
	} {
		after := clone(queued)
		set(after)
		if err := c.Update(t.Context(), queued, after); err != nil {
			t.Errorf("Update while nothing has changed: %v", err)
		}
	}
	change(t, c, id(1), func(im *glance.Image) { im.Status = glance.Saving })
	want := get(t, c, id(1))
	for _, set := range []func(im *glance.Image){
		func(im *glance.Image) { im.DiskFormat = p("raw") },
		func(im *glance.Image) { im.DiskFormat, im.Name = nil, p("new") },
		func(im *glance.Image) { im.ContainerFormat = p("ovf") },
	} {
		before := clone(want)
		before.Status = glance.Queued
		after := clone(before)
		set(after)
		is(t, "Update of a format after the status has changed", c.Update(t.Context(), before, after), glance.ErrConflict)
	}
	same(t, "image after refused updates", get(t, c, id(1)), want)
}

// lockGuardsLocations has an import add locations that has lost the image.
func lockGuardsLocations(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	change(t, c, id(1), func(im *glance.Image) { im.Properties[glance.ImportLock] = "a" })
	mine := get(t, c, id(1))
	more := clone(mine)
	more.Locations = append(more.Locations, glance.Location{URL: "file:///images/2", Status: glance.Active})
	if err := c.Update(t.Context(), mine, more); err != nil {
		t.Errorf("Update of the locations by who holds the lock: %v", err)
	}
	mine = get(t, c, id(1))
	lost := clone(mine)
	lost.Name = p("not to be seen")
	lost.Locations = append(lost.Locations, glance.Location{URL: "file:///images/3", Status: glance.Active})
	for _, lock := range []string{"b", ""} {
		change(t, c, id(1), func(im *glance.Image) { im.Properties = locked(im, lock).Properties })
		want := get(t, c, id(1))
		is(t, "Update of the locations by who has lost the lock", c.Update(t.Context(), mine, lost), glance.ErrConflict)
		same(t, "image after a refused update", get(t, c, id(1)), want)
	}
	// Others do not need the lock.
	free := get(t, c, id(1))
	change(t, c, id(1), func(im *glance.Image) { im.Properties[glance.ImportLock] = "c" })
	less := clone(free)
	less.Locations = less.Locations[1:]
	if err := c.Update(t.Context(), free, less); err != nil {
		t.Errorf("Update of the locations by who knows of no lock: %v", err)
	}
}

// goneStayAway has two updates take a location away each.
func goneStayAway(t *testing.T, c glance.Catalog) {
	im := full(1)
	im.Locations = nil
	for _, url := range []string{"a", "b", "c"} {
		im.Locations = append(im.Locations, glance.Location{URL: "http://" + url, Status: glance.Active})
	}
	create(t, c, im)
	before := get(t, c, id(1))
	for i := range 2 {
		after := clone(before)
		after.Locations = append(append([]glance.Location{}, before.Locations[:i]...), before.Locations[i+1:]...)
		if err := c.Update(t.Context(), before, after); err != nil {
			t.Fatal(err)
		}
	}
	if got := get(t, c, id(1)).Locations; len(got) != 1 || got[0].URL != "http://c" {
		t.Errorf("locations are %v; want c alone", got)
	}
}
