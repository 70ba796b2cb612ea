package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"glancectl/service/glance"
)

// Tasks is a glance.TaskCatalog in memory. The zero value is empty and ready
// to use, from several goroutines at once.
type Tasks struct {
	Now   func() time.Time // nil means time.Now
	Owner string           // of the claims that are made; "" for none

	mu     sync.RWMutex
	tasks  []*glance.Task // in the order in which they were made
	claims map[string]glance.Claim
}

var _ glance.TaskCatalog = (*Tasks)(nil)

func (c *Tasks) now() time.Time {
	if c.Now == nil {
		return time.Now().UTC().Truncate(time.Second)
	}
	return c.Now().UTC().Truncate(time.Second)
}

// find returns where a task is, or ErrNotFound.
func (c *Tasks) find(id string) (int, error) {
	at := slices.IndexFunc(c.tasks, func(t *glance.Task) bool { return t.ID == id })
	if at < 0 {
		return 0, fmt.Errorf("task %s: %w", id, glance.ErrNotFound)
	}
	return at, nil
}

// CreateTask implements glance.TaskCatalog.
func (c *Tasks) CreateTask(ctx context.Context, t *glance.Task) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.find(t.ID); err == nil {
		return fmt.Errorf("task %s: %w", t.ID, glance.ErrExists)
	}
	now := c.now()
	c.tasks = slices.DeleteFunc(c.tasks, func(t *glance.Task) bool { return expired(t, now) })
	kept := t.Clone()
	kept.CreatedAt, kept.UpdatedAt = t.CreatedAt.Truncate(time.Second), t.UpdatedAt.Truncate(time.Second)
	c.tasks = append(c.tasks, kept)
	c.claim(kept)
	return nil
}

func expired(t *glance.Task, now time.Time) bool {
	return t.ExpiresAt != nil && t.ExpiresAt.Before(now)
}

// Task implements glance.TaskCatalog.
func (c *Tasks) Task(ctx context.Context, id string) (*glance.Task, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	at, err := c.find(id)
	if err != nil {
		return nil, err
	}
	return c.tasks[at].Clone(), nil
}

// UpdateTask implements glance.TaskCatalog.
func (c *Tasks) UpdateTask(ctx context.Context, before, after *glance.Task) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, err := c.find(before.ID)
	if err != nil {
		return err
	}
	t := c.tasks[at]
	if t.Status != before.Status {
		return fmt.Errorf("task %s is %s, not %s: %w", t.ID, t.Status, before.Status, glance.ErrConflict)
	}
	after.UpdatedAt = c.now()
	written := after.Clone()
	t.Status, t.ImageID, t.Result, t.Message = written.Status, written.ImageID, written.Result, written.Message
	t.ExpiresAt, t.UpdatedAt = written.ExpiresAt, written.UpdatedAt
	if t.Status.Ended() {
		delete(c.claims, t.ID)
	}
	return nil
}

// taskOrder has what tasks are sorted by, as text.
var taskOrder = map[string]func(t *glance.Task) string{
	"id":         func(t *glance.Task) string { return t.ID },
	"type":       func(t *glance.Task) string { return string(t.Type) },
	"status":     func(t *glance.Task) string { return string(t.Status) },
	"owner":      func(t *glance.Task) string { return t.Owner },
	"created_at": func(t *glance.Task) string { return t.CreatedAt.Format(time.RFC3339) },
	"updated_at": func(t *glance.Task) string { return t.UpdatedAt.Format(time.RFC3339) },
	"expires_at": func(t *glance.Task) string {
		if t.ExpiresAt == nil {
			return ""
		}
		return t.ExpiresAt.Format(time.RFC3339)
	},
}

// Tasks implements glance.TaskCatalog.
func (c *Tasks) Tasks(ctx context.Context, q glance.TaskQuery) ([]*glance.Task, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key, ok := taskOrder[cmp.Or(q.Sort, "created_at")]
	if !ok {
		return nil, fmt.Errorf("list tasks: no sort key %q: %w", q.Sort, glance.ErrInvalid)
	}
	order := func(a, b *glance.Task) int {
		by := cmp.Or(strings.Compare(key(a), key(b)), strings.Compare(a.ID, b.ID))
		if !q.Ascending {
			by = -by
		}
		return by
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	var marker *glance.Task
	if q.Marker != "" {
		at, err := c.find(q.Marker)
		if err != nil {
			return nil, err
		}
		marker = c.tasks[at]
	}
	var list []*glance.Task
	for _, t := range c.tasks {
		if wanted(t, q) && (marker == nil || order(marker, t) < 0) {
			list = append(list, t.Clone())
		}
	}
	slices.SortFunc(list, order)
	if q.Limit > 0 {
		list = list[:min(q.Limit, len(list))]
	}
	return list, nil
}

func wanted(t *glance.Task, q glance.TaskQuery) bool {
	return (q.Type == "" || q.Type == t.Type) &&
		(q.Status == "" || q.Status == t.Status) &&
		(q.Owner == "" || q.Owner == t.Owner) &&
		(q.ImageID == "" || q.ImageID == t.ImageID) &&
		!expired(t, q.Now)
}
