package glance

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// LocationOptions are the settings of what callers do with the locations of
// images. The zero value shows none and takes none.
type LocationOptions struct {
	Shown bool // those who may see them see them, and those who may can change them
	Quota int  // locations an image may have; 0 means 10, negative no limit

	// Filter judges the http URLs that images get; nil means none will do.
	Filter URLFilter

	NoHash  bool // data that a new location has is not hashed
	Retries int  // how often data is read again to hash it; 0 means 3
}

const (
	defaultLocationQuota = 10
	defaultRetries       = 3
)

// A URLFilter says which URLs the service may ask for.
type URLFilter interface {
	// Check returns an error if uri may not be fetched. It asks for nothing
	// but the addresses of the host.
	Check(ctx context.Context, uri string) error
}

// The rules about the locations of new data. ServiceAPI is for other services
// of the cloud.
const (
	AddImageLocation   Rule = "add_image_location"
	FetchImageLocation Rule = "fetch_image_location"
	ServiceAPI         Rule = "service_api"
)

// A NewLocation is a location as somebody gives it to an image.
type NewLocation struct {
	URL        string
	Metadata   map[string]string
	Structured map[string]json.RawMessage // as of a Location
	Validation Validation
}

// A Validation is what somebody says of data. What is empty is not said.
type Validation struct{ Checksum, HashAlgo, HashValue string }

// ShownLocations returns the locations of im that the caller is shown; ok is
// false if it is not even shown that there could be any.
func (s *Images) ShownLocations(ctx context.Context, im *Image) (list []Location, ok bool) {
	if !s.o.Locations.Shown || !s.seesLocations(CallerFrom(ctx), im) {
		return nil, false
	}
	return s.unblanked(ctx, im), true
}

// DirectURL returns where the data of im is read from, empty if the caller may
// not know that or there is none.
func (s *Images) DirectURL(ctx context.Context, im *Image) string {
	if !s.seesLocations(CallerFrom(ctx), im) {
		return ""
	}
	for _, l := range s.Sources(&Image{Locations: s.unblanked(ctx, im)}) {
		return l.URL
	}
	return ""
}

func (s *Images) seesLocations(c Caller, im *Image) bool {
	return s.o.Policy.Allows(c, GetImageLocation, Target{Image: im})
}

// unblanked returns the locations with data, none of a deactivated image for
// whoever may not read it.
func (s *Images) unblanked(ctx context.Context, im *Image) []Location {
	if im.Status == Deactivated && !CallerFrom(ctx).Admin {
		return nil
	}
	return s.known(im)
}

// Locations returns where the data of an image is, for other services of the
// cloud. ErrNotFound, ErrForbidden.
func (s *Images) Locations(ctx context.Context, id ID) ([]Location, error) {
	im, err := s.findFor(ctx, id, FetchImageLocation)
	if err != nil {
		return nil, err
	}
	return s.unblanked(ctx, im), nil
}

// applyLocations makes a change of the locations to im.
func (s *Images) applyLocations(ctx context.Context, im *Image, ch Change) error {
	given, _ := ch.Value.([]NewLocation)
	if ch.Op == Replace && len(given) == 0 {
		return remark(ErrForbidden, "Cannot set locations to empty list.")
	}
	rule, verb, invisible := SetImageLocation, "replace", "update"
	switch ch.Op {
	case Add:
		verb, invisible = "add", "add"
	case Remove:
		rule, verb, invisible = DeleteImageLocation, "remove", "remove"
	}
	if err := s.allow(CallerFrom(ctx), rule, Target{Image: im}); err != nil {
		return err
	}
	if !s.o.Locations.Shown {
		return refuse(ErrForbidden, "It's not allowed to %s locations if locations are invisible.", invisible)
	}
	if im.Status != Active && (im.Status != Queued || ch.Op == Remove) {
		return refuse(ErrConflict, "It's not allowed to %s locations if image status is %s.", verb, im.Status)
	}
	if ch.Op == Remove {
		return removeLocation(im, ch.Position)
	}
	set, err := s.validate(im, given)
	if err != nil {
		return err
	}
	if ch.Op == Replace {
		err = s.replaceLocations(ctx, im, given)
	} else {
		err = s.addLocation(ctx, im, given[0], ch.Position)
	}
	if err != nil || im.Status != Queued {
		return err
	}
	set(im)
	return im.moveTo(Active)
}

// removeLocation takes a location away. Without any, an active image could get
// other data.
func removeLocation(im *Image, position string) error {
	if len(im.Locations) <= 1 {
		return remark(ErrForbidden, "Cannot remove last location in the image.")
	}
	at, ok := locationAt(position, len(im.Locations)-1)
	if !ok || at >= len(im.Locations) {
		return refuse(ErrInvalid, "Invalid position for removing a location.")
	}
	im.Locations = slices.Delete(im.Locations, at, at+1)
	return nil
}

// addLocation puts a location among those of im; behind the last one there is
// no other place than the end.
func (s *Images) addLocation(ctx context.Context, im *Image, given NewLocation, position string) error {
	at, ok := locationAt(position, len(im.Locations))
	if !ok {
		return refuse(ErrInvalid, "Invalid position for adding a location.")
	}
	if err := s.locationQuota(len(im.Locations), len(im.Locations)+1); err != nil {
		return err
	}
	if hasLocation(im.Locations, given.URL) {
		return duplicateLocation(given.URL)
	}
	l, size, err := s.locate(ctx, given)
	if err != nil {
		return err
	}
	im.Locations = slices.Insert(im.Locations, min(at, len(im.Locations)), l)
	if im.Size == nil || *im.Size == 0 {
		im.Size = &size
	}
	return nil
}

// locationAt reads a position of a list; last is what - stands for.
func locationAt(position string, last int) (int, bool) {
	if position == "-" {
		return last, true
	}
	if position == "" || strings.Trim(position, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(position)
	if err != nil { // too large
		n = int(^uint(0) >> 1)
	}
	return n, true
}

// replaceLocations gives im other locations: if it has some already, the same
// with other metadata or in another order.
func (s *Images) replaceLocations(ctx context.Context, im *Image, given []NewLocation) error {
	if err := s.locationQuota(0, len(given)); err != nil {
		return err
	}
	list := make([]Location, 0, len(given))
	for _, g := range given {
		if hasLocation(list, g.URL) {
			return duplicateLocation(g.URL)
		}
		if len(im.Locations) > 0 {
			at := slices.IndexFunc(im.Locations, func(l Location) bool { return l.URL == g.URL })
			if at < 0 || len(given) != len(im.Locations) {
				return refuse(ErrInvalid, "Original locations is not empty")
			}
			list = append(list, s.described(im.Locations[at], g))
			continue
		}
		l, size, err := s.locate(ctx, g)
		if err != nil {
			return err
		}
		list = append(list, l)
		if im.Size == nil || *im.Size == 0 {
			im.Size = &size
		}
	}
	im.Locations = list
	return nil
}

// described returns l with other metadata. Which store it is in is not for
// callers to say.
func (s *Images) described(l Location, given NewLocation) Location {
	id, named := l.Metadata[StoreKey]
	if store, ok := s.stores.of(Location{URL: l.URL}); ok && s.stores.named && !named {
		id, named = store.ID, true
	}
	l.Metadata, l.Structured = maps.Clone(given.Metadata), maps.Clone(given.Structured)
	if l.Metadata == nil {
		l.Metadata = make(map[string]string)
	}
	if s.stores.named {
		delete(l.Metadata, StoreKey)
		delete(l.Structured, StoreKey)
	}
	if named {
		l.Metadata[StoreKey] = id
	}
	return l
}

func hasLocation(list []Location, url string) bool {
	return slices.ContainsFunc(list, func(l Location) bool { return l.URL == url })
}

func duplicateLocation(url string) error {
	return refuse(ErrInvalid, "The location %s already exists", masked(url))
}

func (s *Images) locationQuota(before, after int) error {
	limit := s.o.Locations.Quota
	if limit == 0 {
		limit = defaultLocationQuota
	}
	return quota("locations", before, after, limit)
}

// localSchemes are those of data that callers must not point to: it is this
// machine's, or read with the service's own account.
var localSchemes = []string{"file", "filesystem", "swift+config", "sheepdog"}

// reachable returns the store that a URL is in, if callers may point there. No
// connection is made.
func (s *Images) reachable(ctx context.Context, url string) (*Backend, Sizer, error) {
	scheme := strings.ToLower(scheme(url))
	store, found := s.stores.of(Location{URL: url})
	if !found || slices.Contains(localSchemes, scheme) {
		return nil, nil, invalidLocation()
	}
	sizer, ok := store.Store.(Sizer)
	if o, owns := store.Store.(Owner); !ok || owns && !o.Owns(url) {
		return nil, nil, invalidLocation()
	}
	if scheme != "http" && scheme != "https" {
		return store, sizer, nil
	}
	err := errors.New("no URL is allowed")
	if f := s.o.Locations.Filter; f != nil {
		err = f.Check(ctx, url)
	}
	if err != nil {
		s.o.Log.InfoContext(ctx, "a location may not be asked for", "cause", err)
		return nil, nil, refuse(ErrInvalid, "URI for add location does not pass filtering: %s", masked(url))
	}
	return store, sizer, nil
}

func invalidLocation() error { return refuse(ErrInvalid, "Invalid location") }

// locate returns a location that data is at, and how much there is.
func (s *Images) locate(ctx context.Context, given NewLocation) (Location, int64, error) {
	store, sizer, err := s.reachable(ctx, given.URL)
	if err != nil {
		return Location{}, 0, err
	}
	size, err := sized(ctx, sizer, given.URL)
	if err != nil {
		s.o.Log.InfoContext(ctx, "a location has no data", "cause", err)
		return Location{}, 0, noData(err)
	}
	if err := s.admit(ctx, "", size); err != nil {
		return Location{}, 0, overflow(err)
	}
	return s.described(store.at(given.URL), given), size, nil
}

// sized returns how much data is at a URL; that there is none is an error.
func sized(ctx context.Context, store Sizer, url string) (int64, error) {
	size, err := store.Size(ctx, url)
	if err == nil && size <= 0 {
		err = fmt.Errorf("%w: there are 0 bytes", ErrNotFound)
	}
	return size, err
}

// noData is what is said of a URL that has no data for the reason given.
func noData(err error) error {
	if errors.Is(err, ErrNotFound) {
		return invalidLocation()
	}
	return refuse(ErrInvalid, "The Store URI was malformed.") // as is said when nobody answers
}

// masked returns a URL as it may be shown: without a name and a password.
func masked(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
		rest = "***" + rest[at:]
	}
	return scheme + "://" + rest
}

// validate compares what is said of data with what is known of the image. It
// returns what gives the image what it does not have yet.
func (s *Images) validate(im *Image, given []NewLocation) (set func(im *Image), err error) {
	var said Validation
	for _, g := range given {
		for _, f := range validations {
			v := f.of(&g.Validation)
			if to := f.of(&said); *v != "" && *to != "" && *to != *v {
				return nil, refuse(ErrConflict, "Conflicting values for %s", f.name)
			} else if *v != "" {
				*to = *v
			}
		}
	}
	var news []string
	for _, f := range validations {
		v, has := *f.of(&said), *f.in(im)
		switch {
		case v == "":
		case has == nil || *has == "":
			news = append(news, f.name)
		case *has != v:
			return nil, refuse(ErrConflict, "%s is already set with a different value", f.name)
		}
	}
	if len(news) == 0 {
		return func(*Image) {}, nil
	}
	if im.Status != Queued {
		return nil, refuse(ErrConflict, "New value(s) for %s may only be provided when image status is 'queued'", strings.Join(news, ", "))
	}
	if said.HashAlgo != s.o.HashAlgo {
		return nil, refuse(ErrConflict, "os_hash_algo must be %s, not %s", s.o.HashAlgo, said.HashAlgo)
	}
	if err := said.check(); err != nil {
		return nil, err
	}
	return func(im *Image) {
		for _, f := range validations {
			if v := *f.of(&said); v != "" {
				*f.in(im) = &v
			}
		}
	}, nil
}

// validations are the parts of a Validation, and what they are of an image.
var validations = []struct {
	name string
	of   func(*Validation) *string
	in   func(*Image) **string
}{
	{"checksum", func(v *Validation) *string { return &v.Checksum }, func(im *Image) **string { return &im.Checksum }},
	{"os_hash_algo", func(v *Validation) *string { return &v.HashAlgo }, func(im *Image) **string { return &im.HashAlgo }},
	{"os_hash_value", func(v *Validation) *string { return &v.HashValue }, func(im *Image) **string { return &im.HashValue }},
}

// check reports what cannot be a digest.
func (v Validation) check() error {
	if v.Checksum != "" {
		if sum, err := hex.DecodeString(v.Checksum); err != nil {
			return refuse(ErrConflict, "checksum (%s) is not a valid hexadecimal value", v.Checksum)
		} else if len(sum) != 16 {
			return refuse(ErrConflict, "checksum (%s) is not the correct size for md5 (should be 16 bytes)", v.Checksum)
		}
	}
	sum, err := hex.DecodeString(v.HashValue)
	if err != nil {
		return refuse(ErrConflict, "os_hash_value (%s) is not a valid hexadecimal value", v.HashValue)
	}
	newHash, known := digests[v.HashAlgo]
	if !known {
		return fmt.Errorf("hash %q: %w", v.HashAlgo, ErrInvalid)
	}
	if want := newHash().Size(); len(sum) != want {
		return refuse(ErrConflict, "os_hash_value (%s) is not the correct size for %s (should be %d bytes)", v.HashValue, v.HashAlgo, want)
	}
	return nil
}

// discard removes data that im does not have any more, and gives the lock back
// that was taken for that. The image is changed by then: what fails leaves data
// behind and is told to the log. It returns the image as it is in the end.
func (s *Images) discard(ctx context.Context, im *Image, gone []Location, lock string) *Image {
	ctx = context.WithoutCancel(ctx)
	for _, l := range gone {
		if err := s.remove(ctx, l); err != nil {
			s.o.Log.ErrorContext(ctx, "data of a location that was removed stays behind", "image", im.ID, "error", err)
		}
	}
	if lock == "" {
		return im
	}
	defer s.letGo(ctx, im.ID)
	free := im.Clone()
	delete(free.Properties, ImportLock)
	if err := s.catalog.Update(ctx, im, free); ignoreLost(err) != nil {
		s.o.Log.ErrorContext(ctx, "the end of a removal is not recorded", "image", im.ID, "error", err)
	}
	return free
}

// without returns what of list is not in rest.
func without(list, rest []Location) []Location {
	return slices.DeleteFunc(slices.Clone(list), func(l Location) bool { return hasLocation(rest, l.URL) })
}
