package service_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"glancectl/service"
)

// tokens are what the tokens of the tests are for, and the roles they give.
// Their owners are called as they are.
var tokens = map[string]struct{ scope, roles string }{
	"admin":   {`"project": {"id": "p-admin"}`, "admin member reader"},
	"alice":   {`"project": {"id": "p-alice"}`, "member reader"},
	"rita":    {`"project": {"id": "p-alice"}`, "reader"},
	"bob":     {`"project": {"id": "p-bob"}`, "member reader"},
	"carol":   {`"project": {"id": "p-carol"}`, "member reader"},
	"billing": {`"project": {"id": "p-alice"}`, "member reader billing"},
	"old":     {`"project": {"id": "p-alice"}`, "_member_"},
	"nova":    {`"project": {"id": "p-service"}`, "service"},
	"t1":      {`"project": {"id": "t1"}`, "member reader"},
	"t2":      {`"project": {"id": "t2"}`, "member reader"},
	"t4":      {`"project": {"id": "t4"}`, "member reader"},
	// of who logs in as the service itself
	"service-token": {`"project": {"id": "p-service"}`, "admin"},
	"root":          {`"system": {"all": true}`, "admin member reader"},
}

// fakeKeystone starts an Identity service that knows the user glance and the
// tokens above. It serves with TLS if secure.
func fakeKeystone(t *testing.T, secure bool) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", func(w http.ResponseWriter, r *http.Request) {
		var login struct {
			Auth struct {
				Identity struct {
					Password struct {
						User struct{ Name, Password string }
					}
				}
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&login); err != nil {
			t.Errorf("log in: %v", err)
		}
		if u := login.Auth.Identity.Password.User; u.Name != "glance" || u.Password != "pa$word" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Subject-Token", "service-token")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token": {"expires_at": %q, "user": {"id": "u-glance"}}}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	mux.HandleFunc("GET /v3/auth/tokens", func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("X-Subject-Token")
		if r.Header.Get("X-Auth-Token") != "service-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		known, ok := tokens[token]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		roles := strings.ReplaceAll(known.roles, " ", `"}, {"name": "`)
		fmt.Fprintf(w, `{"token": {"expires_at": %q, "user": {"id": "u-%s"}, %s, "roles": [{"name": "%s"}]}}`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339), token, known.scope, roles)
	})
	mux.HandleFunc("GET /v3/auth/catalog", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") != "service-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"catalog": [{"type": "image", "endpoints": [{"interface": "public", "region": "here", "url": %q}]}]}`, os.Getenv("TEST_IMAGE_URL"))
	})
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func tokenOptions(url string) string {
	return `[paste_deploy]
flavor = keystone
[keystone_authtoken]
auth_url = ` + url + `/v3
www_authenticate_uri = http://keystone.example.com:5000/v3
username = glance
password = pa$$word
`
}

func TestKeystone(t *testing.T) {
	s := newSite(t)
	keystone := fakeKeystone(t, false)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", tokenOptions(keystone.URL))}})
	d.want(200, "OK", "GET", "/healthcheck", "")
	d.want(300, `"versions"`, "GET", "/", "")
	for _, token := range []string{"", "nobody"} {
		a := d.want(401, "", "GET", "/v2/images", "", "X-Auth-Token", token)
		if got, want := a.header.Get("WWW-Authenticate"), `Keystone uri="http://keystone.example.com:5000/v3"`; got != want {
			t.Errorf("with token %q WWW-Authenticate = %s; want %s", token, got, want)
		}
	}
	d.want(401, "", "GET", "/v2/images", "", "X-Identity-Status", "Confirmed", "X-Roles", "admin", "X-Project-Id", "p")
	d.create(imageA, "data", "X-Auth-Token", "alice")
	d.want(200, `"owner": "p-alice"`, "GET", "/v2/images/"+imageA, "", "X-Auth-Token", "alice")
	d.want(403, "", "PATCH", "/v2/images/"+imageA, `[{"op": "replace", "path": "/visibility", "value": "public"}]`,
		"Content-Type", "application/openstack-images-v2.1-json-patch", "X-Auth-Token", "alice")
	d.want(200, `"visibility": "public"`, "PATCH", "/v2/images/"+imageA, `[{"op": "replace", "path": "/visibility", "value": "public"}]`,
		"Content-Type", "application/openstack-images-v2.1-json-patch", "X-Auth-Token", "admin")
	text := d.log.String()
	if !strings.Contains(text, " u-alice p-alice - - -] 127.0.0.1 - - [") {
		t.Error("the access log does not name user and project")
	}
	for _, secret := range []string{"pa$word", "service-token"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", tokenOptions(keystone.URL))}})
	registry.want(401, "", "GET", "/images", "")
	registry.want(200, imageA, "GET", "/images", "", "X-Auth-Token", "alice")
}

func TestAnonymousAccess(t *testing.T) {
	s := newSite(t)
	keystone := fakeKeystone(t, false)
	options := "[DEFAULT]\nallow_anonymous_access = True\n" + tokenOptions(keystone.URL)
	const warning = "allow_anonymous_access has no effect"
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", options)}})
	d.want(403, "", "GET", "/v2/images", "")
	d.want(403, "Read-only access", "POST", "/v2/images", `{"name": "x"}`)
	d.want(201, "", "POST", "/v2/images", `{"name": "x"}`, "X-Auth-Token", "alice")
	if !strings.Contains(d.log.String(), warning) {
		t.Errorf("the log has no %q", warning)
	}
	d = start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", options+"[oslo_policy]\nenforce_new_defaults = False\n")}})
	d.want(200, `"images"`, "GET", "/v2/images", "")
	d.want(403, "Read-only access", "POST", "/v2/images", `{"name": "x"}`)
	if strings.Contains(d.log.String(), warning) {
		t.Errorf("the log has %q, and it has an effect", warning)
	}
}

// TestKeystoneTrust has a Keystone with a certificate that the machine does
// not trust.
func TestKeystoneTrust(t *testing.T) {
	s := newSite(t)
	keystone := fakeKeystone(t, true)
	for options, want := range map[string]int{"": 503, "insecure = True\n": 200} {
		d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", tokenOptions(keystone.URL)+options)}})
		d.want(want, "", "GET", "/v2/images", "", "X-Auth-Token", "alice")
	}
}
