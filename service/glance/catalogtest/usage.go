package catalogtest

import (
	"testing"

	"glancectl/service/glance"
)

// Usage is what a catalog knows of a project, if it knows that at all.
func usage(t *testing.T, c glance.Catalog) {
	counter, ok := c.(glance.UsageCatalog)
	if !ok {
		t.Fatal("the catalog has no Usage")
	}
	image := func(n int, status glance.Status, size int64, owner string, copies ...glance.Status) *glance.Image {
		im := bare(n)
		im.Status = status
		if size >= 0 {
			im.Size = &size
		}
		if owner != "" {
			im.Owner = &owner
		}
		for _, s := range copies {
			im.Locations = append(im.Locations, glance.Location{URL: "file:///" + string(im.ID), Status: s})
		}
		return im
	}
	copying := image(9, glance.Active, 1<<50, "b0b", glance.Active)
	copying.Properties = map[string]string{"os_glance_importing_to_stores": "slow,fast"}
	copied := image(10, glance.Active, 0, "b0b", glance.Active)
	copied.Properties = map[string]string{"os_glance_importing_to_stores": ""}
	create(t, c,
		image(1, glance.Active, 1<<40, "b0b", glance.Active, glance.Active),
		image(2, glance.Deactivated, 10, "b0b", glance.Active, glance.Deleted),
		image(3, glance.Saving, -1, "b0b"),
		image(4, glance.Uploading, 100, "b0b"),
		image(5, glance.Importing, -1, "b0b"),
		image(6, glance.Queued, -1, "b0b"),
		image(7, glance.Killed, 1<<41, "b0b", glance.Active),
		image(8, glance.Active, 1<<42, "alice", glance.Active),
		copying, copied,
		image(11, glance.Active, 7, "", glance.Active),
		image(12, glance.Active, 1000, "b0b", glance.Active),
		image(13, glance.Active, 20, "b0b", glance.Active),
	)
	change(t, c, id(12), func(im *glance.Image) { im.Status = glance.PendingDelete })
	change(t, c, id(13), func(im *glance.Image) { im.Status = glance.Deleted })
	for _, test := range []struct {
		project string
		but     glance.ID
		want    glance.Usage
	}{
		{"b0b", "", glance.Usage{Stored: 2<<40 + 10 + 1<<50 + 1000, Staged: 100 + 1<<50, Images: 9, Uploading: 4}},
		{"b0b", id(1), glance.Usage{Stored: 10 + 1<<50 + 1000, Staged: 100 + 1<<50, Images: 8, Uploading: 4}},
		{"alice", "", glance.Usage{Stored: 1 << 42, Images: 1}},
		{"", "", glance.Usage{Stored: 7, Images: 1}},
		{"nobody", "", glance.Usage{}},
	} {
		got, err := counter.Usage(t.Context(), test.project, test.but)
		if err != nil || got != test.want {
			t.Errorf("Usage(%q, %q) = %+v, %v; want %+v", test.project, test.but, got, err, test.want)
		}
	}
}
