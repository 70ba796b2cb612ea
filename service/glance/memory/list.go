package memory

import (
	"context"
	"fmt"
	"slices"

	"glancectl/service/glance"
)

// List implements glance.Catalog.
func (c *Catalog) List(ctx context.Context, q glance.Query) ([]*glance.Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := check(q); err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	keys := completeSort(q.Sort)
	var marker *glance.Image
	if q.Marker != "" {
		im, there := c.images[q.Marker]
		if !there || hidden(im) && !q.Deleted && !q.Admin || !c.seen(im, q) {
			return nil, missing(q.Marker)
		}
		marker = im
	}
	list := make([]*glance.Image, 0)
	for _, im := range c.images {
		if (marker == nil || compare(im, marker, keys) > 0) && c.matches(im, q) {
			list = append(list, im)
		}
	}
	slices.SortFunc(list, func(a, b *glance.Image) int { return compare(a, b, keys) })
	if q.Limit >= 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	for i, im := range list {
		list[i] = im.Clone()
	}
	return list, nil
}

var sortable = []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}

// check refuses queries that mean nothing.
func check(q glance.Query) error {
	for _, f := range q.Filters {
		v := value(new(glance.Image), f.Attribute)
		switch {
		case !v.known:
			return fmt.Errorf("filter by %q: no such attribute: %w", f.Attribute, glance.ErrInvalid)
		case !slices.Contains([]string{"eq", "neq", "in", "lt", "lte", "gt", "gte"}, f.Op):
			return fmt.Errorf("filter by %s: no operator %q: %w", f.Attribute, f.Op, glance.ErrInvalid)
		case f.Op != "in" && len(f.Values) != 1:
			return fmt.Errorf("filter by %s: %d values: %w", f.Attribute, len(f.Values), glance.ErrInvalid)
		}
		for _, s := range f.Values {
			if _, err := v.parse(s); err != nil {
				return fmt.Errorf("filter by %s: %w: %w", f.Attribute, err, glance.ErrInvalid)
			}
		}
	}
	for _, k := range q.Sort {
		if !slices.Contains(sortable, k.Attribute) {
			return fmt.Errorf("sort by %q: no such key: %w", k.Attribute, glance.ErrInvalid)
		}
	}
	return nil
}

// completeSort adds the keys that break ties.
func completeSort(keys []glance.SortKey) []glance.SortKey {
	keys = slices.Clone(keys)
	descending := len(keys) == 0 || keys[len(keys)-1].Descending
	for _, a := range []string{"created_at", "id"} {
		if !slices.ContainsFunc(keys, func(k glance.SortKey) bool { return k.Attribute == a }) {
			keys = append(keys, glance.SortKey{Attribute: a, Descending: descending})
		}
	}
	return keys
}

// compare orders two images; null comes before every value.
func compare(a, b *glance.Image, keys []glance.SortKey) int {
	for _, k := range keys {
		if c := value(a, k.Attribute).compare(value(b, k.Attribute)); c != 0 {
			if k.Descending {
				return -c
			}
			return c
		}
	}
	return 0
}

// seen says whether who asks can see the image at all.
func (c *Catalog) seen(im *glance.Image, q glance.Query) bool {
	if q.Admin || im.Owner == nil || own(im, q) || im.Visibility == glance.Public || im.Visibility == glance.Community {
		return true
	}
	return im.Visibility == glance.Shared && c.find(im.ID, q.ProjectID) >= 0
}

func own(im *glance.Image, q glance.Query) bool {
	return im.Owner != nil && q.ProjectID != "" && *im.Owner == q.ProjectID
}

// offered says whether the image is shared with who asks, who answered what
// the query wants to see.
func (c *Catalog) offered(im *glance.Image, q glance.Query) bool {
	at := c.find(im.ID, q.ProjectID)
	if im.Visibility != glance.Shared || at < 0 {
		return false
	}
	want := q.MemberStatus
	if want == "" {
		want = glance.Accepted
	}
	return q.AnyMember || c.members[im.ID][at].Status == want
}

func (c *Catalog) listed(im *glance.Image, q glance.Query) bool {
	mine := own(im, q) || q.Admin && q.ProjectID == "" && im.Owner == nil
	switch {
	case q.Visibility != "" && im.Visibility != q.Visibility, q.NotPublic && im.Visibility == glance.Public:
		return false
	case im.Visibility == glance.Community && q.Visibility == "" && !q.AllVisible:
		return mine
	case q.Admin && q.Visibility != glance.Shared, mine:
		return true
	case im.Visibility == glance.Public, im.Visibility == glance.Community:
		return true
	}
	return q.Admin && q.ProjectID == "" || c.offered(im, q)
}

func (c *Catalog) matches(im *glance.Image, q glance.Query) bool {
	if hidden(im) && !q.Deleted || !c.listed(im, q) {
		return false
	}
	if len(q.Statuses) == 0 && im.Status == glance.Killed || len(q.Statuses) > 0 && !slices.Contains(q.Statuses, im.Status) {
		return false
	}
	if q.Hidden != nil && *q.Hidden != im.Hidden {
		return false
	}
	for name, want := range q.Properties {
		if got, there := im.Properties[name]; !there || got != want {
			return false
		}
	}
	for _, t := range q.Tags {
		if !slices.Contains(im.Tags, t) {
			return false
		}
	}
	return !slices.ContainsFunc(q.Filters, func(f glance.Filter) bool { return !holds(im, f) })
}

// holds says whether the filter is true for im. Nothing is true of a null.
func holds(im *glance.Image, f glance.Filter) bool {
	v := value(im, f.Attribute)
	if v.null {
		return false
	}
	return slices.ContainsFunc(f.Values, func(s string) bool {
		want, _ := v.parse(s) // checked before
		c := v.compare(want)
		switch f.Op {
		case "eq", "in":
			return c == 0
		case "neq":
			return c != 0
		case "lt":
			return c < 0
		case "lte":
			return c <= 0
		case "gt":
			return c > 0
		}
		return f.Op == "gte" && c >= 0
	})
}
