package glance

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// What version 1 of the API needs beside the rest: it shows admins what is
// deleted, says in advance what data will be, and kills images whose data never
// came.

// Look is Get, but shows an admin images that are deleted as well.
func (s *Images) Look(ctx context.Context, id ID) (*Image, error) {
	c := CallerFrom(ctx)
	im, err := s.look(ctx, id, c.Admin)
	if err != nil {
		return nil, err
	}
	return s.shown(c, im), nil
}

// HasScheme says whether there is a store that makes or reads URLs of a
// scheme.
func (s *Images) HasScheme(scheme string) bool {
	_, found := s.stores.of(Location{URL: scheme + "://x/x"})
	return found
}

// Expect notes what the data of an image will be, which has none yet; nil
// leaves something as it is. ErrNotFound, ErrForbidden, also if the image has
// data.
func (s *Images) Expect(ctx context.Context, id ID, size *int64, checksum *string) error {
	_, err := s.modify(ctx, id, func(c Caller, im *Image) error {
		if err := s.allow(c, ModifyImage, Target{Image: im}); err != nil {
			return err
		}
		for name, differs := range map[string]bool{
			"size":     size != nil && !equal(size, im.Size),
			"checksum": checksum != nil && !equal(checksum, im.Checksum),
		} {
			if differs && im.Status != Queued {
				return refuse(ErrForbidden, "Forbidden to modify '%s' of %s image.", name, im.Status)
			}
		}
		if size != nil {
			im.Size = size
		}
		if checksum != nil {
			im.Checksum = checksum
		}
		return nil
	})
	return err
}

// Kill ends the life of a queued image whose data will not come. ErrConflict
// if it is not queued.
func (s *Images) Kill(ctx context.Context, id ID) error {
	before, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	if err := s.allow(CallerFrom(ctx), UploadImage, Target{Image: before}); err != nil {
		return err
	}
	killed := before.Clone()
	if err := killed.moveTo(Killed); err != nil {
		return err
	}
	if err := s.catalog.Update(ctx, before, killed); err != nil {
		return fmt.Errorf("kill image %s: %w", id, err)
	}
	return nil
}

// kill ends the life of an image whose data did not come whole.
func (s *Images) kill(ctx context.Context, saving *Image) {
	s.settle(ctx, saving, func() error {
		killed := saving.Clone()
		if err := killed.moveTo(Killed); err != nil {
			return err
		}
		return s.catalog.Update(ctx, saving, killed)
	})
}

// allowSharing returns an image that the caller may share, and its members: an
// own one, or one that was shared with the right to share it further.
func (s *Images) allowSharing(ctx context.Context, id ID, r Rule) (*Image, []Member, error) {
	c := CallerFrom(ctx)
	im, err := s.shared(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	members, err := s.catalog.Members(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("members of image %s: %w", id, err)
	}
	deputy := slices.ContainsFunc(members, func(m Member) bool { return m.ProjectID == c.ProjectID && m.CanShare })
	if deputy && s.o.Policy.Allows(c, ModifyMember, Target{Image: im, Member: c.ProjectID}) {
		return im, members, nil
	}
	if !c.Admin && !owns(c, im) {
		return nil, nil, refuse(ErrForbidden, "No permission to share that image")
	}
	return im, members, s.allow(c, r, Target{Image: im})
}

// Sharers returns the members of an image that the caller sees, whatever the
// image's visibility is. ErrNotFound, ErrForbidden.
func (s *Images) Sharers(ctx context.Context, id ID) ([]Member, error) {
	c := CallerFrom(ctx)
	im, err := s.shared(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.allow(c, GetMembers, Target{Image: im, Member: c.ProjectID}); err != nil {
		return nil, err
	}
	members, err := s.catalog.Members(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("members of image %s: %w", id, err)
	}
	return members, nil
}

// SharedWith returns the images that are shared with a project. Who is not of
// the project sees those of its own only.
func (s *Images) SharedWith(ctx context.Context, projectID string) ([]Member, error) {
	c := CallerFrom(ctx)
	list, err := s.catalog.Memberships(ctx, projectID)
	if err != nil {
		return nil, fmt.Errorf("images shared with %s: %w", projectID, err)
	}
	if c.Admin || s.o.Filtered || c.ProjectID != "" && c.ProjectID == projectID {
		return list, nil
	}
	var own []Member
	for _, m := range list {
		im, err := s.catalog.Get(ctx, m.ImageID, false)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("images shared with %s: %w", projectID, err)
		}
		if err == nil && owns(c, im) {
			own = append(own, m)
		}
	}
	return own, nil
}

// A Sharing is a project that an image is to be shared with. A nil CanShare
// leaves what is, and is false for a new member.
type Sharing struct {
	ProjectID string
	CanShare  *bool
}

// Share shares an image with one project more, or changes whether a member may
// share it. ErrNotFound, ErrForbidden, ErrTooLarge over the quota.
func (s *Images) Share(ctx context.Context, id ID, with Sharing) error {
	im, members, err := s.allowSharing(ctx, id, AddMember)
	if err != nil {
		return err
	}
	if err := s.memberQuota(len(members) + 1); err != nil {
		return err
	}
	return s.share(ctx, im, members, with)
}

// ShareOnly shares an image with these projects and no others. Failures leave
// some of them done. ErrNotFound, ErrForbidden, ErrTooLarge over the quota.
func (s *Images) ShareOnly(ctx context.Context, id ID, with []Sharing) error {
	im, members, err := s.allowSharing(ctx, id, AddMember)
	if err != nil {
		return err
	}
	if err := s.memberQuota(len(with)); err != nil {
		return err
	}
	for _, m := range members {
		if slices.ContainsFunc(with, func(w Sharing) bool { return w.ProjectID == m.ProjectID }) {
			continue
		}
		if err := s.unshare(ctx, im, m); err != nil {
			return err
		}
	}
	for _, w := range with {
		if err := s.share(ctx, im, members, w); err != nil {
			return err
		}
	}
	return nil
}

// Unshare takes a member away. ErrForbidden; ErrNotFound, also if it is none.
func (s *Images) Unshare(ctx context.Context, id ID, projectID string) error {
	im, members, err := s.allowSharing(ctx, id, DeleteMember)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(members, func(m Member) bool { return m.ProjectID == projectID })
	if at < 0 {
		return noMember(id, projectID)
	}
	return s.unshare(ctx, im, members[at])
}

func (s *Images) memberQuota(n int) error {
	if limit := s.o.MemberQuota; limit >= 0 && n > limit {
		return refuse(ErrTooLarge, "The limit has been exceeded on the number of allowed image members for this image. Attempted: %d, Maximum: %d", n, limit)
	}
	return nil
}

// share makes one project a member of im, which has the members given.
func (s *Images) share(ctx context.Context, im *Image, members []Member, with Sharing) error {
	at := slices.IndexFunc(members, func(m Member) bool { return m.ProjectID == with.ProjectID })
	if at < 0 {
		return s.shareFirst(ctx, im, with)
	}
	m := members[at]
	if with.CanShare == nil || *with.CanShare == m.CanShare {
		return nil
	}
	m.CanShare, m.UpdatedAt = *with.CanShare, s.now()
	if err := s.catalog.SetMember(ctx, &m); err != nil {
		return s.memberError("change", &m, err)
	}
	s.notify(ctx, Event{Type: "image.member.update", Image: im, Member: &m})
	return nil
}

func (s *Images) shareFirst(ctx context.Context, im *Image, with Sharing) error {
	if !threeByte(with.ProjectID) || len(with.ProjectID) > maxName {
		return refuse(ErrInvalid, "Member can't contain 4 byte unicode characters or more than %d bytes.", maxName)
	}
	now := s.now()
	m := &Member{ImageID: im.ID, ProjectID: with.ProjectID, Status: Pending, CreatedAt: now, UpdatedAt: now}
	if with.CanShare != nil {
		m.CanShare = *with.CanShare
	}
	err := s.catalog.AddMember(ctx, m)
	if errors.Is(err, ErrExists) { // somebody else was faster
		return nil
	}
	if err != nil {
		return s.memberError("add", m, err)
	}
	s.notify(ctx, Event{Type: "image.member.create", Image: im, Member: m})
	return nil
}

func (s *Images) unshare(ctx context.Context, im *Image, m Member) error {
	if err := s.catalog.RemoveMember(ctx, im.ID, m.ProjectID); err != nil {
		return s.memberError("remove", &m, err)
	}
	s.notify(ctx, Event{Type: "image.member.delete", Image: im, Member: &m})
	return nil
}

// SizeAt returns how much data there is at url, where Refer could leave it.
// ErrForbidden; ErrInvalid if nothing can be read there.
func (s *Images) SizeAt(ctx context.Context, url string) (int64, error) {
	c := CallerFrom(ctx)
	if err := s.allow(c, SetImageLocation, Target{Image: s.newImage(c, Draft{})}); err != nil {
		return 0, err
	}
	_, size, err := s.locate(ctx, NewLocation{URL: url})
	return size, err
}

// Refer gives a queued image data that stays where it is: at url, which a store
// must be able to read. A size that is not nil or 0 must be right. ErrNotFound,
// ErrForbidden; ErrInvalid if nothing can be read there; ErrConflict if the
// image is not queued or the size is another one.
func (s *Images) Refer(ctx context.Context, id ID, url string, size *int64) error {
	before, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	if err := s.allow(CallerFrom(ctx), SetImageLocation, Target{Image: before}); err != nil {
		return err
	}
	active := before.Clone()
	if err := active.moveTo(Active); err != nil {
		return err
	}
	l, stored, err := s.locate(ctx, NewLocation{URL: url})
	if err != nil {
		return err
	}
	if size != nil && *size != 0 && *size != stored {
		return refuse(ErrConflict, "Provided image size must match the stored image size. (provided size: %d, stored size: %d)", *size, stored)
	}
	active.Size, active.Locations = &stored, []Location{l}
	if err := s.catalog.Update(ctx, before, active); err != nil {
		return fmt.Errorf("image %s: %w", id, err)
	}
	s.notify(ctx, Event{Type: "image.activate", Image: active})
	return nil
}
