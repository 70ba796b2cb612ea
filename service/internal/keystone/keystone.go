// Package keystone finds out who sends a request. It asks OpenStack Keystone
// (Identity API v3) about the token of the request and puts the answer into
// the request's context as a [glance.Caller], where the handlers of every API
// find it.
//
// It knows nothing about images, and what a caller may do is not decided
// here. No token and no password ever appears in its errors and log lines.
package keystone

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"glancectl/service/glance"

	"golang.org/x/sync/singleflight"
)

// Options say where Keystone is and who we are there.
type Options struct {
	AuthURL            string // with or without /v3; required
	WWWAuthenticateURI string // told to clients that are refused; "" means AuthURL

	// The service user that validates the tokens of others. Required, but for
	// the domains, which are "Default" when neither name nor ID is there.
	Username, Password, Project   string
	UserDomain, ProjectDomain     string
	UserDomainID, ProjectDomainID string
	System                        bool // it acts on the whole deployment, not in a project

	// Immediate answers requests without a good token as Keystone's own
	// middleware does that decides at once, with JSON whatever is accepted.
	Immediate bool

	CacheTime time.Duration    // how long an answer is believed; 0 means 300 s, negative not at all
	Timeout   time.Duration    // the longest a request waits for Keystone; 0 means 15 s
	Client    *http.Client     // nil means one with bounds on every phase; redirects are never followed
	Now       func() time.Time // nil means time.Now
	Log       *slog.Logger     // told why Keystone could not be asked; nil means nobody
}

const (
	defaultCacheTime = 300 * time.Second
	refusedCacheTime = 10 * time.Second
	defaultTimeout   = 15 * time.Second

	// A cached answer takes about 600 bytes. Refusals have a cache of their
	// own, so that a flood of bad tokens cannot push the good ones out.
	acceptedCacheSize = 10000
	refusedCacheSize  = 1000
)

// A Middleware identifies callers by their Keystone tokens. It is safe for use
// by many requests at once.
type Middleware struct {
	authURL   string
	uri       string
	immediate bool
	login     loginRequest
	cacheTime time.Duration
	timeout   time.Duration
	client    *http.Client
	now       func() time.Time
	log       *slog.Logger

	accepted *lru
	refused  *lru
	asking   singleflight.Group // validations under way, by hash of the token

	mu  sync.Mutex // guards own
	own ownToken
}

// New returns a Middleware for the Keystone that o names. It does not contact
// Keystone: that happens when the first token is to be validated.
func New(o Options) (*Middleware, error) {
	u, err := url.Parse(o.AuthURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("auth_url %q: not an http or https address", o.AuthURL)
	}
	if o.Username == "" || o.Password == "" || o.Project == "" && !o.System {
		return nil, errors.New("keystone_authtoken: username, password and project_name are needed to validate tokens")
	}
	m := &Middleware{
		authURL:   v3(o.AuthURL),
		uri:       cmp.Or(o.WWWAuthenticateURI, o.AuthURL),
		immediate: o.Immediate,
		login:     newLoginRequest(o),
		cacheTime: cmp.Or(o.CacheTime, defaultCacheTime),
		timeout:   cmp.Or(o.Timeout, defaultTimeout),
		client:    client(o.Client),
		now:       o.Now,
		log:       cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		accepted:  newLRU(acceptedCacheSize),
		refused:   newLRU(refusedCacheSize),
	}
	if m.now == nil {
		m.now = time.Now
	}
	return m, nil
}

// v3 returns the address of the Identity API v3 below s, which names it or the
// root of Keystone.
func v3(s string) string {
	s = strings.TrimRight(s, "/")
	s = strings.TrimSuffix(s, "/v2.0")
	if strings.HasSuffix(s, "/v3") {
		return s
	}
	return s + "/v3"
}

// client returns c, or one of our own if c is nil, that follows no redirect: a
// token must not travel to where Keystone's answer points.
func client(c *http.Client) *http.Client {
	own := http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 10 * time.Second,
		IdleConnTimeout:       60 * time.Second,
		MaxIdleConnsPerHost:   16,
	}}
	if c != nil {
		own = *c
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// Identify passes every request on to next, with the caller in its context. A
// request without a valid token has an anonymous caller, and so has every
// request with a token that cannot be checked because Keystone does not
// answer. It is for paths that are open to everybody.
func (m *Middleware) Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := m.identify(r)
		if err != nil {
			m.logUnavailable(r, err)
			caller = glance.Caller{Anonymous: true}
		}
		serve(w, r, next, caller)
	})
}

// Require passes requests with a valid token on to next, with the caller in
// their context. All others it answers itself: 401, or 503 when Keystone
// cannot be asked.
func (m *Middleware) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := m.identify(r)
		switch {
		case err != nil:
			m.logUnavailable(r, err)
			m.unavailable(w, r)
		case caller.Anonymous:
			m.refuse(w, r)
		default:
			serve(w, r, next, caller)
		}
	})
}

// NoKeystone passes every request on to next with a caller who may do
// everything, has every role that rules commonly ask for, and has no project:
// what a service without Keystone does.
func NoKeystone(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stripIdentity(r.Header)
		serve(w, r, next, glance.Caller{Roles: []string{"admin", "member", "reader"}, Admin: true})
	})
}

// serve hands r with caller in its context to next. The request keeps the ID
// that a middleware further out may have given it.
func serve(w http.ResponseWriter, r *http.Request, next http.Handler, caller glance.Caller) {
	caller.RequestID = glance.CallerFrom(r.Context()).RequestID
	next.ServeHTTP(w, r.WithContext(glance.WithCaller(r.Context(), caller)))
}

// identify returns who sends r; an error means that Keystone cannot say. It
// takes the headers away by which a client could pretend to be somebody.
func (m *Middleware) identify(r *http.Request) (glance.Caller, error) {
	stripIdentity(r.Header)
	token := cmp.Or(r.Header.Get("X-Auth-Token"), r.Header.Get("X-Storage-Token"))
	if !plausible(token) {
		return glance.Caller{Anonymous: true}, nil
	}
	caller, ok, err := m.validate(r.Context(), token)
	if err != nil || !ok {
		return glance.Caller{Anonymous: true}, err
	}
	caller.Roles = slices.Clone(caller.Roles) // the cache keeps its own
	caller.Token = glance.Token(token)
	return caller, nil
}

func (m *Middleware) logUnavailable(r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client is gone, Keystone may be well
	}
	m.log.WarnContext(r.Context(), "cannot validate a token", slog.Any("error", err))
}

// plausible reports whether s can be a token at all: printable ASCII without
// spaces, of a length that fits a request.
func plausible(s string) bool {
	if s == "" || len(s) > 32<<10 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// identityHeaders are the beginnings of the names of headers by which a
// trusted proxy says who the caller is. We trust none.
var identityHeaders = []string{
	"x-identity", "x-service-identity",
	"x-user", "x-project", "x-tenant", "x-domain", "x-role", "x-is-admin-project",
	"x-service-user", "x-service-project", "x-service-tenant", "x-service-domain", "x-service-role", "x-service-catalog",
	"x-token-info", "x-auth-key", "openstack-system-scope",
}

// stripIdentity removes every header that claims an identity.
func stripIdentity(h http.Header) {
	for name := range h {
		for _, claim := range identityHeaders {
			if begins(name, claim) {
				delete(h, name)
				break
			}
		}
	}
}

// begins reports whether a header's name begins so. Underscores count as
// dashes, as they do for servers behind a gateway.
func begins(name, claim string) bool {
	if len(name) < len(claim) {
		return false
	}
	for i := range len(claim) {
		c := name[i]
		switch {
		case c == '_':
			c = '-'
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		if c != claim[i] {
			return false
		}
	}
	return true
}
