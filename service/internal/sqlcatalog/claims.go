package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"glancectl/service/glance"
)

// A claim is a row of tasks that counts as deleted and expired from the
// beginning, so that nobody takes it for a task: neither this service nor
// OpenStack Glance, which has no such thing. It has no time of deletion, so
// no purge takes it away either. Its key is that of its image, its owner the
// process, and its request the task that holds the import lock.
const claimType = "glance_claim"

var _ glance.Claimer = (*Catalog)(nil)

// claim does to the claim on an image what an update of it does.
func (c *Catalog) claim(ctx context.Context, tx *sql.Tx, before, after *glance.Image) error {
	if c.owner == "" {
		return nil
	}
	change := glance.ClaimChange(before, after)
	if change == glance.KeepClaim {
		return nil
	}
	if change == glance.EndClaim {
		_, err := tx.ExecContext(ctx, `DELETE FROM tasks WHERE id = ? AND type = ?`, after.ID, claimType)
		return err
	}
	// To look for the row first would lock the gap where others want to put
	// theirs.
	now := c.target.dialect.time(after.UpdatedAt)
	_, err := tx.ExecContext(ctx, `INSERT INTO tasks (id, type, status, owner, image_id, request_id, created_at, updated_at, expires_at, deleted)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`+c.target.dialect.reclaim,
		after.ID, claimType, glance.TaskProcessing, c.owner, after.ID, textOrNull(after.Properties[glance.ImportLock]), now, now, now, true)
	return err
}

// Claims implements glance.Claimer.
func (c *Catalog) Claims(ctx context.Context) (list []glance.Claim, err error) {
	err = c.read(ctx, func(tx *sql.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT id, owner, request_id, updated_at FROM tasks WHERE type = ?`, claimType)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var claim glance.Claim
			var task sql.NullString
			var renewed stamp
			if err := rows.Scan(&claim.ImageID, &claim.Owner, &task, &renewed); err != nil {
				return err
			}
			claim.TaskID, claim.RenewedAt = task.String, renewed.Time
			list = append(list, claim)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	return list, nil
}

// Release implements glance.Claimer.
func (c *Catalog) Release(ctx context.Context, id glance.ID, owner string) error {
	if owner == "" {
		owner = c.owner
	}
	err := c.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM tasks WHERE id = ? AND type = ? AND owner = ?`, id, claimType, owner)
		return err
	})
	if err != nil {
		return fmt.Errorf("release image %s: %w", id, err)
	}
	return nil
}

// Renew says that the owner of the catalog lives. Claims that are not renewed
// for long count as those of the dead.
func (c *Catalog) Renew(ctx context.Context) error {
	now := c.target.dialect.time(c.time())
	err := c.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tasks SET updated_at = ? WHERE owner = ? AND type = ?`, now, c.owner, claimType)
		return err
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("renew claims: %w", err)
	}
	return err
}
