package metadeftest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// names returns the names in a list.
func names(t *testing.T, c metadef.Catalog, q metadef.Query) []string {
	t.Helper()
	list, err := c.Namespaces(t.Context(), q)
	if err != nil {
		t.Fatalf("Namespaces(%+v): %v", q, err)
	}
	all := []string{}
	for _, ns := range list {
		all = append(all, ns.Name)
	}
	return all
}

// shelf has namespaces of two projects.
func shelf(t *testing.T, c metadef.Catalog) {
	for _, ns := range []struct {
		name, owner string
		visibility  glance.Visibility
		display     *string
		types       []string
	}{
		{"b", "p1", glance.Public, p("Bee"), []string{"R1"}},
		{"a", "p1", glance.Public, nil, []string{"R1", "R2"}},
		{"d", "p2", glance.Private, p("Dee"), nil},
		{"c", "p1", glance.Private, nil, []string{"R2"}},
	} {
		made := bare(ns.name)
		made.Owner, made.Visibility, made.DisplayName = ns.owner, ns.visibility, ns.display
		for _, r := range ns.types {
			made.Associations = append(made.Associations, &metadef.Association{Entry: named(r)})
		}
		create(t, c, made)
	}
}

func listSees(t *testing.T, c metadef.Catalog) {
	shelf(t, c)
	for _, test := range []struct {
		q    metadef.Query
		want []string
	}{
		{metadef.Query{Admin: true}, []string{"a", "b", "c", "d"}},
		{metadef.Query{ProjectID: "p1"}, []string{"a", "b", "c"}},
		{metadef.Query{ProjectID: "p2"}, []string{"a", "b", "d"}},
		{metadef.Query{ProjectID: "p3"}, []string{"a", "b"}},
		{metadef.Query{}, []string{"a", "b"}},
	} {
		test.q.Sort, test.q.Ascending, test.q.Limit = "namespace", true, 100
		if diff := cmp.Diff(test.want, names(t, c, test.q)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.q, diff)
		}
	}
	list, err := c.Namespaces(t.Context(), metadef.Query{Limit: 1, Sort: "namespace", Ascending: true})
	if err != nil {
		t.Fatal(err)
	}
	if ns := list[0]; len(ns.Associations) != 2 || ns.Owner != "p1" || ns.Visibility != glance.Public {
		t.Errorf("a list has %+v; want the attributes and two associations", ns)
	}
}

func listFilters(t *testing.T, c metadef.Catalog) {
	shelf(t, c)
	for _, test := range []struct {
		q    metadef.Query
		want []string
	}{
		{metadef.Query{Visibility: p(glance.Public)}, []string{"a", "b"}},
		{metadef.Query{Visibility: p(glance.Private)}, []string{"c", "d"}},
		{metadef.Query{Visibility: p(glance.Visibility(""))}, []string{}},
		{metadef.Query{ResourceTypes: []string{"R2"}}, []string{"a", "c"}},
		{metadef.Query{ResourceTypes: []string{"R1", "R2", "R3"}}, []string{"a", "b", "c"}},
		{metadef.Query{ResourceTypes: []string{"R3"}}, []string{}},
		{metadef.Query{ResourceTypes: []string{"R2"}, Visibility: p(glance.Private)}, []string{"c"}},
	} {
		test.q.Admin, test.q.Sort, test.q.Ascending, test.q.Limit = true, "namespace", true, 100
		if diff := cmp.Diff(test.want, names(t, c, test.q)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.q, diff)
		}
	}
}

func listPages(t *testing.T, c metadef.Catalog) {
	shelf(t, c)
	q := metadef.Query{Admin: true}
	if got := names(t, c, q); len(got) > 0 {
		t.Errorf("a list of none has %q", got)
	}
	// One by one, every order has what it has at once, and both ways.
	for _, key := range append([]metadef.SortKey{""}, metadef.SortKeys...) {
		for _, ascending := range []bool{true, false} {
			q := metadef.Query{Admin: true, Sort: key, Ascending: ascending, Limit: 100}
			all := names(t, c, q)
			if len(all) != 4 {
				t.Errorf("by %q there are %q", key, all)
			}
			q.Limit = 1
			var pages []string
			for range 10 {
				page := names(t, c, q)
				if len(page) == 0 {
					break
				}
				pages = append(pages, page...)
				q.Marker = page[0]
			}
			if diff := cmp.Diff(all, pages); diff != "" {
				t.Errorf("by %q, ascending %t (-at once +one by one):\n%s", key, ascending, diff)
			}
			reversed := names(t, c, metadef.Query{Admin: true, Sort: key, Ascending: !ascending, Limit: 100})
			slices.Reverse(reversed)
			if diff := cmp.Diff(all, reversed); diff != "" {
				t.Errorf("by %q both ways (-one +other):\n%s", key, diff)
			}
		}
	}
	for key, want := range map[metadef.SortKey][]string{
		"":             {"b", "a", "d", "c"},
		"namespace":    {"a", "b", "c", "d"},
		"display_name": {"a", "c", "b", "d"},
		"owner":        {"b", "a", "c", "d"},
	} {
		if diff := cmp.Diff(want, names(t, c, metadef.Query{Admin: true, Sort: key, Ascending: true, Limit: 4})); diff != "" {
			t.Errorf("by %q (-want +got):\n%s", key, diff)
		}
	}
	for what, q := range map[string]metadef.Query{
		"marker that is not there": {Admin: true, Marker: "nope", Limit: 1},
		"marker out of sight":      {ProjectID: "p1", Marker: "d", Limit: 1},
		"marker of an empty page":  {Admin: true, Marker: "nope"},
	} {
		_, err := c.Namespaces(t.Context(), q)
		is(t, what, err, glance.ErrNotFound)
	}
	_, err := c.Namespaces(t.Context(), metadef.Query{Admin: true, Sort: "id; DROP TABLE x", Limit: 1})
	is(t, "a sort key that there is not", err, glance.ErrInvalid)
}
