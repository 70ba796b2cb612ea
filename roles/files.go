package roles

import (
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"

	"glancectl/proposals"
	"glancectl/templates"
)

// A file is one rendered file and the secrets in it.
type file struct {
	RenderedFile
	secrets    []string // in every spelling in which they stand in the file
	options    bool     // it is made of options, and a proposal may add more
	secretKeys []string // options whose values are secret, as SECTION/KEY
}

// files returns every file of the node in the order they are written: what a
// daemon reads first, then what starts it, then what starts jobs.
func (s site) files() ([]file, error) {
	files, err := s.installed()
	return append(files, s.cronFiles()...), err
}

// installed are the files that are there before the tables and the daemons are.
func (s site) installed() ([]file, error) {
	files, err := s.configFiles()
	if err != nil {
		return nil, err
	}
	if s.systemd() {
		files = append(files, s.systemFiles()...)
	}
	return files, nil
}

// configFiles are the files that the processes read.
func (s site) configFiles() ([]file, error) {
	g := s.g
	url, err := s.databaseURL()
	if err != nil {
		return nil, err
	}
	keystone, err := s.tokenValidation()
	if err != nil {
		return nil, err
	}
	var (
		database = templates.Database{URL: url, IdleTimeout: g.Database.IdleTimeout}
		stores   = s.stores()
		paste    = templates.Paste{DisableFile: s.path(s.m.DisableFile)}
		b        = fileBuilder{site: s}
	)
	if stores.Swift != nil {
		text, err := templates.GlanceSwift(*stores.Swift)
		b.add(s.swiftFile(), text, err)
	}
	b.files = append(b.files,
		s.configFile(g.Registry.PasteFile, templates.GlanceRegistryPaste(paste)),
		s.configFile(g.API.PasteFile, templates.GlanceAPIPaste(paste)),
	)

	text, err := templates.GlanceManage(templates.Manage{
		Log: s.console(), Database: database, Config: s.config("glance-manage"),
	})
	b.add(path.Join(s.m.ConfigDirectory, "glance-manage.conf"), text, err)

	text, err = templates.GlanceRegistry(templates.Registry{
		Log: s.log(g.Registry.Element), Listen: s.listen("glance-registry", g.Registry),
		Database: database, Keystone: keystone, PasteFile: s.path(g.Registry.PasteFile),
		LockPath: s.lockPath(), Config: s.config("glance-registry"),
	})
	b.add(g.Registry.ConfigFile, text, err)

	broker, err := s.broker()
	if err != nil {
		return nil, err
	}
	api := templates.API{
		Log: s.log(g.API.Element), Listen: s.listen("glance-api", g.API),
		RegistryHost: s.node.Address, RegistryPort: g.Registry.Port, EnableV1: g.EnableV1API,
		Notifier: g.NotifierStrategy, Broker: broker, DelayedDelete: g.DelayedDelete,
		Database: database, Stores: stores, Keystone: keystone, PasteFile: s.path(g.API.PasteFile),
		LockPath: s.lockPath(), StagingDir: s.stagingDir(), SelfURL: s.selfURL(), Config: s.config("glance-api"),
	}
	if g.Cache.Enabled {
		cache := s.cache()
		api.Cache = &cache
	}
	text, err = templates.GlanceAPI(api)
	b.add(g.API.ConfigFile, text, err)

	text, err = templates.GlanceScrubber(templates.Scrubber{
		Log: s.log(g.Scrubber.Element), DelayedDelete: g.DelayedDelete, ScrubTime: g.ScrubTime,
		Database: database, Stores: stores, LockPath: s.lockPath(), Config: s.config("glance-scrubber"),
	})
	b.add(g.Scrubber.ConfigFile, text, err)
	b.cacheFiles(database, stores)
	return b.files, b.err
}

// selfURL is where the other image nodes reach this one's API, to hand on what
// is to be done with data that is staged here; empty if there are none.
func (s site) selfURL() string {
	g := s.p.Glance
	if len(g.Nodes) < 2 {
		return ""
	}
	return "http://" + net.JoinHostPort(s.node.Address, strconv.Itoa(g.API.Port))
}

// cacheFiles adds the files of the elements that look after the cache. They
// are there without a cache as well, so that it can be looked into after it
// was turned off.
func (b *fileBuilder) cacheFiles(database templates.Database, stores templates.Stores) {
	g := b.g
	tools := func(name string, log templates.Log) templates.CacheTools {
		return templates.CacheTools{
			Log: log, Cache: b.cache(), RegistryHost: b.node.Address, RegistryPort: g.Registry.Port,
			Database: database, Stores: stores, LockPath: b.lockPath(), Config: b.config(name),
		}
	}
	text, err := templates.GlanceCache(tools("glance-cache", b.console()))
	b.add(path.Join(b.m.ConfigDirectory, "glance-cache.conf"), text, err)
	text, err = templates.GlanceReaper(tools("glance-reaper", b.log(g.Reaper.Element)))
	b.add(g.Reaper.ConfigFile, text, err)
	text, err = templates.GlancePrefetcher(tools("glance-prefetcher", b.log(g.Prefetcher.Element)))
	b.add(g.Prefetcher.ConfigFile, text, err)
	text, err = templates.GlancePruner(tools("glance-pruner", b.log(g.Pruner.Element)))
	b.add(g.Pruner.ConfigFile, text, err)
}

// A fileBuilder collects files and keeps the first error.
type fileBuilder struct {
	site
	files []file
	err   error
}

// add puts a file of options at a path of the proposal.
func (b *fileBuilder) add(name string, text []byte, err error) {
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("%s: %w", name, err)
	}
	f := b.configFile(name, text)
	f.options, f.secretKeys = true, b.secretKeys()
	b.files = append(b.files, f)
}

// configFile is a configuration file: the service reads it, nobody else, and
// only root changes it.
func (s site) configFile(name string, text []byte) file {
	return file{
		RenderedFile: RenderedFile{
			Path: s.path(name), Mode: 0o640, Owner: s.root(), Group: s.group(), Content: text,
		},
		secrets: s.secrets(),
	}
}

// systemFile is a file of the machine that everybody may read.
func (s site) systemFile(name string, text []byte) file {
	return file{RenderedFile: RenderedFile{Path: s.path(name), Mode: 0o644, Owner: s.root(), Group: s.root(), Content: text}}
}

// systemFiles are the files by which the machine runs the daemons and keeps
// house for them.
func (s site) systemFiles() []file {
	logs := templates.Logs{User: s.g.User, Group: s.g.Group}
	for _, e := range s.elements() {
		logs.Files = append(logs.Files, s.path(e.LogFile))
	}
	files := []file{
		s.systemFile(s.m.Logrotate, templates.Logrotate(logs)),
		s.systemFile(s.m.Tmpfiles, templates.Tmpfiles(templates.RuntimeDir{
			Dir: s.path(s.g.PIDDirectory), User: s.g.User, Group: s.g.Group,
		})),
	}
	for _, d := range s.m.Daemons {
		files = append(files, s.systemFile(s.unitFile(d), s.unit(d)))
	}
	return files
}

// cronFiles are the files by which cron starts the jobs.
func (s site) cronFiles() []file {
	var files []file
	for _, j := range s.m.Jobs {
		if s.systemd() && s.scheduled(j) {
			files = append(files, s.systemFile(s.cronFile(j), s.cron(j)))
		}
	}
	return files
}

// scheduled reports whether cron is to start a job.
func (s site) scheduled(j jobManifest) bool {
	return s.g.Cache.Enabled || !j.NeedsCache
}

func (s site) cronFile(j jobManifest) string {
	return path.Join(s.m.CronDirectory, "glance-"+j.Element)
}

func (s site) unitFile(d daemonManifest) string {
	return path.Join(s.m.UnitDirectory, d.Program+".service")
}

func (s site) swiftFile() string {
	return path.Join(s.m.ConfigDirectory, "glance-swift.conf")
}

func (s site) cron(j jobManifest) []byte {
	job, _ := jobOf(s.g, j.Element)
	return templates.CronFile(templates.Cron{
		Description: j.Description, Schedule: job.Schedule, User: job.User, Argv: s.jobArgv(j),
	})
}

// jobArgv is how a job is started.
func (s site) jobArgv(j jobManifest) []string {
	job, _ := jobOf(s.g, j.Element)
	argv := []string{s.path(s.m.program(j.Program)), "--config-file", s.path(job.ConfigFile)}
	if job.Timeout > 0 {
		argv = append(argv, "--timeout", job.Timeout.String())
	}
	if job.Jitter > 0 {
		argv = append(argv, "--jitter", job.Jitter.String())
	}
	return argv
}

func (s site) unit(d daemonManifest) []byte {
	daemon, _ := daemonOf(s.g, d.Element)
	u := templates.Unit{
		Description: d.Description,
		User:        s.g.User, Group: s.g.Group,
		WorkingDirectory: s.path(s.g.WorkingDirectory),
		Argv:             s.argv(d),
		Reads:            []string{s.path(daemon.ConfigFile), s.path(daemon.PasteFile)},
		Port:             daemon.Port,
	}
	for _, w := range s.writes(d) {
		u.Writes = append(u.Writes, s.path(w))
	}
	return templates.Service(u)
}

// writes are the directories that a daemon writes to, without those that are
// below another one of them.
func (s site) writes(d daemonManifest) []string {
	daemon, _ := daemonOf(s.g, d.Element)
	var all []string
	for _, w := range s.dirs() {
		switch {
		case w.image && d.Element != "api": // the registry has no business there
		case w.log != "" && w.path != path.Dir(daemon.LogFile):
		default:
			all = append(all, w.path)
		}
	}
	var top []string
	for _, w := range all {
		if !slices.ContainsFunc(all, func(other string) bool { return below(w, other) }) {
			top = append(top, w)
		}
	}
	return top
}

// argv is how a daemon is started.
func (s site) argv(d daemonManifest) []string {
	daemon, _ := daemonOf(s.g, d.Element)
	return []string{s.path(s.m.program(d.Program)), "--config-file", s.path(daemon.ConfigFile)}
}

func (s site) log(e proposals.Element) templates.Log {
	return templates.Log{Debug: e.Debug, Verbose: e.Verbose, File: s.path(e.LogFile), Syslog: s.g.UseSyslog}
}

// console is the log of what a person runs by hand: as talkative as the api,
// to standard error.
func (s site) console() templates.Log {
	return templates.Log{Debug: s.g.API.Debug, Verbose: s.g.API.Verbose, Syslog: s.g.UseSyslog}
}

func (s site) listen(program string, d proposals.Daemon) templates.Listen {
	return templates.Listen{Host: s.bindHost(d), Port: d.Port, Workers: d.Workers, PIDFile: s.pidFile(program)}
}

func (s site) cache() templates.Cache {
	c := s.g.Cache
	return templates.Cache{
		Management: c.Management, Dir: s.path(c.Directory), MaxSize: c.MaxSize,
		StallTime: c.StallTimeout, GracePeriod: c.GracePeriod, ExtraToFree: c.ExtraToFree,
	}
}

func (s site) stores() templates.Stores {
	stores := templates.Stores{Default: s.g.DefaultBacking}
	for _, b := range s.g.Backings {
		stores.Types = append(stores.Types, b.Type)
		switch b.Type {
		case "file":
			stores.FileDir = s.path(b.Directory)
		case "swift":
			stores.Swift = &templates.Swift{
				AuthAddress: b.AuthAddress, User: b.User, Key: s.reveal(b.Key),
				Container: b.Container, CreateOnPut: b.CreateOnPut, ConfigFile: s.path(s.swiftFile()),
			}
		}
	}
	return stores
}

// broker is where notifications are sent to, nil if they are not.
func (s site) broker() (*templates.Broker, error) {
	r := s.g.RabbitMQ
	if r == nil {
		return nil, nil
	}
	m, err := s.rabbitmq()
	if err != nil {
		return nil, err
	}
	return &templates.Broker{
		Host: m.Address, Port: m.Port, VirtualHost: r.VirtualHost,
		User: r.User, Password: s.reveal(s.brokerPassword()),
	}, nil
}

// tokenValidation is how the daemons check tokens, nil without a Keystone.
func (s site) tokenValidation() (*templates.Keystone, error) {
	r := s.g.Keystone
	if r == nil {
		return nil, nil
	}
	k, err := s.keystone()
	if err != nil {
		return nil, err
	}
	return &templates.Keystone{
		AuthURL: k.AuthURL, Region: k.Region, Username: r.ServiceUser,
		Password: s.reveal(s.servicePassword()), Project: r.ServiceProject, Domain: r.Domain,
	}, nil
}

// config returns what config blocks say about a file.
func (s site) config(name string) []templates.Section {
	var sections []templates.Section
	for _, f := range s.g.Config {
		if f.Name != name {
			continue
		}
		for _, cs := range f.Sections {
			section := templates.Section{Name: cs.Name}
			for _, o := range cs.Options {
				value := o.Value
				if o.Sensitive && s.masked {
					value = hiddenSecret
				}
				section.Options = append(section.Options, templates.Option{Key: o.Key, Value: value})
			}
			sections = append(sections, section)
		}
	}
	return sections
}
