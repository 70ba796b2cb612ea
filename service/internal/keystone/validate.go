package keystone

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"glancectl/service/glance"
)

// errNotOurs means that Keystone does not accept our own token (any more).
var errNotOurs = errors.New("own token refused")

// validate returns the caller who has token; ok is false if nobody has. An
// error means that Keystone cannot say. Requests that come with one token at
// the same time share one question.
func (m *Middleware) validate(ctx context.Context, token string) (c glance.Caller, ok bool, err error) {
	k := key(sha256.Sum256([]byte(token)))
	now := m.now()
	if a, hit := m.accepted.get(k, now); hit {
		return a.caller, true, nil
	}
	if _, hit := m.refused.get(k, now); hit {
		return glance.Caller{}, false, nil
	}
	// The question outlives the request that asked first, but not the
	// timeout: others may be waiting for the answer.
	asked := m.asking.DoChan(string(k[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
		defer cancel()
		return m.ask(ctx, k, token)
	})
	select {
	case <-ctx.Done():
		return glance.Caller{}, false, ctx.Err()
	case r := <-asked:
		if r.Err != nil {
			return glance.Caller{}, false, r.Err
		}
		a := r.Val.(*answer)
		if a == nil {
			return glance.Caller{}, false, nil
		}
		return a.caller, true, nil
	}
}

// ask has Keystone validate token and remembers the answer. A nil answer
// means that the token is not valid.
func (m *Middleware) ask(ctx context.Context, k key, token string) (*answer, error) {
	t, err := m.fetch(ctx, token)
	if err != nil {
		return nil, err
	}
	now := m.now()
	if t == nil || !now.Before(t.ExpiresAt) {
		if m.cacheTime > 0 {
			m.refused.put(answer{key: k, until: now.Add(min(refusedCacheTime, m.cacheTime))})
		}
		return nil, nil
	}
	a := &answer{key: k, caller: t.caller(), until: now.Add(m.cacheTime)}
	if t.ExpiresAt.Before(a.until) {
		a.until = t.ExpiresAt
	}
	if m.cacheTime > 0 {
		m.accepted.put(*a)
	}
	return a, nil
}

// fetch asks Keystone about token, with a new token of our own if the one we
// have is refused. It returns nil for a token that is not valid.
func (m *Middleware) fetch(ctx context.Context, token string) (*tokenBody, error) {
	for renewed := false; ; renewed = true {
		own, err := m.ownToken(ctx)
		if err != nil {
			return nil, err
		}
		t, err := m.fetchAs(ctx, own, token)
		if !errors.Is(err, errNotOurs) || renewed {
			return t, err
		}
		m.forget(own)
	}
}

// fetchAs is one request for the validation of token.
func (m *Middleware) fetchAs(ctx context.Context, own, token string) (*tokenBody, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.authURL+"/auth/tokens?nocatalog", nil)
	if err != nil {
		return nil, fmt.Errorf("validate a token: %w", err)
	}
	req.Header.Set("X-Auth-Token", own)
	req.Header.Set("X-Subject-Token", token)
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("validate a token: %w", err)
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusOK:
		return decodeToken(resp)
	case http.StatusNotFound:
		return nil, nil
	case http.StatusUnauthorized:
		return nil, fmt.Errorf("validate a token at %s: %w", m.authURL, errNotOurs)
	}
	return nil, fmt.Errorf("validate a token at %s: %s", m.authURL, resp.Status)
}

// A tokenBody is what Keystone says about a token, as far as we need it.
type tokenBody struct {
	ExpiresAt time.Time `json:"expires_at"`
	User      resident  `json:"user"`
	// What the token is for: one of these, or nothing.
	Project resident `json:"project"`
	Domain  identity `json:"domain"`
	System  struct {
		All bool `json:"all"`
	} `json:"system"`
	Roles []struct {
		Name string `json:"name"`
	} `json:"roles"`
}

type identity struct {
	ID string `json:"id"`
}

// A resident is at home in a domain.
type resident struct {
	identity
	Domain identity `json:"domain"`
}

func decodeToken(resp *http.Response) (*tokenBody, error) {
	var body struct {
		Token *tokenBody `json:"token"`
	}
	if err := json.NewDecoder(limited(resp)).Decode(&body); err != nil {
		// The decoder's own text could quote what it read.
		return nil, errors.New("read a token from Keystone: not the JSON of the Identity API v3")
	}
	if body.Token == nil || body.Token.User.ID == "" || body.Token.ExpiresAt.IsZero() {
		return nil, errors.New("read a token from Keystone: user or expiry is missing")
	}
	return body.Token, nil
}

// caller returns the owner of the token in the terms of the service.
func (t *tokenBody) caller() glance.Caller {
	c := glance.Caller{
		UserID:          t.User.ID,
		ProjectID:       t.Project.ID,
		DomainID:        t.Domain.ID,
		System:          t.System.All,
		UserDomainID:    t.User.Domain.ID,
		ProjectDomainID: t.Project.Domain.ID,
		Roles:           make([]string, 0, len(t.Roles)),
	}
	for _, r := range t.Roles {
		c.Roles = append(c.Roles, strings.ToLower(r.Name))
	}
	c.Admin = slices.Contains(c.Roles, "admin")
	return c
}
