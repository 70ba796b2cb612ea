package keystone_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fakeKeystone behaves as Keystone does towards a service that validates
// tokens: it issues tokens for the right password, validates tokens for those
// who have one, and forgets them.
type fakeKeystone struct {
	*httptest.Server
	clock *clock

	mu          sync.Mutex
	password    string
	tokens      map[string]fakeToken
	logins      int
	validations int
	serial      int
	hold        chan struct{}    // validations wait until it is closed
	respond     http.HandlerFunc // answers validations, if set
}

type fakeToken struct {
	user, project string
	roles         []string
	expires       time.Time
}

// The secrets of the tests: none of them may appear in a log or an answer.
const (
	servicePassword = "s3rv1ce-passw0rd"
	memberToken     = "gAAAAA-member-token"
	adminToken      = "gAAAAA-admin-token"
)

func newFakeKeystone(t testing.TB, c *clock) *fakeKeystone {
	t.Helper()
	k := &fakeKeystone{clock: c, password: servicePassword, tokens: map[string]fakeToken{
		memberToken: {"u1", "p1", []string{"Member", "Reader"}, c.Now().Add(time.Hour)},
		adminToken:  {"u0", "p0", []string{"ADMIN"}, c.Now().Add(time.Hour)},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", k.issue)
	mux.HandleFunc("GET /v3/auth/tokens", k.validate)
	k.Server = httptest.NewServer(mux)
	t.Cleanup(k.Close)
	return k
}

func (k *fakeKeystone) issue(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Auth struct {
			Identity struct {
				Methods  []string
				Password struct {
					User struct {
						Name, Password string
						Domain         struct{ Name string }
					}
				}
			}
			Scope struct {
				Project struct {
					Name   string
					Domain struct{ Name string }
				}
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.logins++
	user, scope := body.Auth.Identity.Password.User, body.Auth.Scope.Project
	if user.Name != "glance" || user.Domain.Name != "Default" || user.Password != k.password ||
		scope.Name != "service" || scope.Domain.Name != "Default" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	k.serial++
	id := "gAAAAA-own-token-" + strconv.Itoa(k.serial)
	k.tokens[id] = fakeToken{"glance", "service", []string{"service"}, k.clock.Now().Add(time.Hour)}
	w.Header().Set("X-Subject-Token", id)
	w.WriteHeader(http.StatusCreated)
	k.tokens[id].write(w)
}

func (k *fakeKeystone) validate(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.validations++
	hold, respond := k.hold, k.respond
	k.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	if respond != nil {
		respond(w, r)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	own, ok := k.tokens[r.Header.Get("X-Auth-Token")]
	if !ok || !k.clock.Now().Before(own.expires) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	t, ok := k.tokens[r.Header.Get("X-Subject-Token")]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	t.write(w)
}

func (t fakeToken) write(w http.ResponseWriter) {
	type named struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	roles := make([]named, len(t.roles))
	for i, r := range t.roles {
		roles[i] = named{"id-of-" + r, r}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"token": map[string]any{ // the client sees a failure
		"methods":    []string{"password"},
		"user":       named{t.user, t.user},
		"project":    named{t.project, t.project},
		"roles":      roles,
		"issued_at":  "2026-11-20T00:00:00.000000Z",
		"expires_at": t.expires.UTC().Format("2006-01-02T15:04:05.000000Z"),
	}})
}

// counts returns how often Keystone was asked for a token and about one.
func (k *fakeKeystone) counts() (logins, validations int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.logins, k.validations
}

// revoke forgets all tokens that begin with prefix.
func (k *fakeKeystone) revoke(prefix string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.tokens {
		if strings.HasPrefix(id, prefix) {
			delete(k.tokens, id)
		}
	}
}

// set changes k under its lock.
func (k *fakeKeystone) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// A clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
