package glance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Discarder is a Store that removes all data of an image, also what nobody
// recorded and what is left of Puts that never ended. That there is none is no
// error. In a store that is none, such data stays.
type Discarder interface {
	Discard(ctx context.Context, id ID) error
}

// abandon puts an image in order whose upload or import is dead: its task has
// failed, nothing is left of its data, and it is queued again. An image that
// the task was about to make is deleted. An image that was active by then stays
// so, with the data that it is known to have, and so does one whose staged data
// is whole. ErrConflict if it is not dead after all, ErrNotFound if the image
// was deleted; then nothing is left of its data either, but what the scrubber
// knows of.
func (s *Images) abandon(ctx context.Context, im *Image) error {
	err := s.takeOver(ctx, im)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := s.clearGone(context.WithoutCancel(ctx), im.ID); err != nil {
		return err
	}
	return err
}

// clearGone removes the data of a deleted image that was on its way.
func (s *Images) clearGone(ctx context.Context, id ID) error {
	im, err := s.catalog.Get(ctx, id, true)
	if errors.Is(err, ErrNotFound) { // purged
		im, err = &Image{ID: id, Status: Deleted}, nil
	}
	if err == nil && gone(im) {
		err = s.removeTraces(ctx, im)
	}
	if err != nil {
		return fmt.Errorf("recover image %s: %w", id, err)
	}
	s.letGo(ctx, id)
	return nil
}

func (s *Images) takeOver(ctx context.Context, im *Image) error {
	ctx = context.WithoutCancel(ctx)
	// With another value in the lock, the import cannot end well any more,
	// should it still be there. And the last thing that the dead has said to the
	// database, if that comes only now, has come before.
	lock := NewUUID()
	mine := im.Clone()
	if mine.Properties == nil {
		mine.Properties = make(map[string]string)
	}
	mine.Properties[ImportLock] = lock
	if err := s.catalog.Update(ctx, im, mine); err != nil {
		return fmt.Errorf("abandon import of %s: %w", im.ID, err)
	}
	legacy := false
	if task, locked := im.Properties[ImportLock]; locked {
		var err error
		if legacy, err = s.bringDown(ctx, task); err != nil {
			return err
		}
	}
	now, err := s.catalog.Get(ctx, im.ID, false)
	if err == nil && now.Properties[ImportLock] != lock {
		err = ErrConflict
	}
	if err != nil {
		return fmt.Errorf("abandon import of %s: %w", im.ID, err)
	}
	free, err := s.freeOf(ctx, now, legacy)
	if err != nil {
		return err
	}
	if err := s.catalog.Update(ctx, now, free); err != nil {
		return fmt.Errorf("abandon import of %s: %w", im.ID, err)
	}
	s.o.Log.WarnContext(ctx, "what had died is put in order", "image", im.ID, "was", now.Status, "is", free.Status)
	return nil
}

// freeOf returns an image as it is when nothing is at work on it any more, and
// removes the data that it has not got then.
func (s *Images) freeOf(ctx context.Context, im *Image, legacy bool) (*Image, error) {
	free := im.Clone()
	delete(free.Properties, ImportLock)
	if free.Properties[ImportingStores] != "" {
		free.Properties[ImportingStores] = ""
	}
	unfinished := inHand(free)
	if unfinished {
		free.Locations = nil // of other services, which tell of each store
	}
	if free.Status == Uploading && !unfinished {
		return free, nil // it waits to be imported
	}
	if err := s.removeTraces(ctx, free); err != nil {
		return nil, err
	}
	if !unfinished {
		return free, nil
	}
	to := Queued
	if legacy {
		to = Deleted
	}
	return free, free.moveTo(to)
}

// bringDown ends the task of a dead import, if there is one.
func (s *Images) bringDown(ctx context.Context, taskID string) (legacy bool, err error) {
	if s.imports.Tasks == nil {
		return false, nil
	}
	t, err := s.imports.Tasks.Task(ctx, taskID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("abandon task %s: %w", taskID, err)
	}
	if !t.Status.Ended() {
		r := &run{s: s, task: t}
		r.end(ctx, TaskFailure, func(t *Task) { t.Message = "The import died with the service that ran it." })
	}
	return t.Type == LegacyImport, nil
}

// removeTraces removes what there is of an image's data that is on its way:
// in the staging area, and in every store in which the image has no location.
func (s *Images) removeTraces(ctx context.Context, im *Image) error {
	if s.imports.Staging != nil {
		if err := s.imports.Staging.Discard(ctx, im.ID); err != nil {
			return fmt.Errorf("recover image %s: %w", im.ID, err)
		}
	}
	for i := range s.stores.all {
		store := &s.stores.all[i]
		d, ok := store.Store.(Discarder)
		if !ok || store.ReadOnly || s.mayHold(store, im) {
			continue
		}
		if err := d.Discard(ctx, im.ID); err != nil {
			return fmt.Errorf("recover image %s: %w", im.ID, err)
		}
	}
	return nil
}

// mayHold says whether a store has data of an image that the image knows of.
// What is in no store that is known may be in any.
func (s *Images) mayHold(store *Backend, im *Image) bool {
	return slices.ContainsFunc(im.Locations, func(l Location) bool {
		of, found := s.stores.of(l)
		return l.Status != Deleted && (!found || of == store)
	})
}

// Recovery looks at what is in the staging area, before anything new is, and
// returns a function that puts in order what dead processes have left:
// uploads and imports that never ended, wherever their data had come, and
// staged data that nobody waits for. Data that waits to be imported stays. The
// function is told by dead which owners of claims are dead for certain; others
// are, that have said nothing for an hour. It may be called again, after a
// failure or not, and while others are at work, but not twice at once.
func (s *Images) Recovery(ctx context.Context) (func(ctx context.Context, dead func(owner string) bool) error, error) {
	var whole []ID
	if s.imports.Staging != nil {
		var err error
		if whole, _, err = s.imports.Staging.Held(ctx); err != nil {
			return nil, fmt.Errorf("staging area: %w", err)
		}
	}
	return func(ctx context.Context, dead func(owner string) bool) error {
		done, err := s.recoverClaims(ctx, dead)
		if err != nil {
			return err
		}
		for _, id := range whole {
			if done[id] {
				continue
			}
			if err := s.recoverStaged(ctx, id); err != nil {
				return err
			}
		}
		whole = nil // by now there may be new data
		if s.imports.Tasks == nil {
			return nil
		}
		if err := s.recoverStale(ctx); err != nil {
			return err
		}
		return s.recoverTasks(ctx)
	}, nil
}

// recoverStaged removes staged data that nobody waits for.
func (s *Images) recoverStaged(ctx context.Context, id ID) error {
	im, err := s.catalog.Get(ctx, id, false)
	if errors.Is(err, ErrNotFound) {
		return s.imports.Staging.Discard(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("recover image %s: %w", id, err)
	}
	if inHand(im) || im.Status == Uploading {
		return nil // it waits, or somebody is at work who makes no claims
	}
	if im.Status == Queued {
		// Nobody must begin to stage what is then removed.
		taken := im.Clone()
		if err := taken.moveTo(Uploading); err != nil {
			return err
		}
		if err := s.catalog.Update(ctx, im, taken); err != nil {
			return ignoreLost(err)
		}
		defer s.giveBack(ctx, taken)
	}
	return s.imports.Staging.Discard(ctx, id)
}

// conclude ends the task of an image whose data came in before its process
// died.
func (s *Images) conclude(ctx context.Context, t *Task, im *Image) {
	r := &run{s: s, task: t}
	if im.Size != nil {
		r.copied.Store(*im.Size)
	}
	r.end(ctx, TaskSuccess, func(t *Task) { t.Message, t.Result = r.progress(), resultOf(im) })
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
		if ignoreLost(err) != nil {
			return err
		}
	}
	return nil
}

// forgottenAfter is how long a task may say nothing that has no image to show
// that it lives.
const forgottenAfter = 24 * time.Hour

// recoverTasks ends tasks whose process died before they had an image, or
// after they had let go of it. An image that such a task had made for itself
// is deleted.
func (s *Images) recoverTasks(ctx context.Context) error {
	for _, status := range []TaskStatus{TaskPending, TaskProcessing} {
		tasks, err := s.imports.Tasks.Tasks(ctx, TaskQuery{Status: status, Sort: "updated_at", Ascending: true, Limit: 1000})
		if err != nil {
			return fmt.Errorf("list tasks that are %s: %w", status, err)
		}
		for _, t := range tasks {
			if s.now().Sub(t.UpdatedAt) < forgottenAfter || t.Type != ImageImport && t.Type != LegacyImport {
				continue
			}
			if err := s.recoverTask(ctx, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Images) recoverTask(ctx context.Context, t *Task) error {
	if t.ImageID != "" {
		im, err := s.catalog.Get(ctx, t.ImageID, false)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return fmt.Errorf("recover task %s: %w", t.ID, err)
		case inHand(im):
			return nil // it has the image, or nobody knows what has
		case t.Type == LegacyImport && im.Status == Queued:
			s.undo(ctx, im)
		}
	}
	_, err := s.bringDown(ctx, t.ID)
	return err
}
