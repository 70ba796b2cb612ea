package registryclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"glancectl/service/glance"
	"glancectl/service/internal/v1wire"
)

func membersPath(id glance.ID, more ...string) string {
	path := "/images/" + url.PathEscape(string(id)) + "/members"
	for _, m := range more {
		path += "/" + url.PathEscape(m)
	}
	return path
}

// Members implements glance.Catalog. What a member said, and when it became
// one, the registry does not tell.
func (c *Catalog) Members(ctx context.Context, id glance.ID) ([]glance.Member, error) {
	body, err := c.do(ctx, &call{method: "GET", path: membersPath(id)})
	if errors.Is(err, glance.ErrNotFound) {
		return nil, nil // an image that does not exist has none
	}
	if err != nil {
		return nil, fmt.Errorf("members of image %s: %w", id, err)
	}
	var answer struct{ Members []v1wire.Member }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("members of image %s: %w: the registry's answer is no list", id, glance.ErrUnavailable)
	}
	list := make([]glance.Member, len(answer.Members))
	for i, m := range answer.Members {
		list[i] = glance.Member{ImageID: id, ProjectID: m.ProjectID, CanShare: m.CanShare}
	}
	return list, nil
}

// Memberships implements glance.Catalog, for those that the caller may know of.
func (c *Catalog) Memberships(ctx context.Context, projectID string) ([]glance.Member, error) {
	body, err := c.do(ctx, &call{method: "GET", path: "/shared-images/" + url.PathEscape(projectID)})
	if err != nil {
		return nil, fmt.Errorf("images shared with %s: %w", projectID, err)
	}
	var answer struct {
		Images []v1wire.Membership `json:"shared_images"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("images shared with %s: %w: the registry's answer is no list", projectID, glance.ErrUnavailable)
	}
	list := make([]glance.Member, len(answer.Images))
	for i, m := range answer.Images {
		list[i] = glance.Member{ImageID: m.ImageID, ProjectID: projectID, CanShare: m.CanShare}
	}
	return list, nil
}

// AddMember implements glance.Catalog. A registry cannot tell a project that
// was a member before from one that is new: neither is an error.
func (c *Catalog) AddMember(ctx context.Context, m *glance.Member) error { return c.putMember(ctx, m) }

// SetMember implements glance.Catalog, for CanShare.
func (c *Catalog) SetMember(ctx context.Context, m *glance.Member) error { return c.putMember(ctx, m) }

func (c *Catalog) putMember(ctx context.Context, m *glance.Member) error {
	body, err := json.Marshal(map[string]any{"member": map[string]bool{"can_share": m.CanShare}})
	if err == nil {
		_, err = c.do(ctx, &call{method: "PUT", path: membersPath(m.ImageID, m.ProjectID), body: body})
	}
	if err != nil {
		return fmt.Errorf("member %s of image %s: %w", m.ProjectID, m.ImageID, err)
	}
	return nil
}

// RemoveMember implements glance.Catalog.
func (c *Catalog) RemoveMember(ctx context.Context, id glance.ID, projectID string) error {
	if _, err := c.do(ctx, &call{method: "DELETE", path: membersPath(id, projectID)}); err != nil {
		return fmt.Errorf("member %s of image %s: %w", projectID, id, err)
	}
	return nil
}
