package imagecache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"glancectl/service/glance"
)

// Queue asks the prefetcher to cache an image. It returns false if the image is
// in the cache or in the queue already.
func (c *Cache) Queue(id glance.ID) (bool, error) {
	if _, err := glance.ParseID(string(id)); err != nil {
		return false, fmt.Errorf("queue an image: %w", err)
	}
	if _, err := os.Lstat(c.data(id)); err == nil {
		return false, nil
	}
	f, err := os.OpenFile(c.queued(id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("queue image %s: %w", id, err)
	}
	return true, f.Close()
}

// Queued returns the images that wait for the prefetcher, in the order in which
// they were queued.
func (c *Cache) Queued(ctx context.Context) ([]glance.ID, error) {
	type waiting struct {
		id    glance.ID
		since time.Time
	}
	var all []waiting
	err := c.walk(ctx, queueDir, func(name string, info fs.FileInfo) error {
		if id, err := glance.ParseID(name); err == nil {
			all = append(all, waiting{id, info.ModTime()})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the image cache's queue: %w", err)
	}
	slices.SortFunc(all, func(a, b waiting) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id))
	})
	ids := make([]glance.ID, len(all))
	for i, w := range all {
		ids[i] = w.id
	}
	return ids, nil
}

// Unqueue takes an image out of the queue; it need not be there.
func (c *Cache) Unqueue(id glance.ID) error {
	return remove(c.queued(id))
}

func (c *Cache) queued(id glance.ID) string { return filepath.Join(c.dir, queueDir, string(id)) }
