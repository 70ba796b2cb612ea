package glance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The properties that say how far an import into several stores is: the stores
// that are to get the data yet, and those that did not get it.
const (
	ImportingStores = "os_glance_importing_to_stores"
	FailedStores    = "os_glance_failed_import"
)

// A delivery is where the data of an import goes.
type delivery struct {
	to     []*Backend
	partly bool // a store that fails is left out, if another does not

	// open returns the data, once for each store.
	open func(ctx context.Context) (io.ReadCloser, error)
	// fill is what else becomes of an image that becomes active.
	fill fill

	size       int64 // of the data, when it is known
	unrecorded int   // stores that have it and are no locations of the image yet
	first      *deposit

	quiet        bool     // the image does not say how far it is
	left, failed []string // IDs
}

func newDelivery(to []*Backend, partly bool) *delivery {
	d := &delivery{to: to, partly: partly}
	for _, store := range to {
		d.left = append(d.left, store.ID)
	}
	return d
}

// done notes that a store has the data, or has failed.
func (d *delivery) done(store *Backend, err error) {
	d.left = slices.DeleteFunc(d.left, func(id string) bool { return id == store.ID })
	if err != nil {
		d.failed = append(d.failed, store.ID)
	}
}

// giveUp notes that no store will get the data any more. Those that were not
// tried have not failed, unless none was.
func (d *delivery) giveUp() {
	if len(d.left) == len(d.to) {
		d.failed = d.left
	}
	d.left = nil
}

// mark shows in the properties of im how far the delivery is.
func (d *delivery) mark(im *Image) {
	if im.Properties == nil {
		im.Properties = make(map[string]string)
	}
	if d.quiet {
		return
	}
	failed := slices.DeleteFunc(strings.Split(im.Properties[FailedStores], ","), func(id string) bool {
		return slices.ContainsFunc(d.to, func(s *Backend) bool { return s.ID == id })
	})
	im.Properties[ImportingStores] = storeList(d.left)
	im.Properties[FailedStores] = storeList(append(failed, d.failed...))
}

// storeList returns names of stores as properties have them.
func storeList(ids []string) string {
	return strings.Join(slices.DeleteFunc(set(ids), func(id string) bool { return id == "" }), ",")
}

// deliver brings data into an image whose import lock the task has, and
// returns the image as it is then. It is active with the data in every store
// or, if that will do, in some; otherwise the image has not changed and
// no store has data that it did not have before.
func (s *Images) deliver(ctx context.Context, r *run, im *Image, d *delivery) (*Image, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan arrival)
	begun, under := 0, 0
	defer func() { // only after a failure is any of them still under way
		cancel()
		for ; under > 0; under-- {
			if a := <-results; a.err == nil {
				s.takeBack(ctx, im.ID, a.data)
			}
		}
	}()
	var got []*deposit // what the catalog does not know of
	var first error
	for range d.to {
		for ; begun < len(d.to) && under < s.imports.StoresAtOnce; begun++ {
			to, now, had := d.to[begun], im, d.size*int64(len(im.Locations)+d.unrecorded+under)
			go func() { results <- s.deliverTo(ctx, r, now, d, consignment{to, had}) }()
			under++
		}
		a := <-results
		under--
		err := s.arrived(ctx, im, d, a, &got)
		if err != nil && (!d.partly || errors.Is(err, ErrWrongFormat)) {
			s.takeBack(ctx, im.ID, got...)
			return nil, err
		}
		first = errors.Join(first, err)
		if im, err = s.advance(ctx, im, d, &got); err != nil {
			return nil, err
		}
	}
	if im.Status == Importing {
		return nil, first
	}
	r.copied.Store(d.size)
	return im, nil
}

// A consignment is data that goes to one store.
type consignment struct {
	to  *Backend
	had int64 // bytes that the image takes up already
}

// An arrival is what became of a consignment.
type arrival struct {
	to   *Backend
	data *deposit
	err  error
}

// arrived notes that data is in one store more, or why not. The data that is
// nowhere recorded stays in the order of the delivery.
func (s *Images) arrived(ctx context.Context, im *Image, d *delivery, a arrival, got *[]*deposit) error {
	if a.err == nil && d.first != nil && !a.data.like(d.first) {
		s.takeBack(ctx, im.ID, a.data)
		a.err = fmt.Errorf("import %s: the staged data has changed", im.ID)
	}
	d.done(a.to, a.err)
	if a.err != nil {
		if d.partly {
			s.o.Log.WarnContext(ctx, "a store did not get the data of an import", "image", im.ID, "store", a.to.ID, "error", a.err)
		}
		return a.err
	}
	if d.first == nil {
		d.first = a.data
	}
	d.size = a.data.size
	d.unrecorded++
	*got = append(*got, a.data)
	slices.SortStableFunc(*got, func(a, b *deposit) int { return slices.Index(d.to, a.store) - slices.Index(d.to, b.store) })
	return nil
}

// advance records how far a delivery is: the deposits that have not been
// recorded, when it is time for that, and who has them.
func (s *Images) advance(ctx context.Context, im *Image, d *delivery, got *[]*deposit) (*Image, error) {
	after := im.Clone()
	d.mark(after)
	last := len(d.left) == 0
	deposits := *got
	if !last && !d.partly {
		deposits = nil
	}
	// The data is safe now: what the service breaks off is no longer lost.
	ctx = context.WithoutCancel(ctx)
	if len(deposits) > 0 {
		*got, d.unrecorded = nil, 0
		after.Locations = append(after.Locations, locations(deposits)...)
		if im.Status == Importing {
			if err := s.activate(after, d, deposits[0]); err != nil {
				s.takeBack(ctx, im.ID, deposits...)
				return nil, err
			}
		}
	}
	if last && after.Status != Importing {
		delete(after.Properties, ImportLock)
	}
	if err := s.record(ctx, im, after, deposits...); err != nil {
		if !last && !d.partly {
			s.takeBack(ctx, im.ID, *got...)
		}
		return nil, err
	}
	return after, nil
}

// activate makes an image active that was importing.
func (s *Images) activate(im *Image, d *delivery, data *deposit) error {
	if err := im.moveTo(Active); err != nil {
		return err
	}
	for _, change := range d.fill {
		change(im)
	}
	s.describe(im, data)
	return nil
}

// deliverTo brings the data into one store.
func (s *Images) deliverTo(ctx context.Context, r *run, im *Image, d *delivery, c consignment) arrival {
	data, err := d.open(ctx)
	if err != nil {
		return arrival{c.to, nil, err}
	}
	defer data.Close()
	r.copied.Store(0)
	declared := im
	if im.Status == Importing {
		declared = d.fill.of(im)
	}
	got, err := s.deposit(ctx, c.to, declared, intake{counter{data, &r.copied}, im.Status == Importing, c.had})
	if err == nil && im.Status != Importing && !got.of(im, s.o.HashAlgo) {
		s.takeBack(ctx, im.ID, got)
		err = refuse(ErrUnavailable, "The data of image %s is not what was stored.", im.ID)
	}
	return arrival{c.to, got, err}
}

// like says whether two deposits are of one image.
func (d *deposit) like(o *deposit) bool {
	return d.size == o.size && d.checksum == o.checksum && d.hash == o.hash
}

// of says whether a deposit is the data of im, as far as im knows.
func (d *deposit) of(im *Image, algo string) bool {
	switch {
	case im.Size != nil && *im.Size != d.size:
	case im.Checksum != nil && *im.Checksum != "" && *im.Checksum != d.checksum:
	case im.HashAlgo != nil && *im.HashAlgo == algo && im.HashValue != nil && *im.HashValue != d.hash:
	default:
		return true
	}
	return false
}

// endImport lets go of an image that an import did not bring data into: it is
// queued again if it was importing, and not busy any more.
func (s *Images) endImport(ctx context.Context, r *run, id ID, d *delivery) {
	before, err := s.catalog.Get(ctx, id, false)
	if errors.Is(err, ErrNotFound) {
		s.letGo(ctx, id)
	}
	if errors.Is(err, ErrNotFound) || err == nil && before.Properties[ImportLock] != r.task.ID {
		return
	}
	d.giveUp()
	if err == nil {
		after := before.Clone()
		d.mark(after)
		delete(after.Properties, ImportLock)
		if after.Status == Importing {
			err = after.moveTo(Queued)
		}
		if err == nil {
			err = s.catalog.Update(ctx, before, after)
		}
		if err == nil {
			s.notify(ctx, Event{Type: "image.update", Image: after})
		}
	}
	if errors.Is(err, ErrNotFound) {
		s.letGo(ctx, id)
	}
	if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
		s.o.Log.ErrorContext(ctx, "image is not free again after a failed import", "image", id, "error", err)
	}
}
