package identity

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"
	"golang.org/x/sync/errgroup"

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
	at        time.Time            // when it was looked at
}

// fresh is how long what was found is taken to be still so. A person who is
// asked for approval may think for longer than that.
const fresh = 10 * time.Second

// look asks the Keystone for everything, as much at a time as there is no
// answer to wait for.
func (g Registration) look(ctx context.Context, s *session) (found registry, err error) {
	found.at = time.Now()
	all, each := errgroup.WithContext(ctx)
	all.Go(func() (err error) {
		found.project, err = s.project(each, g.Domain, g.Project)
		return err
	})
	all.Go(func() (err error) {
		if found.user, err = s.user(each, g.Domain, g.User); err == nil && found.user != nil && found.user.Enabled {
			found.logsIn, err = s.canLogIn(each, found.user, g.Password)
		}
		return err
	})
	all.Go(func() (err error) {
		found.role, err = s.role(each, g.Role)
		return err
	})
	all.Go(func() (err error) {
		if found.service, err = s.service(each, g.ServiceType, g.ServiceName); err == nil && found.service != nil {
			found.endpoints, err = s.endpoints(each, found.service.ID)
		}
		return err
	})
	if err := all.Wait(); err != nil || found.project == nil || found.user == nil || found.role == nil {
		return found, err
	}
	found.assigned, err = s.assigned(ctx, found.user.ID, found.role.ID, found.project.ID)
	return found, err
}

// compare says what is to be done, in an order that works: what stands by
// itself, and then what belongs to it. The steps share what was found, and
// add to it what they make, each to a field of its own.
func (g Registration) compare(found registry) []step {
	var steps []step
	var mu sync.RWMutex // held for writing while all of found is replaced
	refresh := func(ctx context.Context, s *session) error {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(found.at) <= fresh {
			return nil
		}
		again, err := g.look(ctx, s)
		if err == nil {
			found = again
		}
		return err
	}
	add := func(id string, action provision.Action, summary string, do making) {
		steps = append(steps, step{id: id, action: action, summary: summary, do: func(ctx context.Context, s *session) error {
			if err := refresh(ctx, s); err != nil {
				return err
			}
			mu.RLock()
			defer mu.RUnlock()
			return do(ctx, s, &found)
		}})
	}
	g.compareThings(&found, add)
	things := len(steps)
	g.compareTies(&found, add)
	for i := range steps {
		steps[i].beside = i != 0 && i != things
	}
	return steps
}

// compareThings adds what is to be done to project, user, role and service.
func (g Registration) compareThings(found *registry, add func(id string, action provision.Action, summary string, do making)) {
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
	name := fmt.Sprintf("service %s (%s)", g.ServiceName, g.ServiceType)
	switch {
	case found.service == nil:
		add("service", provision.Create, name, g.makeService)
	case found.service.Name != g.ServiceName:
		add("service", provision.Update, fmt.Sprintf("%s: name %s -> %s", name, found.service.Name, g.ServiceName), g.makeService)
	case !found.service.Enabled:
		add("service", provision.Update, name+": enable", g.makeService)
	}
}

// compareTies adds what is to be done to the user's role and the service's
// endpoints.
func (g Registration) compareTies(found *registry, add func(id string, action provision.Action, summary string, do making)) {
	if !found.assigned {
		add("assignment", provision.Create, fmt.Sprintf("role %s for user %s on project %s", g.Role, g.User, g.Project), g.assign)
	}
	for _, want := range g.wanted() {
		if action, summary := want.compare(found.endpoints); summary != "" {
			add("endpoint-"+string(want.face), action, summary, want.make)
		}
	}
}

// A making brings about what a step is for, if it is not so already. What it
// finds taken, because somebody else has made it since, it looks up.
type making func(ctx context.Context, s *session, found *registry) error

// taken reports whether a Keystone has by that name what was to be created.
func taken(err error) bool { return gophercloud.ResponseCodeIs(err, http.StatusConflict) }

func (g Registration) makeProject(ctx context.Context, s *session, found *registry) error {
	what := "create project " + g.Project
	if found.project == nil {
		domain, err := s.domain(ctx, g.Domain)
		if err != nil {
			return err
		}
		p, err := projects.Create(ctx, s.client, projects.CreateOpts{
			Name: g.Project, DomainID: domain, Description: "Service accounts",
		}).Extract()
		if err == nil {
			found.project = p
			return nil
		}
		if !taken(err) {
			return s.fail(what, err)
		}
		if found.project, err = s.project(ctx, g.Domain, g.Project); err != nil || found.project == nil {
			return s.lost(what, err)
		}
	}
	if found.project.Enabled {
		return nil
	}
	_, err := projects.Update(ctx, s.client, found.project.ID, projects.UpdateOpts{Enabled: gophercloud.Enabled}).Extract()
	return s.ended("enable project "+g.Project, err)
}

func (g Registration) makeUser(ctx context.Context, s *session, found *registry) error {
	if found.user == nil {
		if made, err := g.createUser(ctx, s, found); made || err != nil {
			return err
		}
	}
	u := found.user
	if !u.Enabled {
		_, err := users.Update(ctx, s.client, u.ID, users.UpdateOpts{Enabled: gophercloud.Enabled}).Extract()
		if err != nil {
			return s.fail("enable user "+g.User, err)
		}
		if found.logsIn, err = s.canLogIn(ctx, u, g.Password); err != nil {
			return err
		}
	}
	if found.logsIn {
		return nil
	}
	_, err := users.Update(ctx, s.client, u.ID, users.UpdateOpts{Password: g.Password}).Extract()
	return s.ended("set password of user "+g.User, err)
}

// createUser creates the user, or looks up the one that has the name now.
func (g Registration) createUser(ctx context.Context, s *session, found *registry) (made bool, err error) {
	what := "create user " + g.User
	domain, err := s.domain(ctx, g.Domain)
	if err != nil {
		return false, err
	}
	u, err := users.Create(ctx, s.client, users.CreateOpts{
		Name: g.User, DomainID: domain, Password: g.Password, Description: g.Description,
	}).Extract()
	if err == nil {
		found.user = u
		return true, nil
	}
	if !taken(err) {
		return false, s.fail(what, err)
	}
	if found.user, err = s.user(ctx, g.Domain, g.User); err != nil || found.user == nil {
		return false, s.lost(what, err)
	}
	if found.user.Enabled {
		found.logsIn, err = s.canLogIn(ctx, found.user, g.Password)
	}
	return false, err
}

func (g Registration) makeRole(ctx context.Context, s *session, found *registry) error {
	if found.role != nil {
		return nil
	}
	what := "create role " + g.Role
	r, err := roles.Create(ctx, s.client, roles.CreateOpts{Name: g.Role}).Extract()
	if err == nil {
		found.role = r
		return nil
	}
	if !taken(err) {
		return s.fail(what, err)
	}
	if found.role, err = s.role(ctx, g.Role); err != nil || found.role == nil {
		return s.lost(what, err)
	}
	return nil
}

func (g Registration) assign(ctx context.Context, s *session, found *registry) error {
	what := fmt.Sprintf("assign role %s to user %s on project %s", g.Role, g.User, g.Project)
	if found.project == nil || found.user == nil || found.role == nil {
		return s.lost(what, nil)
	}
	// Assigning twice is no error.
	err := roles.Assign(ctx, s.client, found.role.ID, roles.AssignOpts{UserID: found.user.ID, ProjectID: found.project.ID}).ExtractErr()
	return s.ended(what, err)
}

func (g Registration) makeService(ctx context.Context, s *session, found *registry) error {
	v := found.service
	if v == nil {
		v, err := services.Create(ctx, s.client, services.CreateOpts{
			Name: g.ServiceName, Type: g.ServiceType, Description: g.Description,
		}).Extract()
		if err == nil {
			found.service = v
		}
		return s.ended("create service "+g.ServiceName, err)
	}
	if v.Enabled && v.Name == g.ServiceName {
		return nil
	}
	_, err := services.Update(ctx, s.client, v.ID, services.UpdateOpts{Name: &g.ServiceName, Enabled: gophercloud.Enabled}).Extract()
	return s.ended("update service "+g.ServiceName, err)
}

// lost is the error, unless there is a better one, that something was there
// and is not any more.
func (s *session) lost(what string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%s in %s: what it takes is gone again", what, s.keystone)
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

func (w wantedEndpoint) make(ctx context.Context, s *session, found *registry) (err error) {
	what := fmt.Sprintf("set %s endpoint in %s", w.face, w.region)
	if found.service == nil {
		return s.lost(what, nil)
	}
	keep, rest := w.pick(found.endpoints)
	switch {
	case keep == nil:
		_, err = endpoints.Create(ctx, s.client, endpoints.CreateOpts{
			Availability: w.face, Region: w.region, URL: w.url, ServiceID: found.service.ID,
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
