// Package config turns oslo.config files into typed settings.
//
// The assembly in package service loads one Settings for the program that it
// starts and hands its parts to the adapters. Everything a file can get wrong
// is found here, before anything is opened, and reported with file and line;
// the adapters are given values that need no second check. The package knows
// which options there are, what they were called in older releases and what
// they may hold, and nothing about what is done with them.
package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"glancectl/service/oslo"
)

// A Program is one of the programs of the image service.
type Program string

// The programs. Each is called glance- and this.
const (
	API        Program = "api"
	Registry   Program = "registry"
	Manage     Program = "manage"
	Scrubber   Program = "scrubber"
	Reaper     Program = "cache-reaper"
	Pruner     Program = "cache-pruner"
	Prefetcher Program = "cache-prefetcher"
)

// A Source is where settings come from.
type Source struct {
	Files []string // later ones win
	Dirs  []string // their *.conf win over Files
	Debug bool     // as if the files said debug = true
}

// Settings are what the files say, with defaults filled in.
type Settings struct {
	Log      Log
	Server   Server
	Images   Images
	Places   Places
	Cache    Cache
	Scrub    Scrub
	Database Database
	Stores   Stores
	Imports  Imports
	Keystone Keystone
	Access   Access
	Limits   Limits
	Keys     KeyManager
	V1       V1
	Notify   Notifications
	Health   Health
	CORS     []Origin
	Pipeline Pipeline // of API and Registry
	LockPath string   // "" means no locks
	Metadefs string   // directory with the files of metadata definitions
	Schema   string   // file that says what custom properties there are; it need not be there

	// Where names the files, for errors about options that are understood and
	// cannot be followed.
	Where string
	// Warnings are mistakes that do not keep the program from running; Ignored
	// are options that have no effect. Both name file and line.
	Warnings []string
	Ignored  []string
}

// Log is how much is logged, and where to.
type Log struct {
	Debug, Verbose bool   // neither: warnings and errors only
	File           string // "" means standard error
	Syslog         bool
	Facility       string // LOG_USER, LOG_LOCAL0, ...
}

// Server is how a daemon serves.
type Server struct {
	Host             string
	Port             int
	Workers          int // 0 means one per CPU
	Backlog          int
	PIDFile          string // "" means none
	MaxHeader        int    // bytes of one header; 0 means no limit
	MaxRequestID     int    // bytes; 0 means no limit
	KeepAlive        bool
	IdleTimeout      time.Duration // 0 means never
	TCPKeepIdle      time.Duration
	ShutdownTimeout  time.Duration // 0 means as long as it takes
	ProxyHeaders     bool          // X-Forwarded-Proto and the like are believed
	PublicEndpoint   string
	AnonymousAllowed bool
}

// Images is what holds for images, whatever is asked for them.
type Images struct {
	MaxSize          int64
	PropertyQuota    int // negative means no limit
	TagQuota         int
	MemberQuota      int
	StorageQuota     int64 // bytes of a project; 0 means no limit
	HashAlgo         string
	DiskFormats      []string
	ContainerFormats []string
	VMDKTypes        []string // createTypes that are allowed; none if it is empty
	RequireFormat    bool     // data must be what disk_format says
	TolerateMBR      bool     // a bad partition table is only a warning
	DelayedDelete    bool
	ShowDirectURL    bool
	LimitDefault     int
	LimitMax         int
}

// Cache is the cache of image data.
type Cache struct {
	Dir          string // "" means no cache
	MaxSize      int64
	ExtraToFree  float64 // share of MaxSize
	StallTimeout time.Duration
	GracePeriod  time.Duration
}

// Scrub is how the scrubber runs.
type Scrub struct {
	After  time.Duration // how long an image stays pending_delete
	Daemon bool
	Every  time.Duration // between two runs of a daemon
}

// Keystone is how tokens are validated.
type Keystone struct {
	AuthURL       string
	PublicURI     string // where callers without a token are sent
	Username      string
	Password      Secret
	Project       string
	UserDomain    string
	ProjectDomain string
	// IDs of the domains, for where they are not named.
	UserDomainID, ProjectDomainID string

	Insecure  bool
	CAFile    string
	CacheTime time.Duration

	Immediate bool // who has no good token is refused before the service is asked
}

// A Secret is a string that is not printed. Convert it to a string to use it.
type Secret string

// String returns a mask.
func (Secret) String() string { return "(secret)" }

// GoString returns a mask.
func (Secret) GoString() string { return "(secret)" }

// MarshalText returns a mask, for every encoder that asks for text.
func (Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// Load reads the settings of a program. All mistakes are reported at once,
// one line each.
func Load(p Program, src Source) (*Settings, error) {
	if len(src.Files)+len(src.Dirs) == 0 {
		return nil, fmt.Errorf("no configuration: there is no /etc/glance/glance-%s.conf; name a file with --config-file", p)
	}
	c, err := oslo.Load(src.Files, src.Dirs)
	if err != nil {
		return nil, err
	}
	r := &reader{c: c, src: src, known: make(map[string]bool), layers: make(map[string][]layer)}
	// The first walk tells c the defaults, so that $name can mean an option
	// that no file sets.
	r.settings(p)
	r.errs, r.warnings = nil, nil
	pipeline := r.pipeline(p)
	s := r.settings(p)
	s.Pipeline = pipeline.stages
	s.V1.Enabled = s.V1.Enabled && pipeline.v1
	if pipeline.healthPath != "" {
		s.Health.Path, s.Health.Below = pipeline.healthPath, true
	}
	s.Where = strings.Join(slices.Concat(src.Files, src.Dirs), ", ")
	s.Log.Debug = s.Log.Debug || src.Debug
	r.need(p, s)
	r.refuse()
	r.idle(p, s)
	s.Warnings, s.Ignored = r.unused()
	s.Warnings = append(r.warnings, s.Warnings...)
	return s, errors.Join(r.errs...)
}

// need reports what p cannot do without.
func (r *reader) need(p Program, s *Settings) {
	missing := func(option, hint string) {
		section, key := split(option)
		r.errs = append(r.errs, fmt.Errorf("%s: [%s] %s: not set; %s", s.Where, section, key, hint))
	}
	if s.Database.URL == "" && p != Pruner && p != Reaper {
		missing("database.connection", "it names the database, as in sqlite:////var/lib/glance/glance.sqlite")
	}
	if n := len(s.Database.Key); n != 0 && n != 16 && n != 24 && n != 32 {
		r.errs = append(r.errs, fmt.Errorf("%s: [DEFAULT] metadata_encryption_key: has %d bytes; want 16, 24 or 32", r.pos("DEFAULT.metadata_encryption_key"), n))
	}
	cached := p == Pruner || p == Reaper || p == Prefetcher || s.Pipeline.Has(CacheFilter)
	if s.Cache.Dir == "" && cached {
		missing("DEFAULT.image_cache_dir", "it names the directory of the cache")
	}
	if !s.Pipeline.Has(AuthToken) {
		return
	}
	for _, option := range []struct{ key, value string }{
		{"auth_url", s.Keystone.AuthURL},
		{"username", s.Keystone.Username},
		{"password", string(s.Keystone.Password)},
	} {
		if option.value == "" {
			missing("keystone_authtoken."+option.key, "Keystone is asked about tokens with it")
		}
	}
}
