package glance_test

import (
	"context"
	"errors"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
)

// A catalog that leaves locations out, and counts how often.
type barely struct {
	*memory.Catalog
	times int
}

// GetBare implements glance.BareCatalog. Of deleted images it shows too much.
func (b *barely) GetBare(ctx context.Context, id glance.ID) (*glance.Image, error) {
	b.times++
	im, err := b.Get(ctx, id, true)
	if err == nil {
		im.Locations = nil
	}
	return im, err
}

// An image without its locations is read where nobody sees those, and is seen
// by whoever sees the image with them.
func TestGetBare(t *testing.T) {
	for _, test := range []struct {
		name    string
		store   string
		shown   bool
		without bool
	}{
		{"hidden", "", false, true},
		{"shown", "", true, false},
		{"named stores", "fast", false, false},
	} {
		catalog := &barely{Catalog: new(memory.Catalog)}
		images, err := glance.New(catalog, []glance.Backend{{ID: test.store, Store: new(memory.Store)}}, glance.Options{
			Locations: glance.LocationOptions{Shown: test.shown},
			Policy:    projects{"t1", "t2"},
		})
		if err != nil {
			t.Fatal(err)
		}
		im, err := images.Create(as(t, "member t1"), glance.Draft{})
		if err != nil {
			t.Fatal(err)
		}
		for who, want := range map[string]error{"member t1": nil, "member t2": glance.ErrNotFound, "admin t1": nil, "admin t3": glance.ErrNotFound} {
			if _, err := images.GetBare(as(t, who), im.ID); !errors.Is(err, want) {
				t.Errorf("%s: GetBare as %s: %v; want %v", test.name, who, err, want)
			}
		}
		if err := images.Delete(as(t, "member t1"), im.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := images.GetBare(as(t, "admin t1"), im.ID); !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("%s: GetBare of a deleted image: %v", test.name, err)
		}
		if (catalog.times > 0) != test.without {
			t.Errorf("%s: the image was read without its locations %d times; want some: %t", test.name, catalog.times, test.without)
		}
	}
}

// These projects alone may do anything.
type projects []string

// Allows implements glance.Policy.
func (o projects) Allows(c glance.Caller, _ glance.Rule, _ glance.Target) bool {
	for _, project := range o {
		if c.ProjectID == project {
			return true
		}
	}
	return false
}
