package glance_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"glancectl/service/glance"
)

// letters is a PropertyPolicy by which members may do with a property what the
// letters of its name say (c, r, u, d), and admins may do everything.
type letters struct{}

func (letters) Permits(c glance.Caller, a glance.PropertyAction, name string) bool {
	return c.Admin || strings.Contains(name, string(a[0]))
}

func names(im *glance.Image) string {
	return strings.Join(slices.Sorted(maps.Keys(im.Properties)), " ")
}

// secretive makes an image of project t1 with four protected properties.
func secretive(t *testing.T) (*house, *glance.Image) {
	t.Helper()
	h := newHouse(t, glance.Options{Properties: letters{}})
	return h, h.active(t, "data", func(d *glance.Draft) {
		d.Properties = map[string]string{"r": "1", "ru": "1", "rd": "1", "u": "1"}
	})
}

func TestPropertiesShown(t *testing.T) {
	h, im := secretive(t)
	for who, want := range map[string]string{"admin": "r rd ru u", "member t1": "r rd ru"} {
		got, err := h.Get(as(t, who), im.ID)
		if err != nil || names(got) != want {
			t.Errorf("Get by %s has %q, %v; want %q", who, names(got), err, want)
		}
		list, _, err := h.List(as(t, who), glance.Query{Limit: 5})
		if err != nil || len(list) != 1 || names(list[0]) != want {
			t.Errorf("List by %s = %v, %v; want one with %q", who, list, err, want)
		}
		d, err := h.Download(as(t, who), im.ID)
		if err != nil || names(d.Image) != want {
			t.Errorf("Download by %s has %q, %v; want %q", who, names(d.Image), err, want)
		}
		found, _, err := h.List(as(t, who), glance.Query{Limit: 5, Properties: map[string]string{"u": "1"}})
		if visible := strings.Contains(want, " u"); err != nil || visible != (len(found) == 1) {
			t.Errorf("List by %s with u=1 finds %d, %v; want an image only if u can be read", who, len(found), err)
		}
	}
	if got := names(h.get(t, im.ID)); got != "r rd ru u" {
		t.Errorf("the catalog has %q afterwards", got)
	}
}

func TestPropertiesOfNewImage(t *testing.T) {
	h := newHouse(t, glance.Options{Properties: letters{}})
	for _, test := range []struct {
		who, property string
		want          error
		shown         string
	}{
		{"member t1", "cr", nil, "cr"},
		{"member t1", "c", nil, ""},
		{"member t1", "r", glance.ErrForbidden, ""},
		{"admin t1", "r", nil, "r"},
		{"admin t1", "os_glance_x", glance.ErrForbidden, ""},
	} {
		im, err := h.Create(as(t, test.who), glance.Draft{Properties: map[string]string{test.property: "1"}})
		is(t, test.who+" creates "+test.property, err, test.want)
		if err == nil && (names(im) != test.shown || names(h.get(t, im.ID)) != test.property) {
			t.Errorf("%s creates %s and is shown %q; want %q", test.who, test.property, names(im), test.shown)
		}
	}
}

// Every operation on every kind of property, and what is left afterwards.
func TestPropertyChanges(t *testing.T) {
	for _, test := range []struct {
		who      string
		op       glance.Op
		property string
		want     error
		after    string // value in the catalog; empty: none
	}{
		{"member t1", glance.Add, "c", nil, "2"},
		{"member t1", glance.Add, "new", glance.ErrForbidden, ""},
		{"member t1", glance.Add, "ru", nil, "2"},
		{"member t1", glance.Add, "r", glance.ErrForbidden, "1"},
		{"member t1", glance.Replace, "ru", nil, "2"},
		{"member t1", glance.Replace, "r", glance.ErrForbidden, "1"},
		{"member t1", glance.Replace, "u", glance.ErrConflict, "1"}, // not there, as far as a member knows
		{"member t1", glance.Remove, "u", glance.ErrConflict, "1"},
		{"member t1", glance.Add, "u", glance.ErrForbidden, "1"},
		{"member t1", glance.Replace, "x", glance.ErrConflict, ""},
		{"member t1", glance.Remove, "x", glance.ErrConflict, ""},
		{"member t1", glance.Replace, "wr", glance.ErrConflict, ""},
		{"member t1", glance.Remove, "rd", nil, ""},
		{"member t1", glance.Remove, "ru", glance.ErrForbidden, "1"},
		{"admin", glance.Replace, "u", nil, "2"},
		{"admin", glance.Remove, "r", nil, ""},
		{"admin", glance.Add, "new", nil, "2"},
		{"reader t1", glance.Add, "c", glance.ErrForbidden, ""}, // may change no image at all
		{"member t2", glance.Add, "c", glance.ErrNotFound, ""},
	} {
		h, im := secretive(t)
		change := glance.Change{Op: test.op, Attribute: test.property}
		if test.op != glance.Remove {
			change.Value = "2"
		}
		after, err := h.Update(as(t, test.who), im.ID, []glance.Change{change})
		what := test.who + " changes " + test.property
		is(t, what, err, test.want)
		if got := h.get(t, im.ID).Properties[test.property]; got != test.after {
			t.Errorf("%s (%d) leaves %q; want %q", what, test.op, got, test.after)
		}
		if test.want == glance.ErrForbidden && strings.HasPrefix(test.who, "member") && err != nil && err.Error() != "Attribute '"+test.property+"' is reserved." {
			t.Errorf("%s: %q; want it reserved", what, err)
		}
		if err == nil && test.who != "admin" && strings.Contains(" "+names(after)+" ", " u ") {
			t.Errorf("%s is shown %q", what, names(after))
		}
	}
}

// What a caller cannot read survives everything it may do.
func TestHiddenPropertiesSurvive(t *testing.T) {
	h, im := secretive(t)
	for _, changes := range [][]glance.Change{
		nil,
		{{Op: glance.Replace, Attribute: "name", Value: "new"}},
		{{Op: glance.Add, Attribute: "c", Value: "2"}, {Op: glance.Remove, Attribute: "rd"}},
	} {
		after, err := h.Update(as(t, "member t1"), im.ID, changes)
		if err != nil || after.Properties["u"] != "" {
			t.Errorf("Update(%v) = %q, %v", changes, names(after), err)
		}
	}
	is(t, "AddTag", h.AddTag(as(t, "member t1"), im.ID, "x"), nil)
	is(t, "Deactivate", h.Deactivate(as(t, "member t1"), im.ID), nil)
	if got := names(h.get(t, im.ID)); got != "c r ru u" {
		t.Errorf("the catalog has %q; want the hidden one in it", got)
	}
}
