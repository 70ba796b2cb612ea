package sqlcatalog

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"glancectl/service/glance"
)

// List implements glance.Catalog.
func (c *Catalog) List(ctx context.Context, q glance.Query) (list []*glance.Image, err error) {
	if q.Limit == 0 {
		return nil, nil
	}
	order, err := orderOf(q.Sort)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	read := func(ctx context.Context) ([]*glance.Image, error) {
		return c.listNow(ctx, pageQuery{q: q, order: order})
	}
	if key, ok := listKey(q); ok && c.sharer != nil && q.Limit > 0 {
		list, err = c.shareList(ctx, key, read)
	} else {
		list, err = read(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return list, nil
}

// listKey returns a text that only the same queries have, by the same callers.
// There is none for text that JSON cannot tell from other text.
func listKey(q glance.Query) (key string, ok bool) {
	b, err := json.Marshal(q) // who asks is in it
	return string(b), err == nil && !bytes.Contains(b, []byte(`\ufffd`))
}

// shareList returns a list that nobody else has.
func (c *Catalog) shareList(ctx context.Context, key string, read func(ctx context.Context) ([]*glance.Image, error)) ([]*glance.Image, error) {
	list, shared, err := c.sharer.Get(ctx, key, read)
	if err != nil || !shared {
		return list, err
	}
	own := make([]*glance.Image, len(list))
	for i, im := range list {
		own[i] = im.Clone()
	}
	return own, nil
}

// listNow reads a page.
func (c *Catalog) listNow(ctx context.Context, p pageQuery) (list []*glance.Image, err error) {
	same := false
	if c.prepared != nil && p.q.Limit > 0 {
		// Without a transaction, which would be two trips more.
		err = c.connected(ctx, func() error {
			list, same, err = c.list(ctx, c.single(), p)
			return err
		})
	}
	if err == nil && !same {
		err = c.read(ctx, func(tx *sql.Tx) error {
			list, _, err = c.list(ctx, c.within(tx), p)
			return err
		})
	}
	return list, err
}

// list returns the images of one page. It chooses them first and then reads
// them; same is false if between the two somebody changed what they were
// chosen by.
func (c *Catalog) list(ctx context.Context, from source, p pageQuery) (list []*glance.Image, same bool, err error) {
	if p.q.Marker != "" {
		if p.marker, err = c.marker(ctx, from, p.q); err != nil {
			return nil, false, err
		}
	}
	picks, err := c.page(ctx, from, p)
	if err != nil || len(picks) == 0 {
		return nil, true, err
	}
	ids := make([]glance.ID, len(picks))
	for i, pick := range picks {
		ids[i] = pick.id
	}
	list, err = c.target.dialect.whole(context.WithoutCancel(ctx), from, ids, wholeOptions{p.q.Deleted, p.q.Bare})
	if err != nil || len(list) != len(picks) {
		return list, false, err
	}
	for i, im := range list {
		if !picks[i].is(im) {
			return list, false, nil
		}
	}
	return list, true, nil
}

// A pick is an image that was chosen, and what may have had to do with that.
type pick struct {
	id                        glance.ID
	status, visibility, owner string
	hidden                    bool
	updated                   time.Time
}

const pickColumns = `i.id, i.status, i.visibility, i.owner, i.os_hidden, COALESCE(i.updated_at, i.created_at)`

// is tells whether im still is what was chosen.
func (p *pick) is(im *glance.Image) bool {
	owner := ""
	if im.Owner != nil {
		owner = *im.Owner
	}
	return im.ID == p.id && string(im.Status) == p.status && string(im.Visibility) == p.visibility && owner == p.owner &&
		im.Hidden == p.hidden && im.UpdatedAt.Equal(p.updated)
}

// page chooses the images of one page.
//
// What a caller sees is a union that no index has in order. Either all of it is
// sorted, which takes long if it is much, or the images are read in order until
// enough are found, which takes long if they are few. So the second is tried
// for a while, and most pages are full then; if not, there is not much to sort.
func (c *Catalog) page(ctx context.Context, from source, p pageQuery) ([]pick, error) {
	if p.q.Limit < 0 || p.order[0].index == "" {
		return c.selectPage(ctx, from, p)
	}
	// A window is read sooner than a driver that listens for the end of ctx has
	// begun to.
	short := context.WithoutCancel(ctx)
	end, err := c.windowEnd(short, from, p)
	if err != nil {
		return nil, err
	}
	p.ordered, p.end = true, end
	list, err := c.selectPage(short, from, p)
	if err != nil || end == nil || len(list) == p.q.Limit {
		return list, err
	}
	p.ordered, p.end = false, nil
	return c.selectPage(ctx, from, p)
}

// fewFor is how long a table that is smaller than the window is taken to stay
// so. Nothing but time is lost if it grows meanwhile.
const fewFor = 10 * time.Second

// windowEnd returns the first key of the last image of the window after the
// marker; nil if there are not that many.
func (c *Catalog) windowEnd(ctx context.Context, from source, p pageQuery) (any, error) {
	asked := time.Now()
	if asked.UnixNano() < c.few.Load() {
		return nil, nil
	}
	first := p.order[0]
	where := &condition{dialect: c.target.dialect}
	where.and("1 = 1")
	if p.marker != nil {
		where.from(first, p.marker)
	}
	rows, err := from.QueryContext(ctx, `SELECT `+first.column+` FROM images i`+where.String()+
		` ORDER BY `+orderSQL([]sortKey{first})+` LIMIT 1 OFFSET `+strconv.Itoa(c.window), where.params()...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		if p.marker == nil && rows.Err() == nil {
			c.few.Store(asked.Add(fewFor).UnixNano())
		}
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

// selectPage chooses the images of one page.
func (c *Catalog) selectPage(ctx context.Context, from source, p pageQuery) ([]pick, error) {
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
	statement := `SELECT ` + pickColumns + ` FROM images i` + hint + where.String() + ` ORDER BY ` + orderSQL(p.order)
	if p.q.Limit > 0 {
		statement += ` LIMIT ` + strconv.Itoa(p.q.Limit)
	}
	rows, err := from.QueryContext(ctx, statement, where.params()...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var picks []pick
	var id, status, visibility, owner nullText
	var hidden nullInt
	var updated stamp
	for rows.Next() {
		if err := rows.Scan(&id, &status, &visibility, &owner, &hidden, &updated); err != nil {
			return nil, err
		}
		picks = append(picks, pick{glance.ID(id.s), status.s, visibility.s, owner.s, hidden.n != 0, updated.Time})
	}
	return picks, rows.Err()
}

// marker returns the image that a page starts after. It need not match the
// query, but the caller must be allowed to see it.
func (c *Catalog) marker(ctx context.Context, from source, q glance.Query) (*glance.Image, error) {
	where := &condition{dialect: c.target.dialect}
	where.and("i.id = ?", q.Marker)
	if !q.Deleted && !q.Admin { // who sees everything can go on from an image that is gone
		where.and("i.deleted = ?", false)
	}
	if !q.Admin {
		where.visibleTo(glance.Query{ProjectID: q.ProjectID, AllVisible: true, AnyMember: true})
	}
	rows, err := from.QueryContext(ctx, `SELECT `+imageColumns+` FROM images i`+where.String(), where.params()...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, cmp.Or(rows.Err(), fmt.Errorf("marker %s: %w", q.Marker, glance.ErrNotFound))
	}
	var row imageCells
	if err := rows.Scan(row.dest()...); err != nil {
		return nil, err
	}
	return row.image(), rows.Err()
}
