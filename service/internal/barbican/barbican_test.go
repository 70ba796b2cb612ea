package barbican

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/sect"
)

const (
	inDER    = "00000000-0000-4000-8000-000000000001"
	inPEM    = "00000000-0000-4000-8000-000000000002"
	aPhrase  = "00000000-0000-4000-8000-000000000003"
	garbage  = "00000000-0000-4000-8000-000000000004"
	hidden   = "00000000-0000-4000-8000-000000000005"
	moved    = "00000000-0000-4000-8000-000000000006"
	noSecret = "00000000-0000-4000-8000-000000000007"
	binary   = "00000000-0000-4000-8000-000000000008"
)

func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "signer"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// ofBinaryCurve is a certificate that x509 does not read.
func ofBinaryCurve(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../glance/sect/testdata/openssl.json")
	if err != nil {
		t.Fatal(err)
	}
	var samples []struct{ Certificate []byte }
	if err := json.Unmarshal(text, &samples); err != nil || len(samples) == 0 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	return samples[0].Certificate
}

// newBarbican starts a key manager that knows the secrets above, and is asked
// with one token.
func newBarbican(t *testing.T) *httptest.Server {
	t.Helper()
	der := certificate(t)
	secrets := map[string]struct {
		kind, content string
		payload       []byte
	}{
		inDER:   {"certificate", "application/octet-stream", der},
		inPEM:   {"certificate", "text/plain", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})},
		binary:  {"certificate", "text/plain", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ofBinaryCurve(t)})},
		aPhrase: {"passphrase", "text/plain", []byte("secret")},
		garbage: {"certificate", "text/plain", []byte("secret")},
	}
	mux := http.NewServeMux()
	var s *httptest.Server
	mux.HandleFunc("GET /v3/auth/catalog", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"catalog": [{"type": "image", "endpoints": [{"interface": "public", "region": "R", "url": "http://no"}]},
			{"type": "key-manager", "endpoints": [{"interface": "internal", "region": "R", "url": "http://no"}, {"interface": "public", "region": "Q", "url": "http://no"},
			{"interface": "public", "region": "R", "url": "%s/"}]}]}`, s.URL)
	})
	mux.HandleFunc("GET /v1/secrets/{id}", func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("id") {
		case hidden:
			w.WriteHeader(http.StatusForbidden)
			return
		case moved:
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		secret, ok := secrets[r.PathValue("id")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"secret_type": %q, "content_types": {"default": %q}, "status": "ACTIVE"}`, secret.kind, secret.content)
	})
	mux.HandleFunc("GET /v1/secrets/{id}/payload", func(w http.ResponseWriter, r *http.Request) {
		secret := secrets[r.PathValue("id")]
		if r.Header.Get("Accept") != secret.content {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		w.Write(secret.payload)
	})
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Error("the token travels to where a redirect leads")
		}
		if r.Header.Get("X-Auth-Token") != "t0ken" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func as(t *testing.T, token glance.Token) context.Context {
	return glance.WithCaller(t.Context(), glance.Caller{Token: token, RequestID: "req-1"})
}

func TestCertificate(t *testing.T) {
	s := newBarbican(t)
	for name, o := range map[string]Options{
		"endpoint":              {Endpoint: s.URL},
		"endpoint with version": {Endpoint: s.URL + "/v1/"},
		"catalog":               {AuthURL: s.URL, Region: "R"},
	} {
		k, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{inDER, inPEM} {
			if c, err := k.Certificate(as(t, "t0ken"), id); err != nil || c.Subject.CommonName != "signer" {
				t.Errorf("%s: Certificate(%s) = %v, %v", name, id, c, err)
			}
		}
	}
}

func TestCertificateOfBinaryCurve(t *testing.T) {
	k, err := New(Options{Endpoint: newBarbican(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	c, err := k.Certificate(as(t, "t0ken"), binary)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.PublicKey.(*sect.PublicKey); !ok || c.NotAfter.Before(c.NotBefore) {
		t.Errorf("Certificate = %+v; want a key on a binary curve, and dates", c)
	}
}

func TestCertificateFails(t *testing.T) {
	s := newBarbican(t)
	k, err := New(Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, id string
		token    glance.Token
		want     error
		text     string
	}{
		{"unknown", noSecret, "t0ken", glance.ErrNotFound, ""},
		{"no ID", "../orders", "t0ken", glance.ErrNotFound, ""},
		{"a passphrase", aPhrase, "t0ken", glance.ErrInvalid, "Invalid certificate format: RAW"},
		{"garbage", garbage, "t0ken", glance.ErrInvalid, "Invalid certificate format: it is not X.509"},
		{"somebody else's", hidden, "t0ken", nil, "403 Forbidden"},
		{"elsewhere", moved, "t0ken", nil, "302 Found"},
		{"with a bad token", inDER, "b4d", nil, "401 Unauthorized"},
		{"without a token", inDER, "", nil, "the caller has no token"},
	} {
		_, err := k.Certificate(as(t, test.token), test.id)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v; want %v and %q", test.name, err, test.want, test.text)
		}
		if err != nil && (strings.Contains(err.Error(), "b4d") || strings.Contains(err.Error(), "t0ken")) {
			t.Errorf("%s: the error shows the token: %v", test.name, err)
		}
	}
	s.Close()
	if _, err := k.Certificate(as(t, "t0ken"), inDER); err == nil || errors.Is(err, glance.ErrNotFound) {
		t.Errorf("without a Barbican: %v", err)
	}
}

func TestNew(t *testing.T) {
	for _, o := range []Options{{}, {Endpoint: "barbican:9311"}, {AuthURL: "ftp://k"}} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v): no error", o)
		}
	}
	s := newBarbican(t)
	k, err := New(Options{AuthURL: s.URL, Region: "elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Certificate(as(t, "t0ken"), inDER); err == nil || !strings.Contains(err.Error(), "the catalog has no public endpoint of it") {
		t.Errorf("of a region that has none: %v", err)
	}
}
