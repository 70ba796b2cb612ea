package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// Create implements metadef.Catalog.
func (m *Metadefs) Create(ctx context.Context, ns *metadef.Namespace) error {
	now := m.c.time()
	var id int64
	err := m.c.write(ctx, func(tx *sql.Tx) error {
		w := metadefWriter{m.c.target.dialect, tx, now}
		var err error
		if id, err = w.insert(ctx, "metadef_namespaces", slices.Concat(namespaceRow(ns), w.stamps())); err != nil {
			return err
		}
		return w.write(ctx, id, contents{}, contentsOf(ns))
	})
	if err != nil {
		return fmt.Errorf("create namespace %s: %w", ns.Name, exists(err))
	}
	ns.ID, ns.CreatedAt, ns.UpdatedAt = id, now, now
	return nil
}

// exists returns ErrExists when a unique key refused a row.
func exists(err error) error {
	if duplicate(err) {
		return fmt.Errorf("%w: %v", glance.ErrExists, err)
	}
	return err
}

// Update implements metadef.Catalog.
func (m *Metadefs) Update(ctx context.Context, name string, change func(ns *metadef.Namespace) error) (changed *metadef.Namespace, err error) {
	d := m.c.target.dialect
	err = m.c.write(ctx, func(tx *sql.Tx) error {
		ns, err := d.namespace(ctx, tx, name, d.forUpdate)
		if err != nil {
			return err
		}
		self, before := namespaceRow(ns), contentsOf(ns)
		if err := change(ns); err != nil {
			return err
		}
		w := metadefWriter{d, tx, m.c.time()}
		if after := namespaceRow(ns); !after.equal(self) {
			if err := w.update(ctx, "metadef_namespaces", ns.ID, after); err != nil {
				return err
			}
		}
		if err := w.write(ctx, ns.ID, before, contentsOf(ns)); err != nil {
			return err
		}
		changed, err = d.namespace(ctx, tx, ns.Name, "")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, exists(err))
	}
	return changed, nil
}

// Remove implements metadef.Catalog.
func (m *Metadefs) Remove(ctx context.Context, name string, check func(ns *metadef.Namespace) error) error {
	d := m.c.target.dialect
	err := m.c.write(ctx, func(tx *sql.Tx) error {
		ns, err := d.namespace(ctx, tx, name, d.forUpdate)
		if err != nil {
			return err
		}
		if err := check(ns); err != nil {
			return err
		}
		for _, table := range []string{"metadef_namespace_resource_types", "metadef_properties", "metadef_objects", "metadef_tags"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE namespace_id = ?`, ns.ID); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM metadef_namespaces WHERE id = ?`, ns.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	return nil
}

// A row is what stands in a table, column by column.
type row []struct {
	column string
	value  any // text, number, truth or nil
}

func (r row) equal(s row) bool { return slices.Equal(r, s) }

func namespaceRow(ns *metadef.Namespace) row {
	return row{
		{"namespace", ns.Name}, {"display_name", orNull(ns.DisplayName)}, {"description", orNull(ns.Description)},
		{"visibility", string(ns.Visibility)}, {"protected", ns.Protected}, {"owner", ns.Owner},
	}
}

// Contents are the rows of what a namespace holds, by their numbers; those of
// new ones are negative.
type contents struct {
	associations map[int64]association
	tables       [3]map[int64]row // as in contentTables
}

// contentTables are the tables of what a namespace holds.
var contentTables = [3]string{"metadef_properties", "metadef_objects", "metadef_tags"}

// An association is a row of its table, and of the type of resource if that
// has to be made.
type association struct {
	name      string
	protected bool
	row       row
}

func contentsOf(ns *metadef.Namespace) contents {
	c := contents{associations: make(map[int64]association)}
	for i := range c.tables {
		c.tables[i] = make(map[int64]row)
	}
	for i, a := range ns.Associations {
		c.associations[key(a.ID, i)] = association{a.Name, a.Protected, row{{"prefix", orNull(a.Prefix)}, {"properties_target", orNull(a.PropertiesTarget)}}}
	}
	for i, p := range ns.Properties {
		c.tables[0][key(p.ID, i)] = row{{"name", p.Name}, {"json_schema", p.Schema.Encode()}}
	}
	for i, o := range ns.Objects {
		required := any(nil)
		if len(o.Required) > 0 {
			required = strings.Join(o.Required, ",")
		}
		c.tables[1][key(o.ID, i)] = row{{"name", o.Name}, {"description", orNull(o.Description)}, {"required", required}, {"json_schema", metadef.EncodeSchemas(o.Properties)}}
	}
	for i, t := range ns.Tags {
		c.tables[2][key(t.ID, i)] = row{{"name", t.Name}}
	}
	return c
}

// key is the number of an entry, or one for entry i that has none yet.
func key(id int64, i int) int64 {
	if id == 0 {
		return -1 - int64(i)
	}
	return id
}

// A metadefWriter changes the tables of metadata definitions.
type metadefWriter struct {
	dialect dialect
	tx      *sql.Tx
	at      time.Time
}

func (w metadefWriter) now() any { return w.dialect.time(w.at) }

// write makes the rows of a namespace what they are after. Removals come
// first: they free names for what is new or changed.
func (w metadefWriter) write(ctx context.Context, namespace int64, before, after contents) error {
	if err := w.writeAssociations(ctx, namespace, before.associations, after.associations); err != nil {
		return err
	}
	for i, table := range contentTables {
		for _, id := range slices.Sorted(maps.Keys(before.tables[i])) {
			if _, stays := after.tables[i][id]; stays {
				continue
			}
			if _, err := w.tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE id = ?`, id); err != nil {
				return err
			}
		}
		for _, id := range inOrder(after.tables[i]) {
			r := after.tables[i][id]
			if id > 0 {
				if r.equal(before.tables[i][id]) {
					continue
				}
				if err := w.update(ctx, table, id, r); err != nil {
					return err
				}
				continue
			}
			if _, err := w.insert(ctx, table, slices.Concat(r, row{{"namespace_id", namespace}}, w.stamps())); err != nil {
				return err
			}
		}
	}
	return nil
}

// inOrder returns the keys of rows, those of new ones last and in the order in
// which they were added.
func inOrder[T any](rows map[int64]T) []int64 {
	return slices.SortedFunc(maps.Keys(rows), func(a, b int64) int { return int(b - a) })
}

func (w metadefWriter) writeAssociations(ctx context.Context, namespace int64, before, after map[int64]association) error {
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if _, stays := after[id]; stays {
			continue
		}
		_, err := w.tx.ExecContext(ctx, `DELETE FROM metadef_namespace_resource_types WHERE resource_type_id = ? AND namespace_id = ?`, id, namespace)
		if err != nil {
			return err
		}
	}
	for _, id := range inOrder(after) {
		a := after[id]
		if id > 0 {
			if a.row.equal(before[id].row) {
				continue
			}
			_, err := w.tx.ExecContext(ctx, `UPDATE metadef_namespace_resource_types SET prefix = ?, properties_target = ?, updated_at = ?
				WHERE resource_type_id = ? AND namespace_id = ?`, a.row[0].value, a.row[1].value, w.now(), id, namespace)
			if err != nil {
				return err
			}
			continue
		}
		resourceType, err := w.resourceType(ctx, a)
		if err != nil {
			return err
		}
		r := slices.Concat(a.row, row{{"resource_type_id", resourceType}, {"namespace_id", namespace}}, w.stamps())
		if _, err := w.insert(ctx, "metadef_namespace_resource_types", r); err != nil {
			return err
		}
	}
	return nil
}

// resourceType returns the number of a type of resource, which it makes if
// there is none.
func (w metadefWriter) resourceType(ctx context.Context, a association) (id int64, err error) {
	find := func() error {
		// The row is held, so that Clear does not take it away meanwhile; and a
		// row that another transaction has just added is seen only this way.
		return w.tx.QueryRowContext(ctx, `SELECT id FROM metadef_resource_types WHERE name = ?`+w.dialect.forUpdate, a.name).Scan(&id)
	}
	if err := find(); !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	id, err = w.insert(ctx, "metadef_resource_types", slices.Concat(row{{"name", a.name}, {"protected", a.protected}}, w.stamps()))
	if duplicate(err) {
		err = find()
	}
	return id, err
}

// stamps are the times of a new row.
func (w metadefWriter) stamps() row { return row{{"created_at", w.now()}, {"updated_at", w.now()}} }

// insert adds a row and returns its number. The names in it are the package's
// own.
func (w metadefWriter) insert(ctx context.Context, table string, r row) (int64, error) {
	columns, values := r.split()
	result, err := w.tx.ExecContext(ctx, `INSERT INTO `+table+` (`+strings.Join(columns, ", ")+`) VALUES (`+places(len(values))+`)`, values...)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// update changes the row of that number.
func (w metadefWriter) update(ctx context.Context, table string, id int64, r row) error {
	columns, values := slices.Concat(r, row{{"updated_at", w.now()}}).split()
	_, err := w.tx.ExecContext(ctx, `UPDATE `+table+` SET `+strings.Join(columns, " = ?, ")+` = ? WHERE id = ?`, append(values, id)...)
	return err
}

func (r row) split() (columns []string, values []any) {
	for _, c := range r {
		columns = append(columns, c.column)
		values = append(values, c.value)
	}
	return columns, values
}
