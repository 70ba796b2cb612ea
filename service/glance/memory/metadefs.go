package memory

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// Metadefs is a metadef.Catalog in memory. The zero value is empty and ready
// to use, from several goroutines at once.
type Metadefs struct {
	Now      func() time.Time // nil means time.Now
	FoldCase bool             // names that differ only in case are the same

	mu         sync.RWMutex
	last       int64 // number given to an entry
	namespaces []*metadef.Namespace
	types      []metadef.ResourceType
}

var _ metadef.Catalog = (*Metadefs)(nil)

func (c *Metadefs) now() time.Time {
	if c.Now == nil {
		return time.Now().UTC().Truncate(time.Second)
	}
	return c.Now().UTC().Truncate(time.Second)
}

func (c *Metadefs) same(a, b string) bool { return a == b || c.FoldCase && strings.EqualFold(a, b) }

// find returns where a namespace is, or ErrNotFound.
func (c *Metadefs) find(name string) (int, error) {
	at := slices.IndexFunc(c.namespaces, func(ns *metadef.Namespace) bool { return c.same(ns.Name, name) })
	if at < 0 {
		return -1, fmt.Errorf("namespace %s: %w", name, glance.ErrNotFound)
	}
	return at, nil
}

func seen(ns *metadef.Namespace, q metadef.Query) bool {
	return q.Admin || ns.Visibility == glance.Public || q.ProjectID != "" && ns.Owner == q.ProjectID
}

// Namespaces implements metadef.Catalog.
func (c *Metadefs) Namespaces(ctx context.Context, q metadef.Query) ([]*metadef.Namespace, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q.Sort != "" && !slices.Contains(metadef.SortKeys, q.Sort) {
		return nil, fmt.Errorf("%w: no sort key %q", glance.ErrInvalid, q.Sort)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	compare := func(a, b *metadef.Namespace) int {
		n := cmp.Or(compareBy(q.Sort, a, b), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		if !q.Ascending {
			return -n
		}
		return n
	}
	var marker *metadef.Namespace
	if q.Marker != "" {
		at, err := c.find(q.Marker)
		if err != nil || !seen(c.namespaces[at], q) {
			return nil, fmt.Errorf("marker %s: %w", q.Marker, glance.ErrNotFound)
		}
		marker = c.namespaces[at]
	}
	var list []*metadef.Namespace
	for _, ns := range c.namespaces {
		if seen(ns, q) && selected(ns, q) && (marker == nil || compare(marker, ns) < 0) {
			list = append(list, c.listed(ns))
		}
	}
	slices.SortFunc(list, compare)
	return list[:min(max(q.Limit, 0), len(list))], nil
}

// listed returns ns as it is in lists.
func (c *Metadefs) listed(ns *metadef.Namespace) *metadef.Namespace {
	bare := *c.whole(ns)
	bare.Properties, bare.Objects, bare.Tags = nil, nil, nil
	return &bare
}

func selected(ns *metadef.Namespace, q metadef.Query) bool {
	if q.Visibility != nil && ns.Visibility != *q.Visibility {
		return false
	}
	return q.ResourceTypes == nil || slices.ContainsFunc(ns.Associations, func(a *metadef.Association) bool {
		return slices.Contains(q.ResourceTypes, a.Name)
	})
}

func compareBy(key metadef.SortKey, a, b *metadef.Namespace) int {
	value := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	switch key {
	case "updated_at":
		return a.UpdatedAt.Compare(b.UpdatedAt)
	case "namespace":
		return cmp.Compare(a.Name, b.Name)
	case "display_name":
		return cmp.Compare(value(a.DisplayName), value(b.DisplayName))
	case "description":
		return cmp.Compare(value(a.Description), value(b.Description))
	case "visibility":
		return cmp.Compare(a.Visibility, b.Visibility)
	case "protected":
		return bit(a.Protected) - bit(b.Protected)
	case "owner":
		return cmp.Compare(a.Owner, b.Owner)
	case "id":
		return cmp.Compare(a.ID, b.ID)
	}
	return 0
}

// whole returns a copy of ns in the order that catalogs have.
func (c *Metadefs) whole(ns *metadef.Namespace) *metadef.Namespace {
	ns = ns.Clone()
	slices.SortFunc(ns.Properties, func(a, b *metadef.Property) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(ns.Objects, func(a, b *metadef.Object) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(ns.Tags, func(a, b *metadef.Tag) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(ns.Associations, func(a, b *metadef.Association) int {
		return slices.IndexFunc(c.types, c.named(a.Name)) - slices.IndexFunc(c.types, c.named(b.Name))
	})
	return ns
}

func (c *Metadefs) named(name string) func(metadef.ResourceType) bool {
	return func(t metadef.ResourceType) bool { return c.same(t.Name, name) }
}

// Namespace implements metadef.Catalog.
func (c *Metadefs) Namespace(ctx context.Context, name string) (*metadef.Namespace, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	at, err := c.find(name)
	if err != nil {
		return nil, err
	}
	return c.whole(c.namespaces[at]), nil
}

// Create implements metadef.Catalog.
func (c *Metadefs) Create(ctx context.Context, ns *metadef.Namespace) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.find(ns.Name); err == nil || c.repeats(ns) {
		return fmt.Errorf("namespace %s: %w", ns.Name, glance.ErrExists)
	}
	now := c.now()
	kept := ns.Clone()
	kept.FoldCase = c.FoldCase
	c.stamp(&kept.Entry, now)
	c.settle(new(metadef.Namespace), kept, now)
	c.namespaces = append(c.namespaces, kept)
	ns.Entry = kept.Entry
	return nil
}

func (c *Metadefs) stamp(e *metadef.Entry, now time.Time) {
	c.last++
	e.ID, e.CreatedAt, e.UpdatedAt = c.last, now, now
}

// repeats tells whether two names in ns are the same.
func (c *Metadefs) repeats(ns *metadef.Namespace) bool {
	return repeated(c, ns.Associations, func(a *metadef.Association) string { return a.Name }) ||
		repeated(c, ns.Properties, func(p *metadef.Property) string { return p.Name }) ||
		repeated(c, ns.Objects, func(o *metadef.Object) string { return o.Name }) ||
		repeated(c, ns.Tags, func(t *metadef.Tag) string { return t.Name })
}

func repeated[T any](c *Metadefs, list []T, name func(T) string) bool {
	for i, e := range list {
		if slices.ContainsFunc(list[:i], func(f T) bool { return c.same(name(e), name(f)) }) {
			return true
		}
	}
	return false
}

// settle gives the new entries of ns their numbers, all their times, and makes
// the types of resource known.
func (c *Metadefs) settle(before, ns *metadef.Namespace, now time.Time) {
	for _, o := range ns.Objects {
		if o.Required == nil {
			o.Required = []string{}
		}
		if o.Properties == nil {
			o.Properties = map[string]metadef.Schema{}
		}
	}
	settle(c, before.Associations, ns.Associations, func(a *metadef.Association) *metadef.Entry { return &a.Entry }, now)
	settle(c, before.Properties, ns.Properties, func(p *metadef.Property) *metadef.Entry { return &p.Entry }, now)
	settle(c, before.Objects, ns.Objects, func(o *metadef.Object) *metadef.Entry { return &o.Entry }, now)
	settle(c, before.Tags, ns.Tags, func(t *metadef.Tag) *metadef.Entry { return &t.Entry }, now)
	for _, a := range ns.Associations {
		if slices.ContainsFunc(c.types, c.named(a.Name)) {
			continue
		}
		t := metadef.ResourceType{Entry: metadef.Entry{Name: a.Name}, Protected: a.Protected}
		c.stamp(&t.Entry, now)
		c.types = append(c.types, t)
	}
}

// settle stamps what is new in after, and what is other than before.
func settle[T any](c *Metadefs, before, after []*T, entry func(*T) *metadef.Entry, now time.Time) {
	for _, e := range after {
		at := slices.IndexFunc(before, func(old *T) bool { return entry(old).ID == entry(e).ID })
		switch {
		case at < 0:
			c.stamp(entry(e), now)
		case !reflect.DeepEqual(before[at], e):
			entry(e).UpdatedAt = now
		}
	}
}

// Update implements metadef.Catalog.
func (c *Metadefs) Update(ctx context.Context, name string, change func(ns *metadef.Namespace) error) (*metadef.Namespace, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, err := c.find(name)
	if err != nil {
		return nil, err
	}
	changed := c.whole(c.namespaces[at])
	if err := change(changed); err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	if other, err := c.find(changed.Name); err == nil && other != at || c.repeats(changed) {
		return nil, fmt.Errorf("namespace %s: %w", changed.Name, glance.ErrExists)
	}
	now := c.now()
	c.settle(c.namespaces[at], changed, now)
	if self(c.namespaces[at]) != self(changed) {
		changed.UpdatedAt = now
	}
	c.namespaces[at] = changed
	return c.whole(changed), nil
}

// self returns what ns says of itself, in a form that compares.
func self(ns *metadef.Namespace) string {
	bare := *ns
	bare.Associations, bare.Properties, bare.Objects, bare.Tags = nil, nil, nil, nil
	return string(bare.Encode())
}

// Remove implements metadef.Catalog.
func (c *Metadefs) Remove(ctx context.Context, name string, check func(ns *metadef.Namespace) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, err := c.find(name)
	if err != nil {
		return err
	}
	if err := check(c.whole(c.namespaces[at])); err != nil {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	c.namespaces = slices.Delete(c.namespaces, at, at+1)
	return nil
}

// ResourceTypes implements metadef.Catalog.
func (c *Metadefs) ResourceTypes(ctx context.Context) ([]metadef.ResourceType, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.types), nil
}

// AddResourceType implements metadef.Catalog.
func (c *Metadefs) AddResourceType(ctx context.Context, t *metadef.ResourceType) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.ContainsFunc(c.types, c.named(t.Name)) {
		return fmt.Errorf("resource type %s: %w", t.Name, glance.ErrExists)
	}
	c.stamp(&t.Entry, c.now())
	c.types = append(c.types, *t)
	return nil
}

// RemoveResourceType implements metadef.Catalog.
func (c *Metadefs) RemoveResourceType(ctx context.Context, name string, check func(t metadef.ResourceType) error) (metadef.ResourceType, error) {
	if err := ctx.Err(); err != nil {
		return metadef.ResourceType{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.types, c.named(name))
	if at < 0 {
		return metadef.ResourceType{}, fmt.Errorf("resource type %s: %w", name, glance.ErrNotFound)
	}
	t := c.types[at]
	if err := check(t); err != nil {
		return t, fmt.Errorf("resource type %s: %w", name, err)
	}
	for _, ns := range c.namespaces {
		if slices.ContainsFunc(ns.Associations, func(a *metadef.Association) bool { return c.same(a.Name, t.Name) }) {
			return t, fmt.Errorf("resource type %s: namespace %s has it: %w", name, ns.Name, glance.ErrConflict)
		}
	}
	c.types = slices.Delete(c.types, at, at+1)
	return t, nil
}

// Clear implements metadef.Catalog.
func (c *Metadefs) Clear(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.namespaces, c.types = nil, nil
	return nil
}
