package keystone

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// renewBefore is how long before it expires our own token is replaced.
	renewBefore = time.Minute
	// refusedPause keeps a service with a wrong password from locking its
	// account by asking again and again.
	refusedPause = 10 * time.Second
	// maxBody bounds what is read of an answer of Keystone.
	maxBody = 1 << 20
)

// An ownToken is the token by which we validate those of others, or the reason
// why we have none.
type ownToken struct {
	value   string
	expires time.Time
	refused error
	until   time.Time // refused is repeated without asking until then
}

// A loginRequest is the body of POST /v3/auth/tokens with the password method.
type loginRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password struct {
				User struct {
					Name     string `json:"name"`
					Domain   domain `json:"domain"`
					Password string `json:"password"`
				} `json:"user"`
			} `json:"password"`
		} `json:"identity"`
		Scope scope `json:"scope"`
	} `json:"auth"`
}

// A scope is what a token is for: a project, or the whole deployment.
type scope struct {
	Project *projectScope `json:"project,omitempty"`
	System  *systemScope  `json:"system,omitempty"`
}

type projectScope struct {
	Name   string `json:"name"`
	Domain domain `json:"domain"`
}

type systemScope struct {
	All bool `json:"all"`
}

// A domain is named, or has an ID.
type domain struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// domainOf prefers the name; the domain that every Keystone has is meant if
// there is neither.
func domainOf(name, id string) domain {
	if name == "" && id != "" {
		return domain{ID: id}
	}
	return domain{Name: cmp.Or(name, "Default")}
}

func newLoginRequest(o Options) loginRequest {
	var l loginRequest
	identity := &l.Auth.Identity
	identity.Methods = []string{"password"}
	identity.Password.User.Name = o.Username
	identity.Password.User.Domain = domainOf(o.UserDomain, o.UserDomainID)
	identity.Password.User.Password = o.Password
	if o.System {
		l.Auth.Scope.System = &systemScope{All: true}
		return l
	}
	l.Auth.Scope.Project = &projectScope{o.Project, domainOf(o.ProjectDomain, o.ProjectDomainID)}
	return l
}

// Token returns a token of the service user, for requests to other services.
func (m *Middleware) Token(ctx context.Context) (string, error) { return m.ownToken(ctx) }

// ownToken returns the token of the service user, a new one if there is none
// or it is about to expire.
func (m *Middleware) ownToken(ctx context.Context) (string, error) {
	if t, ok, err := m.currentToken(); ok {
		return t, err
	}
	// One log-in for all who wait, whatever their tokens are.
	r := m.asking.DoChan("own", func() (any, error) {
		if t, ok, err := m.currentToken(); ok {
			return t, err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
		defer cancel()
		return m.logIn(ctx)
	})
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("log in to %s: %w", m.authURL, ctx.Err())
	case r := <-r:
		t, _ := r.Val.(string)
		return t, r.Err
	}
}

// currentToken returns our token, or why there is none for now; ok is false if
// Keystone has to be asked.
func (m *Middleware) currentToken() (token string, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if m.own.refused != nil && now.Before(m.own.until) {
		return "", true, m.own.refused
	}
	if m.own.value != "" && now.Add(renewBefore).Before(m.own.expires) {
		return m.own.value, true, nil
	}
	return "", false, nil
}

// forget makes the next call of ownToken log in, unless our token is another
// than value already.
func (m *Middleware) forget(value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.own.value == value {
		m.own = ownToken{}
	}
}

// logIn gets a token for the service user and keeps it.
func (m *Middleware) logIn(ctx context.Context) (string, error) {
	own, err := m.requestToken(ctx)
	if err != nil && own.refused == nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own = own
	return own.value, err
}

// requestToken is one log-in. If Keystone refuses it, the error is in the
// returned token as well.
func (m *Middleware) requestToken(ctx context.Context) (ownToken, error) {
	body, err := json.Marshal(m.login)
	if err != nil {
		return ownToken{}, fmt.Errorf("log in to %s: %w", m.authURL, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.authURL+"/auth/tokens?nocatalog", bytes.NewReader(body))
	if err != nil {
		return ownToken{}, fmt.Errorf("log in: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	// A second token does no harm: let net/http repeat the request if an idle
	// connection turns out to be dead.
	req.Header["Idempotency-Key"] = nil
	resp, err := m.client.Do(req)
	if err != nil {
		return ownToken{}, fmt.Errorf("log in: %w", err)
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusCreated, http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		err := fmt.Errorf("log in to %s as %q: %s", m.authURL, m.login.Auth.Identity.Password.User.Name, resp.Status)
		return ownToken{refused: err, until: m.now().Add(refusedPause)}, err
	default:
		return ownToken{}, fmt.Errorf("log in to %s: %s", m.authURL, resp.Status)
	}
	value := resp.Header.Get("X-Subject-Token")
	if value == "" {
		return ownToken{}, fmt.Errorf("log in to %s: %w", m.authURL, errors.New("no token in the answer"))
	}
	t, err := decodeToken(resp)
	if err != nil {
		return ownToken{}, err
	}
	return ownToken{value: value, expires: t.ExpiresAt}, nil
}

func limited(resp *http.Response) io.Reader { return io.LimitReader(resp.Body, maxBody) }

// drain reads the rest of a short answer, so that its connection can be used
// again, and closes it.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // a failure only costs the connection
	resp.Body.Close()
}
