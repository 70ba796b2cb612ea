package metadef

import "context"

// A Notifier is told what happened to definitions, after it happened. It must
// not block for long and must not change what it is told of.
type Notifier interface {
	NotifyDefinition(ctx context.Context, e Event)
}

// An Event is something that happened to a namespace or, if one of Property,
// Object, Tag and Association is set, to that in it.
type Event struct {
	Type      string // metadef_namespace.create, metadef_tag.update and so on
	Namespace *Namespace
	Old       string // the name that it had before an update; "" for other events

	Property    *Property
	Object      *Object
	Tag         *Tag
	Association *Association
}

func (d *Definitions) notify(ctx context.Context, e Event) {
	if d.notifier != nil {
		d.notifier.NotifyDefinition(ctx, e)
	}
}

// notifyCreated tells of a namespace and of all that it holds.
func (d *Definitions) notifyCreated(ctx context.Context, ns *Namespace) {
	if d.notifier == nil {
		return
	}
	d.notify(ctx, Event{Type: "metadef_namespace.create", Namespace: ns})
	for _, a := range ns.Associations {
		d.notify(ctx, Event{Type: "metadef_resource_type.create", Namespace: ns, Association: a})
	}
	for _, o := range ns.Objects {
		d.notify(ctx, Event{Type: "metadef_object.create", Namespace: ns, Object: o})
	}
	d.notifyTags(ctx, ns, ns.Tags)
	for _, p := range ns.Properties {
		d.notify(ctx, Event{Type: "metadef_property.create", Namespace: ns, Property: p})
	}
}

// notifyTags tells of new tags of ns.
func (d *Definitions) notifyTags(ctx context.Context, ns *Namespace, tags []*Tag) {
	for _, t := range tags {
		d.notify(ctx, Event{Type: "metadef_tag.create", Namespace: ns, Tag: t})
	}
}
