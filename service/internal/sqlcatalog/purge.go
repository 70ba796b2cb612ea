package sqlcatalog

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"glancectl/service/glance"
)

// purgeBatch is how many rows one transaction of a purge takes away. The
// service waits for none of them for long.
const purgeBatch = 500

// Purged is how many rows of a table a purge took away.
type Purged struct {
	Table string
	Rows  int
}

// A purge is what is taken away of one table.
type purge struct {
	table, key, from, where string
}

// purges are in the order in which rows refer to each other: what belongs to
// something goes before it. What an image has that waits for the scrubber
// stays: the scrubber needs its locations, and a restore the rest.
var purges = func() []purge {
	const waits = `NOT EXISTS (SELECT 1 FROM images i WHERE i.id = t.image_id AND i.status = 'pending_delete')`
	list := []purge{{"task_info", "task_id", "task_info t JOIN tasks o ON o.id = t.task_id", "o.deleted = ? AND o.deleted_at < ?"}}
	for _, table := range []string{"image_properties", "image_tags", "image_members", "image_locations"} {
		list = append(list, purge{table, "id", table + " t", "t.deleted = ? AND t.deleted_at < ? AND " + waits})
	}
	return append(list, purge{"tasks", "id", "tasks t",
		"t.deleted = ? AND t.deleted_at < ? AND NOT EXISTS (SELECT 1 FROM task_info i WHERE i.task_id = t.id)"})
}()

// imagePurge is what PurgeImages takes away: images of which nothing else is
// left.
var imagePurge = purge{"images", "id", "images t", "t.deleted = ? AND t.deleted_at < ? AND t.status <> 'pending_delete' AND NOT (" + dependent + ")"}

// dependent is the condition that an image has rows in other tables.
const dependent = `EXISTS (SELECT 1 FROM image_properties x WHERE x.image_id = t.id) OR
	EXISTS (SELECT 1 FROM image_tags x WHERE x.image_id = t.id) OR
	EXISTS (SELECT 1 FROM image_members x WHERE x.image_id = t.id) OR
	EXISTS (SELECT 1 FROM image_locations x WHERE x.image_id = t.id)`

// Purge takes away the rows that were deleted before a time: tasks, and what
// images and tasks had. The rows of images stay, for as long as one is there
// nobody can make another image of its ID; see PurgeImages. Most is how many
// rows of each table go; negative means all. Rows go in batches of a
// transaction each. What went is returned, also on failure.
func (c *Catalog) Purge(ctx context.Context, before time.Time, most int) (done []Purged, err error) {
	for _, p := range purges {
		n, err := c.purge(ctx, p, before, most)
		done = append(done, Purged{p.table, n})
		if err != nil {
			return done, fmt.Errorf("purge %s: %w", p.table, err)
		}
	}
	return done, nil
}

// PurgeImages takes away the rows of images that were deleted before a time
// and of which nothing else is left. ErrConflict if all that remain have rows
// in other tables, which Purge takes away.
func (c *Catalog) PurgeImages(ctx context.Context, before time.Time, most int) (done Purged, err error) {
	done.Table = imagePurge.table
	if done.Rows, err = c.purge(ctx, imagePurge, before, most); err != nil {
		return done, fmt.Errorf("purge images: %w", err)
	}
	if most >= 0 && done.Rows >= most {
		return done, nil
	}
	var left int
	err = c.read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM images t WHERE t.deleted = ? AND t.deleted_at < ? AND t.status <> 'pending_delete'`,
			true, c.target.dialect.time(before)).Scan(&left)
	})
	if err == nil && left > 0 {
		err = fmt.Errorf("%w: %d images have rows in other tables; run: glance-manage db purge", glance.ErrConflict, left)
	}
	if err != nil {
		return done, fmt.Errorf("purge images: %w", err)
	}
	return done, nil
}

// purge takes away up to most rows of one table and returns how many.
func (c *Catalog) purge(ctx context.Context, p purge, before time.Time, most int) (n int, err error) {
	last := ""
	for most < 0 || n < most {
		limit := purgeBatch
		if most >= 0 {
			limit = min(limit, most-n)
		}
		var keys []string
		var gone int64
		err := c.write(ctx, func(tx *sql.Tx) (err error) {
			keys, gone, err = c.target.dialect.purgeSome(ctx, tx, p, purgeRange{before, last, limit})
			return err
		})
		if err != nil {
			return n, err
		}
		n += int(gone)
		if len(keys) < limit {
			break
		}
		last = keys[len(keys)-1]
	}
	return n, nil
}

// A purgeRange is what one batch may take.
type purgeRange struct {
	before time.Time // of deletion
	after  string    // the key; "" for all
	limit  int
}

// purgeSome takes rows away and returns their keys, and how many went: a row
// may have come back to life meanwhile.
func (d dialect) purgeSome(ctx context.Context, tx *sql.Tx, p purge, r purgeRange) (keys []string, gone int64, err error) {
	args := []any{true, d.time(r.before)}
	where := p.where
	if r.after != "" {
		where += ` AND t.` + p.key + ` > ?`
		args = append(args, r.after)
	}
	keys, err = column(ctx, tx, fmt.Sprintf(`SELECT t.%s FROM %s WHERE %s ORDER BY t.%[1]s LIMIT %[4]d`, p.key, p.from, where, r.limit), args...)
	if err != nil || len(keys) == 0 {
		return nil, 0, err
	}
	statement := `DELETE FROM ` + p.table + ` WHERE ` + p.key + ` IN (?` + strings.Repeat(`, ?`, len(keys)-1) + `)`
	args = anys(keys)
	if p.key == "id" { // task_info has no time of deletion
		statement += ` AND deleted = ? AND deleted_at < ?`
		args = append(args, true, d.time(r.before))
	}
	gone, err = affected(tx.ExecContext(ctx, statement, args...))
	return keys, gone, err
}
