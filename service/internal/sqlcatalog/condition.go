package sqlcatalog

import (
	"cmp"
	"fmt"
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
	index    string                     // begins with the column, which is not null
	value    func(im *glance.Image) any // nil for null; only for what can be sorted by
}

// attributes are the columns by their names in the API.
var attributes = map[string]attribute{
	"id":               {column: "i.id", index: "PRIMARY", value: func(im *glance.Image) any { return string(im.ID) }},
	"name":             {column: "i.name", nullable: true, value: func(im *glance.Image) any { return orNull(im.Name) }},
	"status":           {column: "i.status", value: func(im *glance.Image) any { return string(im.Status) }},
	"container_format": {column: "i.container_format", nullable: true, value: func(im *glance.Image) any { return orNull(im.ContainerFormat) }},
	"disk_format":      {column: "i.disk_format", nullable: true, value: func(im *glance.Image) any { return orNull(im.DiskFormat) }},
	"size":             {column: "i.size", kind: number, nullable: true, value: func(im *glance.Image) any { return orNull(im.Size) }},
	"created_at":       {column: "i.created_at", kind: instant, index: "created_at_image_idx", value: func(im *glance.Image) any { return im.CreatedAt }},
	// The column may be null, but every service that writes the table sets it.
	"updated_at":    {column: "i.updated_at", kind: instant, index: "updated_at_image_idx", value: func(im *glance.Image) any { return im.UpdatedAt }},
	"deleted_at":    {column: "i.deleted_at", kind: instant},
	"virtual_size":  {column: "i.virtual_size", kind: number},
	"min_ram":       {column: "i.min_ram", kind: number},
	"min_disk":      {column: "i.min_disk", kind: number},
	"owner":         {column: "i.owner"},
	"checksum":      {column: "i.checksum"},
	"os_hash_algo":  {column: "i.os_hash_algo"},
	"os_hash_value": {column: "i.os_hash_value"},
	"protected":     {column: "i.protected", kind: boolean},
}

// operators are the comparisons of one value.
var operators = map[string]string{"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

func orNull[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// A condition is what stands after FROM images i, with its parameters.
type condition struct {
	dialect dialect
	// ordered says that the planner shall read in the order of the result and
	// look at owners and visibilities row by row.
	ordered bool
	joins   strings.Builder
	joined  []any // parameters of joins
	sql     strings.Builder
	args    []any
}

// String returns the joins and the conditions as SQL.
func (c *condition) String() string { return c.joins.String() + " WHERE " + c.sql.String() }

// params returns the parameters of the SQL.
func (c *condition) params() []any { return append(c.joined, c.args...) }

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
	for name, value := range q.Properties {
		// An image has one row for a name: the join repeats no image.
		p := "p" + strconv.Itoa(len(c.joined))
		fmt.Fprintf(&c.joins, ` %s image_properties %[2]s ON %[2]s.image_id = i.id AND %[2]s.name = ? AND %[2]s.value = ? AND %[3]s = i.deleted`,
			c.dialect.join, p, c.dialect.hide(p+".deleted"))
		c.joined = append(c.joined, name, value)
	}
	// Counting keeps MariaDB from collecting all images with the tag, or shared
	// with the project, of which there may be many, before it begins.
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
	if q.NotPublic {
		c.and(visibility+" <> ?", glance.Public)
	}
	var either []string
	var args []any
	switch {
	case q.ProjectID != "":
		either = append(either, owner+" = ?")
		args = append(args, q.ProjectID)
	case q.Admin: // what belongs to nobody is as good as its own
		either = append(either, owner+" IS NULL")
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
