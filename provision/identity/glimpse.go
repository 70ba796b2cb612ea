package identity

import (
	"context"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// settled reports whether a registration is as wanted, found out with one
// request: the service's user logs in to its project, and the answer has the
// roles it got there and the whole catalog. What is missing or wrong it
// cannot tell; that takes an administrator and a dozen requests.
func (g Registration) settled(ctx context.Context, s *session) bool {
	p, err := s.authenticate(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: s.keystone.AuthURL, Username: g.User, Password: g.Password, DomainName: g.Domain,
		Scope: &gophercloud.AuthScope{ProjectName: g.Project, DomainName: g.Domain},
	})
	if err != nil {
		return false
	}
	answer, ok := p.GetAuthResult().(tokens.CreateResult)
	if !ok {
		return false
	}
	roles, err := answer.ExtractRoles()
	if err != nil {
		return false
	}
	catalog, err := answer.ExtractServiceCatalog()
	if err != nil {
		return false
	}
	return g.hasRole(roles) && g.inCatalog(catalog.Entries)
}

func (g Registration) hasRole(roles []tokens.Role) bool {
	for _, r := range roles {
		if r.Name == g.Role {
			return true
		}
	}
	return false
}

// inCatalog reports whether a catalog has the service, once, with exactly the
// wanted endpoints in the region. Disabled services and endpoints are not in
// catalogs.
func (g Registration) inCatalog(catalog []tokens.CatalogEntry) bool {
	var found *tokens.CatalogEntry
	for i, e := range catalog {
		if e.Type != g.ServiceType {
			continue
		}
		if found != nil || e.Name != g.ServiceName {
			return false
		}
		found = &catalog[i]
	}
	if found == nil {
		return false
	}
	var all []endpoints.Endpoint
	for _, e := range found.Endpoints {
		all = append(all, endpoints.Endpoint{
			ID: e.ID, RegionID: e.RegionID, URL: e.URL, Enabled: true,
			Availability: gophercloud.Availability(e.Interface),
		})
	}
	for _, want := range g.wanted() {
		if _, summary := want.compare(all); summary != "" {
			return false
		}
	}
	return true
}
