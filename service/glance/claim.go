package glance

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Claim says that a process is at work: that it receives or imports the data
// of an image, or carries out a task.
type Claim struct {
	ImageID   ID
	TaskID    string    // of the import lock, for an image that is imported; of a task, without an image
	Owner     string    // the process, by the name that its catalog was opened with
	RenewedAt time.Time // when the process last said that it lives
}

// A Claimer is a Catalog or a TaskCatalog that remembers claims. It makes and
// ends them in the transaction in which the work begins and ends, an image's as
// ClaimChange says and a task's with the task itself: a process that dies
// leaves a claim if and only if it leaves something to put in order.
type Claimer interface {
	// Claims returns all claims, of images or of tasks.
	Claims(ctx context.Context) ([]Claim, error)
	// Release ends a claim, if it still is that owner's; an empty owner is the
	// catalog's own. That there is none is no error.
	Release(ctx context.Context, c Claim) error
}

type claimant struct{}

// WithClaimant says in whose name an Update of a catalog that remembers claims
// makes one: that of a process that asks this one to write for it.
func WithClaimant(ctx context.Context, owner string) context.Context {
	return context.WithValue(ctx, claimant{}, owner)
}

// ClaimantFrom returns what WithClaimant said, "" if nobody did.
func ClaimantFrom(ctx context.Context) string {
	owner, _ := ctx.Value(claimant{}).(string)
	return owner
}

// A Claiming is what an Update does to the claim on its image.
type Claiming int

// What an Update may do to a claim.
const (
	KeepClaim Claiming = iota
	TakeClaim
	EndClaim
)

// ClaimChange says what an Update does to the claim on its image. Whoever
// begins to bring data has it, until the data is there or the image is queued
// again. When the image is deleted meanwhile the claim stays: there may be data
// left, and who brought it ends the claim when that is gone.
func ClaimChange(before, after *Image) Claiming {
	was, is := inHand(before), inHand(after)
	lock, locked := after.Properties[ImportLock]
	switch {
	case is && (!was || locked && lock != before.Properties[ImportLock]):
		return TakeClaim
	case was && !is && !gone(after):
		return EndClaim
	}
	return KeepClaim
}

// inHand says whether data is on its way into an image.
func inHand(im *Image) bool {
	if _, locked := im.Properties[ImportLock]; locked {
		return true
	}
	return im.Status == Saving || im.Status == Importing || im.Status == Uploading && im.Size == nil
}

// letGo ends the claim that this process has on an image, if it was deleted. If
// not, the claim ended with the update that freed the image, and there may be
// another one by now.
func (s *Images) letGo(ctx context.Context, id ID) {
	c, ok := s.catalog.(Claimer)
	if !ok {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if _, err := s.catalog.Get(ctx, id, false); !errors.Is(err, ErrNotFound) {
		return
	}
	if err := c.Release(ctx, Claim{ImageID: id}); err != nil {
		s.o.Log.WarnContext(ctx, "a claim on an image is not ended", "image", id, "error", err)
	}
}

// recoverClaims puts in order what the dead were about, and returns the images
// that are no business of who clears up behind it: the living are at work on
// them, or they are in order.
func (s *Images) recoverClaims(ctx context.Context, dead func(owner string) bool) (done map[ID]bool, err error) {
	done = make(map[ID]bool)
	// Images come first: a task is over when its image is in order.
	for _, part := range []struct {
		catalog any
		settle  func(context.Context, Claim) error
	}{{s.catalog, s.settleImage}, {s.imports.Tasks, s.settleTask}} {
		c, ok := part.catalog.(Claimer)
		if !ok {
			continue
		}
		claims, err := c.Claims(ctx)
		if err != nil {
			return nil, err
		}
		for _, claim := range claims {
			done[claim.ImageID] = true
			if !dead(claim.Owner) && s.now().Sub(claim.RenewedAt) < deadAfter {
				continue
			}
			if err := part.settle(ctx, claim); err != nil {
				return nil, err
			}
			if err := c.Release(ctx, claim); err != nil {
				return nil, err
			}
		}
	}
	return done, nil
}

// settleImage puts in order what a dead process has left of an image.
func (s *Images) settleImage(ctx context.Context, c Claim) error {
	im, err := s.catalog.Get(ctx, c.ImageID, true)
	if errors.Is(err, ErrNotFound) { // purged
		im, err = &Image{ID: c.ImageID, Status: Deleted}, nil
	}
	if err != nil {
		return fmt.Errorf("recover image %s: %w", c.ImageID, err)
	}
	lock, locked := im.Properties[ImportLock]
	switch {
	case gone(im):
		return s.removeTraces(ctx, im)
	case locked && lock != c.TaskID:
		return nil // somebody else, who makes no claims, has taken the image over
	case inHand(im):
		return ignoreLost(s.abandon(ctx, im))
	}
	return nil
}

// settleTask ends a task whose process is dead.
func (s *Images) settleTask(ctx context.Context, c Claim) error {
	t, err := s.imports.Tasks.Task(ctx, c.TaskID)
	if errors.Is(err, ErrNotFound) || err == nil && t.Status.Ended() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recover task %s: %w", c.TaskID, err)
	}
	if t.ImageID != "" {
		im, err := s.catalog.Get(ctx, t.ImageID, false)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return fmt.Errorf("recover task %s: %w", c.TaskID, err)
		case im.Status == Active, im.Status == Deactivated:
			s.conclude(ctx, t, im)
			return nil
		case t.Type == LegacyImport && im.Status == Queued && !inHand(im):
			s.undo(ctx, im)
		}
	}
	_, err = s.bringDown(ctx, t.ID)
	return err
}

func gone(im *Image) bool { return im.Status == Deleted || im.Status == PendingDelete }

// ignoreLost drops the error of an update that came too late.
func ignoreLost(err error) error {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
