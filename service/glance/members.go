package glance

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Members returns the members of a shared image that the caller may know of:
// all of them for the owner, its own record for a member. ErrNotFound;
// ErrForbidden if the image is not shared.
func (s *Images) Members(ctx context.Context, id ID) ([]Member, error) {
	c := CallerFrom(ctx)
	im, err := s.shared(ctx, id)
	if err != nil {
		return nil, err
	}
	if im.Visibility != Shared {
		return nil, refuse(ErrForbidden, "Not allowed to list members for image %s: Only shared images have members.", id)
	}
	members, err := s.catalog.Members(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list members of image %s: %w", id, err)
	}
	members = slices.DeleteFunc(members, func(m Member) bool {
		return !s.o.Policy.Allows(c, GetMembers, Target{Image: im, Member: m.ProjectID})
	})
	if len(members) == 0 && !s.o.Policy.Allows(c, GetMembers, Target{Image: im}) {
		return nil, refuse(ErrForbidden, "Not allowed to list members for image %s.", id)
	}
	return members, nil
}

// Member returns one member record. ErrNotFound if there is none or the
// caller may not know of it.
func (s *Images) Member(ctx context.Context, id ID, projectID string) (*Member, error) {
	_, m, err := s.member(ctx, id, projectID)
	return m, err
}

// errUnshared is what is said of the members of an image that has none.
var errUnshared error = &Refusal{Kind: ErrNotFound, Message: "Only shared images have members."}

// AddMember shares an image with a project, which has yet to accept it.
// ErrNotFound; ErrForbidden, also if the image is not shared; ErrExists;
// ErrTooLarge over the quota.
func (s *Images) AddMember(ctx context.Context, id ID, projectID string) (*Member, error) {
	c := CallerFrom(ctx)
	im, err := s.shared(ctx, id)
	if err != nil {
		return nil, err
	}
	if im.Visibility != Shared {
		return nil, refuse(ErrForbidden, "Not allowed to create members for image %s.", id)
	}
	if err := s.allow(c, AddMember, Target{Image: im, Member: projectID}); err != nil {
		return nil, err
	}
	if !threeByte(projectID) || len(projectID) > maxName {
		return nil, refuse(ErrInvalid, "Member can't contain 4 byte unicode characters or more than %d bytes.", maxName)
	}
	members, err := s.catalog.Members(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("add member to image %s: %w", id, err)
	}
	if slices.ContainsFunc(members, func(m Member) bool { return m.ProjectID == projectID }) {
		return nil, duplicate(id, projectID)
	}
	if limit := s.o.MemberQuota; limit >= 0 && len(members) >= limit {
		return nil, refuse(ErrTooLarge, "Image member limit exceeded for image %s: The limit has been exceeded on the number of allowed image members for this image. "+
			"Attempted: %d, Maximum: %d:", id, len(members)+1, limit)
	}
	now := s.now()
	m := &Member{ImageID: id, ProjectID: projectID, Status: Pending, CreatedAt: now, UpdatedAt: now}
	if err := s.catalog.AddMember(ctx, m); err != nil {
		if errors.Is(err, ErrExists) {
			return nil, duplicate(id, projectID)
		}
		return nil, fmt.Errorf("add member to image %s: %w", id, err)
	}
	s.notify(ctx, Event{Type: "image.member.create", Image: im, Member: m})
	return m, nil
}

// SetMember records what the member project answers to the offer. ErrInvalid
// for a status that is none, ErrForbidden for everybody but that project and
// admins.
func (s *Images) SetMember(ctx context.Context, id ID, projectID string, status MemberStatus) (*Member, error) {
	im, m, err := s.member(ctx, id, projectID)
	if errors.Is(err, errUnshared) {
		return nil, refuse(ErrForbidden, "Not allowed to update members for image %s.", id)
	}
	if err != nil {
		return nil, err
	}
	if err := s.allow(CallerFrom(ctx), ModifyMember, Target{Image: im, Member: projectID}); err != nil {
		return nil, err
	}
	switch status {
	case Pending, Accepted, Rejected:
	default:
		return nil, refuse(ErrInvalid, `Incorrect request: Status must be "pending", "accepted" or "rejected".`)
	}
	m.Status, m.UpdatedAt = status, s.now()
	if err := s.catalog.SetMember(ctx, m); err != nil {
		return nil, s.memberError("change", m, err)
	}
	s.notify(ctx, Event{Type: "image.member.update", Image: im, Member: m})
	return m, nil
}

// RemoveMember ends the sharing of an image with a project. ErrNotFound,
// ErrForbidden.
func (s *Images) RemoveMember(ctx context.Context, id ID, projectID string) error {
	im, m, err := s.member(ctx, id, projectID)
	if errors.Is(err, errUnshared) {
		return refuse(ErrForbidden, "Not allowed to delete members for image %s.", id)
	}
	if err != nil {
		return err
	}
	if err := s.allow(CallerFrom(ctx), DeleteMember, Target{Image: im, Member: projectID}); err != nil {
		return err
	}
	if err := s.catalog.RemoveMember(ctx, id, projectID); err != nil {
		return s.memberError("remove", m, err)
	}
	s.notify(ctx, Event{Type: "image.member.delete", Image: im, Member: m})
	return nil
}

// member returns an image and one of its members, as far as the caller may
// know of them.
func (s *Images) member(ctx context.Context, id ID, projectID string) (*Image, *Member, error) {
	im, err := s.shared(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if im.Visibility != Shared {
		return nil, nil, errUnshared
	}
	members, err := s.catalog.Members(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("member %s of image %s: %w", projectID, id, err)
	}
	at := slices.IndexFunc(members, func(m Member) bool { return m.ProjectID == projectID })
	if at < 0 || !s.o.Policy.Allows(CallerFrom(ctx), GetMember, Target{Image: im, Member: projectID}) {
		return nil, nil, noMember(id, projectID)
	}
	return im, &members[at], nil
}

// shared is Get with the words that the members and tags calls use.
func (s *Images) shared(ctx context.Context, id ID) (*Image, error) {
	im, err := s.find(ctx, id)
	return im, asImageNotFound(id, err)
}

func asImageNotFound(id ID, err error) error {
	if errors.Is(err, ErrNotFound) && !errors.Is(err, errHidden) {
		return refuse(ErrNotFound, "Image %s not found.", id)
	}
	return err
}

func (s *Images) memberError(verb string, m *Member, err error) error {
	if errors.Is(err, ErrNotFound) {
		return noMember(m.ImageID, m.ProjectID)
	}
	return fmt.Errorf("%s member %s of image %s: %w", verb, m.ProjectID, m.ImageID, err)
}

func noMember(id ID, projectID string) error {
	return refuse(ErrNotFound, "%s not found in the member list of the image %s.", projectID, id)
}

func duplicate(id ID, projectID string) error {
	return refuse(ErrExists, "Member %s is duplicated for image %s", projectID, id)
}
