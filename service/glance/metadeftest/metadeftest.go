// Package metadeftest is the suite that every [metadef.Catalog] passes.
//
// The tests of a catalog call [Run] with a way to make an empty one. The suite
// knows the contract in package metadef and nothing of SQL.
package metadeftest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// Run tests the catalogs that open returns, an empty one each time.
func Run(t *testing.T, open func(t *testing.T) metadef.Catalog) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, metadef.Catalog)
	}{
		{"create and read", createAndRead},
		{"create refused", createRefused},
		{"text", text},
		{"update own attributes", updateSelf},
		{"update entries", updateEntries},
		{"update refused", updateRefused},
		{"update of one entry leaves the others", updateOne},
		{"concurrent updates all survive", concurrentUpdates},
		{"one of many equal names wins", oneWins},
		{"resource types at once", typesAtOnce},
		{"remove", remove},
		{"resource types", resourceTypes},
		{"resource types by themselves", lonelyTypes},
		{"list sees", listSees},
		{"list filters", listFilters},
		{"list sorts and pages", listPages},
		{"clear", clearAll},
		{"ended context", endedContext},
		{"file and back", fileAndBack},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func p[T any](v T) *T { return &v }

func named(name string) metadef.Entry { return metadef.Entry{Name: name} }

// full is a namespace with everything.
func full(name string) *metadef.Namespace {
	return &metadef.Namespace{
		Entry:       named(name),
		DisplayName: p("Compute"),
		Description: p("What a host can do"),
		Visibility:  glance.Public,
		Protected:   true,
		Owner:       "b0b",
		Associations: []*metadef.Association{
			{Entry: named("OS::Glance::Image"), Prefix: p("hw_"), PropertiesTarget: p("image"), Protected: true},
			{Entry: named("OS::Nova::Flavor")},
		},
		Properties: []*metadef.Property{
			{Entry: named("cores"), Schema: metadef.Schema{"type": "integer", "title": "Cores", "minimum": int64(1), "readonly": true}},
			{Entry: named("vendor"), Schema: metadef.Schema{"type": "string", "title": "Hersteller é 😀", "enum": []any{"a", "b"}, "default": nil}},
		},
		Objects: []*metadef.Object{
			{Entry: named("bare")},
			{Entry: named("cpu"), Description: p("A CPU"), Required: []string{"a", "b"}, Properties: map[string]metadef.Schema{
				"a": {"type": "array", "title": "A", "items": map[string]any{"type": "string", "enum": []any{"x"}}},
				"b": {"type": "number", "title": "B"},
			}},
		},
		Tags: []*metadef.Tag{{Entry: named("zeta")}, {Entry: named("alpha")}},
	}
}

// bare is a namespace with what none can be without.
func bare(name string) *metadef.Namespace {
	return &metadef.Namespace{Entry: named(name), Visibility: glance.Private, Owner: "b0b"}
}

func create(t *testing.T, c metadef.Catalog, list ...*metadef.Namespace) {
	t.Helper()
	for _, ns := range list {
		if err := c.Create(t.Context(), ns); err != nil {
			t.Fatalf("Create(%s): %v", ns.Name, err)
		}
	}
}

func get(t *testing.T, c metadef.Catalog, name string) *metadef.Namespace {
	t.Helper()
	ns, err := c.Namespace(t.Context(), name)
	if err != nil {
		t.Fatalf("Namespace(%s): %v", name, err)
	}
	return ns
}

func update(t *testing.T, c metadef.Catalog, name string, change func(ns *metadef.Namespace)) *metadef.Namespace {
	t.Helper()
	ns, err := c.Update(t.Context(), name, func(ns *metadef.Namespace) error {
		change(ns)
		return nil
	})
	if err != nil {
		t.Fatalf("Update(%s): %v", name, err)
	}
	if diff := cmp.Diff(get(t, c, ns.Name), ns, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("Update(%s) returns something else than there is (-there +returned):\n%s", name, diff)
	}
	return ns
}

// equal compares namespaces, but for what the catalog sets.
var equal = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(metadef.Entry{}, "ID", "CreatedAt", "UpdatedAt"),
	cmpopts.IgnoreFields(metadef.Namespace{}, "FoldCase"),
}

func is(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v; want %v", what, got, want)
	}
}

func createAndRead(t *testing.T, c metadef.Catalog) {
	ns := full("OS::Compute")
	create(t, c, bare("other"), ns)
	if ns.ID == 0 || ns.CreatedAt.IsZero() || ns.UpdatedAt.IsZero() {
		t.Errorf("Create leaves number %d and times %v, %v", ns.ID, ns.CreatedAt, ns.UpdatedAt)
	}
	got := get(t, c, "OS::Compute")
	if diff := cmp.Diff(full("OS::Compute"), got, equal); diff != "" {
		t.Errorf("what was created (-want +got):\n%s", diff)
	}
	if !got.CreatedAt.Equal(ns.CreatedAt) || got.ID != ns.ID {
		t.Errorf("Create says %d, %v; there is %d, %v", ns.ID, ns.CreatedAt, got.ID, got.CreatedAt)
	}
	for _, e := range []metadef.Entry{got.Associations[0].Entry, got.Properties[1].Entry, got.Objects[0].Entry, got.Tags[0].Entry} {
		if e.ID == 0 || e.CreatedAt.IsZero() || e.UpdatedAt.Before(e.CreatedAt) {
			t.Errorf("%s has number %d and times %v, %v", e.Name, e.ID, e.CreatedAt, e.UpdatedAt)
		}
	}
	if o := got.Objects[0]; o.Required == nil || o.Properties == nil {
		t.Errorf("an object with nothing is %+v; want empty ones, not nil", o)
	}
	if diff := cmp.Diff(bare("other"), get(t, c, "other"), equal); diff != "" {
		t.Errorf("what was created (-want +got):\n%s", diff)
	}
	_, err := c.Namespace(t.Context(), "nope")
	is(t, "Namespace that is not there", err, glance.ErrNotFound)
}

func createRefused(t *testing.T, c metadef.Catalog) {
	create(t, c, bare("a"))
	is(t, "Create of what is there", c.Create(t.Context(), full("a")), glance.ErrExists)
	if diff := cmp.Diff(bare("a"), get(t, c, "a"), equal); diff != "" {
		t.Errorf("after the refusal (-want +got):\n%s", diff)
	}
	twice := full("b")
	twice.Tags = append(twice.Tags, &metadef.Tag{Entry: named("zeta")})
	is(t, "Create with a tag twice", c.Create(t.Context(), twice), glance.ErrExists)
	_, err := c.Namespace(t.Context(), "b")
	is(t, "Namespace after its Create failed", err, glance.ErrNotFound)
	twice.Tags = twice.Tags[:2]
	create(t, c, twice)
}

// text holds what people write.
func text(t *testing.T, c metadef.Catalog) {
	ns := bare("Größe' OR 1=1 --")
	ns.Description = p("line\nline\t\"quoted\" \\ % _ ñ 語")
	ns.Tags = []*metadef.Tag{{Entry: named("C++/C#")}, {Entry: named(" spaced out")}}
	ns.Properties = []*metadef.Property{{Entry: named("p'; DROP TABLE x"), Schema: metadef.Schema{"type": "string", "title": "\u2028\x01<&>"}}}
	create(t, c, ns)
	if diff := cmp.Diff(ns, get(t, c, ns.Name), equal); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func updateSelf(t *testing.T, c metadef.Catalog) {
	create(t, c, full("a"))
	before := get(t, c, "a")
	ns := update(t, c, "a", func(ns *metadef.Namespace) {
		ns.Name, ns.DisplayName, ns.Description = "b", nil, p("new")
		ns.Visibility, ns.Protected, ns.Owner = glance.Private, false, "eve"
	})
	want := full("b")
	want.DisplayName, want.Description = nil, p("new")
	want.Visibility, want.Protected, want.Owner = glance.Private, false, "eve"
	if diff := cmp.Diff(want, ns, equal); diff != "" {
		t.Errorf("what was updated (-want +got):\n%s", diff)
	}
	if ns.ID != before.ID || !ns.CreatedAt.Equal(before.CreatedAt) {
		t.Errorf("Update changes number %d and time %v to %d and %v", before.ID, before.CreatedAt, ns.ID, ns.CreatedAt)
	}
	_, err := c.Namespace(t.Context(), "a")
	is(t, "Namespace by the name it had", err, glance.ErrNotFound)
}

func updateEntries(t *testing.T, c metadef.Catalog) {
	create(t, c, full("a"))
	before := get(t, c, "a")
	ns := update(t, c, "a", func(ns *metadef.Namespace) {
		ns.Associations[0].Prefix = p("x_")
		ns.Associations = append(ns.Associations[:1], &metadef.Association{Entry: named("OS::Cinder::Volume"), Prefix: p("v_")})
		ns.Properties[0].Name = "threads"
		ns.Properties[1].Schema = metadef.Schema{"type": "string", "title": "V"}
		ns.Properties = append(ns.Properties, &metadef.Property{Entry: named("cores"), Schema: metadef.Schema{"type": "string", "title": "C"}})
		ns.Objects[1].Required, ns.Objects[1].Description = nil, nil
		ns.Objects = append(ns.Objects[1:], &metadef.Object{Entry: named("bare"), Required: []string{"q"}})
		ns.Tags = append(ns.Tags[1:], &metadef.Tag{Entry: named("zeta")}, &metadef.Tag{Entry: named("beta")})
	})
	want := full("a")
	want.Associations = []*metadef.Association{
		{Entry: named("OS::Glance::Image"), Prefix: p("x_"), PropertiesTarget: p("image"), Protected: true},
		{Entry: named("OS::Cinder::Volume"), Prefix: p("v_")},
	}
	want.Properties = []*metadef.Property{
		{Entry: named("cores"), Schema: metadef.Schema{"type": "string", "title": "C"}},
		{Entry: named("threads"), Schema: want.Properties[0].Schema},
		{Entry: named("vendor"), Schema: metadef.Schema{"type": "string", "title": "V"}},
	}
	want.Objects = []*metadef.Object{{Entry: named("bare"), Required: []string{"q"}}, {Entry: named("cpu"), Properties: want.Objects[1].Properties}}
	want.Tags = []*metadef.Tag{{Entry: named("alpha")}, {Entry: named("zeta")}, {Entry: named("beta")}}
	if diff := cmp.Diff(want, ns, equal); diff != "" {
		t.Errorf("what was updated (-want +got):\n%s", diff)
	}
	if ns.Properties[1].ID != before.Properties[0].ID {
		t.Errorf("a property with another name has number %d; want %d as before", ns.Properties[1].ID, before.Properties[0].ID)
	}
	if ns.Tags[1].ID == before.Tags[0].ID {
		t.Error("a tag that was removed and added again is the old one")
	}
	ns = update(t, c, "a", func(ns *metadef.Namespace) {
		ns.Associations, ns.Properties, ns.Objects, ns.Tags = nil, nil, nil, nil
	})
	if n := len(ns.Associations) + len(ns.Properties) + len(ns.Objects) + len(ns.Tags); n != 0 {
		t.Errorf("%d entries are left after all were removed", n)
	}
}

func updateRefused(t *testing.T, c metadef.Catalog) {
	create(t, c, full("a"), bare("b"))
	before := get(t, c, "a")
	mine := errors.New("no")
	for _, test := range []struct {
		what   string
		name   string
		change func(ns *metadef.Namespace) error
		want   error
	}{
		{"Update of nothing", "nope", func(*metadef.Namespace) error { return nil }, glance.ErrNotFound},
		{"Update that fails", "a", func(ns *metadef.Namespace) error {
			ns.Owner, ns.Tags = "eve", nil
			return mine
		}, mine},
		{"Update to a name that is taken", "a", func(ns *metadef.Namespace) error {
			ns.Name, ns.Tags = "b", nil
			return nil
		}, glance.ErrExists},
		{"Update with a property twice", "a", func(ns *metadef.Namespace) error {
			ns.Owner = "eve"
			ns.Properties = append(ns.Properties, &metadef.Property{Entry: named("cores"), Schema: metadef.Schema{}})
			return nil
		}, glance.ErrExists},
		{"Update to a tag that is there", "a", func(ns *metadef.Namespace) error {
			ns.Objects, ns.Tags[0].Name = nil, "alpha"
			return nil
		}, glance.ErrExists},
		{"Update with an association twice", "a", func(ns *metadef.Namespace) error {
			ns.Associations = append(ns.Associations, &metadef.Association{Entry: named("OS::Nova::Flavor")})
			return nil
		}, glance.ErrExists},
	} {
		_, err := c.Update(t.Context(), test.name, test.change)
		is(t, test.what, err, test.want)
		if diff := cmp.Diff(before, get(t, c, "a"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", test.what, diff)
		}
	}
}

func updateOne(t *testing.T, c metadef.Catalog) {
	create(t, c, full("a"), full("b"))
	other, before := get(t, c, "b"), get(t, c, "a")
	update(t, c, "a", func(ns *metadef.Namespace) { ns.Tags[0].Name = "other" })
	after := get(t, c, "a")
	before.Tags[0].Name, before.Tags[0].UpdatedAt = "other", after.Tags[0].UpdatedAt
	if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("after another name for a tag (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(other, get(t, c, "b"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("another namespace (-want +got):\n%s", diff)
	}
}

func concurrentUpdates(t *testing.T, c metadef.Catalog) {
	create(t, c, bare("a"))
	const n = 12
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, err := c.Update(t.Context(), "a", func(ns *metadef.Namespace) error {
				ns.Tags = append(ns.Tags, &metadef.Tag{Entry: named(fmt.Sprint("tag", i))})
				return nil
			})
			if err != nil {
				t.Errorf("Update beside others: %v", err)
			}
		})
	}
	wg.Wait()
	if got := len(get(t, c, "a").Tags); got != n {
		t.Errorf("%d tags are there after %d were added", got, n)
	}
}

func oneWins(t *testing.T, c metadef.Catalog) {
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = c.Create(t.Context(), full("a")) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		is(t, "Create beside others", err, glance.ErrExists)
	}
	if won != 1 {
		t.Errorf("%d of %d namespaces of one name were created", won, n)
	}
	if diff := cmp.Diff(full("a"), get(t, c, "a"), equal); diff != "" {
		t.Errorf("the one that won (-want +got):\n%s", diff)
	}
}

func typesAtOnce(t *testing.T, c metadef.Catalog) {
	const n = 8
	var wg sync.WaitGroup
	for i := range n {
		ns := bare(fmt.Sprint("ns", i))
		ns.Associations = []*metadef.Association{{Entry: named("OS::Glance::Image")}}
		wg.Go(func() {
			if err := c.Create(t.Context(), ns); err != nil {
				t.Errorf("Create beside others: %v", err)
			}
		})
	}
	wg.Wait()
	types, err := c.ResourceTypes(t.Context())
	if len(types) != 1 || err != nil {
		t.Errorf("ResourceTypes = %v, %v; want the one that %d namespaces have", types, err, n)
	}
}

func remove(t *testing.T, c metadef.Catalog) {
	create(t, c, full("a"), full("b"))
	mine := errors.New("no")
	is(t, "Remove that is refused", c.Remove(t.Context(), "a", func(ns *metadef.Namespace) error {
		if ns.Name != "a" || len(ns.Tags) != 2 {
			t.Errorf("Remove checks %+v", ns)
		}
		return mine
	}), mine)
	get(t, c, "a")
	allow := func(*metadef.Namespace) error { return nil }
	if err := c.Remove(t.Context(), "a", allow); err != nil {
		t.Fatal(err)
	}
	is(t, "Remove of what is gone", c.Remove(t.Context(), "a", allow), glance.ErrNotFound)
	if diff := cmp.Diff(full("b"), get(t, c, "b"), equal); diff != "" {
		t.Errorf("another namespace (-want +got):\n%s", diff)
	}
	create(t, c, bare("a"))
	if got := get(t, c, "a"); len(got.Properties)+len(got.Tags) > 0 {
		t.Errorf("a new namespace of that name has %d properties and %d tags", len(got.Properties), len(got.Tags))
	}
}

func resourceTypes(t *testing.T, c metadef.Catalog) {
	types := func() (list []string) {
		all, err := c.ResourceTypes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			list = append(list, fmt.Sprint(r.Name, " ", r.Protected))
			if r.ID == 0 || r.CreatedAt.IsZero() {
				t.Errorf("%s has number %d and time %v", r.Name, r.ID, r.CreatedAt)
			}
		}
		return list
	}
	if got := types(); len(got) > 0 {
		t.Errorf("an empty catalog knows %q", got)
	}
	create(t, c, full("a"))
	ns := bare("b")
	ns.Associations = []*metadef.Association{{Entry: named("Mine")}, {Entry: named("OS::Glance::Image")}}
	create(t, c, ns)
	update(t, c, "a", func(ns *metadef.Namespace) { ns.Associations = nil })
	want := []string{"OS::Glance::Image true", "OS::Nova::Flavor false", "Mine false"}
	if diff := cmp.Diff(want, types()); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}

func lonelyTypes(t *testing.T, c metadef.Catalog) {
	allow := func(metadef.ResourceType) error { return nil }
	create(t, c, full("a"))
	added := metadef.ResourceType{Entry: named("Mine"), Protected: true}
	if err := c.AddResourceType(t.Context(), &added); err != nil || added.ID == 0 || added.CreatedAt.IsZero() {
		t.Errorf("AddResourceType = %+v, %v", added, err)
	}
	is(t, "AddResourceType of a name that is taken", c.AddResourceType(t.Context(), &metadef.ResourceType{Entry: named("Mine")}), glance.ErrExists)
	is(t, "AddResourceType of one of a namespace", c.AddResourceType(t.Context(), &metadef.ResourceType{Entry: named("OS::Nova::Flavor")}), glance.ErrExists)
	_, err := c.RemoveResourceType(t.Context(), "Yours", allow)
	is(t, "RemoveResourceType of what is not there", err, glance.ErrNotFound)
	_, err = c.RemoveResourceType(t.Context(), "OS::Nova::Flavor", allow)
	is(t, "RemoveResourceType of what a namespace has", err, glance.ErrConflict)
	_, err = c.RemoveResourceType(t.Context(), "Mine", func(r metadef.ResourceType) error {
		if r.Protected {
			return glance.ErrForbidden
		}
		return nil
	})
	is(t, "RemoveResourceType against a check", err, glance.ErrForbidden)
	if gone, err := c.RemoveResourceType(t.Context(), "Mine", allow); err != nil || gone.ID != added.ID || gone.Name != "Mine" {
		t.Errorf("RemoveResourceType = %+v, %v; want %+v", gone, err, added)
	}
	update(t, c, "a", func(ns *metadef.Namespace) { ns.Associations = nil })
	if _, err := c.RemoveResourceType(t.Context(), "OS::Nova::Flavor", allow); err != nil {
		t.Errorf("RemoveResourceType of what no namespace has any more: %v", err)
	}
	types, err := c.ResourceTypes(t.Context())
	if err != nil || len(types) != 1 || types[0].Name != "OS::Glance::Image" {
		t.Errorf("what is left is %v, %v", types, err)
	}
}

func clearAll(t *testing.T, c metadef.Catalog) {
	create(t, c, full("a"), full("b"))
	if err := c.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, c, metadef.Query{Admin: true, Limit: 9}); len(got) > 0 {
		t.Errorf("after Clear there are %q", got)
	}
	if types, err := c.ResourceTypes(t.Context()); len(types) > 0 || err != nil {
		t.Errorf("after Clear there are types %v, %v", types, err)
	}
	create(t, c, full("a"))
}

func endedContext(t *testing.T, c metadef.Catalog) {
	create(t, c, full("a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	keep := func(*metadef.Namespace) error { return nil }
	_, read := c.Namespace(ctx, "a")
	_, list := c.Namespaces(ctx, metadef.Query{Admin: true, Limit: 1})
	_, update := c.Update(ctx, "a", keep)
	_, types := c.ResourceTypes(ctx)
	for what, err := range map[string]error{
		"Namespace": read, "Namespaces": list, "Update": update, "ResourceTypes": types,
		"Create": c.Create(ctx, full("b")), "Remove": c.Remove(ctx, "a", keep), "Clear": c.Clear(ctx),
	} {
		is(t, what+" for a caller who left", err, context.Canceled)
	}
	if diff := cmp.Diff(full("a"), get(t, c, "a"), equal); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
}

// fileAndBack loads what was exported and exports what was loaded.
func fileAndBack(t *testing.T, c metadef.Catalog) {
	create(t, c, full("a"))
	exported := get(t, c, "a").Encode()
	if err := c.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	ns, err := metadef.Decode(exported)
	if err != nil {
		t.Fatalf("Decode(%s): %v", exported, err)
	}
	if loaded, err := metadef.Load(t.Context(), c, ns, metadef.Skip); !loaded || err != nil {
		t.Fatalf("Load = %t, %v; want true", loaded, err)
	}
	if diff := cmp.Diff(string(exported), string(get(t, c, "a").Encode())); diff != "" {
		t.Errorf("exported again (-want +got):\n%s", diff)
	}
	for _, mode := range []metadef.Mode{metadef.Skip, metadef.Merge, metadef.PreferNew, metadef.Overwrite} {
		ns, err := metadef.Decode(exported)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := metadef.Load(t.Context(), c, ns, mode)
		if loaded != (mode != metadef.Skip) || err != nil {
			t.Errorf("Load again with mode %d = %t, %v", mode, loaded, err)
		}
		if diff := cmp.Diff(string(exported), string(get(t, c, "a").Encode())); diff != "" {
			t.Errorf("after mode %d (-want +got):\n%s", mode, diff)
		}
	}
}
