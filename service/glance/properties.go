package glance

import (
	"fmt"
	"maps"
	"slices"
)

// A PropertyAction is what a caller wants to do with a custom property.
type PropertyAction string

// The actions, as protection files spell them.
const (
	CreateProperty PropertyAction = "create"
	ReadProperty   PropertyAction = "read"
	UpdateProperty PropertyAction = "update"
	DeleteProperty PropertyAction = "delete"
)

// A PropertyPolicy decides who may do what with which custom property. Base
// attributes are not its business. It is safe for concurrent use.
type PropertyPolicy interface {
	Permits(c Caller, a PropertyAction, property string) bool
}

func (s *Images) permits(c Caller, a PropertyAction, property string) bool {
	return s.o.Properties == nil || s.o.Properties.Permits(c, a, property)
}

// shown returns im without the properties that the caller may not read. It
// leaves im as it is.
func (s *Images) shown(c Caller, im *Image) *Image {
	return s.shownAll(c, []*Image{im})[0]
}

// shownAll is shown for many: it asks about a property once.
func (s *Images) shownAll(c Caller, images []*Image) []*Image {
	if s.o.Properties == nil {
		return images
	}
	answers := make(map[string]bool)
	hidden := func(name, _ string) bool {
		readable, asked := answers[name]
		if !asked {
			readable = s.o.Properties.Permits(c, ReadProperty, name)
			answers[name] = readable
		}
		return !readable
	}
	shown := make([]*Image, len(images))
	for i, im := range images {
		copied := *im
		copied.Properties = maps.Clone(im.Properties)
		maps.DeleteFunc(copied.Properties, hidden)
		shown[i] = &copied
	}
	return shown
}

// allowProperties refuses a new image with properties that the caller may not
// create, or that belong to the service.
func (s *Images) allowProperties(c Caller, im *Image) error {
	for _, name := range slices.Sorted(maps.Keys(im.Properties)) {
		if reserved(name) {
			return remark(ErrForbidden, "Attribute '%s' is reserved.", name)
		}
		if !s.permits(c, CreateProperty, name) {
			return protected(name)
		}
	}
	return nil
}

// allowProperty refuses a change of a property that the caller may not make.
// What it may not read is not there for it: it may not be changed, and the
// answer is that to a property that is not there.
func (s *Images) allowProperty(c Caller, im *Image, ch Change) error {
	_, there := im.Properties[ch.Attribute]
	seen := there && s.permits(c, ReadProperty, ch.Attribute)
	action := UpdateProperty
	switch {
	case ch.Op == Add && seen && ch.Strict:
		return present(ch.Attribute)
	case ch.Op == Add && there && !seen:
		return protected(ch.Attribute) // it must not be overwritten
	case ch.Op == Add && !there:
		action = CreateProperty
	case !seen:
		return absent(ch.Attribute)
	case ch.Op == Remove:
		action = DeleteProperty
	}
	if !s.permits(c, action, ch.Attribute) {
		return protected(ch.Attribute)
	}
	return nil
}

func protected(name string) error {
	return &Refusal{Kind: ErrForbidden, Message: fmt.Sprintf("Attribute '%s' is reserved.", name), Property: name}
}
