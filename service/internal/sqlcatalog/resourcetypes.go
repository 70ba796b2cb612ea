package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// AddResourceType implements metadef.Catalog.
func (m *Metadefs) AddResourceType(ctx context.Context, t *metadef.ResourceType) error {
	now := m.c.time()
	err := m.c.write(ctx, func(tx *sql.Tx) (err error) {
		w := metadefWriter{m.c.target.dialect, tx, now}
		t.ID, err = w.insert(ctx, "metadef_resource_types", slices.Concat(row{{"name", t.Name}, {"protected", t.Protected}}, w.stamps()))
		return err
	})
	if err != nil {
		t.ID = 0
		return fmt.Errorf("create resource type %s: %w", t.Name, exists(err))
	}
	t.CreatedAt, t.UpdatedAt = now, now
	return nil
}

// RemoveResourceType implements metadef.Catalog. The row is held before it is
// looked who has it, as by those who are about to.
func (m *Metadefs) RemoveResourceType(ctx context.Context, name string, check func(t metadef.ResourceType) error) (t metadef.ResourceType, err error) {
	err = m.c.write(ctx, func(tx *sql.Tx) error {
		err := scanEntry(&t.Entry, func(created, updated *stamp) error {
			return tx.QueryRowContext(ctx, `SELECT id, name, protected, created_at, updated_at FROM metadef_resource_types WHERE name = ?`+m.c.target.dialect.forUpdate, name).
				Scan(&t.ID, &t.Name, &t.Protected, created, updated)
		})
		if errors.Is(err, sql.ErrNoRows) {
			return glance.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := check(t); err != nil {
			return err
		}
		var has int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM metadef_namespace_resource_types WHERE resource_type_id = ?`, t.ID).Scan(&has); err != nil {
			return err
		}
		if has > 0 {
			return fmt.Errorf("%d namespaces have it: %w", has, glance.ErrConflict)
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM metadef_resource_types WHERE id = ?`, t.ID)
		return err
	})
	if err != nil {
		return t, fmt.Errorf("remove resource type %s: %w", name, err)
	}
	return t, nil
}
