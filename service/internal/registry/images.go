package registry

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
	"glancectl/service/internal/v1wire"
)

// The kinds of failure to reach an image: another one's public image can at
// least be seen.
var (
	errMissing   = errors.New("no such image")
	errInvisible = errors.New("image of others")
	errNotYours  = errors.New("public image of others")
)

// visible reports whether the caller may see im. The rules are the registry's
// own, fixed ones; policies belong to the API.
func (h *Handler) visible(ctx context.Context, c glance.Caller, im *glance.Image) (bool, error) {
	switch {
	case c.Admin, im.Owner == nil, im.Visibility == glance.Public, im.Visibility == glance.Community:
		return true, nil
	case c.ProjectID == "":
		return false, nil
	case owns(c, im):
		return true, nil
	case im.Visibility != glance.Shared:
		return false, nil
	}
	members, err := h.catalog.Members(ctx, im.ID)
	return slices.ContainsFunc(members, func(m glance.Member) bool { return m.ProjectID == c.ProjectID }), err
}

func owns(c glance.Caller, im *glance.Image) bool {
	return im.Owner != nil && c.ProjectID != "" && *im.Owner == c.ProjectID
}

// find returns an image that the caller sees; an admin sees deleted ones as
// well. The error is errMissing or errInvisible.
func (h *Handler) find(ctx context.Context, name string) (*glance.Image, error) {
	id, err := glance.ParseID(name)
	if err != nil {
		return nil, errMissing
	}
	c := glance.CallerFrom(ctx)
	im, err := h.catalog.Get(ctx, id, c.Admin)
	if errors.Is(err, glance.ErrNotFound) {
		return nil, errMissing
	}
	if err != nil {
		return nil, err
	}
	switch visible, err := h.visible(ctx, c, im); {
	case err != nil:
		return nil, err
	case !visible:
		return nil, errInvisible
	}
	return im, nil
}

// show answers one image.
func (h *Handler) show(ctx context.Context, name string) (any, error) {
	im, err := h.find(ctx, name)
	if errors.Is(err, errMissing) || errors.Is(err, errInvisible) {
		return nil, notFound() // not let on that it exists
	}
	if err != nil {
		return nil, err
	}
	return one(v1wire.RecordOf(unmarked(im))), nil
}

// create adds an image.
func (h *Handler) create(r *http.Request) (any, error) {
	_, v, err := readImage(r)
	if err != nil {
		return nil, err
	}
	im, err := h.add(r.Context(), v)
	if err != nil {
		return nil, createFault(err, v)
	}
	return one(v1wire.RecordOf(im)), nil
}

func createFault(err error, v values) error {
	refused, ok := errors.AsType[*invalid](err)
	switch {
	case errors.Is(err, glance.ErrExists):
		return v1wire.Detailed(http.StatusConflict, "Image with identifier %s already exists!", v.text("id"))
	case ok && refused.field == "id":
		return bad("%s", refused.text)
	case ok:
		return v1wire.Detailed(http.StatusBadRequest, "Failed to add image metadata. Got error: %s", refused.text)
	case errors.Is(err, glance.ErrInvalid):
		return v1wire.Detailed(http.StatusBadRequest, "Failed to add image metadata. Got error: Invalid content.")
	}
	return err
}

// add makes an image of values, and belongs to the caller unless that is an
// admin who says otherwise.
func (h *Handler) add(ctx context.Context, v values) (*glance.Image, error) {
	c := glance.CallerFrom(ctx)
	now := h.o.Now().UTC().Truncate(time.Second)
	im := &glance.Image{
		Status: glance.Active, Visibility: glance.Shared, CreatedAt: now, UpdatedAt: now,
		Properties: map[string]string{},
	}
	if err := v.apply(im); err != nil {
		return nil, err
	}
	if !c.Admin || !v.has("owner") {
		im.Owner = nil
		if c.ProjectID != "" {
			im.Owner = &c.ProjectID
		}
	}
	if im.ID = glance.ID(v.text("id")); im.ID == "" {
		im.ID = h.o.NewID()
	} else if _, err := glance.ParseID(string(im.ID)); err != nil {
		return nil, &invalid{"id", "Invalid image id format"}
	}
	if err := h.catalog.Create(ctx, im); err != nil {
		return nil, err
	}
	return h.catalog.Get(ctx, im.ID, true)
}

// update changes an image.
func (h *Handler) update(r *http.Request, name string) (any, error) {
	body, v, err := readImage(r)
	if err != nil {
		return nil, err
	}
	if !glance.CallerFrom(r.Context()).Admin {
		delete(v, "owner")
	}
	c := change{values: v, purge: r.Header.Get("X-Glance-Registry-Purge-Props") == "true"}
	if s := values(body).text("from_state"); s != "" {
		c.from = glance.Status(s)
	}
	im, err := h.change(r.Context(), name, c)
	refused, ok := errors.AsType[*invalid](err)
	switch {
	case ok:
		return nil, v1wire.Detailed(http.StatusBadRequest, "Failed to update image metadata. Got error: %s", refused.text)
	case errors.Is(err, errMissing), errors.Is(err, errInvisible):
		return nil, &fault.Fault{Code: http.StatusNotFound, Plain: "Image not found"}
	case errors.Is(err, errNotYours):
		return nil, &fault.Fault{Code: http.StatusForbidden}
	case errors.Is(err, glance.ErrConflict):
		return nil, &fault.Fault{Code: http.StatusConflict, Plain: "Image operation conflicts"}
	case err != nil:
		return nil, err
	}
	return one(v1wire.RecordOf(im)), nil
}

// A change is what becomes of an image.
type change struct {
	values values
	purge  bool          // properties that are not among the values go
	from   glance.Status // the status that it must have; empty means any
}

// The API deletes an image in two steps: it sets a status that says so, and
// asks for the deletion when it has removed the data. In between the image is
// gone for all others and has this property, which says what it was told to
// become. If the second step never comes the scrubber removes the data.
const deleting = "os_glance_registry_delete"

// unmarked returns im without the mark of a deletion under way.
func unmarked(im *glance.Image) *glance.Image {
	if _, marked := im.Properties[deleting]; !marked {
		return im
	}
	plain := im.Clone()
	delete(plain.Properties, deleting)
	return plain
}

// attempts is how often a change is tried that does not say what the status
// has to be, and meets one that changes it.
const attempts = 4

// change makes a change, if the caller may, and returns the image as it is
// then.
func (h *Handler) change(ctx context.Context, name string, c change) (*glance.Image, error) {
	for left := attempts; ; left-- {
		before, err := h.mutable(ctx, name)
		if err != nil {
			return nil, err
		}
		if c.from != "" && before.Status != c.from {
			return nil, glance.ErrConflict
		}
		after := before.Clone()
		if c.purge && c.values.has("properties") {
			maps.DeleteFunc(after.Properties, func(name, _ string) bool { return name != glance.StageHost })
		}
		if err := c.values.apply(after); err != nil {
			return nil, err
		}
		shown := after.Clone()
		h.end(before, after)
		err = h.catalog.Update(ctx, before, after)
		if errors.Is(err, glance.ErrConflict) && c.from == "" && left > 0 {
			continue
		}
		switch {
		case errors.Is(err, glance.ErrNotFound):
			return nil, errMissing
		case errors.Is(err, glance.ErrInvalid):
			return nil, &invalid{"", "Invalid content."}
		case err != nil:
			return nil, err
		case v1wire.Gone(after.Status):
			shown.UpdatedAt = after.UpdatedAt
			return unmarked(shown), nil // where the data is that is to be removed
		}
		return h.catalog.Get(ctx, before.ID, true)
	}
}

// end gives after the status that a deletion under way has, or takes the mark
// away if the deletion was given up.
func (h *Handler) end(before, after *glance.Image) {
	switch {
	case v1wire.Gone(after.Status) && !v1wire.Gone(before.Status):
		after.Properties[deleting] = string(after.Status)
		after.Status = glance.PendingDelete
	case !v1wire.Gone(after.Status):
		delete(after.Properties, deleting)
	}
}

// mutable returns an image that the caller may change: its own, and for an
// admin any.
func (h *Handler) mutable(ctx context.Context, name string) (*glance.Image, error) {
	id, err := glance.ParseID(name)
	if err != nil {
		return nil, errMissing
	}
	c := glance.CallerFrom(ctx)
	im, err := h.catalog.Get(ctx, id, true)
	if errors.Is(err, glance.ErrNotFound) {
		return nil, errMissing
	}
	if err != nil {
		return nil, err
	}
	_, marked := im.Properties[deleting]
	switch {
	case c.Admin:
		return im, nil
	case v1wire.Gone(im.Status) && !(marked && im.Status == glance.PendingDelete && owns(c, im)):
		return nil, errMissing
	case owns(c, im):
		return im, nil
	case im.Visibility == glance.Public:
		return nil, errNotYours
	}
	return nil, errInvisible
}

// remove deletes an image. Data that is still there is left to the scrubber.
func (h *Handler) remove(ctx context.Context, name string) (any, error) {
	im, err := h.destroy(ctx, name)
	switch {
	case errors.Is(err, errNotYours):
		return nil, &fault.Fault{Code: http.StatusForbidden}
	case errors.Is(err, errMissing), errors.Is(err, errInvisible):
		return nil, notFound()
	case err != nil:
		return nil, err
	}
	r := v1wire.RecordOf(im)
	r.Deleted, r.IsPublic = true, nil
	r.Properties, r.LocationData, r.Location = map[string]string{}, []v1wire.Location{}, nil
	return one(r), nil
}

// destroy deletes an image and returns it with the status that it had.
func (h *Handler) destroy(ctx context.Context, name string) (*glance.Image, error) {
	for left := attempts; ; left-- {
		before, err := h.mutable(ctx, name)
		if err != nil {
			return nil, err
		}
		mark, marked := before.Properties[deleting]
		if v1wire.Gone(before.Status) && !(marked && before.Status == glance.PendingDelete) {
			return nil, errMissing
		}
		after := before.Clone()
		after.Status = glance.Deleted
		data := slices.ContainsFunc(before.Locations, func(l glance.Location) bool { return l.Status == glance.Active })
		if mark == string(glance.PendingDelete) || !marked && data {
			after.Status = glance.PendingDelete
		}
		if after.Status != before.Status {
			err = h.catalog.Update(ctx, before, after)
		}
		if errors.Is(err, glance.ErrConflict) && left > 0 {
			continue
		}
		if errors.Is(err, glance.ErrNotFound) {
			return nil, errMissing
		}
		if err != nil {
			return nil, err
		}
		after.Status = before.Status
		if marked {
			after.Status = glance.Status(mark)
		}
		if after.DeletedAt == nil {
			after.DeletedAt = &after.UpdatedAt
		}
		return after, nil
	}
}

// readImage returns the body of a request, and the image in it.
func readImage(r *http.Request) (map[string]json.RawMessage, values, error) {
	body, err := readObject(r)
	if err != nil {
		return nil, nil, err
	}
	var v values
	if json.Unmarshal(body["image"], &v) != nil || v == nil {
		return nil, nil, bad("Malformed JSON in request body.")
	}
	return body, v, nil
}
