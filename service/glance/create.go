package glance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Draft is a new image as somebody asks for it.
type Draft struct {
	ID              ID // empty means a new one
	Name            *string
	DiskFormat      *string
	ContainerFormat *string
	Visibility      Visibility // empty means Shared
	MinDisk         int64
	MinRAM          int64
	Owner           *string // nil means the caller's project
	Ownerless       bool    // no owner at all, whatever Owner says
	Protected       bool
	Hidden          bool
	Properties      map[string]string
	Tags            []string

	// What is said of data that is yet to come.
	Size        *int64
	VirtualSize *int64
	Checksum    *string
	// Empty says that there will be none: the image is active at once.
	Empty bool
}

// Create adds a queued image without data and returns it. ErrForbidden,
// ErrInvalid, ErrTooLarge over a quota; ErrExists if there ever was an image
// of that ID.
func (s *Images) Create(ctx context.Context, d Draft) (*Image, error) {
	c := CallerFrom(ctx)
	im := s.newImage(c, d)
	if err := s.allowCreate(c, im); err != nil {
		return nil, err
	}
	if err := s.allowProperties(c, im); err != nil {
		return nil, err
	}
	if err := s.check(im, &Image{}); err != nil {
		return nil, err
	}
	if err := s.limit(ctx, ImageCountTotal, 1); err != nil {
		return nil, err
	}
	if err := s.catalog.Create(ctx, im); err != nil {
		if errors.Is(err, ErrExists) {
			return nil, refuse(ErrExists, "Image ID %s already exists!", im.ID)
		}
		return nil, fmt.Errorf("create image %s: %w", im.ID, err)
	}
	s.notify(ctx, Event{Type: "image.create", Image: im})
	return s.shown(c, im), nil
}

func (s *Images) newImage(c Caller, d Draft) *Image {
	now := s.now()
	im := &Image{
		ID:              d.ID,
		Name:            d.Name,
		DiskFormat:      d.DiskFormat,
		ContainerFormat: d.ContainerFormat,
		Status:          Queued,
		Visibility:      d.Visibility,
		MinDisk:         d.MinDisk,
		MinRAM:          d.MinRAM,
		Owner:           d.Owner,
		Protected:       d.Protected,
		Hidden:          d.Hidden,
		CreatedAt:       now,
		UpdatedAt:       now,
		Properties:      d.Properties,
		Tags:            set(d.Tags),
		Size:            d.Size,
		VirtualSize:     d.VirtualSize,
		Checksum:        d.Checksum,
	}
	if d.Empty {
		im.Status = Active
	}
	if im.ID == "" {
		im.ID = s.o.NewID()
	}
	if im.Visibility == "" {
		im.Visibility = Shared
	}
	if im.Owner == nil && c.ProjectID != "" {
		im.Owner = &c.ProjectID
	}
	if d.Ownerless {
		im.Owner = nil
	}
	return im.Clone()
}

func (s *Images) allowCreate(c Caller, im *Image) error {
	if !s.o.Policy.Allows(c, AddImage, Target{Image: im}) {
		if c.Anonymous {
			return remark(ErrForbidden, "Read-only access")
		}
		if mine := im.Owner == nil && c.ProjectID == ""; !mine && !owns(c, im) {
			owner := "None"
			if im.Owner != nil {
				owner = *im.Owner
			}
			return remark(ErrForbidden, "You are not permitted to create images owned by '%s'", owner)
		}
		return denied(AddImage)
	}
	return s.allowVisibility(c, im)
}

// allowVisibility asks the rule that guards the visibility that im has.
func (s *Images) allowVisibility(c Caller, im *Image) error {
	switch im.Visibility {
	case Public:
		return s.allow(c, PublicizeImage, Target{Image: im})
	case Community:
		return s.allow(c, CommunitizeImage, Target{Image: im})
	}
	return nil
}

// reserved says whether a property of that name belongs to the service.
func reserved(name string) bool {
	switch name {
	case "location", "locations", "deleted", "deleted_at":
		return true
	}
	return strings.HasPrefix(name, "os_glance")
}

const (
	maxName = 255
	maxInt  = 1<<31 - 1 // what the catalog's integer columns hold
)

// check reports what of after cannot be kept: values that the catalog has no
// room for, and more properties or tags than the quota allows. More than the
// quota that was there before stays.
func (s *Images) check(after, before *Image) error {
	for _, n := range []struct {
		name  string
		value int64
	}{{"min_disk", after.MinDisk}, {"min_ram", after.MinRAM}} {
		if n.value < 0 {
			return refuse(ErrInvalid, "Invalid value '%d' for parameter '%s': Cannot be a negative value", n.value, n.name)
		}
		if n.value > maxInt {
			return refuse(ErrInvalid, "'%s' value out of range, must not exceed %d.", n.name, int64(maxInt))
		}
	}
	if err := checkText(after); err != nil {
		return err
	}
	if err := s.checkFormats(after, before); err != nil {
		return err
	}
	if err := quota("properties", own(before.Properties), own(after.Properties), s.o.PropertyQuota); err != nil {
		return err
	}
	return quota("tags", len(before.Tags), len(after.Tags), s.o.TagQuota)
}

// own counts the properties that are not the service's.
func own(properties map[string]string) int {
	n := 0
	for name := range properties {
		if !reserved(name) {
			n++
		}
	}
	return n
}

func quota(what string, before, after, limit int) error {
	if limit < 0 || after <= limit || after <= before {
		return nil
	}
	return refuse(ErrTooLarge, "The limit has been exceeded on the number of allowed image %s. Attempted: %d, Maximum: %d", what, after, limit)
}

// checkFormats looks at what changed only: an image may have a format that
// was allowed when it was made.
func (s *Images) checkFormats(after, before *Image) error {
	disk, container := after.DiskFormat, after.ContainerFormat
	if disk != nil && !equal(disk, before.DiskFormat) && !slices.Contains(s.o.DiskFormats, *disk) {
		return refuse(ErrInvalid, "Invalid disk format '%s' for image.", *disk)
	}
	if container != nil && !equal(container, before.ContainerFormat) && !slices.Contains(s.o.ContainerFormats, *container) {
		return refuse(ErrInvalid, "Invalid container format '%s' for image.", *container)
	}
	return nil
}

// checkText refuses text that the catalog's tables cannot hold: they are
// older than four-byte UTF-8.
func checkText(im *Image) error {
	for _, t := range []struct {
		name  string
		value *string
	}{{"Name", im.Name}, {"Owner", im.Owner}} {
		if t.value == nil {
			continue
		}
		if !threeByte(*t.value) {
			return fourByte(t.name)
		}
		if len([]rune(*t.value)) > maxName {
			return refuse(ErrInvalid, "%s should not be greater than %d characters.", t.name, maxName)
		}
	}
	for name, value := range im.Properties {
		if len([]rune(name)) > maxName {
			return refuse(ErrInvalid, "Custom property should not be greater than 255 characters.")
		}
		if !threeByte(name) {
			return refuse(ErrInvalid, "Property names can't contain 4 byte unicode.")
		}
		if !threeByte(value) {
			return fourByte(capitalize(name))
		}
	}
	for _, tag := range im.Tags {
		if !threeByte(tag) {
			return refuse(ErrInvalid, "Param values can't contain 4 byte unicode.")
		}
		if len([]rune(tag)) > maxName {
			return refuse(ErrInvalid, "Tag should not be greater than %d characters.", maxName)
		}
	}
	return nil
}

func fourByte(name string) error {
	return refuse(ErrInvalid, "%s can't contain 4 byte unicode characters.", name)
}

func threeByte(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0xffff })
}

func capitalize(s string) string {
	r := []rune(strings.ToLower(s))
	if len(r) > 0 {
		r[0] = []rune(strings.ToUpper(string(r[0])))[0]
	}
	return string(r)
}

// set returns the different strings of list, sorted.
func set(list []string) []string {
	sorted := slices.Sorted(slices.Values(list))
	return slices.Compact(sorted)
}
