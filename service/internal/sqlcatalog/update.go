package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"glancectl/service/glance"
)

// A change is a column of images and its new value.
type change struct {
	column string
	value  any
}

// changes returns the columns that differ.
func changes(before, after *glance.Image) []change {
	var list []change
	add := func(differs bool, column string, value any) {
		if differs {
			list = append(list, change{column, value})
		}
	}
	add(differ(before.Name, after.Name), "name", after.Name)
	add(differ(before.DiskFormat, after.DiskFormat), "disk_format", after.DiskFormat)
	add(differ(before.ContainerFormat, after.ContainerFormat), "container_format", after.ContainerFormat)
	add(differ(before.Size, after.Size), "size", after.Size)
	add(differ(before.VirtualSize, after.VirtualSize), "virtual_size", after.VirtualSize)
	add(before.Status != after.Status, "status", after.Status)
	add(before.Visibility != after.Visibility, "visibility", after.Visibility)
	add(differ(before.Checksum, after.Checksum), "checksum", after.Checksum)
	add(differ(before.HashAlgo, after.HashAlgo), "os_hash_algo", after.HashAlgo)
	add(differ(before.HashValue, after.HashValue), "os_hash_value", after.HashValue)
	add(before.MinDisk != after.MinDisk, "min_disk", after.MinDisk)
	add(before.MinRAM != after.MinRAM, "min_ram", after.MinRAM)
	add(differ(before.Owner, after.Owner), "owner", after.Owner)
	add(before.Protected != after.Protected, "protected", after.Protected)
	add(before.Hidden != after.Hidden, "os_hidden", after.Hidden)
	return list
}

func differ[T comparable](a, b *T) bool {
	return (a == nil) != (b == nil) || a != nil && *a != *b
}

// Update implements glance.Catalog. An image in status PendingDelete counts as
// deleted, as it does for OpenStack Glance: Update takes it on to Deleted, and
// back to life with what it had. after.DeletedAt is set accordingly.
func (c *Catalog) Update(ctx context.Context, before, after *glance.Image) error {
	if before.ID != after.ID {
		return fmt.Errorf("update image %s: %w: the ID cannot change", before.ID, glance.ErrInvalid)
	}
	if err := c.check(after); err != nil {
		return fmt.Errorf("update image %s: %w", after.ID, err)
	}
	now := c.time()
	im := *after
	im.UpdatedAt = now
	switch {
	case !gone(after.Status):
		im.DeletedAt = nil
	case !gone(before.Status):
		im.DeletedAt = &now
	default:
		im.DeletedAt = before.DeletedAt
	}
	err := c.write(ctx, func(tx *sql.Tx) error {
		if err := c.updateRow(ctx, tx, before, &im); err != nil {
			return err
		}
		if err := c.updateBelongings(ctx, tx, before, &im); err != nil {
			return err
		}
		return c.claim(ctx, tx, before, &im)
	})
	if err != nil {
		return fmt.Errorf("update image %s: %w", after.ID, err)
	}
	after.UpdatedAt, after.DeletedAt = im.UpdatedAt, im.DeletedAt
	return nil
}

// updateRow changes the row of images; it is the first statement of the
// transaction, so that updates of one image come one after the other.
func (c *Catalog) updateRow(ctx context.Context, tx *sql.Tx, before, after *glance.Image) error {
	d := c.target.dialect
	set := []string{"updated_at = ?"}
	args := []any{d.time(after.UpdatedAt)}
	for _, ch := range changes(before, after) {
		set = append(set, ch.column+" = ?")
		args = append(args, ch.value)
	}
	if gone(before.Status) != gone(after.Status) {
		set = append(set, "deleted = ?", "deleted_at = ?")
		args = append(args, gone(after.Status), d.timeOrNull(after.DeletedAt))
	}
	where := ` WHERE id = ? AND deleted = ?`
	args = append(args, after.ID, gone(before.Status))
	if before.Status != after.Status || glance.FormatsDiffer(before, after) {
		where += ` AND status = ?`
		args = append(args, before.Status)
	}
	if gone(after.Status) && !gone(before.Status) {
		// Who deletes has looked whether that is allowed.
		where += ` AND protected = ?`
		args = append(args, before.Protected)
	}
	n, err := affected(tx.ExecContext(ctx, `UPDATE images SET `+strings.Join(set, ", ")+where, args...))
	if err != nil || n > 0 {
		return err
	}
	return c.refused(ctx, tx, before)
}

// refused says why no row took an update.
func (c *Catalog) refused(ctx context.Context, tx *sql.Tx, before *glance.Image) error {
	var status glance.Status
	var deleted bool
	err := tx.QueryRowContext(ctx, `SELECT status, deleted FROM images WHERE id = ?`+c.target.dialect.forUpdate, before.ID).Scan(&status, &deleted)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return glance.ErrNotFound
	case err != nil:
		return err
	case deleted && !gone(before.Status):
		return glance.ErrNotFound
	}
	return fmt.Errorf("%w: status is %s, no longer %s", glance.ErrConflict, status, before.Status)
}

func (c *Catalog) updateBelongings(ctx context.Context, tx *sql.Tx, before, after *glance.Image) error {
	w := writer{dialect: c.target.dialect, tx: tx, id: after.ID, now: after.UpdatedAt}
	if lock, locked := before.Properties[glance.ImportLock]; locked && !slices.EqualFunc(before.Locations, after.Locations, sameURL) {
		if err := w.holds(ctx, lock); err != nil {
			return err
		}
	}
	if gone(before.Status) && !gone(after.Status) {
		if err := w.begun(ctx, before.Locations); err != nil {
			return err
		}
	}
	if gone(before.Status) && !gone(after.Status) && before.DeletedAt != nil {
		if err := w.restoreAll(ctx, *before.DeletedAt); err != nil {
			return err
		}
	}
	if !gone(before.Status) || !gone(after.Status) {
		if err := w.setProperties(ctx, before.Properties, after.Properties); err != nil {
			return err
		}
		if err := w.setTags(ctx, before.Tags, after.Tags); err != nil {
			return err
		}
	}
	if before.Status != after.Status && (gone(before.Status) || gone(after.Status)) || !slices.EqualFunc(before.Locations, after.Locations, sameLocation) {
		if err := w.setLocations(ctx, before.Locations, after); err != nil {
			return err
		}
		if before.Status == after.Status && len(before.Locations) > 0 && (after.Status == glance.Active || after.Status == glance.Deactivated) {
			if err := w.keepsLocation(ctx); err != nil {
				return err
			}
		}
	}
	if gone(after.Status) && !gone(before.Status) {
		if err := w.forgetsNone(ctx); err != nil {
			return err
		}
		return w.endAll(ctx)
	}
	return nil
}

func sameURL(a, b glance.Location) bool { return a.URL == b.URL }

func sameLocation(a, b glance.Location) bool {
	return a.URL == b.URL && a.Status == b.Status && maps.Equal(a.Metadata, b.Metadata)
}
