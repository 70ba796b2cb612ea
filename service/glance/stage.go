package glance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Stage puts what r yields where Import finds it. The image is uploading
// afterwards and has a size. On any failure, also when ctx ends, the image is
// queued again and no data is left.
//
// ErrNotFound also if data cannot be imported that way, ErrConflict if the
// image is not queued, ErrInvalid if r fails, ErrTooLarge past the size limit,
// ErrGone if the image was deleted meanwhile, and what the staging area says.
func (s *Images) Stage(ctx context.Context, id ID, r io.Reader, o UploadOptions) error {
	if !slices.Contains(s.imports.Methods, GlanceDirect) {
		return refuse(ErrNotFound, "'%s' method is not available at this site.", GlanceDirect)
	}
	if err := s.limit(ctx, ImageStageTotal, 0); err != nil {
		return err
	}
	before, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	if err := s.allow(CallerFrom(ctx), ModifyImage, Target{Image: before}); err != nil {
		return err
	}
	uploading := before.Clone()
	if err := uploading.moveTo(Uploading); err != nil {
		return err
	}
	if o.Size > s.o.MaxSize {
		return incoming(id, tooLarge())
	}
	if err := s.claim(ctx, before, uploading); err != nil {
		return err
	}
	s.notify(ctx, Event{Type: "image.update", Image: uploading})
	staged := uploading.Clone()
	var n int64
	if err = s.limit(ctx, ImageCountUploading, 0); err == nil {
		n, err = s.stage(ctx, id, r)
	}
	if err == nil {
		staged.Size = &n
		if s.imports.Here != "" {
			staged.Properties[StageHost] = s.imports.Here
		}
		// The data is safe now: what the caller hangs up on is no longer lost.
		err = s.staged(context.WithoutCancel(ctx), uploading, staged)
	}
	if err != nil {
		ctx = context.WithoutCancel(ctx)
		s.unstage(ctx, id)
		s.giveBack(ctx, uploading)
		return incoming(id, err)
	}
	s.notify(ctx, Event{Type: "image.update", Image: staged})
	return nil
}

// stage writes data to the staging area, up to the size limit.
func (s *Images) stage(ctx context.Context, id ID, r io.Reader) (int64, error) {
	// Who has the image may have found it queued, so whatever is there is the
	// rest of something that failed.
	if err := s.imports.Staging.Discard(ctx, id); err != nil {
		return 0, fmt.Errorf("stage %s: %w", id, err)
	}
	in := &source{ctx: ctx, r: r, left: s.o.MaxSize}
	_, n, err := s.imports.Staging.Put(ctx, id, in)
	if err != nil {
		return 0, in.explain(id, err)
	}
	return n, nil
}

// staged records that the data of an image is there.
func (s *Images) staged(ctx context.Context, uploading, staged *Image) error {
	err := s.catalog.Update(ctx, uploading, staged)
	if errors.Is(err, ErrNotFound) {
		return refuse(ErrGone, "Image %s could not be found after upload. The image may have been deleted during the upload.", staged.ID)
	}
	if err != nil {
		return fmt.Errorf("stage %s: %w", staged.ID, err)
	}
	return nil
}

// unstage removes what the staging area has of an image.
func (s *Images) unstage(ctx context.Context, id ID) {
	if err := s.imports.Staging.Discard(ctx, id); err != nil {
		s.o.Log.ErrorContext(ctx, "staged data stays behind", "image", id, "error", err)
	}
}

// giveBack makes an image queued again that was saving, uploading or
// importing, and not busy with an import any more.
func (s *Images) giveBack(ctx context.Context, im *Image) {
	s.settle(ctx, im, func() error { return s.requeue(ctx, im) })
}

func (s *Images) requeue(ctx context.Context, im *Image) error {
	queued := im.Clone()
	delete(queued.Properties, ImportLock)
	if err := queued.moveTo(Queued); err != nil {
		return err
	}
	if err := s.catalog.Update(ctx, im, queued); err != nil {
		return err
	}
	s.notify(ctx, Event{Type: "image.update", Image: queued})
	return nil
}
