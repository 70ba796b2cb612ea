package glance

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A Discarder is a Store that removes all data of an image, also what nobody
// recorded and what is left of Puts that never ended. That there is none is no
// error. In a store that is none, such data stays.
type Discarder interface {
	Discard(ctx context.Context, id ID) error
}

// abandon puts an image in order whose import is dead: its task has failed,
// nothing is left of its data, and it is queued again. An image that the task
// was about to make is deleted. ErrConflict if it is not dead after all.
func (s *Images) abandon(ctx context.Context, im *Image) error {
	ctx = context.WithoutCancel(ctx)
	// With another value in the lock, the import cannot end well any more,
	// should it still be there.
	mine := im.Clone()
	if mine.Properties == nil {
		mine.Properties = make(map[string]string)
	}
	mine.Properties[ImportLock] = NewUUID()
	if err := s.catalog.Update(ctx, im, mine); err != nil {
		return fmt.Errorf("abandon import of %s: %w", im.ID, err)
	}
	legacy, err := s.bringDown(ctx, im.Properties[ImportLock])
	if err != nil {
		return err
	}
	free := mine.Clone()
	delete(free.Properties, ImportLock)
	if im.Status == Importing {
		if err := s.removeTraces(ctx, im.ID); err != nil {
			return err
		}
		to := Queued
		if legacy {
			to = Deleted
		}
		if err := free.moveTo(to); err != nil {
			return err
		}
	}
	if err := s.catalog.Update(ctx, mine, free); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("abandon import of %s: %w", im.ID, err)
	}
	s.o.Log.WarnContext(ctx, "an import that had died is put in order", "image", im.ID, "status", free.Status)
	return nil
}

// bringDown ends the task of a dead import, if there is one.
func (s *Images) bringDown(ctx context.Context, taskID string) (legacy bool, err error) {
	t, err := s.imports.Tasks.Task(ctx, taskID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("abandon task %s: %w", taskID, err)
	}
	if !t.Status.ended() {
		r := &run{s: s, task: t}
		r.end(ctx, TaskFailure, func(t *Task) { t.Message = "The import died with the service that ran it." })
	}
	return t.Type == LegacyImport, nil
}

// removeTraces removes the data of an image that was importing, wherever it
// had come.
func (s *Images) removeTraces(ctx context.Context, id ID) error {
	if err := s.imports.Staging.Discard(ctx, id); err != nil {
		return fmt.Errorf("abandon import of %s: %w", id, err)
	}
	for _, store := range s.stores.all {
		d, ok := store.Store.(Discarder)
		if !ok {
			continue
		}
		if err := d.Discard(ctx, id); err != nil {
			return fmt.Errorf("abandon import of %s: %w", id, err)
		}
	}
	return nil
}

// Recovery looks at what is in the staging area, before anything new is, and
// returns a function that puts in order what dead processes have left there:
// imports and uploads that never ended, and data that nobody waits for. Data
// that waits to be imported stays. The function may be called again after a
// failure. It must be certain that no other process uses the staging area.
func (s *Images) Recovery(ctx context.Context) (func(ctx context.Context) error, error) {
	if s.imports.Staging == nil {
		return func(context.Context) error { return nil }, nil
	}
	whole, parts, err := s.imports.Staging.Held(ctx)
	if err != nil {
		return nil, fmt.Errorf("staging area: %w", err)
	}
	return func(ctx context.Context) error {
		for _, id := range set(append(slices.Clone(texts(whole)), texts(parts)...)) {
			if err := s.recover(ctx, ID(id), slices.Contains(whole, ID(id))); err != nil {
				return err
			}
		}
		return s.recoverStale(ctx)
	}, nil
}

func texts(ids []ID) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = string(id)
	}
	return all
}

// recover puts one image in order that the staging area has something of.
func (s *Images) recover(ctx context.Context, id ID, whole bool) error {
	im, err := s.catalog.Get(ctx, id, false)
	if errors.Is(err, ErrNotFound) {
		return s.imports.Staging.Discard(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("recover image %s: %w", id, err)
	}
	switch im.Status {
	case Importing:
		err := s.abandon(ctx, im)
		if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
			return nil // somebody else was faster
		}
		return err
	case Uploading:
		if whole && im.Size != nil {
			return nil // it waits
		}
		if err := s.imports.Staging.Discard(ctx, id); err != nil {
			return fmt.Errorf("recover image %s: %w", id, err)
		}
		s.giveBack(ctx, im)
		return nil
	case Active, Deactivated:
		if err := s.conclude(ctx, im); err != nil {
			return err
		}
	}
	return s.imports.Staging.Discard(ctx, id)
}

// conclude ends the tasks of an image whose data came in before their process
// died.
func (s *Images) conclude(ctx context.Context, im *Image) error {
	tasks, err := s.imports.Tasks.Tasks(ctx, TaskQuery{ImageID: im.ID})
	if err != nil {
		return fmt.Errorf("recover image %s: %w", im.ID, err)
	}
	for _, t := range tasks {
		if !t.Status.ended() {
			r := &run{s: s, task: t}
			if im.Size != nil {
				r.copied.Store(*im.Size)
			}
			r.end(ctx, TaskSuccess, func(t *Task) { t.Message, t.Result = r.progress(), resultOf(im) })
		}
	}
	return nil
}

// recoverStale puts the images in order whose imports have said nothing for
// so long that they are dead, on whatever machine that was.
func (s *Images) recoverStale(ctx context.Context) error {
	images, err := s.catalog.List(ctx, Query{
		Admin: true, AllVisible: true, AnyMember: true,
		Statuses: []Status{Importing},
		Sort:     []SortKey{{Attribute: "updated_at"}, {Attribute: "id"}},
		Limit:    1000,
	})
	if err != nil {
		return fmt.Errorf("list images that are importing: %w", err)
	}
	for _, im := range images {
		live, err := s.busy(ctx, im)
		if err == nil && !live {
			err = s.abandon(ctx, im)
		}
		if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}
