package identity

import (
	"context"
	"fmt"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"

	"glancectl/provision"
)

// A registry is what a Keystone has of a registration; nil is missing.
type registry struct {
	project   *projects.Project
	user      *users.User
	logsIn    bool
	role      *roles.Role
	assigned  bool
	service   *services.Service
	endpoints []endpoints.Endpoint // of the service, in every region
}

// look asks the Keystone for everything.
func (g Registration) look(ctx context.Context, s *session) (found registry, err error) {
	if found.project, err = s.project(ctx, g.Domain, g.Project); err != nil {
		return found, err
	}
	if found.user, err = s.user(ctx, g.Domain, g.User); err != nil {
		return found, err
	}
	if found.role, err = s.role(ctx, g.Role); err != nil {
		return found, err
	}
	if found.service, err = s.service(ctx, g.ServiceType, g.ServiceName); err != nil {
		return found, err
	}
	if found.user != nil && found.user.Enabled {
		if found.logsIn, err = s.canLogIn(ctx, found.user, g.Password); err != nil {
			return found, err
		}
	}
	if found.project != nil && found.user != nil && found.role != nil {
		if found.assigned, err = s.assigned(ctx, found.user.ID, found.role.ID, found.project.ID); err != nil {
			return found, err
		}
	}
	if found.service != nil {
		found.endpoints, err = s.endpoints(ctx, found.service.ID)
	}
	return found, err
}

// compare says what is to be done, in an order that works.
func (g Registration) compare(found registry) []step {
	var steps []step
	add := func(id string, action provision.Action, summary string, do func(context.Context, *session) error) {
		steps = append(steps, step{id, action, summary, do})
	}
	switch {
	case found.project == nil:
		add("project", provision.Create, "project "+g.Project, g.makeProject)
	case !found.project.Enabled:
		add("project", provision.Update, "project "+g.Project+": enable", g.makeProject)
	}
	switch {
	case found.user == nil:
		add("user", provision.Create, "user "+g.User, g.makeUser)
	case !found.user.Enabled:
		add("user", provision.Update, "user "+g.User+": enable", g.makeUser)
	case !found.logsIn:
		add("user", provision.Update, "user "+g.User+": log-in fails, set the password", g.makeUser)
	}
	if found.role == nil {
		add("role", provision.Create, "role "+g.Role, g.makeRole)
	}
	if !found.assigned {
		add("assignment", provision.Create, fmt.Sprintf("role %s for user %s on project %s", g.Role, g.User, g.Project), g.assign)
	}
	name := fmt.Sprintf("service %s (%s)", g.ServiceName, g.ServiceType)
	switch {
	case found.service == nil:
		add("service", provision.Create, name, g.makeService)
	case found.service.Name != g.ServiceName:
		add("service", provision.Update, fmt.Sprintf("%s: name %s -> %s", name, found.service.Name, g.ServiceName), g.makeService)
	case !found.service.Enabled:
		add("service", provision.Update, name+": enable", g.makeService)
	}
	for _, want := range g.wanted() {
		if action, summary := want.compare(found.endpoints); summary != "" {
			add("endpoint-"+string(want.face), action, summary, func(ctx context.Context, s *session) error {
				return g.makeEndpoint(ctx, s, want)
			})
		}
	}
	return steps
}

func (g Registration) makeProject(ctx context.Context, s *session) error {
	p, err := s.project(ctx, g.Domain, g.Project)
	if err != nil || p != nil && p.Enabled {
		return err
	}
	if p == nil {
		_, err = projects.Create(ctx, s.client, projects.CreateOpts{
			Name: g.Project, DomainID: s.domains[g.Domain], Description: "Service accounts",
		}).Extract()
	} else {
		_, err = projects.Update(ctx, s.client, p.ID, projects.UpdateOpts{Enabled: gophercloud.Enabled}).Extract()
	}
	return s.ended("create project "+g.Project, err)
}

func (g Registration) makeUser(ctx context.Context, s *session) error {
	u, err := s.user(ctx, g.Domain, g.User)
	if err != nil {
		return err
	}
	if u == nil {
		_, err = users.Create(ctx, s.client, users.CreateOpts{
			Name: g.User, DomainID: s.domains[g.Domain], Password: g.Password, Description: g.Description,
		}).Extract()
		return s.ended("create user "+g.User, err)
	}
	if !u.Enabled {
		_, err = users.Update(ctx, s.client, u.ID, users.UpdateOpts{Enabled: gophercloud.Enabled}).Extract()
		if err != nil {
			return s.fail("enable user "+g.User, err)
		}
	}
	if ok, err := s.canLogIn(ctx, u, g.Password); ok || err != nil {
		return err
	}
	_, err = users.Update(ctx, s.client, u.ID, users.UpdateOpts{Password: g.Password}).Extract()
	return s.ended("set password of user "+g.User, err)
}

func (g Registration) makeRole(ctx context.Context, s *session) error {
	r, err := s.role(ctx, g.Role)
	if err != nil || r != nil {
		return err
	}
	_, err = roles.Create(ctx, s.client, roles.CreateOpts{Name: g.Role}).Extract()
	return s.ended("create role "+g.Role, err)
}

func (g Registration) assign(ctx context.Context, s *session) error {
	p, err := s.project(ctx, g.Domain, g.Project)
	if err != nil {
		return err
	}
	u, err := s.user(ctx, g.Domain, g.User)
	if err != nil {
		return err
	}
	r, err := s.role(ctx, g.Role)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("assign role %s to user %s on project %s", g.Role, g.User, g.Project)
	if p == nil || u == nil || r == nil {
		return fmt.Errorf("%s in %s: one of them is gone again", what, s.keystone)
	}
	// Assigning twice is no error.
	err = roles.Assign(ctx, s.client, r.ID, roles.AssignOpts{UserID: u.ID, ProjectID: p.ID}).ExtractErr()
	return s.ended(what, err)
}

func (g Registration) makeService(ctx context.Context, s *session) error {
	v, err := s.service(ctx, g.ServiceType, g.ServiceName)
	if err != nil {
		return err
	}
	if v == nil {
		_, err = services.Create(ctx, s.client, services.CreateOpts{
			Name: g.ServiceName, Type: g.ServiceType, Description: g.Description,
		}).Extract()
		return s.ended("create service "+g.ServiceName, err)
	}
	if v.Enabled && v.Name == g.ServiceName {
		return nil
	}
	_, err = services.Update(ctx, s.client, v.ID, services.UpdateOpts{Name: &g.ServiceName, Enabled: gophercloud.Enabled}).Extract()
	return s.ended("update service "+g.ServiceName, err)
}

// ended is fail for what may have gone well.
func (s *session) ended(what string, err error) error {
	if err == nil {
		return nil
	}
	return s.fail(what, err)
}

// A wantedEndpoint is one of the three addresses of a service.
type wantedEndpoint struct {
	face   gophercloud.Availability
	region string
	url    string
}

func (g Registration) wanted() []wantedEndpoint {
	return []wantedEndpoint{
		{gophercloud.AvailabilityPublic, g.Keystone.Region, g.PublicURL},
		{gophercloud.AvailabilityInternal, g.Keystone.Region, g.InternalURL},
		{gophercloud.AvailabilityAdmin, g.Keystone.Region, g.AdminURL},
	}
}

// pick splits what a catalog has for w into the endpoint to keep, which may
// have another address, and duplicates.
func (w wantedEndpoint) pick(all []endpoints.Endpoint) (keep *endpoints.Endpoint, rest []endpoints.Endpoint) {
	for _, e := range all {
		switch {
		case e.Availability != w.face || e.RegionID != w.region:
		case keep == nil:
			keep = &e
		case keep.URL != w.url && e.URL == w.url:
			rest = append(rest, *keep)
			keep = &e
		default:
			rest = append(rest, e)
		}
	}
	return keep, rest
}

func (w wantedEndpoint) compare(all []endpoints.Endpoint) (action provision.Action, summary string) {
	keep, rest := w.pick(all)
	name := fmt.Sprintf("%s endpoint in %s", w.face, w.region)
	switch {
	case keep == nil:
		return provision.Create, fmt.Sprintf("%s: %s", name, w.url)
	case keep.URL != w.url:
		return provision.Update, fmt.Sprintf("%s: %s -> %s", name, keep.URL, w.url)
	case !keep.Enabled:
		return provision.Update, name + ": enable"
	case len(rest) > 0:
		return provision.Update, fmt.Sprintf("%s: remove duplicates (%d)", name, len(rest))
	}
	return "", ""
}

func (g Registration) makeEndpoint(ctx context.Context, s *session, w wantedEndpoint) error {
	what := fmt.Sprintf("set %s endpoint in %s", w.face, w.region)
	v, err := s.service(ctx, g.ServiceType, g.ServiceName)
	if err != nil {
		return err
	}
	if v == nil {
		return fmt.Errorf("%s in %s: service %s is gone again", what, s.keystone, g.ServiceName)
	}
	all, err := s.endpoints(ctx, v.ID)
	if err != nil {
		return err
	}
	keep, rest := w.pick(all)
	switch {
	case keep == nil:
		_, err = endpoints.Create(ctx, s.client, endpoints.CreateOpts{
			Availability: w.face, Region: w.region, URL: w.url, ServiceID: v.ID,
		}).Extract()
	case keep.URL != w.url || !keep.Enabled:
		_, err = endpoints.Update(ctx, s.client, keep.ID, endpoints.UpdateOpts{URL: w.url, Enabled: gophercloud.Enabled}).Extract()
	}
	if err != nil {
		return s.fail(what, err)
	}
	for _, e := range rest {
		if err := s.deleteEndpoint(ctx, e.ID); err != nil {
			return err
		}
	}
	return nil
}
