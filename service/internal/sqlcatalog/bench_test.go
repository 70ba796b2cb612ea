package sqlcatalog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"glancectl/service/glance"
)

// imageID is the ID of image n of a filled catalog.
func imageID(n int) glance.ID {
	return glance.ID(fmt.Sprintf("%08x-0000-4000-8000-%012d", n*2654435761%(1<<32), n))
}

// fill puts n images into an empty catalog, one a minute, each with two
// properties, a tag and a location: of a hundred projects, one in ten public.
func fill(b *testing.B, c *Catalog, n int) {
	b.Helper()
	const batch = 500
	for from := 0; from < n; from += batch {
		tables := map[string][]string{}
		for i := from; i < min(n, from+batch); i++ {
			at := day.Add(time.Duration(i) * time.Minute).Format("'2006-01-02 15:04:05.000000'")
			id := imageID(i)
			visibility := "shared"
			if i%3000 == 7 {
				visibility = "private"
			}
			if i%10 == 0 {
				visibility = "public"
			}
			tables[`images (id, name, disk_format, container_format, size, status, visibility, min_disk, min_ram, owner, protected, os_hidden, created_at, updated_at, deleted)`] =
				append(tables[`images (id, name, disk_format, container_format, size, status, visibility, min_disk, min_ram, owner, protected, os_hidden, created_at, updated_at, deleted)`],
					fmt.Sprintf(`('%s', 'image %06d', 'qcow2', 'bare', %d, 'active', '%s', 0, 0, 'project-%d', 0, 0, %s, %s, 0)`, id, i*7919%n, i, visibility, i%100, at, at))
			tables[`image_properties (image_id, name, value, created_at, updated_at, deleted)`] = append(tables[`image_properties (image_id, name, value, created_at, updated_at, deleted)`],
				fmt.Sprintf(`('%s', 'os_distro', 'distro-%d', %s, %s, 0)`, id, i%4, at, at),
				fmt.Sprintf(`('%s', 'build', 'b%d', %s, %s, 0)`, id, i, at, at))
			tables[`image_tags (image_id, value, created_at, updated_at, deleted)`] = append(tables[`image_tags (image_id, value, created_at, updated_at, deleted)`],
				fmt.Sprintf(`('%s', 'lts', %s, %s, 0)`, id, at, at))
			tables[`image_locations (image_id, value, meta_data, status, created_at, updated_at, deleted)`] = append(tables[`image_locations (image_id, value, meta_data, status, created_at, updated_at, deleted)`],
				fmt.Sprintf(`('%s', 'file:///var/lib/glance/images/%s', '{"store": "file"}', 'active', %s, %s, 0)`, id, id, at, at))
		}
		for _, table := range []string{"images", "image_properties", "image_tags", "image_locations"} {
			for head, rows := range tables {
				if strings.HasPrefix(head, table+" ") {
					mustExec(b, c, `INSERT INTO `+head+` VALUES `+strings.Join(rows, ", "))
				}
			}
		}
	}
}

var day = time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)

// BenchmarkList reads pages of 25. How many images there are, and how far into
// the list a page is, should make little difference.
func BenchmarkList(b *testing.B) {
	for _, kind := range []string{"sqlite", "mariadb"} {
		for _, n := range []int{1_000, 100_000} {
			url := sqliteURL(b)
			if kind == "mariadb" {
				if url = mariaDB(b); url == "" {
					continue
				}
				wipe(b, url)
			}
			c := synced(b, url)
			fill(b, c, n)
			last := imageID(25)
			for _, q := range []struct {
				name string
				q    glance.Query
			}{
				{"admin", glance.Query{Admin: true}},
				{"admin-filter", glance.Query{Admin: true, Filters: []glance.Filter{{Attribute: "name", Op: "eq", Values: []string{"image 000017"}}}}},
				{"admin-last", glance.Query{Admin: true, Marker: last}},
				{"project", glance.Query{ProjectID: "project-7"}},
				{"project-last", glance.Query{ProjectID: "project-7", Marker: imageID(300)}},
				{"project-few", glance.Query{ProjectID: "project-7", Visibility: glance.Private}},
				{"property", glance.Query{Admin: true, Properties: map[string]string{"os_distro": "distro-1"}}},
				{"property-last", glance.Query{Admin: true, Properties: map[string]string{"os_distro": "distro-1"}, Marker: imageID(101)}},
				{"property-name", glance.Query{Admin: true, Properties: map[string]string{"os_distro": "distro-1"}, Sort: []glance.SortKey{{Attribute: "name"}}}},
			} {
				q.q.Limit, q.q.Hidden = 25, new(bool)
				b.Run(fmt.Sprintf("%s/%d/%s", kind, n, q.name), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						list, err := c.List(b.Context(), q.q)
						if err != nil || len(list) == 0 {
							b.Fatalf("List = %d images, %v", len(list), err)
						}
					}
				})
			}
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, kind := range []string{"sqlite", "mariadb"} {
		url := sqliteURL(b)
		if kind == "mariadb" {
			if url = mariaDB(b); url == "" {
				continue
			}
			wipe(b, url)
		}
		c := synced(b, url)
		fill(b, c, 1000)
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Get(b.Context(), imageID(500), false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
