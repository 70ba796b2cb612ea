package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"slices"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
	"glancectl/service/internal/apiv2"
	"glancectl/service/internal/config"
	"glancectl/service/internal/imagecache"
	"glancectl/service/internal/keystone"
	"glancectl/service/internal/oslolog"
	"glancectl/service/internal/registry"
	"glancectl/service/internal/sqlcatalog"
)

// RunAPI serves the Images API until ctx ends, and then until the requests
// that are under way are answered. It returns at once, with an error that
// names the option, if the service cannot start.
func RunAPI(ctx context.Context, o Options) error {
	p, err := begin(config.API, o)
	if err != nil {
		return err
	}
	defer p.end()
	p.session = p.openSession()
	defer p.session.close()
	if p.told, err = p.openNotifications(); err != nil {
		return err
	}
	defer p.told.close()
	catalog, err := p.catalog()
	if err != nil {
		return err
	}
	defer catalog.Close()
	cache, control, err := p.dataCache(catalog)
	if err != nil {
		return err
	}
	if control != nil {
		defer control.close()
		// What is fetched for nobody in particular holds up no end.
		defer context.AfterFunc(ctx, control.stop)()
	}
	rules, err := p.access()
	if err != nil {
		return err
	}
	if p.area, err = p.openImports(catalog); err != nil {
		return err
	}
	images, err := p.images(catalog, dataCache(cache), rules)
	if err != nil {
		return err
	}
	options, err := p.v2Options(catalog, control, rules)
	if err != nil {
		return err
	}
	if p.V1.Enabled {
		v1, err := p.v1(images, catalog, dataCache(cache), rules)
		if err != nil {
			return err
		}
		defer v1.close(ctx)
		options.V1 = v1
	}
	api := apiv2.New(images, options)
	handler, err := p.handler(api.Root(), rules, map[config.Stage]filter{
		config.VersionFilter: api.Negotiate,
		config.CacheFilter:   through, // it is part of images
		config.CacheManage:   func(next http.Handler) http.Handler { return &cacheManager{cache, rules, p.log, next} },
	})
	if err != nil {
		return err
	}
	imports, err := p.beginImports(ctx, images, catalog, cache)
	if err != nil {
		return err
	}
	defer imports.close()
	return p.serveCached(ctx, handler, catalog, cache)
}

// v2Options are the settings of version 2 of the API. Version 1, if it is
// served, is added to them.
func (p *process) v2Options(catalog *sqlcatalog.Catalog, control *cacheControl, rules *access) (apiv2.Options, error) {
	options := apiv2.Options{
		LimitDefault:   p.Images.LimitDefault,
		LimitMax:       p.Images.LimitMax,
		ShowDirectURL:  p.Images.ShowDirectURL,
		PublicEndpoint: p.Server.PublicEndpoint,
		Prefix:         prefix,
		MaxRequestID:   unlimited(p.Server.MaxRequestID),
		Log:            p.log,
		Definitions:    metadef.New(catalog.Metadefs(), metadef.Options{Policy: rules, Notify: p.told.ofDefinitions()}),
	}
	if control != nil {
		options.Cache = control
	}
	var err error
	options.Properties, err = p.imageSchema()
	return options, err
}

// serveCached serves, and then waits for the cache, if there is one.
func (p *process) serveCached(ctx context.Context, h http.Handler, catalog *sqlcatalog.Catalog, cache *imagecache.Cache) error {
	err := p.serve(ctx, h, catalog)
	if cache == nil {
		return err
	}
	// What was downloaded last may still be on its way into the cache.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.limit())
	defer cancel()
	if werr := cache.Wait(ctx); werr != nil {
		p.log.Warn("the cache did not finish", slog.Any("error", werr))
	}
	return err
}

// RunRegistry serves the registry's API, as RunAPI does the other.
func RunRegistry(ctx context.Context, o Options) error {
	p, err := begin(config.Registry, o)
	if err != nil {
		return err
	}
	defer p.end()
	catalog, err := p.catalog()
	if err != nil {
		return err
	}
	defer catalog.Close()
	rules, err := p.access()
	if err != nil {
		return err
	}
	app := registry.New(catalog, registry.Options{
		DefaultLimit: p.Images.LimitDefault,
		MaxLimit:     p.Images.LimitMax,
		NoREST:       !p.V1.REST,
		NoRPC:        !p.V1.RPC,
		Tasks:        catalog.Tasks(),
		Definitions:  metadef.New(catalog.Metadefs(), metadef.Options{Policy: rules, Notify: p.told.ofDefinitions()}),
		Log:          p.log,
	})
	handler, err := p.handler(app, rules, map[config.Stage]filter{config.VersionFilter: through})
	if err != nil {
		return err
	}
	return p.serve(ctx, handler, catalog)
}

// dataCache opens the cache if there is a directory for it. Data is read
// through it if the pipeline has it; the API manages it in any case.
func (p *process) dataCache(catalog *sqlcatalog.Catalog) (*imagecache.Cache, *cacheControl, error) {
	if p.Cache.Dir == "" {
		return nil, nil, nil
	}
	cache, err := p.cache()
	if err != nil {
		return nil, nil, err
	}
	images, err := p.images(catalog, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	control := newCacheControl(cache, images, p.log)
	if !p.Pipeline.Has(config.CacheFilter) {
		cache = nil
	}
	return cache, control, nil
}

// dataCache makes a nil interface of a nil cache.
func dataCache(c *imagecache.Cache) glance.DataCache {
	if c == nil {
		return nil
	}
	return c
}

// A filter puts a stage in front of a handler.
type filter func(next http.Handler) http.Handler

func through(next http.Handler) http.Handler { return next }

// handler puts the stages of the pipeline in front of an application; more has
// the stages that only this application has.
func (p *process) handler(app http.Handler, rules *access, more map[config.Stage]filter) (http.Handler, error) {
	stages := map[config.Stage]filter{
		config.HealthFilter:    func(next http.Handler) http.Handler { return &health{p.Health, next} },
		config.ProxyFilter:     p.forwarded,
		config.CORSFilter:      p.crossOrigin,
		config.GzipFilter:      compressed,
		config.ProfilerFilter:  through,
		config.Context:         func(next http.Handler) http.Handler { return rules.judged(p.identified(next)) },
		config.Unauthenticated: func(next http.Handler) http.Handler { return keystone.NoKeystone(p.identified(next)) },
	}
	if p.Pipeline.Has(config.AuthToken) {
		tokens, err := p.tokens()
		if err != nil {
			return nil, err
		}
		stages[config.AuthToken] = tokens.Require
		if p.Server.AnonymousAllowed && !p.Keystone.Immediate {
			stages[config.AuthToken] = tokens.Identify
		}
	}
	if !p.Pipeline.Has(config.AuthToken) && p.Pipeline.Has(config.Context) {
		p.log.Warn("tokens are not validated: the headers of every request are believed, so that only a proxy that validates them may reach this service")
		stages[config.Context] = func(next http.Handler) http.Handler {
			return keystone.Trusted(rules.judged(p.identified(next)), p.Server.AnonymousAllowed)
		}
	}
	for stage, f := range more {
		stages[stage] = f
	}
	h := app
	for _, stage := range slices.Backward(p.Pipeline[:len(p.Pipeline)-1]) {
		f, ok := stages[stage]
		if !ok {
			return nil, p.fault("[paste_deploy]: glance-%s has no %s", p.program, stage)
		}
		h = f(h)
	}
	return oslolog.Access(p.log, p.patient(framed(p.shortLines(p.requestID(h))))), nil
}

// tokens returns the middleware that asks Keystone.
func (p *process) tokens() (*keystone.Middleware, error) {
	if p.keystone != nil {
		return p.keystone, nil
	}
	client, err := p.keystoneClient("keystone_authtoken", p.Keystone)
	if err != nil {
		return nil, err
	}
	m, err := keystone.New(keystone.Options{
		AuthURL:            p.Keystone.AuthURL,
		WWWAuthenticateURI: p.Keystone.PublicURI,
		Username:           p.Keystone.Username,
		Password:           string(p.Keystone.Password),
		Project:            p.Keystone.Project,
		UserDomain:         p.Keystone.UserDomain,
		UserDomainID:       p.Keystone.UserDomainID,
		ProjectDomain:      p.Keystone.ProjectDomain,
		ProjectDomainID:    p.Keystone.ProjectDomainID,
		CacheTime:          p.Keystone.CacheTime,
		Immediate:          p.Keystone.Immediate,
		Client:             client,
		Log:                p.log.With(slog.String(oslolog.NameKey, "keystonemiddleware.auth_token")),
	})
	if err != nil {
		return nil, p.fault("[keystone_authtoken]: %w", err)
	}
	p.keystone = m
	return m, nil
}

// keystoneClient returns a client that trusts what cafile and insecure say, or
// nil, which is the middleware's own.
func (p *process) keystoneClient(section string, k config.Keystone) (*http.Client, error) {
	if !k.Insecure && k.CAFile == "" {
		return nil, nil
	}
	trust := &tls.Config{InsecureSkipVerify: k.Insecure}
	if k.CAFile != "" {
		pem, err := os.ReadFile(k.CAFile)
		if err != nil {
			return nil, p.fault("[%s] cafile: %w", section, err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, p.fault("[%s] cafile: %s has no certificate", section, k.CAFile)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	return &http.Client{Transport: transport}, nil
}

// checkCatalog logs what is wrong with the database, if anything is. The
// service starts all the same: a database may come later.
func (p *process) checkCatalog(ctx context.Context, c *sqlcatalog.Catalog) {
	if err := c.Check(ctx); err != nil && ctx.Err() == nil {
		p.log.ErrorContext(ctx, "the database cannot be used", slog.Any("error", err))
	}
}
