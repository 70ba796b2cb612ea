package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
	"glancectl/service/internal/v1wire"
)

// A memberRow is a member as the original's database returns it. Its number is
// for giving it back in other commands; here it is made of what the row is
// about.
type memberRow struct {
	ID        string              `json:"id"`
	ImageID   glance.ID           `json:"image_id"`
	Member    string              `json:"member"`
	CanShare  bool                `json:"can_share"`
	Status    glance.MemberStatus `json:"status"`
	CreatedAt moment              `json:"created_at"`
	UpdatedAt moment              `json:"updated_at"`
	Deleted   bool                `json:"deleted"`
}

func memberRowOf(m glance.Member) memberRow {
	return memberRow{
		ID: string(m.ImageID) + "/" + m.ProjectID, ImageID: m.ImageID, Member: m.ProjectID, CanShare: m.CanShare,
		Status: m.Status, CreatedAt: moment(m.CreatedAt), UpdatedAt: moment(m.UpdatedAt),
	}
}

// excepted turns a fault of the other API into what is raised here.
func excepted(err error) error {
	f, ok := errors.AsType[*fault.Fault](err)
	switch {
	case !ok:
		return err
	case f.Code == 404:
		return raise("NotFound", "%s", f.Error())
	case f.Code == 400:
		return raise("Invalid", "%s", f.Error())
	}
	return raise("Forbidden", "%s", f.Error())
}

// member returns the member that a number is about, and its image.
func (h *Handler) member(ctx context.Context, args values) (*glance.Image, glance.Member, error) {
	number, err := args.needed("memb_id")
	if err != nil {
		return nil, glance.Member{}, err
	}
	id, projectID, _ := strings.Cut(number, "/")
	im, err := h.find(ctx, id)
	if err != nil {
		return nil, glance.Member{}, reached(id, err)
	}
	list, err := h.catalog.Members(ctx, im.ID)
	if err != nil {
		return nil, glance.Member{}, err
	}
	at := slices.IndexFunc(list, func(m glance.Member) bool { return m.ProjectID == projectID })
	if at < 0 {
		return nil, glance.Member{}, raise("NotFound", "Member could not be found.")
	}
	return im, list[at], nil
}

func (h *Handler) rpcMemberCreate(ctx context.Context, args values) (any, error) {
	v, err := args.object("values")
	if err != nil {
		return nil, err
	}
	projectID, err := v.needed("member")
	if err != nil {
		return nil, err
	}
	im, list, err := h.sharable(ctx, v.text("image_id"))
	if err != nil {
		return nil, excepted(err)
	}
	if slices.ContainsFunc(list, func(m glance.Member) bool { return m.ProjectID == projectID }) {
		return nil, raise("Duplicate", "An object with the same identifier already exists.")
	}
	m := &glance.Member{ImageID: im.ID, ProjectID: projectID, CanShare: v.truth("can_share"), Status: glance.Pending}
	if s := v.text("status"); s != "" {
		m.Status = glance.MemberStatus(s)
	}
	if err := h.catalog.AddMember(ctx, m); err != nil {
		return nil, err
	}
	return memberRowOf(*m), nil
}

func (h *Handler) rpcMemberUpdate(ctx context.Context, args values) (any, error) {
	v, err := args.object("values")
	if err != nil {
		return nil, err
	}
	im, m, err := h.member(ctx, args)
	if err != nil {
		return nil, err
	}
	if c := glance.CallerFrom(ctx); v.has("can_share") || m.ProjectID != c.ProjectID {
		if _, _, err := h.sharable(ctx, string(im.ID)); err != nil {
			return nil, excepted(err)
		}
	}
	if v.has("can_share") {
		m.CanShare = v.truth("can_share")
	}
	if s := glance.MemberStatus(v.text("status")); s != "" {
		if s != glance.Pending && s != glance.Accepted && s != glance.Rejected {
			return nil, raise("Invalid", "Invalid member status '%s'.", s)
		}
		m.Status = s
	}
	if err := h.catalog.SetMember(ctx, &m); err != nil {
		return nil, err
	}
	return memberRowOf(m), nil
}

func (h *Handler) rpcMemberDelete(ctx context.Context, args values) (any, error) {
	im, m, err := h.member(ctx, args)
	if err != nil {
		return nil, err
	}
	if _, _, err := h.sharable(ctx, string(im.ID)); err != nil {
		return nil, excepted(err)
	}
	return nil, h.catalog.RemoveMember(ctx, im.ID, m.ProjectID)
}

func (h *Handler) rpcMemberFind(ctx context.Context, args values) (any, error) {
	list, err := h.found(ctx, args)
	if err != nil {
		return nil, err
	}
	rows := []memberRow{}
	for _, m := range list {
		if s := args.text("status"); s != "" && s != "all" && glance.MemberStatus(s) != m.Status {
			continue
		}
		if p := args.text("member"); p != "" && p != m.ProjectID {
			continue
		}
		rows = append(rows, memberRowOf(m))
	}
	return rows, nil
}

// found returns the members of an image, or the images of a member, that the
// caller may know of: all of its own images, and itself.
func (h *Handler) found(ctx context.Context, args values) ([]glance.Member, error) {
	c := glance.CallerFrom(ctx)
	id := args.text("image_id")
	if id == "" {
		return h.memberships(ctx, args.text("member"))
	}
	im, err := h.find(ctx, id)
	if errors.Is(err, errMissing) || errors.Is(err, errInvisible) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := h.catalog.Members(ctx, im.ID)
	if c.Admin || owns(c, im) {
		return list, err
	}
	return slices.DeleteFunc(list, func(m glance.Member) bool { return m.ProjectID != c.ProjectID }), err
}

func (h *Handler) rpcMemberCount(ctx context.Context, args values) (any, error) {
	id, err := args.needed("image_id")
	if err != nil {
		return nil, err
	}
	im, err := h.find(ctx, id)
	if err != nil {
		return nil, reached(id, err)
	}
	list, err := h.catalog.Members(ctx, im.ID)
	return len(list), err
}

// retag changes the tags of an image.
func (h *Handler) retag(ctx context.Context, args values, f func(tags []string) ([]string, error)) error {
	id, err := args.needed("image_id")
	if err != nil {
		return err
	}
	_, err = h.edit(ctx, id, func(im *glance.Image) error {
		tags, err := f(slices.Clone(im.Tags))
		slices.Sort(tags)
		im.Tags = slices.Compact(tags)
		return err
	})
	return err
}

func (h *Handler) rpcTagSetAll(ctx context.Context, args values) (any, error) {
	return nil, h.retag(ctx, args, func([]string) ([]string, error) { return words(args["tags"]), nil })
}

func (h *Handler) rpcTagCreate(ctx context.Context, args values) (any, error) {
	value, err := args.needed("value")
	if err != nil {
		return nil, err
	}
	return value, h.retag(ctx, args, func(tags []string) ([]string, error) { return append(tags, value), nil })
}

func (h *Handler) rpcTagDelete(ctx context.Context, args values) (any, error) {
	value := args.text("value")
	return nil, h.retag(ctx, args, func(tags []string) ([]string, error) {
		at := slices.Index(tags, value)
		if at < 0 {
			return nil, raise("NotFound", "An object with the specified identifier was not found.")
		}
		return slices.Delete(tags, at, at+1), nil
	})
}

func (h *Handler) rpcTagGetAll(ctx context.Context, args values) (any, error) {
	id, err := args.needed("image_id")
	if err != nil {
		return nil, err
	}
	im, err := h.find(ctx, id)
	if err != nil {
		return nil, reached(id, err)
	}
	return append([]string{}, im.Tags...), nil
}

func (h *Handler) rpcLocationAdd(ctx context.Context, args values) (any, error) {
	raw, ok := args["location"]
	if !ok {
		return nil, missingArgument("location")
	}
	added := &glance.Image{}
	if err := (values{}).places(added, json.RawMessage("["+string(raw)+"]")); err != nil {
		return nil, err
	}
	_, err := h.edit(ctx, args.text("image_id"), func(im *glance.Image) error {
		im.Locations = append(im.Locations, added.Locations...)
		return nil
	})
	return nil, err
}

// locationNumber is how locations are told apart.
func locationNumber(raw json.RawMessage) int64 {
	n, _, _ := integer("id", raw, 1<<62) // 0 is no location's
	return n
}

func (h *Handler) rpcLocationUpdate(ctx context.Context, args values) (any, error) {
	v, err := args.object("location")
	if err != nil {
		return nil, err
	}
	wanted := &glance.Image{}
	if err := v.places(wanted, json.RawMessage("["+string(args["location"])+"]")); err != nil {
		return nil, err
	}
	return nil, h.relocate(ctx, args.text("image_id"), locationNumber(v["id"]), func(l *glance.Location) bool {
		id := l.ID
		*l = wanted.Locations[0]
		l.ID = id
		return true
	})
}

func (h *Handler) rpcLocationDelete(ctx context.Context, args values) (any, error) {
	status := glance.Status(args.text("status"))
	if status != glance.Deleted && status != glance.PendingDelete {
		return nil, raise("Invalid", "The status of deleted image location can only be set to 'pending_delete' or 'deleted'")
	}
	return nil, h.relocate(ctx, args.text("image_id"), locationNumber(args["location_id"]), func(l *glance.Location) bool {
		l.Status = status
		return status != glance.Deleted
	})
}

// relocate changes one location of an image, and takes it away unless f keeps
// it. Those of a deleted image can be changed by who deletes it.
func (h *Handler) relocate(ctx context.Context, id string, number int64, f func(l *glance.Location) (keep bool)) error {
	before, err := h.mutable(ctx, id)
	if err != nil {
		return reached(id, err)
	}
	after := before.Clone()
	at := slices.IndexFunc(after.Locations, func(l glance.Location) bool { return l.ID == number && number != 0 })
	if at < 0 {
		return raise("NotFound", "No location found with ID %d from image %s", number, id)
	}
	keep := f(&after.Locations[at])
	if !keep && !v1wire.Gone(after.Status) {
		after.Locations = slices.Delete(after.Locations, at, at+1)
	}
	return h.catalog.Update(ctx, before, after)
}

func (h *Handler) rpcUsage(ctx context.Context, args values) (any, error) {
	owner, err := args.needed("owner_id")
	if err != nil {
		return nil, err
	}
	c := glance.CallerFrom(ctx)
	if !c.Admin && c.ProjectID != owner {
		return nil, raise("Forbidden", "You are not authorized to complete this action.")
	}
	usage, ok := h.catalog.(glance.UsageCatalog)
	if !ok {
		return 0, nil
	}
	u, err := usage.Usage(ctx, owner, glance.ID(args.text("image_id")))
	return u.Stored, err
}
