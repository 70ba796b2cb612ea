// Package imagecache keeps copies of image data in a directory, so that a node
// reads an image from its store once and not at every download. It is the
// [glance.DataCache] of the API service and what the reaper, pruner and
// prefetcher work on.
//
// Several processes share one directory without talking to each other. All
// they rely on is that rename, unlink and appending one byte are atomic:
//
//	ID                   the data of an image, whole and verified
//	state/ID             the MD5 of the data, then one byte for each hit;
//	                     its modification time is the last access
//	incomplete/ID.T.xxx  a download under way since T, or what a killed one left
//	invalid/ID.xxx       data that turned out not to be the image's
//	queue/ID             an image that the prefetcher should get, oldest first
//
// Nothing else is kept anywhere, so a process that is killed leaves a
// directory that the next one can use as it is. The package knows nothing about
// stores, the catalog or who may read an image.
package imagecache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"glancectl/service/glance"
)

// Options are the optional settings of Open. The zero value is ready to use.
type Options struct {
	// MaxSize keeps images that are larger out: the pruner would take them,
	// and everything else with them. 0 means no limit.
	MaxSize      int64
	StallTime    time.Duration // an incomplete entry untouched for so long is reaped; 0 means a day
	InvalidGrace time.Duration // an invalid entry is kept for so long; 0 means an hour
	Log          *slog.Logger  // told why an image could not be cached; nil means nobody
}

// The directories below the cache's own.
const (
	stateDir      = "state"
	incompleteDir = "incomplete"
	invalidDir    = "invalid"
	queueDir      = "queue"
)

// A Cache is a directory with copies of image data. It is safe for concurrent
// use, by several processes as well.
type Cache struct {
	dir        string
	o          Options
	pruneBatch int
	patience   time.Duration
	settle     time.Duration
	largest    atomic.Int64 // image that the system is taken to keep in memory for a while

	beginning sync.Mutex         // held by a fill until its file is there for others to see
	underway  sync.WaitGroup     // of fills
	verifying map[glance.ID]bool // by link; guarded by beginning
	copying   sync.Mutex         // held by the copy that is made after its download
}

// Open returns the cache in dir and makes the directories that are missing.
func Open(dir string, o Options) (*Cache, error) {
	for _, d := range []string{stateDir, incompleteDir, invalidDir, queueDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o750); err != nil {
			return nil, fmt.Errorf("open image cache: %w", err)
		}
	}
	o.StallTime = cmp.Or(o.StallTime, 24*time.Hour)
	o.InvalidGrace = cmp.Or(o.InvalidGrace, time.Hour)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	c := &Cache{dir: dir, o: o, pruneBatch: pruneBatch, patience: patience, settle: settle, verifying: make(map[glance.ID]bool)}
	c.largest.Store(memory() / memoryShare)
	return c, nil
}

// Wait returns when no fill is under way any more, or with the error of ctx.
// Data is verified after its download has ended, so a program that ends at
// once loses the entry.
func (c *Cache) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		c.underway.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Drop forgets the image: its data, its place in the queue and whatever a fill
// has written so far. It is no error if there is nothing to forget.
func (c *Cache) Drop(_ context.Context, id glance.ID) error {
	if _, err := glance.ParseID(string(id)); err != nil {
		return nil // nothing can be kept under such a name
	}
	errs := []error{c.removeEntry(id), c.Unqueue(id)}
	started, err := c.incomplete(id)
	if err != nil {
		errs = append(errs, err)
	}
	for _, f := range started {
		// A fill without its file cannot become an entry.
		errs = append(errs, remove(filepath.Join(c.dir, incompleteDir, f.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("drop %s from the image cache: %w", id, err)
	}
	return nil
}

// removeEntry removes the data of an image, and then what is known about it.
func (c *Cache) removeEntry(id glance.ID) error {
	return errors.Join(remove(c.data(id)), remove(c.state(id)))
}

func (c *Cache) data(id glance.ID) string  { return filepath.Join(c.dir, string(id)) }
func (c *Cache) state(id glance.ID) string { return filepath.Join(c.dir, stateDir, string(id)) }

// remove removes a file that may be gone already.
func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
