package sqlcatalog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
	"glancectl/service/glance/metadeftest"
)

func TestMetadefsSQLite(t *testing.T) {
	metadeftest.Run(t, func(t *testing.T) metadef.Catalog { return synced(t, sqliteURL(t)).Metadefs() })
}

func TestMetadefsMariaDB(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	wipe(t, url)
	c := synced(t, url)
	metadeftest.Run(t, func(t *testing.T) metadef.Catalog {
		m := c.Metadefs()
		if err := m.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		return m
	})
}

// The rows are what OpenStack Glance expects to find in them.
func TestMetadefRows(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		prefix := "hw_"
		ns := &metadef.Namespace{
			Entry: metadef.Entry{Name: "ns"}, Visibility: glance.Public, Owner: "admin",
			Associations: []*metadef.Association{{Entry: metadef.Entry{Name: "R"}, Prefix: &prefix, Protected: true}},
			Properties:   []*metadef.Property{{Entry: metadef.Entry{Name: "p"}, Schema: metadef.Schema{"type": "string", "title": "é<😀"}}},
			Objects:      []*metadef.Object{{Entry: metadef.Entry{Name: "o"}, Required: []string{"a", "b"}}, {Entry: metadef.Entry{Name: "q"}}},
			Tags:         []*metadef.Tag{{Entry: metadef.Entry{Name: "t"}}},
		}
		if err := c.Metadefs().Create(t.Context(), ns); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string][]string{
			`SELECT CONCAT(namespace, ' ', visibility, ' ', protected, ' ', owner) FROM metadef_namespaces`: {"ns public 0 admin"},
			`SELECT CONCAT(name, ' ', protected) FROM metadef_resource_types`:                               {"R 1"},
			`SELECT CONCAT(prefix, ' ', properties_target IS NULL) FROM metadef_namespace_resource_types`:   {"hw_ 1"},
			`SELECT json_schema FROM metadef_properties`:                                                    {`{"title":"\u00e9<\ud83d\ude00","type":"string"}`},
			`SELECT CONCAT(name, ' ', COALESCE(required, 'NULL'), ' ', json_schema) FROM metadef_objects`:   {"o a,b {}", "q NULL {}"},
			`SELECT CONCAT(name, ' ', created_at = updated_at) FROM metadef_tags`:                           {"t 1"},
		} {
			if diff := cmp.Diff(want, cells(t, c, query)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
	})
}

// Rows that OpenStack Glance has written, also those from files, can be read.
func TestForeignMetadefRows(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		for _, statement := range []string{
			`INSERT INTO metadef_namespaces (id, namespace, owner, created_at) VALUES (7, 'ns', 'admin', '2024-02-29 23:59:58')`,
			`INSERT INTO metadef_properties (namespace_id, name, json_schema, created_at) VALUES (7, 'p',
				'{"default": 1, "enum": [1, true, "c"], "color": "red", "type": "integer", "title": "P", "minimum": 0.5, "maximum": 2.0, "items": {"type": "string", "x": 1}, "pattern": null}', '2024-02-29 23:59:58')`,
			`INSERT INTO metadef_objects (namespace_id, name, json_schema, created_at) VALUES (7, 'o', 'null', '2024-02-29 23:59:58')`,
		} {
			mustExec(t, c, statement)
		}
		ns, err := c.Metadefs().Namespace(t.Context(), "ns")
		if err != nil {
			t.Fatal(err)
		}
		const want = `{"default":"1","enum":["1","True","c"],"items":{"type":"string"},"maximum":2,"minimum":0.5,"title":"P","type":"integer"}`
		if got := ns.Properties[0].Schema.Encode(); got != want {
			t.Errorf("schema is %s; want %s", got, want)
		}
		if ns.Visibility != glance.Private || ns.Protected || !ns.UpdatedAt.IsZero() || ns.CreatedAt.IsZero() || ns.Objects[0].Properties == nil {
			t.Errorf("namespace is %+v, object %+v", ns, ns.Objects[0])
		}
		mustExec(t, c, `UPDATE metadef_properties SET json_schema = '[1'`)
		if _, err := c.Metadefs().Namespace(t.Context(), "ns"); err == nil || !strings.Contains(err.Error(), "property p") {
			t.Errorf("Namespace with a broken schema: %v; want which it is", err)
		}
	})
}

// To MySQL a name in another case is the same name.
func TestMetadefCase(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		m := synced(t, url).Metadefs()
		fold := strings.HasPrefix(url, "mysql")
		d := metadef.New(m, metadef.Options{})
		ctx := glance.WithCaller(t.Context(), glance.Caller{Admin: true, ProjectID: "p"})
		if err := d.Create(ctx, &metadef.Namespace{Entry: metadef.Entry{Name: "ns"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.AddTag(ctx, "ns", "Tag"); err != nil {
			t.Fatal(err)
		}
		_, twice := d.AddTag(ctx, "ns", "tAG")
		_, found := d.Tag(ctx, "ns", "taG")
		again := d.Create(ctx, &metadef.Namespace{Entry: metadef.Entry{Name: "NS"}})
		_, accent := d.AddTag(ctx, "ns", "tàg")
		for what, err := range map[string]error{"AddTag": twice, "Create": again, "AddTag with an accent": accent} {
			if (err != nil) != fold {
				t.Errorf("%s with a name in another case: %v; refused: %t", what, err, fold)
			}
		}
		if (found == nil) != fold {
			t.Errorf("Tag by a name in another case: %v; found: %t", found, fold)
		}
	})
}
