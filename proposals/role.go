package proposals

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// GlanceServerRole is the name of the one role there is.
const GlanceServerRole = "glance-server"

// A roleReader decodes a glance-server role and keeps what its parts must
// not share.
type roleReader struct {
	*decoder
	p     *Proposal
	g     *GlanceServer
	def   hcl.Range
	files map[string]use // what uses a file on the node

	dirs    []claim // the directories that the service writes to
	configs []claim // its configuration files
}

// A use of a file, and where it was written; no place when it was not.
type use struct {
	what  string
	place hcl.Range
}

func (d *decoder) role(p *Proposal, b *labelled, index int) {
	if b.Label != GlanceServerRole {
		d.errorf(b.LabelRange, advise(b.Label, []string{GlanceServerRole}), "unknown role %q", b.Label)
		return
	}
	if index > 0 && p.Glance != nil {
		d.errorf(b.DefRange, "Write one block with all nodes.", "a second role %q", b.Label)
		return
	}
	var raw roleBlock
	d.block("role", b.plain(), &raw)
	r := roleReader{decoder: d, p: p, def: b.DefRange, files: map[string]use{
		"/etc/glance/glance-cache.conf":  {what: "the file of the cache"},
		"/etc/glance/glance-manage.conf": {what: "the file of glance-manage"},
		"/etc/glance/glance-swift.conf":  {what: "the file of the Swift backing"},
	}}
	r.g = &GlanceServer{
		User:             d.account(raw.User),
		Group:            d.account(raw.Group),
		WorkingDirectory: d.path(raw.WorkingDirectory),
		PIDDirectory:     d.path(raw.PIDDirectory),
		NotifierStrategy: d.choice(raw.NotifierStrategy, "noop", "logging", notifyRabbit),
		UseSyslog:        d.boolean(raw.UseSyslog),
		DelayedDelete:    d.boolean(raw.DelayedDelete),
		ScrubTime:        d.duration(raw.ScrubTime),
	}
	p.Glance = r.g
	r.claim("role", workingPlace, r.g.WorkingDirectory, raw.WorkingDirectory)
	if r.g.WorkingDirectory != "" {
		r.claim("role", lockPlace, path.Join(r.g.WorkingDirectory, "lock"), raw.WorkingDirectory)
	}
	r.claim("role", pidPlace, r.g.PIDDirectory, raw.PIDDirectory)
	r.nodes(raw.Nodes)
	r.images(raw.Images)
	r.backings(raw.Backings)
	r.cache(r.single("cache", raw.Cache))
	r.database(raw.Databases)
	r.keystone(r.single("keystone", raw.Keystone))
	r.rabbitmq(r.single("rabbitmq", raw.RabbitMQ))
	r.daemons(&raw)
	r.g.Scrubber = r.job("scrubber", r.single("scrubber", raw.Scrubber))
	r.g.Reaper = r.job("reaper", r.single("reaper", raw.Reaper))
	r.g.Prefetcher = r.job("prefetcher", r.single("prefetcher", raw.Prefetcher))
	r.g.Pruner = r.job("pruner", r.single("pruner", raw.Pruner))
	r.config(raw.Config)
	r.checkPlaces()
}

// orEmpty returns b, or an empty block if it was left out.
func (r *roleReader) orEmpty(b *plain) *plain {
	if b == nil {
		return &plain{DefRange: r.def, Body: hcl.EmptyBody()}
	}
	return b
}

func (r *roleReader) nodes(a *hcl.Attribute) {
	items := r.list(a)
	if v, ok := r.value(a); ok && v.LengthInt() == 0 {
		r.errorf(a.Expr.Range(), "Name the nodes that carry the role.", "the role has no nodes")
	}
	for _, it := range items {
		switch {
		case r.p.Node(it.value) == nil:
			r.errorf(it.rng, advise(it.value, nodeNames(r.p)), "the role is on an unknown node %q", it.value)
		case slices.Contains(r.g.Nodes, it.value):
			r.errorf(it.rng, "Remove one of them.", "node %q is named twice", it.value)
		default:
			r.g.Nodes = append(r.g.Nodes, it.value)
		}
	}
}

func (r *roleReader) images(a *hcl.Attribute) {
	for _, it := range r.list(a) {
		if strings.Contains(it.value, "://") {
			u, err := url.Parse(it.value)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				r.errorf(it.rng, "Write a URL with http or https, or the name of a file.", "images: not a URL that can be loaded: %q", it.value)
				continue
			}
			r.g.Images = append(r.g.Images, it.value)
			continue
		}
		file := r.relative(it.value)
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			r.errorf(it.rng, r.startsAt(), "images: no such file: %q", it.value)
			continue
		}
		r.g.Images = append(r.g.Images, file)
	}
}

func (r *roleReader) cache(b *plain) {
	var raw cacheBlock
	b = r.orEmpty(b)
	r.block("role.cache", b, &raw)
	r.g.Cache = Cache{
		Enabled:      r.boolean(raw.Enabled),
		Management:   r.boolean(raw.Management),
		Directory:    r.path(raw.Directory),
		GracePeriod:  r.duration(raw.GracePeriod),
		StallTimeout: r.duration(raw.StallTimeout),
		MaxSize:      r.size(raw.MaxSize),
		ExtraToFree:  r.share(raw.ExtraToFree),
	}
	r.claim("role.cache", cachePlace, r.g.Cache.Directory, raw.Directory)
}

func (r *roleReader) daemons(raw *roleBlock) {
	var apiRange, registryRange hcl.Range
	r.g.API, apiRange = r.api(r.single("api", raw.API))
	r.g.Registry, registryRange = r.registry(r.single("registry", raw.Registry))
	if r.g.API.Port != 0 && r.g.API.Port == r.g.Registry.Port {
		at, other := registryRange, apiRange
		if raw.Registry == nil {
			at, other = apiRange, registryRange
		}
		r.errorf(at, fmt.Sprintf("The other one is at %s. Give one of them another port.", placeText(other)), "api and registry have the same port %d", r.g.API.Port)
	}
}

// api decodes the block of the API and also returns the place of its port.
func (r *roleReader) api(b *plain) (Daemon, hcl.Range) {
	var raw apiBlock
	b = r.orEmpty(b)
	r.block("role.api", b, &raw)
	r.g.EnableV1API = r.boolean(raw.EnableV1API)
	return r.daemon("api", daemonBlock{
		raw.Port, raw.BindToAll, raw.PasteFile, raw.Workers, raw.Debug, raw.Verbose, raw.LogFile, raw.ConfigFile,
	}), place(raw.Port, b.DefRange)
}

// registry is api for the other daemon.
func (r *roleReader) registry(b *plain) (Daemon, hcl.Range) {
	var raw daemonBlock
	b = r.orEmpty(b)
	r.block("role.registry", b, &raw)
	return r.daemon("registry", raw), place(raw.Port, b.DefRange)
}

// daemon reads what every daemon has.
func (r *roleReader) daemon(name string, raw daemonBlock) Daemon {
	return Daemon{
		Element: Element{
			Debug: r.boolean(raw.Debug), Verbose: r.boolean(raw.Verbose),
			LogFile: r.own(name, raw.LogFile), ConfigFile: r.own(name, raw.ConfigFile),
		},
		Port:      r.port(raw.Port),
		BindToAll: r.boolean(raw.BindToAll),
		PasteFile: r.own(name, raw.PasteFile),
		Workers:   r.integer(raw.Workers, 0, 1024),
	}
}

func (r *roleReader) job(name string, b *plain) Job {
	var raw jobBlock
	b = r.orEmpty(b)
	r.block("role."+name, b, &raw)
	schedule, ok := r.text(raw.Schedule)
	if ok {
		if _, err := ParseSchedule(schedule); err != nil {
			r.errorf(raw.Schedule.Expr.Range(), `Write the five fields of cron: minute, hour, day of month, month, day of week, such as "45 * * * *".`, "bad schedule: %v", err)
		}
	}
	return Job{
		Element: Element{
			Debug: r.boolean(raw.Debug), Verbose: r.boolean(raw.Verbose),
			LogFile: r.own(name, raw.LogFile), ConfigFile: r.own(name, raw.ConfigFile),
		},
		Schedule: strings.Join(strings.Fields(schedule), " "),
		User:     r.jobUser(name, raw.User),
		Timeout:  r.duration(raw.Timeout),
		Jitter:   r.duration(raw.Jitter),
	}
}

// jobUser returns who runs a job: the service's user, or root. Nobody else can
// read the configuration and change what the service made.
func (r *roleReader) jobUser(name string, a *hcl.Attribute) string {
	user := cmp.Or(r.account(a), r.g.User)
	if user != r.g.User && user != "root" {
		r.errorf(a.Expr.Range(), fmt.Sprintf("Leave it out: the %s runs as the role's user %q then. root is possible too.", name, r.g.User),
			"user %q can neither read the configuration of the %s nor change what it looks after", user, name)
	}
	return user
}

// own returns the path of a file that nothing else of the role may use.
func (r *roleReader) own(element string, a *hcl.Attribute) string {
	file := r.file(a)
	if file == "" {
		return ""
	}
	what := element + "'s " + a.Name
	if a.Name == "log_file" {
		r.claimLogs(element, a, file)
	} else {
		r.configs = append(r.configs, newClaim("role."+element, what, file, a))
	}
	mine := r.use(what, a)
	other, taken := r.files[file]
	if !taken {
		r.files[file] = mine
		return file
	}
	if mine.place.Filename == "" {
		mine, other = other, mine // the mistake is where something was written
	}
	r.errorf(mine.place, "Give each a file of its own.", "%s is also %s: %s", mine.what, other.what, shown(a, fmt.Sprintf("%q", file)))
	return file
}

// use returns that what uses the file that a names.
func (r *roleReader) use(what string, a *hcl.Attribute) use {
	if r.origins[a] == nil {
		return use{what: what}
	}
	return use{what: what, place: a.Expr.Range()}
}
