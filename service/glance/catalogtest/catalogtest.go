// Package catalogtest is the suite that every [glance.Catalog] passes.
//
// The tests of a catalog call [Run] with a way to make an empty one. The suite
// knows the contract in package glance and nothing of SQL.
package catalogtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"glancectl/service/glance"
)

// Run tests the catalogs that open returns, an empty one each time.
func Run(t *testing.T, open func(t *testing.T) glance.Catalog) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, glance.Catalog)
	}{
		{"create and get", createAndGet},
		{"create twice", createTwice},
		{"get", getMissing},
		{"get without locations", getBare},
		{"text", text},
		{"wide characters", wideCharacters},
		{"ended context", endedContext},

		{"update every attribute", updateAttributes},
		{"update properties", updateProperties},
		{"update tags", updateTags},
		{"update locations", updateLocations},
		{"the last location stays", lastLocation},
		{"structured metadata", structuredMetadata},
		{"update refused", updateRefused},
		{"stale updates both survive", staleUpdates},
		{"concurrent updates all survive", concurrentUpdates},
		{"one of many status changes wins", oneWins},
		{"formats change in the status that is known", formatsChange},
		{"one of many imports gets the lock", oneLocks},
		{"the import lock is changed by who knows it", lockChanges},
		{"the import lock guards the locations", lockGuardsLocations},
		{"locations that are gone stay away", goneStayAway},

		{"delete", remove},
		{"pending delete", pendingDelete},
		{"restore", restore},

		{"members", members},
		{"memberships", memberships},
		{"members come and go", memberComesAndGoes},
		{"members added at once", membersAtOnce},

		{"usage", usage},

		{"list sees", listSees},
		{"list filters", listFilters},
		{"list refuses", listRefuses},
		{"list deleted", listDeleted},
		{"list belongings", listBelongings},
		{"list limits and markers", listLimits},
		{"list pages", listPages},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// day is when the tests' images are made.
var day = time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC)

func id(n int) glance.ID { return glance.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)) }

func p[T any](v T) *T { return &v }

// bare is image n with what no image can be without.
func bare(n int) *glance.Image {
	return &glance.Image{
		ID:         id(n),
		Status:     glance.Queued,
		Visibility: glance.Shared,
		CreatedAt:  day,
		UpdatedAt:  day,
	}
}

// full is image n with everything.
func full(n int) *glance.Image {
	im := bare(n)
	im.Name = p("Jammy Jellyfish")
	im.DiskFormat = p("qcow2")
	im.ContainerFormat = p("bare")
	im.Size = p(int64(1) << 40)
	im.VirtualSize = p(int64(0))
	im.Status = glance.Active
	im.Visibility = glance.Public
	im.Checksum = p("0cc175b9c0f1b6a831c399e269772661")
	im.HashAlgo = p("sha512")
	im.HashValue = p("1f40fc92")
	im.MinDisk = 20
	im.MinRAM = 2048
	im.Owner = p("b0b")
	im.Protected = true
	im.Hidden = true
	im.Properties = map[string]string{"os_distro": "ubuntu", "empty": ""}
	im.Tags = []string{"lts", "x86"}
	im.Locations = []glance.Location{
		{URL: "file:///images/1", Metadata: map[string]string{"store": "one"}, Status: glance.Active},
		{URL: "swift+config://ref1/images/1", Status: glance.Active},
	}
	return im
}

// clone returns a copy of im that shares nothing with it.
func clone(im *glance.Image) *glance.Image {
	c := *im
	c.Properties = map[string]string{}
	for k, v := range im.Properties {
		c.Properties[k] = v
	}
	c.Tags = append([]string(nil), im.Tags...)
	c.Locations = append([]glance.Location(nil), im.Locations...)
	return &c
}

func create(t *testing.T, c glance.Catalog, images ...*glance.Image) {
	t.Helper()
	for _, im := range images {
		if err := c.Create(t.Context(), im); err != nil {
			t.Fatalf("Create(%s): %v", im.ID, err)
		}
	}
}

func get(t *testing.T, c glance.Catalog, id glance.ID) *glance.Image {
	t.Helper()
	im, err := c.Get(t.Context(), id, true)
	if err != nil {
		t.Fatalf("Get(%s): %v", id, err)
	}
	return im
}

// change updates image n by a function.
func change(t *testing.T, c glance.Catalog, id glance.ID, f func(im *glance.Image)) (before, after *glance.Image) {
	t.Helper()
	before = get(t, c, id)
	after = clone(before)
	f(after)
	if err := c.Update(t.Context(), before, after); err != nil {
		t.Fatalf("Update(%s): %v", id, err)
	}
	return before, after
}

// equal compares images and their parts. Nothing is the same as none, and the
// number of a location is the catalog's affair.
var equal = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(glance.Location{}, "ID")}

// same checks an image, but for the times that the catalog sets.
func same(t *testing.T, what string, got, want *glance.Image) {
	t.Helper()
	if diff := cmp.Diff(want, got, equal, cmpopts.IgnoreFields(glance.Image{}, "UpdatedAt", "DeletedAt")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func is(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v; want %v", what, got, want)
	}
}
