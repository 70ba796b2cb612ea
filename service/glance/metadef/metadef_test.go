package metadef_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
	"glancectl/service/glance/metadef"
)

func p[T any](v T) *T { return &v }

func named(name string) metadef.Entry { return metadef.Entry{Name: name} }

// as returns a context of a caller: an admin of a project, or a member.
func as(t *testing.T, project string, roles ...string) context.Context {
	return glance.WithCaller(t.Context(), glance.Caller{ProjectID: project, Roles: roles, Admin: slices.Contains(roles, "admin")})
}

// shelf returns definitions with a private and a public namespace of p1.
func shelf(t *testing.T, o metadef.Options) (*metadef.Definitions, *memory.Metadefs) {
	t.Helper()
	c := new(memory.Metadefs)
	for _, ns := range []*metadef.Namespace{
		{Entry: named("mine"), Visibility: glance.Private, Owner: "p1"},
		{Entry: named("open"), Visibility: glance.Public, Owner: "p1"},
	} {
		ns.Associations = []*metadef.Association{{Entry: named("R"), Prefix: p("r_")}}
		ns.Properties = []*metadef.Property{{Entry: named("p"), Schema: metadef.Schema{"type": "string", "title": "P"}}}
		ns.Objects = []*metadef.Object{{Entry: named("o")}}
		ns.Tags = []*metadef.Tag{{Entry: named("t")}}
		if err := c.Create(t.Context(), ns); err != nil {
			t.Fatal(err)
		}
	}
	return metadef.New(c, o), c
}

// Every method, as one would call it in a namespace, and the rules it asks.
var methods = []struct {
	name  string
	call  func(ctx context.Context, d *metadef.Definitions, ns string) error
	rules []glance.Rule // the first is the one that is about it
}{
	{"Show", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Show(ctx, ns)
		return err
	}, []glance.Rule{"get_metadef_namespace", "list_metadef_resource_types", "get_metadef_objects", "get_metadef_properties", "get_metadef_tags"}},
	{"Update", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Update(ctx, ns, &metadef.Namespace{Entry: named(ns)})
		return err
	}, []glance.Rule{"modify_metadef_namespace"}},
	{"Associations", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Associations(ctx, ns)
		return err
	}, []glance.Rule{"list_metadef_resource_types"}},
	{"Associate", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Associate(ctx, ns, &metadef.Association{Entry: named("new")})
		return err
	}, []glance.Rule{"add_metadef_resource_type_association"}},
	{"Dissociate", func(ctx context.Context, d *metadef.Definitions, ns string) error { return d.Dissociate(ctx, ns, "R") },
		[]glance.Rule{"remove_metadef_resource_type_association"}},
	{"Properties", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Properties(ctx, ns)
		return err
	}, []glance.Rule{"get_metadef_properties"}},
	{"Property", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Property(ctx, ns, "p", "")
		return err
	}, []glance.Rule{"get_metadef_property"}},
	{"Property of a type", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Property(ctx, ns, "r_p", "R")
		return err
	}, []glance.Rule{"get_metadef_property", "get_metadef_resource_type"}},
	{"AddProperty", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.AddProperty(ctx, ns, &metadef.Property{Entry: named("new")})
		return err
	}, []glance.Rule{"add_metadef_property"}},
	{"SetProperty", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.SetProperty(ctx, ns, "p", &metadef.Property{Entry: named("other")})
		return err
	}, []glance.Rule{"modify_metadef_property"}},
	{"RemoveProperty", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		return d.RemoveProperty(ctx, ns, "p")
	},
		[]glance.Rule{"remove_metadef_property"}},
	{"RemoveProperties", func(ctx context.Context, d *metadef.Definitions, ns string) error { return d.RemoveProperties(ctx, ns) },
		[]glance.Rule{"delete_metadef_namespace"}},
	{"Objects", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Objects(ctx, ns)
		return err
	}, []glance.Rule{"get_metadef_objects"}},
	{"Object", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Object(ctx, ns, "o")
		return err
	}, []glance.Rule{"get_metadef_object"}},
	{"AddObject", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		return d.AddObject(ctx, ns, &metadef.Object{Entry: named("new")})
	}, []glance.Rule{"add_metadef_object"}},
	{"SetObject", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		return d.SetObject(ctx, ns, "o", &metadef.Object{Entry: named("other")})
	}, []glance.Rule{"modify_metadef_object"}},
	{"RemoveObject", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		return d.RemoveObject(ctx, ns, "o")
	},
		[]glance.Rule{"delete_metadef_object"}},
	{"RemoveObjects", func(ctx context.Context, d *metadef.Definitions, ns string) error { return d.RemoveObjects(ctx, ns) },
		[]glance.Rule{"delete_metadef_namespace"}},
	{"Tags", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Tags(ctx, ns, metadef.TagQuery{})
		return err
	}, []glance.Rule{"get_metadef_tags"}},
	{"Tag", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.Tag(ctx, ns, "t")
		return err
	}, []glance.Rule{"get_metadef_tag"}},
	{"AddTag", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.AddTag(ctx, ns, "new")
		return err
	}, []glance.Rule{"add_metadef_tag"}},
	{"AddTags", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		return d.AddTags(ctx, ns, []string{"new"}, true)
	}, []glance.Rule{"add_metadef_tags"}},
	{"SetTag", func(ctx context.Context, d *metadef.Definitions, ns string) error {
		_, err := d.SetTag(ctx, ns, "t", "other")
		return err
	}, []glance.Rule{"modify_metadef_tag"}},
	{"RemoveTag", func(ctx context.Context, d *metadef.Definitions, ns string) error { return d.RemoveTag(ctx, ns, "t") },
		[]glance.Rule{"delete_metadef_tag"}},
	{"RemoveTags", func(ctx context.Context, d *metadef.Definitions, ns string) error { return d.RemoveTags(ctx, ns) },
		[]glance.Rule{"delete_metadef_tags", "delete_metadef_namespace"}},
	{"Delete", func(ctx context.Context, d *metadef.Definitions, ns string) error { return d.Delete(ctx, ns) },
		[]glance.Rule{"delete_metadef_namespace"}},
}

// except allows everything but one rule.
type except struct {
	rule glance.Rule
	got  []glance.Target
}

func (e *except) Allows(_ glance.Caller, r glance.Rule, t glance.Target) bool {
	if r == e.rule {
		e.got = append(e.got, t)
	}
	return r != e.rule
}

// A namespace that the caller cannot see is not there, for any method; one
// that it can see is not there to write, either.
func TestVisible(t *testing.T) {
	for _, m := range methods {
		for _, test := range []struct {
			who   context.Context
			ns    string
			reads error
			write error
		}{
			{as(t, "p2", "member"), "mine", glance.ErrNotFound, glance.ErrNotFound},
			{as(t, "", "member"), "mine", glance.ErrNotFound, glance.ErrNotFound},
			{glance.WithCaller(t.Context(), glance.Caller{Anonymous: true}), "mine", glance.ErrNotFound, glance.ErrNotFound},
			{as(t, "p2", "member"), "nope", glance.ErrNotFound, glance.ErrNotFound},
			{as(t, "p2", "admin"), "nope", glance.ErrNotFound, glance.ErrNotFound},
			{as(t, "p2", "member"), "open", nil, glance.ErrForbidden},
			{glance.WithCaller(t.Context(), glance.Caller{Anonymous: true}), "open", nil, glance.ErrForbidden},
			{as(t, "p1", "reader"), "mine", nil, glance.ErrForbidden},
			{as(t, "p1", "member"), "mine", nil, glance.ErrForbidden},
			{as(t, "p9", "admin"), "mine", nil, nil},
		} {
			d, _ := shelf(t, metadef.Options{})
			want := test.write
			if r := string(m.rules[0]); strings.HasPrefix(r, "get_") || strings.HasPrefix(r, "list_") {
				want = test.reads
			}
			if err := m.call(test.who, d, test.ns); !errors.Is(err, want) {
				t.Errorf("%s in %s by %+v: %v; want %v", m.name, test.ns, glance.CallerFrom(test.who), err, want)
			}
		}
	}
}

// Each method asks its rules, about the namespace.
func TestRules(t *testing.T) {
	admin := as(t, "p1", "admin")
	for _, m := range methods {
		for _, r := range m.rules {
			policy := &except{rule: r}
			d, c := shelf(t, metadef.Options{Policy: policy})
			want := glance.ErrForbidden
			if r == glance.GetMetadefNamespace {
				want = glance.ErrNotFound
			}
			if err := m.call(admin, d, "open"); !errors.Is(err, want) {
				t.Errorf("%s without %s: %v; want %v", m.name, r, err, want)
			}
			if len(policy.got) == 0 || policy.got[0].Owner != "p1" || policy.got[0].Visibility != glance.Public {
				t.Errorf("%s asks %s about %+v; want the namespace", m.name, r, policy.got)
			}
			ns, err := c.Namespace(t.Context(), "open")
			if err != nil || len(ns.Associations)+len(ns.Properties)+len(ns.Objects)+len(ns.Tags) != 4 {
				t.Errorf("%s without %s changes the namespace to %+v, %v", m.name, r, ns, err)
			}
		}
	}
	for _, r := range []glance.Rule{"get_metadef_namespaces", "list_metadef_resource_types"} {
		d, _ := shelf(t, metadef.Options{Policy: &except{rule: r}})
		if _, _, err := d.List(admin, metadef.Query{Limit: 1}); !errors.Is(err, glance.ErrForbidden) {
			t.Errorf("List without %s: %v; want %v", r, err, glance.ErrForbidden)
		}
	}
	for _, r := range []glance.Rule{
		"add_metadef_namespace", "add_metadef_resource_type_association", "add_metadef_property", "add_metadef_object", "add_metadef_tag",
	} {
		d, c := shelf(t, metadef.Options{Policy: &except{rule: r}})
		ns, err := c.Namespace(t.Context(), "open")
		if err != nil {
			t.Fatal(err)
		}
		ns.Name = "new"
		if err := d.Create(admin, ns); !errors.Is(err, glance.ErrForbidden) {
			t.Errorf("Create without %s: %v; want %v", r, err, glance.ErrForbidden)
		}
	}
	d, _ := shelf(t, metadef.Options{Policy: &except{rule: "list_metadef_resource_types"}})
	if _, err := d.ResourceTypes(admin); !errors.Is(err, glance.ErrForbidden) {
		t.Errorf("ResourceTypes without its rule: %v; want %v", err, glance.ErrForbidden)
	}
	d, _ = shelf(t, metadef.Options{Policy: &except{rule: "get_metadef_namespace"}})
	if page, more, err := d.List(admin, metadef.Query{Limit: 2}); len(page) > 0 || more || err != nil {
		t.Errorf("List without get_metadef_namespace = %v, %t, %v; want nothing", page, more, err)
	}
}

// Nothing is deleted from a protected namespace; all else may change.
func TestProtected(t *testing.T) {
	admin := as(t, "p1", "admin")
	for _, m := range methods {
		d, c := shelf(t, metadef.Options{})
		_, err := c.Update(t.Context(), "open", func(ns *metadef.Namespace) error {
			ns.Protected = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := error(nil)
		if strings.HasPrefix(m.name, "Remove") || m.name == "Delete" || m.name == "Dissociate" {
			want = glance.ErrForbidden
		}
		if err := m.call(admin, d, "open"); !errors.Is(err, want) {
			t.Errorf("%s in a protected namespace: %v; want %v", m.name, err, want)
		}
		ns, err := c.Namespace(t.Context(), "open")
		if err != nil || len(ns.Associations) < 1 || len(ns.Properties) < 1 || len(ns.Objects) < 1 || len(ns.Tags) < 1 {
			t.Errorf("%s leaves %+v, %v", m.name, ns, err)
		}
	}
}

func TestCreateCompletes(t *testing.T) {
	d, _ := shelf(t, metadef.Options{})
	for _, test := range []struct {
		who       context.Context
		ns        metadef.Namespace
		wantOwner string
	}{
		{as(t, "p1", "admin"), metadef.Namespace{Entry: named("a")}, "p1"},
		{as(t, "p1", "admin"), metadef.Namespace{Entry: named("b"), Owner: "p2"}, "p2"},
		{as(t, "", "admin"), metadef.Namespace{Entry: named("c")}, "admin"},
	} {
		if err := d.Create(test.who, &test.ns); err != nil {
			t.Fatal(err)
		}
		if test.ns.Owner != test.wantOwner || test.ns.Visibility != glance.Private {
			t.Errorf("Create makes it %s and %s's; want private and %s's", test.ns.Visibility, test.ns.Owner, test.wantOwner)
		}
	}
	// An admin without a project takes nobody's namespace away.
	ns, err := d.Update(as(t, "", "admin"), "b", &metadef.Namespace{Entry: named("b")})
	if err != nil || ns.Owner != "p2" {
		t.Errorf("Update without an owner = %+v, %v; want p2's as before", ns, err)
	}
}

func TestChecks(t *testing.T) {
	long := strings.Repeat("é", 80)
	for _, test := range []struct {
		what string
		ns   *metadef.Namespace
		want string
	}{
		{"longest name", &metadef.Namespace{Entry: named(long)}, ""},
		{"no name", &metadef.Namespace{}, "Namespace can't be empty."},
		{"long name", &metadef.Namespace{Entry: named(long + "x")}, "Namespace can't be longer than 80 characters."},
		{"wide name", &metadef.Namespace{Entry: named("😀")}, "Namespace can't contain 4 byte unicode characters."},
		{"wide display name", &metadef.Namespace{Entry: named("a"), DisplayName: p("😀")}, "Display_Name can't contain 4 byte unicode characters."},
		{"wide description", &metadef.Namespace{Entry: named("a"), Description: p("😀")}, "Description can't contain 4 byte unicode characters."},
		{"wide owner", &metadef.Namespace{Entry: named("a"), Owner: "😀"}, "Owner can't contain 4 byte unicode characters."},
		{"long prefix", &metadef.Namespace{Entry: named("a"), Associations: []*metadef.Association{{Entry: named("r"), Prefix: p(long + "x")}}}, "Prefix can't be longer than 80 characters."},
		{"nameless tag", &metadef.Namespace{Entry: named("a"), Tags: []*metadef.Tag{{}}}, "Name can't be empty."},
		{"long property name", &metadef.Namespace{Entry: named("a"), Properties: []*metadef.Property{{Entry: named(long + "x")}}}, "Name can't be longer than 80 characters."},
		{"comma", &metadef.Namespace{Entry: named("a"), Objects: []*metadef.Object{{Entry: named("o"), Required: []string{"a,b"}}}}, "Required names can't contain commas."},
	} {
		d, _ := shelf(t, metadef.Options{})
		err := d.Create(as(t, "p1", "admin"), test.ns)
		if test.want == "" && err != nil || test.want != "" && (!errors.Is(err, glance.ErrInvalid) || err.Error() != "Couldn't create metadata namespace: "+test.want) {
			t.Errorf("Create with %s: %v; want %q", test.what, err, test.want)
		}
	}
}

// A catalog may take names for the same that do not look it.
func TestFoldedNames(t *testing.T) {
	c := &memory.Metadefs{FoldCase: true}
	d, admin := metadef.New(c, metadef.Options{}), as(t, "p1", "admin")
	if err := d.Create(admin, &metadef.Namespace{Entry: named("NS"), Tags: []*metadef.Tag{{Entry: named("Tag")}}}); err != nil {
		t.Fatal(err)
	}
	tag, err := d.Tag(admin, "ns", "TAG")
	if err != nil || tag.Name != "Tag" {
		t.Errorf("Tag in another case = %v, %v; want it", tag, err)
	}
	if _, err := d.SetTag(admin, "ns", "tag", "TAG"); err != nil {
		t.Errorf("a tag cannot have its own name in another case: %v", err)
	}
	for what, err := range map[string]error{
		"AddTag": d.AddTags(admin, "ns", []string{"tAg"}, true),
		"Create with two tags that are one": d.Create(admin, &metadef.Namespace{
			Entry: named("other"), Tags: []*metadef.Tag{{Entry: named("a")}, {Entry: named("A")}},
		}),
		"Create of what is there": d.Create(admin, &metadef.Namespace{Entry: named("ns")}),
	} {
		var r *glance.Refusal
		if !errors.As(err, &r) || r.Kind != glance.ErrExists {
			t.Errorf("%s: %v; want a refusal", what, err)
		}
	}
}

func TestFor(t *testing.T) {
	ns := &metadef.Namespace{
		Associations: []*metadef.Association{{Entry: named("R"), Prefix: p("r_")}, {Entry: named("bare")}},
		Properties:   []*metadef.Property{{Entry: named("a")}},
		Objects:      []*metadef.Object{{Entry: named("o"), Required: []string{"b"}, Properties: map[string]metadef.Schema{"b": {"title": "B"}}}},
		Tags:         []*metadef.Tag{{Entry: named("t")}},
	}
	want := ns.Clone()
	want.Properties[0].Name = "r_a"
	want.Objects[0].Required, want.Objects[0].Properties = []string{"r_b"}, map[string]metadef.Schema{"r_b": {"title": "B"}}
	before := ns.Clone()
	if diff := cmp.Diff(want, ns.For("R")); diff != "" {
		t.Errorf("For a type with a prefix (-want +got):\n%s", diff)
	}
	for _, r := range []string{"bare", "unknown"} {
		if diff := cmp.Diff(ns, ns.For(r)); diff != "" {
			t.Errorf("For %s (-want +got):\n%s", r, diff)
		}
	}
	if diff := cmp.Diff(before, ns); diff != "" {
		t.Errorf("For changes the namespace (-before +after):\n%s", diff)
	}
}

// A property is asked for by the name that it has on a type of resource.
func TestPropertyOfAType(t *testing.T) {
	d, c := shelf(t, metadef.Options{})
	_, err := c.Update(t.Context(), "open", func(ns *metadef.Namespace) error {
		ns.Associations = append(ns.Associations, &metadef.Association{Entry: named("bare")}, &metadef.Association{Entry: named("empty"), Prefix: p("")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Update(t.Context(), "mine", func(ns *metadef.Namespace) error {
		ns.Associations = append(ns.Associations, &metadef.Association{Entry: named("elsewhere")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, resourceType, want string }{
		{"p", "", ""},
		{"r_p", "R", ""},
		{"r_q", "R", "Could not find property q"},
		{"p", "R", "Property p does not start with the expected resource type association prefix of 'r_'."},
		{"p", "bare", "Property p does not start with the expected resource type association prefix of 'None'."},
		{"p", "empty", "Property p does not start with the expected resource type association prefix of ''."},
		{"p", "elsewhere", "The metadata definition resource-type association of resource-type=elsewhere to namespace=open, was not found."},
		{"p", "nowhere", "The metadata definition resource-type with name=nowhere, was not found."},
	} {
		q, err := d.Property(as(t, "p2", "member"), "open", test.name, test.resourceType)
		if test.want == "" && (err != nil || q.Name != "p") || test.want != "" && (!errors.Is(err, glance.ErrNotFound) || err.Error() != test.want) {
			t.Errorf("Property(%s, %s) = %v, %v; want %q", test.name, test.resourceType, q, err, test.want)
		}
	}
}

func TestTagsPage(t *testing.T) {
	d, _ := shelf(t, metadef.Options{})
	admin := as(t, "p1", "admin")
	if err := d.AddTags(admin, "open", []string{"c", "a", "b"}, false); err != nil {
		t.Fatal(err)
	}
	if err := d.AddTags(admin, "open", nil, false); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		q    metadef.TagQuery
		want string
	}{
		{metadef.TagQuery{}, "b a c"},
		{metadef.TagQuery{Ascending: true}, "c a b"},
		{metadef.TagQuery{Sort: "name", Ascending: true}, "a b c"},
		{metadef.TagQuery{Sort: "name"}, "c b a"},
		{metadef.TagQuery{Sort: "id", Marker: "a"}, "c"},
		{metadef.TagQuery{Sort: "name", Ascending: true, Limit: p(2)}, "a b"},
		{metadef.TagQuery{Sort: "name", Ascending: true, Marker: "b", Limit: p(2)}, "c"},
		{metadef.TagQuery{Limit: p(0)}, ""},
	} {
		tags, err := d.Tags(admin, "open", test.q)
		var names []string
		for _, tag := range tags {
			names = append(names, tag.Name)
		}
		if got := strings.Join(names, " "); got != test.want || err != nil {
			t.Errorf("Tags(%+v) = %q, %v; want %q", test.q, got, err, test.want)
		}
	}
	if _, err := d.Tags(admin, "open", metadef.TagQuery{Marker: "nope"}); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("Tags after one that is not there: %v; want %v", err, glance.ErrNotFound)
	}
}

func TestLoad(t *testing.T) {
	old := func() *metadef.Namespace {
		return &metadef.Namespace{
			Entry: named("ns"), DisplayName: p("Old"), Visibility: glance.Public, Owner: "p1",
			Associations: []*metadef.Association{{Entry: named("R"), Prefix: p("old")}, {Entry: named("Old")}},
			Properties:   []*metadef.Property{{Entry: named("both"), Schema: metadef.Schema{"title": "Old"}}, {Entry: named("old"), Schema: metadef.Schema{}}},
			Objects:      []*metadef.Object{{Entry: named("both"), Description: p("Old"), Required: []string{}, Properties: map[string]metadef.Schema{}}},
			Tags:         []*metadef.Tag{{Entry: named("both")}, {Entry: named("old")}},
		}
	}
	const file = `{"namespace":"ns","display_name":"New","protected":true,
		"resource_type_associations":[{"name":"R","prefix":"new"},{"name":"New"},{"name":"New"}],
		"properties":{"both":{"title":"New"},"new":{"title":"N","type":"string","color":"red"}},
		"objects":[{"name":"both","description":"New"},{"name":"new","required":["a"],"properties":{"a":{"title":"A"}}}],
		"tags":[{"name":"both"},{"name":"new"}], "unknown": 1}`
	summary := func(ns *metadef.Namespace) string {
		words := []string{*ns.DisplayName, string(ns.Visibility), ns.Owner}
		for _, a := range ns.Associations {
			prefix := ""
			if a.Prefix != nil {
				prefix = *a.Prefix
			}
			words = append(words, a.Name+":"+prefix)
		}
		for _, q := range ns.Properties {
			words = append(words, q.Name+q.Schema.Encode())
		}
		for _, o := range ns.Objects {
			description := ""
			if o.Description != nil {
				description = *o.Description
			}
			words = append(words, o.Name+"="+description+strings.Join(o.Required, "+"))
		}
		for _, tag := range ns.Tags {
			words = append(words, "#"+tag.Name)
		}
		return strings.Join(words, " ")
	}
	for _, test := range []struct {
		mode metadef.Mode
		want string
	}{
		{metadef.Skip, `Old public p1 R:old Old: both{"title":"Old"} old{} both=Old #both #old`},
		{metadef.Merge, `Old public p1 R:old Old: New: both{"title":"Old"} new{"title":"N","type":"string"} old{} both=Old new=a #both #old #new`},
		{metadef.PreferNew, `New private admin R:new Old: New: both{"title":"New"} new{"title":"N","type":"string"} old{} both=New new=a #both #old #new`},
		{metadef.Overwrite, `New private admin R:new New: both{"title":"New"} new{"title":"N","type":"string"} both=New new=a #both #new`},
	} {
		c := new(memory.Metadefs)
		if err := c.Create(t.Context(), old()); err != nil {
			t.Fatal(err)
		}
		ns, err := metadef.Decode([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := metadef.Load(t.Context(), c, ns, test.mode)
		if loaded != (test.mode != metadef.Skip) || err != nil {
			t.Errorf("Load with mode %d = %t, %v", test.mode, loaded, err)
		}
		after, err := c.Namespace(t.Context(), "ns")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, summary(after)); diff != "" {
			t.Errorf("after mode %d (-want +got):\n%s", test.mode, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{``, "EOF"},
		{`{"namespace":"a"} x`, "more than one JSON value"},
		{`{}`, "Namespace can't be empty."},
		{`[]`, "cannot unmarshal array"},
		{`{"namespace":"a","visibility":"shared"}`, `visibility "shared" is neither public nor private`},
		{`{"namespace":"a","tags":[{}]}`, "Name can't be empty."},
		{`{"namespace":"a","properties":{"p":"x"}}`, "cannot unmarshal string"},
	} {
		if ns, err := metadef.Decode([]byte(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Decode(%s) = %+v, %v; want %q", test.file, ns, err, test.want)
		}
	}
}

// What is read can be written, and is the same when it is read again.
func FuzzDecode(f *testing.F) {
	for _, file := range []string{
		`{"namespace":"a","display_name":"A","properties":{"p":{"title":"P","type":"string","default":1.5,"enum":[1,"b",true],"minimum":1e3}}}`,
		`{"namespace":"é","objects":[{"name":"o","required":["a"],"properties":{"a":{"items":{"type":"string","enum":["x"]},"default":{"a":[null]}}}}],"tags":[{"name":"t"},{"name":"t"}]}`,
		`{"namespace":"a","resource_type_associations":[{"name":"R","prefix":"","properties_target":null}],"protected":true,"visibility":"public","owner":"o"}`,
		`{"namespace":"\ud800","properties":{"":{}}}`,
	} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		ns, err := metadef.Decode(file)
		if err != nil {
			return
		}
		again, err := metadef.Decode(ns.Encode())
		if err != nil {
			t.Fatalf("Decode(%s): %v", ns.Encode(), err)
		}
		if diff := cmp.Diff(ns, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("written and read again (-before +after):\n%s", diff)
		}
		c := new(memory.Metadefs)
		if _, err := metadef.Load(t.Context(), c, ns, metadef.Skip); err != nil {
			t.Errorf("Load: %v", err)
		}
	})
}
