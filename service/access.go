package service

import (
	"fmt"
	"log/slog"
	"net/http"

	"glancectl/service/glance"
	"glancectl/service/internal/oslolog"
	"glancectl/service/internal/policy"
)

// An access is who may do what, for programs that answer requests.
type access struct {
	*policy.Engine
	properties glance.PropertyPolicy // nil: no property is protected
}

// access reads the rules, and what protects properties.
func (p *process) access() (*access, error) {
	a := p.Access
	engine, err := policy.Open(policy.Options{
		Files:    a.Files,
		Required: a.Named,
		Dirs:     a.Dirs,
		Fallback: a.Fallback,
		Legacy:   !a.NewDefaults,
		AnyScope: !a.Scope,
		Log:      p.log.With(slog.String(oslolog.NameKey, "oslo_policy.policy")),
	})
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if p.Server.AnonymousAllowed && !engine.Allows(glance.Caller{Anonymous: true}, glance.GetImages, glance.Target{}) {
		p.log.Warn("[DEFAULT] allow_anonymous_access has no effect: the rule get_images lets nobody through without a role")
	}
	if a.PropertyFile == "" {
		return &access{Engine: engine}, nil
	}
	var rules *policy.Engine
	if a.PropertyRules {
		rules = engine
	}
	properties, err := policy.OpenProtections(a.PropertyFile, rules)
	if err != nil {
		return nil, fmt.Errorf("property_protection_file: %w", err)
	}
	return &access{engine, properties}, nil
}

// judged has the rules say who is an admin, once a request.
func (a *access) judged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := glance.CallerFrom(r.Context())
		if admin := a.Admin(c); admin != c.Admin {
			c.Admin = admin
			r = r.WithContext(glance.WithCaller(r.Context(), c))
		}
		next.ServeHTTP(w, r)
	})
}
