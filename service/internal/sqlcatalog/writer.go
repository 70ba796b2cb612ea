package sqlcatalog

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"glancectl/service/glance"
)

// A writer changes what belongs to one image. Whoever makes one holds the
// image's row, so nobody else changes the same belongings meanwhile.
type writer struct {
	dialect dialect
	tx      *sql.Tx
	id      glance.ID
	now     time.Time
}

// setProperties makes what differs between before and after so in the table.
func (w writer) setProperties(ctx context.Context, before, after map[string]string) error {
	// Removals come first: to MySQL, "Arch" and "arch" are one name, and a
	// change of case frees the row for the new name.
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, keep := after[name]; keep {
			continue
		}
		if name == glance.ImportLock {
			if err := w.unlock(ctx, before[name]); err != nil {
				return err
			}
			continue
		}
		_, err := w.tx.ExecContext(ctx, `UPDATE image_properties SET deleted = ?, deleted_at = ?, updated_at = ?
			WHERE image_id = ? AND name = ? AND `+w.dialect.same("name")+` AND deleted = ?`,
			true, w.dialect.time(w.now), w.dialect.time(w.now), w.id, name, name, false)
		if err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		value, had := before[name]
		if had && value == after[name] {
			continue
		}
		if name == glance.ImportLock && had {
			if err := w.unlock(ctx, value); err != nil {
				return err
			}
		}
		if err := w.setProperty(ctx, name, after[name]); err != nil {
			return err
		}
	}
	return nil
}

// setProperty adds or changes one property. The table has one row for a name,
// which a property that was removed has left there.
func (w writer) setProperty(ctx context.Context, name, value string) error {
	_, err := w.tx.ExecContext(ctx, `INSERT INTO image_properties (image_id, name, value, created_at, updated_at, deleted)
		VALUES (?, ?, ?, ?, ?, ?)`, w.id, name, value, w.dialect.time(w.now), w.dialect.time(w.now), false)
	if !duplicate(err) {
		return err
	}
	if name == glance.ImportLock {
		return w.lock(ctx, value)
	}
	// The row may be a live one of this very name, or a removed one of any
	// name that the database takes for the same.
	n, err := affected(w.tx.ExecContext(ctx, `UPDATE image_properties SET name = ?, value = ?, updated_at = ?, deleted = ?, deleted_at = NULL
		WHERE image_id = ? AND name = ? AND (deleted = ? OR `+w.dialect.same("name")+`)`,
		name, value, w.dialect.time(w.now), false, w.id, name, true, name))
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: property %q: the image has one that differs only in case or accents", glance.ErrInvalid, name)
	}
	return err
}

// lock sets the import lock where an earlier one has left its row; ErrConflict
// if somebody holds it.
func (w writer) lock(ctx context.Context, value string) error {
	n, err := affected(w.tx.ExecContext(ctx, `UPDATE image_properties SET name = ?, value = ?, updated_at = ?, deleted = ?, deleted_at = NULL
		WHERE image_id = ? AND name = ? AND deleted = ?`, glance.ImportLock, value, w.dialect.time(w.now), false, w.id, glance.ImportLock, true))
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: %s is set", glance.ErrConflict, glance.ImportLock)
	}
	return err
}

// unlock takes the import lock away, if it has the value given; else
// ErrConflict.
func (w writer) unlock(ctx context.Context, value string) error {
	n, err := affected(w.tx.ExecContext(ctx, `UPDATE image_properties SET deleted = ?, deleted_at = ?, updated_at = ?
		WHERE image_id = ? AND name = ? AND value = ? AND deleted = ?`,
		true, w.dialect.time(w.now), w.dialect.time(w.now), w.id, glance.ImportLock, value, false))
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: %s is not %s", glance.ErrConflict, glance.ImportLock, value)
	}
	return err
}

// holds returns ErrConflict unless the import lock has the value given.
func (w writer) holds(ctx context.Context, value string) error {
	var n int
	err := w.tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM image_properties WHERE image_id = ? AND name = ? AND value = ? AND deleted = ?`,
		w.id, glance.ImportLock, value, false).Scan(&n)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: %s is not %s", glance.ErrConflict, glance.ImportLock, value)
	}
	return err
}

// setTags makes what differs between before and after so in the table.
func (w writer) setTags(ctx context.Context, before, after []string) error {
	for _, tag := range before {
		if slices.Contains(after, tag) {
			continue
		}
		_, err := w.tx.ExecContext(ctx, `UPDATE image_tags SET deleted = ?, deleted_at = ?, updated_at = ?
			WHERE image_id = ? AND value = ? AND `+w.dialect.same("value")+` AND deleted = ?`,
			true, w.dialect.time(w.now), w.dialect.time(w.now), w.id, tag, tag, false)
		if err != nil {
			return err
		}
	}
	for i, tag := range after {
		if slices.Contains(before, tag) || slices.Contains(after[:i], tag) {
			continue
		}
		// The table would take a tag twice, of two updates that both add it;
		// fill shows it once, and a removal takes both away.
		_, err := w.tx.ExecContext(ctx, `INSERT INTO image_tags (image_id, value, created_at, updated_at, deleted)
			VALUES (?, ?, ?, ?, ?)`, w.id, tag, w.dialect.time(w.now), w.dialect.time(w.now), false)
		if err != nil {
			return err
		}
	}
	return nil
}

// A locationRow is a row of image_locations.
type locationRow struct {
	row          int64
	url          string
	meta, status string
	used         bool
}

// setLocations makes the rows those of im, an image that before had the
// locations given. A location that another update added meanwhile stays, and
// one that another update removed does not come back.
func (w writer) setLocations(ctx context.Context, before []glance.Location, im *glance.Image) error {
	if len(before) == 0 && len(im.Locations) == 0 {
		return nil
	}
	restored := slices.ContainsFunc(before, func(l glance.Location) bool { return l.Status == glance.PendingDelete })
	rows, err := w.locations(ctx, gone(im.Status) || restored)
	if err != nil {
		return err
	}
	if restored && !gone(im.Status) { // what was gone before stays so
		rows = slices.DeleteFunc(rows, func(r locationRow) bool { return r.status == string(glance.Deleted) })
	}
	// The order of locations is that of their rows. A kept row must come after
	// all that were kept before it, and after a new row nothing can be kept.
	last, inserted := int64(0), false
	for _, l := range im.Locations {
		meta, err := encodeMeta(l)
		if err != nil {
			return err
		}
		want := locationRow{url: l.URL, meta: meta, status: string(locationStatus(im.Status, l.Status))}
		i := slices.IndexFunc(rows, func(r locationRow) bool {
			return !r.used && r.url == l.URL && (r.row > last && !inserted || gone(im.Status))
		})
		if i < 0 && removedByOthers(l, before, rows) {
			continue
		}
		if i < 0 {
			inserted = true
			if err := w.insertLocation(ctx, want); err != nil {
				return err
			}
			continue
		}
		rows[i].used, last = true, rows[i].row
		want.row = rows[i].row
		if was, _, err := decodeMeta(rows[i].meta); err == nil && maps.Equal(was, l.Metadata) {
			want.meta = rows[i].meta // another service may have written it in another way
		}
		if err := w.updateLocation(ctx, rows[i], want); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if r.used || !hasURL(before, r.url) || r.status == string(glance.Deleted) {
			continue
		}
		want := r
		want.status = string(glance.Deleted)
		if err := w.updateLocation(ctx, r, want); err != nil {
			return err
		}
	}
	return nil
}

// removedByOthers says whether l was there before and has no row any more.
func removedByOthers(l glance.Location, before []glance.Location, rows []locationRow) bool {
	return slices.ContainsFunc(before, func(b glance.Location) bool { return b.URL == l.URL && b.Status == glance.Active }) &&
		!slices.ContainsFunc(rows, func(r locationRow) bool { return r.url == l.URL })
}

// keepsLocation returns ErrConflict if the image has no location left.
func (w writer) keepsLocation(ctx context.Context) error {
	n, err := w.countLocations(ctx)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: no location would be left", glance.ErrConflict)
	}
	return err
}

// forgetsNone returns ErrConflict if an image that was deleted has a location
// that who deleted it did not know of: nobody would remove its data.
func (w writer) forgetsNone(ctx context.Context) error {
	n, err := w.countLocations(ctx)
	if err == nil && n > 0 {
		err = fmt.Errorf("%w: a location was added", glance.ErrConflict)
	}
	return err
}

func (w writer) countLocations(ctx context.Context) (n int, err error) {
	err = w.tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM image_locations WHERE image_id = ? AND deleted = ?`, w.id, false).Scan(&n)
	return n, err
}

func hasURL(list []glance.Location, url string) bool {
	return slices.ContainsFunc(list, func(l glance.Location) bool { return l.URL == url })
}

// locationStatus is the status of a location of an image: with the image, what
// it has goes.
func locationStatus(image, location glance.Status) glance.Status {
	switch {
	case image == glance.Deleted:
		return glance.Deleted
	case image == glance.PendingDelete && location != glance.Deleted && location != glance.Removing:
		return glance.PendingDelete
	case location == "":
		return glance.Active
	}
	return location
}

// locations returns the rows of the image in their order; the deleted ones
// only when asked for.
func (w writer) locations(ctx context.Context, deleted bool) ([]locationRow, error) {
	rows, err := w.tx.QueryContext(ctx, `SELECT id, value, meta_data, status FROM image_locations
		WHERE image_id = ? AND (deleted = ? OR ?) ORDER BY id`, w.id, false, deleted)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []locationRow
	for rows.Next() {
		var r locationRow
		var meta sql.NullString
		if err := rows.Scan(&r.row, &r.url, &meta, &r.status); err != nil {
			return nil, err
		}
		if r.url, err = w.dialect.seal.Open(r.url); err != nil {
			return nil, fmt.Errorf("location %d: %w", r.row, err)
		}
		r.meta = meta.String
		list = append(list, r)
	}
	return list, rows.Err()
}

func (w writer) insertLocation(ctx context.Context, r locationRow) error {
	deleted, at := w.end(r.status)
	value, err := w.dialect.seal.Close(r.url)
	if err != nil {
		return err
	}
	_, err = w.tx.ExecContext(ctx, `INSERT INTO image_locations (image_id, value, meta_data, status, created_at, updated_at, deleted, deleted_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, w.id, value, r.meta, r.status, w.dialect.time(w.now), w.dialect.time(w.now), deleted, at)
	return err
}

func (w writer) updateLocation(ctx context.Context, was, r locationRow) error {
	if was.status == r.status && was.meta == r.meta {
		return nil
	}
	deleted, at := w.end(r.status)
	_, err := w.tx.ExecContext(ctx, `UPDATE image_locations SET meta_data = ?, status = ?, updated_at = ?, deleted = ?, deleted_at = ?
		WHERE id = ?`, r.meta, r.status, w.dialect.time(w.now), deleted, at, r.row)
	return err
}

// end returns what stands in deleted and deleted_at of a location.
func (w writer) end(status string) (deleted bool, at any) {
	if status == string(glance.Active) {
		return false, nil
	}
	return true, w.dialect.time(w.now)
}

// endAll marks the properties, tags and members of the image as deleted.
func (w writer) endAll(ctx context.Context) error {
	now := w.dialect.time(w.now)
	for _, table := range []string{"image_properties", "image_tags", "image_members"} {
		// What was taken away within this same second would pass for something
		// that the image had to its end, and the unique key of members forbids
		// two equal ends. Nobody needs those rows.
		_, err := w.tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE image_id = ? AND deleted_at = ?`, w.id, now)
		if err != nil {
			return err
		}
		_, err = w.tx.ExecContext(ctx, `UPDATE `+table+` SET deleted = ?, deleted_at = ?, updated_at = ? WHERE image_id = ? AND deleted = ?`,
			true, now, now, w.id, false)
		if err != nil {
			return err
		}
	}
	return nil
}

// begun returns ErrConflict if a location is not in the status that it was in.
func (w writer) begun(ctx context.Context, before []glance.Location) error {
	rows, err := w.locations(ctx, true)
	if err != nil {
		return err
	}
	for _, l := range before {
		if slices.ContainsFunc(rows, func(r locationRow) bool { return r.row == l.ID && r.status != string(l.Status) }) {
			return fmt.Errorf("%w: the removal of its data has begun", glance.ErrConflict)
		}
	}
	return nil
}

// restoreAll takes back what endAll did at the given time.
func (w writer) restoreAll(ctx context.Context, ended time.Time) error {
	for _, table := range []string{"image_properties", "image_tags", "image_members"} {
		_, err := w.tx.ExecContext(ctx, `UPDATE `+table+` SET deleted = ?, deleted_at = NULL, updated_at = ?
			WHERE image_id = ? AND deleted_at = ?`, false, w.dialect.time(w.now), w.id, w.dialect.time(ended))
		if err != nil {
			return err
		}
	}
	return nil
}

// affected returns the number of rows that a statement found.
func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
