// Package registryclient keeps the metadata of images behind a glance-registry:
// a [glance.Catalog] that asks one over HTTP, in the name of the caller.
//
// The Images API v1 uses one where the configuration names a registry. The
// registry decides what the caller sees; what it does not know of images (tags,
// visibilities beside public, who is a member since when) is not kept. Errors
// show neither tokens nor where data is.
package registryclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/seal"
	"glancectl/service/internal/v1wire"
)

// Options are the settings of New. Host is required.
type Options struct {
	Host    string
	Port    int           // 0 means 9191
	TLS     *tls.Config   // nil means that the registry is asked without TLS
	Timeout time.Duration // how long an answer may take; 0 means as long as it does

	// Token returns the token that a request is made with; nil means that the
	// requests have none.
	Token func(ctx context.Context) (string, error)
	// Identity says that requests name their caller in headers, for a registry
	// that believes them.
	Identity bool

	// Claimant is the name that this process makes claims by. A registry that
	// remembers claims is asked to make them with what it writes.
	Claimant string

	// Key is metadata_encryption_key; with "" locations travel in clear.
	Key string

	Log *slog.Logger // is told why requests fail; nil means nobody is
}

// A Catalog is a glance.Catalog. Its methods may be called from several
// goroutines at once.
type Catalog struct {
	base   string
	o      Options
	client *http.Client
	seal   *seal.Seal
}

var _ glance.Catalog = (*Catalog)(nil)

// New returns the catalog behind a registry. It does not ask it yet.
func New(o Options) (*Catalog, error) {
	s, err := seal.New(o.Key)
	if err != nil {
		return nil, err
	}
	if o.Port == 0 {
		o.Port = 9191
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	scheme := "http"
	if o.TLS != nil {
		scheme = "https"
	}
	return &Catalog{
		base: scheme + "://" + net.JoinHostPort(o.Host, fmt.Sprint(o.Port)),
		o:    o,
		seal: s,
		client: &http.Client{
			Timeout: o.Timeout,
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
				TLSClientConfig:     o.TLS,
				TLSHandshakeTimeout: 10 * time.Second,
				IdleConnTimeout:     60 * time.Second,
				MaxIdleConnsPerHost: 16,
			},
			// A token must not travel to where an answer points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// A call is a request to the registry.
type call struct {
	method, path string
	query        url.Values
	body         []byte
	purge        bool // of properties
	claim        bool // it brings data into an image
	claimed      bool // the registry has noted who does; of the answer
}

// maxAnswer bounds what is read of an answer: a list of a thousand images has
// a few megabytes.
const maxAnswer = 64 << 20

// An answer is what the registry says that is no success.
type answer struct {
	code int
	text string
}

func (a *answer) Error() string { return fmt.Sprintf("the registry answered %d", a.code) }

// kinds says what the registry's codes mean.
var kinds = map[int]error{
	http.StatusBadRequest:            glance.ErrInvalid,
	http.StatusForbidden:             glance.ErrForbidden,
	http.StatusNotFound:              glance.ErrNotFound,
	http.StatusConflict:              glance.ErrConflict,
	http.StatusRequestEntityTooLarge: glance.ErrTooLarge,
}

// Unwrap makes errors.Is see the kind. What is none means that the registry
// cannot be used, also that it does not accept our token.
func (a *answer) Unwrap() error {
	if kind, ok := kinds[a.code]; ok {
		return kind
	}
	return glance.ErrUnavailable
}

// do makes a call and returns the body of the answer. The error is an *answer
// if there was one.
func (c *Catalog) do(ctx context.Context, q *call) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, q.method, c.base+q.path, strings.NewReader(string(q.body)))
	if err != nil {
		return nil, fmt.Errorf("ask the registry: %w", err)
	}
	r.URL.RawQuery = q.query.Encode()
	if err := c.identify(r); err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/plain, application/json;q=0.1")
	if len(q.body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.purge {
		r.Header.Set("X-Glance-Registry-Purge-Props", "true")
	}
	if q.claim && c.o.Claimant != "" {
		r.Header.Set(v1wire.ClaimantHeader, c.o.Claimant)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	q.claimed = q.claim && c.o.Claimant != "" && resp.Header.Get(v1wire.ClaimantHeader) == c.o.Claimant
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode >= 300 {
		a := &answer{resp.StatusCode, string(body)}
		if errors.Is(a, glance.ErrUnavailable) {
			c.o.Log.ErrorContext(ctx, "the registry failed", slog.String("method", q.method), slog.String("path", q.path), slog.Int("code", a.code))
		}
		return nil, a
	}
	return body, nil
}

func (c *Catalog) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("ask the registry at %s: %w: %w", c.base, glance.ErrUnavailable, err)
}

// identify gives a request what says in whose name it is made.
func (c *Catalog) identify(r *http.Request) error {
	caller := glance.CallerFrom(r.Context())
	if caller.RequestID != "" {
		r.Header.Set("X-Openstack-Request-Id", caller.RequestID)
	}
	if c.o.Identity {
		r.Header.Set("X-User-Id", caller.UserID)
		r.Header.Set("X-Tenant-Id", caller.ProjectID)
		r.Header.Set("X-Roles", strings.Join(caller.Roles, ","))
		r.Header.Set("X-Identity-Status", "Confirmed")
		r.Header.Set("X-Service-Catalog", "[]")
	}
	if c.o.Token == nil {
		return nil
	}
	token, err := c.o.Token(r.Context())
	if err != nil {
		return fmt.Errorf("ask the registry: %w: %w", glance.ErrUnavailable, err)
	}
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	return nil
}

type tokenKey struct{}

// WithToken returns a context that carries the token of who asks.
func WithToken(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// CallersToken is a Token that uses what the context carries.
func CallersToken(ctx context.Context) (string, error) {
	token, _ := ctx.Value(tokenKey{}).(string)
	return token, nil
}
