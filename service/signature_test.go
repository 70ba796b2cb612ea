package service_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"glancectl/service"
)

// TestSignedImages uploads images whose certificate a key manager has for one
// caller alone.
func TestSignedImages(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	const certificate = "9a8b7c6d-0000-4000-8000-00000000000c"
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Auth-Token") != "alice":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/v1/secrets/"+certificate:
			w.Write([]byte(`{"secret_type": "certificate", "content_types": {"default": "text/plain"}}`))
		case r.URL.Path == "/v1/secrets/"+certificate+"/payload":
			if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
				t.Error(err)
			}
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer keys.Close()
	const data = "signed data"
	sum := sha256.Sum256([]byte(data))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 256 - 2 - 32})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	d := s.api("[key_manager]\nbackend = barbican\n[barbican]\nbarbican_endpoint = " + keys.URL + "\n")
	draft := func(id string) string {
		text, err := json.Marshal(map[string]string{"id": id, "disk_format": "raw", "container_format": "bare", "img_signature": base64.StdEncoding.EncodeToString(signature),
			"img_signature_hash_method": "SHA-256", "img_signature_key_type": "RSA-PSS", "img_signature_certificate_uuid": certificate})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	put := func(code int, who, id, data, want string) {
		t.Helper()
		d.want(code, want, "PUT", "/v2/images/"+id+"/file", data, "X-Auth-Token", who, "Content-Type", "application/octet-stream", "Accept", "application/json")
	}
	d.want(201, "", "POST", "/v2/images", draft(imageA), "X-Auth-Token", "alice")
	put(400, "alice", imageA, data+"!", "Signature verification failed for image "+imageA+": Signature verification failed")
	if s.exists("images", imageA) {
		t.Error("data that was not signed stays")
	}
	d.want(200, `"status": "queued"`, "GET", "/v2/images/"+imageA, "", "X-Auth-Token", "alice")
	put(204, "alice", imageA, data, "")
	d.want(201, "", "POST", "/v2/images", draft(imageB), "X-Auth-Token", "bob")
	put(400, "bob", imageB, data, "Signature verification for the image failed: Unable to retrieve certificate with ID: "+certificate+".")
	if !strings.Contains(d.log.String(), "403 Forbidden") {
		t.Error("the log does not say why the certificate could not be read")
	}
}

func TestUnknownKeyManager(t *testing.T) {
	s := newSite(t)
	err := service.RunAPI(t.Context(), service.Options{Files: []string{s.conf("api", "[key_manager]\nbackend = vault\n")}})
	if err == nil || !strings.Contains(err.Error(), `[key_manager] backend: "vault" is not a key manager that there is: barbican`) {
		t.Errorf("RunAPI = %v", err)
	}
}
