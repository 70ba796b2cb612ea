package glance

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// LocationImport is a task that gives an image a location.
const LocationImport TaskType = "location_import"

// A LocationRequest says where the data of an image is.
type LocationRequest struct {
	URL        string
	Validation Validation // without a checksum; the hash may be one of several kinds
}

// AddLocation begins to give a queued image the data that is at a URL, and
// returns the image as it is until then. In the end it is active, or queued
// again. Data that the request says the hash of is read before; other data is
// read and hashed afterwards, and if that fails the image does without a hash.
//
// ErrInvalid if the URL is none that an image may have, what is said of the
// data cannot be, or the image has no formats; ErrNotFound; ErrForbidden;
// ErrConflict if the image is not queued or somebody is at work on it;
// ErrUnavailable when the service is about to end.
func (s *Images) AddLocation(ctx context.Context, id ID, r LocationRequest) (*Image, error) {
	if s.imports.Tasks == nil {
		return nil, errNoTasks
	}
	before, err := s.see(ctx, id, false)
	if err != nil {
		return nil, err
	}
	if err := s.allowLocation(ctx, before, &r); err != nil {
		return nil, err
	}
	store, sizer, err := s.reachable(ctx, r.URL)
	if err != nil {
		return nil, err
	}
	if !s.imports.enter() {
		return nil, refuse(ErrUnavailable, "The service is about to end.")
	}
	task, importing, err := s.claimLocation(ctx, before, r)
	if err != nil {
		s.imports.running.Done()
		return nil, err
	}
	go func() {
		defer s.imports.running.Done()
		p := &placing{s: s, run: task, store: store, sizer: sizer, req: r}
		p.place(WithCaller(s.imports.ctx, CallerFrom(ctx)), importing)
	}()
	return s.shown(CallerFrom(ctx), before), nil
}

// allowLocation reports why im may not get the location. It completes what is
// said of the data.
//
// Whoever is no service of the cloud may only point to the web.
func (s *Images) allowLocation(ctx context.Context, im *Image, r *LocationRequest) error {
	c := CallerFrom(ctx)
	if im.Status != Queued {
		return refuse(ErrConflict, "It's not allowed to add locations if image status is %s.", im.Status)
	}
	if err := s.allow(c, AddImageLocation, Target{Image: im}); err != nil {
		return err
	}
	if !slices.Contains(c.Roles, "service") && !s.web(r.URL) {
		return refuse(ErrForbidden, "http store must be enabled to use location API by normal user.")
	}
	if err := r.Validation.checkHash(s.o.HashAlgo); err != nil {
		return err
	}
	return im.complete()
}

// web reports whether a URL is of a web server, and a store reads such.
func (s *Images) web(url string) bool {
	switch strings.ToLower(scheme(url)) {
	case "http", "https":
		_, found := s.stores.of(Location{URL: url})
		return found
	}
	return false
}

// checkHash reports what cannot be a hash, and completes what is said of one:
// usual is the algorithm if none is named.
func (v *Validation) checkHash(usual string) error {
	switch {
	case v.HashValue == "" && v.HashAlgo != "":
		return refuse(ErrInvalid, "os_hash_algo says nothing without os_hash_value.")
	case v.HashValue == "":
		return nil
	case v.HashAlgo == "":
		v.HashAlgo = usual
	}
	newHash, known := digests[v.HashAlgo]
	if !known {
		return fmt.Errorf("hash %q: %w", v.HashAlgo, ErrInvalid)
	}
	sum, err := hex.DecodeString(v.HashValue)
	if err != nil {
		return refuse(ErrInvalid, "os_hash_value (%s) is not a valid hexadecimal value", v.HashValue)
	}
	if want := newHash().Size(); len(sum) != want {
		return refuse(ErrInvalid, "os_hash_value: (%s) is not the correct size for (%s) (should be (%d) bytes)", v.HashValue, v.HashAlgo, want)
	}
	v.HashValue = strings.ToLower(v.HashValue)
	return nil
}

// claimLocation makes a task and takes the image for it, against all others.
// What lets one read the URL stands in no task.
func (s *Images) claimLocation(ctx context.Context, before *Image, r LocationRequest) (*run, *Image, error) {
	said := make(map[string]string)
	if r.Validation.HashValue != "" {
		said["os_hash_algo"], said["os_hash_value"] = r.Validation.HashAlgo, r.Validation.HashValue
	}
	input, err := json.Marshal(struct {
		Image ID                `json:"image_id"`
		URL   string            `json:"loc_url"`
		Said  map[string]string `json:"validation_data"`
	}{before.ID, masked(r.URL), said})
	if err != nil {
		return nil, nil, fmt.Errorf("add location to %s: %w", before.ID, err)
	}
	task, err := s.newTask(ctx, Task{Type: LocationImport, ImageID: before.ID, Input: input})
	if err != nil {
		return nil, nil, err
	}
	importing, err := s.take(ctx, before, task.task.ID, &delivery{quiet: true})
	if err != nil {
		task.end(ctx, TaskFailure, func(t *Task) { t.Message = "The image was not free." })
		return nil, nil, err
	}
	return task, importing, nil
}

// A placing gives one image a location.
type placing struct {
	s     *Images
	run   *run
	store *Backend
	sizer Sizer
	req   LocationRequest
}

// place works from the moment on when the image is taken to the end.
func (p *placing) place(ctx context.Context, importing *Image) {
	s := p.s
	stop := p.run.alive(ctx)
	active, err := p.activate(ctx, importing)
	stop()
	end := context.WithoutCancel(ctx)
	if err != nil {
		s.giveBack(end, importing)
		s.failed(ctx, p.run, importing, err)
		s.letGo(end, importing.ID)
		return
	}
	// The image is what was asked for. A hash that comes later is no part of
	// the task: nobody has to wait for it or clean up after it.
	s.succeeded(end, p.run, active, importing.Status)
	s.letGo(end, importing.ID)
	if active.HashValue == nil && !s.o.Locations.NoHash {
		p.hashLater(ctx, active)
	}
}

// activate makes the image active.
func (p *placing) activate(ctx context.Context, importing *Image) (*Image, error) {
	s := p.s
	release, err := s.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := p.run.change(ctx, func(t *Task) { t.Status = TaskProcessing }); err != nil {
		return nil, fmt.Errorf("add location to %s: %w", importing.ID, err)
	}
	size, err := p.size(ctx)
	if err != nil {
		return nil, err
	}
	active := importing.Clone()
	if err := active.moveTo(Active); err != nil {
		return nil, err
	}
	delete(active.Properties, ImportLock)
	active.Size = &size
	active.Locations = []Location{p.store.at(p.req.URL)}
	if err := p.verify(ctx, active); err != nil {
		return nil, err
	}
	err = s.count(context.WithoutCancel(ctx), importing, active)
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return nil, refuse(ErrGone, "Image %s is not here any more.", importing.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("add location to %s: %w", importing.ID, err)
	}
	return active, nil
}

// size returns how much data there is.
func (p *placing) size(ctx context.Context) (size int64, err error) {
	err = p.try(ctx, func() error {
		size, err = sized(ctx, p.sizer, p.req.URL)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", noData(err), err)
	}
	return size, nil
}

// verify compares the data with what is said of it, or believes that.
func (p *placing) verify(ctx context.Context, im *Image) error {
	said := p.req.Validation
	if said.HashValue == "" {
		return nil
	}
	im.HashAlgo, im.HashValue = &said.HashAlgo, &said.HashValue
	if p.s.o.Locations.NoHash {
		return nil
	}
	checksum, sum, err := p.hash(ctx, im, newTallies(said.HashAlgo))
	if err != nil {
		return fmt.Errorf("%w: %w", refuse(ErrUnavailable, "Hash calculation failed for image %s data", im.ID), err)
	}
	if sum != said.HashValue {
		return refuse(ErrInvalid, "os_hash_value: (%s) not matched with actual os_hash_value: (%s)", said.HashValue, sum)
	}
	im.Checksum = &checksum
	return nil
}

// hashLater gives an active image the hash of its data. An image that was
// changed or deleted meanwhile stays as it is.
func (p *placing) hashLater(ctx context.Context, im *Image) {
	s := p.s
	release, err := s.slot(ctx)
	if err != nil {
		return // the service ends
	}
	defer release()
	checksum, sum, err := p.hash(ctx, im, s.newTally)
	if err == nil {
		hashed := im.Clone()
		algo := s.o.HashAlgo
		hashed.Checksum, hashed.HashAlgo, hashed.HashValue = &checksum, &algo, &sum
		err = s.catalog.Update(context.WithoutCancel(ctx), im, hashed)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		s.o.Log.WarnContext(ctx, "the data of a new location is not hashed", "image", im.ID, "error", err)
	}
}

// hash reads the data, all of it.
func (p *placing) hash(ctx context.Context, im *Image, newTally func() tally) (checksum, sum string, err error) {
	err = p.try(ctx, func() error {
		p.run.copied.Store(0)
		checksum, sum, err = p.digest(ctx, *im.Size, newTally())
		return err
	})
	return checksum, sum, err
}

func (p *placing) digest(ctx context.Context, size int64, t tally) (checksum, sum string, err error) {
	data, err := p.store.Open(ctx, p.req.URL, 0, -1)
	if err != nil {
		return "", "", err
	}
	defer data.Close()
	d := newDigester(&source{ctx: ctx, r: counter{data, &p.run.copied}, left: size}, t, &p.s.blocks)
	n, err := io.Copy(io.Discard, d)
	checksum, sum = d.finish()
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes of %d: %w", n, size, ErrUnavailable)
	}
	return checksum, sum, err
}

// try calls f until it does not fail, or has failed often enough.
func (p *placing) try(ctx context.Context, f func() error) error {
	left := p.s.o.Locations.Retries
	if left == 0 {
		left = defaultRetries
	}
	for {
		err := f()
		if left--; err == nil || left <= 0 || ctx.Err() != nil || errors.Is(err, ErrNotFound) {
			return err
		}
	}
}
