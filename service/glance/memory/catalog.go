// Package memory keeps images in memory: a [glance.Catalog] and a
// [glance.Store] for tests of what is built on them. They pass the suites
// that every catalog and every store passes, and forget all when dropped.
package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"glancectl/service/glance"
)

// A Catalog is a glance.Catalog in memory. The zero value is empty and ready
// to use, from several goroutines at once.
type Catalog struct {
	Now func() time.Time // nil means time.Now

	mu      sync.RWMutex
	images  map[glance.ID]*glance.Image
	members map[glance.ID][]glance.Member
}

var _ glance.Catalog = (*Catalog)(nil)

func (c *Catalog) now() time.Time {
	if c.Now == nil {
		return time.Now().UTC().Truncate(time.Second)
	}
	return c.Now().UTC().Truncate(time.Second)
}

// hidden says whether an image counts as deleted.
func hidden(im *glance.Image) bool {
	return im.Status == glance.Deleted || im.Status == glance.PendingDelete
}

func missing(id glance.ID) error { return fmt.Errorf("image %s: %w", id, glance.ErrNotFound) }

// Create implements glance.Catalog.
func (c *Catalog) Create(_ context.Context, im *glance.Image) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.images[im.ID]; there {
		return fmt.Errorf("image %s: %w", im.ID, glance.ErrExists)
	}
	if c.images == nil {
		c.images = make(map[glance.ID]*glance.Image)
		c.members = make(map[glance.ID][]glance.Member)
	}
	c.images[im.ID] = im.Clone()
	return nil
}

// Get implements glance.Catalog.
func (c *Catalog) Get(_ context.Context, id glance.ID, deleted bool) (*glance.Image, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	im, there := c.images[id]
	if !there || hidden(im) && !deleted {
		return nil, missing(id)
	}
	return im.Clone(), nil
}

// Update implements glance.Catalog.
func (c *Catalog) Update(_ context.Context, before, after *glance.Image) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	im, there := c.images[before.ID]
	if !there || im.Status == glance.Deleted || hidden(im) && !hidden(before) {
		return missing(before.ID)
	}
	if before.Status != after.Status && im.Status != before.Status {
		return fmt.Errorf("image %s is %s, not %s: %w", im.ID, im.Status, before.Status, glance.ErrConflict)
	}
	after.UpdatedAt = c.now()
	merge(im, before.Clone(), after.Clone())
	if im.Status == glance.Deleted {
		im.Properties, im.Tags, im.Locations = nil, nil, nil
		delete(c.members, im.ID)
	}
	return nil
}

// merge writes to im what differs between before and after.
func merge(im, before, after *glance.Image) {
	im.UpdatedAt, im.DeletedAt = after.UpdatedAt, after.DeletedAt
	set(&im.Status, before.Status, after.Status)
	set(&im.Visibility, before.Visibility, after.Visibility)
	set(&im.MinDisk, before.MinDisk, after.MinDisk)
	set(&im.MinRAM, before.MinRAM, after.MinRAM)
	set(&im.Protected, before.Protected, after.Protected)
	set(&im.Hidden, before.Hidden, after.Hidden)
	setPointer(&im.Name, before.Name, after.Name)
	setPointer(&im.DiskFormat, before.DiskFormat, after.DiskFormat)
	setPointer(&im.ContainerFormat, before.ContainerFormat, after.ContainerFormat)
	setPointer(&im.Size, before.Size, after.Size)
	setPointer(&im.VirtualSize, before.VirtualSize, after.VirtualSize)
	setPointer(&im.Checksum, before.Checksum, after.Checksum)
	setPointer(&im.HashAlgo, before.HashAlgo, after.HashAlgo)
	setPointer(&im.HashValue, before.HashValue, after.HashValue)
	setPointer(&im.Owner, before.Owner, after.Owner)
	mergeProperties(im, before, after)
	im.Tags = mergeTags(im.Tags, before.Tags, after.Tags)
	im.Locations = mergeLocations(im.Locations, before.Locations, after.Locations)
}

func set[T comparable](to *T, before, after T) {
	if before != after {
		*to = after
	}
}

func setPointer[T comparable](to **T, before, after *T) {
	if before == nil && after == nil || before != nil && after != nil && *before == *after {
		return
	}
	*to = after
}

func mergeProperties(im, before, after *glance.Image) {
	if im.Properties == nil {
		im.Properties = make(map[string]string)
	}
	for name := range before.Properties {
		if _, stays := after.Properties[name]; !stays {
			delete(im.Properties, name)
		}
	}
	for name, value := range after.Properties {
		if old, was := before.Properties[name]; !was || old != value {
			im.Properties[name] = value
		}
	}
}

func mergeTags(tags, before, after []string) []string {
	tags = slices.DeleteFunc(tags, func(t string) bool {
		return slices.Contains(before, t) && !slices.Contains(after, t)
	})
	for _, t := range after {
		if !slices.Contains(before, t) && !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	slices.Sort(tags)
	return tags
}

func mergeLocations(locations, before, after []glance.Location) []glance.Location {
	at := func(list []glance.Location, url string) int {
		return slices.IndexFunc(list, func(l glance.Location) bool { return l.URL == url })
	}
	locations = slices.DeleteFunc(locations, func(l glance.Location) bool {
		return at(before, l.URL) >= 0 && at(after, l.URL) < 0
	})
	for _, l := range after {
		if i := at(locations, l.URL); i >= 0 {
			locations[i] = l
		} else {
			locations = append(locations, l)
		}
	}
	return locations
}

// Members implements glance.Catalog.
func (c *Catalog) Members(_ context.Context, id glance.ID) ([]glance.Member, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.members[id]), nil
}

func (c *Catalog) find(id glance.ID, projectID string) int {
	return slices.IndexFunc(c.members[id], func(m glance.Member) bool { return m.ProjectID == projectID })
}

// AddMember implements glance.Catalog.
func (c *Catalog) AddMember(_ context.Context, m *glance.Member) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if im, there := c.images[m.ImageID]; !there || hidden(im) {
		return missing(m.ImageID)
	}
	if c.find(m.ImageID, m.ProjectID) >= 0 {
		return fmt.Errorf("member %s of image %s: %w", m.ProjectID, m.ImageID, glance.ErrExists)
	}
	c.members[m.ImageID] = append(c.members[m.ImageID], *m)
	return nil
}

// SetMember implements glance.Catalog.
func (c *Catalog) SetMember(_ context.Context, m *glance.Member) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.find(m.ImageID, m.ProjectID)
	if at < 0 {
		return fmt.Errorf("member %s of image %s: %w", m.ProjectID, m.ImageID, glance.ErrNotFound)
	}
	kept := &c.members[m.ImageID][at]
	kept.Status, kept.CanShare, kept.UpdatedAt = m.Status, m.CanShare, c.now()
	return nil
}

// RemoveMember implements glance.Catalog.
func (c *Catalog) RemoveMember(_ context.Context, id glance.ID, projectID string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.find(id, projectID)
	if at < 0 {
		return fmt.Errorf("member %s of image %s: %w", projectID, id, glance.ErrNotFound)
	}
	c.members[id] = slices.Delete(c.members[id], at, at+1)
	return nil
}

// List implements glance.Catalog.
func (c *Catalog) List(_ context.Context, q glance.Query) ([]*glance.Image, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	keys := completeSort(q.Sort)
	var marker *glance.Image
	if q.Marker != "" {
		im, there := c.images[q.Marker]
		if !there || hidden(im) && !q.Deleted || !c.seen(im, q) {
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
	mine := own(im, q) || im.Owner == nil
	switch {
	case q.Visibility != "" && im.Visibility != q.Visibility:
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
		c := v.compare(v.parse(s))
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

// A scalar is the value of an attribute, either text or a number.
type scalar struct {
	null    bool
	numeric bool
	time    bool
	n       int64
	s       string
}

func (a scalar) compare(b scalar) int {
	switch {
	case a.null || b.null:
		return bit(b.null) - bit(a.null)
	case a.numeric:
		return int(min(1, max(-1, a.n-b.n)))
	}
	return strings.Compare(a.s, b.s)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
