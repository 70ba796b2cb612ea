package sqlcatalog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"glancectl/service/glance"
)

// A claim is a row of tasks that counts as deleted and expired from the
// beginning, so that nobody takes it for a task: neither this service nor
// OpenStack Glance, which has no such thing. It has no time of deletion, so
// no purge takes it away either. Its owner is the process. The claim on an
// image has the image's ID for a key, and names the task that holds the import
// lock; that on a task has no image, and names the task.
const claimType = "glance_claim"

var (
	_ glance.Claimer = (*Catalog)(nil)
	_ glance.Claimer = (*Tasks)(nil)
)

// claim does to the claim on an image what an update of it does.
func (c *Catalog) claim(ctx context.Context, tx *sql.Tx, before, after *glance.Image) error {
	change := glance.ClaimChange(before, after)
	if change == glance.KeepClaim || change == glance.TakeClaim && c.claimant(ctx) == "" {
		return nil
	}
	if change == glance.EndClaim {
		_, err := tx.ExecContext(ctx, `DELETE FROM tasks WHERE id = ? AND type = ?`, after.ID, claimType)
		return err
	}
	// To look for the row first would lock the gap where others want to put
	// theirs.
	return c.insertClaim(ctx, tx, string(after.ID), glance.Claim{ImageID: after.ID, TaskID: after.Properties[glance.ImportLock]})
}

// Claim does the same for an update that somebody else has written.
func (c *Catalog) Claim(ctx context.Context, before, after *glance.Image) error {
	if glance.ClaimChange(before, after) == glance.KeepClaim {
		return nil
	}
	err := c.write(ctx, func(tx *sql.Tx) error { return c.claim(ctx, tx, before, after) })
	if err != nil {
		return fmt.Errorf("claim image %s: %w", after.ID, err)
	}
	return nil
}

// claimant returns whose claims are made.
func (c *Catalog) claimant(ctx context.Context) string {
	return cmp.Or(glance.ClaimantFrom(ctx), c.owner)
}

func (c *Catalog) insertClaim(ctx context.Context, tx *sql.Tx, key string, claim glance.Claim) error {
	now := c.target.dialect.time(c.time())
	_, err := tx.ExecContext(ctx, `INSERT INTO tasks (id, type, status, owner, image_id, request_id, created_at, updated_at, expires_at, deleted)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`+c.target.dialect.reclaim,
		key, claimType, glance.TaskProcessing, c.claimant(ctx), textOrNull(string(claim.ImageID)), textOrNull(claim.TaskID), now, now, now, true)
	return err
}

// taskKey is the key of the claim on a task. The task itself has its own ID.
func taskKey(id string) string {
	key := []byte(id)
	slices.Reverse(key)
	return string(key)
}

// claim makes the claim on a new task.
func (s *Tasks) claim(ctx context.Context, tx *sql.Tx, t *glance.Task) error {
	if s.c.owner == "" || t.Status.Ended() {
		return nil
	}
	return s.c.insertClaim(ctx, tx, taskKey(t.ID), glance.Claim{TaskID: t.ID})
}

// endClaim ends the claim on a task that has ended.
func (s *Tasks) endClaim(ctx context.Context, tx *sql.Tx, t *glance.Task) error {
	if !t.Status.Ended() {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM tasks WHERE id = ? AND type = ?`, taskKey(t.ID), claimType)
	return err
}

// Claims implements glance.Claimer.
func (c *Catalog) Claims(ctx context.Context) ([]glance.Claim, error) {
	return c.claims(ctx, `image_id IS NOT NULL`)
}

// Claims implements glance.Claimer.
func (s *Tasks) Claims(ctx context.Context) ([]glance.Claim, error) {
	return s.c.claims(ctx, `image_id IS NULL`)
}

func (c *Catalog) claims(ctx context.Context, which string) (list []glance.Claim, err error) {
	err = c.read(ctx, func(tx *sql.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT image_id, owner, request_id, updated_at FROM tasks WHERE type = ? AND `+which, claimType)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var claim glance.Claim
			var image, task sql.NullString
			var renewed stamp
			if err := rows.Scan(&image, &claim.Owner, &task, &renewed); err != nil {
				return err
			}
			claim.ImageID, claim.TaskID, claim.RenewedAt = glance.ID(image.String), task.String, renewed.Time
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
func (c *Catalog) Release(ctx context.Context, claim glance.Claim) error {
	return c.release(ctx, string(claim.ImageID), claim.Owner)
}

// Release implements glance.Claimer.
func (s *Tasks) Release(ctx context.Context, claim glance.Claim) error {
	return s.c.release(ctx, taskKey(claim.TaskID), claim.Owner)
}

func (c *Catalog) release(ctx context.Context, key, owner string) error {
	if owner == "" {
		owner = c.owner
	}
	err := c.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM tasks WHERE id = ? AND type = ? AND owner = ?`, key, claimType, owner)
		return err
	})
	if err != nil {
		return fmt.Errorf("end a claim: %w", err)
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
