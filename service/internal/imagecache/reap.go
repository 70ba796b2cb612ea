package imagecache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"glancectl/service/glance"
)

// walk calls visit for each file in a directory of the cache, in no order and
// with few of them in memory at a time. A file that vanishes meanwhile is left
// out. It goes on after an error of visit and returns all of them.
func (c *Cache) walk(ctx context.Context, sub string, visit func(name string, info fs.FileInfo) error) error {
	dir, err := os.Open(filepath.Join(c.dir, sub))
	if err != nil {
		return err
	}
	defer dir.Close()
	var errs []error
	for {
		batch, err := dir.ReadDir(1024)
		for _, d := range batch {
			if !d.Type().IsRegular() {
				continue
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = visit(d.Name(), info)
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == io.EOF {
			return errors.Join(errs...)
		}
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
}

// Reap removes invalid entries past the grace period, incomplete ones that have
// stalled and what is left of the state of entries that are gone. It returns
// how many files and bytes that freed, also if some could not be removed.
func (c *Cache) Reap(ctx context.Context, now time.Time) (files int, freed int64, err error) {
	reap := func(sub string, age time.Duration, done func(name string) bool) error {
		return c.walk(ctx, sub, func(name string, info fs.FileInfo) error {
			if now.Sub(info.ModTime()) < age || !done(name) {
				return nil
			}
			err := os.Remove(filepath.Join(c.dir, sub, name))
			if err == nil {
				files++
				freed += info.Size()
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	always := func(string) bool { return true }
	orphan := func(name string) bool {
		_, err := os.Lstat(filepath.Join(c.dir, name))
		return errors.Is(err, fs.ErrNotExist)
	}
	err = errors.Join(
		reap(invalidDir, c.o.InvalidGrace, always),
		reap(incompleteDir, c.o.StallTime, always),
		reap(stateDir, c.o.StallTime, orphan),
	)
	if err != nil {
		err = fmt.Errorf("reap the image cache: %w", err)
	}
	return files, freed, err
}

// entries calls visit for each entry, in no order.
func (c *Cache) entries(ctx context.Context, visit func(Entry)) error {
	return c.walk(ctx, "", func(name string, info fs.FileInfo) error {
		if id, err := glance.ParseID(name); err == nil {
			visit(c.entry(id, info))
		}
		return nil
	})
}

// Entries returns what is in the cache, the one used last first.
func (c *Cache) Entries(ctx context.Context) ([]Entry, error) {
	var all []Entry
	if err := c.entries(ctx, func(e Entry) { all = append(all, e) }); err != nil {
		return nil, fmt.Errorf("list the image cache: %w", err)
	}
	slices.SortFunc(all, func(a, b Entry) int { return b.LastAccessed.Compare(a.LastAccessed) })
	return all, nil
}

// pruneBatch is how many entries Prune keeps in mind at a time. Twice as many
// are a few megabytes.
const pruneBatch = 1 << 15

// Prune removes entries, the one not used for the longest time first, if all
// together are larger than maxSize. It then frees extraToFree, a fraction of
// maxSize, more, so that it does not have to come back for every new image. It
// returns how many entries and bytes went, also on failure.
func (c *Cache) Prune(ctx context.Context, maxSize int64, extraToFree float64) (entries int, freed int64, err error) {
	limit := maxSize
	target := maxSize - int64(float64(maxSize)*min(max(extraToFree, 0), 1))
	for {
		size, oldest, err := c.oldest(ctx)
		if err != nil {
			return entries, freed, fmt.Errorf("prune the image cache: %w", err)
		}
		if size <= limit {
			return entries, freed, nil
		}
		n, b, err := c.removeOldest(ctx, oldest, size-target)
		entries += n
		freed += b
		if err != nil {
			return entries, freed, fmt.Errorf("prune the image cache: %w", err)
		}
		if n == 0 {
			return entries, freed, nil // others are at it as well
		}
		limit = target
	}
}

// removeOldest removes entries in their order until tooMuch bytes are gone,
// whoever removed them.
func (c *Cache) removeOldest(ctx context.Context, oldest []Entry, tooMuch int64) (entries int, freed int64, err error) {
	var errs []error
	for _, e := range oldest {
		if tooMuch <= 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		err := os.Remove(c.data(e.ID))
		if errors.Is(err, fs.ErrNotExist) {
			tooMuch -= e.Size
			continue
		}
		if err == nil {
			tooMuch -= e.Size
			freed += e.Size
			entries++
			err = remove(c.state(e.ID))
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return entries, freed, errors.Join(errs...)
}

// oldest returns the size of all entries together and those that were not used
// for the longest time, as many as are kept in mind, the oldest first.
func (c *Cache) oldest(ctx context.Context) (size int64, found []Entry, err error) {
	byAccess := func(a, b Entry) int { return a.LastAccessed.Compare(b.LastAccessed) }
	err = c.entries(ctx, func(e Entry) {
		size += e.Size
		if len(found) == 2*c.pruneBatch {
			slices.SortFunc(found, byAccess)
			found = found[:c.pruneBatch]
		}
		found = append(found, e)
	})
	slices.SortFunc(found, byAccess)
	return size, found[:min(len(found), c.pruneBatch)], err
}
