package glance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// An Op is what a Change does.
type Op int

// The operations of a Change.
const (
	Add     Op = iota // sets an attribute or property, new or not
	Replace           // sets one that must be there
	Remove            // takes a property away
)

// A Change is one step of an update. Attribute is a base attribute by its
// name on the wire or else a custom property. Value is a string, a bool, an
// int64, a []string or nil.
type Change struct {
	Op        Op
	Attribute string
	Value     any
	// Strict makes Add fail with ErrConflict if there is such an attribute.
	Strict bool
	// Position is where in the locations one is added or removed: a number, or -
	// for the end. Their values are []NewLocation.
	Position string
}

// attempts is how often a change is tried again when the image's status moved
// under it.
const attempts = 4

// Update makes the changes, all or none, and returns the image as it is
// then. Changes that somebody else makes to other attributes at the same time
// survive. ErrNotFound, ErrForbidden, ErrInvalid; ErrConflict if a property
// that must be there is not; ErrTooLarge over a quota.
func (s *Images) Update(ctx context.Context, id ID, changes []Change) (*Image, error) {
	var gone []Location
	var lock string
	after, err := s.modify(ctx, id, func(_ Caller, im *Image) error {
		had := slices.Clone(im.Locations)
		for _, ch := range changes {
			if err := s.apply(ctx, im, ch); err != nil {
				return err
			}
		}
		if gone, lock = without(had, im.Locations), ""; len(gone) > 0 {
			lock = s.claimRemoval(im)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	after = s.discard(ctx, after, gone, lock)
	if len(changes) > 0 {
		s.notify(ctx, Event{Type: "image.update", Image: after})
	}
	return s.shown(CallerFrom(ctx), after), nil
}

// modify reads the image, lets f change it and saves the result, again from
// the start if the status changed in between.
func (s *Images) modify(ctx context.Context, id ID, f func(Caller, *Image) error) (*Image, error) {
	c := CallerFrom(ctx)
	for left := attempts; ; left-- {
		before, err := s.find(ctx, id)
		if err != nil {
			return nil, err
		}
		after := before.Clone()
		if err := f(c, after); err != nil {
			return nil, err
		}
		if same(before, after) {
			return after, nil
		}
		if err := s.check(after, before); err != nil {
			return nil, err
		}
		err = s.catalog.Update(ctx, before, after)
		switch {
		case err == nil:
			return after, nil
		case errors.Is(err, ErrNotFound):
			return nil, noImage(id)
		case !errors.Is(err, ErrConflict) || left == 0:
			return nil, fmt.Errorf("update image %s: %w", id, err)
		}
	}
}

// apply makes one change to im.
func (s *Images) apply(ctx context.Context, im *Image, ch Change) error {
	if ch.Attribute == "locations" {
		return s.applyLocations(ctx, im, ch)
	}
	c := CallerFrom(ctx)
	if reserved(ch.Attribute) {
		return refuse(ErrForbidden, "Attribute '%s' is reserved.", ch.Attribute)
	}
	if ch.Attribute == "owner" && !c.Admin && (ch.Op == Replace || ch.Op == Add && !sameOwner(im, ch.Value)) {
		return remark(ErrForbidden, "Owner can't be updated by non admin.")
	}
	if ch.Attribute == "visibility" && ch.Op != Remove {
		to := im.Clone()
		if setVisibility(to, ch.Value) {
			if err := s.allowVisibility(c, to); err != nil {
				return err
			}
		}
	}
	if err := s.allow(c, ModifyImage, Target{Image: im}); err != nil {
		return err
	}
	if a, ok := attributes[ch.Attribute]; ok {
		return s.applyBase(c, im, ch, a)
	}
	if err := s.allowProperty(c, im, ch); err != nil {
		return err
	}
	return applyProperty(im, ch)
}

func (s *Images) applyBase(c Caller, im *Image, ch Change, a attribute) error {
	switch {
	case ch.Op == Remove:
		return remark(ErrForbidden, "Property %s may not be removed.", ch.Attribute)
	case ch.Op == Add && ch.Strict:
		return present(ch.Attribute)
	case a.set == nil:
		return refuse(ErrForbidden, "Attribute '%s' is read-only.", ch.Attribute)
	}
	if a.format && im.Status != Queued {
		return refuse(ErrForbidden, "Attribute %s can be only replaced for a queued image.", ch.Attribute)
	}
	if !a.set(im, ch.Value) {
		return refuse(ErrInvalid, "Invalid value for attribute '%s'.", ch.Attribute)
	}
	return nil
}

// FormatsDiffer says whether a and b are declared to be different things.
func FormatsDiffer(a, b *Image) bool {
	return !equal(a.DiskFormat, b.DiskFormat) || !equal(a.ContainerFormat, b.ContainerFormat)
}

// applyProperty makes a change that allowProperty lets through.
func applyProperty(im *Image, ch Change) error {
	if ch.Op == Remove {
		delete(im.Properties, ch.Attribute)
		return nil
	}
	value, ok := ch.Value.(string)
	if !ok {
		return refuse(ErrInvalid, "Invalid value for property '%s'.", ch.Attribute)
	}
	if im.Properties == nil {
		im.Properties = make(map[string]string)
	}
	im.Properties[ch.Attribute] = value
	return nil
}

func absent(name string) error {
	return remark(ErrConflict, "Property %s does not exist.", name)
}

func present(name string) error {
	return remark(ErrConflict, "Property %s already present.", name)
}

// An attribute is a base attribute: everything that is not a property.
type attribute struct {
	set    func(im *Image, value any) bool // nil: read-only; false: wrong type
	format bool                            // fixed once the image has data
}

var attributes = map[string]attribute{
	"name":             {set: func(im *Image, v any) bool { return setText(&im.Name, v) }},
	"disk_format":      {set: func(im *Image, v any) bool { return setText(&im.DiskFormat, v) }, format: true},
	"container_format": {set: func(im *Image, v any) bool { return setText(&im.ContainerFormat, v) }, format: true},
	"owner":            {set: func(im *Image, v any) bool { return setText(&im.Owner, v) }},
	"min_disk":         {set: func(im *Image, v any) bool { return setTo(&im.MinDisk, v) }},
	"min_ram":          {set: func(im *Image, v any) bool { return setTo(&im.MinRAM, v) }},
	"protected":        {set: func(im *Image, v any) bool { return setTo(&im.Protected, v) }},
	"os_hidden":        {set: func(im *Image, v any) bool { return setTo(&im.Hidden, v) }},
	"visibility":       {set: setVisibility},
	"tags":             {set: setTags},
	"id":               {}, "status": {}, "size": {}, "virtual_size": {}, "checksum": {},
	"os_hash_algo": {}, "os_hash_value": {}, "created_at": {}, "updated_at": {},
	"direct_url": {}, "self": {}, "file": {}, "schema": {},
}

func setTo[T any](to *T, value any) bool {
	v, ok := value.(T)
	if ok {
		*to = v
	}
	return ok
}

func setText(to **string, value any) bool {
	if value == nil {
		*to = nil
		return true
	}
	v, ok := value.(string)
	if ok {
		*to = &v
	}
	return ok
}

func setVisibility(im *Image, value any) bool {
	v, _ := value.(string)
	switch Visibility(v) {
	case Public, Private, Shared, Community:
		im.Visibility = Visibility(v)
		return true
	}
	return false
}

func setTags(im *Image, value any) bool {
	tags, ok := value.([]string)
	im.Tags = set(tags)
	return ok
}

func sameOwner(im *Image, value any) bool {
	var owner *string
	return setText(&owner, value) && equal(owner, im.Owner)
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// same says whether nothing that a change could have changed differs.
func same(a, b *Image) bool {
	return a.Status == b.Status && a.Visibility == b.Visibility &&
		equal(a.Name, b.Name) && equal(a.DiskFormat, b.DiskFormat) &&
		equal(a.ContainerFormat, b.ContainerFormat) && equal(a.Owner, b.Owner) &&
		a.MinDisk == b.MinDisk && a.MinRAM == b.MinRAM &&
		a.Protected == b.Protected && a.Hidden == b.Hidden &&
		equal(a.Size, b.Size) && equal(a.Checksum, b.Checksum) &&
		maps.Equal(a.Properties, b.Properties) && slices.Equal(a.Tags, b.Tags) &&
		slices.EqualFunc(a.Locations, b.Locations, func(a, b Location) bool {
			return a.URL == b.URL && a.Status == b.Status && maps.Equal(a.Metadata, b.Metadata)
		})
}
