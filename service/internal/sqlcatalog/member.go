package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"glancectl/service/glance"
)

// Members implements glance.Catalog. An image that does not exist has none.
func (c *Catalog) Members(ctx context.Context, id glance.ID) (list []glance.Member, err error) {
	err = c.read(ctx, func(tx *sql.Tx) error {
		list, err = members(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("members of image %s: %w", id, err)
	}
	return list, nil
}

// Memberships implements glance.Catalog.
func (c *Catalog) Memberships(ctx context.Context, projectID string) (list []glance.Member, err error) {
	err = c.read(ctx, func(tx *sql.Tx) error {
		list, err = selectMembers(ctx, tx, `member = ?`, projectID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("images shared with %s: %w", projectID, err)
	}
	return list, nil
}

func members(ctx context.Context, tx *sql.Tx, id glance.ID) ([]glance.Member, error) {
	return selectMembers(ctx, tx, `image_id = ?`, id)
}

// selectMembers returns the members for which a condition with one parameter
// holds.
func selectMembers(ctx context.Context, tx *sql.Tx, where string, arg any) ([]glance.Member, error) {
	rows, err := tx.QueryContext(ctx, `SELECT image_id, member, can_share, status, created_at, updated_at FROM image_members
		WHERE `+where+` AND deleted = ? ORDER BY id`, arg, false)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []glance.Member
	for rows.Next() {
		var m glance.Member
		var created, updated stamp
		if err := rows.Scan(&m.ImageID, &m.ProjectID, &m.CanShare, &m.Status, &created, &updated); err != nil {
			return nil, err
		}
		m.CreatedAt, m.UpdatedAt = created.Time, updated.Time
		if !updated.valid {
			m.UpdatedAt = m.CreatedAt
		}
		list = append(list, m)
	}
	return list, rows.Err()
}

// AddMember implements glance.Catalog. It sets the times of m, and its status
// to Pending if it has none; ErrNotFound if there is no such image.
func (c *Catalog) AddMember(ctx context.Context, m *glance.Member) error {
	d, now := c.target.dialect, c.time()
	added := *m
	added.CreatedAt, added.UpdatedAt = now, now
	if added.Status == "" {
		added.Status = glance.Pending
	}
	err := c.write(ctx, func(tx *sql.Tx) error {
		if d.wide(m.ProjectID) {
			return fmt.Errorf("%w: characters the database cannot hold", glance.ErrInvalid)
		}
		// The unique key has deleted_at in it, and a null differs from a null:
		// it does not keep a project from being added twice. The image's row
		// does, for as long as the transaction holds it.
		var one int
		err := tx.QueryRowContext(ctx, `SELECT 1 FROM images WHERE id = ? AND deleted = ?`+d.forUpdate, m.ImageID, false).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return glance.ErrNotFound
		}
		if err != nil {
			return err
		}
		found, err := column(ctx, tx, `SELECT member FROM image_members WHERE image_id = ? AND member = ? AND deleted = ?`+d.forUpdate,
			m.ImageID, m.ProjectID, false)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return glance.ErrExists
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at, deleted)
			VALUES (?, ?, ?, ?, ?, ?, ?)`, m.ImageID, m.ProjectID, m.CanShare, added.Status, d.time(now), d.time(now), false)
		return err
	})
	if err != nil {
		return fmt.Errorf("add member %s to image %s: %w", m.ProjectID, m.ImageID, err)
	}
	*m = added
	return nil
}

// SetMember implements glance.Catalog. It sets m.UpdatedAt.
func (c *Catalog) SetMember(ctx context.Context, m *glance.Member) error {
	now := c.time()
	err := c.write(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE image_members SET status = ?, can_share = ?, updated_at = ?
			WHERE image_id = ? AND member = ? AND deleted = ?`,
			m.Status, m.CanShare, c.target.dialect.time(now), m.ImageID, m.ProjectID, false))
		if err == nil && n == 0 {
			err = glance.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("member %s of image %s: %w", m.ProjectID, m.ImageID, err)
	}
	m.UpdatedAt = now
	return nil
}

// RemoveMember implements glance.Catalog.
func (c *Catalog) RemoveMember(ctx context.Context, id glance.ID, projectID string) error {
	d, now := c.target.dialect, c.time()
	err := c.write(ctx, func(tx *sql.Tx) error {
		// A project that is added and removed twice within one second would
		// leave two equal rows, which the unique key forbids. The older one
		// says nothing that the new one does not.
		_, err := tx.ExecContext(ctx, `DELETE FROM image_members WHERE image_id = ? AND member = ? AND deleted_at = ?`, id, projectID, d.time(now))
		if err != nil {
			return err
		}
		n, err := affected(tx.ExecContext(ctx, `UPDATE image_members SET deleted = ?, deleted_at = ?, updated_at = ?
			WHERE image_id = ? AND member = ? AND deleted = ?`, true, d.time(now), d.time(now), id, projectID, false))
		if err == nil && n == 0 {
			err = glance.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("member %s of image %s: %w", projectID, id, err)
	}
	return nil
}
