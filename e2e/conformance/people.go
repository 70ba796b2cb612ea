package conformance

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"

	"glancectl/e2e/lab"
	"glancectl/e2e/peer"
)

// people are the personas that scripts name, besides
//
//	admin      role admin in the project admin
//	nobody     sends no token
//	stranger   sends a token that is none
//	system     is the same admin, for the whole cloud and for no project
//	homeless   is member, for no project
//
// Each has one role in one project, and in scripts $NAME_user and
// $NAME_project are the two IDs.
var people = []struct{ name, project, role string }{
	{"member", "one", "member"},
	{"second", "one", "member"},
	{"reader", "one", "reader"},
	{"guest", "one", "guest"}, // a role that no rule knows
	{"other", "two", "member"},
	{"third", "three", "member"},
	{"service", "service", "service"},
	{"glance", "service", "admin"}, // the account of both services
}

// An identity is what the lab's Keystone was filled with.
type identity struct {
	client        *gophercloud.ServiceClient
	login         peer.Login // whose password all people but admin have
	adminPassword string
	tokens        map[string]string // by persona
	vars          map[string]string
}

// populate makes the people and returns their tokens.
func populate(ctx context.Context, l *lab.Lab) (*identity, error) {
	provider, err := logIn(ctx, "admin", l.AdminPassword(), "admin")
	if err != nil {
		return nil, err
	}
	client, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{Region: lab.Region})
	if err != nil {
		return nil, err
	}
	id := &identity{
		client: client,
		tokens: map[string]string{"admin": provider.Token(), "stranger": "gAAAAAnonsense"},
		vars:   make(map[string]string),

		adminPassword: l.AdminPassword(),
	}
	password := rand.Text()
	id.login = peer.Login{User: "glance", Password: password, Project: "service"}
	projectIDs, roleIDs := make(map[string]string), make(map[string]string)
	if err := id.roles(ctx, roleIDs); err != nil {
		return nil, err
	}
	for _, p := range people {
		if projectIDs[p.project] == "" {
			made, err := projects.Create(ctx, client, projects.CreateOpts{Name: p.project, DomainID: "default"}).Extract()
			if err != nil {
				return nil, fmt.Errorf("project %s: %w", p.project, err)
			}
			projectIDs[p.project] = made.ID
		}
		user, err := users.Create(ctx, client, users.CreateOpts{Name: p.name, Password: password, DomainID: "default"}).Extract()
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", p.name, err)
		}
		assign := roles.AssignOpts{UserID: user.ID, ProjectID: projectIDs[p.project]}
		if err := roles.Assign(ctx, client, roleIDs[p.role], assign).ExtractErr(); err != nil {
			return nil, fmt.Errorf("role of %s: %w", p.name, err)
		}
		provider, err := logIn(ctx, p.name, password, p.project)
		if err != nil {
			return nil, fmt.Errorf("token of %s: %w", p.name, err)
		}
		id.tokens[p.name] = provider.Token()
		id.vars[p.name+"_user"], id.vars[p.name+"_project"] = user.ID, projectIDs[p.project]
	}
	return id, id.elsewhere(ctx)
}

// elsewhere gets the tokens that are for no project.
func (id *identity) elsewhere(ctx context.Context) error {
	for who, login := range map[string]gophercloud.AuthOptions{
		"system":   {Username: "admin", Password: id.adminPassword, Scope: &gophercloud.AuthScope{System: true}},
		"homeless": {Username: "member", Password: id.login.Password},
	} {
		login.IdentityEndpoint, login.DomainName = lab.AuthURL, "Default"
		provider, err := authenticate(ctx, login)
		if err != nil {
			return fmt.Errorf("token of %s: %w", who, err)
		}
		id.tokens[who] = provider.Token()
	}
	return nil
}

// roles makes the roles that are missing.
func (id *identity) roles(ctx context.Context, ids map[string]string) error {
	pages, err := roles.List(id.client, nil).AllPages(ctx)
	if err != nil {
		return err
	}
	all, err := roles.ExtractRoles(pages)
	if err != nil {
		return err
	}
	for _, r := range all {
		ids[r.Name] = r.ID
	}
	for _, p := range people {
		if ids[p.role] != "" {
			continue
		}
		made, err := roles.Create(ctx, id.client, roles.CreateOpts{Name: p.role}).Extract()
		if err != nil {
			return fmt.Errorf("role %s: %w", p.role, err)
		}
		ids[p.role] = made.ID
	}
	return nil
}

// environments are the variables with which the clients log in, by persona.
// The glance client is given a token and the service's address, as scripts do;
// the openstack client finds both by itself.
func (id *identity) environments() map[string]map[string]string {
	of := func(user, password, project string) map[string]string {
		return map[string]string{
			"OS_AUTH_TOKEN": id.tokens[user], "OS_IMAGE_URL": "http://" + oursAddr,
			"OS_AUTH_URL": lab.AuthURL, "OS_IDENTITY_API_VERSION": "3", "OS_REGION_NAME": lab.Region,
			"OS_USERNAME": user, "OS_PASSWORD": password, "OS_PROJECT_NAME": project,
			"OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
		}
	}
	all := map[string]map[string]string{"admin": of("admin", id.adminPassword, "admin")}
	for _, p := range people {
		all[p.name] = of(p.name, id.login.Password, p.project)
	}
	return all
}

// register makes url known as the service of a type in the lab's region.
func (id *identity) register(ctx context.Context, kind, name, url string) error {
	enabled := true
	made, err := services.Create(ctx, id.client, services.CreateOpts{
		Type: kind, Enabled: &enabled, Extra: map[string]any{"name": name},
	}).Extract()
	if err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}
	for _, a := range []gophercloud.Availability{gophercloud.AvailabilityPublic, gophercloud.AvailabilityInternal, gophercloud.AvailabilityAdmin} {
		opts := endpoints.CreateOpts{Name: name, Availability: a, Region: lab.Region, URL: url, ServiceID: made.ID}
		if _, err := endpoints.Create(ctx, id.client, opts).Extract(); err != nil {
			return fmt.Errorf("%s endpoint of %s: %w", a, name, err)
		}
	}
	return nil
}

// logIn gets a token for a project.
func logIn(ctx context.Context, user, password, project string) (*gophercloud.ProviderClient, error) {
	return authenticate(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: lab.AuthURL, Username: user, Password: password,
		TenantName: project, DomainName: "Default", AllowReauth: true,
	})
}

func authenticate(ctx context.Context, o gophercloud.AuthOptions) (*gophercloud.ProviderClient, error) {
	provider, err := openstack.NewClient(o.IdentityEndpoint)
	if err != nil {
		return nil, err
	}
	// The Keystone's server closes connections without a word.
	provider.HTTPClient.Transport = &http.Transport{DisableKeepAlives: true}
	return provider, openstack.Authenticate(ctx, provider, o)
}
