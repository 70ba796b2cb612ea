// Package metadef defines metadata definitions: what properties an image, a
// volume or a flavor can have, what they mean and which values they take.
//
// Definitions live in namespaces. A [Namespace] holds properties, objects
// (groups of properties) and tags, and is associated with the types of
// resource that it is for. The package knows who may see and change what
// ([Definitions]) and the files that definitions are shipped in ([Decode],
// [Load]). It knows nothing about HTTP and SQL; a [Catalog] keeps namespaces
// for it.
package metadef

import (
	"context"
	"strings"
	"time"

	"glancectl/service/glance"
)

// An Entry is what everything here has.
type Entry struct {
	ID        int64 // number of the row in the catalog; 0 in a new one
	Name      string
	CreatedAt time.Time // UTC, whole seconds
	UpdatedAt time.Time // zero if the row was never changed through the API
}

func (e *Entry) entry() *Entry { return e }

// A Namespace is a set of definitions. A nil pointer is a null: never set.
type Namespace struct {
	Entry
	DisplayName *string
	Description *string
	Visibility  glance.Visibility // Public or Private
	Protected   bool              // nothing in it can be deleted
	Owner       string            // project

	Associations []*Association
	Properties   []*Property
	Objects      []*Object
	Tags         []*Tag

	// FoldCase says that the catalog takes names that differ only in case for
	// the same, as MySQL does.
	FoldCase bool
}

// An Association says that a namespace is for a type of resource. Its name is
// the type's, such as OS::Glance::Image.
type Association struct {
	Entry
	Prefix           *string // stands before the names of the properties
	PropertiesTarget *string // which of the resource's properties are meant
	// Protected is what the type of resource becomes if this association is
	// the first with it.
	Protected bool
}

// A Property is a definition of one property.
type Property struct {
	Entry
	Schema Schema
}

// An Object is a group of properties. In one that comes from a catalog
// Required and Properties are not nil.
type Object struct {
	Entry
	Description *string
	Required    []string // names of properties
	Properties  map[string]Schema
}

// A Tag is a word that may be used as a tag.
type Tag struct{ Entry }

// A ResourceType is something that definitions can be for.
type ResourceType struct {
	Entry
	Protected bool
}

// A Query says which namespaces a list has. The zero value means the public
// ones, newest first, and no more than none.
type Query struct {
	ProjectID string // whose private namespaces are in the list
	Admin     bool   // everybody's are

	Visibility    *glance.Visibility // nil means any
	ResourceTypes []string           // associated with one of these; nil means any or none

	Sort      SortKey // "" means CreatedAt
	Ascending bool    // also for CreatedAt and the row's number, which break ties
	Marker    string  // start after this namespace; ErrNotFound if it cannot be seen
	Limit     int
}

// A SortKey is an attribute that a list can be sorted by.
type SortKey string

// SortKeys has what namespaces can be sorted by; the first is the default.
var SortKeys = []SortKey{"created_at", "updated_at", "namespace", "display_name", "description", "visibility", "protected", "owner", "id"}

// A Catalog keeps namespaces. Errors are the sentinels of package glance,
// wrapped with what they are about. Every method is one transaction.
type Catalog interface {
	// Namespaces returns the namespaces that q selects, each with its
	// associations but with nothing else that it holds.
	Namespaces(ctx context.Context, q Query) ([]*Namespace, error)
	// Namespace returns a namespace with all that it holds: properties and
	// objects by name, tags in the order they were added, associations in the
	// order in which their types became known. Else ErrNotFound.
	Namespace(ctx context.Context, name string) (*Namespace, error)
	// Create adds a namespace with all that it holds, and the types of resource
	// that nobody named before, and sets the namespace's own number and times.
	// ErrExists when two names in the same place are the same.
	Create(ctx context.Context, ns *Namespace) error
	// Update calls change with the namespace and writes what it changed, and
	// only that: entries without a number are added, missing ones removed. If
	// change fails, or two names become the same (ErrExists), nothing is
	// written. It returns what then is in the catalog. While change runs nobody
	// else changes the namespace; it may run again, with what was read anew,
	// and must replace the maps and slices of an entry, not write into them.
	Update(ctx context.Context, name string, change func(ns *Namespace) error) (*Namespace, error)
	// Remove takes a namespace away with all that it holds; the types of
	// resource stay. Nothing happens if check, called with the namespace, fails.
	Remove(ctx context.Context, name string, check func(ns *Namespace) error) error
	// ResourceTypes returns all types of resource, in the order they became known.
	ResourceTypes(ctx context.Context) ([]ResourceType, error)
	// AddResourceType adds a type of resource, which no namespace need be
	// associated with, and sets its number and times. ErrExists.
	AddResourceType(ctx context.Context, t *ResourceType) error
	// RemoveResourceType takes a type of resource away and returns it. Nothing
	// happens if check, called with it, fails, or if a namespace is associated
	// with it: ErrConflict. Else ErrNotFound.
	RemoveResourceType(ctx context.Context, name string, check func(t ResourceType) error) (ResourceType, error)
	// Clear removes all namespaces and all types of resource.
	Clear(ctx context.Context) error
}

// Clone returns a copy of ns whose entries may be changed; the maps and slices
// in them are still those of ns.
func (ns *Namespace) Clone() *Namespace {
	c := *ns
	c.Associations, c.Properties = clones(ns.Associations), clones(ns.Properties)
	c.Objects, c.Tags = clones(ns.Objects), clones(ns.Tags)
	return &c
}

func clones[T any](list []*T) []*T {
	if list == nil {
		return nil
	}
	copies := make([]*T, len(list))
	for i, e := range list {
		c := *e
		copies[i] = &c
	}
	return copies
}

// same tells whether two names in ns are one to the catalog.
func (ns *Namespace) same(a, b string) bool {
	return a == b || ns.FoldCase && strings.EqualFold(a, b)
}

// named is anything with an entry.
type named interface{ entry() *Entry }

// find returns where the entry of that name is; -1 if there is none.
func find[T named](ns *Namespace, list []T, name string) int {
	for i, e := range list {
		if ns.same(e.entry().Name, name) {
			return i
		}
	}
	return -1
}
