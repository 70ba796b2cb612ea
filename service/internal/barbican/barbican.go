// Package barbican reads the certificates of signed images from OpenStack
// Barbican, with the token of whoever uploads the image: the
// [glance.Certificates] of the API service.
//
// It knows nothing about signatures. No token appears in its errors.
package barbican

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/sect"
)

// Options say where Barbican is.
type Options struct {
	Endpoint string // with or without /v1; "" means that the catalog of Keystone knows
	// Where the catalog is, and what of it is meant.
	AuthURL   string
	Region    string // "" means any
	Interface string // "" means public

	Client  *http.Client  // nil means one of its own; redirects are never followed
	Timeout time.Duration // the longest that a certificate may take; 0 means 30 s
}

// Keys is a Barbican. It is safe for concurrent use.
type Keys struct {
	o      Options
	client *http.Client

	mu   sync.Mutex
	base string // found in the catalog
}

var _ glance.Certificates = (*Keys)(nil)

// New returns the Barbican that o names. It does not contact it.
func New(o Options) (*Keys, error) {
	for _, address := range []string{o.Endpoint, o.AuthURL} {
		u, err := url.Parse(address)
		if address != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return nil, fmt.Errorf("key manager %q: not an http or https address", address)
		}
	}
	if o.Endpoint == "" && o.AuthURL == "" {
		return nil, errors.New("key manager: neither its endpoint nor a Keystone that knows it is named")
	}
	if o.Interface == "" {
		o.Interface = "public"
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	}
	// A token must not travel to where an answer points.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Keys{o: o, client: &client, base: versioned(o.Endpoint)}, nil
}

// versioned returns the address of version 1 of the API, "" if there is none.
func versioned(endpoint string) string {
	endpoint = strings.TrimRight(endpoint, "/")
	if endpoint == "" || strings.HasSuffix(endpoint, "/v1") {
		return endpoint
	}
	return endpoint + "/v1"
}

// formats are what the types of secrets are called that are no certificates.
var formats = map[string]string{
	"opaque": "Opaque", "private": "PKCS8", "public": "SubjectPublicKeyInfo", "symmetric": "RAW", "passphrase": "RAW",
}

var secretID = regexp.MustCompile(`^[0-9A-Fa-f-]{36}$`)

// maxSecret bounds what is read of an answer.
const maxSecret = 1 << 20

// Certificate implements glance.Certificates.
func (k *Keys) Certificate(ctx context.Context, id string) (*x509.Certificate, error) {
	if !secretID.MatchString(id) {
		return nil, fmt.Errorf("certificate %q: %w", id, glance.ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, k.o.Timeout)
	defer cancel()
	base, err := k.find(ctx)
	if err != nil {
		return nil, err
	}
	text, err := k.get(ctx, base+"/secrets/"+id, "application/json")
	if err != nil {
		return nil, err
	}
	var secret struct {
		Type  string            `json:"secret_type"`
		Types map[string]string `json:"content_types"`
	}
	if err := json.Unmarshal(text, &secret); err != nil {
		return nil, fmt.Errorf("certificate %s: Barbican's answer is not JSON", id)
	}
	if format, other := formats[secret.Type]; other {
		return nil, &glance.Refusal{Kind: glance.ErrInvalid, Message: "Invalid certificate format: " + format}
	}
	kind := secret.Types["default"]
	if kind == "" {
		kind = "application/octet-stream"
	}
	data, err := k.get(ctx, base+"/secrets/"+id+"/payload", kind)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	c, err := parse(data)
	if err != nil {
		return nil, &glance.Refusal{Kind: glance.ErrInvalid, Message: "Invalid certificate format: it is not X.509"}
	}
	return c, nil
}

// parse reads a certificate whose key is one of Go's library or of package
// sect.
func parse(der []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return sect.ParseCertificate(der)
	}
	return c, nil
}

// find returns the address of the API.
func (k *Keys) find(ctx context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.base != "" {
		return k.base, nil
	}
	address := strings.TrimRight(k.o.AuthURL, "/")
	if !strings.HasSuffix(address, "/v3") {
		address += "/v3"
	}
	text, err := k.get(ctx, address+"/auth/catalog", "application/json")
	if err != nil {
		return "", fmt.Errorf("find the key manager: %w", err)
	}
	var body struct {
		Catalog []struct {
			Type      string `json:"type"`
			Endpoints []struct {
				Interface string `json:"interface"`
				Region    string `json:"region"`
				URL       string `json:"url"`
			} `json:"endpoints"`
		} `json:"catalog"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return "", errors.New("find the key manager: Keystone's answer is not JSON")
	}
	for _, service := range body.Catalog {
		for _, e := range service.Endpoints {
			if service.Type == "key-manager" && e.Interface == k.o.Interface && (k.o.Region == "" || e.Region == k.o.Region) {
				k.base = versioned(e.URL)
				return k.base, nil
			}
		}
	}
	return "", fmt.Errorf("find the key manager: the catalog has no %s endpoint of it", k.o.Interface)
}

// get reads a document with the caller's token.
func (k *Keys) get(ctx context.Context, address, accept string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask Barbican: %w", err)
	}
	c := glance.CallerFrom(ctx)
	if c.Token == "" {
		return nil, errors.New("ask Barbican: the caller has no token")
	}
	r.Header.Set("X-Auth-Token", string(c.Token))
	r.Header.Set("Accept", accept)
	if c.RequestID != "" {
		r.Header.Set("X-Openstack-Request-Id", c.RequestID)
	}
	resp, err := k.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask Barbican: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("ask %s: %w", address, glance.ErrNotFound)
	default:
		return nil, fmt.Errorf("ask %s: %s", address, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSecret))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", address, err)
	}
	return text, nil
}
