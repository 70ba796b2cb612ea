package proposals

import (
	"cmp"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// proposal decodes one proposal block. The result is complete only if
// nothing was reported.
func (d *decoder) proposal(b *labelled) *Proposal {
	var raw proposalBlock
	d.block("proposal", b.plain(), &raw)
	d.name("proposal", b)
	p := &Proposal{Name: b.Label, Description: d.str(raw.Description), File: b.DefRange.Filename}

	n := nodeReader{decoder: d, p: p, places: map[string]hcl.Range{}, addresses: map[string]string{}}
	n.ssh = d.sshDefaults(d.single("ssh", raw.SSH), b.DefRange)
	for _, nb := range raw.Nodes {
		n.read(nb)
	}
	if p.Inventory = d.local(raw.Inventory); p.Inventory != "" {
		n.inventory(p.Inventory, raw.Inventory)
	}
	for _, mb := range raw.MySQL {
		d.mysql(p, mb)
	}
	for _, rb := range raw.RabbitMQ {
		d.rabbitmq(p, rb)
	}
	for _, kb := range raw.Keystone {
		d.keystone(p, kb)
	}
	for i, rb := range raw.Roles {
		d.role(p, rb, i)
	}
	return p
}

// name checks the label of a block that others refer to.
func (d *decoder) name(kind string, b *labelled) {
	if !ident.MatchString(b.Label) {
		d.errorf(b.LabelRange, "Use letters, digits and . _ -, at most 63, a letter or digit first.", "bad name of a %s: %q", kind, b.Label)
	}
}

// A nodeReader collects the nodes of a proposal from its blocks and its
// inventory.
type nodeReader struct {
	*decoder
	p         *Proposal
	ssh       *sshBlock // what holds for a node that says nothing else
	places    map[string]hcl.Range
	addresses map[string]string // node by address, in one spelling
}

func (n *nodeReader) read(b *labelled) {
	var raw nodeBlock
	n.block("node", b.plain(), &raw)
	n.name("node", b)
	var over sshBlock
	if ssh := n.single("ssh", raw.SSH); ssh != nil {
		n.given("ssh", ssh, &over)
	}
	n.node(b.Label, b.LabelRange, &raw, &over)
}

// node adds one node, wherever it was named.
func (n *nodeReader) node(name string, place hcl.Range, raw *nodeBlock, over *sshBlock) {
	if first, ok := n.places[name]; ok {
		n.errorf(place, fmt.Sprintf("The other one is at %s. Rename or remove one of them.", placeText(first)), "two nodes are called %q", name)
		return
	}
	n.places[name] = place
	node := &Node{
		Name:    name,
		Address: n.host(raw.Address),
		Connect: n.choice(raw.Connection, ConnectSSH, ConnectLocal),
		Init:    n.choice(raw.Init, InitSystemd, InitProcess),
		Root:    n.root(raw.Root),
		SSH:     n.login(n.ssh, over),
	}
	if raw.Address == nil && node.Connect == ConnectLocal {
		node.Address = "127.0.0.1"
	} else if raw.Address == nil {
		n.errorf(place, `Write address = "..." with its IP address or host name, or connection = "local" for this machine.`, "node %q has no address", name)
	}
	if node.Init == InitProcess && raw.Root == nil {
		n.errorf(place, `Write root = "..." with the directory that everything goes below.`, "node %q has init = \"process\" but no root", name)
	}
	key := canonicalHost(node.Address)
	if other, ok := n.addresses[key]; ok && key != "" {
		rng := place
		if raw.Address != nil {
			rng = raw.Address.Expr.Range()
		}
		n.errorf(rng, "Name the machine once, and give it all its roles.", "nodes %q and %q have one address: %q", other, name, node.Address)
	} else {
		n.addresses[key] = name
	}
	n.p.Nodes = append(n.p.Nodes, node)
}

// blankEnd finds a name that begins or ends with a blank.
var blankEnd = regexp.MustCompile(`/ | (/|$)`)

// root returns the absolute directory that a node's paths are put below.
func (n *nodeReader) root(a *hcl.Attribute) string {
	s := n.local(a)
	if s == "" {
		return ""
	}
	abs, err := filepath.Abs(s)
	// A clone may be anywhere, so there may be blanks within names.
	if err != nil || !plainPath.MatchString(strings.ReplaceAll(abs, " ", "")) || blankEnd.MatchString(abs) {
		n.errorf(a.Expr.Range(), "Use letters, digits, blanks within names and . _ - @ + : , = only, also in the directories above it.", "root holds a character that is not allowed: %q", abs)
		return ""
	}
	if abs == "/" {
		return ""
	}
	return abs
}

// sshDefaults decodes the ssh block of a proposal, which need not be there.
func (d *decoder) sshDefaults(b *plain, def hcl.Range) *sshBlock {
	raw := new(sshBlock)
	if b == nil {
		b = &plain{DefRange: def, Body: hcl.EmptyBody()}
	}
	d.block("ssh", b, raw)
	d.login(raw, &sshBlock{}) // reports mistakes of a proposal without nodes
	return raw
}

func (d *decoder) login(base, over *sshBlock) SSH {
	return SSH{
		User:           d.matching(cmp.Or(over.User, base.User), sshUser, "Write the name of an account on the node."),
		Port:           d.port(cmp.Or(over.Port, base.Port)),
		PrivateKey:     d.local(cmp.Or(over.PrivateKey, base.PrivateKey)),
		KnownHosts:     d.local(cmp.Or(over.KnownHosts, base.KnownHosts)),
		HostKeys:       d.choice(cmp.Or(over.HostKeys, base.HostKeys), "strict", "accept-new"),
		ConnectTimeout: d.duration(cmp.Or(over.ConnectTimeout, base.ConnectTimeout)),
		CommandTimeout: d.duration(cmp.Or(over.CommandTimeout, base.CommandTimeout)),
	}
}

// nodeNamed returns the node that a names; nil after reporting that there is
// none, or when a was left out.
func (d *decoder) nodeNamed(p *Proposal, a *hcl.Attribute) *Node {
	name, ok := d.text(a)
	if !ok {
		return nil
	}
	node := p.Node(name)
	if node == nil {
		d.errorf(a.Expr.Range(), advise(name, nodeNames(p)), "unknown node %q", name)
	}
	return node
}

func nodeNames(p *Proposal) []string {
	var names []string
	for _, n := range p.Nodes {
		names = append(names, n.Name)
	}
	return names
}

func (d *decoder) mysql(p *Proposal, b *labelled) {
	var raw mysqlBlock
	d.block("mysql", b.plain(), &raw)
	d.name("mysql", b)
	m := &MySQL{Name: b.Label, Port: d.port(raw.Port), Socket: d.file(raw.Socket), Address: d.host(raw.Address)}
	if node := d.nodeNamed(p, raw.Node); node != nil {
		m.Node = node.Name
		m.Address = cmp.Or(m.Address, node.Address)
	}
	if block := d.single("admin", raw.Admin); block != nil {
		var admin mysqlAdminBlock
		d.block("mysql.admin", block, &admin)
		m.AdminUser, m.AdminPassword = d.matching(admin.User, databaseUser, databaseUserAdvice), d.secret(admin.Password)
	}
	if slices.ContainsFunc(p.MySQL, func(o *MySQL) bool { return o.Name == m.Name }) {
		d.errorf(b.LabelRange, "Rename or remove one of them.", "two mysql instances are called %q", m.Name)
		return
	}
	p.MySQL = append(p.MySQL, m)
}

func (d *decoder) rabbitmq(p *Proposal, b *labelled) {
	var raw rabbitmqBlock
	d.block("rabbitmq", b.plain(), &raw)
	d.name("rabbitmq", b)
	m := &RabbitMQ{Name: b.Label, Port: d.port(raw.Port), Address: d.host(raw.Address)}
	if node := d.nodeNamed(p, raw.Node); node != nil {
		m.Node = node.Name
		m.Address = cmp.Or(m.Address, node.Address)
	}
	if slices.ContainsFunc(p.RabbitMQ, func(o *RabbitMQ) bool { return o.Name == m.Name }) {
		d.errorf(b.LabelRange, "Rename or remove one of them.", "two rabbitmq instances are called %q", m.Name)
		return
	}
	p.RabbitMQ = append(p.RabbitMQ, m)
}

func (d *decoder) keystone(p *Proposal, b *labelled) {
	var raw keystoneBlock
	d.block("keystone", b.plain(), &raw)
	d.name("keystone", b)
	k := &Keystone{Name: b.Label, AuthURL: d.identityURL(raw.AuthURL), Region: d.filled(raw.Region)}
	if node := d.nodeNamed(p, raw.Node); node != nil {
		k.Node = node.Name
	}
	if admin := d.single("admin", raw.Admin); admin != nil {
		k.Admin = d.admin(admin, k)
	} else {
		k.Admin = d.adminFromEnvironment(b)
	}
	if slices.ContainsFunc(p.Keystone, func(o *Keystone) bool { return o.Name == k.Name }) {
		d.errorf(b.LabelRange, "Rename or remove one of them.", "two keystone instances are called %q", k.Name)
		return
	}
	p.Keystone = append(p.Keystone, k)
}

// identityURL returns the URL of the Identity API v3.
func (d *decoder) identityURL(a *hcl.Attribute) string {
	s, ok := d.text(a)
	if !ok {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isHost(u.Hostname()) || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		d.errorf(a.Expr.Range(), `Write it like "http://10.77.0.5:5000/v3".`, "auth_url is not the URL of a Keystone: %q", s)
		return ""
	}
	s = strings.TrimRight(s, "/")
	if strings.HasSuffix(s, "/v2.0") {
		d.errorf(a.Expr.Range(), "Write the URL of the Identity API v3; version 2.0 is gone.", "auth_url is that of version 2.0: %q", s)
		return ""
	}
	if !strings.HasSuffix(s, "/v3") {
		s += "/v3"
	}
	return s
}

func (d *decoder) admin(b *plain, k *Keystone) KeystoneAdmin {
	var raw keystoneAdminBlock
	d.block("keystone.admin", b, &raw)
	a := KeystoneAdmin{
		Openrc:        d.file(raw.Openrc),
		CloudsYAML:    d.file(raw.CloudsYAML),
		Cloud:         d.filled(raw.Cloud),
		Username:      d.filled(raw.Username),
		Password:      d.secret(raw.Password),
		Project:       d.filled(raw.Project),
		UserDomain:    d.filled(raw.UserDomain),
		ProjectDomain: d.filled(raw.ProjectDomain),
	}
	ways := 0
	for _, attr := range []*hcl.Attribute{raw.Openrc, raw.CloudsYAML, raw.Username} {
		if attr != nil {
			ways++
		}
	}
	switch {
	case ways != 1:
		d.errorf(b.DefRange, "Write one of openrc, clouds_yaml with cloud, or username with password.", "%d ways to log in to keystone %q instead of one", ways, k.Name)
	case raw.CloudsYAML != nil && raw.Cloud == nil:
		d.errorf(raw.CloudsYAML.Range, `Write cloud = "..." too.`, "clouds_yaml without cloud")
	case raw.Username != nil && raw.Password == nil:
		d.errorf(raw.Username.Range, "Write password = var.... too, with a sensitive variable.", "username without password")
	case raw.Username == nil && k.Node == "":
		d.errorf(b.DefRange, "The file is read on the Keystone's node: write node = \"...\" in the keystone block, or username and password here.", "credentials in a file, but keystone %q has no node", k.Name)
	}
	return a
}

// loginVariables are those variables of the OpenStack clients that say who logs
// in, and to what.
var loginVariables = []string{
	"OS_USERNAME", "OS_USER_ID", "OS_USER_DOMAIN_NAME", "OS_USER_DOMAIN_ID",
	"OS_PROJECT_NAME", "OS_PROJECT_ID", "OS_TENANT_NAME", "OS_TENANT_ID", "OS_PROJECT_DOMAIN_NAME", "OS_PROJECT_DOMAIN_ID",
	"OS_DEFAULT_DOMAIN", "OS_DEFAULT_DOMAIN_NAME", "OS_DEFAULT_DOMAIN_ID", "OS_SYSTEM_SCOPE",
	"OS_APPLICATION_CREDENTIAL_ID", applicationSecret, adminPassword,
}

// Those of them that are secret.
const (
	adminPassword     = "OS_PASSWORD"
	applicationSecret = "OS_APPLICATION_CREDENTIAL_SECRET"
)

// adminFromEnvironment takes the credentials that the OpenStack clients take.
func (d *decoder) adminFromEnvironment(b *labelled) KeystoneAdmin {
	a := KeystoneAdmin{Environment: map[string]Secret{}}
	for _, name := range loginVariables {
		if v, ok := d.lookup(name); ok && v != "" {
			a.Environment[name] = NewSecret(v)
		}
	}
	d.hide(a.Environment[adminPassword].Reveal())
	d.hide(a.Environment[applicationSecret].Reveal())
	if !a.given() {
		d.warnf(b.DefRange, adviseAdmin, "keystone %q has no administrator", b.Label)
	}
	return a
}

const adviseAdmin = `Write admin { openrc = "/root/openrc" } or another admin block, or set OS_USERNAME and OS_PASSWORD in the environment.`

// given reports whether there are credentials, or a file with them.
func (a KeystoneAdmin) given() bool {
	has := func(name string) bool { return !a.Environment[name].IsZero() }
	return a.Openrc != "" || a.CloudsYAML != "" || a.Username != "" && !a.Password.IsZero() ||
		(has("OS_USERNAME") || has("OS_USER_ID")) && has(adminPassword) ||
		has("OS_APPLICATION_CREDENTIAL_ID") && has(applicationSecret)
}

// Missing returns what p needs from the environment before anybody can work
// on its nodes, in words for people, with the way out. Nothing is missing for
// what only reads the proposal.
func (p *Proposal) Missing() []string {
	if p.Glance == nil || p.Glance.Keystone == nil {
		return nil
	}
	var missing []string
	for _, k := range p.Keystone {
		if k.Name == p.Glance.Keystone.Instance && !k.Admin.given() {
			missing = append(missing, fmt.Sprintf("keystone %q has no administrator: %s", k.Name, lowerFirst(adviseAdmin)))
		}
	}
	return missing
}

func placeText(r hcl.Range) string {
	if r.Start.Line == 0 {
		return r.Filename
	}
	return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line)
}
