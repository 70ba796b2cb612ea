package glance

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// StoresInfoDetail is the rule for looking at the settings of stores.
const StoresInfoDetail Rule = "stores_info_detail"

// AllowStoreDetails returns ErrForbidden if the caller may not look at the
// settings of stores.
func (s *Images) AllowStoreDetails(ctx context.Context) error {
	return s.allow(CallerFrom(ctx), StoresInfoDetail, Target{})
}

// CheckStore returns ErrConflict if there is no store of that name, and
// ErrNotFound where stores have no names.
func (s *Images) CheckStore(id string) error {
	if !s.stores.named {
		return &Refusal{Kind: ErrNotFound, Message: "The resource could not be found."}
	}
	if _, ok := s.stores.byID(id); !ok {
		return refuse(ErrConflict, "The selected store %s is not available on this node.", id)
	}
	return nil
}

// DeleteFromStore removes the data that an active image has in one of several
// stores. ErrNotFound, also if it has none there; ErrForbidden, also if it has
// data nowhere else; ErrConflict in another status, or if there is no such
// store or it needs the data. When the store fails, the image keeps what it
// has there.
func (s *Images) DeleteFromStore(ctx context.Context, id ID, storeID string) error {
	if err := s.CheckStore(storeID); err != nil {
		return err
	}
	store, _ := s.stores.byID(storeID)
	for left := attempts; ; left-- {
		before, err := s.find(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return refuse(ErrNotFound, "Failed to find image %s", id)
		}
		if err != nil {
			return err
		}
		at, err := s.removable(ctx, before, store)
		if err != nil {
			return err
		}
		after := before.Clone()
		after.Locations = slices.Delete(after.Locations, at, at+1)
		lock := s.claimRemoval(after)
		err = s.catalog.Update(ctx, before, after)
		switch {
		case err == nil:
			return s.removeFrom(context.WithoutCancel(ctx), after, before.Locations[at], lock)
		case errors.Is(err, ErrNotFound):
			return refuse(ErrNotFound, "Failed to find image %s", id)
		case !errors.Is(err, ErrConflict) || left == 0:
			return fmt.Errorf("delete image %s from store %s: %w", id, storeID, err)
		}
	}
}

// removalLock begins the import lock of an image while a removal has it, which
// is no task.
const removalLock = "removal-"

// claimRemoval takes the import lock of im for as long as data is removed that
// no catalog knows of any more: should this process die, the next one finds it
// as it finds what an import leaves. Who has the lock already is left alone.
func (s *Images) claimRemoval(im *Image) (lock string) {
	if _, held := im.Properties[ImportLock]; held {
		return ""
	}
	if im.Properties == nil {
		im.Properties = make(map[string]string)
	}
	lock = removalLock + NewUUID()
	im.Properties[ImportLock] = lock
	return lock
}

// removable returns which location of im is in the store, if the caller may
// remove it.
func (s *Images) removable(ctx context.Context, im *Image, store *Backend) (at int, err error) {
	for _, rule := range []Rule{GetImageLocation, DeleteImageLocation} {
		if err := s.allow(CallerFrom(ctx), rule, Target{Image: im}); err != nil {
			return 0, err
		}
	}
	if im.Status != Active {
		return 0, refuse(ErrConflict, "It's not allowed to remove image data from store if image status is not 'active'")
	}
	if len(im.Locations) == 1 {
		return 0, refuse(ErrForbidden, "Cannot delete image data from the only store containing it. Consider deleting the image instead.")
	}
	at = slices.IndexFunc(im.Locations, func(l Location) bool {
		in, ok := s.stores.of(l)
		return ok && in == store
	})
	if at < 0 {
		return 0, refuse(ErrNotFound, "Image %s is not stored in store %s.", im.ID, store.ID)
	}
	return at, nil
}

// removeFrom removes the data at a location that im had until now, and gives
// the lock back that was taken for that. If the store fails, im has the
// location again.
func (s *Images) removeFrom(ctx context.Context, im *Image, l Location, lock string) error {
	err := s.remove(ctx, l)
	after := im.Clone()
	if err != nil {
		after.Locations = append(after.Locations, l)
	}
	if lock != "" {
		defer s.letGo(ctx, im.ID)
		delete(after.Properties, ImportLock)
	}
	if uerr := s.catalog.Update(ctx, im, after); ignoreLost(uerr) != nil {
		s.o.Log.ErrorContext(ctx, "the end of a removal is not recorded", "image", im.ID, "error", uerr)
	}
	switch {
	case err == nil:
		s.notify(ctx, Event{Type: "image.update", Image: after})
		return nil
	case errors.Is(err, ErrConflict):
		return refuse(ErrConflict, "The data for Image %s could not be deleted because it is in use.", im.ID)
	}
	return fmt.Errorf("remove data of image %s: %w", im.ID, err)
}
