package apiv1

import (
	"errors"
	"net/http"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
	"glancectl/service/internal/v1wire"
)

// create makes an image, with data or without.
func (a *API) create(w http.ResponseWriter, r *http.Request) error {
	m, err := a.read(r)
	if err != nil {
		return err
	}
	src, err := a.source(r, m)
	if err != nil {
		return err
	}
	defer src.close()
	if err := a.checkStore(m); err != nil {
		return err
	}
	d, err := draft(r, m)
	if err != nil {
		return err
	}
	size, err := a.open(r, src)
	if err != nil {
		return err
	}
	if src.copyURI != "" || src.location != "" {
		d.Empty = false
	}
	if *d.Size == 0 {
		d.Size = &size
	}
	im, err := a.images.Create(r.Context(), d)
	if errors.Is(err, glance.ErrExists) {
		return v1wire.Refused(http.StatusConflict, "An image with identifier %s already exists", d.ID)
	}
	if err != nil {
		return err
	}
	if im, err = a.bring(r, im, m, src); err != nil {
		return err
	}
	w.Header().Set("Location", base(r)+"/v1/images/"+string(im.ID))
	return reply(w, http.StatusCreated, im)
}

// base returns scheme and host as the client sees them. A handler in front
// that knows better sets r.URL.Scheme.
func base(r *http.Request) string {
	scheme := r.URL.Scheme
	switch {
	case scheme != "":
	case r.TLS != nil:
		scheme = "https"
	default:
		scheme = "http"
	}
	return scheme + "://" + r.Host
}

// draft is the new image that headers describe. An owner is for admins to
// choose; a status is for nobody.
func draft(r *http.Request, m *meta) (glance.Draft, error) {
	d := glance.Draft{
		Name:            m.get("name"),
		DiskFormat:      m.get("disk_format"),
		ContainerFormat: m.get("container_format"),
		MinDisk:         orZero(m.minDisk),
		MinRAM:          orZero(m.minRAM),
		Protected:       m.protected != nil && *m.protected,
		Properties:      m.properties,
		VirtualSize:     m.virtualSize,
		Checksum:        m.get("checksum"),
		Size:            new(int64),
		Empty:           m.size != nil && *m.size == 0 && !hasBody(r),
	}
	if m.size != nil {
		d.Size = m.size
	}
	if m.isPublic != nil && *m.isPublic {
		d.Visibility = glance.Public
	}
	if glance.CallerFrom(r.Context()).Admin && m.has("owner") {
		d.Owner, d.Ownerless = m.get("owner"), m.get("owner") == nil
	}
	if id := m.value("id"); id != "" {
		var err error
		if d.ID, err = glance.ParseID(id); err != nil {
			f := v1wire.Refused(http.StatusBadRequest, "Invalid image id format")
			return d, bad("Failed to reserve image. Got error: %s", f.Page())
		}
	}
	return d, nil
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

const purgeHeader = "X-Glance-Registry-Purge-Props"

// update changes an image, and may bring the data of one that is queued.
func (a *API) update(w http.ResponseWriter, r *http.Request) error {
	m, err := a.read(r)
	if err != nil {
		return err
	}
	im, err := a.find(r)
	if err != nil {
		return err
	}
	src, err := a.changeable(r, im, m)
	if err != nil {
		return err
	}
	defer src.close()
	purge := !src.body
	if v, ok := r.Header[purgeHeader]; ok && purge {
		purge = v1wire.Bool(v[0])
	}
	if im.Status == glance.Queued {
		if _, err := a.open(r, src); err != nil {
			return err
		}
	}
	if im, err = a.apply(r, im, m, purge); err != nil {
		return err
	}
	if im, err = a.bring(r, im, m, src); err != nil {
		return err
	}
	return reply(w, http.StatusOK, im)
}

// changeable refuses what cannot become of an image, and returns where its
// data is to come from.
func (a *API) changeable(r *http.Request, im *glance.Image, m *meta) (*source, error) {
	if v1wire.Gone(im.Status) {
		return nil, forbidden("Forbidden to update deleted image.")
	}
	if im.Status == glance.Active {
		if m.size != nil && (im.Size == nil || *m.size != *im.Size) {
			return nil, forbidden("Forbidden to modify 'size' of active image.")
		}
		if sum := m.get("checksum"); sum != nil && (im.Checksum == nil || *sum != *im.Checksum) {
			return nil, forbidden("Forbidden to modify 'checksum' of active image.")
		}
	}
	if s := m.get("status"); s != nil && *s != string(im.Status) {
		return nil, forbidden("Forbidden to modify 'status' of image.")
	}
	if id := m.get("id"); id != nil && *id != string(im.ID) {
		return nil, forbidden("Forbidden to modify 'id' of image.")
	}
	if hasBody(r) && im.Status != glance.Queued {
		return nil, v1wire.Detailed(http.StatusConflict, "Cannot upload to an unqueued image")
	}
	src, err := a.source(r, m)
	if err == nil && im.Status != glance.Queued && (src.location != "" || src.copyURI != "") {
		return nil, bad("Attempted to update Location field for an image not in queued status.")
	}
	return src, err
}

// apply makes the changes that headers describe and returns the image as it is
// then.
func (a *API) apply(r *http.Request, im *glance.Image, m *meta, purge bool) (*glance.Image, error) {
	ctx := r.Context()
	after, err := a.images.Update(ctx, im.ID, changes(r, im, m, purge))
	if err == nil && im.Status == glance.Queued && (m.size != nil || m.get("checksum") != nil) {
		if err = a.images.Expect(ctx, im.ID, m.size, m.get("checksum")); err == nil {
			after, err = a.images.Look(ctx, im.ID)
		}
	}
	refusal, refused := errors.AsType[*glance.Refusal](err)
	switch {
	case err == nil:
		return after, nil
	case errors.Is(err, glance.ErrForbidden) && refused && refusal.Rule == glance.ModifyImage && !mine(r, im):
		return nil, others("update", im)
	case errors.Is(err, glance.ErrNotFound):
		return nil, v1wire.Refused(http.StatusNotFound, "Failed to find image to update: Image not found")
	case errors.Is(err, glance.ErrConflict):
		return nil, &fault.Fault{Code: http.StatusConflict, Plain: "Image operation conflicts"}
	}
	return nil, err
}

// changes are what headers change of im. Even when there are none the caller
// is asked whether it may make some, by one that changes nothing.
func changes(r *http.Request, im *glance.Image, m *meta, purge bool) []glance.Change {
	list := []glance.Change{{Op: glance.Replace, Attribute: "min_ram", Value: im.MinRAM}}
	set := func(name string, value any) {
		list = append(list, glance.Change{Op: glance.Replace, Attribute: name, Value: value})
	}
	texts := map[string]*string{"name": im.Name, "disk_format": im.DiskFormat, "container_format": im.ContainerFormat}
	if glance.CallerFrom(r.Context()).Admin {
		texts["owner"] = im.Owner
	}
	for field, old := range texts {
		value := m.get(field)
		switch {
		case !m.has(field), value == nil && old == nil, value != nil && old != nil && *value == *old:
		case value == nil:
			set(field, nil)
		default:
			set(field, *value)
		}
	}
	if m.minDisk != nil {
		set("min_disk", *m.minDisk)
	}
	if m.minRAM != nil {
		set("min_ram", *m.minRAM)
	}
	if m.protected != nil {
		set("protected", *m.protected)
	}
	switch public := im.Visibility == glance.Public; {
	case m.isPublic == nil, *m.isPublic == public:
	case *m.isPublic:
		set("visibility", string(glance.Public))
	default:
		set("visibility", string(glance.Shared))
	}
	return append(list, propertyChanges(im, m, purge)...)
}

// propertyChanges set the properties that headers name; those that they do not
// name go, if they are to be purged.
func propertyChanges(im *glance.Image, m *meta, purge bool) []glance.Change {
	var list []glance.Change
	for name, value := range m.properties {
		if old, there := im.Properties[name]; !there || old != value {
			list = append(list, glance.Change{Op: glance.Add, Attribute: name, Value: value})
		}
	}
	for name := range im.Properties {
		if _, named := m.properties[name]; purge && !named && !internal(name) {
			list = append(list, glance.Change{Op: glance.Remove, Attribute: name})
		}
	}
	return list
}
