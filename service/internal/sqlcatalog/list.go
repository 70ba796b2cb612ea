package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"glancectl/service/glance"
)

// List implements glance.Catalog.
func (c *Catalog) List(ctx context.Context, q glance.Query) ([]*glance.Image, error) {
	if q.Limit == 0 {
		return nil, nil
	}
	order, err := orderOf(q.Sort)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var list []*glance.Image
	err = c.read(ctx, func(tx *sql.Tx) error {
		var marker *glance.Image
		if q.Marker != "" {
			if marker, err = c.marker(ctx, tx, q); err != nil {
				return err
			}
		}
		if list, err = c.page(ctx, tx, q, order, marker); err != nil {
			return err
		}
		return c.target.dialect.fill(ctx, tx, list)
	})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return list, nil
}

// page returns the images of one page.
//
// What a caller sees is a union that no index has in order. Either all of it is
// sorted, which takes long if it is much, or the images are read in order until
// enough are found, which takes long if they are few. So the second is tried
// for a while, and most pages are full then; if not, there is not much to sort.
func (c *Catalog) page(ctx context.Context, tx *sql.Tx, q glance.Query, order []sortKey, marker *glance.Image) ([]*glance.Image, error) {
	p := pageQuery{q: q, order: order, marker: marker}
	if q.Limit < 0 || order[0].index == "" {
		return c.selectPage(ctx, tx, p)
	}
	end, err := c.windowEnd(ctx, tx, order[0], marker)
	if err != nil {
		return nil, err
	}
	p.ordered, p.end = true, end
	list, err := c.selectPage(ctx, tx, p)
	if err != nil || end == nil || len(list) == q.Limit {
		return list, err
	}
	p.ordered, p.end = false, nil
	return c.selectPage(ctx, tx, p)
}

// windowEnd returns the first key of the last image of the window after
// marker; nil if there are not that many.
func (c *Catalog) windowEnd(ctx context.Context, tx *sql.Tx, first sortKey, marker *glance.Image) (any, error) {
	where := &condition{dialect: c.target.dialect}
	where.and("1 = 1")
	if marker != nil {
		where.from(first, marker)
	}
	rows, err := tx.QueryContext(ctx, `SELECT `+first.column+` FROM images i`+where.String()+
		` ORDER BY `+orderSQL([]sortKey{first})+` LIMIT 1 OFFSET `+strconv.Itoa(c.window), where.params()...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	if first.kind == instant {
		var end stamp
		err := rows.Scan(&end)
		return c.target.dialect.time(end.Time), err
	}
	var end string
	err = rows.Scan(&end)
	return end, err
}

// A pageQuery is what one page consists of.
type pageQuery struct {
	q       glance.Query
	order   []sortKey
	marker  *glance.Image // after which it starts; nil for the first page
	ordered bool          // read in order instead of sorting
	end     any           // of the first key, how far to read; nil for no end
}

// selectPage returns the images of one page.
func (c *Catalog) selectPage(ctx context.Context, tx *sql.Tx, p pageQuery) ([]*glance.Image, error) {
	where := &condition{dialect: c.target.dialect, ordered: p.ordered}
	if err := where.query(p.q); err != nil {
		return nil, err
	}
	if p.marker != nil {
		where.from(p.order[0], p.marker)
		where.after(p.order, p.marker)
	}
	if p.end != nil {
		where.and(p.order[0].column+map[bool]string{true: " >= ?", false: " <= ?"}[p.order[0].descending], p.end)
	}
	hint := ""
	if p.ordered && c.target.dialect.inOrder != "" {
		hint = fmt.Sprintf(c.target.dialect.inOrder, p.order[0].index)
	}
	statement := `SELECT ` + imageColumns + ` FROM images i` + hint + where.String() + ` ORDER BY ` + orderSQL(p.order)
	if p.q.Limit > 0 {
		statement += ` LIMIT ` + strconv.Itoa(p.q.Limit)
	}
	return images(ctx, tx, statement, where.params()...)
}

// images returns the rows that a statement selects.
func images(ctx context.Context, tx *sql.Tx, statement string, args ...any) ([]*glance.Image, error) {
	rows, err := tx.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []*glance.Image
	for rows.Next() {
		im, err := scanImage(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, im)
	}
	return list, rows.Err()
}

// marker returns the image that a page starts after. It need not match the
// query, but the caller must be allowed to see it.
func (c *Catalog) marker(ctx context.Context, tx *sql.Tx, q glance.Query) (*glance.Image, error) {
	where := &condition{dialect: c.target.dialect}
	where.and("i.id = ?", q.Marker)
	if !q.Deleted {
		where.and("i.deleted = ?", false)
	}
	if !q.Admin {
		where.visibleTo(glance.Query{ProjectID: q.ProjectID, AllVisible: true, AnyMember: true})
	}
	row := tx.QueryRowContext(ctx, `SELECT `+imageColumns+` FROM images i`+where.String(), where.params()...)
	im, err := scanImage(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("marker %s: %w", q.Marker, glance.ErrNotFound)
	}
	return im, err
}
