package sqlcatalog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// Metadefs is a metadef.Catalog in the same database as a Catalog. Close of
// the Catalog ends it, too.
type Metadefs struct{ c *Catalog }

// The suite in metadeftest holds Metadefs to the interface's comments.
var _ metadef.Catalog = (*Metadefs)(nil)

// Metadefs returns the catalog of metadata definitions in the database of c.
func (c *Catalog) Metadefs() *Metadefs { return &Metadefs{c} }

// namespaceColumns are what scanNamespace reads, of a table known as n.
const namespaceColumns = `n.id, n.namespace, n.display_name, n.description, n.visibility, n.protected, n.owner, n.created_at, n.updated_at`

func (d dialect) scanNamespace(scan func(dest ...any) error) (*metadef.Namespace, error) {
	ns := &metadef.Namespace{FoldCase: d.foldCase()}
	var created, updated stamp
	var visibility sql.NullString
	var protected sql.NullBool
	err := scan(&ns.ID, &ns.Name, &ns.DisplayName, &ns.Description, &visibility, &protected, &ns.Owner, &created, &updated)
	ns.Visibility, ns.Protected = glance.Visibility(cmp.Or(visibility.String, string(glance.Private))), protected.Bool
	ns.CreatedAt, ns.UpdatedAt = created.Time, updated.Time
	return ns, err
}

// foldCase tells whether names that differ only in case are the same.
func (d dialect) foldCase() bool { return d.name == "mysql" }

// namespaceOrder has what the rows of a table %[1]s are sorted by. Nulls come
// before all values, and two of them are equal.
var namespaceOrder = map[metadef.SortKey]string{
	"created_at":   "%[1]s.created_at",
	"updated_at":   "COALESCE(%[1]s.updated_at, '')",
	"namespace":    "%[1]s.namespace",
	"display_name": "COALESCE(%[1]s.display_name, '')",
	"description":  "COALESCE(%[1]s.description, '')",
	"visibility":   "COALESCE(%[1]s.visibility, '')",
	"protected":    "COALESCE(%[1]s.protected, 0)",
	"owner":        "%[1]s.owner",
	"id":           "%[1]s.id",
}

// Namespaces implements metadef.Catalog.
func (m *Metadefs) Namespaces(ctx context.Context, q metadef.Query) (list []*metadef.Namespace, err error) {
	order, ok := namespaceOrder[cmp.Or(q.Sort, metadef.SortKeys[0])]
	if !ok {
		return nil, fmt.Errorf("list namespaces: %w: no sort key %q", glance.ErrInvalid, q.Sort)
	}
	err = m.c.read(ctx, func(tx *sql.Tx) error {
		list, err = m.c.target.dialect.namespaces(ctx, tx, q, order)
		if err != nil {
			return err
		}
		return associations(ctx, tx, list...)
	})
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	return list, nil
}

// namespaces returns the rows that q selects, in an order of namespaceOrder.
func (d dialect) namespaces(ctx context.Context, tx *sql.Tx, q metadef.Query, order string) ([]*metadef.Namespace, error) {
	where := &condition{dialect: d}
	if q.Admin {
		where.and("1 = 1")
	} else {
		where.and("n.visibility = ? OR n.owner = ? AND n.owner <> ''", glance.Public, q.ProjectID)
	}
	if q.Marker != "" {
		var id int64
		err := tx.QueryRowContext(ctx, `SELECT n.id FROM metadef_namespaces n`+where.String()+` AND n.namespace = ?`,
			append(where.params(), q.Marker)...).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("marker %s: %w", q.Marker, glance.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		keys := order + `, %[1]s.created_at, %[1]s.id`
		where.and(`(`+fmt.Sprintf(keys, "n")+`)`+map[bool]string{true: " > ", false: " < "}[q.Ascending]+
			`(SELECT `+fmt.Sprintf(keys, "m")+` FROM metadef_namespaces m WHERE m.id = ?)`, id)
	}
	if q.Visibility != nil {
		where.and("n.visibility = ?", *q.Visibility)
	}
	if q.ResourceTypes != nil {
		where.and(`n.id IN (SELECT a.namespace_id FROM metadef_namespace_resource_types a
			JOIN metadef_resource_types t ON t.id = a.resource_type_id WHERE t.name IN (`+places(len(q.ResourceTypes))+`))`, anys(q.ResourceTypes)...)
	}
	direction := map[bool]string{true: "", false: " DESC"}[q.Ascending]
	rows, err := tx.QueryContext(ctx, `SELECT `+namespaceColumns+` FROM metadef_namespaces n`+where.String()+
		` ORDER BY `+fmt.Sprintf(order, "n")+direction+`, n.created_at`+direction+`, n.id`+direction+` LIMIT `+strconv.Itoa(max(q.Limit, 0)), where.params()...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []*metadef.Namespace
	for rows.Next() {
		ns, err := d.scanNamespace(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, ns)
	}
	return list, rows.Err()
}

// places returns n question marks.
func places(n int) string { return strings.TrimPrefix(strings.Repeat(", ?", n), ", ") }

// Namespace implements metadef.Catalog.
func (m *Metadefs) Namespace(ctx context.Context, name string) (ns *metadef.Namespace, err error) {
	err = m.c.read(ctx, func(tx *sql.Tx) error {
		ns, err = m.c.target.dialect.namespace(ctx, tx, name, "")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	return ns, nil
}

// namespace returns a namespace with all that it holds. What lock adds to the
// statement keeps the row from others.
func (d dialect) namespace(ctx context.Context, tx *sql.Tx, name, lock string) (*metadef.Namespace, error) {
	row := tx.QueryRowContext(ctx, `SELECT `+namespaceColumns+` FROM metadef_namespaces n WHERE n.namespace = ?`+lock, name)
	ns, err := d.scanNamespace(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, glance.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, *sql.Tx, *metadef.Namespace) error{
		func(ctx context.Context, tx *sql.Tx, ns *metadef.Namespace) error { return associations(ctx, tx, ns) },
		readProperties, readObjects, readTags,
	} {
		if err := read(ctx, tx, ns); err != nil {
			return nil, err
		}
	}
	return ns, nil
}

// associations reads the associations of all namespaces in list at once.
func associations(ctx context.Context, tx *sql.Tx, list ...*metadef.Namespace) error {
	if len(list) == 0 {
		return nil
	}
	byID := make(map[int64]*metadef.Namespace, len(list))
	ids := make([]any, 0, len(list))
	for _, ns := range list {
		byID[ns.ID] = ns
		ids = append(ids, ns.ID)
	}
	rows, err := tx.QueryContext(ctx, `SELECT a.namespace_id, t.id, t.name, a.prefix, a.properties_target, t.protected, a.created_at, a.updated_at
		FROM metadef_namespace_resource_types a JOIN metadef_resource_types t ON t.id = a.resource_type_id
		WHERE a.namespace_id IN (`+places(len(ids))+`) ORDER BY t.id`, ids...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var namespace int64
		a := new(metadef.Association)
		err := scanEntry(&a.Entry, func(created, updated *stamp) error {
			return rows.Scan(&namespace, &a.ID, &a.Name, &a.Prefix, &a.PropertiesTarget, &a.Protected, created, updated)
		})
		if err != nil {
			return err
		}
		ns := byID[namespace]
		ns.Associations = append(ns.Associations, a)
	}
	return rows.Err()
}

// scanEntry runs scan and sets the times of e.
func scanEntry(e *metadef.Entry, scan func(created, updated *stamp) error) error {
	var created, updated stamp
	err := scan(&created, &updated)
	e.CreatedAt, e.UpdatedAt = created.Time, updated.Time
	return err
}

func readProperties(ctx context.Context, tx *sql.Tx, ns *metadef.Namespace) error {
	rows, err := tx.QueryContext(ctx, `SELECT id, name, json_schema, created_at, updated_at
		FROM metadef_properties WHERE namespace_id = ? ORDER BY name, id`, ns.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		p := new(metadef.Property)
		var schema string
		err := scanEntry(&p.Entry, func(created, updated *stamp) error {
			return rows.Scan(&p.ID, &p.Name, &schema, created, updated)
		})
		if err != nil {
			return err
		}
		if p.Schema, err = metadef.DecodeSchema(schema); err != nil {
			return fmt.Errorf("property %s: %w", p.Name, err)
		}
		ns.Properties = append(ns.Properties, p)
	}
	return rows.Err()
}

func readObjects(ctx context.Context, tx *sql.Tx, ns *metadef.Namespace) error {
	rows, err := tx.QueryContext(ctx, `SELECT id, name, description, required, json_schema, created_at, updated_at
		FROM metadef_objects WHERE namespace_id = ? ORDER BY name, id`, ns.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		o := &metadef.Object{Required: []string{}}
		var schemas string
		var required sql.NullString
		err := scanEntry(&o.Entry, func(created, updated *stamp) error {
			return rows.Scan(&o.ID, &o.Name, &o.Description, &required, &schemas, created, updated)
		})
		if err != nil {
			return err
		}
		if required.String != "" {
			o.Required = strings.Split(required.String, ",")
		}
		if o.Properties, err = metadef.DecodeSchemas(schemas); err != nil {
			return fmt.Errorf("object %s: %w", o.Name, err)
		}
		ns.Objects = append(ns.Objects, o)
	}
	return rows.Err()
}

func readTags(ctx context.Context, tx *sql.Tx, ns *metadef.Namespace) error {
	rows, err := tx.QueryContext(ctx, `SELECT id, name, created_at, updated_at FROM metadef_tags WHERE namespace_id = ? ORDER BY id`, ns.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		t := new(metadef.Tag)
		err := scanEntry(&t.Entry, func(created, updated *stamp) error { return rows.Scan(&t.ID, &t.Name, created, updated) })
		if err != nil {
			return err
		}
		ns.Tags = append(ns.Tags, t)
	}
	return rows.Err()
}

// ResourceTypes implements metadef.Catalog.
func (m *Metadefs) ResourceTypes(ctx context.Context) (list []metadef.ResourceType, err error) {
	err = m.c.read(ctx, func(tx *sql.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT id, name, protected, created_at, updated_at FROM metadef_resource_types ORDER BY id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var t metadef.ResourceType
			err := scanEntry(&t.Entry, func(created, updated *stamp) error {
				return rows.Scan(&t.ID, &t.Name, &t.Protected, created, updated)
			})
			if err != nil {
				return err
			}
			list = append(list, t)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list resource types: %w", err)
	}
	return list, nil
}

// Clear implements metadef.Catalog.
func (m *Metadefs) Clear(ctx context.Context) error {
	err := m.c.write(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{
			"metadef_namespace_resource_types", "metadef_properties", "metadef_objects", "metadef_tags",
			"metadef_namespaces", "metadef_resource_types",
		} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("clear metadata definitions: %w", err)
	}
	return nil
}
