package glance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
)

// UploadOptions are the optional settings of Upload.
type UploadOptions struct {
	// Size is how much the caller says is coming; 0 means it does not say. It
	// only serves to refuse what is too large before it is sent.
	Size int64
	// Store is the ID of the store that takes the data, if stores have names;
	// empty means the default one. Scheme is that of its URLs, if it is to be a
	// certain one; version 1 names stores so.
	Store  string
	Scheme string

	// What the data has to be; nil and empty mean that anything will do.
	WantSize     *int64
	WantChecksum string // MD5, hex

	// Kill makes an image killed whose upload fails, in place of queued.
	Kill bool
}

// finish refuses data that is not what was said.
func (o UploadOptions) finish(active *Image) error {
	if o.WantSize != nil && *o.WantSize != *active.Size {
		return o.mismatch("size", strconv.FormatInt(*o.WantSize, 10), strconv.FormatInt(*active.Size, 10))
	}
	if o.WantChecksum != "" && o.WantChecksum != *active.Checksum {
		return o.mismatch("checksum", o.WantChecksum, *active.Checksum)
	}
	return nil
}

func (o UploadOptions) mismatch(what, said, is string) error {
	text := "Supplied %[1]s (%[2]s) and %[1]s generated from uploaded image (%[3]s) did not match."
	if o.Kill {
		text += " Setting image status to 'killed'."
	}
	return refuse(ErrInvalid, text, what, said, is)
}

// Upload stores what r yields as the data of a queued image, which is active
// afterwards and has size, checksum and hash. On any failure, also when ctx
// ends, no data is left and the image is queued again, or killed if the options
// say so.
//
// ErrConflict if the image is not queued, ErrInvalid if its formats are not
// set, there is no such store or r fails, ErrTooLarge past the size limit,
// ErrWrongFormat if the data is not what the image was declared to be or is
// dangerous to open, ErrGone if the image was deleted meanwhile or the store
// takes no data, and what the store says.
func (s *Images) Upload(ctx context.Context, id ID, r io.Reader, o UploadOptions) error {
	c := CallerFrom(ctx)
	store, ok := s.stores.wanted(o.Store)
	if !ok {
		return refuse(ErrInvalid, "Store for identifier %s not found", o.Store)
	}
	if o.Scheme != "" {
		if store, ok = s.stores.of(Location{URL: o.Scheme + "://x/x"}); !ok {
			return refuse(ErrInvalid, "Store for scheme %s not found", o.Scheme)
		}
	}
	if err := s.limit(ctx, ImageSizeTotal, 0); err != nil {
		return err
	}
	before, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	if err := s.allow(c, UploadImage, Target{Image: before}); err != nil {
		return err
	}
	saving := before.Clone()
	if err := saving.moveTo(Saving); err != nil {
		return err
	}
	if store.ReadOnly {
		return storeDisabled()
	}
	if o.Size > s.o.MaxSize {
		// Whoever is over both is told of the quota, as ever.
		err := cmp.Or(s.admit(ctx, id, o.Size), tooLarge())
		s.notify(ctx, Event{Type: "image.upload", Image: before, Err: err})
		return s.incoming(id, err, o)
	}
	if err := s.claim(ctx, before, saving); err != nil {
		return err
	}
	s.notifyUpdate(ctx, saving, o)
	s.notify(ctx, Event{Type: "image.prepare", Image: saving, Store: store.ID})
	active, err := s.receive(ctx, store, saving, incomingData{r, o})
	if err != nil {
		to := Queued
		if o.Kill {
			to = Killed
		}
		s.release(context.WithoutCancel(ctx), saving, to, err)
		return s.incoming(id, err, o)
	}
	s.notify(ctx, Event{Type: "image.upload", Image: active})
	s.notify(ctx, Event{Type: "image.activate", Image: active})
	s.notifyUpdate(ctx, active, o)
	return nil
}

// notifyUpdate tells that an upload has changed an image, which version 1 has
// never called an update.
func (s *Images) notifyUpdate(ctx context.Context, im *Image, o UploadOptions) {
	if !o.Kill {
		s.notify(ctx, Event{Type: "image.update", Image: im})
	}
}

// incoming is the function of that name, but says to clients of version 1, where
// images are killed, what they have always been told.
func (s *Images) incoming(id ID, err error, o UploadOptions) error {
	switch {
	case o.Kill && errors.Is(err, errOverCap):
		return refuse(ErrTooLarge, "Denying attempt to upload image larger than %d bytes.", s.o.MaxSize)
	case o.Kill && errors.Is(err, errOverQuota):
		return overflow(err)
	}
	return incoming(id, err)
}

// incoming says of an error how it came about while a client was sending the
// data of an image.
func incoming(id ID, err error) error {
	switch {
	case errors.Is(err, errOverCap):
		return refuse(ErrTooLarge, "The incoming image is too large: %v", err)
	case errors.Is(err, errOverQuota):
		return refuse(ErrTooLarge, "Image exceeds the storage quota: %v", err)
	case errors.Is(err, errUnsigned):
		return refuse(ErrInvalid, "Signature verification failed for image %s: %v", id, err)
	}
	return err
}

// incomingData is what a client sends, and what it says of it.
type incomingData struct {
	io.Reader
	o UploadOptions
}

// receive stores data that a client sends, if quotas allow it.
func (s *Images) receive(ctx context.Context, to *Backend, saving *Image, data incomingData) (*Image, error) {
	if err := s.limit(ctx, ImageCountUploading, 0); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, saving.ID, data.o.Size); err != nil {
		return nil, err
	}
	return s.store(ctx, to, saving, data)
}

// claim moves the image from queued to saving, for one uploader only.
func (s *Images) claim(ctx context.Context, before, saving *Image) error {
	err := s.catalog.Update(ctx, before, saving)
	if errors.Is(err, ErrConflict) {
		now, err := s.find(ctx, before.ID)
		if err != nil {
			return err
		}
		return refuse(ErrConflict, "Image status transition from %s to %s is not allowed", now.Status, saving.Status)
	}
	if errors.Is(err, ErrNotFound) {
		return noImage(before.ID)
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", before.ID, err)
	}
	return nil
}

// release gives the image the status that it has after a failed upload.
func (s *Images) release(ctx context.Context, saving *Image, to Status, cause error) {
	if to == Killed {
		s.kill(ctx, saving)
	} else {
		s.giveBack(ctx, saving)
	}
	s.notify(ctx, Event{Type: "image.upload", Image: saving, Err: cause})
}

func tooLarge() error {
	return refuse(errOverCap, "The provided image is too large.")
}

var errTooLarge = errors.New("more than the size limit")

// A source is what an upload reads: until ctx ends and not past the limit. It
// remembers its failure, because a store may report it in its own words, and
// shows the inspection what passes.
type source struct {
	ctx context.Context
	r   io.Reader

	mu         sync.Mutex // a store that has given up may still be reading
	left       int64
	limited    bool // to the room of a quota
	room       int64
	read       int64
	err        error
	inspection Inspection // nil if nobody looks
	signature  *signature // nil if the image is not signed
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.failure(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left -= int64(n)
	s.read += int64(n)
	switch {
	case s.left < 0:
		n, err = 0, errTooLarge
	case s.limited && s.read > s.room:
		n, err = 0, overQuota(s.read, s.room)
	}
	if s.inspection != nil {
		s.inspection.Write(p[:n])
	}
	if s.signature != nil {
		s.signature.Write(p[:n])
	}
	s.err = err
	return n, err
}

// verdict ends the inspection; nil if nobody looked.
func (s *source) verdict() *Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inspection == nil {
		return nil
	}
	v := s.inspection.Verdict()
	s.inspection = nil
	return &v
}

// agrees returns nil if all of the data is what was signed, if it was signed
// at all.
func (s *source) agrees() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signature == nil {
		return nil
	}
	return s.signature.agrees()
}

func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	return s.err
}

// explain says why an upload ended: by what was read, or else by the store.
func (s *source) explain(id ID, err error) error {
	failure := s.failure()
	refusal, refused := errors.AsType[*Refusal](failure)
	switch {
	case refused:
		return refusal
	case failure == errTooLarge:
		return tooLarge()
	case failure != nil && failure != io.EOF, s.ctx.Err() != nil:
		return refuse(ErrInvalid, "Client disconnected before sending all data to backend")
	case errors.Is(err, ErrStoreFull):
		return refuse(ErrStoreFull, "Image storage media is full: There is not enough disk space on the image storage media.")
	case errors.Is(err, ErrStoreReadOnly):
		return refuse(ErrStoreReadOnly, "Insufficient permissions on image storage media: Permission to write image storage media denied.")
	case errors.Is(err, ErrExists):
		return refuse(ErrConflict, "Unable to upload duplicate image data for image %s", id)
	}
	return fmt.Errorf("upload %s: %w", id, err)
}
