package glance

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Delete removes an image and its data. With DelayedDelete the data is left
// to Scrub; so is data that the store fails to remove. ErrNotFound;
// ErrForbidden, also for a protected image; ErrInvalid in a status that
// cannot be left this way.
func (s *Images) Delete(ctx context.Context, id ID) error {
	return s.delete(ctx, id, func(*Image) error { return nil })
}

// DeleteWhereStaged is Delete, but an image whose data is staged with another
// service stays as it is: the error is an *Elsewhere, and that service has to
// be asked, which removes the data as well.
func (s *Images) DeleteWhereStaged(ctx context.Context, id ID) error {
	return s.delete(ctx, id, s.elsewhere)
}

// delete is Delete of an image that passes a last check.
func (s *Images) delete(ctx context.Context, id ID, check func(*Image) error) error {
	c := CallerFrom(ctx)
	var gone *Image
	for left := attempts; gone == nil; left-- {
		before, err := s.find(ctx, id)
		if errors.Is(err, ErrNotFound) && !errors.Is(err, errHidden) {
			return notDeletable(id)
		}
		if err != nil {
			return err
		}
		if err := s.allow(c, DeleteImage, Target{Image: before}); err != nil {
			return err
		}
		if before.Protected {
			return refuse(ErrForbidden, "Image %s is protected and cannot be deleted.", id)
		}
		if err := check(before); err != nil {
			return err
		}
		after, err := s.condemned(before)
		if err != nil {
			return refuse(ErrInvalid, "%s", err)
		}
		err = s.catalog.Update(ctx, before, after)
		switch {
		case err == nil:
			gone = after
		case errors.Is(err, ErrNotFound):
			return notDeletable(id)
		case !errors.Is(err, ErrConflict) || left == 0:
			return fmt.Errorf("delete image %s: %w", id, err)
		}
	}
	// From here on the image is gone for everybody; the rest is clean-up.
	ctx = context.WithoutCancel(ctx)
	s.notify(ctx, Event{Type: "image.delete", Image: s.clear(ctx, gone)})
	return nil
}

// clear removes what is left of an image that Delete took away, and returns
// the image as it is then.
func (s *Images) clear(ctx context.Context, im *Image) *Image {
	if s.o.Cache != nil {
		if err := s.o.Cache.Drop(ctx, im.ID); err != nil {
			s.o.Log.WarnContext(ctx, "cached copy of a deleted image stays behind", "image", im.ID, "error", err)
		}
	}
	if s.imports.Staging != nil && len(im.Locations) == 0 {
		s.unstage(ctx, im.ID)
	}
	if im.Status != PendingDelete || s.o.DelayedDelete {
		return im
	}
	buried, err := s.bury(ctx, im)
	if err == nil {
		return buried
	}
	if !errors.Is(err, ErrConflict) { // else the scrubber was here first
		s.o.Log.WarnContext(ctx, "data of a deleted image is left to the scrubber", "image", im.ID, "error", err)
	}
	return im
}

func notDeletable(id ID) error {
	return refuse(ErrNotFound, "Failed to find image %s to delete", id)
}

// condemned returns im as it is while its data waits to be removed; without
// data it is deleted at once. Even when the data is removed right away the
// image is pending_delete until then: a service that dies in between leaves
// work for the scrubber and not an object that nobody knows of.
func (s *Images) condemned(im *Image) (*Image, error) {
	after := im.Clone()
	now := s.now()
	after.DeletedAt = &now
	to := Deleted
	for i, l := range after.Locations {
		if l.Status != Active {
			continue
		}
		after.Locations[i].Status = PendingDelete
		if !s.o.DelayedDelete && !s.o.Filtered { // a registry knows no such status
			after.Locations[i].Status = Removing
		}
		to = PendingDelete
	}
	return after, after.moveTo(to)
}

// Scrub removes the data of an image in status pending_delete and marks the
// image deleted. Data that is not there any more is no error. ErrForbidden
// unless the caller is an admin, ErrNotFound if there never was such an
// image, ErrConflict if it is not in that status. Scrub may be called again
// after a failure.
func (s *Images) Scrub(ctx context.Context, id ID) error {
	if !CallerFrom(ctx).Admin {
		return remark(ErrForbidden, "Only an admin may scrub images.")
	}
	im, err := s.catalog.Get(ctx, id, true)
	if err != nil {
		return fmt.Errorf("scrub image %s: %w", id, err)
	}
	if im.Status != PendingDelete {
		return refuse(ErrConflict, "Image status transition from %s to %s is not allowed", im.Status, Deleted)
	}
	if im, err = s.begun(ctx, im); err != nil {
		return fmt.Errorf("scrub image %s: %w", id, err)
	}
	_, err = s.bury(ctx, im)
	return err
}

// begun records of an image that is pending_delete that its data is being
// removed, before any of it is: nobody restores an image that will have none.
func (s *Images) begun(ctx context.Context, im *Image) (*Image, error) {
	after := im.Clone()
	for i, l := range after.Locations {
		if l.Status != Deleted {
			after.Locations[i].Status = Removing
		}
	}
	return after, s.catalog.Update(ctx, im, after)
}

// Restore takes an image in status PendingDelete back to Active, with all that
// it had. ErrForbidden unless the caller is an admin, ErrNotFound if there never
// was such an image, ErrConflict if it is in another status or if the removal
// of its data has begun.
func (s *Images) Restore(ctx context.Context, id ID) error {
	if !CallerFrom(ctx).Admin {
		return remark(ErrForbidden, "Only an admin may restore images.")
	}
	before, err := s.catalog.Get(ctx, id, true)
	if err != nil {
		return fmt.Errorf("restore image %s: %w", id, err)
	}
	if before.Status != PendingDelete {
		return refuse(ErrConflict, "cannot restore the image from %s to active (wanted from_state=pending_delete)", before.Status)
	}
	after := before.Clone()
	after.DeletedAt = nil
	after.Locations = slices.DeleteFunc(after.Locations, func(l Location) bool { return l.Status == Deleted })
	for i, l := range after.Locations {
		if l.Status == Removing {
			return refuse(ErrConflict, "cannot restore the image: the removal of its data has begun")
		}
		after.Locations[i].Status = Active
	}
	if err := after.moveTo(Active); err != nil {
		return err
	}
	if err := s.catalog.Update(ctx, before, after); err != nil {
		return fmt.Errorf("restore image %s: %w", id, err)
	}
	return nil
}

// bury removes the data of an image that is pending_delete, and returns the
// image as it is when all of it is gone.
func (s *Images) bury(ctx context.Context, im *Image) (*Image, error) {
	after := im.Clone()
	var failed error
	for i, l := range after.Locations {
		if l.Status == Deleted {
			continue
		}
		if err := s.remove(ctx, l); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		after.Locations[i].Status = Deleted
	}
	if failed == nil {
		if err := after.moveTo(Deleted); err != nil {
			return nil, err
		}
	}
	if err := s.catalog.Update(ctx, im, after); err != nil && !errors.Is(err, ErrNotFound) {
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return nil, fmt.Errorf("remove data of image %s: %w", im.ID, failed)
	}
	return after, nil
}
