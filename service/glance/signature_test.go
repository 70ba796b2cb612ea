package glance_test

import (
	"context"
	"crypto"
	//lint:ignore SA1019 images that were signed with DSA are still about
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/sect"
)

// safe is certificates by ID.
type safe map[string]*x509.Certificate

func (s safe) Certificate(_ context.Context, id string) (*x509.Certificate, error) {
	switch id {
	case "broken":
		return nil, errors.New("dial tcp: secret")
	case "phrase":
		return nil, &glance.Refusal{Kind: glance.ErrInvalid, Message: "Invalid certificate format: RAW"}
	}
	if c, ok := s[id]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("certificate %s: %w", id, glance.ErrNotFound)
}

// A signer has a key of each kind.
type signer struct {
	rsa *rsa.PrivateKey
	ecc *ecdsa.PrivateKey
	dsa *dsa.PrivateKey
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	s := &signer{dsa: new(dsa.PrivateKey)}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	s.rsa = must(t, rsaKey, err)
	eccKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	s.ecc = must(t, eccKey, err)
	// A group is slow to find: this one was made for tests.
	s.dsa.P, _ = new(big.Int).SetString("A9B5B793FB4785793D246BAE77E8FF63CA52F442DA763C440259919FE1BC1D6065A9350637A04F75A2F039401D49F08E066C4D275A5A65DA5684BC563C14289D7AB8A67163BFBF79D85972619AD2CFF55AB0EE77A9002B0EF96293BDD0F42685EBB2C66C327079F6C98000FBCB79AACDE1BC6F9D5C7B1A97E3D9D54ED7951FEF", 16)
	s.dsa.Q, _ = new(big.Int).SetString("E1D3391245933D68A0714ED34BBCB7A1F422B9C1", 16)
	s.dsa.G, _ = new(big.Int).SetString("634364FC25248933D01D1993ECABD0657CC0CB2CEED7ED2E3E8AECDFCDC4A25C3B15E9E3B163ACA2984B5539181F3EFF1A5E8903D71D5B95DA4F27202B77D2C44B430BB53741A8D59A8F86887525C9F2A6A5980A195EAA7F2FF910064301DEF89D3AA213E1FAC7768D89365318E370AF54A112EFBA9246D9158386BA1B4EEFDA", 16)
	if err := dsa.GenerateKey(s.dsa, rand.Reader); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *signer) pss(t *testing.T, data string, h crypto.Hash, salt int) string {
	t.Helper()
	text, err := s.rsa.Sign(rand.Reader, digest(h, data), &rsa.PSSOptions{SaltLength: salt, Hash: h})
	return base64.StdEncoding.EncodeToString(must(t, text, err))
}

func (s *signer) ecdsa(t *testing.T, data string, h crypto.Hash) string {
	t.Helper()
	text, err := ecdsa.SignASN1(rand.Reader, s.ecc, digest(h, data))
	return base64.StdEncoding.EncodeToString(must(t, text, err))
}

func (s *signer) dss(t *testing.T, data string, h crypto.Hash) string {
	t.Helper()
	a, b, err := dsa.Sign(rand.Reader, s.dsa, digest(h, data)[:20])
	if err != nil {
		t.Fatal(err)
	}
	text, err := asn1.Marshal(struct{ R, S *big.Int }{a, b})
	return base64.StdEncoding.EncodeToString(must(t, text, err))
}

func digest(h crypto.Hash, data string) []byte {
	d := h.New()
	io.WriteString(d, data)
	return d.Sum(nil)
}

// certificates are those of the keys, and one that is over.
func (s *signer) certificates() safe {
	year := func(n int) time.Time { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC) }
	return safe{
		"rsa":  {PublicKey: s.rsa.Public(), NotBefore: year(2020), NotAfter: year(2040)},
		"ecc":  {PublicKey: s.ecc.Public(), NotBefore: year(2020), NotAfter: year(2040)},
		"dsa":  {PublicKey: &s.dsa.PublicKey, NotBefore: year(2020), NotAfter: year(2040)},
		"old":  {PublicKey: s.rsa.Public(), NotBefore: year(2020), NotAfter: year(2021)},
		"soon": {PublicKey: s.rsa.Public(), NotBefore: year(2039), NotAfter: year(2040)},
	}
}

func TestSignatures(t *testing.T) {
	s := newSigner(t)
	h := newImporter(t, glance.Options{Certificates: s.certificates()})
	const data = "the data of an image that is signed"
	longest := 256 - 2 - 32 // of a 2048 bit key and SHA-256
	good := s.pss(t, data, crypto.SHA256, longest)
	const bad = "Signature verification failed for image %s: "
	failed := func(reason string) string { return "Signature verification for the image failed: " + reason + "." }
	for _, test := range []struct {
		name, signature, hash, key, certificate string
		want                                    string // "" means that it is fine
	}{
		{"RSA", good, "SHA-256", "RSA-PSS", "rsa", ""},
		{"RSA with line breaks", good[:60] + "\n" + good[60:], "SHA-256", "RSA-PSS", "rsa", ""},
		{"RSA and SHA-512", s.pss(t, data, crypto.SHA512, 256-2-64), "SHA-512", "RSA-PSS", "rsa", ""},
		{"RSA and SHA-224", s.pss(t, data, crypto.SHA224, 256-2-28), "SHA-224", "RSA-PSS", "rsa", ""},
		{"ECC", s.ecdsa(t, data, crypto.SHA384), "SHA-384", "ECC_SECP384R1", "ecc", ""},
		{"DSA", s.dss(t, data, crypto.SHA256), "SHA-256", "DSA", "dsa", ""},
		{"ECC of another curve than said", s.ecdsa(t, data, crypto.SHA384), "SHA-384", "ECC_SECT571K1", "ecc", ""},

		{"other data", s.pss(t, data+"!", crypto.SHA256, longest), "SHA-256", "RSA-PSS", "rsa", "Signature verification failed"},
		{"other data, ECC", s.ecdsa(t, data+"!", crypto.SHA384), "SHA-384", "ECC_SECP384R1", "ecc", "Signature verification failed"},
		{"other data, DSA", s.dss(t, data+"!", crypto.SHA256), "SHA-256", "DSA", "dsa", "Signature verification failed"},
		{"no DSA signature", good, "SHA-256", "DSA", "dsa", "Signature verification failed"},
		{"another hash", good, "SHA-384", "RSA-PSS", "rsa", "Signature verification failed"},
		{"a shorter salt", s.pss(t, data, crypto.SHA256, 32), "SHA-256", "RSA-PSS", "rsa", "Signature verification failed"},
		{"nothing", "", "SHA-256", "RSA-PSS", "rsa", "Signature verification failed"},
		{"MD5", good, "MD5", "RSA-PSS", "rsa", failed("Invalid signature hash method: MD5")},
		{"SHA-1", good, "SHA-1", "RSA-PSS", "rsa", failed("Invalid signature hash method: SHA-1")},
		{"another kind of key", good, "SHA-256", "ECC_SECP256R1", "rsa", failed("Invalid signature key type: ECC_SECP256R1")},
		{"a certificate of another key", good, "SHA-256", "RSA-PSS", "ecc", failed("Invalid public key type for signature key type: RSA-PSS")},
		{"a certificate of no curve", good, "SHA-256", "ECC_SECT571K1", "rsa", failed("Invalid public key type for signature key type: ECC_SECT571K1")},
		{"no base64", "abc", "SHA-256", "RSA-PSS", "rsa", failed("The signature data was not properly encoded using base64")},
		{"no certificate", good, "SHA-256", "RSA-PSS", "none", failed("Certificate not found with ID: none")},
		{"no certificate at all", good, "SHA-256", "RSA-PSS", "phrase", failed("Invalid certificate format: RAW")},
		{"no key manager", good, "SHA-256", "RSA-PSS", "broken", failed("Unable to retrieve certificate with ID: broken")},
		{"a certificate that is over", good, "SHA-256", "RSA-PSS", "old", "The certificate is outside its valid date range."},
		{"a certificate to come", good, "SHA-256", "RSA-PSS", "soon", "The certificate is outside its valid date range."},
	} {
		properties := map[string]string{"img_signature": test.signature, "img_signature_hash_method": test.hash, "img_signature_key_type": test.key,
			"img_signature_certificate_uuid": test.certificate}
		signed := func(d *glance.Draft) { d.Properties = properties }
		im := h.create(t, signed)
		err := h.Upload(as(t, "member t1"), im.ID, strings.NewReader(data), glance.UploadOptions{})
		got := h.get(t, im.ID)
		h.web.data["http://x/y"] = strings.NewReader(data)
		imported := h.create(t, signed)
		if err := h.Import(as(t, "member t1"), imported.ID, glance.ImportRequest{Method: glance.WebDownload, URI: "http://x/y"}); err != nil {
			t.Errorf("%s: Import: %v", test.name, err)
		}
		status, message := h.ended(t, imported.ID)
		if test.want == "" {
			if err != nil || got.Status != glance.Active || status != glance.Active {
				t.Errorf("%s: Upload: %v, image is %s; import: %q, image is %s", test.name, err, got.Status, message, status)
			}
			continue
		}
		if want := fmt.Sprintf(bad, im.ID) + test.want; !errors.Is(err, glance.ErrInvalid) || err.Error() != want {
			t.Errorf("%s: Upload: %v; want %s", test.name, err, want)
		}
		if message != test.want {
			t.Errorf("%s: the import says %q; want %q", test.name, message, test.want)
		}
		if got.Status != glance.Queued || status != glance.Queued || len(got.Locations) > 0 || got.Checksum != nil {
			t.Errorf("%s: images are %+v and %s; want them queued and without data", test.name, got, status)
		}
	}
	if n := h.store.Len(); n != 2*7 {
		t.Errorf("the store has %d objects; want those of the good ones", n)
	}
}

// ended waits for the import of an image.
func (h *importer) ended(t *testing.T, id glance.ID) (glance.Status, string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		tasks, err := h.ImageTasks(as(t, "admin t1"), id)
		if err != nil || len(tasks) != 1 || time.Now().After(deadline) {
			t.Fatalf("tasks of %s: %+v, %v", id, tasks, err)
		}
		if tasks[0].Status == glance.TaskSuccess || tasks[0].Status == glance.TaskFailure {
			return h.get(t, id).Status, tasks[0].Message
		}
	}
}

// Without one of the four properties an image is not signed.
func TestUnsigned(t *testing.T) {
	h := newHouse(t, glance.Options{})
	for _, missing := range []string{"img_signature", "img_signature_hash_method", "img_signature_key_type", "img_signature_certificate_uuid"} {
		properties := map[string]string{"img_signature": "x", "img_signature_hash_method": "x", "img_signature_key_type": "x", "img_signature_certificate_uuid": "x"}
		delete(properties, missing)
		h.active(t, "data", func(d *glance.Draft) { d.Properties = properties })
	}
	im := h.create(t, func(d *glance.Draft) {
		d.Properties = map[string]string{"img_signature": "eA==", "img_signature_hash_method": "SHA-256", "img_signature_key_type": "RSA-PSS", "img_signature_certificate_uuid": "x"}
	})
	err := h.Upload(as(t, "member t1"), im.ID, strings.NewReader("data"), glance.UploadOptions{})
	if !errors.Is(err, glance.ErrInvalid) || !strings.Contains(err.Error(), "Unable to retrieve certificate with ID: x") {
		t.Errorf("a signed image, without a key manager: %v", err)
	}
}

// The signatures in testdata were made with Python's cryptography 38, which is
// what OpenStack Glance verifies with, in the ways that its library for signed
// images knows.
func TestSignaturesOfTheOriginal(t *testing.T) {
	text, err := os.ReadFile("testdata/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var made []struct {
		KeyType     string `json:"key_type"`
		HashMethod  string `json:"hash_method"`
		Signature   string `json:"signature"`
		Certificate []byte `json:"certificate"`
	}
	if err := json.Unmarshal(text, &made); err != nil || len(made) == 0 {
		t.Fatalf("%d signatures, %v", len(made), err)
	}
	seen := make(map[string]bool)
	for _, m := range made {
		seen[m.KeyType] = true
		parse := x509.ParseCertificate
		if strings.HasPrefix(m.KeyType, "ECC_SECT") {
			parse = sect.ParseCertificate
		}
		certificate, err := parse(m.Certificate)
		if err != nil {
			t.Errorf("%s: %v", m.KeyType, err)
			continue
		}
		h := newHouse(t, glance.Options{Certificates: safe{"c": certificate}})
		for data, want := range map[string]error{"the data of an image that is signed": nil, "The data of an image that is signed": glance.ErrInvalid} {
			im := h.create(t, func(d *glance.Draft) {
				d.Properties = map[string]string{"img_signature": m.Signature, "img_signature_hash_method": m.HashMethod, "img_signature_key_type": m.KeyType,
					"img_signature_certificate_uuid": "c"}
			})
			is(t, m.KeyType+" "+m.HashMethod, h.Upload(as(t, "member t1"), im.ID, strings.NewReader(data), glance.UploadOptions{}), want)
		}
	}
	for _, kind := range []string{"RSA-PSS", "DSA", "ECC_SECT571K1", "ECC_SECT409K1", "ECC_SECT571R1", "ECC_SECT409R1", "ECC_SECP521R1", "ECC_SECP384R1"} {
		if !seen[kind] {
			t.Errorf("nothing was signed with a key of the type %s", kind)
		}
	}
}
