package metadef

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"glancectl/service/glance"
)

// An edit is a change of what a namespace holds.
type edit struct {
	namespace string
	missing   string // what to answer if there is no such namespace
	rule      glance.Rule
	taken     string // what to answer if the catalog does not take a name
	name      string // that name
}

// change carries out an edit. That the caller may is found out before, so that
// nobody else can hold the namespace's row.
func (d *Definitions) change(ctx context.Context, e edit, f func(ns *Namespace) error) (*Namespace, error) {
	if _, err := d.read(ctx, e.namespace, e.missing, e.rule); err != nil {
		return nil, err
	}
	changed, err := d.catalog.Update(ctx, e.namespace, f)
	if _, refused := errors.AsType[*glance.Refusal](err); !refused && errors.Is(err, glance.ErrExists) {
		return nil, taken(e.taken, e.name, e.namespace)
	}
	return changed, d.failed(err, e.namespace)
}

// pick returns the entry of that name, or missing as a refusal.
func pick[T named](ns *Namespace, list []T, name, missing string) (found T, err error) {
	at := find(ns, list, name)
	if at < 0 {
		return found, refuse(glance.ErrNotFound, missing, name)
	}
	return list[at], nil
}

// drop takes the entry of that name out of list and returns it, or missing as
// a refusal.
func drop[T named](ns *Namespace, list *[]T, name, missing string) (gone T, err error) {
	at := find(ns, *list, name)
	if at < 0 {
		return gone, refuse(glance.ErrNotFound, missing, name)
	}
	gone = (*list)[at]
	*list = slices.Concat((*list)[:at], (*list)[at+1:])
	return gone, nil
}

// free returns nil if e may take a name: nobody but itself has it.
func free[T named](ns *Namespace, list []T, name string, e *Entry) bool {
	at := find(ns, list, name)
	return at < 0 || list[at].entry() == e
}

// Associations returns the associations of a namespace.
func (d *Definitions) Associations(ctx context.Context, namespace string) ([]*Association, error) {
	ns, err := d.read(ctx, namespace, noNamespace, glance.ListMetadefResourceTypes)
	if err != nil {
		return nil, err
	}
	if !d.policy.Allows(glance.CallerFrom(ctx), glance.GetMetadefResourceType, ns.target()) {
		return nil, nil
	}
	return ns.Associations, nil
}

// Associate adds an association and returns it as it is kept.
func (d *Definitions) Associate(ctx context.Context, namespace string, a *Association) (*Association, error) {
	e := edit{namespace, noNamespace, glance.AddMetadefResourceTypeAssociation, associationExists, a.Name}
	ns, err := d.change(ctx, e, func(ns *Namespace) error {
		if find(ns, ns.Associations, a.Name) >= 0 {
			return taken(associationExists, a.Name, namespace)
		}
		if err := a.check(); err != nil {
			return refuse(glance.ErrInvalid, "Couldn't create metadata resource type association: %v", err)
		}
		ns.Associations = append(ns.Associations, a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	added := ns.Associations[find(ns, ns.Associations, a.Name)]
	d.notify(ctx, Event{Type: "metadef_resource_type.create", Namespace: ns, Association: added})
	return added, nil
}

// Dissociate removes the association with a type of resource.
func (d *Definitions) Dissociate(ctx context.Context, namespace, resourceType string) error {
	e := edit{namespace: namespace, missing: noNamespace, rule: glance.RemoveMetadefResourceTypeAssociation}
	var gone *Association
	ns, err := d.change(ctx, e, func(ns *Namespace) error {
		at := ns.association(resourceType)
		if at < 0 {
			return refuse(glance.ErrNotFound, "Failed to find resource type %s to delete", resourceType)
		}
		gone = ns.Associations[at]
		ns.Associations = slices.Concat(ns.Associations[:at], ns.Associations[at+1:])
		return ns.keeps("resource-type-association", resourceType)
	})
	if err == nil {
		d.notify(ctx, Event{Type: "metadef_resource_type.delete", Namespace: ns, Association: gone})
	}
	return err
}

// Properties returns the properties of a namespace, by name.
func (d *Definitions) Properties(ctx context.Context, namespace string) ([]*Property, error) {
	ns, err := d.read(ctx, namespace, noNamespace, glance.GetMetadefProperties)
	if err != nil {
		return nil, err
	}
	return ns.Properties, nil
}

const noProperty = "Could not find property %s"

// Property returns one property. With a type of resource, name must have the
// prefix of the association with it.
func (d *Definitions) Property(ctx context.Context, namespace, name, resourceType string) (*Property, error) {
	ns, err := d.read(ctx, namespace, noNamespace, glance.GetMetadefProperty)
	if err != nil {
		return nil, err
	}
	if resourceType != "" {
		if err := d.allow(ctx, glance.GetMetadefResourceType, ns); err != nil {
			return nil, err
		}
		if name, err = d.bare(ctx, ns, name, resourceType); err != nil {
			return nil, err
		}
	}
	return pick(ns, ns.Properties, name, noProperty)
}

// bare takes the prefix of an association off a name.
func (d *Definitions) bare(ctx context.Context, ns *Namespace, name, resourceType string) (string, error) {
	at := find(ns, ns.Associations, resourceType)
	if at < 0 {
		return "", d.unassociated(ctx, ns, resourceType)
	}
	prefix := "None"
	if p := ns.Associations[at].Prefix; p != nil {
		if bare, ok := strings.CutPrefix(name, *p); ok && *p != "" {
			return bare, nil
		}
		prefix = *p
	}
	return "", refuse(glance.ErrNotFound, "Property %s does not start with the expected resource type association prefix of '%s'.", name, prefix)
}

// unassociated says whether there is such a type of resource at all.
func (d *Definitions) unassociated(ctx context.Context, ns *Namespace, resourceType string) error {
	types, err := d.catalog.ResourceTypes(ctx)
	if err != nil {
		return fmt.Errorf("list resource types: %w", err)
	}
	if slices.ContainsFunc(types, func(t ResourceType) bool { return ns.same(t.Name, resourceType) }) {
		return refuse(glance.ErrNotFound, "The metadata definition resource-type association of resource-type=%s to namespace=%s, was not found.", resourceType, ns.Name)
	}
	return refuse(glance.ErrNotFound, "The metadata definition resource-type with name=%s, was not found.", resourceType)
}

// AddProperty adds a property and returns it as it is kept.
func (d *Definitions) AddProperty(ctx context.Context, namespace string, p *Property) (*Property, error) {
	e := edit{namespace, noNamespace, glance.AddMetadefProperty, propertyExists, p.Name}
	ns, err := d.change(ctx, e, func(ns *Namespace) error {
		if find(ns, ns.Properties, p.Name) >= 0 {
			return taken(propertyExists, p.Name, namespace)
		}
		if err := p.check(); err != nil {
			return refuse(glance.ErrInvalid, "Couldn't create metadata property: %v", err)
		}
		ns.Properties = append(ns.Properties, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	added := ns.Properties[find(ns, ns.Properties, p.Name)]
	d.notify(ctx, Event{Type: "metadef_property.create", Namespace: ns, Property: added})
	return added, nil
}

// SetProperty replaces a property, its name included.
func (d *Definitions) SetProperty(ctx context.Context, namespace, name string, p *Property) (*Property, error) {
	e := edit{namespace, noNamespace, glance.ModifyMetadefProperty, propertyRenamed, name}
	ns, err := d.change(ctx, e, func(ns *Namespace) error {
		kept, err := pick(ns, ns.Properties, name, noProperty)
		if err != nil {
			return err
		}
		if !free(ns, ns.Properties, p.Name, &kept.Entry) {
			return taken(propertyRenamed, name, namespace)
		}
		if err := p.check(); err != nil {
			return refuse(glance.ErrInvalid, "Couldn't update metadata property: %v", err)
		}
		kept.Name, kept.Schema = p.Name, p.Schema
		return nil
	})
	if err != nil {
		return nil, err
	}
	changed := ns.Properties[find(ns, ns.Properties, p.Name)]
	d.notify(ctx, Event{Type: "metadef_property.update", Namespace: ns, Property: changed, Old: name})
	return changed, nil
}

// RemoveProperty removes a property.
func (d *Definitions) RemoveProperty(ctx context.Context, namespace, name string) error {
	e := edit{namespace: namespace, missing: noNamespace, rule: glance.RemoveMetadefProperty}
	var gone *Property
	ns, err := d.change(ctx, e, func(ns *Namespace) (err error) {
		if gone, err = drop(ns, &ns.Properties, name, noProperty); err != nil {
			return err
		}
		return ns.keeps("property", name)
	})
	if err == nil {
		d.notify(ctx, Event{Type: "metadef_property.delete", Namespace: ns, Property: gone})
	}
	return err
}

// RemoveProperties removes all properties of a namespace.
func (d *Definitions) RemoveProperties(ctx context.Context, namespace string) error {
	e := edit{namespace: namespace, missing: noNamespace, rule: glance.DeleteMetadefNamespace}
	return d.empty(ctx, e, "properties", func(ns *Namespace) { ns.Properties = nil })
}

// empty carries out the removal of everything of a kind.
func (d *Definitions) empty(ctx context.Context, e edit, kind string, f func(ns *Namespace)) error {
	ns, err := d.change(ctx, e, func(ns *Namespace) error {
		f(ns)
		return ns.unprotected()
	})
	if err == nil {
		d.notify(ctx, Event{Type: "metadef_namespace.delete_" + kind, Namespace: ns})
	}
	return err
}

// Objects returns the objects of a namespace, by name.
func (d *Definitions) Objects(ctx context.Context, namespace string) ([]*Object, error) {
	ns, err := d.read(ctx, namespace, noSuchMetadata, glance.GetMetadefObjects)
	if err != nil {
		return nil, err
	}
	if !d.policy.Allows(glance.CallerFrom(ctx), glance.GetMetadefObject, ns.target()) {
		return nil, nil
	}
	return ns.Objects, nil
}

const noObject = "Could not find metadata object %s"

// Object returns one object.
func (d *Definitions) Object(ctx context.Context, namespace, name string) (*Object, error) {
	ns, err := d.read(ctx, namespace, noSuchMetadata, glance.GetMetadefObject)
	if err != nil {
		return nil, err
	}
	return pick(ns, ns.Objects, name, noObject)
}

// AddObject adds an object and sets its times.
func (d *Definitions) AddObject(ctx context.Context, namespace string, o *Object) error {
	e := edit{namespace, noSuchMetadata, glance.AddMetadefObject, objectExists, o.Name}
	ns, err := d.change(ctx, e, func(ns *Namespace) error {
		if find(ns, ns.Objects, o.Name) >= 0 {
			return taken(objectExists, o.Name, namespace)
		}
		if err := o.check(); err != nil {
			return refuse(glance.ErrInvalid, "Couldn't create metadata object: %v", err)
		}
		added := *o
		ns.Objects = append(ns.Objects, &added)
		return nil
	})
	if err != nil {
		return err
	}
	added := ns.Objects[find(ns, ns.Objects, o.Name)]
	o.Entry = added.Entry
	d.notify(ctx, Event{Type: "metadef_object.create", Namespace: ns, Object: added})
	return nil
}

// SetObject replaces an object, its name included, and sets the times of o.
func (d *Definitions) SetObject(ctx context.Context, namespace, name string, o *Object) error {
	e := edit{namespace, noSuchMetadata, glance.ModifyMetadefObject, objectRenamed, name}
	ns, err := d.change(ctx, e, func(ns *Namespace) error {
		kept, err := pick(ns, ns.Objects, name, noObject)
		if err != nil {
			return err
		}
		if !free(ns, ns.Objects, o.Name, &kept.Entry) {
			return taken(objectRenamed, name, namespace)
		}
		if err := o.check(); err != nil {
			return refuse(glance.ErrInvalid, "Couldn't update metadata object: %v", err)
		}
		kept.Name, kept.Description, kept.Required, kept.Properties = o.Name, o.Description, o.Required, o.Properties
		return nil
	})
	if err != nil {
		return err
	}
	changed := ns.Objects[find(ns, ns.Objects, o.Name)]
	o.Entry = changed.Entry
	d.notify(ctx, Event{Type: "metadef_object.update", Namespace: ns, Object: changed, Old: name})
	return nil
}

// RemoveObject removes an object.
func (d *Definitions) RemoveObject(ctx context.Context, namespace, name string) error {
	e := edit{namespace: namespace, missing: noSuchMetadata, rule: glance.DeleteMetadefObject}
	var gone *Object
	ns, err := d.change(ctx, e, func(ns *Namespace) (err error) {
		if gone, err = drop(ns, &ns.Objects, name, noObject); err != nil {
			return err
		}
		return ns.keeps("object", name)
	})
	if err == nil {
		d.notify(ctx, Event{Type: "metadef_object.delete", Namespace: ns, Object: gone})
	}
	return err
}

// RemoveObjects removes all objects of a namespace.
func (d *Definitions) RemoveObjects(ctx context.Context, namespace string) error {
	e := edit{namespace: namespace, missing: noNamespace, rule: glance.DeleteMetadefNamespace}
	return d.empty(ctx, e, "objects", func(ns *Namespace) { ns.Objects = nil })
}

// A TagQuery says which tags of a namespace a list has. The zero value means
// all of them, newest first.
type TagQuery struct {
	Sort      SortKey // one of TagSortKeys; "" means the first
	Ascending bool
	Marker    string // start after this tag; "" means at the beginning
	Limit     *int   // nil means no limit
}

// TagSortKeys has what tags can be sorted by.
var TagSortKeys = []SortKey{"created_at", "updated_at", "name", "id"}

const noTag = "Could not find metadata tag %s"

// Tags returns the tags of a namespace that q selects.
func (d *Definitions) Tags(ctx context.Context, namespace string, q TagQuery) ([]*Tag, error) {
	ns, err := d.read(ctx, namespace, noNamespace, glance.GetMetadefTags)
	if err != nil {
		return nil, err
	}
	tags := ns.SortTags(q)
	if q.Marker != "" {
		at := find(ns, tags, q.Marker)
		if at < 0 {
			return nil, refuse(glance.ErrNotFound, noTag, q.Marker)
		}
		tags = tags[at+1:]
	}
	if q.Limit != nil {
		tags = tags[:min(*q.Limit, len(tags))]
	}
	return tags, nil
}

// SortTags returns the tags of ns in the order of q.
func (ns *Namespace) SortTags(q TagQuery) []*Tag {
	tags := slices.Clone(ns.Tags)
	slices.SortFunc(tags, func(a, b *Tag) int {
		c := 0
		switch q.Sort {
		case "name":
			c = cmp.Compare(a.Name, b.Name)
		case "updated_at":
			c = a.UpdatedAt.Compare(b.UpdatedAt)
		case "id":
			c = cmp.Compare(a.ID, b.ID)
		}
		c = cmp.Or(c, a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		if !q.Ascending {
			c = -c
		}
		return c
	})
	return tags
}

// Tag returns one tag.
func (d *Definitions) Tag(ctx context.Context, namespace, name string) (*Tag, error) {
	ns, err := d.read(ctx, namespace, noNamespace, glance.GetMetadefTag)
	if err != nil {
		return nil, err
	}
	return pick(ns, ns.Tags, name, noTag)
}

// AddTag adds a tag.
func (d *Definitions) AddTag(ctx context.Context, namespace, name string) (*Tag, error) {
	e := edit{namespace, noNamespace, glance.AddMetadefTag, tagExists, name}
	ns, err := d.change(ctx, e, func(ns *Namespace) error { return ns.addTag(name, namespace) })
	if err != nil {
		return nil, err
	}
	added := ns.Tags[find(ns, ns.Tags, name)]
	d.notifyTags(ctx, ns, []*Tag{added})
	return added, nil
}

// addTag adds a tag; namespace is the name that ns was asked for by.
func (ns *Namespace) addTag(name, namespace string) error {
	if find(ns, ns.Tags, name) >= 0 {
		return taken(tagExists, name, namespace)
	}
	t := &Tag{Entry{Name: name}}
	if err := t.check(); err != nil {
		return refuse(glance.ErrInvalid, "Couldn't create metadata tag: %v", err)
	}
	ns.Tags = append(ns.Tags, t)
	return nil
}

// AddTags adds tags to those that are there, or puts them in their place: all
// of them or none. No names change nothing in either case, as with OpenStack
// Glance.
func (d *Definitions) AddTags(ctx context.Context, namespace string, names []string, keep bool) error {
	e := edit{namespace, noNamespace, glance.AddMetadefTags, tagExists, fmt.Sprint(names)}
	ns, err := d.change(ctx, e, func(ns *Namespace) error {
		if !keep && len(names) > 0 {
			ns.Tags = nil
		}
		for _, name := range names {
			if err := ns.addTag(name, namespace); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		d.notifyTags(ctx, ns, []*Tag{ns.Tags[find(ns, ns.Tags, name)]})
	}
	return nil
}

// SetTag gives a tag another name.
func (d *Definitions) SetTag(ctx context.Context, namespace, name, to string) (*Tag, error) {
	e := edit{namespace, noNamespace, glance.ModifyMetadefTag, tagExists, to}
	ns, err := d.change(ctx, e, func(ns *Namespace) error {
		kept, err := pick(ns, ns.Tags, name, noTag)
		if err != nil {
			return err
		}
		if !free(ns, ns.Tags, to, &kept.Entry) {
			return taken(tagExists, to, namespace)
		}
		kept.Name = to
		if err := kept.check(); err != nil {
			return refuse(glance.ErrInvalid, "Couldn't update metadata tag: %v", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	changed := ns.Tags[find(ns, ns.Tags, to)]
	d.notify(ctx, Event{Type: "metadef_tag.update", Namespace: ns, Tag: changed, Old: name})
	return changed, nil
}

// RemoveTag removes a tag.
func (d *Definitions) RemoveTag(ctx context.Context, namespace, name string) error {
	e := edit{namespace: namespace, missing: noNamespace, rule: glance.DeleteMetadefTag}
	var gone *Tag
	ns, err := d.change(ctx, e, func(ns *Namespace) (err error) {
		if gone, err = drop(ns, &ns.Tags, name, noTag); err != nil {
			return err
		}
		return ns.keeps("tag", name)
	})
	if err == nil {
		d.notify(ctx, Event{Type: "metadef_tag.delete", Namespace: ns, Tag: gone})
	}
	return err
}

// RemoveTags removes all tags of a namespace.
func (d *Definitions) RemoveTags(ctx context.Context, namespace string) error {
	if _, err := d.read(ctx, namespace, noNamespace, glance.DeleteMetadefNamespace); err != nil {
		return err
	}
	e := edit{namespace: namespace, missing: noNamespace, rule: glance.DeleteMetadefTags}
	return d.empty(ctx, e, "tags", func(ns *Namespace) { ns.Tags = nil })
}
