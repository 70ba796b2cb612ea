package glance

import (
	"context"
	"errors"
	"slices"
)

// Deactivate makes the data of an active image unreadable for everybody but
// admins. An image that is deactivated already stays so. ErrNotFound, or
// ErrForbidden, also in any other status.
func (s *Images) Deactivate(ctx context.Context, id ID) error {
	return s.toggle(ctx, id, "deactivate", DeactivateImage)
}

// Reactivate undoes Deactivate, in the same way.
func (s *Images) Reactivate(ctx context.Context, id ID) error {
	return s.toggle(ctx, id, "reactivate", ReactivateImage)
}

func (s *Images) toggle(ctx context.Context, id ID, verb string, rule Rule) error {
	from, to := Active, Deactivated
	if rule == ReactivateImage {
		from, to = Deactivated, Active
	}
	changed := false
	im, err := s.modify(ctx, id, func(c Caller, im *Image) error {
		if err := s.allow(c, rule, Target{Image: im}); err != nil {
			return err
		}
		changed = im.Status == from
		if im.Status == to {
			return nil
		}
		if im.Status != from {
			return refuse(ErrForbidden, "Not allowed to %s image in status '%s'", verb, im.Status)
		}
		return im.moveTo(to)
	})
	if err == nil && changed {
		s.notify(ctx, Event{Type: "image.update", Image: im})
	}
	return err
}

// AddTag tags an image; a tag it has already is no error.
func (s *Images) AddTag(ctx context.Context, id ID, tag string) error {
	return s.retag(ctx, id, func(im *Image) error {
		im.Tags = set(append(im.Tags, tag))
		return nil
	})
}

// RemoveTag takes a tag away; ErrNotFound if the image does not have it.
func (s *Images) RemoveTag(ctx context.Context, id ID, tag string) error {
	return s.retag(ctx, id, func(im *Image) error {
		at := slices.Index(im.Tags, tag)
		if at < 0 {
			return refuse(ErrNotFound, "The resource could not be found.")
		}
		im.Tags = slices.Delete(im.Tags, at, at+1)
		return nil
	})
}

func (s *Images) retag(ctx context.Context, id ID, f func(*Image) error) error {
	found := false
	im, err := s.modify(ctx, id, func(c Caller, im *Image) error {
		found = true
		if err := s.allow(c, ModifyImage, Target{Image: im}); err != nil {
			return err
		}
		return f(im)
	})
	if err != nil && !found {
		return asImageNotFound(id, err)
	}
	if errors.Is(err, ErrTooLarge) {
		return refuse(ErrTooLarge, "Image tag limit exceeded for image %s: %s:", id, err)
	}
	if err == nil {
		s.notify(ctx, Event{Type: "image.update", Image: im})
	}
	return err
}
