package identity

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"

	"glancectl/provision"
)

// look finds what is to be deleted.
func (m Removal) look(ctx context.Context, s *session) ([]step, error) {
	var steps []step
	add := func(id, summary string, do func(context.Context, *session) error) {
		steps = append(steps, step{id: id, action: provision.Delete, summary: summary, do: do})
	}
	v, err := s.service(ctx, m.ServiceType, m.ServiceName)
	if err != nil {
		return nil, err
	}
	// The only service of the type may have another name: then it is not ours.
	if v != nil && v.Name == m.ServiceName {
		all, err := s.endpoints(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		elsewhere := 0
		for _, e := range all {
			if e.RegionID != s.keystone.Region {
				elsewhere++
				continue
			}
			add("endpoint-"+e.ID, fmt.Sprintf("%s endpoint in %s: %s", e.Availability, e.RegionID, e.URL),
				func(ctx context.Context, s *session) error { return s.deleteEndpoint(ctx, e.ID) })
		}
		if elsewhere == 0 {
			add("service", fmt.Sprintf("service %s (%s)", v.Name, v.Type), func(ctx context.Context, s *session) error {
				return s.gone("delete service "+v.Name, services.Delete(ctx, s.client, v.ID).ExtractErr())
			})
		}
	}
	if m.User == "" {
		return steps, nil
	}
	u, err := s.user(ctx, m.Domain, m.User)
	if err != nil {
		return nil, err
	}
	if u != nil {
		add("user", "user "+m.User, func(ctx context.Context, s *session) error {
			return s.gone("delete user "+m.User, users.Delete(ctx, s.client, u.ID).ExtractErr())
		})
	}
	return steps, nil
}

func (s *session) deleteEndpoint(ctx context.Context, id string) error {
	return s.gone("delete endpoint "+id, endpoints.Delete(ctx, s.client, id).ExtractErr())
}

// gone is ended for deletions: what is not there any more was not in vain.
func (s *session) gone(what string, err error) error {
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return nil
	}
	return s.ended(what, err)
}
