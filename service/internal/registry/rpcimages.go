package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/v1wire"
)

// A row is an image as the original's database returns it.
type row struct {
	Size            *int64            `json:"size"`
	Protected       bool              `json:"protected"`
	DeletedAt       *moment           `json:"deleted_at"`
	VirtualSize     *int64            `json:"virtual_size"`
	Status          glance.Status     `json:"status"`
	Deleted         bool              `json:"deleted"`
	Visibility      glance.Visibility `json:"visibility"`
	ID              glance.ID         `json:"id"`
	Checksum        *string           `json:"checksum"`
	CreatedAt       moment            `json:"created_at"`
	Name            *string           `json:"name"`
	MinDisk         int64             `json:"min_disk"`
	DiskFormat      *string           `json:"disk_format"`
	MinRAM          int64             `json:"min_ram"`
	UpdatedAt       moment            `json:"updated_at"`
	ContainerFormat *string           `json:"container_format"`
	Owner           *string           `json:"owner"`
	Locations       []v1wire.Location `json:"locations"`
	Properties      []property        `json:"properties"`
	Hidden          bool              `json:"os_hidden"`
	HashAlgo        *string           `json:"os_hash_algo"`
	HashValue       *string           `json:"os_hash_value"`
	Tags            []string          `json:"tags,omitempty"`
}

// A property is a row of its own.
type property struct {
	Name      string    `json:"name"`
	Value     string    `json:"value"`
	ImageID   glance.ID `json:"image_id"`
	Deleted   bool      `json:"deleted"`
	CreatedAt moment    `json:"created_at"`
	UpdatedAt moment    `json:"updated_at"`
	DeletedAt *moment   `json:"deleted_at"`
}

func rowOf(im *glance.Image) row {
	im = unmarked(im)
	record := v1wire.RecordOf(im)
	r := row{
		Size: im.Size, Protected: im.Protected, DeletedAt: momentOf(im.DeletedAt), VirtualSize: im.VirtualSize,
		Status: im.Status, Deleted: v1wire.Gone(im.Status), Visibility: im.Visibility, ID: im.ID, Checksum: im.Checksum,
		CreatedAt: moment(im.CreatedAt), Name: im.Name, MinDisk: im.MinDisk, DiskFormat: im.DiskFormat, MinRAM: im.MinRAM,
		UpdatedAt: moment(im.UpdatedAt), ContainerFormat: im.ContainerFormat, Owner: im.Owner, Locations: record.LocationData,
		Properties: []property{}, Hidden: im.Hidden, HashAlgo: im.HashAlgo, HashValue: im.HashValue,
	}
	for name, value := range im.Properties {
		r.Properties = append(r.Properties, propertyOf(im, name, value))
	}
	slices.SortFunc(r.Properties, func(a, b property) int { return strings.Compare(a.Name, b.Name) })
	return r
}

func propertyOf(im *glance.Image, name, value string) property {
	return property{
		Name: name, Value: value, ImageID: im.ID, Deleted: v1wire.Gone(im.Status),
		CreatedAt: moment(im.CreatedAt), UpdatedAt: moment(im.UpdatedAt), DeletedAt: momentOf(im.DeletedAt),
	}
}

// reached tells in the words of the original why an image was not reached.
func reached(id string, err error) error {
	switch {
	case errors.Is(err, errMissing):
		return raise("ImageNotFound", "No image found with ID %s", id)
	case errors.Is(err, errInvisible):
		return raise("Forbidden", "Forbidding request, image %s not visible", id)
	case errors.Is(err, errNotYours):
		return raise("ForbiddenPublicImage", "You are not authenticated.")
	}
	return err
}

func (h *Handler) rpcCreate(ctx context.Context, args values) (any, error) {
	v, err := args.object("values")
	if err != nil {
		return nil, err
	}
	if !v.has("status") {
		return nil, raise("Invalid", "Image status is required.")
	}
	im, err := h.add(ctx, v)
	if errors.Is(err, glance.ErrExists) {
		return nil, raise("Duplicate", "Image ID %s already exists!", v.text("id"))
	}
	if err != nil {
		return nil, err
	}
	return rowOf(im), nil
}

func (h *Handler) rpcUpdate(ctx context.Context, args values) (any, error) {
	id, err := args.needed("image_id")
	if err != nil {
		return nil, err
	}
	v, err := args.object("values")
	if err != nil {
		return nil, err
	}
	c := change{values: v, purge: args.truth("purge_props"), from: glance.Status(args.text("from_state"))}
	im, err := h.change(ctx, id, c)
	if errors.Is(err, glance.ErrConflict) {
		return nil, h.otherStatus(ctx, id, c)
	}
	if err != nil {
		return nil, reached(id, err)
	}
	return rowOf(im), nil
}

// otherStatus tells that an image did not have the status that a change was
// meant for.
func (h *Handler) otherStatus(ctx context.Context, id string, c change) error {
	im, err := h.mutable(ctx, id)
	if err != nil {
		return reached(id, err)
	}
	return raise("Conflict", "cannot transition from %s to %s in update (wanted from_state=%s)", im.Status, c.values.text("status"), c.from)
}

func (h *Handler) rpcDestroy(ctx context.Context, args values) (any, error) {
	id, err := args.needed("image_id")
	if err != nil {
		return nil, err
	}
	im, err := h.destroy(ctx, id)
	if err != nil {
		return nil, reached(id, err)
	}
	r := rowOf(im)
	r.Deleted = true
	return r, nil
}

func (h *Handler) rpcGet(ctx context.Context, args values) (any, error) {
	id, err := args.needed("image_id")
	if err != nil {
		return nil, err
	}
	im, err := h.find(ctx, id)
	if errors.Is(err, errMissing) && args.truth("force_show_deleted") {
		im, err = h.deletedImage(ctx, id)
	}
	if err != nil {
		return nil, reached(id, err)
	}
	return rowOf(im), nil
}

// deletedImage returns an image of the caller's that may be deleted.
func (h *Handler) deletedImage(ctx context.Context, name string) (*glance.Image, error) {
	id, err := glance.ParseID(name)
	if err != nil {
		return nil, errMissing
	}
	im, err := h.catalog.Get(ctx, id, true)
	if errors.Is(err, glance.ErrNotFound) {
		return nil, errMissing
	}
	if err == nil && !owns(glance.CallerFrom(ctx), im) {
		return nil, errMissing
	}
	return im, err
}

func (h *Handler) rpcVisible(ctx context.Context, args values) (any, error) {
	image, err := args.object("image")
	if err != nil {
		return nil, err
	}
	_, err = h.find(ctx, image.text("id"))
	if errors.Is(err, errMissing) || errors.Is(err, errInvisible) {
		return false, nil
	}
	return err == nil, err
}

func (h *Handler) rpcGetAll(ctx context.Context, args values) (any, error) {
	q, err := h.rpcQuery(ctx, args)
	if err != nil {
		return nil, err
	}
	images, err := h.catalog.List(ctx, q)
	if errors.Is(err, glance.ErrNotFound) && q.Marker != "" {
		return nil, raise("ImageNotFound", "No image found with ID %s", q.Marker)
	}
	if err != nil {
		return nil, err
	}
	rows := make([]row, len(images))
	for i, im := range images {
		rows[i] = rowOf(im)
		if args.truth("return_tag") {
			rows[i].Tags = im.Tags
		}
	}
	return rows, nil
}

// rpcQuery reads what a list is asked for.
func (h *Handler) rpcQuery(ctx context.Context, args values) (glance.Query, error) {
	c := glance.CallerFrom(ctx)
	q := glance.Query{
		ProjectID: c.ProjectID, Admin: c.Admin && !args.truth("admin_as_user"), Limit: -1,
		MemberStatus: glance.MemberStatus(args.text("member_status")), AnyMember: args.text("member_status") == "all",
		Marker: glance.ID(args.text("marker")),
	}
	q.AllVisible = q.Admin
	if raw, ok := args["limit"]; ok {
		n, null, err := integer("limit", raw, 1<<31-1)
		if err != nil {
			return q, err
		}
		if !null {
			q.Limit = int(n)
		}
	}
	if raw, ok := args["is_public"]; ok && string(raw) != "null" {
		if truth(raw) {
			q.Visibility = glance.Public
		} else {
			q.NotPublic = true
		}
	}
	if err := rpcSort(&q, args); err != nil {
		return q, err
	}
	filters, err := args.object("filters")
	if err != nil {
		return q, nil // there are none
	}
	return q, rpcFilters(&q, filters)
}

func rpcSort(q *glance.Query, args values) error {
	keys, dirs := words(args["sort_key"]), words(args["sort_dir"])
	for i, key := range keys {
		dir := "desc"
		if len(dirs) > 0 {
			dir = dirs[min(i, len(dirs)-1)]
		}
		if dir != "asc" && dir != "desc" {
			return raise("Invalid", "Unknown sort direction, must be 'desc' or 'asc'")
		}
		q.Sort = append(q.Sort, glance.SortKey{Attribute: key, Descending: dir == "desc"})
	}
	return nil
}

// words reads a list of words, or one.
func words(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	if s, null := plain(raw); !null && len(raw) > 0 {
		return []string{s}
	}
	return nil
}

// rpcFilters reads what images are filtered by.
func rpcFilters(q *glance.Query, filters values) error {
	for name, raw := range filters {
		value, null := plain(raw)
		switch name {
		case "properties":
			var props map[string]json.RawMessage
			if json.Unmarshal(raw, &props) != nil {
				return raise("Invalid", "Properties are no object.")
			}
			q.Properties = make(map[string]string)
			for k, v := range props {
				q.Properties[k], _ = plain(v)
			}
		case "tags":
			q.Tags = words(raw)
		case "visibility":
			if q.Visibility = glance.Visibility(value); value == "all" {
				q.Visibility, q.AllVisible = "", true
			}
		case "deleted":
			if q.Deleted = truth(raw); q.Deleted {
				q.Statuses = []glance.Status{glance.Deleted, glance.PendingDelete}
			}
		case "changes-since":
			t, ok := filters.time(name)
			if !ok {
				return raise("Invalid", "Unrecognized changes-since value")
			}
			q.Filters = append(q.Filters, glance.Filter{Attribute: "updated_at", Op: "gt", Values: []string{t.Format(time.RFC3339Nano)}})
			q.Deleted, q.Statuses = true, statuses
		case "is_public":
			if q.Visibility, q.NotPublic = glance.Public, false; !truth(raw) {
				q.Visibility, q.NotPublic = "", true
			}
		case "os_hidden":
			hidden := truth(raw)
			q.Hidden = &hidden
		case "protected":
			q.Filters = append(q.Filters, glance.Filter{Attribute: name, Op: "eq", Values: []string{fmt.Sprint(truth(raw))}})
		default:
			if null {
				continue
			}
			f, ok := rpcFilter(name, value)
			if !ok {
				if q.Properties == nil {
					q.Properties = make(map[string]string)
				}
				q.Properties[name] = value
				continue
			}
			q.Filters = append(q.Filters, f)
		}
	}
	return nil
}

// attributes are what can be compared, beside numbers with _min and _max.
var attributes = []string{
	"id", "name", "status", "container_format", "disk_format", "size", "min_ram", "min_disk", "owner", "checksum",
	"os_hash_algo", "os_hash_value", "virtual_size", "created_at", "updated_at",
}

// rpcFilter reads one comparison: with a value, with one of several, of a
// number with a bound or of a time.
func rpcFilter(name, value string) (glance.Filter, bool) {
	for suffix, op := range map[string]string{"_min": "gte", "_max": "lte"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && slices.Contains(attributes, base) {
			return glance.Filter{Attribute: base, Op: op, Values: []string{value}}, true
		}
	}
	if !slices.Contains(attributes, name) {
		return glance.Filter{}, false
	}
	op, rest, prefixed := strings.Cut(value, ":")
	switch {
	case prefixed && op == "in":
		return glance.Filter{Attribute: name, Op: op, Values: strings.Split(rest, ",")}, true
	case prefixed && slices.Contains([]string{"eq", "neq", "lt", "lte", "gt", "gte"}, op):
		value = rest
	default:
		op = "eq"
	}
	if t, ok := v1wire.Time(value); ok && strings.HasSuffix(name, "_at") {
		value = t.Format(time.RFC3339Nano)
	}
	return glance.Filter{Attribute: name, Op: op, Values: []string{value}}, true
}

// edit changes an image that the caller may change, and returns it as it is
// then.
func (h *Handler) edit(ctx context.Context, id string, f func(im *glance.Image) error) (*glance.Image, error) {
	for left := attempts; ; left-- {
		before, err := h.mutable(ctx, id)
		if err == nil && v1wire.Gone(before.Status) {
			err = errMissing
		}
		if err != nil {
			return nil, reached(id, err)
		}
		after := before.Clone()
		if err := f(after); err != nil {
			return nil, err
		}
		err = h.catalog.Update(ctx, before, after)
		if errors.Is(err, glance.ErrConflict) && left > 0 {
			continue
		}
		if errors.Is(err, glance.ErrNotFound) {
			return nil, reached(id, errMissing)
		}
		if err != nil {
			return nil, err
		}
		return h.catalog.Get(ctx, before.ID, true)
	}
}

func (h *Handler) rpcPropertyCreate(ctx context.Context, args values) (any, error) {
	v, err := args.object("values")
	if err != nil {
		return nil, err
	}
	name, err := v.needed("name")
	if err != nil {
		return nil, err
	}
	im, err := h.edit(ctx, v.text("image_id"), func(im *glance.Image) error {
		if im.Properties == nil {
			im.Properties = make(map[string]string)
		}
		setProperty(im, name, v["value"])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return propertyOf(im, name, im.Properties[name]), nil
}

func (h *Handler) rpcPropertyDelete(ctx context.Context, args values) (any, error) {
	name := args.text("prop_ref")
	var old string
	im, err := h.edit(ctx, args.text("image_ref"), func(im *glance.Image) error {
		value, ok := im.Properties[name]
		if !ok {
			return raise("NotFound", "No property found with name %s", name)
		}
		old = value
		delete(im.Properties, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	p := propertyOf(im, name, old)
	p.Deleted, p.DeletedAt = true, momentOf(&im.UpdatedAt)
	return p, nil
}
