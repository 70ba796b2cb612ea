package glance

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"
)

// An Object is data that a store has.
type Object struct {
	ID      ID // of the image that it was written for
	URL     string
	Size    int64
	Written time.Time
}

// A Lister is a Store that can tell what it has.
type Lister interface {
	// Objects calls do for everything that the store has under the ID of an
	// image, and returns the first error that do returns.
	Objects(ctx context.Context, do func(Object) error) error
}

// A Finding is data without an image, or an image without data. Where has the
// URL.
type Finding struct {
	ID     ID
	URL    string
	Size   int64 // of data without an image
	Orphan bool  // it is data without an image
}

// orphanAge is how old data has to be before it is taken for an orphan: what
// has just come may be on its way into an image.
const orphanAge = time.Hour

// Audit compares what images say about their data with what the stores have.
// It calls do for each image whose data is not in a store that should have it,
// and then for all data that no image knows and that is older than an hour, in
// those stores that can tell what they have; it returns the first error that do
// returns. ErrForbidden unless the caller is an admin. It changes nothing.
func (s *Images) Audit(ctx context.Context, do func(Finding) error) error {
	if !CallerFrom(ctx).Admin {
		return remark(ErrForbidden, "Only an admin may audit images.")
	}
	known := make(map[string]bool) // the last elements of all URLs
	for _, deleted := range []bool{false, true} {
		err := s.each(ctx, deleted, func(im *Image) error {
			for _, l := range im.Locations {
				if l.Status == Deleted {
					continue
				}
				known[path.Base(l.URL)] = true
				if err := s.auditLocation(ctx, im, l, do); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i := range s.stores.all {
		lister, ok := s.stores.all[i].Store.(Lister)
		if !ok {
			continue
		}
		err := lister.Objects(ctx, func(o Object) error {
			if known[path.Base(o.URL)] || s.now().Sub(o.Written) < orphanAge {
				return nil
			}
			if orphan, err := s.isOrphan(ctx, o); err != nil || !orphan {
				return err
			}
			return do(Finding{ID: o.ID, URL: o.URL, Size: o.Size, Orphan: true})
		})
		if err != nil {
			return fmt.Errorf("audit store: %w", err)
		}
	}
	return nil
}

// RemoveOrphan removes data that Audit has found without an image, if that is
// what it still is; else ErrConflict. ErrForbidden unless the caller is an
// admin.
func (s *Images) RemoveOrphan(ctx context.Context, f Finding) error {
	if !CallerFrom(ctx).Admin {
		return remark(ErrForbidden, "Only an admin may remove data.")
	}
	orphan, err := s.isOrphan(ctx, Object{ID: f.ID, URL: f.URL})
	if err == nil && (!orphan || !f.Orphan) {
		err = ErrConflict
	}
	if err == nil {
		err = s.remove(ctx, Location{URL: f.URL})
	}
	if err != nil {
		return fmt.Errorf("remove orphan %s: %w", f.URL, err)
	}
	return nil
}

// each calls do for every image; or for those that are pending_delete.
func (s *Images) each(ctx context.Context, deleted bool, do func(*Image) error) error {
	q := Query{Admin: true, AllVisible: true, AnyMember: true, Deleted: deleted, Sort: []SortKey{{Attribute: "id"}}, Limit: 500}
	if deleted {
		q.Statuses = []Status{PendingDelete}
	}
	for {
		page, err := s.catalog.List(ctx, q)
		if err != nil {
			return fmt.Errorf("list images: %w", err)
		}
		for _, im := range page {
			if err := do(im); err != nil {
				return err
			}
		}
		if len(page) < q.Limit {
			return nil
		}
		q.Marker = page[len(page)-1].ID
	}
}

// auditLocation reports a location of an image that can be read by users, if
// there is no data at it. It is looked at twice: the image may have been
// deleted after it was listed.
func (s *Images) auditLocation(ctx context.Context, im *Image, l Location, do func(Finding) error) error {
	if im.Status != Active && im.Status != Deactivated {
		return nil
	}
	there, err := s.has(ctx, l)
	if err != nil || there {
		return err
	}
	now, err := s.catalog.Get(ctx, im.ID, false)
	if err != nil {
		return ignoreLost(err)
	}
	for _, still := range now.Locations {
		if still.URL == l.URL && still.Status == Active {
			return do(Finding{ID: im.ID, URL: l.URL})
		}
	}
	return nil
}

// has says whether there is data at a location, as far as that can be known.
func (s *Images) has(ctx context.Context, l Location) (bool, error) {
	store, found := s.stores.of(l)
	if !found {
		return true, nil
	}
	var err error
	if sizer, ok := store.Store.(Sizer); ok {
		_, err = sizer.Size(ctx, l.URL)
	} else if r, oerr := store.Open(ctx, l.URL, 0, 0); oerr != nil {
		err = oerr
	} else {
		err = r.Close()
	}
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if errors.Is(err, ErrUnavailable) {
		return true, nil
	}
	return err == nil, err
}

// isOrphan says whether the image that data was written for does not know it,
// and nobody is at work on that image.
func (s *Images) isOrphan(ctx context.Context, o Object) (bool, error) {
	im, err := s.catalog.Get(ctx, o.ID, true)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, l := range im.Locations {
		if l.Status != Deleted && path.Base(l.URL) == path.Base(o.URL) {
			return false, nil
		}
	}
	return gone(im) || !inHand(im), nil
}
