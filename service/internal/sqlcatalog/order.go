package sqlcatalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"glancectl/service/glance"
)

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
