// Package sect verifies ECDSA signatures of keys on the binary curves
// sect409k1, sect409r1, sect571k1 and sect571r1, which images may be signed
// with and Go's library does not have, and reads the certificates of such keys.
//
// It only ever sees what is public, so it does not take the same time for all
// values and must not be used to sign. It knows nothing of images.
package sect

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrCurve is the reason why a certificate is refused whose key is on none of
// the curves.
var ErrCurve = errors.New("not a key on a binary curve that is known")

// A PublicKey is a point of the group of one of the curves.
type PublicKey struct {
	curve *curve
	point affine
}

// Verify reports whether signature, in DER, is one of sum by the key's owner.
func (k *PublicKey) Verify(sum, signature []byte) bool {
	var s struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &s)
	n := k.curve.order
	if err != nil || len(rest) > 0 || !within(s.R, n) || !within(s.S, n) {
		return false
	}
	e := new(big.Int).SetBytes(sum)
	if extra := 8*len(sum) - n.BitLen(); extra > 0 {
		e.Rsh(e, uint(extra))
	}
	w := new(big.Int).ModInverse(s.S, n) // there is one: n is prime
	u := e.Mul(e, w)
	v := w.Mul(w, s.R)
	p, ok := k.curve.toAffine(k.curve.combine(u.Mod(u, n), v.Mod(v, n), k.point))
	if !ok {
		return false
	}
	x := new(big.Int).SetBytes(p.x.bytes())
	return x.Mod(x, n).Cmp(s.R) == 0
}

// within reports whether 0 < x < n.
func within(x, n *big.Int) bool { return x.Sign() > 0 && x.Cmp(n) < 0 }

// A certificate is one of X.509 as far as it is read here.
type certificate struct {
	Body struct {
		Version   int `asn1:"optional,explicit,default:0,tag:0"`
		Serial    *big.Int
		Algorithm pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
		Validity  struct{ NotBefore, NotAfter time.Time }
		Subject   asn1.RawValue
		Key       struct {
			Algorithm pkix.AlgorithmIdentifier
			Point     asn1.BitString
		}
		IssuerID   asn1.BitString   `asn1:"optional,tag:1"`
		SubjectID  asn1.BitString   `asn1:"optional,tag:2"`
		Extensions []pkix.Extension `asn1:"optional,omitempty,explicit,tag:3"`
	}
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

// ParseCertificate reads a certificate in DER whose key is on one of the
// curves, which x509.ParseCertificate refuses. The PublicKey of what it returns
// is a *[PublicKey]; of the other fields only Raw, SerialNumber, NotBefore and
// NotAfter are set. Who signed the certificate is not looked at, and cannot be:
// what is returned has no more than that, and x509 verifies no chain with it.
//
// A point must be uncompressed, on the curve and in its group.
func ParseCertificate(der []byte) (*x509.Certificate, error) {
	var c certificate
	rest, err := asn1.Unmarshal(der, &c)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if len(rest) > 0 {
		return nil, errors.New("certificate: something follows it")
	}
	key, err := parseKey(c.Body.Key.Algorithm, c.Body.Key.Point)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &x509.Certificate{
		Raw: der, SerialNumber: c.Body.Serial,
		PublicKeyAlgorithm: x509.ECDSA, PublicKey: key,
		NotBefore: c.Body.Validity.NotBefore, NotAfter: c.Body.Validity.NotAfter,
	}, nil
}

func parseKey(algorithm pkix.AlgorithmIdentifier, point asn1.BitString) (*PublicKey, error) {
	ecPublicKey := asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	if !algorithm.Algorithm.Equal(ecPublicKey) {
		return nil, ErrCurve
	}
	var oid asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(algorithm.Parameters.FullBytes, &oid); err != nil || len(rest) > 0 {
		return nil, ErrCurve
	}
	for _, c := range curves {
		if !oid.Equal(c.oid) {
			continue
		}
		k := &PublicKey{curve: newCurve(c)}
		var ok bool
		if k.point, ok = k.curve.parsePoint(point.RightAlign()); !ok || point.BitLength%8 != 0 {
			return nil, fmt.Errorf("the key is no point of %s", c.name)
		}
		return k, nil
	}
	return nil, ErrCurve
}
