// Package service assembles the image service from its configuration: it is
// where the catalog, the stores, the cache, the authentication and the HTTP
// APIs, each in a package of its own, are put together into programs.
//
// cmd/glanced calls one function for each program: [RunAPI], [RunRegistry],
// [Manage], [Replicate], [RunScrubber], [RunReaper], [RunPruner], [RunPrefetcher]. What an
// image is and what may be done with it is decided in package glance; here is
// only who is connected to whom, and how a process starts and ends.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/config"
	"glancectl/service/internal/imagecache"
	"glancectl/service/internal/inspect"
	"glancectl/service/internal/keystone"
	"glancectl/service/internal/oslolog"
	"glancectl/service/internal/sqlcatalog"
)

// Options say how a program is started. The zero value reads the files in
// /etc/glance.
type Options struct {
	Files   []string // configuration files, later ones win
	Dirs    []string // directories of them, read after Files
	Debug   bool     // as debug = true in a file
	Version string   // for the log

	Stdout io.Writer // what Manage answers; nil means os.Stdout
	Stderr io.Writer // the log, unless it goes to a file; nil means os.Stderr

	// Of RunAPI and RunRegistry.
	PIDFile string           // in place of pid_file in a file; of RunScrubber as a daemon and of Control too
	Detach  bool             // standard output and error are given up once it works
	Capture bool             // with Detach: they go to syslog, by logger; of Control too
	Hangup  <-chan os.Signal // each one begins a new log file; nil means none
	Ready   func(net.Addr)   // called once, when connections are taken; nil is fine

	// Of the jobs.
	Timeout time.Duration // a run is broken off after this long; 0 means never
	Jitter  time.Duration // a random wait, shorter than this, before it begins
	Daemon  bool          // RunScrubber: as daemon = true in a file

	// Of CacheManage, and of Manage for its index.
	Stdin   io.Reader // answers to questions; nil means os.Stdin
	Remote  Remote
	Force   bool // nothing is asked
	Verbose bool // what was done is said

	Replication Replication // of Replicate

	// Of Control, for start.
	Await   time.Duration // look so long whether what was started ends again
	Respawn bool          // stay, and start again what ends without being told to

	// Of RunScrubber, in place of scrubbing.
	Restore       string // the ID of an image to take back from pending_delete
	Check         bool   // tell on Stdout which images have no data and which data has no image
	RemoveOrphans bool   // with Check: remove data that has no image
}

// etc is where configuration is looked for if none is named.
const etc = "/etc/glance"

// elements are the names that files have in place of a program's own.
var elements = map[config.Program][]string{
	config.Reaper:     {"glance-reaper.conf", "glance-cache.conf"},
	config.Pruner:     {"glance-pruner.conf", "glance-cache.conf"},
	config.Prefetcher: {"glance-prefetcher.conf", "glance-cache.conf"},
	config.Manage:     {"glance-manage.conf", "glance-registry.conf", "glance-api.conf"},
}

// source returns where the settings of p come from: what o names or, if that
// is nothing, the first file that there is in dir and the directory of that
// name with .d at its end.
func (o Options) source(p config.Program, dir string) config.Source {
	src := config.Source{Files: o.Files, Dirs: o.Dirs, Debug: o.Debug}
	if len(o.Files)+len(o.Dirs) > 0 {
		return src
	}
	names := elements[p]
	if names == nil {
		names = []string{"glance-" + string(p) + ".conf"}
	}
	for _, name := range names {
		name = filepath.Join(dir, name)
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		src.Files = []string{name}
		if info, err := os.Stat(name + ".d"); err == nil && info.IsDir() {
			src.Dirs = []string{name + ".d"}
		}
		break
	}
	return src
}

// A process is a program that runs: its settings and its log. Its methods open
// what a program needs.
type process struct {
	*config.Settings
	program  config.Program
	o        Options
	session  *session             // of the api
	area     *importArea          // of the api; nil: nothing is imported
	told     *notifications       // of the api; nil: nobody is
	keystone *keystone.Middleware // nil as long as nobody needs it
	output   *oslolog.Log
	log      *slog.Logger
}

// begin loads the settings of p and opens its log. The caller calls end.
func begin(p config.Program, o Options) (*process, error) {
	s, err := config.Load(p, o.source(p, etc))
	if err != nil {
		return nil, err
	}
	name := "glance." + string(p)
	output, err := oslolog.Open(oslolog.Options{
		Name:     name,
		Level:    oslolog.Level(s.Log.Debug, s.Log.Verbose),
		File:     s.Log.File,
		Syslog:   s.Log.Syslog,
		Facility: s.Log.Facility,
		Stderr:   o.Stderr,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: [DEFAULT] %w", s.Where, err)
	}
	pr := &process{Settings: s, program: p, o: o, output: output, log: output.Logger()}
	for _, text := range s.Warnings {
		pr.log.Warn(text)
	}
	for _, text := range s.Ignored {
		pr.log.Debug(text)
	}
	return pr, nil
}

// fault returns an error about an option, with the files in front.
func (p *process) fault(format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{p.Where}, args...)...)
}

func (p *process) end() { p.output.Close() }

// catalog opens the database. It does not connect.
func (p *process) catalog() (*sqlcatalog.Catalog, error) {
	d := p.Database
	o := sqlcatalog.Options{IdleTimeout: d.Recycle, MaxOpen: d.Open, Keep: d.Keep, Wait: d.Wait, Key: string(d.Key)}
	if p.program == config.Manage {
		o.Patience = -1 // to change a large table takes what it takes
	}
	if p.session != nil {
		o.Owner = p.session.name
	}
	if p.program == config.Registry {
		o.Key = "" // those who ask it have the key
	}
	c, err := sqlcatalog.Open(string(p.Database.URL), o)
	if err != nil {
		return nil, fmt.Errorf("%s: [database] connection: %w", p.Database.Pos, err)
	}
	return c, nil
}

// reach waits for the database as the configuration says, for a program that
// can do nothing without. If that says nothing, the first question tells.
func (p *process) reach(ctx context.Context, c *sqlcatalog.Catalog) error {
	if p.Database.Tries == 0 {
		return nil
	}
	return c.Await(ctx, p.Database.Tries, p.Database.Pause)
}

// images connects a catalog with the stores of the configuration. The cache
// may be nil, and so may the rules: jobs, which ask for nobody, go without.
func (p *process) images(catalog glance.Catalog, cache glance.DataCache, rules *access) (*glance.Images, error) {
	stores, byDefault, err := p.stores()
	if err != nil {
		return nil, err
	}
	o := glance.Options{
		MaxSize:          p.Images.MaxSize,
		PropertyQuota:    quota(p.Images.PropertyQuota),
		TagQuota:         quota(p.Images.TagQuota),
		MemberQuota:      quota(p.Images.MemberQuota),
		HashAlgo:         p.Images.HashAlgo,
		DiskFormats:      p.Images.DiskFormats,
		ContainerFormats: p.Images.ContainerFormats,
		Inspector:        inspect.New(inspect.Options{VMDKTypes: p.Images.VMDKTypes, TolerateMBR: p.Images.TolerateMBR}),
		AnyFormat:        !p.Images.RequireFormat,
		DefaultStore:     byDefault,
		DelayedDelete:    p.Images.DelayedDelete,
		Cache:            cache,
		Notify:           p.told.ofImages(p.log),
		Hashing:          new(processors).begin,
		Log:              p.log,
	}
	if p.area != nil {
		o.Import = p.area.ImportOptions
	}
	if o.Locations, err = p.locations(); err != nil {
		return nil, err
	}
	if rules != nil {
		o.Policy, o.Properties = rules, rules.properties
		if err := errors.Join(p.quotas(&o), p.certificates(&o)); err != nil {
			return nil, err
		}
	}
	_, o.Filtered = catalog.(*behindRegistry)
	return glance.New(catalog, stores, o)
}

// cache opens the cache of image data.
func (p *process) cache() (*imagecache.Cache, error) {
	c, err := imagecache.Open(p.Cache.Dir, imagecache.Options{
		MaxSize:      p.Cache.MaxSize,
		StallTime:    p.Cache.StallTimeout,
		InvalidGrace: p.Cache.GracePeriod,
		Log:          p.log,
	})
	if err != nil {
		return nil, p.fault("[DEFAULT] image_cache_dir: %w", err)
	}
	return c, nil
}
