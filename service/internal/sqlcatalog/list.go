package sqlcatalog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"glancectl/service/glance"
)

// The kinds of value that a column holds.
const (
	text = iota
	number
	boolean
	instant
)

// An attribute is a column that a query may name.
type attribute struct {
	column   string
	kind     int
	nullable bool
	indexed  bool                       // and sortable
	value    func(im *glance.Image) any // nil for null; only for what can be sorted by
}

// attributes are the columns by their names in the API.
var attributes = map[string]attribute{
	"id":               {column: "i.id", indexed: true, value: func(im *glance.Image) any { return string(im.ID) }},
	"name":             {column: "i.name", nullable: true, value: func(im *glance.Image) any { return orNull(im.Name) }},
	"status":           {column: "i.status", value: func(im *glance.Image) any { return string(im.Status) }},
	"container_format": {column: "i.container_format", nullable: true, value: func(im *glance.Image) any { return orNull(im.ContainerFormat) }},
	"disk_format":      {column: "i.disk_format", nullable: true, value: func(im *glance.Image) any { return orNull(im.DiskFormat) }},
	"size":             {column: "i.size", kind: number, nullable: true, value: func(im *glance.Image) any { return orNull(im.Size) }},
	"created_at":       {column: "i.created_at", kind: instant, indexed: true, value: func(im *glance.Image) any { return im.CreatedAt }},
	"updated_at":       {column: "i.updated_at", kind: instant, indexed: true, value: func(im *glance.Image) any { return im.UpdatedAt }},
	"deleted_at":       {column: "i.deleted_at", kind: instant},
	"virtual_size":     {column: "i.virtual_size", kind: number},
	"min_ram":          {column: "i.min_ram", kind: number},
	"min_disk":         {column: "i.min_disk", kind: number},
	"owner":            {column: "i.owner"},
	"checksum":         {column: "i.checksum"},
	"os_hash_algo":     {column: "i.os_hash_algo"},
	"os_hash_value":    {column: "i.os_hash_value"},
	"protected":        {column: "i.protected", kind: boolean},
}

// operators are the comparisons of one value.
var operators = map[string]string{"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

func orNull[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// A condition is SQL with its parameters.
type condition struct {
	dialect dialect
	// ordered says that the planner shall read in the order of the result and
	// look at owners and visibilities row by row.
	ordered bool
	sql     strings.Builder
	args    []any
}

// column returns a column that the planner may use an index on unless the
// order decides.
func (c *condition) column(name string) string {
	if c.ordered {
		return c.dialect.hide(name)
	}
	return name
}

// and adds a condition. The text is the package's own; what comes from outside
// is in args.
func (c *condition) and(sql string, args ...any) {
	if c.sql.Len() > 0 {
		c.sql.WriteString(" AND ")
	}
	c.sql.WriteString("(" + sql + ")")
	c.args = append(c.args, args...)
}

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

// window is how many images a page is looked for among before the planner
// decides alone.
const window = 2000

// page returns the images of one page.
//
// What a caller sees is a union that no index has in order. Either all of it is
// sorted, which takes long if it is much, or the images are read in order until
// enough are found, which takes long if they are few. So the second is tried
// for a while, and most pages are full then; if not, there is not much to sort.
func (c *Catalog) page(ctx context.Context, tx *sql.Tx, q glance.Query, order []sortKey, marker *glance.Image) ([]*glance.Image, error) {
	p := pageQuery{q: q, order: order, marker: marker}
	if q.Limit < 0 || !order[0].indexed {
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
	rows, err := tx.QueryContext(ctx, `SELECT `+first.column+` FROM images i WHERE `+where.sql.String()+
		` ORDER BY `+orderSQL([]sortKey{first})+` LIMIT 1 OFFSET `+strconv.Itoa(window), where.args...)
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
	statement := `SELECT ` + imageColumns + ` FROM images i WHERE ` + where.sql.String() + ` ORDER BY ` + orderSQL(p.order)
	if p.q.Limit > 0 {
		statement += ` LIMIT ` + strconv.Itoa(p.q.Limit)
	}
	return images(ctx, tx, statement, where.args...)
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
	row := tx.QueryRowContext(ctx, `SELECT `+imageColumns+` FROM images i WHERE `+where.sql.String(), where.args...)
	im, err := scanImage(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("marker %s: %w", q.Marker, glance.ErrNotFound)
	}
	return im, err
}

// query adds all that q asks for but its marker.
func (c *condition) query(q glance.Query) error {
	if !q.Deleted {
		c.and(c.dialect.hide("i.deleted")+" = ?", false)
	}
	if len(q.Statuses) == 0 {
		c.and("i.status <> ?", glance.Killed)
	} else {
		c.in("i.status", anys(q.Statuses))
	}
	if q.Hidden != nil {
		c.and(c.dialect.hide("i.os_hidden")+" = ?", *q.Hidden)
	}
	c.visibleTo(q)
	for _, f := range q.Filters {
		if err := c.filter(f); err != nil {
			return err
		}
	}
	// Counting keeps MariaDB from collecting all images with the property, or
	// shared with the project, of which there may be many, before it begins.
	for name, value := range q.Properties {
		c.and(`(SELECT COUNT(*) FROM image_properties p WHERE p.image_id = i.id AND p.name = ? AND p.value = ? AND `+
			c.dialect.hide("p.deleted")+` = i.deleted) > 0`, name, value)
	}
	for _, tag := range q.Tags {
		c.and(`(SELECT COUNT(*) FROM image_tags t WHERE t.image_id = i.id AND t.value = ? AND t.deleted = i.deleted) > 0`, tag)
	}
	return nil
}

// visibleTo adds what the caller of q may see in a list, of the visibility
// that q asks for.
func (c *condition) visibleTo(q glance.Query) {
	owner, visibility := c.column("i.owner"), c.column("i.visibility")
	if q.Visibility != "" {
		c.and(visibility+" = ?", q.Visibility)
	}
	either := []string{owner + " IS NULL"}
	var args []any
	if q.ProjectID != "" {
		either = append(either, owner+" = ?")
		args = append(args, q.ProjectID)
	}
	switch {
	case q.Admin && (q.Visibility != "" || q.AllVisible):
	case q.Admin:
		either = append(either, visibility+" <> ?")
		c.and(strings.Join(either, " OR "), append(args, glance.Community)...)
	case q.Visibility == glance.Public, q.Visibility == glance.Community:
	default:
		either = append(either, visibility+" = ?")
		args = append(args, glance.Public)
		if q.AllVisible {
			either = append(either, visibility+" = ?")
			args = append(args, glance.Community)
		}
		if q.ProjectID != "" {
			shared, more := c.sharedWith(q)
			either = append(either, shared)
			args = append(args, more...)
		}
		c.and(strings.Join(either, " OR "), args...)
	}
}

// sharedWith is the condition that an image is shared with the caller of q.
func (c *condition) sharedWith(q glance.Query) (string, []any) {
	s := c.column("i.visibility") + ` = ? AND (SELECT COUNT(*) FROM image_members m WHERE m.image_id = i.id AND m.member = ? AND ` +
		c.dialect.hide("m.deleted") + ` = ?`
	args := []any{glance.Shared, q.ProjectID, false}
	if !q.AnyMember {
		s += " AND m.status = ?"
		args = append(args, cmp.Or(q.MemberStatus, glance.Accepted))
	}
	return s + ") > 0", args
}

// filter adds one comparison; ErrInvalid if there is none such.
func (c *condition) filter(f glance.Filter) error {
	a, ok := attributes[f.Attribute]
	if !ok {
		return fmt.Errorf("%w: no filter on %q", glance.ErrInvalid, f.Attribute)
	}
	var values []any
	for _, v := range f.Values {
		value, err := c.value(a.kind, v)
		if err != nil {
			return fmt.Errorf("%w: filter on %s: %q is no %s", glance.ErrInvalid, f.Attribute, v, []string{"text", "number", "boolean", "time"}[a.kind])
		}
		values = append(values, value)
	}
	if f.Op == "in" {
		c.in(a.column, values)
		return nil
	}
	op, ok := operators[f.Op]
	if !ok || len(values) != 1 {
		return fmt.Errorf("%w: filter on %s: no comparison %q of %d values", glance.ErrInvalid, f.Attribute, f.Op, len(values))
	}
	c.and(a.column+" "+op+" ?", values[0])
	return nil
}

// in adds that a column has one of the values.
func (c *condition) in(column string, values []any) {
	if len(values) == 0 {
		c.and("1 = 0")
		return
	}
	c.and(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", values...)
}

func anys[T any](list []T) []any {
	values := make([]any, len(list))
	for i, v := range list {
		values[i] = v
	}
	return values
}

// value parses what a filter compares with.
func (c *condition) value(kind int, s string) (any, error) {
	switch kind {
	case number:
		return strconv.ParseInt(s, 10, 64)
	case boolean:
		return strconv.ParseBool(s)
	case instant:
		t, err := time.Parse(time.RFC3339Nano, s)
		return c.dialect.time(t), err
	}
	return s, nil
}

// A sortKey is one key of a complete order.
type sortKey struct {
	attribute
	descending bool
}

// orderOf returns the order that keys ask for, with the ties broken.
func orderOf(keys []glance.SortKey) ([]sortKey, error) {
	descending := true
	if len(keys) > 0 {
		descending = keys[len(keys)-1].Descending
	}
	keys = append(slices.Clone(keys),
		glance.SortKey{Attribute: "created_at", Descending: descending},
		glance.SortKey{Attribute: "id", Descending: descending})
	var order []sortKey
	seen := map[string]bool{}
	for _, k := range keys {
		a, ok := attributes[k.Attribute]
		if !ok || a.value == nil {
			return nil, fmt.Errorf("%w: no sort key %q", glance.ErrInvalid, k.Attribute)
		}
		if seen[k.Attribute] {
			continue
		}
		seen[k.Attribute] = true
		order = append(order, sortKey{attribute: a, descending: k.Descending})
		if k.Attribute == "id" {
			break // no two images have one ID: nothing after it matters
		}
	}
	return order, nil
}

// orderSQL is order as SQL. Both kinds of database put nulls before all values.
func orderSQL(order []sortKey) string {
	terms := make([]string, len(order))
	for i, k := range order {
		terms[i] = k.column
		if k.descending {
			terms[i] += " DESC"
		}
	}
	return strings.Join(terms, ", ")
}

// from adds the bound on the first key that follows from after. Only in this
// form can an index on the key be entered in the middle.
func (c *condition) from(first sortKey, marker *glance.Image) {
	v := c.param(first.value(marker))
	switch {
	case v == nil:
	case !first.descending:
		c.and(first.column+" >= ?", v)
	case !first.nullable:
		c.and(first.column+" <= ?", v)
	}
}

// after adds that an image comes after marker in an order.
func (c *condition) after(order []sortKey, marker *glance.Image) {
	s, args := c.tail(order, marker)
	c.and(s, args...)
}

// tail is the condition that an image comes after marker by the keys given.
func (c *condition) tail(order []sortKey, marker *glance.Image) (string, []any) {
	k := order[0]
	v := c.param(k.value(marker))
	var beyond, equal string
	var args []any
	switch {
	case v == nil && k.descending:
		beyond, equal = "1 = 0", k.column+" IS NULL"
	case v == nil:
		beyond, equal = k.column+" IS NOT NULL", k.column+" IS NULL"
	default:
		equal = k.column + " = ?"
		args = []any{v}
		switch {
		case !k.descending:
			beyond = k.column + " > ?"
		case k.nullable:
			beyond = k.column + " < ? OR " + k.column + " IS NULL"
		default:
			beyond = k.column + " < ?"
		}
	}
	if len(order) == 1 {
		return beyond, args
	}
	rest, more := c.tail(order[1:], marker)
	if v != nil {
		args = append(args, v)
	}
	return beyond + " OR " + equal + " AND (" + rest + ")", append(args, more...)
}

// param returns v as a parameter.
func (c *condition) param(v any) any {
	if t, ok := v.(time.Time); ok {
		return c.dialect.time(t)
	}
	return v
}
