package proposals

import "github.com/hashicorp/hcl/v2"

// The types of this file are the fixed shape of the language for gohcl. All
// attributes are kept as written, because gohcl panics when it is to turn a
// value that is marked sensitive into a Go value, and any attribute may be
// given one. The decoder fills in what is left out from the language table.
// Blocks inside are kept as bodies, so that the decoder knows which block a
// mistake was made in.

type fileBlock struct {
	Variables []*labelled `hcl:"variable,block"`
	Locals    []*plain    `hcl:"locals,block"`
	Proposals []*labelled `hcl:"proposal,block"`
}

// labelled is a block with one label, not decoded yet.
type labelled struct {
	Label      string    `hcl:"name,label"`
	LabelRange hcl.Range `hcl:"name,label_range"`
	DefRange   hcl.Range `hcl:",def_range"`
	Body       hcl.Body  `hcl:",remain"`
}

// plain is a block without a label, not decoded yet.
type plain struct {
	DefRange hcl.Range `hcl:",def_range"`
	Body     hcl.Body  `hcl:",remain"`
}

// plain returns b without its label.
func (b *labelled) plain() *plain { return &plain{DefRange: b.DefRange, Body: b.Body} }

type variableBlock struct {
	Type        *hcl.Attribute `hcl:"type,optional"`
	Default     *hcl.Attribute `hcl:"default,optional"`
	Sensitive   *hcl.Attribute `hcl:"sensitive,optional"`
	Description *hcl.Attribute `hcl:"description,optional"`
}

type proposalBlock struct {
	Description *hcl.Attribute `hcl:"description,optional"`
	Inventory   *hcl.Attribute `hcl:"inventory,optional"`
	SSH         []*plain       `hcl:"ssh,block"`
	Nodes       []*labelled    `hcl:"node,block"`
	MySQL       []*labelled    `hcl:"mysql,block"`
	Keystone    []*labelled    `hcl:"keystone,block"`
	RabbitMQ    []*labelled    `hcl:"rabbitmq,block"`
	Roles       []*labelled    `hcl:"role,block"`
}

type sshBlock struct {
	User           *hcl.Attribute `hcl:"user,optional"`
	Port           *hcl.Attribute `hcl:"port,optional"`
	PrivateKey     *hcl.Attribute `hcl:"private_key,optional"`
	KnownHosts     *hcl.Attribute `hcl:"known_hosts,optional"`
	HostKeys       *hcl.Attribute `hcl:"host_keys,optional"`
	ConnectTimeout *hcl.Attribute `hcl:"connect_timeout,optional"`
	CommandTimeout *hcl.Attribute `hcl:"command_timeout,optional"`
}

type nodeBlock struct {
	Address    *hcl.Attribute `hcl:"address,optional"`
	Connection *hcl.Attribute `hcl:"connection,optional"`
	Init       *hcl.Attribute `hcl:"init,optional"`
	Root       *hcl.Attribute `hcl:"root,optional"`
	SSH        []*plain       `hcl:"ssh,block"`
}

type mysqlBlock struct {
	Node    *hcl.Attribute `hcl:"node,optional"`
	Address *hcl.Attribute `hcl:"address,optional"`
	Port    *hcl.Attribute `hcl:"port,optional"`
	Socket  *hcl.Attribute `hcl:"socket,optional"`
	Admin   []*plain       `hcl:"admin,block"`
}

type mysqlAdminBlock struct {
	User     *hcl.Attribute `hcl:"user,optional"`
	Password *hcl.Attribute `hcl:"password,optional"`
}

type rabbitmqBlock struct {
	Node    *hcl.Attribute `hcl:"node,optional"`
	Address *hcl.Attribute `hcl:"address,optional"`
	Port    *hcl.Attribute `hcl:"port,optional"`
}

type keystoneBlock struct {
	Node    *hcl.Attribute `hcl:"node,optional"`
	AuthURL *hcl.Attribute `hcl:"auth_url,optional"`
	Region  *hcl.Attribute `hcl:"region,optional"`
	Admin   []*plain       `hcl:"admin,block"`
}

type keystoneAdminBlock struct {
	Openrc        *hcl.Attribute `hcl:"openrc,optional"`
	CloudsYAML    *hcl.Attribute `hcl:"clouds_yaml,optional"`
	Cloud         *hcl.Attribute `hcl:"cloud,optional"`
	Username      *hcl.Attribute `hcl:"username,optional"`
	Password      *hcl.Attribute `hcl:"password,optional"`
	Project       *hcl.Attribute `hcl:"project,optional"`
	UserDomain    *hcl.Attribute `hcl:"user_domain,optional"`
	ProjectDomain *hcl.Attribute `hcl:"project_domain,optional"`
}

type roleBlock struct {
	Nodes            *hcl.Attribute `hcl:"nodes,optional"`
	User             *hcl.Attribute `hcl:"user,optional"`
	Group            *hcl.Attribute `hcl:"group,optional"`
	WorkingDirectory *hcl.Attribute `hcl:"working_directory,optional"`
	PIDDirectory     *hcl.Attribute `hcl:"pid_directory,optional"`
	NotifierStrategy *hcl.Attribute `hcl:"notifier_strategy,optional"`
	UseSyslog        *hcl.Attribute `hcl:"use_syslog,optional"`
	Images           *hcl.Attribute `hcl:"images,optional"`
	DelayedDelete    *hcl.Attribute `hcl:"delayed_delete,optional"`
	ScrubTime        *hcl.Attribute `hcl:"scrub_time,optional"`

	Backings   []*labelled `hcl:"backing,block"`
	Cache      []*plain    `hcl:"cache,block"`
	Databases  []*labelled `hcl:"database,block"`
	Keystone   []*plain    `hcl:"keystone,block"`
	RabbitMQ   []*plain    `hcl:"rabbitmq,block"`
	API        []*plain    `hcl:"api,block"`
	Registry   []*plain    `hcl:"registry,block"`
	Scrubber   []*plain    `hcl:"scrubber,block"`
	Reaper     []*plain    `hcl:"reaper,block"`
	Prefetcher []*plain    `hcl:"prefetcher,block"`
	Pruner     []*plain    `hcl:"pruner,block"`
	Config     []*labelled `hcl:"config,block"`
}

type fileBackingBlock struct {
	Directory *hcl.Attribute `hcl:"directory,optional"`
	Default   *hcl.Attribute `hcl:"default,optional"`
}

type swiftBackingBlock struct {
	AuthAddress     *hcl.Attribute `hcl:"auth_address,optional"`
	User            *hcl.Attribute `hcl:"user,optional"`
	Key             *hcl.Attribute `hcl:"key,optional"`
	Container       *hcl.Attribute `hcl:"container,optional"`
	CreateContainer *hcl.Attribute `hcl:"create_container,optional"`
	Default         *hcl.Attribute `hcl:"default,optional"`
}

type cacheBlock struct {
	Enabled      *hcl.Attribute `hcl:"enabled,optional"`
	Management   *hcl.Attribute `hcl:"management,optional"`
	Directory    *hcl.Attribute `hcl:"directory,optional"`
	GracePeriod  *hcl.Attribute `hcl:"grace_period,optional"`
	StallTimeout *hcl.Attribute `hcl:"stall_timeout,optional"`
	MaxSize      *hcl.Attribute `hcl:"max_size,optional"`
	ExtraToFree  *hcl.Attribute `hcl:"extra_to_free,optional"`
}

type mysqlDatabaseBlock struct {
	Instance    *hcl.Attribute `hcl:"instance,optional"`
	Name        *hcl.Attribute `hcl:"name,optional"`
	User        *hcl.Attribute `hcl:"user,optional"`
	Password    *hcl.Attribute `hcl:"password,optional"`
	IdleTimeout *hcl.Attribute `hcl:"idle_timeout,optional"`
}

type sqliteDatabaseBlock struct {
	Connection  *hcl.Attribute `hcl:"connection,optional"`
	IdleTimeout *hcl.Attribute `hcl:"idle_timeout,optional"`
}

type roleKeystoneBlock struct {
	Enabled         *hcl.Attribute `hcl:"enabled,optional"`
	Instance        *hcl.Attribute `hcl:"instance,optional"`
	ServiceUser     *hcl.Attribute `hcl:"service_user,optional"`
	ServicePassword *hcl.Attribute `hcl:"service_password,optional"`
	ServiceProject  *hcl.Attribute `hcl:"service_project,optional"`
	ServiceRole     *hcl.Attribute `hcl:"service_role,optional"`
	Domain          *hcl.Attribute `hcl:"domain,optional"`
	PublicHost      *hcl.Attribute `hcl:"public_host,optional"`
	InternalHost    *hcl.Attribute `hcl:"internal_host,optional"`
	AdminHost       *hcl.Attribute `hcl:"admin_host,optional"`
}

type roleRabbitMQBlock struct {
	Instance    *hcl.Attribute `hcl:"instance,optional"`
	VirtualHost *hcl.Attribute `hcl:"virtual_host,optional"`
	User        *hcl.Attribute `hcl:"user,optional"`
	Password    *hcl.Attribute `hcl:"password,optional"`
}

type daemonBlock struct {
	Port       *hcl.Attribute `hcl:"port,optional"`
	BindToAll  *hcl.Attribute `hcl:"bind_to_all,optional"`
	PasteFile  *hcl.Attribute `hcl:"paste_file,optional"`
	Workers    *hcl.Attribute `hcl:"workers,optional"`
	Debug      *hcl.Attribute `hcl:"debug,optional"`
	Verbose    *hcl.Attribute `hcl:"verbose,optional"`
	LogFile    *hcl.Attribute `hcl:"log_file,optional"`
	ConfigFile *hcl.Attribute `hcl:"config_file,optional"`
}

type apiBlock struct {
	Port        *hcl.Attribute `hcl:"port,optional"`
	BindToAll   *hcl.Attribute `hcl:"bind_to_all,optional"`
	PasteFile   *hcl.Attribute `hcl:"paste_file,optional"`
	Workers     *hcl.Attribute `hcl:"workers,optional"`
	Debug       *hcl.Attribute `hcl:"debug,optional"`
	Verbose     *hcl.Attribute `hcl:"verbose,optional"`
	LogFile     *hcl.Attribute `hcl:"log_file,optional"`
	ConfigFile  *hcl.Attribute `hcl:"config_file,optional"`
	EnableV1API *hcl.Attribute `hcl:"enable_v1_api,optional"`
}

type jobBlock struct {
	Schedule   *hcl.Attribute `hcl:"schedule,optional"`
	User       *hcl.Attribute `hcl:"user,optional"`
	Timeout    *hcl.Attribute `hcl:"timeout,optional"`
	Jitter     *hcl.Attribute `hcl:"jitter,optional"`
	Debug      *hcl.Attribute `hcl:"debug,optional"`
	Verbose    *hcl.Attribute `hcl:"verbose,optional"`
	LogFile    *hcl.Attribute `hcl:"log_file,optional"`
	ConfigFile *hcl.Attribute `hcl:"config_file,optional"`
}

type configBlock struct {
	Sections []*labelled `hcl:"section,block"`
}
