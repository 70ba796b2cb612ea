package roles

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/broker"
	"glancectl/provision/dbserver"
	"glancectl/provision/identity"
)

// What the service is called in a Keystone's catalog.
const (
	serviceName        = "glance"
	serviceType        = "image"
	serviceDescription = "OpenStack Image service"
)

// databaseStage gives the service its database and user. Without them nothing
// later can work, so it is required.
func databaseStage(sites []site) (provision.Stage, error) {
	return databasePeer(provision.Stage{Name: "database", Required: true}, sites, func(s site, m dbserver.Server) provision.Resource {
		return dbserver.Account{
			Server: m, Database: s.g.Database.Name,
			User: s.g.Database.User, Password: s.databasePassword().Reveal(),
		}
	})
}

// databaseRemoval drops what databaseStage made.
func databaseRemoval(sites []site) (provision.Stage, error) {
	return databasePeer(provision.Stage{Name: "database"}, sites, func(s site, m dbserver.Server) provision.Resource {
		return dbserver.Removal{Server: m, Database: s.g.Database.Name, User: s.g.Database.User}
	})
}

// databasePeer gives a stage the MySQL as its target; without one it has none.
func databasePeer(stage provision.Stage, sites []site, work func(site, dbserver.Server) provision.Resource) (provision.Stage, error) {
	if len(sites) == 0 || sites[0].g.Database.Type != proposals.DatabaseMySQL {
		return stage, nil
	}
	m, err := sites[0].mysql()
	if err == nil {
		stage.Targets = []provision.Target{peer("mysql", m.Name, m.Node, work(sites[0], dbServer(m)))}
	}
	return stage, err
}

func dbServer(m *proposals.MySQL) dbserver.Server {
	return dbserver.Server{
		Name: m.Name, Socket: m.Socket, Port: m.Port,
		AdminUser: m.AdminUser, AdminPassword: m.AdminPassword.Reveal(),
	}
}

// brokerStage gives the service its place on the broker. Notifications wait for
// it: the service runs without.
func brokerStage(sites []site) (provision.Stage, error) {
	return brokerPeer(provision.Stage{Name: "broker", Beside: true}, sites, func(s site, name string) provision.Resource {
		r := s.g.RabbitMQ
		return broker.Account{Server: name, VirtualHost: r.VirtualHost, User: r.User, Password: s.brokerPassword().Reveal()}
	})
}

// brokerRemoval takes away what brokerStage made.
func brokerRemoval(sites []site) (provision.Stage, error) {
	return brokerPeer(provision.Stage{Name: "broker"}, sites, func(s site, name string) provision.Resource {
		return broker.Removal{Server: name, VirtualHost: s.g.RabbitMQ.VirtualHost, User: s.g.RabbitMQ.User}
	})
}

// brokerPeer gives a stage the RabbitMQ as its target; without one it has none.
func brokerPeer(stage provision.Stage, sites []site, work func(site, string) provision.Resource) (provision.Stage, error) {
	if len(sites) == 0 || sites[0].g.RabbitMQ == nil {
		return stage, nil
	}
	m, err := sites[0].rabbitmq()
	if err == nil {
		stage.Targets = []provision.Target{peer("rabbitmq", m.Name, m.Node, work(sites[0], m.Name))}
	}
	return stage, err
}

// keystoneStage registers the service, while the nodes are installed. The
// daemons cannot validate a token before that, so it is required.
func keystoneStage(sites []site) (provision.Stage, error) {
	untried := new(atomic.Bool)
	untried.Store(len(sites) > 0 && sites[0].o.NewServicePassword)
	return keystonePeer(provision.Stage{Name: "keystone", Required: true, Beside: true}, sites, func(s site, k identity.Keystone) provision.Resource {
		r := s.g.Keystone
		return identity.Registration{
			Keystone: k,
			Project:  r.ServiceProject, Domain: r.Domain, Role: r.ServiceRole,
			User: r.ServiceUser, Password: s.servicePassword().Reveal(), Untried: untried,
			ServiceName: serviceName, ServiceType: serviceType, Description: serviceDescription,
			PublicURL:   s.endpoint(r.PublicHost),
			InternalURL: s.endpoint(r.InternalHost),
			AdminURL:    s.endpoint(r.AdminHost),
		}
	})
}

// keystoneRemoval takes away what keystoneStage registered.
func keystoneRemoval(sites []site) (provision.Stage, error) {
	return keystonePeer(provision.Stage{Name: "keystone"}, sites, func(s site, k identity.Keystone) provision.Resource {
		return identity.Removal{
			Keystone: k, Domain: s.g.Keystone.Domain, User: s.g.Keystone.ServiceUser,
			ServiceName: serviceName, ServiceType: serviceType,
		}
	})
}

// keystonePeer gives a stage the Keystone as its target; without one it has none.
func keystonePeer(stage provision.Stage, sites []site, work func(site, identity.Keystone) provision.Resource) (provision.Stage, error) {
	if len(sites) == 0 || sites[0].g.Keystone == nil {
		return stage, nil
	}
	k, err := sites[0].keystone()
	if err == nil {
		stage.Targets = []provision.Target{peer("keystone", k.Name, k.Node, work(sites[0], identityService(k)))}
	}
	return stage, err
}

func identityService(k *proposals.Keystone) identity.Keystone {
	a := k.Admin
	var environment map[string]string
	if a.Environment != nil {
		environment = map[string]string{}
		for name, value := range a.Environment {
			environment[name] = value.Reveal()
		}
	}
	return identity.Keystone{
		Name: k.Name, AuthURL: k.AuthURL, Region: k.Region,
		Admin: identity.Credentials{
			Environment: environment,
			Openrc:      a.Openrc, CloudsYAML: a.CloudsYAML, Cloud: a.Cloud,
			Username: a.Username, Password: a.Password.Reveal(), Project: a.Project,
			UserDomain: a.UserDomain, ProjectDomain: a.ProjectDomain,
		},
	}
}

// endpoint returns the URL of the api on a host. It names no version: clients
// ask for the versions themselves.
func (s site) endpoint(host string) string {
	if host == "" {
		host = s.node.Address
	}
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(host, strconv.Itoa(s.g.API.Port))}
	return u.String()
}

// peer returns a service on another machine as a target. An instance without
// a node is worked on from the machine that glancectl runs on: its host is "".
func peer(kind, name, node string, r provision.Resource) provision.Target {
	what := fmt.Sprintf("%s %s", kind, name)
	if node != "" {
		what += " on " + node
	}
	return provision.Target{Host: node, Name: what, Resources: []provision.Resource{r}}
}
