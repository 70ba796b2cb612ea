package glance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Images is what may be done with images. Every method asks the context for
// the Caller and answers according to what that caller can see and may do:
// an image that it cannot see does not exist (ErrNotFound), one that it can
// see but not change is ErrForbidden. Errors that a caller should read are
// a *Refusal. Images is safe for concurrent use.
type Images struct {
	catalog  Catalog
	bare     BareCatalog // nil if images are not to be read without locations
	stores   *backends
	o        Options
	newTally func() tally
	blocks   stock // for uploads, and downloads that copy
	imports  *imports
	quotas   quotas
}

// Options are the optional settings of New. The zero value is ready to use.
type Options struct {
	Now   func() time.Time // nil means time.Now
	NewID func() ID        // nil means random

	MaxSize       int64  // largest upload in bytes; 0 means 1 TiB
	PropertyQuota int    // properties an image may have; 0 means 128, negative no limit, NothingAllowed none
	TagQuota      int    // tags, likewise
	MemberQuota   int    // members, likewise
	StorageQuota  int64  // bytes that the images of a project may take; 0 means no limit
	Limits        Limits // more such limits, of other resources too; nil means none
	HashAlgo      string // sha256, sha384 or sha512; empty means sha512

	DiskFormats      []string // nil means those of an unconfigured Glance
	ContainerFormats []string

	Inspector Inspector // looks at the data of bare images; nil means nobody does
	AnyFormat bool      // data that is not what disk_format says is taken all the same

	Filtered bool // the catalog answers to the caller: what it shows is visible

	DefaultStore  string // ID, or scheme, of the store that takes uploads; empty means the first
	DelayedDelete bool   // Delete leaves the data to the scrubber

	Certificates Certificates // of those who sign images; nil means that signed images are refused

	Cache  DataCache // nil means none
	Notify Notifier  // nil means nobody is told
	Policy Policy    // nil means DefaultPolicy

	// Properties protects custom properties; nil means that who may change an
	// image may change all of them.
	Properties PropertyPolicy

	Import    ImportOptions   // how data comes from elsewhere; the zero value: not at all
	Locations LocationOptions // what callers do with locations

	// Hashing is called when data of which much has come already is being
	// hashed, and what it returns when that has ended. Nil means that it makes
	// no difference.
	Hashing func() (end func())

	// Log is told of clean-up that went wrong after the caller had its answer,
	// and of data that is tolerated; nil means nobody is.
	Log *slog.Logger
}

const defaultQuota = 128

// NothingAllowed is a quota that lets nothing through.
const NothingAllowed = math.MinInt32

// New returns the images of a catalog whose data is in stores. It is an error
// if there is no store, if two have one name or some have none, or the options
// name a store or a hash that is not there.
func New(catalog Catalog, stores []Backend, o Options) (*Images, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() ID { return ID(NewUUID()) }
	}
	if o.MaxSize == 0 {
		o.MaxSize = 1 << 40
	}
	for _, q := range []*int{&o.PropertyQuota, &o.TagQuota, &o.MemberQuota} {
		switch *q {
		case 0:
			*q = defaultQuota
		case NothingAllowed:
			*q = 0
		}
	}
	if o.HashAlgo == "" {
		o.HashAlgo = "sha512"
	}
	if o.DiskFormats == nil {
		o.DiskFormats = []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}
	}
	if o.ContainerFormats == nil {
		o.ContainerFormats = []string{"ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}
	}
	if o.Policy == nil {
		o.Policy = DefaultPolicy{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if hashes[o.HashAlgo] == nil {
		return nil, fmt.Errorf("hashing_algorithm %q: not known; one of %s", o.HashAlgo, strings.Join(slices.Sorted(maps.Keys(hashes)), ", "))
	}
	backends, err := newBackends(stores, o.DefaultStore)
	if err != nil {
		return nil, err
	}
	if o.Import.Converter != nil && o.Inspector == nil {
		return nil, errors.New("images cannot be converted when nobody inspects them")
	}
	imports, err := newImports(o.Import)
	if err != nil {
		return nil, err
	}
	usage, ok := catalog.(UsageCatalog)
	if !ok && (o.StorageQuota > 0 || o.Limits != nil) {
		return nil, errors.New("quotas: the catalog does not know what is used")
	}
	s := &Images{
		catalog: catalog, stores: backends, o: o, newTally: newTallies(o.HashAlgo), imports: imports, quotas: quotas{UsageCatalog: usage},
	}
	s.blocks.much = o.Hashing
	if bare, ok := catalog.(BareCatalog); ok && !o.Locations.Shown && !backends.named {
		s.bare = bare
	}
	return s, nil
}

// DiskFormats returns the disk formats that an image may have.
func (s *Images) DiskFormats() []string { return slices.Clone(s.o.DiskFormats) }

// ContainerFormats returns the container formats that an image may have.
func (s *Images) ContainerFormats() []string { return slices.Clone(s.o.ContainerFormats) }

// Get returns the image, if the caller can see it, with the properties that
// the caller may read.
func (s *Images) Get(ctx context.Context, id ID) (*Image, error) {
	im, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.shown(CallerFrom(ctx), im), nil
}

// GetBare is Get, but the image may come without its locations if nothing that
// callers see depends on them.
func (s *Images) GetBare(ctx context.Context, id ID) (*Image, error) {
	if s.bare == nil {
		return s.Get(ctx, id)
	}
	im, err := s.bare.GetBare(ctx, id)
	if im, err = s.seen(ctx, id, im, err); err != nil {
		return nil, err
	}
	c := CallerFrom(ctx)
	if gone(im) {
		return nil, noImage(id)
	}
	if !s.o.Policy.Allows(c, GetImage, Target{Image: im}) {
		return nil, errHidden
	}
	return s.shown(c, im), nil
}

// find returns the image with all its properties, if the caller can see it.
func (s *Images) find(ctx context.Context, id ID) (*Image, error) {
	return s.look(ctx, id, false)
}

// look is find, and finds images that are deleted as well, if they are asked
// for.
func (s *Images) look(ctx context.Context, id ID, deleted bool) (*Image, error) {
	im, err := s.see(ctx, id, deleted)
	if err == nil && !s.o.Policy.Allows(CallerFrom(ctx), GetImage, Target{Image: im}) {
		return nil, errHidden
	}
	return im, err
}

// findFor is find for what other rules than that of looking at images are for:
// a service of the cloud may know where the data of an image is without a role
// in any project.
func (s *Images) findFor(ctx context.Context, id ID, r Rule) (*Image, error) {
	im, err := s.see(ctx, id, false)
	if err != nil {
		return nil, err
	}
	return im, s.allow(CallerFrom(ctx), r, Target{Image: im})
}

// see returns an image that exists for the caller, whatever the rules are.
func (s *Images) see(ctx context.Context, id ID, deleted bool) (*Image, error) {
	im, err := s.catalog.Get(ctx, id, deleted)
	if im, err = s.seen(ctx, id, im, err); err != nil {
		return nil, err
	}
	if gone(im) && !deleted {
		return nil, noImage(id)
	}
	return im, nil
}

// seen returns what the catalog has answered if it exists for the caller.
func (s *Images) seen(ctx context.Context, id ID, im *Image, err error) (*Image, error) {
	if errors.Is(err, ErrNotFound) {
		return nil, noImage(id)
	}
	if err != nil {
		return nil, fmt.Errorf("get image %s: %w", id, err)
	}
	visible, err := s.visible(ctx, CallerFrom(ctx), im)
	if err != nil {
		return nil, fmt.Errorf("get image %s: %w", id, err)
	}
	if !visible {
		return nil, noImage(id)
	}
	return im, nil
}

// visible says whether the image exists for the caller. A member of a shared
// image sees it whatever it answered to the offer.
func (s *Images) visible(ctx context.Context, c Caller, im *Image) (bool, error) {
	switch {
	case c.Admin, s.o.Filtered, im.Owner == nil, owns(c, im), im.Visibility == Public, im.Visibility == Community:
		return true, nil
	case im.Visibility != Shared || c.ProjectID == "":
		return false, nil
	}
	members, err := s.catalog.Members(ctx, im.ID)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(members, func(m Member) bool { return m.ProjectID == c.ProjectID }), nil
}

// List returns one page of the images that the caller can see and q selects;
// the caller's identity replaces what q says about who asks. More says that
// the page was full and another may follow the last image of this one. A
// marker that the caller cannot see is ErrInvalid. With q.Bare the images come
// without their locations if nothing that callers see depends on them.
func (s *Images) List(ctx context.Context, q Query) (images []*Image, more bool, err error) {
	c := CallerFrom(ctx)
	if !s.o.Policy.Allows(c, GetImages, Target{}) {
		return nil, false, denied(GetImages)
	}
	for name := range q.Properties {
		if !s.permits(c, ReadProperty, name) {
			return nil, false, nil // a guess at its value is not confirmed
		}
	}
	q.ProjectID, q.Admin = c.ProjectID, c.Admin && !q.AsUser
	q.Bare = q.Bare && !s.o.Locations.Shown && !s.stores.named
	rows, err := s.catalog.List(ctx, q)
	if errors.Is(err, ErrNotFound) && q.Marker != "" {
		return nil, false, refuse(ErrInvalid, "No image found with ID %s", q.Marker)
	}
	if err != nil {
		return nil, false, fmt.Errorf("list images: %w", err)
	}
	images = make([]*Image, 0, len(rows))
	for _, im := range rows {
		if s.o.Policy.Allows(c, GetImage, Target{Image: im}) {
			images = append(images, im)
		}
	}
	return s.shownAll(c, images), q.Limit > 0 && len(rows) == q.Limit && len(images) > 0, nil
}

// allow returns nil if the caller may do r with what t says. Who cannot even
// look at the image is told that it does not exist.
func (s *Images) allow(c Caller, r Rule, t Target) error {
	if s.o.Policy.Allows(c, r, t) {
		return nil
	}
	if c.Anonymous {
		return remark(ErrForbidden, "Read-only access")
	}
	if t.Image != nil && t.Image.Status != "" && !s.o.Policy.Allows(c, GetImage, t) {
		return errHidden
	}
	return denied(r)
}

// May returns nil if the caller may do r, with an image if im is not nil, for
// what is not done with Images itself. Else ErrForbidden.
func (s *Images) May(ctx context.Context, r Rule, im *Image) error {
	if !s.o.Policy.Allows(CallerFrom(ctx), r, Target{Image: im}) {
		return denied(r)
	}
	return nil
}

func denied(r Rule) error {
	return &Refusal{Kind: ErrForbidden, Message: fmt.Sprintf("You are not authorized to complete %s action.", r), Rule: r}
}

func (s *Images) now() time.Time { return s.o.Now().UTC().Truncate(time.Second) }

// Clone returns a copy of im that shares nothing with it.
func (im *Image) Clone() *Image {
	c := *im
	c.Name, c.DiskFormat, c.ContainerFormat = clone(im.Name), clone(im.DiskFormat), clone(im.ContainerFormat)
	c.Size, c.VirtualSize, c.Owner = clone(im.Size), clone(im.VirtualSize), clone(im.Owner)
	c.Checksum, c.HashAlgo, c.HashValue = clone(im.Checksum), clone(im.HashAlgo), clone(im.HashValue)
	c.DeletedAt = clone(im.DeletedAt)
	c.Properties = maps.Clone(im.Properties)
	c.Tags = slices.Clone(im.Tags)
	c.Locations = slices.Clone(im.Locations)
	for i := range c.Locations {
		c.Locations[i].Metadata = maps.Clone(c.Locations[i].Metadata)
		c.Locations[i].Structured = maps.Clone(c.Locations[i].Structured)
	}
	return &c
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
