package imagecache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"glancectl/service/glance"
)

// Sweep removes what processes that died have left: downloads that nobody
// writes on any more, what was known about data that never came, and copies of
// images that exists says are gone. Processes that are at work meanwhile lose
// nothing but, at worst, a copy. An error of exists ends the sweep.
func (c *Cache) Sweep(ctx context.Context, exists func(id glance.ID) (bool, error)) error {
	err := errors.Join(
		c.walk(ctx, incompleteDir, func(name string, _ fs.FileInfo) error {
			_, err := c.sweepIncomplete(name)
			return err
		}),
		c.walk(ctx, stateDir, func(name string, _ fs.FileInfo) error {
			if _, err := os.Lstat(filepath.Join(c.dir, name)); errors.Is(err, fs.ErrNotExist) {
				return remove(filepath.Join(c.dir, stateDir, name))
			}
			return nil
		}),
	)
	if err == nil {
		err = c.sweepEntries(ctx, exists)
	}
	if err != nil {
		return fmt.Errorf("sweep the image cache: %w", err)
	}
	return nil
}

// sweepIncomplete removes a file that a fill has left, unless it is still
// locked by it, and reports whether it is gone. Files with other names are not
// ours.
func (c *Cache) sweepIncomplete(name string) (gone bool, err error) {
	id, rest, _ := strings.Cut(name, ".")
	if _, err := glance.ParseID(id); err != nil || !strings.Contains(rest, ".") {
		return false, nil
	}
	path := filepath.Join(c.dir, incompleteDir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return false, nil // at work; or without locks, and the reaper goes by its age
	}
	err = remove(path)
	return err == nil, err
}

func (c *Cache) sweepEntries(ctx context.Context, exists func(id glance.ID) (bool, error)) error {
	var all []glance.ID
	if err := c.entries(ctx, func(e Entry) { all = append(all, e.ID) }); err != nil {
		return err
	}
	for _, id := range all {
		there, err := exists(id)
		if err == nil && !there {
			err = c.removeEntry(id)
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}
