package glance

import (
	"context"
	"errors"
	"time"
)

// A Claim says that a process is at work on the data of an image: that it
// receives it, or imports it.
type Claim struct {
	ImageID   ID
	Owner     string    // the process, by the name that its catalog was opened with
	TaskID    string    // of the import lock; "" for an upload
	RenewedAt time.Time // when the process last said that it lives
}

// A Claimer is a Catalog that remembers claims. Update makes and ends them, as
// ClaimChange says, in the transaction in which the image changes: a process
// that dies leaves a claim if and only if it leaves something to put in order.
type Claimer interface {
	// Claims returns all claims.
	Claims(ctx context.Context) ([]Claim, error)
	// Release ends a claim, if it still is that owner's; an empty owner is the
	// catalog's own. That there is none is no error.
	Release(ctx context.Context, id ID, owner string) error
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
// again. An import lasts until its task has ended, so it ends its claim itself,
// and so does who finds the image deleted meanwhile: there may be data left.
func ClaimChange(before, after *Image) Claiming {
	was, is := inHand(before), inHand(after)
	lock, locked := after.Properties[ImportLock]
	old, waslocked := before.Properties[ImportLock]
	switch {
	case is && (!was || locked && lock != old):
		return TakeClaim
	case was && !is && !waslocked && after.Status != Deleted && after.Status != PendingDelete:
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

// letGo ends the claim on an image, if this process has it.
func (s *Images) letGo(ctx context.Context, id ID) {
	c, ok := s.catalog.(Claimer)
	if !ok {
		return
	}
	if err := c.Release(context.WithoutCancel(ctx), id, ""); err != nil {
		s.o.Log.WarnContext(ctx, "a claim on an image is not ended", "image", id, "error", err)
	}
}

// claims returns the claims in the catalog, if it remembers any.
func (s *Images) claims(ctx context.Context) ([]Claim, error) {
	c, ok := s.catalog.(Claimer)
	if !ok {
		return nil, nil
	}
	return c.Claims(ctx)
}

// settle puts in order what a dead process has left of the image that it was
// at work on, and ends its claim.
func (s *Images) settle(ctx context.Context, c Claim) error {
	im, err := s.catalog.Get(ctx, c.ImageID, true)
	if errors.Is(err, ErrNotFound) { // purged
		im, err = &Image{ID: c.ImageID, Status: Deleted}, nil
	}
	if err == nil {
		err = s.settleImage(ctx, c, im)
	}
	if err == nil {
		err = s.catalog.(Claimer).Release(ctx, c.ImageID, c.Owner)
	}
	return err
}

func (s *Images) settleImage(ctx context.Context, c Claim, im *Image) error {
	lock, locked := im.Properties[ImportLock]
	switch {
	case gone(im):
		if err := s.removeTraces(ctx, im); err != nil {
			return err
		}
	case locked && lock != c.TaskID:
		// Somebody else, who makes no claims, has taken the image over.
	case locked:
		return ignoreLost(s.abandon(ctx, im))
	case im.Status == Saving, im.Status == Uploading && im.Size == nil:
		if err := s.removeTraces(ctx, im); err != nil {
			return err
		}
		s.o.Log.WarnContext(ctx, "an upload that had died is put in order", "image", im.ID, "status", im.Status)
		return ignoreLost(s.requeue(ctx, im))
	case im.Status == Active, im.Status == Deactivated:
		return s.conclude(ctx, im)
	}
	if c.TaskID == "" {
		return nil
	}
	_, err := s.bringDown(ctx, c.TaskID)
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
