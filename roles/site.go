package roles

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"glancectl/proposals"
	"glancectl/provision"
)

// A site is one image node of a proposal, with all that is needed to say what
// is on it.
type site struct {
	p      *proposals.Proposal
	g      *proposals.GlanceServer
	m      manifest
	o      Options
	node   *proposals.Node
	masked bool // passwords are shown as masks
}

// sitesOf returns the image nodes in the order of the role.
func sitesOf(p *proposals.Proposal, o Options) ([]site, error) {
	if p.Glance == nil {
		return nil, nil
	}
	m, err := readManifest(glanceServer)
	if err != nil {
		return nil, err
	}
	var sites []site
	for _, name := range p.Glance.Nodes {
		n := p.Node(name)
		if n == nil {
			return nil, fmt.Errorf("proposal %s: role glance-server: no node %q", p.Name, name)
		}
		sites = append(sites, site{p: p, g: p.Glance, m: m, o: o, node: n})
	}
	return sites, nil
}

// target returns resources of this node as a target of a stage.
func (s site) target(resources ...provision.Resource) provision.Target {
	return provision.Target{Host: s.node.Name, Name: s.node.Name, Resources: resources}
}

// systemd reports whether the node has units, users and cron, and not just
// processes of the calling user.
func (s site) systemd() bool {
	return s.node.Init != proposals.InitProcess
}

// path returns where an absolute path of the proposal or of the manifest is
// on the node.
func (s site) path(p string) string {
	return path.Join("/", s.node.Root, p)
}

// root, user and group own things on the node. They are empty where the
// calling user owns everything.
func (s site) root() string  { return s.owner("root") }
func (s site) user() string  { return s.owner(s.g.User) }
func (s site) group() string { return s.owner(s.g.Group) }

func (s site) owner(name string) string {
	if s.systemd() {
		return name
	}
	return ""
}

// reveal returns a secret as it is to stand in a file.
func (s site) reveal(secret proposals.Secret) string {
	if s.masked && !secret.IsZero() && secret.Reveal() != generatedSecret {
		return hiddenSecret
	}
	return secret.Reveal()
}

// databasePassword is the given one or the generated one.
func (s site) databasePassword() proposals.Secret {
	if s.g.Database.Password.IsZero() {
		return s.o.Secrets.DatabasePassword
	}
	return s.g.Database.Password
}

// servicePassword is the given one or the generated one.
func (s site) servicePassword() proposals.Secret {
	if k := s.g.Keystone; k != nil && !k.ServicePassword.IsZero() {
		return k.ServicePassword
	}
	return s.o.Secrets.ServicePassword
}

// brokerPassword is the given one or the generated one.
func (s site) brokerPassword() proposals.Secret {
	if r := s.g.RabbitMQ; r != nil && !r.Password.IsZero() {
		return r.Password
	}
	return s.o.Secrets.BrokerPassword
}

// databaseURL is where the catalog is, as SQLAlchemy writes it.
func (s site) databaseURL() (string, error) {
	d := s.g.Database
	if d.Type == proposals.DatabaseSQLite {
		return "sqlite:///" + s.path(s.sqliteFile()), nil
	}
	m, err := s.mysql()
	if err != nil {
		return "", err
	}
	password := s.reveal(s.databasePassword())
	if password != hiddenSecret {
		password = percentEncode(password)
	}
	return fmt.Sprintf("mysql+pymysql://%s:%s@%s/%s?charset=utf8",
		percentEncode(d.User), password, net.JoinHostPort(m.Address, strconv.Itoa(m.Port)), percentEncode(d.Name)), nil
}

// sqliteFile is the database's path in the proposal, "" without SQLite.
func (s site) sqliteFile() string {
	if s.g.Database.Type != proposals.DatabaseSQLite {
		return ""
	}
	return strings.TrimPrefix(s.g.Database.Connection, "sqlite:///")
}

func (s site) mysql() (*proposals.MySQL, error) {
	for _, m := range s.p.MySQL {
		if m.Name == s.g.Database.Instance {
			return m, nil
		}
	}
	return nil, fmt.Errorf("role glance-server: no mysql %q", s.g.Database.Instance)
}

func (s site) rabbitmq() (*proposals.RabbitMQ, error) {
	for _, m := range s.p.RabbitMQ {
		if m.Name == s.g.RabbitMQ.Instance {
			return m, nil
		}
	}
	return nil, fmt.Errorf("role glance-server: no rabbitmq %q", s.g.RabbitMQ.Instance)
}

func (s site) keystone() (*proposals.Keystone, error) {
	for _, k := range s.p.Keystone {
		if k.Name == s.g.Keystone.Instance {
			return k, nil
		}
	}
	return nil, fmt.Errorf("role glance-server: no keystone %q", s.g.Keystone.Instance)
}

// percentEncode encodes s for any part of a URL. A space is %20, because some
// readers of the URL take a plus sign as it is.
func percentEncode(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// bindHost is the address that a daemon listens on.
func (s site) bindHost(d proposals.Daemon) string {
	if d.BindToAll {
		return "0.0.0.0"
	}
	return s.node.Address
}

// dialAddress is where a daemon answers, seen from its own node.
func (s site) dialAddress(d proposals.Daemon) string {
	host := s.node.Address
	if d.BindToAll {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(d.Port))
}

// pidFile is where a daemon's process id is.
func (s site) pidFile(program string) string {
	return s.path(path.Join(s.g.PIDDirectory, program+".pid"))
}

func (s site) lockPath() string {
	return s.path(path.Join(s.g.WorkingDirectory, "lock"))
}

// stagingDir is where image data is that is on its way in.
func (s site) stagingDir() string {
	return s.path(path.Join(s.g.WorkingDirectory, "staging"))
}

// fileBacking returns the directory of the file backing, "" without one.
func (s site) fileBacking() string {
	for _, b := range s.g.Backings {
		if b.Type == "file" {
			return b.Directory
		}
	}
	return ""
}

// swiftBacking returns the Swift backing, nil without one.
func (s site) swiftBacking() *proposals.Backing {
	i := slices.IndexFunc(s.g.Backings, func(b proposals.Backing) bool { return b.Type == "swift" })
	if i < 0 {
		return nil
	}
	return &s.g.Backings[i]
}

// elements are all processes of the role.
func (s site) elements() []proposals.Element {
	g := s.g
	return []proposals.Element{
		g.API.Element, g.Registry.Element,
		g.Scrubber.Element, g.Reaper.Element, g.Pruner.Element, g.Prefetcher.Element,
	}
}
