package service_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"glancectl/service"
)

// registryOptions name a registry.
func registryOptions(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return "registry_client_protocol = " + u.Scheme + "\nregistry_host = " + u.Hostname() + "\nregistry_port = " + u.Port() + "\n"
}

// A tap stands in front of a registry and remembers the headers of requests.
type tap struct {
	*httptest.Server
	mu   sync.Mutex
	seen []http.Header
}

func newTap(t *testing.T, registry string, secure bool) *tap {
	t.Helper()
	u, err := url.Parse(registry)
	if err != nil {
		t.Fatal(err)
	}
	p, proxy := new(tap), httputil.NewSingleHostReverseProxy(u)
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.seen = append(p.seen, r.Header.Clone())
		p.mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

// last returns the headers of the last request.
func (p *tap) last() http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) == 0 {
		return http.Header{}
	}
	return p.seen[len(p.seen)-1]
}

// TestWhoAsksTheRegistry has requests made with the token of the caller, with
// headers that name it, with a token of the service, and with none.
func TestWhoAsksTheRegistry(t *testing.T) {
	s, keystone := newSite(t), fakeKeystone(t, false)
	tokens := tokenOptions(keystone.URL)
	admin := "use_user_token = no\nauth_url = " + keystone.URL + "/v3\nadmin_user = glance\nadmin_password = pa$$word\nadmin_tenant_name = service\n"
	for _, test := range []struct {
		name, options, registry string
		token, user, roles      string // of the request that the registry gets
		owner                   string // of an image that is made so
	}{
		{"the caller's token", "", tokens, "alice", "", "", "p-alice"},
		{"both", "send_identity_headers = yes\n", tokens, "alice", "u-alice", "member,reader", "p-alice"},
		{"identity headers", "use_user_token = no\nsend_identity_headers = yes\n", "[paste_deploy]\nflavor = trusted-auth\n", "", "u-alice", "member,reader", "p-alice"},
		{"a token of its own", admin, "", "service-token", "", "", "p-alice"},
		{"nobody", "use_user_token = no\n", "", "", "", "", "p-alice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", test.registry)}})
			between := newTap(t, registry.url, false)
			d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\n"+registryOptions(t, between.URL)+test.options+tokens)}})
			d.want(201, `"owner": "`+test.owner+`"`, "POST", "/v1/images", "", "X-Auth-Token", "alice", "X-Image-Meta-Name", "x", "X-Openstack-Request-Id", "req-1234")
			h := between.last()
			for name, want := range map[string]string{"X-Auth-Token": test.token, "X-User-Id": test.user, "X-Roles": test.roles, "X-Openstack-Request-Id": "req-1234"} {
				if got := h.Get(name); got != want {
					t.Errorf("%s = %q; want %q", name, got, want)
				}
			}
			if test.user != "" && (h.Get("X-Tenant-Id") != "p-alice" || h.Get("X-Identity-Status") != "Confirmed") {
				t.Errorf("the caller is named by %v", h)
			}
			for _, text := range []string{d.log.String(), registry.log.String()} {
				if strings.Contains(text, "service-token") || strings.Contains(text, "pa$word") {
					t.Errorf("the log has a secret:\n%s", text)
				}
			}
		})
	}
}

// TestRegistryAway has no registry where the configuration names one: version 1
// says so, and version 2 does without.
func TestRegistryAway(t *testing.T) {
	s := newSite(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\n"+registryOptions(t, gone.URL))}})
	for _, path := range []string{"/v1/images", "/v1/images/detail", "/v1/images/" + imageA, "/v1/shared-images/x"} {
		d.want(503, "currently unavailable", "GET", path, "")
	}
	d.want(503, "", "POST", "/v1/images", "", "X-Image-Meta-Name", "x")
	d.want(200, `"images"`, "GET", "/v2/images", "")
	if text := d.log.String(); !strings.Contains(text, "connection refused") {
		t.Error("the log does not say why")
	}
}

// TestRegistryTrust has a registry with TLS that asks for a certificate.
func TestRegistryTrust(t *testing.T) {
	s := newSite(t)
	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", "")}})
	secure := newTap(t, registry.url, true)
	ca := s.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	key, err := x509.MarshalPKCS8PrivateKey(secure.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := s.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	asking := newTap(t, registry.url, true)
	asking.TLS.ClientAuth = tls.RequireAnyClientCert
	for _, test := range []struct {
		name, address, options string
		want                   int
	}{
		{"unknown", secure.URL, "", 503},
		{"believed", secure.URL, "registry_client_insecure = yes\n", 200},
		{"known", secure.URL, "registry_client_ca_file = " + ca + "\n", 200},
		{"without a certificate", asking.URL, "registry_client_insecure = yes\n", 503},
		{"with a certificate", asking.URL, "registry_client_insecure = yes\nregistry_client_cert_file = " + ca + "\nregistry_client_key_file = " + keyFile + "\n", 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\n"+registryOptions(t, test.address)+test.options)}})
			d.want(test.want, "", "GET", "/v1/images", "")
		})
	}
	for _, bad := range []string{"registry_client_ca_file = DIR/none\n", "registry_client_ca_file = " + keyFile + "\n", "registry_client_cert_file = " + ca + "\nregistry_client_key_file = " + ca + "\n"} {
		err := service.RunAPI(t.Context(), service.Options{Files: []string{s.conf("api", "[DEFAULT]\n"+registryOptions(t, secure.URL)+bad)}, Stderr: io.Discard})
		if err == nil || !strings.Contains(err.Error(), "registry_client_") {
			t.Errorf("with %q: %v; want an error that names the option", bad, err)
		}
	}
}

// TestSealedBehindRegistry has a key for locations: what the registry gets and
// what is in the database is sealed, and both versions of the API read it.
func TestSealedBehindRegistry(t *testing.T) {
	s := newSite(t)
	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", "")}})
	options := "[DEFAULT]\nmetadata_encryption_key = 0123456789abcdef\n" + registryOptions(t, registry.url)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", options)}})
	d.want(201, `"status": "active"`, "POST", "/v1/images", "some data", "X-Image-Meta-Id", imageA, "X-Image-Meta-Disk-Format", "raw",
		"X-Image-Meta-Container-Format", "bare", "Content-Type", "application/octet-stream")
	for _, path := range []string{"/v1/images/" + imageA, "/v2/images/" + imageA + "/file"} {
		if a := d.want(200, "", "GET", path, ""); a.body != "some data" {
			t.Errorf("GET %s = %q", path, a.body)
		}
	}
	if a := registry.want(200, `"location": "`, "GET", "/images/"+imageA, ""); strings.Contains(a.body, "file:") {
		t.Errorf("the registry knows where the data is: %s", a.body)
	}
	d.want(200, "", "DELETE", "/v1/images/"+imageA, "")
	if files, err := os.ReadDir(s.path("images")); err != nil || len(files) != 0 {
		t.Errorf("after the image was deleted there are %v, %v", files, err)
	}
}

// TestQuotaBehindRegistry checks that who asks by way of the registry has the
// same quota.
func TestQuotaBehindRegistry(t *testing.T) {
	s, keystone := newSite(t), fakeKeystone(t, false)
	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", tokenOptions(keystone.URL))}})
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nuser_storage_quota = 10B\n"+registryOptions(t, registry.url)+tokenOptions(keystone.URL))}})
	upload := func(want int, data string) {
		t.Helper()
		d.want(want, "", "POST", "/v1/images", data, "X-Auth-Token", "alice", "X-Image-Meta-Disk-Format", "raw",
			"X-Image-Meta-Container-Format", "bare", "Content-Type", "application/octet-stream")
	}
	upload(201, "six by")
	upload(413, "six by")
	upload(201, "four")
}
