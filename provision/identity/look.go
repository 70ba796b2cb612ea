package identity

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/domains"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// list gets all pages of a collection and hands the fault, if any, on in the
// words of this package.
func list[T any](ctx context.Context, s *session, what string, pager pagination.Pager, extract func(pagination.Page) ([]T, error)) ([]T, error) {
	page, err := pager.AllPages(ctx)
	if err == nil {
		var all []T
		if all, err = extract(page); err == nil {
			return all, nil
		}
	}
	return nil, s.fail("look for "+what, err)
}

// one is the first of what was found, nil when nothing was. Names are unique
// in a Keystone where one is used.
func one[T any](found []T, err error) (*T, error) {
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// fail says what could not be done on which Keystone.
func (s *session) fail(what string, err error) error {
	return fmt.Errorf("%s in %s: %w", what, s.keystone, s.explain(err))
}

// known are IDs by name, as far as they were asked for or stood in a token.
type known struct {
	mu      sync.Mutex // held while asking: nobody else need ask for the same
	domains map[string]string
	roles   map[string]string
}

func newKnown() *known {
	return &known{domains: make(map[string]string), roles: make(map[string]string)}
}

// learn takes from a token what it says of its owner: where one administers a
// Keystone, one mostly is in the domain and has the role that are looked for.
func (k *known) learn(token tokens.CreateResult) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if u, err := token.ExtractUser(); err == nil && u != nil && u.Domain.Name != "" {
		k.domains[u.Domain.Name] = u.Domain.ID
	}
	if p, err := token.ExtractProject(); err == nil && p != nil && p.Domain.Name != "" {
		k.domains[p.Domain.Name] = p.Domain.ID
	}
	found, err := token.ExtractRoles()
	if err != nil {
		return
	}
	for _, r := range found {
		k.roles[r.Name] = r.ID
	}
}

// role returns the ID of a role, "" if it is not known.
func (k *known) role(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.roles[name]
}

// domain returns the ID of a domain.
func (s *session) domain(ctx context.Context, name string) (string, error) {
	s.known.mu.Lock()
	defer s.known.mu.Unlock()
	if id := s.known.domains[name]; id != "" {
		return id, nil
	}
	d, err := one(list(ctx, s, "domain "+name,
		domains.List(s.client, domains.ListOpts{Name: name}), domains.ExtractDomains))
	if err != nil {
		return "", err
	}
	if d == nil {
		return "", fmt.Errorf("look for domain %s in %s: there is none: create it, or name another one", name, s.keystone)
	}
	s.known.domains[name] = d.ID
	return d.ID, nil
}

func (s *session) project(ctx context.Context, domain, name string) (*projects.Project, error) {
	id, err := s.domain(ctx, domain)
	if err != nil {
		return nil, err
	}
	return one(list(ctx, s, "project "+name,
		projects.List(s.client, projects.ListOpts{Name: name, DomainID: id}), projects.ExtractProjects))
}

func (s *session) user(ctx context.Context, domain, name string) (*users.User, error) {
	id, err := s.domain(ctx, domain)
	if err != nil {
		return nil, err
	}
	return one(list(ctx, s, "user "+name,
		users.List(s.client, users.ListOpts{Name: name, DomainID: id}), users.ExtractUsers))
}

func (s *session) role(ctx context.Context, name string) (*roles.Role, error) {
	if id := s.known.role(name); id != "" {
		return &roles.Role{ID: id, Name: name}, nil
	}
	return one(list(ctx, s, "role "+name,
		roles.List(s.client, roles.ListOpts{Name: name}), roles.ExtractRoles))
}

// assigned reports whether the user itself has the role on the project.
func (s *session) assigned(ctx context.Context, user, role, project string) (bool, error) {
	found, err := list(ctx, s, "role assignment",
		roles.ListAssignments(s.client, roles.ListAssignmentsOpts{UserID: user, RoleID: role, ScopeProjectID: project}),
		roles.ExtractRoleAssignments)
	return len(found) > 0, err
}

// service finds the service of a type: the one of that name, or the only one
// of that type. It is an error when it is not clear which one is meant.
func (s *session) service(ctx context.Context, kind, name string) (*services.Service, error) {
	all, err := list(ctx, s, "service "+name,
		services.List(s.client, services.ListOpts{ServiceType: kind}), services.ExtractServices)
	if err != nil {
		return nil, err
	}
	var named []services.Service
	var others []string
	for _, v := range all {
		if v.Name == name {
			named = append(named, v)
		} else {
			others = append(others, fmt.Sprintf("%s (%s)", v.ID, v.Name))
		}
	}
	switch {
	case len(named) == 1:
		return &named[0], nil
	case len(named) > 1:
		return nil, fmt.Errorf("look for service %s in %s: there are %d services of type %s with that name: delete the wrong ones",
			name, s.keystone, len(named), kind)
	case len(all) > 1:
		return nil, fmt.Errorf("look for service %s in %s: several services of type %s, none with that name: %s: delete the wrong ones, or rename the right one",
			name, s.keystone, kind, strings.Join(others, ", "))
	case len(all) == 1:
		return &all[0], nil
	}
	return nil, nil
}

// endpoints returns all endpoints of a service, of every region.
func (s *session) endpoints(ctx context.Context, service string) ([]endpoints.Endpoint, error) {
	return list(ctx, s, "endpoints",
		endpoints.List(s.client, endpoints.ListOpts{ServiceID: service}), endpoints.ExtractEndpoints)
}

// canLogIn tries a user's password, without a project: whether the role is
// there is another question.
func (s *session) canLogIn(ctx context.Context, user *users.User, password string) (bool, error) {
	_, err := s.authenticate(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: s.keystone.AuthURL, UserID: user.ID, Password: password,
	})
	if gophercloud.ResponseCodeIs(err, 401) {
		return false, nil
	}
	if err != nil {
		return false, s.fail("log in as "+user.Name, err)
	}
	return true, nil
}
