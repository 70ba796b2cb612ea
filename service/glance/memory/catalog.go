// Package memory keeps images in memory: a [glance.Catalog] and a
// [glance.Store] for tests of what is built on them. They pass the suites
// that every catalog and every store passes, and forget all when dropped.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"glancectl/service/glance"
)

// A Catalog is a glance.Catalog in memory. The zero value is empty and ready
// to use, from several goroutines at once.
type Catalog struct {
	Now   func() time.Time // nil means time.Now
	Owner string           // of the claims that are made; "" for none

	mu      sync.RWMutex
	images  map[glance.ID]*glance.Image
	members map[glance.ID][]glance.Member
	claims  map[glance.ID]glance.Claim
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

// keepsData says whether an image in that status has data, and must.
func keepsData(s glance.Status) bool { return s == glance.Active || s == glance.Deactivated }

func missing(id glance.ID) error { return fmt.Errorf("image %s: %w", id, glance.ErrNotFound) }

// Create implements glance.Catalog.
func (c *Catalog) Create(ctx context.Context, im *glance.Image) error {
	if err := ctx.Err(); err != nil {
		return err
	}
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
func (c *Catalog) Get(ctx context.Context, id glance.ID, deleted bool) (*glance.Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	im, there := c.images[id]
	if !there || hidden(im) && !deleted {
		return nil, missing(id)
	}
	return im.Clone(), nil
}

// Update implements glance.Catalog.
func (c *Catalog) Update(ctx context.Context, before, after *glance.Image) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	im, there := c.images[before.ID]
	if !there || hidden(im) && !hidden(before) {
		return missing(before.ID)
	}
	moves := before.Status != after.Status
	if (moves || glance.FormatsDiffer(before, after)) && im.Status != before.Status {
		return fmt.Errorf("image %s is %s, not %s: %w", im.ID, im.Status, before.Status, glance.ErrConflict)
	}
	if hidden(before) && !hidden(im) {
		return fmt.Errorf("image %s is %s again: %w", im.ID, im.Status, glance.ErrConflict)
	}
	if hidden(before) && !hidden(after) && !slices.EqualFunc(im.Locations, before.Locations, func(a, b glance.Location) bool {
		return a.URL == b.URL && a.Status == b.Status
	}) {
		return fmt.Errorf("image %s: the removal of its data has begun: %w", im.ID, glance.ErrConflict)
	}
	if hidden(after) && !hidden(before) && im.Protected != before.Protected {
		return fmt.Errorf("image %s: protected has changed: %w", im.ID, glance.ErrConflict)
	}
	if hidden(after) && !hidden(before) && slices.ContainsFunc(im.Locations, func(l glance.Location) bool {
		return !slices.ContainsFunc(before.Locations, func(b glance.Location) bool { return b.URL == l.URL })
	}) {
		return fmt.Errorf("image %s: a location was added: %w", im.ID, glance.ErrConflict)
	}
	was, locked := before.Properties[glance.ImportLock]
	is, stays := after.Properties[glance.ImportLock]
	moved := !slices.EqualFunc(before.Locations, after.Locations, func(a, b glance.Location) bool { return a.URL == b.URL })
	if holds, held := im.Properties[glance.ImportLock]; (locked != stays || was != is || locked && moved) && (locked != held || was != holds) {
		return fmt.Errorf("image %s: %s has changed: %w", im.ID, glance.ImportLock, glance.ErrConflict)
	}
	if im.Status == after.Status && keepsData(after.Status) && len(im.Locations) > 0 &&
		len(mergeLocations(slices.Clone(im.Locations), before.Locations, after.Locations)) == 0 {
		return fmt.Errorf("image %s would have no location: %w", im.ID, glance.ErrConflict)
	}
	after.UpdatedAt = c.now()
	merge(im, before.Clone(), after.Clone())
	c.claim(before, after)
	switch {
	case moves && hidden(im):
		im.DeletedAt = &after.UpdatedAt
	case moves:
		im.DeletedAt = nil
	}
	return nil
}

// merge writes to im what differs between before and after.
func merge(im, before, after *glance.Image) {
	im.UpdatedAt = after.UpdatedAt
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
	if slices.EqualFunc(locations, before, func(a, b glance.Location) bool { return a.URL == b.URL }) {
		return after
	}
	locations = slices.DeleteFunc(locations, func(l glance.Location) bool {
		return at(before, l.URL) >= 0 && at(after, l.URL) < 0
	})
	for _, l := range after {
		i, was := at(locations, l.URL), at(before, l.URL)
		switch {
		case i >= 0:
			locations[i] = l
		case was < 0 || before[was].Status != glance.Active: // else another update removed it
			locations = append(locations, l)
		}
	}
	return locations
}

// Members implements glance.Catalog.
func (c *Catalog) Members(_ context.Context, id glance.ID) ([]glance.Member, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if im, there := c.images[id]; !there || hidden(im) {
		return nil, nil
	}
	return slices.Clone(c.members[id]), nil
}

// Memberships implements glance.Catalog.
func (c *Catalog) Memberships(_ context.Context, projectID string) ([]glance.Member, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var list []glance.Member
	for id, members := range c.members {
		if at := c.find(id, projectID); at >= 0 && !hidden(c.images[id]) {
			list = append(list, members[at])
		}
	}
	slices.SortFunc(list, func(a, b glance.Member) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ImageID, b.ImageID))
	})
	return list, nil
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
	kept := *m
	if kept.CreatedAt.IsZero() {
		kept.CreatedAt = c.now()
		kept.UpdatedAt = kept.CreatedAt
	}
	c.members[m.ImageID] = append(c.members[m.ImageID], kept)
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
