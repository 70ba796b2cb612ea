package catalogtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

// names returns the names of the images that a query finds, in the order found.
func names(t *testing.T, c glance.Catalog, q glance.Query) []string {
	t.Helper()
	list, err := c.List(t.Context(), q)
	if err != nil {
		t.Errorf("List(%+v): %v", q, err)
	}
	var names []string
	for _, im := range list {
		if im.Name == nil {
			names = append(names, "-")
			continue
		}
		names = append(names, *im.Name)
	}
	return names
}

// finds checks the names that a query finds, in any order.
func finds(t *testing.T, c glance.Catalog, what string, q glance.Query, want string) {
	t.Helper()
	q.Limit = -1
	got := names(t, c, q)
	slices.Sort(got)
	if g := strings.Join(got, " "); g != want {
		t.Errorf("List(%s) finds %q; want %q", what, g, want)
	}
}

// named is image n with a name.
func named(n int, name string, with func(im *glance.Image)) *glance.Image {
	im := bare(n)
	im.Name = &name
	im.Status = glance.Active
	if with != nil {
		with(im)
	}
	return im
}

func listSees(t *testing.T, c glance.Catalog) {
	n := 0
	for _, owner := range []string{"me", "you", ""} {
		for _, v := range []glance.Visibility{glance.Public, glance.Private, glance.Shared, glance.Community} {
			n++
			create(t, c, named(n, owner+"-"+string(v), func(im *glance.Image) {
				im.Visibility = v
				if owner != "" {
					im.Owner = &owner
				}
			}))
		}
	}
	for _, s := range []glance.MemberStatus{glance.Accepted, glance.Pending, glance.Rejected} {
		for _, v := range []glance.Visibility{glance.Shared, glance.Private} {
			n++
			create(t, c, named(n, "to-me-"+string(v)+"-"+string(s), func(im *glance.Image) {
				im.Visibility = v
				im.Owner = p("you")
			}))
			if err := c.AddMember(t.Context(), &glance.Member{ImageID: id(n), ProjectID: "me", Status: s}); err != nil {
				t.Fatal(err)
			}
		}
	}
	create(t, c, named(90, "left", func(im *glance.Image) { im.Owner = p("you") }))
	if err := c.AddMember(t.Context(), &glance.Member{ImageID: id(90), ProjectID: "me", Status: glance.Accepted}); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveMember(t.Context(), id(90), "me"); err != nil {
		t.Fatal(err)
	}
	const (
		nobodys = "-community -private -public -shared"
		mine    = " me-community me-private me-public me-shared"
		tome    = " to-me-private-accepted to-me-private-pending to-me-private-rejected to-me-shared-accepted to-me-shared-pending to-me-shared-rejected"
	)
	for _, test := range []struct {
		what string
		q    glance.Query
		want string
	}{
		{"member", glance.Query{ProjectID: "me"}, "-public" + mine + " to-me-shared-accepted you-public"},
		{"pending", glance.Query{ProjectID: "me", MemberStatus: glance.Pending}, "-public" + mine + " to-me-shared-pending you-public"},
		{"rejected", glance.Query{ProjectID: "me", MemberStatus: glance.Rejected}, "-public" + mine + " to-me-shared-rejected you-public"},
		{"any member", glance.Query{ProjectID: "me", AnyMember: true}, "-public" + mine + " to-me-shared-accepted to-me-shared-pending to-me-shared-rejected you-public"},
		{"public", glance.Query{ProjectID: "me", Visibility: glance.Public}, "-public me-public you-public"},
		{"community", glance.Query{ProjectID: "me", Visibility: glance.Community}, "-community me-community you-community"},
		{"private", glance.Query{ProjectID: "me", Visibility: glance.Private}, "me-private"},
		{"shared", glance.Query{ProjectID: "me", Visibility: glance.Shared}, "me-shared to-me-shared-accepted"},
		{"shared, any", glance.Query{ProjectID: "me", Visibility: glance.Shared, AnyMember: true}, "me-shared to-me-shared-accepted to-me-shared-pending to-me-shared-rejected"},
		{"all visible", glance.Query{ProjectID: "me", AllVisible: true}, "-community -public" + mine + " to-me-shared-accepted you-community you-public"},
		{"no project", glance.Query{}, "-public me-public you-public"},
		{"no project, shared", glance.Query{Visibility: glance.Shared}, ""},
		{"stranger", glance.Query{ProjectID: "stranger"}, "-public me-public you-public"},
		{"admin", glance.Query{ProjectID: "me", Admin: true}, "-private -public -shared left" + mine + tome + " you-private you-public you-shared"},
		{"admin without project", glance.Query{Admin: true}, nobodys + " left me-private me-public me-shared" + tome + " you-private you-public you-shared"},
		{"admin, community", glance.Query{Admin: true, Visibility: glance.Community}, "-community me-community you-community"},
		{"admin, private", glance.Query{Admin: true, Visibility: glance.Private}, "-private me-private to-me-private-accepted to-me-private-pending to-me-private-rejected you-private"},
		{"admin, not public", glance.Query{Admin: true, AllVisible: true, NotPublic: true}, "-community -private -shared left me-community me-private me-shared" + tome + " you-community you-private you-shared"},
		{"not public", glance.Query{ProjectID: "me", NotPublic: true}, "me-community me-private me-shared to-me-shared-accepted"},
		{"admin, all visible", glance.Query{Admin: true, AllVisible: true}, nobodys + " left" + mine + tome + " you-community you-private you-public you-shared"},
	} {
		finds(t, c, test.what, test.q, test.want)
	}
}

// various makes four images that filters tell apart: a and b, c which is
// hidden, and one that was killed.
func various(t *testing.T, c glance.Catalog) {
	t.Helper()
	create(t, c,
		named(1, "a", func(im *glance.Image) {
			im.Size, im.DiskFormat, im.ContainerFormat = p(int64(10)), p("raw"), p("bare")
			im.MinRAM, im.MinDisk, im.Protected = 512, 5, true
			im.Properties = map[string]string{"os": "linux", "arch": "x86"}
			im.Tags = []string{"new", "lts"}
			im.Checksum, im.HashAlgo, im.HashValue = p("c1"), p("sha512"), p("h1")
			im.Owner, im.Visibility = p("me"), glance.Public
		}),
		named(2, "b", func(im *glance.Image) {
			im.Size, im.DiskFormat, im.ContainerFormat = p(int64(20)), p("qcow2"), p("ovf")
			im.Properties = map[string]string{"os": "linux", "arch": "arm"}
			im.Tags = []string{"lts"}
			im.CreatedAt = day.Add(time.Hour)
			im.UpdatedAt = day.Add(2 * time.Hour)
			im.Status = glance.Deactivated
		}),
		named(3, "c", func(im *glance.Image) {
			im.Properties = map[string]string{"os": "x86", "linux": "os"}
			im.Status = glance.Queued
			im.Hidden = true
		}),
		named(4, "killed", func(im *glance.Image) { im.Status = glance.Killed }))
	// What an image had once does not count.
	change(t, c, id(3), func(im *glance.Image) {
		im.Properties["arch"] = "x86"
		im.Tags = []string{"new"}
	})
	change(t, c, id(3), func(im *glance.Image) {
		delete(im.Properties, "arch")
		im.Tags = nil
	})
}

func listFilters(t *testing.T, c glance.Catalog) {
	various(t, c)
	f := func(attribute, op string, values ...string) glance.Query {
		return glance.Query{Filters: []glance.Filter{{Attribute: attribute, Op: op, Values: values}}}
	}
	hour := day.Add(time.Hour).Format(time.RFC3339)
	for _, test := range []struct {
		what string
		q    glance.Query
		want string
	}{
		{"nothing", glance.Query{}, "a b c"},
		{"name", f("name", "eq", "a"), "a"},
		{"name of none", f("name", "eq", "x"), ""},
		{"name in", f("name", "in", "a", "c", "x"), "a c"},
		{"name in none", f("name", "in"), ""},
		{"name not", f("name", "neq", "a"), "b c"},
		{"id", f("id", "eq", string(id(2))), "b"},
		{"id in", f("id", "in", string(id(2)), string(id(3))), "b c"},
		{"status", f("status", "eq", "queued"), "c"},
		{"status in", f("status", "in", "queued", "active"), "a c"},
		{"disk format", f("disk_format", "eq", "raw"), "a"},
		{"container format", f("container_format", "in", "ovf", "ami"), "b"},
		{"size", f("size", "eq", "10"), "a"},
		{"size above", f("size", "gt", "10"), "b"},
		{"size from", f("size", "gte", "10"), "a b"},
		{"size below", f("size", "lt", "20"), "a"},
		{"size to", f("size", "lte", "20"), "a b"},
		{"RAM", f("min_ram", "gte", "512"), "a"},
		{"disk", f("min_disk", "lte", "4"), "b c"},
		{"owner", f("owner", "eq", "me"), "a"},
		{"checksum", f("checksum", "eq", "c1"), "a"},
		{"hash", f("os_hash_value", "eq", "h1"), "a"},
		{"hash algorithm", f("os_hash_algo", "eq", "sha512"), "a"},
		{"protected", f("protected", "eq", "true"), "a"},
		{"not protected", f("protected", "eq", "false"), "b c"},
		{"created at", f("created_at", "eq", hour), "b"},
		{"created not at", f("created_at", "neq", hour), "a c"},
		{"created after", f("created_at", "gt", day.Format(time.RFC3339)), "b"},
		{"created from", f("created_at", "gte", hour), "b"},
		{"created before", f("created_at", "lt", hour), "a c"},
		{"created until", f("created_at", "lte", hour), "a b c"},
		{"updated after", f("updated_at", "lt", day.Add(time.Minute).Format(time.RFC3339)), "a"},
		{"two filters", glance.Query{Filters: []glance.Filter{
			{Attribute: "size", Op: "gte", Values: []string{"10"}},
			{Attribute: "name", Op: "in", Values: []string{"b", "c"}},
		}}, "b"},
		{"property", glance.Query{Properties: map[string]string{"os": "linux"}}, "a b"},
		{"properties", glance.Query{Properties: map[string]string{"os": "linux", "arch": "x86"}}, "a"},
		{"property that was", glance.Query{Properties: map[string]string{"arch": "x86"}}, "a"},
		{"tag", glance.Query{Tags: []string{"lts"}}, "a b"},
		{"tags", glance.Query{Tags: []string{"lts", "new"}}, "a"},
		{"tag that was", glance.Query{Tags: []string{"new"}}, "a"},
		{"hidden", glance.Query{Hidden: p(true)}, "c"},
		{"not hidden", glance.Query{Hidden: p(false)}, "a b"},
		{"statuses", glance.Query{Statuses: []glance.Status{glance.Killed, glance.Queued}}, "c killed"},
	} {
		test.q.Admin = true
		finds(t, c, test.what, test.q, test.want)
	}
}

func listRefuses(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	for _, q := range []glance.Query{
		{Filters: []glance.Filter{{Attribute: "colour", Op: "eq", Values: []string{"x"}}}},
		{Filters: []glance.Filter{{Attribute: "1=1 OR i.id", Op: "eq", Values: []string{"x"}}}},
		{Filters: []glance.Filter{{Attribute: "name", Op: "like", Values: []string{"x"}}}},
		{Filters: []glance.Filter{{Attribute: "name", Op: "eq"}}},
		{Filters: []glance.Filter{{Attribute: "name", Op: "eq", Values: []string{"x", "y"}}}},
		{Filters: []glance.Filter{{Attribute: "size", Op: "gte", Values: []string{"many"}}}},
		{Filters: []glance.Filter{{Attribute: "created_at", Op: "gte", Values: []string{"yesterday"}}}},
		{Filters: []glance.Filter{{Attribute: "protected", Op: "eq", Values: []string{"maybe"}}}},
		{Sort: []glance.SortKey{{Attribute: "colour"}}},
		{Sort: []glance.SortKey{{Attribute: "id; DROP TABLE images"}}},
		{Sort: []glance.SortKey{{Attribute: "owner"}}},
	} {
		q.Admin, q.Limit = true, -1
		_, err := c.List(t.Context(), q)
		is(t, fmt.Sprintf("List(%+v)", q), err, glance.ErrInvalid)
	}
}

func listDeleted(t *testing.T, c glance.Catalog) {
	create(t, c,
		named(1, "live", nil),
		named(2, "gone", func(im *glance.Image) { im.Properties, im.Tags = map[string]string{"k": "v"}, []string{"t"} }),
		named(3, "waiting", nil))
	change(t, c, id(2), func(im *glance.Image) { im.Status = glance.Deleted })
	_, after := change(t, c, id(3), func(im *glance.Image) { im.Status = glance.PendingDelete })
	finds(t, c, "live", glance.Query{Admin: true}, "live")
	finds(t, c, "deleted too", glance.Query{Admin: true, Deleted: true}, "gone live waiting")
	finds(t, c, "property of a deleted one", glance.Query{Admin: true, Deleted: true, Properties: map[string]string{"k": "v"}, Tags: []string{"t"}}, "gone")
	before := func(t time.Time) glance.Query {
		return glance.Query{Admin: true, Deleted: true, Statuses: []glance.Status{glance.PendingDelete},
			Filters: []glance.Filter{{Attribute: "deleted_at", Op: "lt", Values: []string{t.Format(time.RFC3339)}}}}
	}
	finds(t, c, "waiting for long enough", before(after.UpdatedAt.Add(time.Second)), "waiting")
	finds(t, c, "waiting for longer", before(after.UpdatedAt), "")
}

// listBelongings checks that each image of a long list comes with its own.
func listBelongings(t *testing.T, c glance.Catalog) {
	const n = 520
	var want []*glance.Image
	for i := range n {
		im := full(i)
		im.CreatedAt = day.Add(time.Duration(i) * time.Second)
		im.Properties["n"] = fmt.Sprint(i)
		im.Tags = append(im.Tags, fmt.Sprintf("z%d", i))
		im.Locations[0].URL = fmt.Sprintf("file:///images/%d", i)
		create(t, c, im)
		want = append(want, im)
	}
	list, err := c.List(t.Context(), glance.Query{Admin: true, Limit: -1, Sort: []glance.SortKey{{Attribute: "created_at"}}})
	if err != nil || len(list) != n {
		t.Fatalf("List = %d images, %v; want %d", len(list), err, n)
	}
	for i := range list {
		same(t, fmt.Sprintf("image %d of a list", i), list[i], want[i])
	}
}

func listLimits(t *testing.T, c glance.Catalog) {
	public := func(im *glance.Image) { im.Visibility = glance.Public }
	create(t, c,
		named(1, "a", public),
		named(2, "b", public),
		named(3, "c", public),
		named(4, "mine", func(im *glance.Image) { im.Owner, im.Visibility = p("me"), glance.Private }),
		named(5, "community", func(im *glance.Image) { im.Owner, im.Visibility = p("you"), glance.Community }),
		named(6, "theirs", func(im *glance.Image) { im.Owner, im.Visibility = p("you"), glance.Private }),
		named(7, "gone", nil))
	change(t, c, id(7), func(im *glance.Image) { im.Status = glance.Deleted })
	sorted := []glance.SortKey{{Attribute: "id"}}
	for _, test := range []struct {
		what string
		q    glance.Query
		want string
	}{
		{"limit 0", glance.Query{Limit: 0}, ""},
		{"limit 2", glance.Query{Limit: 2}, "a b"},
		{"no limit", glance.Query{Limit: -1}, "a b c"},
		{"after b", glance.Query{Limit: -1, Marker: id(2)}, "c"},
		{"after the last", glance.Query{Limit: -1, Marker: id(3)}, ""},
		{"after one that the filter leaves out", glance.Query{Limit: -1, Marker: id(1), Filters: []glance.Filter{{Attribute: "name", Op: "eq", Values: []string{"c"}}}}, "c"},
		{"own marker", glance.Query{Limit: -1, Marker: id(4), ProjectID: "me"}, ""},
		{"marker seen though not listed", glance.Query{Limit: -1, Marker: id(5), ProjectID: "me"}, ""},
		{"admin's marker", glance.Query{Limit: -1, Marker: id(5), Admin: true}, "theirs"},
		{"admin's marker that is deleted", glance.Query{Limit: -1, Marker: id(7), Admin: true}, ""},
		{"deleted marker", glance.Query{Limit: -1, Marker: id(6), Admin: true, Deleted: true}, "gone"},
	} {
		test.q.Sort = sorted
		if got := strings.Join(names(t, c, test.q), " "); got != test.want {
			t.Errorf("List(%s) = %q; want %q", test.what, got, test.want)
		}
	}
	for what, q := range map[string]glance.Query{
		"unknown":                         {Marker: id(99), Admin: true},
		"another project's":               {Marker: id(6), ProjectID: "me"},
		"deleted":                         {Marker: id(7), ProjectID: "me"},
		"a project's, to one without one": {Marker: id(4)},
	} {
		q.Limit = -1
		_, err := c.List(t.Context(), q)
		is(t, "List after a marker that is "+what, err, glance.ErrNotFound)
	}
}

// listPages walks through images that tie in everything, and have nulls.
func listPages(t *testing.T, c glance.Catalog) {
	var all []*glance.Image
	for i := range 24 {
		im := named(i*7%24, "", func(im *glance.Image) {
			im.Name = pick(i, nil, p("b"), p("a"), p(""))
			im.Size = pick(i/2, nil, p(int64(2)), p(int64(1)), nil)
			im.DiskFormat = pick(i/3, p("raw"), nil)
			im.ContainerFormat = pick(i/5, p("bare"), p("ovf"), nil)
			im.Status = pick(i, glance.Active, glance.Queued, glance.Saving)
			im.CreatedAt = day.Add(time.Duration(i/4) * time.Second)
			im.UpdatedAt = day.Add(time.Duration(i/6) * time.Hour)
		})
		create(t, c, im)
		all = append(all, im)
	}
	orders := [][]glance.SortKey{nil}
	for _, a := range []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"} {
		for _, d := range []bool{false, true} {
			orders = append(orders,
				[]glance.SortKey{{Attribute: a, Descending: d}},
				[]glance.SortKey{{Attribute: "disk_format", Descending: !d}, {Attribute: a, Descending: d}},
				[]glance.SortKey{{Attribute: "size", Descending: d}, {Attribute: a, Descending: d}, {Attribute: "name", Descending: !d}})
		}
	}
	for _, order := range orders {
		want := sorted(all, order)
		for _, limit := range []int{-1, 1, 5, 24} {
			got := walk(t, c, order, limit)
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("pages of %d sorted by %+v (-want +got):\n%s", limit, order, diff)
			}
		}
	}
}

func pick[T any](i int, list ...T) T { return list[i%len(list)] }

// walk returns the IDs of all images, read in pages.
func walk(t *testing.T, c glance.Catalog, order []glance.SortKey, limit int) []glance.ID {
	t.Helper()
	var ids []glance.ID
	q := glance.Query{Admin: true, Sort: order, Limit: limit}
	for range 100 {
		list, err := c.List(t.Context(), q)
		if err != nil {
			t.Fatalf("List(%+v): %v", q, err)
		}
		for _, im := range list {
			ids = append(ids, im.ID)
		}
		if limit < 0 || len(list) < limit {
			return ids
		}
		q.Marker = ids[len(ids)-1]
	}
	t.Fatalf("pages of %d sorted by %+v have no end", limit, order)
	return nil
}

// sorted returns the IDs of images in an order: nulls before all values, ties
// broken by the time of creation and the ID in the direction of the last key.
func sorted(images []*glance.Image, order []glance.SortKey) []glance.ID {
	last := true
	if len(order) > 0 {
		last = order[len(order)-1].Descending
	}
	order = append(slices.Clone(order), glance.SortKey{Attribute: "created_at", Descending: last}, glance.SortKey{Attribute: "id", Descending: last})
	images = slices.Clone(images)
	slices.SortFunc(images, func(a, b *glance.Image) int {
		for _, k := range order {
			r := compare(a, b, k.Attribute)
			if k.Descending {
				r = -r
			}
			if r != 0 {
				return r
			}
		}
		return 0
	})
	var ids []glance.ID
	for _, im := range images {
		ids = append(ids, im.ID)
	}
	return ids
}

func compare(a, b *glance.Image, attribute string) int {
	switch attribute {
	case "name":
		return nullable(a.Name, b.Name)
	case "status":
		return cmp.Compare(a.Status, b.Status)
	case "container_format":
		return nullable(a.ContainerFormat, b.ContainerFormat)
	case "disk_format":
		return nullable(a.DiskFormat, b.DiskFormat)
	case "size":
		return nullable(a.Size, b.Size)
	case "created_at":
		return a.CreatedAt.Compare(b.CreatedAt)
	case "updated_at":
		return a.UpdatedAt.Compare(b.UpdatedAt)
	}
	return cmp.Compare(a.ID, b.ID)
}

func nullable[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}
