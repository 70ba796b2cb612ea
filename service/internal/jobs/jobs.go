// Package jobs does the work of the periodic programs: the scrubber removes
// the data of deleted images, the reaper and the pruner keep the image cache
// clean and small, the prefetcher fills it.
//
// Each job is one function that runs once and reports what it did. When a job
// runs, that it does not overlap itself, and where its report goes is decided
// by the program that calls it. The rules about images are glance's own; the
// cache is whatever has the methods a job needs.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"glancectl/service/glance"
)

// A Report is what one run of a job did.
type Report struct {
	Done     int     // images scrubbed or cached, files removed
	Skipped  int     // left alone with good reason, such as not yet due
	Bytes    int64   // freed or cached, as far as the job knows
	Failures []error // one for each image that needs another run
}

// Err returns all failures as one error; nil if there is none.
func (r Report) Err() error { return errors.Join(r.Failures...) }

// Fail adds a failure, if err is one.
func (r *Report) Fail(err error) {
	if err != nil {
		r.fail(err)
	}
}

// LogValue shows the counts.
func (r Report) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("done", r.Done),
		slog.Int("skipped", r.Skipped),
		slog.Int("failed", len(r.Failures)),
		slog.Int64("bytes", r.Bytes),
	)
}

// fail adds a failure.
func (r *Report) fail(err error) { r.Failures = append(r.Failures, err) }

// asService returns ctx with a caller who may do everything, as a job may.
func asService(ctx context.Context) context.Context {
	c := glance.CallerFrom(ctx)
	return glance.WithCaller(ctx, glance.Caller{Admin: true, RequestID: c.RequestID})
}

// A Reaper removes what does not belong into a cache.
type Reaper interface {
	Reap(ctx context.Context, now time.Time) (files int, freed int64, err error)
}

// Reap has the cache remove invalid and stalled entries that are due at now.
func Reap(ctx context.Context, c Reaper, now time.Time) Report {
	n, freed, err := c.Reap(ctx, now)
	return ofCache(n, freed, err)
}

// A Pruner removes entries of a cache that has grown too large.
type Pruner interface {
	Prune(ctx context.Context, maxSize int64, extraToFree float64) (entries int, freed int64, err error)
}

// Prune has the cache remove the entries used least recently if all together
// are larger than maxSize, and extraToFree, a fraction of maxSize, beyond
// that.
func Prune(ctx context.Context, c Pruner, maxSize int64, extraToFree float64) Report {
	n, freed, err := c.Prune(ctx, maxSize, extraToFree)
	return ofCache(n, freed, err)
}

func ofCache(n int, freed int64, err error) Report {
	r := Report{Done: n, Bytes: freed}
	if err != nil {
		r.fail(err)
	}
	return r
}

// A Prefetched is a cache with a queue of images that are wanted in it.
type Prefetched interface {
	Queued(ctx context.Context) ([]glance.ID, error)
	Unqueue(id glance.ID) error
	Fill(ctx context.Context, im *glance.Image, fetch func() (io.ReadCloser, error)) error
}

// A Downloader gives the data of images, as [glance.Images] does. It should not
// read through the cache that is to be filled.
type Downloader interface {
	Download(ctx context.Context, id glance.ID) (*glance.Data, error)
}

// Prefetch caches the images in the queue, one after the other. Images that do
// not exist any more leave the queue; those that have no data yet, or that
// somebody else is caching, wait for another run.
func Prefetch(ctx context.Context, c Prefetched, images Downloader) Report {
	var r Report
	ids, err := c.Queued(ctx)
	if err != nil {
		r.fail(err)
		return r
	}
	ctx = asService(ctx)
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			r.fail(fmt.Errorf("prefetch: %w", err))
			break
		}
		n, err := prefetch(ctx, c, images, id)
		switch {
		case errors.Is(err, errNotYet), errors.Is(err, glance.ErrConflict):
			r.Skipped++
		case err != nil:
			r.fail(fmt.Errorf("prefetch %s: %w", id, err))
		default:
			r.Done++
			r.Bytes += n
		}
	}
	return r
}

// PrefetchOne caches one image, as Prefetch does. It is no error if that is
// not to be done now.
func PrefetchOne(ctx context.Context, c Prefetched, images Downloader, id glance.ID) error {
	_, err := prefetch(asService(ctx), c, images, id)
	if errors.Is(err, errNotYet) || errors.Is(err, glance.ErrConflict) {
		return nil
	}
	return err
}

// errNotYet is why an image is left alone.
var errNotYet = errors.New("not now")

// prefetch caches one image and returns the length of its data.
func prefetch(ctx context.Context, c Prefetched, images Downloader, id glance.ID) (int64, error) {
	d, err := images.Download(ctx, id)
	if errors.Is(err, glance.ErrNotFound) {
		if err := c.Unqueue(id); err != nil {
			return 0, err
		}
		return 0, errNotYet
	}
	if err != nil {
		return 0, err
	}
	if d.Image.Status != glance.Active || d.Empty() {
		return 0, errNotYet
	}
	err = c.Fill(ctx, d.Image, func() (io.ReadCloser, error) { return d.Open(ctx, 0, -1) })
	if errors.Is(err, glance.ErrTooLarge) || errors.Is(err, glance.ErrInvalid) {
		// It will never fit, nor ever be verified: no use to come back to it.
		return 0, errors.Join(c.Unqueue(id), err)
	}
	if err != nil {
		return 0, err
	}
	return *d.Image.Size, nil
}
