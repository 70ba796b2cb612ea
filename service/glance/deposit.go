package glance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A deposit is the data of an image in a store, before the catalog knows of
// it.
type deposit struct {
	store          *Backend
	url            string
	size           int64
	checksum, hash string // MD5, and that of the settings
	virtualSize    *int64
}

// An intake is data on its way into a store.
type intake struct {
	io.Reader
	look bool  // it is inspected, and compared with its signature
	had  int64 // bytes that the image takes up already
}

// deposit writes the data of an image to a store. ErrTooLarge past the size
// limit and the quota, ErrWrongFormat if the data is looked at and is not what
// the image was declared to be, ErrInvalid if it is not what was signed. After an error the store has no data of it.
func (s *Images) deposit(ctx context.Context, to *Backend, im *Image, data intake) (*deposit, error) {
	if to.ReadOnly {
		return nil, storeDisabled()
	}
	room, limited, err := s.room(ctx, im.ID)
	if err != nil {
		return nil, err
	}
	in := &source{ctx: ctx, r: data, left: s.o.MaxSize, limited: limited, room: max(0, room-data.had)}
	if data.look {
		in.inspection = s.inspect(im)
		if in.signature, err = s.signatureOf(ctx, im); err != nil {
			return nil, err
		}
	}
	d := newDigester(in, s.newTally(), &s.blocks)
	url, n, err := to.Put(ctx, im.ID, d)
	checksum, sum := d.finish()
	if err != nil {
		return nil, in.explain(im.ID, err)
	}
	made := &deposit{store: to, url: url, size: n, checksum: checksum, hash: sum}
	if data.look {
		judged := im.Clone()
		judged.Size = &n
		err := s.judge(ctx, judged, in.verdict())
		if err == nil {
			err = in.agrees()
		}
		if err != nil {
			s.takeBack(ctx, im.ID, made)
			return nil, err
		}
		made.virtualSize = judged.VirtualSize
	}
	return made, nil
}

func storeDisabled() error {
	return refuse(ErrGone, "Error in store configuration. Adding images to store is disabled.")
}

// describe gives im what its data says of itself.
func (s *Images) describe(im *Image, d *deposit) {
	algo := s.o.HashAlgo
	im.Size, im.VirtualSize = &d.size, d.virtualSize
	im.Checksum, im.HashAlgo, im.HashValue = &d.checksum, &algo, &d.hash
}

// locations returns where deposits are.
func locations(deposits []*deposit) []Location {
	list := make([]Location, len(deposits))
	for i, d := range deposits {
		list[i] = d.store.at(d.url)
	}
	return list
}

// record saves an image that has got the deposits, if that is within the quota.
// If that fails, they are taken back, unless they belong to somebody else by
// now.
func (s *Images) record(ctx context.Context, before, after *Image, deposits ...*deposit) error {
	save := s.catalog.Update
	if len(deposits) > 0 {
		save = s.count
	}
	err := save(ctx, before, after)
	if err == nil {
		return nil
	}
	if s.taken(ctx, before, deposits, err) {
		return refuse(ErrConflict, "Image %s was taken over by somebody else.", before.ID)
	}
	s.takeBack(ctx, before.ID, deposits...)
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return refuse(ErrGone, "Image %s could not be found after upload. The image may have been deleted during the upload.", before.ID)
	}
	if errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("upload %s: %w", before.ID, err)
}

// takeBack removes deposits that are of no use.
func (s *Images) takeBack(ctx context.Context, id ID, deposits ...*deposit) {
	ctx = context.WithoutCancel(ctx)
	for _, d := range deposits {
		if err := d.store.Delete(ctx, d.url); err != nil && !errors.Is(err, ErrNotFound) {
			s.o.Log.ErrorContext(ctx, "data of a failed upload stays behind", "image", id, "store", d.store.ID, "error", err)
		}
	}
}

// taken says that deposits may belong to somebody else by now, who took the
// image away from an upload or import that was thought to be dead.
func (s *Images) taken(ctx context.Context, before *Image, deposits []*deposit, err error) bool {
	if !errors.Is(err, ErrConflict) {
		return false
	}
	now, err := s.catalog.Get(ctx, before.ID, false)
	if errors.Is(err, ErrNotFound) {
		return false
	}
	if err != nil {
		return true
	}
	if other, busy := now.Properties[ImportLock]; busy && other != before.Properties[ImportLock] || now.Status == Saving {
		return true
	}
	return slices.ContainsFunc(deposits, func(d *deposit) bool {
		return slices.ContainsFunc(now.Locations, func(l Location) bool { return l.URL == d.url })
	})
}

// store writes the data of an image that is saving, and makes it active, unless
// the data is not what was said of it. After an error the store has no data of
// it.
func (s *Images) store(ctx context.Context, to *Backend, saving *Image, data incomingData) (*Image, error) {
	d, err := s.deposit(ctx, to, saving, intake{Reader: data, look: true})
	if err != nil {
		return nil, err
	}
	// The data is safe now: what the caller hangs up on is no longer lost.
	ctx = context.WithoutCancel(ctx)
	active := saving.Clone()
	if err := active.moveTo(Active); err != nil {
		s.takeBack(ctx, saving.ID, d)
		return nil, err
	}
	s.describe(active, d)
	if err := data.o.finish(active); err != nil {
		s.takeBack(ctx, saving.ID, d)
		return nil, err
	}
	active.Locations = locations([]*deposit{d})
	if err := s.record(ctx, saving, active, d); err != nil {
		return nil, err
	}
	return active, nil
}
