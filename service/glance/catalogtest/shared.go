package catalogtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"glancectl/service/glance"
)

// RunShared tests catalogs that several servers have open at once. For each
// test open returns a function that opens another catalog on the same data, of
// a server of that name.
func RunShared(t *testing.T, open func(t *testing.T) func(owner string) glance.Catalog) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, []glance.Catalog)
	}{
		{"one server wins every change of status", oneServerWins},
		{"what several servers patch survives", allPatchesSurvive},
		{"what is protected meanwhile is not deleted", protectedSurvives},
		{"a location that was added meanwhile is not forgotten", noLocationForgotten},
		{"no member joins what is deleted", noLateMembers},
		{"claims", claims},
		{"claims made at once", claimsAtOnce},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := open(t)
			test.run(t, []glance.Catalog{server("a"), server("b")})
		})
	}
}

// race calls do n times for each catalog at once and returns how often it
// succeeded. It must fail with ErrConflict or ErrNotFound.
func race(t *testing.T, servers []glance.Catalog, n int, do func(c glance.Catalog, i int) error) (won int) {
	t.Helper()
	errs := make([]error, n*len(servers))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = do(servers[i%len(servers)], i) })
	}
	wg.Wait()
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, glance.ErrConflict) && !errors.Is(err, glance.ErrNotFound):
			t.Errorf("one of many fails with %v", err)
		}
	}
	return won
}

// oneServerWins has all servers make each change of status that there is at
// once, half of them to one status and half to another.
func oneServerWins(t *testing.T, servers []glance.Catalog) {
	for n, test := range []struct {
		from     glance.Status
		to, also glance.Status
	}{
		{glance.Queued, glance.Saving, glance.Uploading},
		{glance.Queued, glance.Importing, glance.Deleted},
		{glance.Queued, glance.Active, glance.Saving},
		{glance.Saving, glance.Active, glance.Deleted},
		{glance.Saving, glance.Queued, glance.Active},
		{glance.Uploading, glance.Importing, glance.Deleted},
		{glance.Importing, glance.Active, glance.Queued},
		{glance.Active, glance.Deactivated, glance.PendingDelete},
		{glance.Deactivated, glance.Active, glance.PendingDelete},
		{glance.PendingDelete, glance.Active, glance.Deleted},
	} {
		im := bare(n)
		create(t, servers[0], im)
		if im.Status != test.from {
			change(t, servers[0], im.ID, func(im *glance.Image) { im.Status = test.from })
		}
		before := get(t, servers[0], im.ID)
		won := race(t, servers, 4, func(c glance.Catalog, i int) error {
			after := clone(before)
			after.Status = test.to
			if i%4 > 1 {
				after.Status = test.also
			}
			return c.Update(t.Context(), before, after)
		})
		if won != 1 {
			t.Errorf("%d of 8 changes from %s to %s or %s succeed; want 1", won, test.from, test.to, test.also)
		}
	}
}

func allPatchesSurvive(t *testing.T, servers []glance.Catalog) {
	create(t, servers[0], full(1))
	const n = 8
	won := race(t, servers, n, func(c glance.Catalog, i int) error {
		before, err := c.Get(t.Context(), id(1), false)
		if err != nil {
			return err
		}
		after := clone(before)
		after.Properties[fmt.Sprint("p", i)] = fmt.Sprint(i)
		after.Tags = append(after.Tags, fmt.Sprint("t", i))
		switch i {
		case 0:
			after.Name = p("renamed")
		case 1:
			after.Hidden = !before.Hidden
		case 2:
			delete(after.Properties, "os_distro")
		case 3:
			after.Visibility = glance.Community
		}
		if err := c.AddMember(t.Context(), &glance.Member{ImageID: id(1), ProjectID: fmt.Sprint("m", i)}); err != nil {
			return err
		}
		return c.Update(t.Context(), before, after)
	})
	got := get(t, servers[1], id(1))
	members, err := servers[0].Members(t.Context(), id(1))
	if won != n*len(servers) || len(members) != won || err != nil {
		t.Errorf("%d patches succeed, and there are %d members, %v; want %d", won, len(members), err, n*len(servers))
	}
	_, stays := got.Properties["os_distro"]
	if *got.Name != "renamed" || got.Hidden == full(1).Hidden || stays || got.Visibility != glance.Community {
		t.Errorf("image is %+v; want all patches in it", got)
	}
	for i := range n * len(servers) {
		if got.Properties[fmt.Sprint("p", i)] != fmt.Sprint(i) || !slices.Contains(got.Tags, fmt.Sprint("t", i)) {
			t.Errorf("patch %d is lost", i)
		}
	}
}

// protectedSurvives has one server protect an image that the other is about to
// delete.
func protectedSurvives(t *testing.T, servers []glance.Catalog) {
	im := bare(1)
	create(t, servers[0], im)
	seen := get(t, servers[0], im.ID)
	change(t, servers[1], im.ID, func(im *glance.Image) { im.Protected = true })
	for _, status := range []glance.Status{glance.Deleted, glance.PendingDelete} {
		gone := clone(seen)
		gone.Status = status
		is(t, "delete of what is protected meanwhile", servers[0].Update(t.Context(), seen, gone), glance.ErrConflict)
	}
	if got := get(t, servers[0], im.ID); got.Status != glance.Queued || !got.Protected {
		t.Errorf("image is %+v; want it there, and protected", got)
	}
}

// noLocationForgotten has one server copy an image that the other is about to
// delete.
func noLocationForgotten(t *testing.T, servers []glance.Catalog) {
	im := full(1)
	im.Protected = false
	create(t, servers[0], im)
	seen := get(t, servers[0], im.ID)
	change(t, servers[1], im.ID, func(im *glance.Image) {
		im.Locations = append(im.Locations, glance.Location{URL: "file:///copy", Status: glance.Active})
	})
	for _, status := range []glance.Status{glance.Deleted, glance.PendingDelete} {
		gone := clone(seen)
		gone.Status = status
		is(t, "delete of what has another location meanwhile", servers[0].Update(t.Context(), seen, gone), glance.ErrConflict)
	}
	if got := get(t, servers[0], im.ID); got.Status != glance.Active || len(got.Locations) != 3 {
		t.Errorf("image is %+v; want it there, with all its locations", got)
	}
	change(t, servers[1], im.ID, func(im *glance.Image) { im.Status = glance.PendingDelete })
	for _, l := range get(t, servers[0], im.ID).Locations {
		if l.Status != glance.PendingDelete {
			t.Errorf("location %s of a deleted image is %s", l.URL, l.Status)
		}
	}
}

// noLateMembers has members join while the image goes.
func noLateMembers(t *testing.T, servers []glance.Catalog) {
	create(t, servers[0], bare(1))
	before := get(t, servers[0], id(1))
	race(t, servers, 8, func(c glance.Catalog, i int) error {
		if i == 5 {
			gone := clone(before)
			gone.Status = glance.Deleted
			return c.Update(t.Context(), before, gone)
		}
		return c.AddMember(t.Context(), &glance.Member{ImageID: id(1), ProjectID: fmt.Sprint(i)})
	})
	if members, err := servers[1].Members(t.Context(), id(1)); len(members) != 0 || err != nil {
		t.Errorf("the image that is gone has members %v, %v", members, err)
	}
}

// has requires that the claims of a catalog are those given, but for times.
func has(t *testing.T, what string, c glance.Catalog, want ...glance.Claim) {
	t.Helper()
	got, err := c.(glance.Claimer).Claims(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%s there are claims %+v; want %+v", what, got, want)
		return
	}
	for _, c := range got {
		if c.RenewedAt.IsZero() {
			t.Errorf("%s claim %+v has no time", what, c)
		}
		c.RenewedAt = want[0].RenewedAt
		if !slices.Contains(want, c) {
			t.Errorf("%s there is a claim %+v; want %+v", what, c, want)
		}
	}
}

func claims(t *testing.T, servers []glance.Catalog) {
	a, b := servers[0], servers[1]
	create(t, a, bare(1), bare(2))
	to := func(c glance.Catalog, n int, f func(im *glance.Image)) {
		t.Helper()
		change(t, c, id(n), f)
	}
	status := func(s glance.Status) func(im *glance.Image) { return func(im *glance.Image) { im.Status = s } }
	release := func(c glance.Catalog, owner string) {
		t.Helper()
		if err := c.(glance.Claimer).Release(t.Context(), glance.Claim{ImageID: id(1), Owner: owner}); err != nil {
			t.Error(err)
		}
	}
	of := func(owner, task string) glance.Claim { return glance.Claim{ImageID: id(1), Owner: owner, TaskID: task} }

	has(t, "at first", a)
	to(a, 1, status(glance.Saving))
	has(t, "in an upload", b, of("a", ""))
	to(b, 1, func(im *glance.Image) { im.Name = p("x") })
	release(b, "")
	has(t, "after others have patched the image", b, of("a", ""))
	to(a, 1, status(glance.Active))
	has(t, "after an upload", b)

	to(b, 2, status(glance.Uploading))
	to(b, 2, func(im *glance.Image) { im.Size = p(int64(3)) })
	has(t, "after data was staged", b)

	to(b, 1, func(im *glance.Image) { im.Properties[glance.ImportLock] = "t1" })
	has(t, "in an import", a, of("b", "t1"))
	to(a, 1, func(im *glance.Image) { im.Properties[glance.ImportLock] = "t2" })
	has(t, "after the import was taken over", b, of("a", "t2"))
	release(b, "")
	has(t, "after others have let it go", b, of("a", "t2"))
	to(a, 1, func(im *glance.Image) { delete(im.Properties, glance.ImportLock) })
	has(t, "after an import", b)
	release(a, "")

	to(b, 2, status(glance.Queued))
	to(b, 2, status(glance.Saving))
	to(a, 2, status(glance.Deleted))
	want := of("b", "")
	want.ImageID = id(2)
	has(t, "after the image was deleted in an upload", a, want)
	if err := a.(glance.Claimer).Release(t.Context(), want); err != nil {
		t.Error(err)
	}
	has(t, "after that was released", a)
}

// claimsAtOnce has many uploads begin and end at once, which must not be in
// each other's way.
func claimsAtOnce(t *testing.T, servers []glance.Catalog) {
	const n = 10
	for i := range n * len(servers) {
		create(t, servers[0], bare(i))
	}
	won := race(t, servers, n, func(c glance.Catalog, i int) error {
		before, err := c.Get(t.Context(), id(i), false)
		for _, to := range []glance.Status{glance.Saving, glance.Queued, glance.Saving, glance.Active} {
			if err != nil {
				return err
			}
			after := clone(before)
			after.Status = to
			err = c.Update(t.Context(), before, after)
			before = after
		}
		return err
	})
	if won != n*len(servers) {
		t.Errorf("%d uploads succeed; want %d", won, n*len(servers))
	}
	has(t, "after all uploads", servers[0])
}
