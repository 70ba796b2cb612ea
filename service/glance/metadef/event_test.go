package metadef_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// heard is what a Notifier was told: types, and names before and after.
type heard struct{ events []string }

func (h *heard) NotifyDefinition(_ context.Context, e metadef.Event) {
	name := e.Namespace.Name
	switch {
	case e.Association != nil:
		name += "/" + e.Association.Name
	case e.Object != nil:
		name += "/" + e.Object.Name
	case e.Property != nil:
		name += "/" + e.Property.Name
	case e.Tag != nil:
		name += "/" + e.Tag.Name
	}
	if e.Old != "" {
		name = e.Old + ">" + name
	}
	h.events = append(h.events, e.Type+" "+name)
}

// TestNotifications goes through everything that somebody is told of, and what
// fails, of which nobody is.
func TestNotifications(t *testing.T) {
	var h heard
	d, _ := shelf(t, metadef.Options{Notify: &h})
	ctx := as(t, "p1", "admin")
	schema := metadef.Schema{"title": "T", "type": "string"}
	ns := &metadef.Namespace{
		Entry: named("N"), Associations: []*metadef.Association{{Entry: named("R")}}, Objects: []*metadef.Object{{Entry: named("o")}},
		Properties: []*metadef.Property{{Entry: named("p"), Schema: schema}}, Tags: []*metadef.Tag{{Entry: named("t")}},
	}
	second := func(_ any, err error) error { return err }
	for _, step := range []struct {
		call func() error
		want []string // none: it fails
	}{
		{func() error { return d.Create(ctx, ns) }, []string{
			"metadef_namespace.create N", "metadef_resource_type.create N/R", "metadef_object.create N/o", "metadef_tag.create N/t", "metadef_property.create N/p"}},
		{func() error { return d.Create(ctx, &metadef.Namespace{Entry: named("N")}) }, nil},
		{func() error { return second(d.Update(ctx, "N", &metadef.Namespace{Entry: named("M")})) }, []string{"metadef_namespace.update N>M"}},
		{func() error { return second(d.Update(ctx, "N", &metadef.Namespace{Entry: named("L")})) }, nil},
		{func() error { return second(d.Associate(ctx, "M", &metadef.Association{Entry: named("S")})) }, []string{"metadef_resource_type.create M/S"}},
		{func() error { return d.Dissociate(ctx, "M", "S") }, []string{"metadef_resource_type.delete M/S"}},
		{func() error { return d.Dissociate(ctx, "M", "S") }, nil},
		{func() error {
			return second(d.AddProperty(ctx, "M", &metadef.Property{Entry: named("q"), Schema: schema}))
		}, []string{"metadef_property.create M/q"}},
		{func() error {
			return second(d.SetProperty(ctx, "M", "q", &metadef.Property{Entry: named("r"), Schema: schema}))
		}, []string{"metadef_property.update q>M/r"}},
		{func() error { return d.RemoveProperty(ctx, "M", "r") }, []string{"metadef_property.delete M/r"}},
		{func() error { return d.RemoveProperty(ctx, "M", "r") }, nil},
		{func() error { return d.AddObject(ctx, "M", &metadef.Object{Entry: named("a")}) }, []string{"metadef_object.create M/a"}},
		{func() error { return d.SetObject(ctx, "M", "a", &metadef.Object{Entry: named("b")}) }, []string{"metadef_object.update a>M/b"}},
		{func() error { return d.RemoveObject(ctx, "M", "b") }, []string{"metadef_object.delete M/b"}},
		{func() error { return second(d.AddTag(ctx, "M", "x")) }, []string{"metadef_tag.create M/x"}},
		{func() error { return second(d.SetTag(ctx, "M", "x", "y")) }, []string{"metadef_tag.update x>M/y"}},
		{func() error { return d.RemoveTag(ctx, "M", "y") }, []string{"metadef_tag.delete M/y"}},
		{func() error { return d.AddTags(ctx, "M", []string{"1", "2"}, false) }, []string{"metadef_tag.create M/1", "metadef_tag.create M/2"}},
		{func() error { return d.RemoveObjects(ctx, "M") }, []string{"metadef_namespace.delete_objects M"}},
		{func() error { return d.RemoveProperties(ctx, "M") }, []string{"metadef_namespace.delete_properties M"}},
		{func() error { return d.RemoveTags(ctx, "M") }, []string{"metadef_namespace.delete_tags M"}},
		{func() error { return d.Delete(ctx, "M") }, []string{"metadef_namespace.delete M"}},
		{func() error { return d.Delete(ctx, "M") }, nil},
	} {
		h.events = nil
		err := step.call()
		var refusal *glance.Refusal
		if failed := errors.As(err, &refusal); failed != (step.want == nil) || err != nil && !failed {
			t.Errorf("what should tell %q: %v", step.want, err)
		}
		if !slices.Equal(h.events, step.want) {
			t.Errorf("told is %q; want %q", h.events, step.want)
		}
	}
}
