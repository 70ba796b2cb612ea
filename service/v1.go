package service

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"glancectl/service/glance"
	"glancectl/service/internal/apiv1"
	"glancectl/service/internal/config"
	"glancectl/service/internal/keystone"
	"glancectl/service/internal/oslolog"
	"glancectl/service/internal/registryclient"
	"glancectl/service/internal/sqlcatalog"
)

// A version1 is version 1 of the Images API.
type version1 struct {
	http.Handler
	p      *process
	images *glance.Images // its own; nil if it shares those of version 2
}

// v1 returns version 1 of the Images API. It works on the images given or, if
// the configuration names a registry, on those behind that. The caller closes
// it.
func (p *process) v1(images *glance.Images, catalog *sqlcatalog.Catalog, cache glance.DataCache, rules *access) (*version1, error) {
	v := &version1{p: p}
	if p.V1.Registry.Host != "" {
		registry, err := p.registry()
		if err != nil {
			return nil, err
		}
		images, err = p.images(&behindRegistry{registry, catalog, p.log}, cache, rules)
		if err != nil {
			return nil, err
		}
		v.images = images
	}
	v.Handler = apiv1.New(images, apiv1.Options{
		LimitDefault: p.Images.LimitDefault,
		LimitMax:     p.Images.LimitMax,
		MaxSize:      p.Images.MaxSize,
		Log:          p.log,
	})
	if v.images != nil {
		v.Handler = carryToken(v.Handler)
	}
	return v, nil
}

// close waits until no image is being copied any more.
func (v *version1) close(ctx context.Context) {
	if v.images == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.p.limit())
	defer cancel()
	if err := v.images.Drain(ctx); err != nil {
		v.p.log.Warn("not all copies could end", slog.Any("error", err))
	}
}

// carryToken lets the registry be asked with the token of a request.
func carryToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := cmp.Or(r.Header.Get("X-Auth-Token"), r.Header.Get("X-Storage-Token"))
		next.ServeHTTP(w, r.WithContext(registryclient.WithToken(r.Context(), token)))
	})
}

// behindRegistry is the catalog behind a registry. What a project uses the
// registry does not know, nor who is at work on an image: the database does.
type behindRegistry struct {
	*registryclient.Catalog
	database *sqlcatalog.Catalog
	log      *slog.Logger
}

var (
	_ glance.UsageCatalog = (*behindRegistry)(nil)
	_ glance.Claimer      = (*behindRegistry)(nil)
)

// Usage implements glance.UsageCatalog.
func (b *behindRegistry) Usage(ctx context.Context, project string, but glance.ID) (glance.Usage, error) {
	return b.database.Usage(ctx, project, but)
}

// Update implements glance.Catalog. A glance-registry of ours makes and ends
// claims in the transaction in which it writes. With another one they follow
// what it wrote: a process that dies between the two leaves an image that stays
// as it is.
func (b *behindRegistry) Update(ctx context.Context, before, after *glance.Image) error {
	claimed, err := b.Catalog.UpdateClaiming(ctx, before, after)
	if err != nil || claimed {
		return err
	}
	if err := b.database.Claim(context.WithoutCancel(ctx), before, after); err != nil {
		b.log.WarnContext(ctx, "who works on an image is not noted", slog.Any("error", err))
	}
	return nil
}

// Claims implements glance.Claimer.
func (b *behindRegistry) Claims(ctx context.Context) ([]glance.Claim, error) {
	return b.database.Claims(ctx)
}

// Release implements glance.Claimer.
func (b *behindRegistry) Release(ctx context.Context, c glance.Claim) error {
	return b.database.Release(ctx, c)
}

// registry returns the registry that the configuration names.
func (p *process) registry() (*registryclient.Catalog, error) {
	a := p.V1.Registry
	trust, err := p.registryTrust(a)
	if err != nil {
		return nil, err
	}
	o := registryclient.Options{
		Host:     a.Host,
		Port:     a.Port,
		TLS:      trust,
		Timeout:  a.Timeout,
		Identity: a.SendIdentity,
		Key:      string(p.Database.Key),
		Claimant: p.session.name,
		Log:      p.log.With(slog.String(oslolog.NameKey, "glance.registry.client")),
	}
	switch {
	case a.UserToken:
		o.Token = registryclient.CallersToken
	case a.AuthURL != "":
		m, err := keystone.New(keystone.Options{
			AuthURL: a.AuthURL, Username: a.AdminUser, Password: string(a.AdminPassword), Project: a.AdminProject, Log: o.Log,
		})
		if err != nil {
			return nil, p.fault("[DEFAULT] auth_url: %w", err)
		}
		o.Token = m.Token
	}
	return registryclient.New(o)
}

// registryTrust returns how a registry with TLS is trusted, nil for one
// without.
func (p *process) registryTrust(a config.RegistryAccess) (*tls.Config, error) {
	if !a.TLS {
		return nil, nil
	}
	t := &tls.Config{InsecureSkipVerify: a.Insecure}
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		if err == nil {
			t.RootCAs = x509.NewCertPool()
			if !t.RootCAs.AppendCertsFromPEM(pem) {
				err = fmt.Errorf("%s has no certificate", a.CAFile)
			}
		}
		if err != nil {
			return nil, p.fault("[DEFAULT] registry_client_ca_file: %w", err)
		}
	}
	if a.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile)
		if err != nil {
			return nil, p.fault("[DEFAULT] registry_client_cert_file: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}
