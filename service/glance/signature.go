package glance

import (
	"context"
	"crypto"
	//lint:ignore SA1019 images that were signed with DSA are still about
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"strings"

	"glancectl/service/glance/sect"
)

// The properties of a signed image. Without one of them it is not signed.
const (
	signatureProperty    = "img_signature" // base64
	signatureHash        = "img_signature_hash_method"
	signatureKeyType     = "img_signature_key_type"
	signatureCertificate = "img_signature_certificate_uuid"
)

// Certificates keeps the certificates of those who sign images.
type Certificates interface {
	// Certificate returns the certificate of an ID, as the caller of ctx may
	// read it. ErrNotFound; what else the caller is to be told is a *Refusal.
	// Its key may be one of package sect, for which x509 has no type. Whoever
	// signed it is nobody's concern: it is as trustworthy as who keeps it, and
	// whose ID of it the image has.
	Certificate(ctx context.Context, id string) (*x509.Certificate, error)
}

// signatureHashes are the hashes that a signature may be of: MD5 and SHA-1 are
// broken.
var signatureHashes = map[string]crypto.Hash{
	"SHA-224": crypto.SHA224,
	"SHA-256": crypto.SHA256,
	"SHA-384": crypto.SHA384,
	"SHA-512": crypto.SHA512,
}

// verifiers says for each type of key whether a key is of it, and whether a
// signature is that of a sum. Of a key on a curve any curve will do, whichever
// the type names: so it is with those who sign images.
var verifiers = map[string]struct {
	fits   func(key any) bool
	verify func(key any, h crypto.Hash, sum, signature []byte) bool
}{
	"RSA-PSS":       {isRSA, verifyPSS},
	"DSA":           {isDSA, verifyDSA},
	"ECC_SECT409K1": {isECC, verifyECC},
	"ECC_SECT409R1": {isECC, verifyECC},
	"ECC_SECT571K1": {isECC, verifyECC},
	"ECC_SECT571R1": {isECC, verifyECC},
	"ECC_SECP384R1": {isECC, verifyECC},
	"ECC_SECP521R1": {isECC, verifyECC},
}

func isRSA(key any) bool { _, ok := key.(*rsa.PublicKey); return ok }
func isDSA(key any) bool { _, ok := key.(*dsa.PublicKey); return ok }

func isECC(key any) bool {
	switch key.(type) {
	case *ecdsa.PublicKey, *sect.PublicKey:
		return true
	}
	return false
}

// verifyPSS takes signatures with the longest salt that fits, and no others:
// that is how images are signed.
func verifyPSS(key any, h crypto.Hash, sum, signature []byte) bool {
	k := key.(*rsa.PublicKey)
	salt := (k.N.BitLen()-1+7)/8 - h.Size() - 2
	return salt > 0 && rsa.VerifyPSS(k, h, sum, signature, &rsa.PSSOptions{SaltLength: salt, Hash: h}) == nil
}

func verifyECC(key any, _ crypto.Hash, sum, signature []byte) bool {
	if k, binary := key.(*sect.PublicKey); binary {
		return k.Verify(sum, signature)
	}
	return ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), sum, signature)
}

func verifyDSA(key any, _ crypto.Hash, sum, signature []byte) bool {
	k := key.(*dsa.PublicKey)
	var s struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &s)
	if err != nil || len(rest) > 0 {
		return false
	}
	if n := (k.Q.BitLen() + 7) / 8; len(sum) > n {
		sum = sum[:n]
	}
	return dsa.Verify(k, sum, s.R, s.S)
}

// A signature is what the data of a signed image has to agree with. It is
// written the data.
type signature struct {
	hash.Hash
	verify func(sum []byte) bool
}

// errUnsigned is the kind of failure of a signature.
var errUnsigned = fmt.Errorf("signature: %w", ErrInvalid)

func unverified(reason string, args ...any) error {
	return refuse(errUnsigned, "Signature verification for the image failed: %s.", fmt.Sprintf(reason, args...))
}

// signatureOf returns the signature that the data of im has to agree with; nil
// if im is not signed.
func (s *Images) signatureOf(ctx context.Context, im *Image) (*signature, error) {
	for _, name := range []string{signatureProperty, signatureHash, signatureKeyType, signatureCertificate} {
		if _, ok := im.Properties[name]; !ok {
			return nil, nil
		}
	}
	text, err := base64.StdEncoding.DecodeString(strings.Map(base64Only, im.Properties[signatureProperty]))
	if err != nil {
		return nil, unverified("The signature data was not properly encoded using base64")
	}
	h, ok := signatureHashes[im.Properties[signatureHash]]
	if !ok {
		return nil, unverified("Invalid signature hash method: %s", im.Properties[signatureHash])
	}
	kind := im.Properties[signatureKeyType]
	v, ok := verifiers[kind]
	if !ok {
		return nil, unverified("Invalid signature key type: %s", kind)
	}
	certificate, err := s.certificate(ctx, im.Properties[signatureCertificate])
	if err != nil {
		return nil, err
	}
	if !v.fits(certificate.PublicKey) {
		return nil, unverified("Invalid public key type for signature key type: %s", kind)
	}
	return &signature{h.New(), func(sum []byte) bool { return v.verify(certificate.PublicKey, h, sum, text) }}, nil
}

// base64Only drops what is no part of base64, such as line breaks.
func base64Only(r rune) rune {
	if strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", r) {
		return r
	}
	return -1
}

// certificate returns a certificate that holds today.
func (s *Images) certificate(ctx context.Context, id string) (*x509.Certificate, error) {
	if s.o.Certificates == nil {
		s.o.Log.WarnContext(ctx, "a signed image cannot be verified: no key manager is configured", "certificate", id)
		return nil, unverified("Unable to retrieve certificate with ID: %s", id)
	}
	c, err := s.o.Certificates.Certificate(ctx, id)
	refusal, refused := errors.AsType[*Refusal](err)
	switch {
	case refused:
		return nil, unverified("%s", refusal.Message)
	case errors.Is(err, ErrNotFound):
		return nil, unverified("Certificate not found with ID: %s", id)
	case err != nil:
		s.o.Log.ErrorContext(ctx, "a certificate cannot be read", "certificate", id, "error", err)
		return nil, unverified("Unable to retrieve certificate with ID: %s", id)
	}
	if now := s.o.Now(); now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return nil, refuse(errUnsigned, "The certificate is outside its valid date range.")
	}
	return c, nil
}

// agrees returns nil if the data that was written is what was signed.
func (s *signature) agrees() error {
	if !s.verify(s.Sum(nil)) {
		return refuse(errUnsigned, "Signature verification failed")
	}
	return nil
}
