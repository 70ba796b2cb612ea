package notifier

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// times are when something came to be and when it was changed. What was never
// changed was changed when it came to be.
type times struct {
	CreatedAt any `json:"created_at"`
	UpdatedAt any `json:"updated_at"`
}

// timesOf returns the times of e, which is in ns.
func timesOf(e metadef.Entry, ns *metadef.Namespace) times {
	if e.CreatedAt.IsZero() { // it came with its namespace
		e = ns.Entry
	}
	if e.UpdatedAt.IsZero() {
		e.UpdatedAt = e.CreatedAt
	}
	return times{stamp(e.CreatedAt), stamp(e.UpdatedAt)}
}

type namespace struct {
	Name        string            `json:"namespace"`
	Old         string            `json:"namespace_old"`
	DisplayName *string           `json:"display_name"`
	Protected   bool              `json:"protected"`
	Visibility  glance.Visibility `json:"visibility"`
	Owner       string            `json:"owner"`
	Description *string           `json:"description"`
	times
	tombstone
}

// A label says what in which namespace.
type label struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Old       string `json:"name_old"`
}

type association struct {
	label
	Prefix *string `json:"prefix"`
	Target *string `json:"properties_target"`
	times
	tombstone
}

type object struct {
	label
	Properties  []objectProperty `json:"properties"`
	Required    []string         `json:"required"`
	Description *string          `json:"description"`
	times
	tombstone
}

type objectProperty struct {
	Name string `json:"name"`
	keywords
}

type property struct {
	label
	keywords
	tombstone
}

type tag struct {
	label
	times
	tombstone
}

// keywords are those of a schema that are told.
type keywords struct {
	Type            any `json:"type"`
	Title           any `json:"title"`
	Description     any `json:"description"`
	Default         any `json:"default"`
	Minimum         any `json:"minimum"`
	Maximum         any `json:"maximum"`
	Enum            any `json:"enum"`
	Pattern         any `json:"pattern"`
	MinLength       any `json:"minLength"`
	MaxLength       any `json:"maxLength"`
	Confidential    any `json:"confidential"`
	Items           any `json:"items"`
	UniqueItems     any `json:"uniqueItems"`
	MinItems        any `json:"minItems"`
	MaxItems        any `json:"maxItems"`
	AdditionalItems any `json:"additionalItems"`
}

func keywordsOf(s metadef.Schema) keywords {
	return keywords{
		s["type"], s["title"], s["description"], s["default"], s["minimum"], s["maximum"], s["enum"], s["pattern"],
		s["minLength"], s["maxLength"], s["confidential"], s["items"], s["uniqueItems"], s["minItems"], s["maxItems"], s["additionalItems"],
	}
}

// definitionOf returns the payload of an event.
func definitionOf(e metadef.Event, now time.Time) any {
	ns, end := e.Namespace, tomb(e.Type, now)
	labelled := func(name string) label { return label{ns.Name, name, cmp.Or(e.Old, name)} }
	switch {
	case e.Association != nil:
		a := e.Association
		return association{labelled(a.Name), a.Prefix, a.PropertiesTarget, timesOf(a.Entry, ns), end}
	case e.Object != nil:
		o := e.Object
		p := object{labelled(o.Name), []objectProperty{}, append([]string{}, o.Required...), o.Description, timesOf(o.Entry, ns), end}
		for _, name := range slices.Sorted(maps.Keys(o.Properties)) {
			p.Properties = append(p.Properties, objectProperty{name, keywordsOf(o.Properties[name])})
		}
		return p
	case e.Property != nil:
		return property{labelled(e.Property.Name), keywordsOf(e.Property.Schema), end}
	case e.Tag != nil:
		return tag{labelled(e.Tag.Name), timesOf(e.Tag.Entry, ns), end}
	}
	return namespace{
		Name: ns.Name, Old: cmp.Or(e.Old, ns.Name), DisplayName: ns.DisplayName, Protected: ns.Protected,
		Visibility: ns.Visibility, Owner: ns.Owner, Description: ns.Description, times: timesOf(ns.Entry, ns), tombstone: end,
	}
}
