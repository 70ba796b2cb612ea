package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"glancectl/service/glance"
	"glancectl/service/internal/v1wire"
)

// members answers a request about the members of an image; rest is what
// stands behind members in the path.
func (h *Handler) members(r *http.Request, name string, rest []string) (any, error) {
	ctx := r.Context()
	switch {
	case len(rest) == 0 && r.Method == http.MethodGet:
		im, err := h.shared(ctx, name)
		if err != nil {
			return nil, err
		}
		list, err := h.catalog.Members(ctx, im.ID)
		return v1wire.Members(list), err
	case len(rest) == 0 && r.Method == http.MethodPut:
		return nil, h.replaceMembers(r, name)
	case len(rest) == 0 && r.Method == http.MethodPost, len(rest) == 1 && r.Method == http.MethodGet:
		return nil, v1wire.NotAllowed(r.Method, "PUT, DELETE")
	case len(rest) == 1 && r.Method == http.MethodPut:
		return nil, h.setMember(r, name, rest[0])
	case len(rest) == 1 && r.Method == http.MethodDelete:
		return nil, h.removeMember(ctx, name, rest[0])
	}
	return nil, notFound()
}

// shared returns the image whose members are asked for.
func (h *Handler) shared(ctx context.Context, name string) (*glance.Image, error) {
	im, err := h.find(ctx, name)
	switch {
	case errors.Is(err, errMissing):
		return nil, v1wire.Detailed(http.StatusNotFound, "Image %s not found", name)
	case errors.Is(err, errInvisible):
		return nil, notFound()
	}
	return im, err
}

// sharable returns an image that the caller may share with others, and its
// members: an own one, or one that was shared with the right to share it.
func (h *Handler) sharable(ctx context.Context, name string) (*glance.Image, []glance.Member, error) {
	c := glance.CallerFrom(ctx)
	if c.ProjectID == "" && !c.Admin {
		return nil, nil, v1wire.Detailed(http.StatusUnauthorized, "No authenticated user")
	}
	im, err := h.shared(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	list, err := h.catalog.Members(ctx, im.ID)
	if err != nil {
		return nil, nil, err
	}
	deputy := slices.ContainsFunc(list, func(m glance.Member) bool { return m.ProjectID == c.ProjectID && m.CanShare })
	if !c.Admin && !owns(c, im) && !deputy {
		return nil, nil, v1wire.Detailed(http.StatusForbidden, "No permission to share that image")
	}
	return im, list, nil
}

func malformed(what string) error {
	return bad("Invalid membership association: %s", what)
}

// setMember adds a member, or changes whether it may share the image.
func (h *Handler) setMember(r *http.Request, name, projectID string) error {
	im, list, err := h.sharable(r.Context(), name)
	if err != nil {
		return err
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var share *bool
	if len(body) > 0 {
		if share, err = canShare(body); err != nil {
			return err
		}
	}
	at := slices.IndexFunc(list, func(m glance.Member) bool { return m.ProjectID == projectID })
	switch {
	case at < 0:
		return h.addMember(r.Context(), im, projectID, share != nil && *share)
	case share != nil && *share != list[at].CanShare:
		list[at].CanShare = *share
		return h.catalog.SetMember(r.Context(), &list[at])
	}
	return nil
}

func canShare(body []byte) (*bool, error) {
	var b struct {
		Member map[string]json.RawMessage `json:"member"`
	}
	if json.Unmarshal(body, &b) != nil {
		return nil, bad("Malformed JSON in request body.")
	}
	if b.Member == nil {
		return nil, malformed("'member'")
	}
	raw, ok := b.Member["can_share"]
	if !ok {
		return nil, malformed("'can_share'")
	}
	share := truth(raw)
	return &share, nil
}

func (h *Handler) addMember(ctx context.Context, im *glance.Image, projectID string, share bool) error {
	if len(projectID) > 255 {
		return malformed("member_id is longer than 255 characters")
	}
	err := h.catalog.AddMember(ctx, &glance.Member{ImageID: im.ID, ProjectID: projectID, CanShare: share, Status: glance.Pending})
	switch {
	case errors.Is(err, glance.ErrExists): // somebody else was faster
		return nil
	case errors.Is(err, glance.ErrInvalid):
		return malformed("member_id")
	case errors.Is(err, glance.ErrNotFound):
		return v1wire.Detailed(http.StatusNotFound, "Image %s not found", im.ID)
	}
	return err
}

// replaceMembers makes the members those of the body, and no others.
func (h *Handler) replaceMembers(r *http.Request, name string) error {
	im, list, err := h.sharable(r.Context(), name)
	if err != nil {
		return err
	}
	body, err := readObject(r)
	if err != nil {
		return err
	}
	var wanted []map[string]json.RawMessage
	if json.Unmarshal(body["memberships"], &wanted) != nil {
		return malformed("'memberships'")
	}
	var want []wish
	for _, m := range wanted {
		projectID, null := plain(m["member_id"])
		if projectID == "" || null {
			return malformed("'member_id'")
		}
		w := wish{projectID: projectID}
		if raw, ok := m["can_share"]; ok {
			share := truth(raw)
			w.share = &share
		}
		want = append(want, w)
	}
	return h.setMembers(r.Context(), im, list, want)
}

// A wish is a member as it is to be; nil leaves open whether it may share.
type wish struct {
	projectID string
	share     *bool
}

// setMembers makes the members of an image those that are wanted.
func (h *Handler) setMembers(ctx context.Context, im *glance.Image, list []glance.Member, want []wish) error {
	for _, m := range list {
		at := slices.IndexFunc(want, func(w wish) bool { return w.projectID == m.ProjectID })
		var err error
		switch {
		case at < 0:
			err = h.catalog.RemoveMember(ctx, im.ID, m.ProjectID)
		case want[at].share != nil && *want[at].share != m.CanShare:
			m.CanShare = *want[at].share
			err = h.catalog.SetMember(ctx, &m)
		}
		if err != nil && !errors.Is(err, glance.ErrNotFound) {
			return err
		}
	}
	for _, w := range want {
		if slices.ContainsFunc(list, func(m glance.Member) bool { return m.ProjectID == w.projectID }) {
			continue
		}
		if err := h.addMember(ctx, im, w.projectID, w.share != nil && *w.share); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) removeMember(ctx context.Context, name, projectID string) error {
	im, _, err := h.sharable(ctx, name)
	if err != nil {
		return err
	}
	err = h.catalog.RemoveMember(ctx, im.ID, projectID)
	if errors.Is(err, glance.ErrNotFound) {
		return v1wire.Refused(http.StatusNotFound, "Membership could not be found.")
	}
	return err
}

// sharedImages answers what is shared with a project. Who is not of it sees
// its own images among them only.
func (h *Handler) sharedImages(ctx context.Context, projectID string) (any, error) {
	list, err := h.memberships(ctx, projectID)
	if err != nil {
		return nil, err
	}
	return v1wire.SharedImages(list), nil
}

func (h *Handler) memberships(ctx context.Context, projectID string) ([]glance.Member, error) {
	c := glance.CallerFrom(ctx)
	list, err := h.catalog.Memberships(ctx, projectID)
	if err != nil || c.Admin || c.ProjectID != "" && c.ProjectID == projectID {
		return list, err
	}
	var own []glance.Member
	for _, m := range list {
		im, err := h.catalog.Get(ctx, m.ImageID, false)
		if err != nil && !errors.Is(err, glance.ErrNotFound) {
			return nil, err
		}
		if err == nil && owns(c, im) {
			own = append(own, m)
		}
	}
	return own, nil
}
