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
	CORSFilter      Stage = "cors"
	GzipFilter      Stage = "gzip"
	ProfilerFilter  Stage = "osprofiler" // does nothing: [profiler] enabled is refused

	APIApp      Stage = "rootapp" // the Images API and the list of its versions
	RegistryApp Stage = "registryapp"

	v1App       Stage = "apiv1app"
	v3App       Stage = "apiv3app" // artifacts, which are not served
	v2App       Stage = "apiv2app"
	versionsApp Stage = "apiversions"
	healthApp   Stage = "healthcheck app"
)

// A Pipeline is the stages of a daemon, the application last.
type Pipeline []Stage

// Has reports whether a stage is in the pipeline.
func (p Pipeline) Has(s Stage) bool { return slices.Contains(p, s) }

// factories has what a paste file can name, under every name of every release:
// a class by its module or, after egg:, by the name that a package gives it.
var factories = map[string]Stage{
	"oslo_middleware:Healthcheck.factory":                                        HealthFilter,
	"oslo_middleware.healthcheck:Healthcheck.factory":                            HealthFilter,
	"egg:oslo.middleware#healthcheck":                                            HealthFilter,
	"oslo_middleware:Healthcheck.app_factory":                                    healthApp,
	"oslo_middleware.healthcheck:Healthcheck.app_factory":                        healthApp,
	"oslo_middleware:HTTPProxyToWSGI.factory":                                    ProxyFilter,
	"oslo_middleware.http_proxy_to_wsgi:HTTPProxyToWSGI.factory":                 ProxyFilter,
	"egg:oslo.middleware#http_proxy_to_wsgi":                                     ProxyFilter,
	"oslo_middleware.cors:filter_factory":                                        CORSFilter,
	"oslo_middleware.cors:CORS.factory":                                          CORSFilter,
	"oslo_middleware:CORS.factory":                                               CORSFilter,
	"egg:oslo.middleware#cors":                                                   CORSFilter,
	"osprofiler.web:WsgiMiddleware.factory":                                      ProfilerFilter,
	"egg:osprofiler#osprofiler":                                                  ProfilerFilter,
	"glance.api.middleware.gzip:GzipMiddleware.factory":                          GzipFilter,
	"glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory": VersionFilter,
	"keystonemiddleware.auth_token:filter_factory":                               AuthToken,
	"keystoneclient.middleware.auth_token:filter_factory":                        AuthToken,
	"keystone.middleware.auth_token:filter_factory":                              AuthToken,
	"egg:keystonemiddleware#auth_token":                                          AuthToken,
	"keystone.middleware.glance_auth_token:KeystoneContextMiddleware.factory":    Context,
	"glance.common.context:ContextMiddleware.factory":                            Context,
	"glance.api.middleware.context:ContextMiddleware.factory":                    Context,
	"glance.common.context:UnauthenticatedContextMiddleware.factory":             Unauthenticated,
	"glance.api.middleware.context:UnauthenticatedContextMiddleware.factory":     Unauthenticated,
	"glance.api.middleware.cache:CacheFilter.factory":                            CacheFilter,
	"glance.api.middleware.cache_manage:CacheManageFilter.factory":               CacheManage,
	"glance.api.versions:Controller.factory":                                     versionsApp,
	"glance.api.versions:create_resource":                                        versionsApp,
	"glance.api.v3.router:API.factory":                                           v3App,
	"glance.api.v1:API.factory":                                                  v1App,
	"glance.api.v1.router:API.factory":                                           v1App,
	"glance.api.v2.router:API.factory":                                           v2App,
	"glance.registry.api:API.factory":                                            RegistryApp,
	"glance.registry.api.v1:API.factory":                                         RegistryApp,
}

// A kind is what a section of a paste file can be.
type kind struct {
	factory string // the key that names the code
	inner   string // the key that names it if the factory is Glance's own: the releases before there was a factory in each class
	own     string // that factory
}

var (
	filterKind    = kind{"paste.filter_factory", "glance.filter_factory", "glance.common.wsgi:filter_factory"}
	appKind       = kind{"paste.app_factory", "glance.app_factory", "glance.common.wsgi:app_factory"}
	compositeKind = kind{factory: "paste.composite_factory"}
)

// composites are the factories of sections that join applications by path.
var composites = []string{"glance.api:root_app_factory", "egg:Paste#urlmap"}

// wired is what a paste file, or a flavor, comes to.
type wired struct {
	stages     Pipeline
	healthPath string // of a health check that is an application
	v1         bool   // version 1 of the API is among the applications
}

// optionsOf are the sections of the configuration that a stage's own section
// in a paste file wins over.
var optionsOf = map[Stage]string{
	HealthFilter: "healthcheck",
	healthApp:    "healthcheck",
	ProxyFilter:  "oslo_middleware",
	CORSFilter:   "cors",
	AuthToken:    "keystone_authtoken",
}

// pipeline returns the stages of a daemon: those of the paste file if there is
// one, otherwise what the flavor means. Sections of stages in a paste file
// become layers of the configuration.
func (r *reader) pipeline(p Program) wired {
	if p != API && p != Registry {
		return wired{}
	}
	flavor := r.text("", "paste_deploy.flavor")
	file := r.text("", "paste_deploy.config_file")
	name := file
	if name == "" {
		name = "glance-" + string(p) + "-paste.ini" // as the original looks for it
	}
	name = r.beside(name)
	text, err := os.ReadFile(name)
	if file == "" && errors.Is(err, fs.ErrNotExist) {
		return wired{stages: r.flavor(p, flavor), v1: true}
	}
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: [paste_deploy] config_file: %w", r.pos("paste_deploy.config_file"), err))
		return wired{}
	}
	c, err := oslo.Parse(name, text)
	if err != nil {
		r.errs = append(r.errs, err)
		return wired{}
	}
	paste := &paste{c: c, file: name, sections: make(map[Stage]string)}
	main := "glance-" + string(p)
	if flavor != "" {
		main += "-" + flavor
	}
	stages, err := paste.app(main, name)
	paste.v1 = paste.v1 || err == nil && stages.Has(v1App)
	if err != nil {
		r.errs = append(r.errs, err)
		return wired{}
	}
	if err := check(p, stages); err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: pipeline of flavor %q: %w", name, flavor, err))
	}
	for stage, section := range paste.sections {
		if options, ok := optionsOf[stage]; ok {
			r.layers[options] = []layer{{c: c, section: section, raw: true}}
		}
	}
	return wired{stages, paste.healthPath, paste.v1}
}

// flavors are the pipelines that there are without a paste file.
var flavors = map[string]Pipeline{
	"":                         {Unauthenticated},
	"caching":                  {Unauthenticated, CacheFilter},
	"cachemanagement":          {Unauthenticated, CacheFilter, CacheManage},
	"keystone":                 {AuthToken, Context},
	"keystone+caching":         {AuthToken, Context, CacheFilter},
	"keystone+cachemanagement": {AuthToken, Context, CacheFilter, CacheManage},

	"trusted-auth":                 {Context},
	"trusted-auth+caching":         {Context, CacheFilter},
	"trusted-auth+cachemanagement": {Context, CacheFilter, CacheManage},
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
	return slices.Concat(Pipeline{CORSFilter, HealthFilter, ProxyFilter, VersionFilter}, stages, Pipeline{APIApp})
}

// A paste file wires filters and applications together. The errors of its
// methods begin with file and line.
type paste struct {
	c      *oslo.Config
	file   string
	within []string // the applications that are being resolved

	sections   map[Stage]string // where each stage stands
	healthPath string
	v1         bool
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
		stage, err := p.stage("filter:"+name, filterKind, v.Pos())
		if err != nil {
			return nil, err
		}
		if stage == Context && pipe.Has(Context) {
			continue // it was two filters once
		}
		pipe = append(pipe, stage)
	}
	last, err := p.app(names[len(names)-1], v.Pos())
	return append(pipe, last...), err
}

// composite reads applications by path. There are two shapes of it: the root
// that joins versions and API, and one that takes the health check out.
func (p *paste) composite(section string) (Pipeline, error) {
	v, code, err := p.named(section, compositeKind, p.file)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(composites, code) {
		return nil, fmt.Errorf("%s: [%s]: this service has no %s", v.Pos(), section, code)
	}
	children := make(map[string]Pipeline)
	var health []string
	for _, key := range p.c.Keys(section) {
		if !strings.HasPrefix(key, "/") {
			continue
		}
		v, _ := p.c.Lookup(section, key) // the key is there
		pipe, err := p.app(strings.TrimSpace(v.Raw), v.Pos())
		if err != nil {
			return nil, err
		}
		if slices.Equal(pipe, Pipeline{healthApp}) {
			health = append(health, key)
			continue
		}
		children[key] = pipe
	}
	root, v2 := children["/"], children["/v2"]
	if len(root) > 0 && root[len(root)-1] == versionsApp {
		// What is in front of the list of versions is in front of everything,
		// and the list answers there already.
		root = Pipeline{versionsApp}
	}
	if slices.Equal(children["/v3"], Pipeline{v3App}) {
		delete(children, "/v3") // it was off unless somebody turned it on
	}
	if slices.Equal(children["/v1"], Pipeline{v1App}) {
		p.v1 = true
		delete(children, "/v1")
	}
	delete(children, "/")
	delete(children, "/v2")
	switch {
	case len(children) > 0:
		return nil, fmt.Errorf("%s: [%s]: nothing can be served at %s", p.file, section, slices.Min(slices.Collect(maps.Keys(children))))
	case slices.Equal(root, Pipeline{versionsApp}) && slices.Equal(v2, Pipeline{v2App}) && health == nil:
		return Pipeline{APIApp}, nil
	case root != nil && v2 == nil && len(health) == 1:
		p.healthPath = health[0]
		return append(Pipeline{HealthFilter}, root...), nil
	case root != nil && v2 == nil && health == nil:
		return root, nil
	}
	return nil, fmt.Errorf("%s: [%s]: this combination of applications is not known", p.file, section)
}

// single reads an application that is a piece of code.
func (p *paste) single(section string) (Pipeline, error) {
	stage, err := p.stage(section, appKind, p.file)
	return Pipeline{stage}, err
}

// stage returns the stage that a section names; pos is what asks for it.
func (p *paste) stage(section string, k kind, pos string) (Stage, error) {
	v, code, err := p.named(section, k, pos)
	if err != nil {
		return "", err
	}
	stage, ok := factories[code]
	if !ok {
		return "", fmt.Errorf("%s: [%s]: this service has no %s", v.Pos(), section, code)
	}
	if with, err := p.c.Lookup(section, "filter-with"); err == nil {
		return "", fmt.Errorf("%s: [%s] filter-with: filters are named in a pipeline", with.Pos(), section)
	}
	if stage == HealthFilter && k == appKind {
		stage = healthApp // it has one name in its package
	}
	p.sections[stage] = section
	return stage, nil
}

// named returns the code that a section names: a class with its module, or a
// name in a package, with egg: before it. The value is what names it.
func (p *paste) named(section string, k kind, pos string) (v oslo.Value, code string, err error) {
	v, err = p.c.Lookup(section, k.factory)
	code = strings.TrimSpace(v.Raw)
	switch {
	case errors.Is(err, oslo.ErrUnset):
		v, err = p.c.Lookup(section, "use")
		code, _ = strings.CutPrefix(strings.TrimSpace(v.Raw), "call:")
	case code == k.own && k.own != "":
		v, err = p.c.Lookup(section, k.inner)
		code = strings.TrimSpace(v.Raw) + ".factory"
	}
	if errors.Is(err, oslo.ErrUnset) {
		return v, "", fmt.Errorf("%s: there is no [%s] with a %s", pos, section, k.factory)
	}
	return v, code, nil
}

// check reports stages that make no sense together.
func check(p Program, pipe Pipeline) error {
	app := map[Program]Stage{API: APIApp, Registry: RegistryApp}[p]
	last := pipe[len(pipe)-1]
	if (last == v2App || last == v1App) && p == API {
		last, pipe[len(pipe)-1] = app, app // the versions come with it
	}
	at := func(s Stage) int { return slices.Index(pipe, s) }
	switch {
	case last != app:
		return fmt.Errorf("glance-%s ends in %s, not in %s", p, app, last)
	case pipe.Has(AuthToken) && at(Context) < at(AuthToken):
		return errors.New("authtoken needs context after it")
	case pipe.Has(Context) == pipe.Has(Unauthenticated):
		return errors.New("there must be one of context and unauthenticated-context")
	case pipe.Has(CacheManage) && at(CacheFilter) == -1:
		return errors.New("cachemanage needs cache before it")
	case p == Registry && pipe.Has(CacheFilter):
		return errors.New("glance-registry has no cache")
	}
	return nil
}
