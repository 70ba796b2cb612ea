package templates

import (
	"slices"
	"strings"
	"time"
)

// Constants of the rendered files: what nobody had a reason to change, and a
// config block can.
const (
	backlog         = 4096
	listMaximum     = 1000 // images in one answer, at most
	listDefault     = 25   // images in one answer, unless asked
	scrubberWakeup  = 5 * time.Minute
	swiftReference  = "ref1"
	tokenValidation = "password"
)

// API is what glance-api.conf says.
type API struct {
	Log           Log
	Listen        Listen
	RegistryHost  string
	RegistryPort  int
	EnableV1      bool    // version 1 of the API is served
	Notifier      string  // "noop", "logging" or "rabbit"
	Broker        *Broker // with "rabbit"
	DelayedDelete bool
	Database      Database
	Stores        Stores
	Cache         *Cache    // nil: nothing is cached
	Keystone      *Keystone // nil: everybody is an administrator
	PasteFile     string
	LockPath      string
	StagingDir    string // of image data that is on its way in
	SelfURL       string // where other nodes reach this one; empty if there are none
	Config        []Section
}

// Broker is the RabbitMQ that notifications are sent to.
type Broker struct {
	Host        string
	Port        int
	VirtualHost string
	User        string
	Password    string
}

// GlanceAPI returns glance-api.conf.
func GlanceAPI(a API) ([]byte, error) {
	var c conf
	c.log(a.Log)
	c.listen(a.Listen)
	d := c.section("DEFAULT")
	d.set("registry_host", a.RegistryHost)
	d.number("registry_port", int64(a.RegistryPort))
	d.flag("enable_v1_api", a.EnableV1)
	d.set("notifier_strategy", a.Notifier)
	if b := a.Broker; b != nil {
		d.set("rabbit_host", b.Host)
		d.number("rabbit_port", int64(b.Port))
		d.set("rabbit_userid", b.User)
		d.set("rabbit_password", b.Password)
		d.set("rabbit_virtual_host", b.VirtualHost)
		d.flag("rabbit_durable_queues", true)
	}
	d.flag("delayed_delete", a.DelayedDelete)
	if a.SelfURL != "" {
		d.set("worker_self_reference_url", a.SelfURL)
	}
	if a.Cache != nil {
		c.cache(*a.Cache)
	}
	c.database(a.Database)
	c.stores(a.Stores, a.Config)
	c.keystone(a.Keystone)
	c.paste(a.PasteFile, flavor(a.Keystone != nil, a.Cache))
	c.section("os_glance_staging_store").set("filesystem_store_datadir", a.StagingDir)
	c.locks(a.LockPath)
	return c.bytes(a.Config)
}

// Registry is what glance-registry.conf says.
type Registry struct {
	Log       Log
	Listen    Listen
	Database  Database
	Keystone  *Keystone
	PasteFile string
	LockPath  string
	Config    []Section
}

// GlanceRegistry returns glance-registry.conf.
func GlanceRegistry(r Registry) ([]byte, error) {
	var c conf
	c.log(r.Log)
	c.listen(r.Listen)
	c.database(r.Database)
	c.keystone(r.Keystone)
	c.paste(r.PasteFile, flavor(r.Keystone != nil, nil))
	c.locks(r.LockPath)
	return c.bytes(r.Config)
}

// CacheTools is what glance-cache.conf, glance-prefetcher.conf,
// glance-pruner.conf and glance-reaper.conf say; each function reads what its
// element needs.
type CacheTools struct {
	Log          Log
	Cache        Cache
	RegistryHost string
	RegistryPort int
	Database     Database
	Stores       Stores
	LockPath     string
	Config       []Section
}

// GlanceCache returns glance-cache.conf, the file for looking after the cache
// by hand: every cache command finds in it what it needs.
func GlanceCache(t CacheTools) ([]byte, error) {
	return prefetching(t)
}

// GlancePrefetcher returns glance-prefetcher.conf. The prefetcher reads
// images from the stores that the catalog names, so both are in it.
func GlancePrefetcher(t CacheTools) ([]byte, error) {
	return prefetching(t)
}

func prefetching(t CacheTools) ([]byte, error) {
	var c conf
	c.log(t.Log)
	d := c.section("DEFAULT")
	d.set("registry_host", t.RegistryHost)
	d.number("registry_port", int64(t.RegistryPort))
	c.cache(t.Cache)
	c.database(t.Database)
	c.stores(t.Stores, t.Config)
	c.locks(t.LockPath)
	return c.bytes(t.Config)
}

// GlancePruner returns glance-pruner.conf.
func GlancePruner(t CacheTools) ([]byte, error) {
	return tidying(t)
}

// GlanceReaper returns glance-reaper.conf.
func GlanceReaper(t CacheTools) ([]byte, error) {
	return tidying(t)
}

// tidying writes the file of an element that only looks into the cache.
func tidying(t CacheTools) ([]byte, error) {
	var c conf
	c.log(t.Log)
	c.cache(t.Cache)
	c.locks(t.LockPath)
	return c.bytes(t.Config)
}

// Scrubber is what glance-scrubber.conf says.
type Scrubber struct {
	Log           Log
	DelayedDelete bool
	ScrubTime     time.Duration // how long an image stays pending_delete
	Database      Database
	Stores        Stores
	LockPath      string
	Config        []Section
}

// GlanceScrubber returns glance-scrubber.conf. Cron starts the scrubber, so it
// is told not to stay.
func GlanceScrubber(s Scrubber) ([]byte, error) {
	var c conf
	c.log(s.Log)
	d := c.section("DEFAULT")
	d.flag("delayed_delete", s.DelayedDelete)
	d.seconds("scrub_time", s.ScrubTime)
	d.flag("daemon", false)
	d.seconds("wakeup_time", scrubberWakeup)
	c.database(s.Database)
	c.stores(s.Stores, s.Config)
	c.locks(s.LockPath)
	return c.bytes(s.Config)
}

// Manage is what glance-manage.conf says.
type Manage struct {
	Log      Log
	Database Database
	Config   []Section
}

// GlanceManage returns glance-manage.conf.
func GlanceManage(m Manage) ([]byte, error) {
	var c conf
	c.log(m.Log)
	c.database(m.Database)
	return c.bytes(m.Config)
}

// GlanceSwift returns glance-swift.conf, the one file with the credentials
// of the Swift account; the others refer to it.
func GlanceSwift(s Swift) ([]byte, error) {
	var c conf
	r := c.section(swiftReference)
	r.set("auth_version", swiftAuthVersion(s.AuthAddress))
	r.set("auth_address", s.AuthAddress)
	r.set("user", s.User)
	r.set("key", s.Key)
	if swiftAuthVersion(s.AuthAddress) == "3" {
		r.set("user_domain_id", "default")
		r.set("project_domain_id", "default")
	}
	return c.bytes(nil)
}

// swiftAuthVersion reads the version of the authentication protocol off the
// address, which ends in it: http://127.0.0.1:8080/v1.0, http://auth:5000/v3.
func swiftAuthVersion(address string) string {
	path := strings.TrimSuffix(address, "/")
	last := path[strings.LastIndexByte(path, '/')+1:]
	for _, v := range []string{"3", "2"} {
		if strings.HasPrefix(last, "v"+v) {
			return v
		}
	}
	return "1"
}

// flavor names the pipeline of the paste file.
func flavor(keystone bool, cache *Cache) string {
	var parts []string
	if keystone {
		parts = append(parts, "keystone")
	}
	switch {
	case cache == nil:
	case cache.Management:
		parts = append(parts, "cachemanagement")
	default:
		parts = append(parts, "caching")
	}
	return strings.Join(parts, "+")
}

func (c *conf) log(l Log) {
	d := c.section("DEFAULT")
	d.flag("debug", l.Debug)
	d.flag("verbose", l.Verbose)
	if l.File != "" {
		d.set("log_file", l.File)
	}
	d.flag("use_syslog", l.Syslog)
}

func (c *conf) listen(l Listen) {
	d := c.section("DEFAULT")
	d.set("bind_host", l.Host)
	d.number("bind_port", int64(l.Port))
	if l.Workers != 0 {
		d.number("workers", int64(l.Workers))
	}
	d.number("backlog", backlog)
	d.set("pid_file", l.PIDFile)
	d.number("api_limit_max", listMaximum)
	d.number("limit_param_default", listDefault)
}

func (c *conf) cache(k Cache) {
	d := c.section("DEFAULT")
	d.set("image_cache_dir", k.Dir)
	d.number("image_cache_max_size", k.MaxSize)
	d.seconds("image_cache_stall_time", k.StallTime)
	d.seconds("image_cache_invalid_entry_grace_period", k.GracePeriod)
	d.share("image_cache_percent_extra_to_free", k.ExtraToFree)
}

func (c *conf) database(b Database) {
	s := c.section("database")
	s.set("connection", b.URL)
	s.seconds("connection_recycle_time", b.IdleTimeout)
}

// stores says where image data is, unless config names the stores: each has a
// section of its own then, and the service would warn of what stands here.
func (c *conf) stores(b Stores, config []Section) {
	if setsIn(config, "DEFAULT", "enabled_backends") {
		return
	}
	s := c.section("glance_store")
	s.set("stores", strings.Join(b.Types, ","))
	s.set("default_store", b.Default)
	if b.FileDir != "" {
		s.set("filesystem_store_datadir", b.FileDir)
	}
	if b.Swift == nil {
		return
	}
	s.set("default_swift_reference", swiftReference)
	s.set("swift_store_config_file", b.Swift.ConfigFile)
	s.set("swift_store_container", b.Swift.Container)
	s.flag("swift_store_create_container_on_put", b.Swift.CreateOnPut)
}

func setsIn(config []Section, name, key string) bool {
	return slices.ContainsFunc(config, func(s Section) bool {
		return s.Name == name && slices.ContainsFunc(s.Options, func(o Option) bool { return o.Key == key })
	})
}

func (c *conf) keystone(k *Keystone) {
	if k == nil {
		return
	}
	s := c.section("keystone_authtoken")
	s.set("www_authenticate_uri", k.AuthURL)
	s.set("auth_url", k.AuthURL)
	s.set("auth_type", tokenValidation)
	s.set("username", k.Username)
	s.set("password", k.Password)
	s.set("project_name", k.Project)
	s.set("user_domain_name", k.Domain)
	s.set("project_domain_name", k.Domain)
	s.set("region_name", k.Region)
}

func (c *conf) paste(file, flavor string) {
	s := c.section("paste_deploy")
	s.set("flavor", flavor)
	s.set("config_file", file)
}

func (c *conf) locks(path string) {
	c.section("oslo_concurrency").set("lock_path", path)
}
