package glance

import (
	"context"
	"errors"
	"time"
)

// How long is waited before an image is settled that could not be.
const (
	settlePause   = 100 * time.Millisecond // at first, then twice as long each time
	settleLongest = 30 * time.Second
)

// settle brings an update about that ends the work on an image. While the
// catalog is away it is tried again, in the background and for an hour: nobody
// else may put the image in order as long as this process lives. What is not
// done when that ends is done by the next start.
func (s *Images) settle(ctx context.Context, im *Image, update func() error) {
	left := func(err error) {
		s.o.Log.ErrorContext(ctx, "image is not in order after a failure", "image", im.ID, "status", im.Status, "error", err)
	}
	err := update()
	if s.settled(ctx, im, err) {
		return
	}
	left(err)
	if !errors.Is(err, ErrUnavailable) || !s.imports.enter() {
		return
	}
	go func() {
		defer s.imports.running.Done()
		begun := time.Now()
		for pause := settlePause; ; pause = min(2*pause, settleLongest) {
			select {
			case <-s.imports.leaving:
				return
			case <-time.After(pause):
			}
			err := update()
			if s.settled(ctx, im, err) {
				return
			}
			if !errors.Is(err, ErrUnavailable) || time.Since(begun) > deadAfter {
				left(err)
				return
			}
		}
	}()
}

// settled says whether there is nothing left to do after an update that has
// come to err.
func (s *Images) settled(ctx context.Context, im *Image, err error) bool {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		s.letGo(ctx, im.ID) // somebody else has the image, or it is gone
		return true
	}
	return err == nil
}
