package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"glancectl/service/oslo"
)

// A Stage is one stage of a pipeline: what a request goes through.
type Stage string

// The filters, and the applications that a pipeline can end in.
const (
	HealthFilter    Stage = "healthcheck"
	ProxyFilter     Stage = "http_proxy_to_wsgi"
	VersionFilter   Stage = "versionnegotiation"
	AuthToken       Stage = "authtoken"
	Context         Stage = "context"
	Unauthenticated Stage = "unauthenticated-context"
	CacheFilter     Stage = "cache"
	CacheManage     Stage = "cachemanage"
	CORSFilter      Stage = "cors"       // does nothing: [cors] allowed_origin is refused
	ProfilerFilter  Stage = "osprofiler" // does nothing: [profiler] enabled is refused

	APIApp      Stage = "rootapp" // the Images API and the list of its versions
	RegistryApp Stage = "registryapp"

	v2App       Stage = "apiv2app"
	versionsApp Stage = "apiversions"
	healthApp   Stage = "healthcheck app"
)

// A Pipeline is the stages of a daemon, the application last.
type Pipeline []Stage

// Has reports whether a stage is in the pipeline.
func (p Pipeline) Has(s Stage) bool { return slices.Contains(p, s) }

// factories has what a paste file can name, under every name of every release.
var factories = map[string]Stage{
	"oslo_middleware:Healthcheck.factory":                                        HealthFilter,
	"oslo_middleware.healthcheck:Healthcheck.factory":                            HealthFilter,
	"oslo_middleware:Healthcheck.app_factory":                                    healthApp,
	"oslo_middleware.healthcheck:Healthcheck.app_factory":                        healthApp,
	"oslo_middleware:HTTPProxyToWSGI.factory":                                    ProxyFilter,
	"oslo_middleware.http_proxy_to_wsgi:HTTPProxyToWSGI.factory":                 ProxyFilter,
	"oslo_middleware.cors:filter_factory":                                        CORSFilter,
	"oslo_middleware:CORS.factory":                                               CORSFilter,
	"osprofiler.web:WsgiMiddleware.factory":                                      ProfilerFilter,
	"glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory": VersionFilter,
	"keystonemiddleware.auth_token:filter_factory":                               AuthToken,
	"keystoneclient.middleware.auth_token:filter_factory":                        AuthToken,
	"keystone.middleware.auth_token:filter_factory":                              AuthToken,
	"glance.api.middleware.context:ContextMiddleware.factory":                    Context,
	"glance.api.middleware.context:UnauthenticatedContextMiddleware.factory":     Unauthenticated,
	"glance.api.middleware.cache:CacheFilter.factory":                            CacheFilter,
	"glance.api.middleware.cache_manage:CacheManageFilter.factory":               CacheManage,
	"glance.api.versions:create_resource":                                        versionsApp,
	"glance.api.v2.router:API.factory":                                           v2App,
	"glance.registry.api:API.factory":                                            RegistryApp,
	"glance.registry.api.v1:API.factory":                                         RegistryApp,
}

// pipeline sets the stages of a daemon: those of the paste file if there is
// one, otherwise what the flavor means.
func (r *reader) pipeline(p Program, s *Settings) {
	flavor := r.text("", "paste_deploy.flavor")
	file := r.text("", "paste_deploy.config_file")
	name := file
	if name == "" {
		name = "glance-" + string(p) + "-paste.ini" // as the original looks for it
	}
	name = r.beside(name)
	text, err := os.ReadFile(name)
	if file == "" && errors.Is(err, fs.ErrNotExist) {
		s.Pipeline = r.flavor(p, flavor)
		return
	}
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: [paste_deploy] config_file: %w", r.pos("paste_deploy.config_file"), err))
		return
	}
	c, err := oslo.Parse(name, text)
	if err != nil {
		r.errs = append(r.errs, err)
		return
	}
	paste := &paste{c: c, file: name}
	main := "glance-" + string(p)
	if flavor != "" {
		main += "-" + flavor
	}
	if s.Pipeline, err = paste.app(main, name); err == nil {
		err = paste.health(&s.Health)
	}
	if err != nil {
		r.errs = append(r.errs, err)
		return
	}
	if err := check(p, s.Pipeline); err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: pipeline of flavor %q: %w", name, flavor, err))
	}
}

// flavors are the pipelines that there are without a paste file.
var flavors = map[string]Pipeline{
	"":                         {Unauthenticated},
	"caching":                  {Unauthenticated, CacheFilter},
	"cachemanagement":          {Unauthenticated, CacheFilter, CacheManage},
	"keystone":                 {AuthToken, Context},
	"keystone+caching":         {AuthToken, Context, CacheFilter},
	"keystone+cachemanagement": {AuthToken, Context, CacheFilter, CacheManage},
}

func (r *reader) flavor(p Program, flavor string) Pipeline {
	stages, ok := flavors[flavor]
	if !ok || p == Registry && slices.Contains(stages, CacheFilter) {
		v, _, _ := r.lookup([]string{"paste_deploy.flavor"})
		r.wrong(v, []string{"paste_deploy.flavor"}, "a flavor that glance-"+string(p)+" has without a paste file")
		return nil
	}
	if p == Registry {
		return slices.Concat(Pipeline{HealthFilter}, stages, Pipeline{RegistryApp})
	}
	return slices.Concat(Pipeline{HealthFilter, ProxyFilter, VersionFilter}, stages, Pipeline{APIApp})
}

// A paste file wires filters and applications together. The errors of its
// methods begin with file and line.
type paste struct {
	c      *oslo.Config
	file   string
	within []string // the applications that are being resolved
}

// app returns the stages of the application called name; pos is what asks
// for it.
func (p *paste) app(name, pos string) (Pipeline, error) {
	if slices.Contains(p.within, name) {
		return nil, fmt.Errorf("%s: %s is part of itself", pos, name)
	}
	p.within = append(p.within, name)
	defer func() { p.within = p.within[:len(p.within)-1] }()
	for _, kind := range []struct {
		prefix  string
		resolve func(section string) (Pipeline, error)
	}{{"pipeline:", p.pipeline}, {"composite:", p.composite}, {"app:", p.single}, {"application:", p.single}} {
		if section := kind.prefix + name; len(p.c.Keys(section)) > 0 {
			return kind.resolve(section)
		}
	}
	return nil, fmt.Errorf("%s: there is no [pipeline:%s]", pos, name)
}

// pipeline reads filters and an application from "pipeline = a b c app".
func (p *paste) pipeline(section string) (Pipeline, error) {
	v, err := p.c.Lookup(section, "pipeline")
	names := strings.Fields(v.Raw)
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("%s: [%s] has no pipeline", p.file, section)
	}
	var pipe Pipeline
	for _, name := range names[:len(names)-1] {
		stage, err := p.factory("filter:"+name, "paste.filter_factory", v.Pos())
		if err != nil {
			return nil, err
		}
		pipe = append(pipe, stage)
	}
	last, err := p.app(names[len(names)-1], v.Pos())
	return append(pipe, last...), err
}

// composite reads applications by path. There are two shapes of it: the root
// that joins versions and API, and one that takes the health check out.
func (p *paste) composite(section string) (Pipeline, error) {
	children := make(map[string]Pipeline)
	for _, key := range p.c.Keys(section) {
		if !strings.HasPrefix(key, "/") {
			continue
		}
		v, _ := p.c.Lookup(section, key) // the key is there
		pipe, err := p.app(strings.TrimSpace(v.Raw), v.Pos())
		if err != nil {
			return nil, err
		}
		children[key] = pipe
	}
	root, v2, health := children["/"], children["/v2"], children["/healthcheck"]
	delete(children, "/")
	delete(children, "/v2")
	delete(children, "/healthcheck")
	switch {
	case len(children) > 0:
		return nil, fmt.Errorf("%s: [%s]: nothing can be served at %s", p.file, section, slices.Min(slices.Collect(maps.Keys(children))))
	case slices.Equal(root, Pipeline{versionsApp}) && slices.Equal(v2, Pipeline{v2App}) && health == nil:
		return Pipeline{APIApp}, nil
	case root != nil && v2 == nil && slices.Equal(health, Pipeline{healthApp}):
		return append(Pipeline{HealthFilter}, root...), nil
	case root != nil && v2 == nil && health == nil:
		return root, nil
	}
	return nil, fmt.Errorf("%s: [%s]: this combination of applications is not known", p.file, section)
}

// single reads an application that is a piece of code.
func (p *paste) single(section string) (Pipeline, error) {
	stage, err := p.factory(section, "paste.app_factory", p.file)
	return Pipeline{stage}, err
}

// factory returns the stage that a section names; pos is what asks for it.
func (p *paste) factory(section, key, pos string) (Stage, error) {
	v, err := p.c.Lookup(section, key)
	if errors.Is(err, oslo.ErrUnset) {
		return "", fmt.Errorf("%s: there is no [%s] with a %s", pos, section, key)
	}
	stage, ok := factories[strings.TrimSpace(v.Raw)]
	if !ok {
		return "", fmt.Errorf("%s: [%s] %s: this service has no %s", v.Pos(), section, key, v.Raw)
	}
	return stage, nil
}

// health reads what the sections of the health check say.
func (p *paste) health(h *Health) error {
	for _, section := range p.c.Sections() {
		filter, _ := p.c.Get(section, "paste.filter_factory")
		app, _ := p.c.Get(section, "paste.app_factory")
		if factories[filter] != HealthFilter && factories[app] != healthApp {
			continue
		}
		if path, ok := p.c.Get(section, "path"); ok {
			h.Path = path
		}
		if file, ok := p.c.Get(section, "disable_by_file_path"); ok {
			h.DisableFile = file
		}
		v, err := p.c.Lookup(section, "backends")
		if err != nil {
			h.DisableFile = ""
			continue
		}
		if err := h.use(words(v.Text)); err != nil {
			return fmt.Errorf("%s: [%s] backends: %w", v.Pos(), section, err)
		}
	}
	return nil
}

// use takes the health check's file away unless backends ask for it.
func (h *Health) use(backends []string) error {
	for _, b := range backends {
		if b != "disable_by_file" {
			return fmt.Errorf("there is no %q, only disable_by_file", b)
		}
	}
	if len(backends) == 0 {
		h.DisableFile = ""
	}
	return nil
}

// check reports stages that make no sense together.
func check(p Program, pipe Pipeline) error {
	app := map[Program]Stage{API: APIApp, Registry: RegistryApp}[p]
	last := pipe[len(pipe)-1]
	if last == v2App && p == API {
		last, pipe[len(pipe)-1] = app, app // the versions come with it
	}
	at := func(s Stage) int { return slices.Index(pipe, s) }
	switch {
	case last != app:
		return fmt.Errorf("glance-%s ends in %s, not in %s", p, app, last)
	case pipe.Has(AuthToken) && at(Context) < at(AuthToken):
		return errors.New("authtoken needs context after it")
	case pipe.Has(Context) && !pipe.Has(AuthToken):
		return errors.New("context needs authtoken before it; without Keystone use unauthenticated-context")
	case pipe.Has(Context) == pipe.Has(Unauthenticated):
		return errors.New("there must be one of context and unauthenticated-context")
	case pipe.Has(CacheManage) && at(CacheFilter) == -1:
		return errors.New("cachemanage needs cache before it")
	case p == Registry && pipe.Has(CacheFilter):
		return errors.New("glance-registry has no cache")
	}
	return nil
}
