package apiv1

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"glancectl/service/glance"
	"glancectl/service/internal/v1wire"
)

const (
	metaPrefix     = "x-image-meta-"
	propertyPrefix = "x-image-meta-property-"
)

// fields are what a header can say about an image.
var fields = []string{
	"location", "size", "is_public", "disk_format", "container_format", "name", "status", "copy_from", "uri",
	"checksum", "created_at", "updated_at", "deleted_at", "min_ram", "min_disk", "owner", "store", "id",
	"protected", "deleted", "virtual_size",
}

// A meta is what the headers of a request say about an image. A field that is
// there and empty is a null; one that is not there is nil in what reads it.
type meta struct {
	text        map[string]*string // what is neither number nor truth
	size        *int64
	virtualSize *int64
	minDisk     *int64
	minRAM      *int64
	isPublic    *bool
	protected   *bool
	properties  map[string]string
}

// get returns a text, nil for a null and for none.
func (m *meta) get(field string) *string { return m.text[field] }

// value returns a text, empty for a null and for none.
func (m *meta) value(field string) string {
	if v := m.text[field]; v != nil {
		return *v
	}
	return ""
}

func (m *meta) has(field string) bool {
	_, ok := m.text[field]
	return ok
}

// readMeta reads the headers. What they say about formats is checked by the
// caller.
func readMeta(h http.Header) (*meta, error) {
	m := &meta{text: make(map[string]*string), properties: make(map[string]string)}
	for _, name := range sorted(h) {
		key, value := strings.ToLower(name), h.Get(name)
		if property, ok := strings.CutPrefix(key, propertyPrefix); ok {
			m.properties[strings.ReplaceAll(property, "-", "_")] = value
			continue
		}
		field, ok := strings.CutPrefix(key, metaPrefix)
		if !ok {
			continue
		}
		field = strings.ReplaceAll(field, "-", "_")
		if !slices.Contains(fields, field) {
			return nil, v1wire.Detailed(http.StatusBadRequest, "Bad header: %s", key)
		}
		if err := m.set(field, value); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// sorted are the names of headers, in an order.
func sorted(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (m *meta) set(field, value string) error {
	numbers := map[string]**int64{"size": &m.size, "virtual_size": &m.virtualSize, "min_disk": &m.minDisk, "min_ram": &m.minRAM}
	truths := map[string]**bool{"is_public": &m.isPublic, "protected": &m.protected, "deleted": new(*bool)}
	switch {
	case field == "virtual_size" && (value == "None" || value == ""):
		return nil
	case numbers[field] != nil:
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil {
			return invalid(field, value, fmt.Sprintf("Cannot convert image %s '%s' to an integer.", field, value))
		}
		if n < 0 {
			return invalid(field, value, "Cannot be a negative value.")
		}
		*numbers[field] = &n
	case truths[field] != nil:
		b := v1wire.Bool(value)
		*truths[field] = &b
	case value == "":
		m.text[field] = nil
	default:
		m.text[field] = &value
	}
	return nil
}

func invalid(field, value, why string) error {
	return bad("Invalid value '%s' for parameter '%s': %s", value, field, why)
}

// amazon are the formats that stand in both places or in none.
var amazon = []string{"aki", "ari", "ami"}

// check refuses what no image can be. Of the Amazon formats one is enough: the
// other is the same.
func (a *API) check(m *meta) error {
	if m.has("disk_format") && !slices.Contains(a.images.DiskFormats(), m.value("disk_format")) {
		return bad("Invalid disk format '%s' for image.", orNone(m.get("disk_format")))
	}
	if m.has("container_format") && !slices.Contains(a.images.ContainerFormats(), m.value("container_format")) {
		return bad("Invalid container format '%s' for image.", orNone(m.get("container_format")))
	}
	disk, container := m.get("disk_format"), m.get("container_format")
	if slices.Contains(amazon, m.value("disk_format")) || slices.Contains(amazon, m.value("container_format")) {
		switch {
		case disk == nil:
			m.text["disk_format"] = container
		case container == nil:
			m.text["container_format"] = disk
		case *disk != *container:
			return bad("Invalid mix of disk and container formats. When setting a disk or container format to one of 'aki', 'ari', or 'ami', the container and disk formats must match.")
		}
	}
	if n := utf8.RuneCountInString(m.value("name")); n > 255 {
		return bad("Image name too long: %d", n)
	}
	if sum := m.value("checksum"); len(sum) > 32 {
		return bad("Invalid checksum '%s': can't exceed 32 characters", sum)
	}
	return nil
}

func orNone(s *string) string {
	if s == nil {
		return "None"
	}
	return *s
}

// announced returns the size of the data that the request says is coming, -1
// if it does not say.
func (m *meta) announced(r *http.Request) int64 {
	if r.ContentLength > 0 {
		return r.ContentLength
	}
	if m.size != nil {
		return *m.size
	}
	return -1
}

// read returns what a request says about an image, if it can be true.
func (a *API) read(r *http.Request) (*meta, error) {
	m, err := readMeta(r.Header)
	if err != nil {
		return nil, err
	}
	if err := a.check(m); err != nil {
		return nil, err
	}
	if m.announced(r) > a.o.MaxSize {
		return nil, bad("Denying attempt to upload image larger than %d bytes.", a.o.MaxSize)
	}
	return m, nil
}

// write sets the headers that describe an image. Where its data is is in none
// of them.
func write(h http.Header, im *glance.Image) {
	f := v1wire.FullOf(shown(im))
	texts := map[string]*string{
		"container_format": f.ContainerFormat, "owner": f.Owner, "name": f.Name, "checksum": f.Checksum, "disk_format": f.DiskFormat,
	}
	for field, value := range texts {
		if value != nil {
			h.Set(metaPrefix+field, *value)
		}
	}
	h.Set(metaPrefix+"id", string(f.ID))
	h.Set(metaPrefix+"status", string(f.Status))
	for field, value := range map[string]*int64{"size": f.Size, "virtual_size": f.VirtualSize, "min_ram": &f.MinRAM, "min_disk": &f.MinDisk} {
		if value != nil {
			h.Set(metaPrefix+field, strconv.FormatInt(*value, 10))
		}
	}
	for field, value := range map[string]bool{"deleted": f.Deleted, "is_public": *f.IsPublic, "protected": f.Protected} {
		h.Set(metaPrefix+field, map[bool]string{true: "True", false: "False"}[value])
	}
	h.Set(metaPrefix+"created_at", f.CreatedAt.String())
	h.Set(metaPrefix+"updated_at", f.UpdatedAt.String())
	if f.DeletedAt != nil {
		h.Set(metaPrefix+"deleted_at", f.DeletedAt.String())
	}
	for name, value := range f.Properties {
		h.Set(propertyPrefix+strings.ToLower(name), value)
	}
	etag(h, im)
}

// etag names the data of an image by its checksum.
func etag(h http.Header, im *glance.Image) {
	if im.Checksum != nil {
		h.Set("ETag", *im.Checksum)
	}
}

// internal says whether a property is the service's own.
func internal(name string) bool { return strings.HasPrefix(name, "os_glance") }

// shown returns im without what the service keeps in properties for itself.
func shown(im *glance.Image) *glance.Image {
	copied := im
	for name := range im.Properties {
		if !internal(name) {
			continue
		}
		if copied == im {
			copied = im.Clone()
		}
		delete(copied.Properties, name)
	}
	return copied
}
