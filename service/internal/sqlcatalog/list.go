package sqlcatalog

import (
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
	value    func(im *glance.Image) any // nil for null; only for what can be sorted by
}

// attributes are the columns by their names in the API.
var attributes = map[string]attribute{
	"id":               {column: "i.id", value: func(im *glance.Image) any { return string(im.ID) }},
	"name":             {column: "i.name", nullable: true, value: func(im *glance.Image) any { return orNull(im.Name) }},
	"status":           {column: "i.status", value: func(im *glance.Image) any { return string(im.Status) }},
	"container_format": {column: "i.container_format", nullable: true, value: func(im *glance.Image) any { return orNull(im.ContainerFormat) }},
	"disk_format":      {column: "i.disk_format", nullable: true, value: func(im *glance.Image) any { return orNull(im.DiskFormat) }},
	"size":             {column: "i.size", kind: number, nullable: true, value: func(im *glance.Image) any { return orNull(im.Size) }},
	"created_at":       {column: "i.created_at", kind: instant, value: func(im *glance.Image) any { return im.CreatedAt }},
	"updated_at":       {column: "i.updated_at", kind: instant, value: func(im *glance.Image) any { return im.UpdatedAt }},
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
	sql     strings.Builder
	args    []any
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
		where := &condition{dialect: c.target.dialect}
		if err := where.query(q); err != nil {
			return err
		}
		if q.Marker != "" {
			marker, err := c.marker(ctx, tx, q)
			if err != nil {
				return err
			}
			where.after(order, marker)
		}
		statement := `SELECT ` + imageColumns + ` FROM images i WHERE ` + where.sql.String() + ` ORDER BY ` + orderSQL(order)
		if q.Limit > 0 {
			statement += ` LIMIT ` + strconv.Itoa(q.Limit)
		}
		if list, err = images(ctx, tx, statement, where.args...); err != nil {
			return err
		}
		return c.target.dialect.fill(ctx, tx, list)
	})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return list, nil
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
	// The plus keeps the planner off indexes that nearly every row matches.
	if !q.Deleted {
		c.and("+i.deleted = ?", false)
	}
	if len(q.Statuses) == 0 {
		c.and("i.status <> ?", glance.Killed)
	} else {
		c.in("i.status", anys(q.Statuses))
	}
	if q.Hidden != nil {
		c.and("+i.os_hidden = ?", *q.Hidden)
	}
	c.visibleTo(q)
	for _, f := range q.Filters {
		if err := c.filter(f); err != nil {
			return err
		}
	}
	for name, value := range q.Properties {
		c.and(`EXISTS (SELECT 1 FROM image_properties p WHERE p.image_id = i.id AND p.name = ? AND p.value = ? AND +p.deleted = i.deleted)`, name, value)
	}
	for _, tag := range q.Tags {
		c.and(`EXISTS (SELECT 1 FROM image_tags t WHERE t.image_id = i.id AND t.value = ? AND +t.deleted = i.deleted)`, tag)
	}
	return nil
}

// visibleTo adds what the caller of q may see in a list, of the visibility
// that q asks for.
func (c *condition) visibleTo(q glance.Query) {
	if q.Visibility != "" {
		c.and("i.visibility = ?", q.Visibility)
	}
	own := []string{"i.owner IS NULL"}
	var args []any
	if q.ProjectID != "" {
		own = append(own, "i.owner = ?")
		args = append(args, q.ProjectID)
	}
	switch {
	case q.Admin && (q.Visibility != "" || q.AllVisible):
	case q.Admin:
		c.and("i.visibility <> ? OR "+strings.Join(own, " OR "), append([]any{glance.Community}, args...)...)
	case q.Visibility == glance.Public, q.Visibility == glance.Community:
	default:
		own = append(own, "i.visibility = ?")
		args = append(args, glance.Public)
		if q.AllVisible {
			own = append(own, "i.visibility = ?")
			args = append(args, glance.Community)
		}
		if q.ProjectID != "" {
			shared, more := sharedWith(q)
			own = append(own, shared)
			args = append(args, more...)
		}
		c.and(strings.Join(own, " OR "), args...)
	}
}

// sharedWith is the condition that an image is shared with the caller of q.
func sharedWith(q glance.Query) (string, []any) {
	s := `i.visibility = ? AND EXISTS (SELECT 1 FROM image_members m WHERE m.image_id = i.id AND m.member = ? AND +m.deleted = ?`
	args := []any{glance.Shared, q.ProjectID, false}
	if q.AnyMember {
		return s + ")", args
	}
	status := q.MemberStatus
	if status == "" {
		status = glance.Accepted
	}
	return s + " AND m.status = ?)", append(args, status)
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

// after adds that an image comes after marker in an order.
func (c *condition) after(order []sortKey, marker *glance.Image) {
	s, args := c.tail(order, marker)
	// The bound on the first key follows from the rest, but only in this form
	// can an index on it be entered in the middle.
	first := order[0]
	v := c.param(first.value(marker))
	switch {
	case v == nil:
	case !first.descending:
		c.and(first.column+" >= ?", v)
	case !first.nullable:
		c.and(first.column+" <= ?", v)
	}
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
