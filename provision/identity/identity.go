// Package identity registers a service in a Keystone, over the Identity API
// v3: its project, user, role, catalog entry and endpoints.
//
// It talks through the connection to the Keystone's node, so that the
// Keystone need not be reachable from anywhere else. Package roles makes the
// resources. It knows nothing of what the service does.
package identity

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"glancectl/provision"
)

// A Keystone is an Identity service and the way to administer it.
type Keystone struct {
	Name    string // of the instance, for people
	AuthURL string // ends in /v3
	Region  string
	Admin   Credentials
	// Wait is how long Observe waits for a Keystone that does not answer
	// yet; 0 means one minute.
	Wait time.Duration
	// Progress, when given, is told what is being waited for.
	Progress func(text string)
}

// Credentials are an administrator's: the name of a file on the Keystone's
// node, variables of an environment, or the fields. Of a file, only the credentials are used; the address
// and the region are the Keystone's.
type Credentials struct {
	Openrc     string // a file of "export OS_..." lines
	CloudsYAML string // a clouds.yaml; a secure.yaml beside it is read as well
	Cloud      string // the entry of CloudsYAML; "" when it has only one

	// Environment has variables of the OpenStack clients; nil means the fields.
	// Without a project it is admin's. OS_CACERT is not among them: its file is
	// on another machine than the node.
	Environment map[string]string

	Username      string
	Password      string
	Project       string
	UserDomain    string // "" means Default
	ProjectDomain string // "" means Default
}

// A Registration is a service's place in a Keystone. As a resource it sees to
// it that
//
//   - the project, the role and the user exist, the user is enabled, can log
//     in with Password and has the role on the project,
//   - the catalog has the service, by that name and enabled,
//   - the service has exactly one endpoint of each interface in the region,
//     with the given URL.
//
// Endpoints in other regions and other roles of the user are left alone.
type Registration struct {
	Keystone Keystone

	Project  string // "" means service
	Domain   string // of project and user; "" means Default. It must exist
	User     string
	Password string
	// Untried, if it is set and true, says that nobody can have Password yet.
	// The first Observe makes it false, and does not try to log in with it.
	Untried *atomic.Bool
	Role    string // "" means admin

	ServiceName string // such as glance
	ServiceType string // such as image
	Description string // used when the service is created

	PublicURL   string
	InternalURL string
	AdminURL    string
}

// Removal takes away what a Registration put there: the endpoints in the
// region, the service when no other region has endpoints of it, and the user.
// Project and role stay, because others may use them.
type Removal struct {
	Keystone    Keystone
	Domain      string // "" means Default
	User        string // "" leaves the user
	ServiceName string
	ServiceType string
}

// Errors that tell what kind of failure it was; everything else is an answer
// that nobody expected.
var (
	// ErrConnect means that no Keystone answered.
	ErrConnect = errors.New("cannot connect")
	// ErrRefused means wrong credentials, or credentials that may not do
	// what was needed.
	ErrRefused = errors.New("refused")
	// ErrCredentials means that no usable credentials were found.
	ErrCredentials = errors.New("no usable credentials")
)

// ID names the resource.
func (g Registration) ID() string { return "keystone:" + g.Keystone.Name + "/" + g.ServiceName }

// ID names the resource.
func (m Removal) ID() string { return "keystone-removal:" + m.Keystone.Name + "/" + m.ServiceName }

// String names the Keystone without credentials.
func (k Keystone) String() string { return "keystone " + k.Name }

// GoString is String, so that no verb of fmt shows a password.
func (k Keystone) GoString() string { return k.String() }

// String masks the credentials.
func (c Credentials) String() string { return "(sensitive)" }

// GoString is String, so that no verb of fmt shows a password.
func (c Credentials) GoString() string { return c.String() }

// String names the registration without its password.
func (g Registration) String() string { return fmt.Sprintf("%s in %s", g.ServiceName, g.Keystone) }

// GoString is String, so that no verb of fmt shows a password.
func (g Registration) GoString() string { return g.String() }

// Queries asks for the files that the credentials are in.
func (g Registration) Queries() []provision.Query { return g.Keystone.Admin.queries() }

// Queries asks for the files that the credentials are in.
func (m Removal) Queries() []provision.Query { return m.Keystone.Admin.queries() }

// Observe asks the Keystone what is there, waiting for it when it does not
// answer yet. It returns one change for each thing that is missing or wrong.
func (g Registration) Observe(ctx context.Context, r provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	g = g.withDefaults()
	if g.Password == "" {
		return nil, fmt.Errorf("%s: no password given for user %s", g, g.User)
	}
	s, err := g.Keystone.reach(ctx, r, f)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.secrets = append(s.secrets, g.Password)
	untried := g.Untried != nil && g.Untried.Swap(false)
	if !untried && g.settled(ctx, s) {
		return nil, nil
	}
	if err := s.logIn(ctx); err != nil {
		return nil, err
	}
	found, err := g.look(ctx, s)
	if err != nil {
		return nil, err
	}
	return s.changes(g.ID(), g.compare(found)), nil
}

// Observe asks the Keystone what of it is still there.
func (m Removal) Observe(ctx context.Context, r provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	if m.Domain == "" {
		m.Domain = defaultDomain
	}
	s, err := m.Keystone.reach(ctx, r, f)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.logIn(ctx); err != nil {
		return nil, err
	}
	steps, err := m.look(ctx, s)
	if err != nil {
		return nil, err
	}
	return s.changes(m.ID(), steps), nil
}

const defaultDomain = "Default"

func (g Registration) withDefaults() Registration {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&g.Domain, defaultDomain)
	set(&g.Project, "service")
	set(&g.Role, "admin")
	return g
}

// A step is a change before it knows how its machine is reached.
type step struct {
	id      string
	action  provision.Action
	summary string
	beside  bool // as in provision.Change
	do      func(ctx context.Context, s *session) error
}

// changes gives each step a session of its own when it is executed, with the
// token of this one.
func (s *session) changes(id string, steps []step) []provision.Change {
	var changes []provision.Change
	for _, step := range steps {
		changes = append(changes, provision.Change{
			ID:      id + "/" + step.id,
			Action:  step.action,
			Summary: step.summary,
			Beside:  step.beside,
			Do: func(ctx context.Context, w provision.Writer) error {
				again := s.through(w)
				defer again.close()
				return step.do(ctx, again)
			},
		})
	}
	return changes
}
