package metadef

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"glancectl/service/glance"
)

// maxName is the longest name, prefix or target in characters; a column has
// no place for more.
const maxName = 80

// A complaint is what is wrong, in a sentence of the API.
type complaint string

func (c complaint) Error() string { return string(c) }

// checkText returns what is wrong with a text that the catalog keeps in a
// column of its own: MySQL tables of Glance hold no character beyond the
// first 65,536.
func checkText(label, s string, limit int) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r > 0xFFFF }) {
		return complaint(label + " can't contain 4 byte unicode characters.")
	}
	if limit > 0 && utf8.RuneCountInString(s) > limit {
		return complaint(fmt.Sprintf("%s can't be longer than %d characters.", label, limit))
	}
	return nil
}

func checkName(label, s string) error {
	if s == "" {
		return complaint(label + " can't be empty.")
	}
	return checkText(label, s, maxName)
}

func checkOptional(label string, s *string, limit int) error {
	if s == nil {
		return nil
	}
	return checkText(label, *s, limit)
}

// checkSelf returns what is wrong with the namespace's own attributes.
func (ns *Namespace) checkSelf() error {
	return first(
		checkName("Namespace", ns.Name),
		checkOptional("Display_Name", ns.DisplayName, maxName),
		checkOptional("Description", ns.Description, 0),
		checkText("Owner", ns.Owner, 255),
	)
}

// first returns the first error there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Association) check() error {
	return first(checkName("Name", a.Name), checkOptional("Prefix", a.Prefix, maxName), checkOptional("Properties_Target", a.PropertiesTarget, maxName))
}

func (p *Property) check() error { return checkName("Name", p.Name) }

func (t *Tag) check() error { return checkName("Name", t.Name) }

func (o *Object) check() error {
	for _, name := range o.Required {
		if strings.Contains(name, ",") {
			return complaint("Required names can't contain commas.")
		}
	}
	return first(checkName("Name", o.Name), checkOptional("Description", o.Description, 0), checkText("Required", strings.Join(o.Required, ","), 0))
}

// check returns what is wrong with ns and what it holds.
func (ns *Namespace) check() error {
	return first(ns.checkSelf(), checkAll(ns.Associations), checkAll(ns.Properties), checkAll(ns.Objects), checkAll(ns.Tags))
}

func checkAll[T interface{ check() error }](list []T) error {
	for _, e := range list {
		if err := e.check(); err != nil {
			return err
		}
	}
	return nil
}

// repeated returns an error that says which name a new namespace has twice.
func (ns *Namespace) repeated() error {
	if name, ok := twice(ns, ns.Associations); ok {
		return taken(associationExists, name, ns.Name)
	}
	if name, ok := twice(ns, ns.Objects); ok {
		return taken(objectExists, name, ns.Name)
	}
	if name, ok := twice(ns, ns.Tags); ok {
		return taken(tagExists, name, ns.Name)
	}
	if name, ok := twice(ns, ns.Properties); ok {
		return taken(propertyExists, name, ns.Name)
	}
	return nil
}

func twice[T named](ns *Namespace, list []T) (string, bool) {
	for i, e := range list {
		if find(ns, list[:i], e.entry().Name) >= 0 {
			return e.entry().Name, true
		}
	}
	return "", false
}

// What is said when a name is taken; the second name is the namespace's.
const (
	associationExists = "The metadata definition resource-type association of resource-type=%s to namespace=%s already exists."
	objectExists      = "A metadata definition object with name=%s already exists in namespace=%s."
	propertyExists    = "A metadata definition property with name=%s already exists in namespace=%s."
	tagExists         = "A metadata tag with name=%s already exists in namespace=%s. (Please note that metadata tag names are case insensitive)."
	objectRenamed     = "Invalid update. It would result in a duplicate metadata definition object with the same name=%s in namespace=%s."
	propertyRenamed   = "Invalid update. It would result in a duplicate metadata definition property with the same name=%s in namespace=%s."
)

func taken(format, name, namespace string) error {
	return refuse(glance.ErrExists, format, name, namespace)
}
