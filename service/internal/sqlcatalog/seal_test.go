package sqlcatalog

import (
	"errors"
	"strings"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/internal/seal"
)

const sealKey = "012345678901234567890123456789ab"

// A catalog with a key keeps no URL in clear, reads those that are, and is
// read by nobody without it.
func TestSealedLocations(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		plain := synced(t, url)
		keyed, err := Open(url, Options{Key: sealKey})
		if err != nil {
			t.Fatal(err)
		}
		defer keyed.Close()
		im := &glance.Image{ID: shared, Status: glance.Active, Visibility: glance.Shared, Locations: []glance.Location{{URL: "file:///a", Status: glance.Active}}}
		if err := plain.Create(t.Context(), im); err != nil {
			t.Fatal(err)
		}
		before, err := keyed.Get(t.Context(), shared, false)
		if err != nil || before.Locations[0].URL != "file:///a" {
			t.Fatalf("image from before there was a key is %+v, %v", before, err)
		}
		both := before.Clone()
		both.Locations = append(both.Locations, glance.Location{URL: "file:///b", Metadata: map[string]string{"store": "s"}, Status: glance.Active})
		if err := keyed.Update(t.Context(), before, both); err != nil {
			t.Fatal(err)
		}
		rows := strings.Join(cells(t, plain, `SELECT value FROM image_locations ORDER BY id`), " ")
		if !strings.HasPrefix(rows, "file:///a ") || strings.Contains(rows, "/b") {
			t.Errorf("locations are kept as %q; want the second sealed", rows)
		}
		before, err = keyed.Get(t.Context(), shared, false)
		if err != nil || len(before.Locations) != 2 || before.Locations[1].URL != "file:///b" {
			t.Fatalf("image is %+v, %v", before, err)
		}
		less := before.Clone()
		less.Locations = less.Locations[1:]
		if err := keyed.Update(t.Context(), before, less); err != nil {
			t.Fatal(err)
		}
		if list, err := keyed.List(t.Context(), glance.Query{Admin: true, Limit: -1}); err != nil || len(list[0].Locations) != 1 || list[0].Locations[0].URL != "file:///b" {
			t.Errorf("after one location is gone there are %+v, %v", list, err)
		}
		wrong, err := Open(url, Options{Key: "0123456789abcdef"})
		if err != nil {
			t.Fatal(err)
		}
		defer wrong.Close()
		if _, err := wrong.Get(t.Context(), shared, false); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("Get with another key: %v; want %v", err, seal.ErrSealed)
		}
	})
	if _, err := Open(sqliteURL(t), Options{Key: "short"}); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("Open with a bad key: %v; want an error without it", err)
	}
}
