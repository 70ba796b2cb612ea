package metadef

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"glancectl/service/glance"
)

// The shapes of a file, whose names are those of the API.
type (
	fileNamespace struct {
		Namespace    string                    `json:"namespace"`
		DisplayName  *string                   `json:"display_name,omitempty"`
		Description  *string                   `json:"description,omitempty"`
		Visibility   glance.Visibility         `json:"visibility"`
		Protected    bool                      `json:"protected"`
		Owner        string                    `json:"owner,omitempty"`
		Associations []fileAssociation         `json:"resource_type_associations"`
		Properties   map[string]map[string]any `json:"properties"`
		Objects      []fileObject              `json:"objects"`
		Tags         []fileTag                 `json:"tags"`
	}
	fileAssociation struct {
		Name             string  `json:"name"`
		Prefix           *string `json:"prefix,omitempty"`
		PropertiesTarget *string `json:"properties_target,omitempty"`
	}
	fileObject struct {
		Name        string                    `json:"name"`
		Description *string                   `json:"description,omitempty"`
		Required    []string                  `json:"required,omitempty"`
		Properties  map[string]map[string]any `json:"properties"`
	}
	fileTag struct {
		Name string `json:"name"`
	}
)

// Decode reads a namespace from a file, as they are shipped with OpenStack
// Glance. Fields and keywords that are not known are left out, and so is what
// has the name of something before it.
func Decode(data []byte) (*Namespace, error) {
	var f fileNamespace
	if err := unmarshal(data, &f); err != nil {
		return nil, err
	}
	ns := &Namespace{
		Entry:       Entry{Name: f.Namespace},
		DisplayName: f.DisplayName,
		Description: f.Description,
		Visibility:  f.Visibility,
		Protected:   f.Protected,
		Owner:       f.Owner,
	}
	if ns.Owner == "" {
		ns.Owner = adminOwner
	}
	switch ns.Visibility {
	case "":
		ns.Visibility = glance.Private
	case glance.Public, glance.Private:
	default:
		return nil, fmt.Errorf("visibility %q is neither public nor private", ns.Visibility)
	}
	for _, a := range f.Associations {
		put(ns, &ns.Associations, &Association{Entry: Entry{Name: a.Name}, Prefix: a.Prefix, PropertiesTarget: a.PropertiesTarget, Protected: true})
	}
	for name, s := range f.Properties {
		put(ns, &ns.Properties, &Property{Entry: Entry{Name: name}, Schema: ReadSchema(s)})
	}
	slices.SortFunc(ns.Properties, byName)
	for _, o := range f.Objects {
		put(ns, &ns.Objects, &Object{Entry: Entry{Name: o.Name}, Description: o.Description, Required: o.Required, Properties: readSchemas(o.Properties)})
	}
	for _, t := range f.Tags {
		put(ns, &ns.Tags, &Tag{Entry{Name: t.Name}})
	}
	return ns, ns.check()
}

func byName(a, b *Property) int { return cmp.Compare(a.Name, b.Name) }

// put adds e to list unless it has an entry of that name.
func put[T named](ns *Namespace, list *[]T, e T) {
	if find(ns, *list, e.entry().Name) < 0 {
		*list = append(*list, e)
	}
}

func readSchemas(v map[string]map[string]any) map[string]Schema {
	schemas := make(map[string]Schema, len(v))
	for name, s := range v {
		schemas[name] = ReadSchema(s)
	}
	return schemas
}

// Encode returns ns as the content of a file, which Decode reads.
func (ns *Namespace) Encode() []byte {
	f := fileNamespace{
		Namespace:    ns.Name,
		DisplayName:  ns.DisplayName,
		Description:  ns.Description,
		Visibility:   ns.Visibility,
		Protected:    ns.Protected,
		Owner:        ns.Owner,
		Associations: []fileAssociation{},
		Properties:   make(map[string]map[string]any),
		Objects:      []fileObject{},
		Tags:         []fileTag{},
	}
	for _, a := range ns.Associations {
		f.Associations = append(f.Associations, fileAssociation{a.Name, a.Prefix, a.PropertiesTarget})
	}
	for _, p := range ns.Properties {
		f.Properties[p.Name] = p.Schema
	}
	for _, o := range ns.Objects {
		properties := make(map[string]map[string]any)
		for name, s := range o.Properties {
			properties[name] = s
		}
		f.Objects = append(f.Objects, fileObject{o.Name, o.Description, o.Required, properties})
	}
	for _, t := range ns.Tags {
		f.Tags = append(f.Tags, fileTag{t.Name})
	}
	data, err := json.MarshalIndent(f, "", "    ")
	if err != nil {
		panic(err) // a Schema holds nothing that JSON cannot
	}
	return append(data, '\n')
}

// A Mode says what Load does about a namespace that is there already.
type Mode int

// The modes.
const (
	Skip      Mode = iota // leave it as it is
	Merge                 // add what it does not have
	PreferNew             // add, and change what it has otherwise
	Overwrite             // replace it
)

// Load puts a namespace into a catalog. Loaded says whether it did; it did not
// if the namespace is there and mode is Skip. The catalog has the namespace as
// it was or as it shall be, nothing in between.
func Load(ctx context.Context, c Catalog, ns *Namespace, mode Mode) (loaded bool, err error) {
	err = c.Create(ctx, ns)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, glance.ErrExists) {
		return false, err
	}
	if mode == Skip {
		_, there := c.Namespace(ctx, ns.Name)
		if there != nil {
			return false, err // two names in ns are the same to the catalog
		}
		return false, nil
	}
	_, err = c.Update(ctx, ns.Name, func(old *Namespace) error {
		if mode == Overwrite {
			old.Associations, old.Properties, old.Objects, old.Tags = nil, nil, nil, nil
		}
		if mode != Merge {
			old.DisplayName, old.Description = ns.DisplayName, ns.Description
			old.Visibility, old.Protected, old.Owner = ns.Visibility, ns.Protected, ns.Owner
		}
		old.merge(ns, mode == PreferNew)
		return nil
	})
	return err == nil, err
}

// merge adds what ns does not have of from. With prefer, what it has becomes
// as it is there.
func (ns *Namespace) merge(from *Namespace, prefer bool) {
	for _, a := range from.Associations {
		if at := find(ns, ns.Associations, a.Name); at >= 0 && prefer {
			ns.Associations[at].Prefix, ns.Associations[at].PropertiesTarget = a.Prefix, a.PropertiesTarget
		}
		b := *a
		put(ns, &ns.Associations, &b)
	}
	for _, p := range from.Properties {
		if at := find(ns, ns.Properties, p.Name); at >= 0 && prefer {
			ns.Properties[at].Schema = p.Schema
		}
		q := *p
		put(ns, &ns.Properties, &q)
	}
	for _, o := range from.Objects {
		if at := find(ns, ns.Objects, o.Name); at >= 0 && prefer {
			kept := ns.Objects[at]
			kept.Description, kept.Required, kept.Properties = o.Description, o.Required, o.Properties
		}
		q := *o
		put(ns, &ns.Objects, &q)
	}
	for _, t := range from.Tags {
		put(ns, &ns.Tags, &Tag{Entry{Name: t.Name}})
	}
}
