package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glancectl/service/glance"
)

// Scrubber removes the data of one image that is pending_delete, as
// [glance.Images] does.
type Scrubber interface {
	Scrub(ctx context.Context, id glance.ID) error
}

// scrubPage is how many images Scrub asks the catalog for at a time.
const scrubPage = 500

// Scrub removes the data of all images that have been pending_delete since
// before due, and marks them deleted. It does not ask whether deletes are
// delayed: what waits is scrubbed. An image that somebody else has scrubbed or
// restored meanwhile is skipped, so scrubbers on several nodes do not get in
// each other's way. An image that fails is reported and tried again by the
// next run.
func Scrub(ctx context.Context, catalog glance.Catalog, images Scrubber, due time.Time) Report {
	var r Report
	ctx = asService(ctx)
	ids, waiting, err := pending(ctx, catalog, due)
	r.Skipped = waiting
	if err != nil {
		r.fail(err)
	}
	for _, im := range ids {
		if err := ctx.Err(); err != nil {
			r.fail(fmt.Errorf("scrub: %w", err))
			break
		}
		err := scrub(ctx, images, im.id)
		switch {
		case err == nil:
			r.Done++
			r.Bytes += im.size
		case errors.Is(err, glance.ErrConflict), errors.Is(err, glance.ErrNotFound):
			r.Skipped++
		default:
			r.fail(err)
		}
	}
	return r
}

// scrub scrubs one image to its end, though ctx ends meanwhile, unless that is
// at its deadline.
func scrub(ctx context.Context, images Scrubber, id glance.ID) error {
	whole := context.WithoutCancel(ctx)
	if limit, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		whole, cancel = context.WithDeadline(whole, limit)
		defer cancel()
	}
	return images.Scrub(whole, id)
}

// An Auditor compares images with the data that there is, as [glance.Images]
// does.
type Auditor interface {
	Audit(ctx context.Context, do func(glance.Finding) error) error
	RemoveOrphan(ctx context.Context, f glance.Finding) error
}

// Audit has everything told that is found to be wrong between images and
// stores, which is what the report counts as failures, and has the data without
// an image removed, if that is wanted.
func Audit(ctx context.Context, images Auditor, remove bool, tell func(glance.Finding)) Report {
	var r Report
	ctx = asService(ctx)
	var orphans []glance.Finding
	r.Fail(images.Audit(ctx, func(f glance.Finding) error {
		tell(f)
		switch {
		case !f.Orphan:
			r.fail(fmt.Errorf("image %s: no data at %s", f.ID, f.URL))
		case remove:
			orphans = append(orphans, f)
		default:
			r.fail(fmt.Errorf("data without an image: %s", f.URL))
		}
		return nil
	}))
	for _, f := range orphans {
		switch err := images.RemoveOrphan(ctx, f); {
		case err == nil:
			r.Done++
			r.Bytes += f.Size
		case errors.Is(err, glance.ErrConflict), errors.Is(err, glance.ErrNotFound):
			r.Skipped++
		default:
			r.fail(err)
		}
	}
	return r
}

// A pendingImage is what Scrub remembers of an image, little enough for many.
type pendingImage struct {
	id   glance.ID
	size int64
}

// pending returns the images that are to be scrubbed, those that were deleted
// first in front, and the number of those whose time has not come. It reads the
// whole list before anything is scrubbed, for the list changes by that.
func pending(ctx context.Context, catalog glance.Catalog, due time.Time) (found []pendingImage, waiting int, err error) {
	q := glance.Query{
		Admin:      true,
		AllVisible: true,
		AnyMember:  true,
		Deleted:    true,
		Statuses:   []glance.Status{glance.PendingDelete},
		Sort:       []glance.SortKey{{Attribute: "updated_at"}, {Attribute: "id"}},
		Limit:      scrubPage,
	}
	for {
		page, err := catalog.List(ctx, q)
		if errors.Is(err, glance.ErrNotFound) {
			return found, waiting, nil // the marker went meanwhile: the next run sees the rest
		}
		if err != nil {
			return found, waiting, fmt.Errorf("list images in status pending_delete: %w", err)
		}
		for _, im := range page {
			if deletedAt(im).After(due) {
				waiting++
				continue
			}
			p := pendingImage{id: im.ID}
			if im.Size != nil {
				p.size = *im.Size
			}
			found = append(found, p)
		}
		if len(page) < q.Limit {
			return found, waiting, nil
		}
		q.Marker = page[len(page)-1].ID
	}
}

// deletedAt returns when im was deleted. Services that set no time of deletion
// change the status last.
func deletedAt(im *glance.Image) time.Time {
	if im.DeletedAt != nil {
		return *im.DeletedAt
	}
	return im.UpdatedAt
}
