// Package proposals is the language that says what is wanted: which nodes
// carry the image service, and how it is set up. It turns files into
// [Proposal] values with every default filled in, and finds every mistake in
// them with its place and a way out.
//
// The command line loads proposals here and package roles makes work out of
// them. This package contacts nobody and knows neither how files look on a
// node nor how anything is brought there.
package proposals

import (
	"fmt"
	"io"
	"time"
)

// A Secret is a string that never prints itself: every formatting verb, JSON
// and slog show a mask. Reveal is the only way out.
type Secret struct{ value string }

// NewSecret returns s as a Secret.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal returns the secret in clear.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether the secret is empty, which means "not given".
func (s Secret) IsZero() bool { return s.value == "" }

const mask = "(sensitive)"

// String returns a mask.
func (s Secret) String() string { return mask }

// Format writes a mask, whatever the verb. Without it %d would look inside.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, mask) }

// MarshalText returns a mask, for every encoder that asks for text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// A Proposal is what one proposal block wants, with every default filled in
// and every rule checked: whoever is handed a Proposal need not check it again.
type Proposal struct {
	Name        string
	Description string
	Nodes       []*Node // in the order of the file, then of the inventory
	MySQL       []*MySQL
	Keystone    []*Keystone
	RabbitMQ    []*RabbitMQ   `json:",omitempty"`
	Glance      *GlanceServer // the glance-server role; nil when no node has it
	File        string        // the file that the block stands in
	Inventory   string        // the file of nodes; "" for none
	Digest      string        // SHA-256 in hex over what is wanted, without secrets and without the places of local files

	hidden *hiddenText // what Load met that nobody may see
}

// Node returns the node called name, or nil.
func (p *Proposal) Node(name string) *Node {
	for _, n := range p.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// How a node is reached and how its daemons are kept running.
const (
	ConnectSSH   = "ssh"
	ConnectLocal = "local"

	InitSystemd = "systemd" // units, cron files, users: a machine of its own
	InitProcess = "process" // plain processes of the calling user below Root: no root, no systemd, no cron
)

// A Node is a machine that carries roles or instances.
type Node struct {
	Name    string
	Address string // what other nodes and clients reach it by
	Connect string // ConnectSSH or ConnectLocal
	Init    string // InitSystemd or InitProcess
	Root    string // absolute directory that every path is put below; "" is the machine's own root
	SSH     SSH
}

// SSH says how to log in to a node.
type SSH struct {
	User           string
	Port           int
	PrivateKey     string // file name; "" means the agent, then the usual names below ~/.ssh
	KnownHosts     string // file name; "" means ~/.ssh/known_hosts
	HostKeys       string // "strict" or "accept-new"
	ConnectTimeout time.Duration
	CommandTimeout time.Duration
}

// MySQL is a MySQL or MariaDB server that the proposal provisions or uses.
type MySQL struct {
	Name          string
	Node          string // the node it runs on, reached over SSH
	Address       string // what the image nodes connect to; default the node's address
	Port          int
	Socket        string // the server's socket on its node
	AdminUser     string // "" means root by socket
	AdminPassword Secret
}

// RabbitMQ is a message broker that the proposal provisions.
type RabbitMQ struct {
	Name    string
	Node    string // the node it runs on, whose root administers it
	Address string // what the image nodes connect to; default the node's address
	Port    int
}

// Keystone is an Identity service that the proposal registers in and that the
// image service validates tokens with.
type Keystone struct {
	Name    string
	Node    string // calls to the Keystone go through this node; "" means directly
	AuthURL string // ends in /v3
	Region  string
	Admin   KeystoneAdmin
}

// KeystoneAdmin is where the administrator's credentials come from: a file on
// the Keystone's node (openrc, or clouds.yaml with Cloud), the environment of
// glancectl, or the fields.
type KeystoneAdmin struct {
	// Environment has those variables of the OpenStack clients that are set and
	// say who logs in. It is nil if the proposal says it.
	Environment map[string]Secret `json:",omitempty"`

	Openrc        string
	CloudsYAML    string
	Cloud         string
	Username      string
	Password      Secret
	Project       string
	UserDomain    string
	ProjectDomain string
}

// GlanceServer is the glance-server role.
type GlanceServer struct {
	Nodes            []string
	User             string // the system user that the service runs as
	Group            string
	WorkingDirectory string
	PIDDirectory     string
	NotifierStrategy string        // "noop", "logging" or "rabbit"
	RabbitMQ         *RoleRabbitMQ `json:",omitempty"` // with "rabbit", else nil
	UseSyslog        bool
	Images           []string // images to preload: URLs or files beside the proposal
	Backings         []Backing
	DefaultBacking   string // the type of one of Backings
	Cache            Cache
	Database         Database
	Keystone         *RoleKeystone // nil: no Keystone, everybody is an administrator
	API              Daemon
	EnableV1API      bool // version 1 beside version 2
	Registry         Daemon
	DelayedDelete    bool
	ScrubTime        time.Duration // how long a pending_delete image is kept
	Scrubber         Job
	Reaper           Job
	Pruner           Job
	Prefetcher       Job
	Config           []ConfigFile
}

// A Backing is one kind of place that image data is kept in.
type Backing struct {
	Type      string // "file" or "swift"
	Default   bool
	Directory string // file

	// swift, TempAuth (v1) or Keystone (v3) by the address
	AuthAddress string
	User        string
	Key         Secret
	Container   string
	CreateOnPut bool
}

// Cache is the image cache of every image node.
type Cache struct {
	Enabled      bool
	Management   bool // the cache management calls
	Directory    string
	GracePeriod  time.Duration // how long an invalid entry is kept
	StallTimeout time.Duration // when an incomplete entry counts as stalled
	MaxSize      int64         // bytes; what the pruner prunes to
	ExtraToFree  float64       // share of MaxSize that the pruner frees beyond it, 0 to 1
}

// Database types.
const (
	DatabaseMySQL  = "mysql"
	DatabaseSQLite = "sqlite"
)

// Database is where image metadata is kept.
type Database struct {
	Type        string
	Instance    string // the name of a MySQL of the proposal
	Name        string
	User        string
	Password    Secret // zero: generated once and kept on the nodes
	IdleTimeout time.Duration
	Connection  string // sqlite: sqlite:////absolute/path
}

// RoleRabbitMQ is how the image service uses a RabbitMQ.
type RoleRabbitMQ struct {
	Instance    string // the name of a RabbitMQ of the proposal
	VirtualHost string
	User        string
	Password    Secret // empty: generated
}

// RoleKeystone is how the image service uses a Keystone.
type RoleKeystone struct {
	Instance        string
	ServiceUser     string
	ServicePassword Secret // zero: generated once and kept on the nodes
	ServiceProject  string
	ServiceRole     string
	Domain          string
	// Hosts in the endpoint URLs; default the address of the first image node.
	PublicHost   string
	InternalHost string
	AdminHost    string
}

// Element is what every process of the role has.
type Element struct {
	Debug      bool
	Verbose    bool
	LogFile    string
	ConfigFile string
}

// A Daemon is an element that runs all the time.
type Daemon struct {
	Element
	Port      int
	BindToAll bool // 0.0.0.0; otherwise the node's own address
	PasteFile string
	Workers   int // 0: one per CPU
}

// A Job is an element that cron starts.
type Job struct {
	Element
	Schedule string        // five cron fields
	User     string        // default the role's user
	Timeout  time.Duration // the job is ended after this long; 0 means never
	Jitter   time.Duration // a random wait up to this long before it starts
}

// A ConfigFile adds options to a rendered file, or overrides what is rendered.
type ConfigFile struct {
	Name     string // "glance-api", "glance-registry", "glance-cache", ...
	Sections []ConfigSection
}

// A ConfigSection is one section of a ConfigFile.
type ConfigSection struct {
	Name    string
	Options []ConfigOption // in the order of the file; a repeated key is a multi-valued option
}

// A ConfigOption is one option of a ConfigSection.
type ConfigOption struct {
	Key   string
	Value string
	// Sensitive is set when the value came from a sensitive variable, or when
	// the key names a secret, such as password.
	Sensitive bool
}
