package glance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Backend is a store with the place that it has in a configuration.
type Backend struct {
	Store
	// ID is the name that the configuration has for the store, and the
	// locations of what is in it. Stores of a configuration from before
	// stores had names have none; then there is one of each scheme.
	ID string

	Kind        string // what the store is: file, swift, http
	Description string
	Weight      int      // data that is in several stores is read from the heaviest
	ReadOnly    bool     // the store takes no data
	Details     []Detail // of its settings, in order; for admins
}

// A Detail is a setting of a store that is shown. Value is a string, an int64
// or a bool.
type Detail struct {
	Name  string
	Value any
}

// An Owner is a Store that knows its own URLs from those of other stores of
// its scheme. A store that is none counts as the owner of all of its scheme.
type Owner interface {
	Owns(url string) bool
}

// StoreKey is the key under which the metadata of a location names its store.
const StoreKey = "store"

// ReservedStores begins the IDs of stores that are no image's place.
const ReservedStores = "os_glance_"

// backends are the stores of Images.
type backends struct {
	all    []Backend // as configured
	chosen int       // takes what is for no store in particular
	named  bool
}

// newBackends checks the stores; first is the ID or, of stores without one,
// the scheme of the one that takes uploads, and empty for the first.
func newBackends(all []Backend, first string) (*backends, error) {
	if len(all) == 0 {
		return nil, errors.New("no store to keep image data in")
	}
	b := &backends{all: slices.Clone(all), named: all[0].ID != ""}
	for i, s := range b.all {
		switch {
		case s.ID != "" != b.named:
			return nil, errors.New("some stores have names and some have none")
		case strings.HasPrefix(s.ID, ReservedStores) || strings.ContainsAny(s.ID, ", "):
			return nil, fmt.Errorf("store %q: not a name that a store may have", s.ID)
		case slices.ContainsFunc(b.all[:i], func(o Backend) bool { return b.named && o.ID == s.ID }):
			return nil, fmt.Errorf("store %q: there are two of that name", s.ID)
		}
	}
	if first == "" {
		return b, nil
	}
	b.chosen = slices.IndexFunc(b.all, func(s Backend) bool {
		return s.ID == first || !b.named && s.Scheme() == first
	})
	if b.chosen < 0 {
		return nil, fmt.Errorf("default store %q: no such store", first)
	}
	return b, nil
}

// byDefault returns the store that takes what is for none in particular.
func (b *backends) byDefault() *Backend { return &b.all[b.chosen] }

// byID returns the store of that name.
func (b *backends) byID(id string) (*Backend, bool) {
	for i := range b.all {
		if b.named && b.all[i].ID == id {
			return &b.all[i], true
		}
	}
	return nil, false
}

// wanted returns the store that a caller chose; where stores have no names
// there is nothing to choose.
func (b *backends) wanted(id string) (*Backend, bool) {
	if id == "" || !b.named {
		return b.byDefault(), true
	}
	return b.byID(id)
}

// of returns the store that a location is in: the one that it names, unless
// stores have been renamed or had no names when it was written; else the one
// that knows the URL for its own, or that has its scheme, the default one
// before others.
func (b *backends) of(l Location) (*Backend, bool) {
	if s, ok := b.byID(l.Metadata[StoreKey]); ok {
		return s, true
	}
	for i := range b.all {
		if o, ok := b.all[i].Store.(Owner); ok && o.Owns(l.URL) {
			return &b.all[i], true
		}
	}
	want := scheme(l.URL)
	if s := b.byDefault(); s.Scheme() == want {
		return s, true
	}
	for i := range b.all {
		if b.all[i].Scheme() == want {
			return &b.all[i], true
		}
	}
	return nil, false
}

// have says whether im has data in the store.
func (b *backends) have(im *Image, store *Backend) bool {
	return slices.ContainsFunc(im.Locations, func(l Location) bool {
		at, ok := b.of(l)
		return ok && at == store
	})
}

// at returns a new location in store s.
func (s *Backend) at(url string) Location {
	l := Location{URL: url, Metadata: map[string]string{}, Status: Active}
	if s.ID != "" {
		l.Metadata[StoreKey] = s.ID
	}
	return l
}

// NamedStores returns the stores, if they have names, and which of them is the
// default one; otherwise nil.
func (s *Images) NamedStores() (all []Backend, byDefault int) {
	if !s.stores.named {
		return nil, 0
	}
	return slices.Clone(s.stores.all), s.stores.chosen
}

// StoreIDs returns the names of the stores that have data of im, in the order
// in which they got it; none where stores have no names, and none of a
// deactivated image for whoever may not read it.
func (s *Images) StoreIDs(ctx context.Context, im *Image) []string {
	if !s.stores.named || im.Status == Deactivated && !CallerFrom(ctx).Admin {
		return nil
	}
	var ids []string
	for _, l := range im.Locations {
		if store, ok := s.stores.of(l); ok && l.Status == Active {
			ids = append(ids, store.ID)
		}
	}
	return ids
}

// Sources returns the locations of im that have data, in the order in which
// they are tried: by the weight of their stores. Each names its store, if
// stores have names and that one is known.
func (s *Images) Sources(im *Image) []Location {
	found := s.known(im)
	weight := func(l Location) int {
		if store, ok := s.stores.of(l); ok {
			return store.Weight
		}
		return 0
	}
	slices.SortStableFunc(found, func(a, b Location) int { return weight(b) - weight(a) })
	return found
}

// known returns the locations of im that have data, each with its store as
// Sources has it, in the order in which they were added.
func (s *Images) known(im *Image) []Location {
	found := make([]Location, 0, len(im.Locations))
	for _, l := range im.Locations {
		if l.Status != Active {
			continue
		}
		if store, ok := s.stores.of(l); ok && s.stores.named && store.ID != l.Metadata[StoreKey] {
			named := maps.Clone(l.Metadata)
			if named == nil {
				named = make(map[string]string)
			}
			named[StoreKey] = store.ID
			l.Metadata = named
		}
		found = append(found, l)
	}
	return found
}
