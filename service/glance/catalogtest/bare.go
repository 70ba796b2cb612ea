package catalogtest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

// getBare: of a catalog that can leave the locations out, an image without them
// is the image in all else, however much belongs to it and whoever asks for
// others at the same time.
func getBare(t *testing.T, c glance.Catalog) {
	b, ok := c.(glance.BareCatalog)
	if !ok {
		return
	}
	var ids []glance.ID
	for n, has := range []struct{ properties, tags, locations int }{
		{0, 0, 0}, {1, 0, 1}, {0, 1, 1}, {2, 1, 2}, {3, 3, 1}, {10, 0, 1}, {0, 10, 1}, {12, 11, 1},
	} {
		im := bare(n + 1)
		im.Properties = make(map[string]string)
		for i := range has.properties {
			im.Properties[fmt.Sprintf("property-%d", i)] = fmt.Sprint(i % 2)
		}
		for i := range has.tags {
			im.Tags = append(im.Tags, fmt.Sprintf("tag-%02d", i))
		}
		for i := range has.locations {
			im.Locations = append(im.Locations, glance.Location{URL: fmt.Sprintf("file:///%d/%d", n, i), Status: glance.Active})
		}
		if err := c.Create(t.Context(), im); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, im.ID)
	}
	fewer(t, c, ids[6])
	fewer(t, c, ids[7])
	compare := func(id glance.ID) {
		got, err := b.GetBare(t.Context(), id)
		want, werr := c.Get(t.Context(), id, false)
		if err != nil || werr != nil {
			t.Errorf("GetBare: %v; Get: %v", err, werr)
			return
		}
		if got.Locations != nil {
			t.Errorf("image %s has the locations %v", id, got.Locations)
		}
		want.Locations = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("GetBare(%s) (-Get +GetBare):\n%s", id, diff)
		}
	}
	var all sync.WaitGroup
	for i := range 4 * len(ids) {
		all.Go(func() { compare(ids[i%len(ids)]) })
	}
	all.Wait()
	dead := get(t, c, ids[3])
	gone := dead.Clone()
	gone.Status = glance.Deleted
	if err := c.Update(t.Context(), dead, gone); err != nil {
		t.Fatal(err)
	}
	for _, id := range []glance.ID{ids[3], id(99), glance.ID(strings.ToUpper(string(id(99))))} {
		if im, err := b.GetBare(t.Context(), id); !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("GetBare of what is not there = %v, %v; want %v", im, err, glance.ErrNotFound)
		}
	}
}

// fewer takes a property and a tag from an image: the rows stay.
func fewer(t *testing.T, c glance.Catalog, id glance.ID) {
	t.Helper()
	before := get(t, c, id)
	after := before.Clone()
	delete(after.Properties, "property-0")
	after.Tags = after.Tags[1:]
	if err := c.Update(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
}
