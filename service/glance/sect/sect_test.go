package sect

import (
	"bytes"
	"crypto"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const signed = "what was signed"

// A sample is a signature of signed by OpenSSL.
type sample struct {
	Curve       string `json:"curve"`
	Hash        string `json:"hash"`
	Signature   []byte `json:"signature"`
	Certificate []byte `json:"certificate"`
}

var hashes = map[string]crypto.Hash{"SHA-224": crypto.SHA224, "SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}

func (s sample) sum(text string) []byte {
	h := hashes[s.Hash].New()
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (s sample) key(t testing.TB) *PublicKey {
	t.Helper()
	c, err := ParseCertificate(s.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return c.PublicKey.(*PublicKey)
}

// samples has one for every curve and hash.
func samples(t testing.TB) []sample {
	t.Helper()
	text, err := os.ReadFile("testdata/openssl.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []sample
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(curves)*len(hashes) {
		t.Fatalf("%d samples; want one for each curve and hash", len(all))
	}
	return all
}

// ofCurves has one for every curve.
func ofCurves(t testing.TB) (some []sample) {
	t.Helper()
	for _, s := range samples(t) {
		if s.Hash == "SHA-512" {
			some = append(some, s)
		}
	}
	return some
}

func TestVerify(t *testing.T) {
	for _, s := range samples(t) {
		k := s.key(t)
		if !k.Verify(s.sum(signed), s.Signature) {
			t.Errorf("%s, %s: a good signature is refused", s.Curve, s.Hash)
		}
		if k.Verify(s.sum(signed+"!"), s.Signature) {
			t.Errorf("%s, %s: a signature of something else is accepted", s.Curve, s.Hash)
		}
	}
}

func TestVerifyAnotherKey(t *testing.T) {
	all := ofCurves(t)
	for i, s := range all {
		if other := all[(i+1)%len(all)]; other.key(t).Verify(s.sum(signed), s.Signature) {
			t.Errorf("%s accepts what %s signed", other.Curve, s.Curve)
		}
	}
}

// Numbers that are out of range prove nothing, whatever the key.
func TestVerifyHostile(t *testing.T) {
	for _, s := range ofCurves(t) {
		k, sum := s.key(t), s.sum(signed)
		var good struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(s.Signature, &good); err != nil {
			t.Fatal(err)
		}
		n, zero := k.curve.order, new(big.Int)
		for name, pair := range map[string][2]*big.Int{
			"r 0": {zero, good.S}, "s 0": {good.R, zero}, "both 0": {zero, zero}, "r n": {n, good.S}, "s n": {good.R, n},
			"r more than n": {new(big.Int).Add(good.R, n), good.S}, "s more than n": {good.R, new(big.Int).Add(good.S, n)},
			"r negative": {new(big.Int).Neg(good.R), good.S}, "s negative": {good.R, new(big.Int).Neg(good.S)},
			"r of another": {new(big.Int).Add(good.R, big.NewInt(1)), good.S}, "exchanged": {good.S, good.R},
			"r huge": {new(big.Int).Lsh(good.R, 1<<16), good.S},
		} {
			text, err := asn1.Marshal(struct{ R, S *big.Int }{pair[0], pair[1]})
			if err != nil {
				t.Fatal(err)
			}
			if k.Verify(sum, text) {
				t.Errorf("%s, %s: accepted", s.Curve, name)
			}
		}
		for name, text := range map[string][]byte{
			"nothing": nil, "cut": s.Signature[:len(s.Signature)-1], "more": append(bytes.Clone(s.Signature), 0), "text": []byte("signature"),
		} {
			if k.Verify(sum, text) {
				t.Errorf("%s, %s: accepted", s.Curve, name)
			}
		}
		if k.Verify(nil, s.Signature) {
			t.Errorf("%s: accepted for no sum", s.Curve)
		}
	}
}

func TestParseCertificate(t *testing.T) {
	for _, s := range samples(t) {
		if _, err := x509.ParseCertificate(s.Certificate); err == nil {
			t.Errorf("%s: Go's library reads it", s.Curve)
		}
		c, err := ParseCertificate(s.Certificate)
		if err != nil {
			t.Errorf("%s: %v", s.Curve, err)
			continue
		}
		if got := c.PublicKey.(*PublicKey).curve.name; got != s.Curve {
			t.Errorf("a key on %s is read as one on %s", s.Curve, got)
		}
		// Made for 36500 days.
		if age := c.NotAfter.Sub(c.NotBefore); age != 36500*24*time.Hour || c.NotBefore.Year() != 2026 || c.SerialNumber.Sign() == 0 {
			t.Errorf("%s: serial %v, from %v to %v", s.Curve, c.SerialNumber, c.NotBefore, c.NotAfter)
		}
		if _, err := c.Verify(x509.VerifyOptions{Roots: x509.NewCertPool()}); err == nil {
			t.Errorf("%s: there is a chain to nobody", s.Curve)
		}
	}
}

// pointOf returns the certificate with another point, and the same length.
func (s sample) pointOf(t *testing.T, point, text []byte) []byte {
	t.Helper()
	if len(text) != len(point) || bytes.Count(s.Certificate, point) != 1 {
		t.Fatalf("a point of %d bytes does not fit one of %d", len(text), len(point))
	}
	return bytes.Replace(s.Certificate, point, text, 1)
}

func (k *PublicKey) encoded() []byte {
	text := []byte{4}
	for _, e := range []element{k.point.x, k.point.y} {
		all := e.bytes()
		text = append(text, all[len(all)-k.curve.size():]...)
	}
	return text
}

func TestParseCertificateRefuses(t *testing.T) {
	for _, s := range ofCurves(t) {
		k := s.key(t)
		edit := func(at int, with byte) []byte {
			text := k.encoded()
			text[at] ^= with
			return text
		}
		// The root of b is the y of the point of order 2: whoever has it for a
		// key, everybody signs for.
		root := k.curve.b
		for range k.curve.degree - 1 {
			root = k.curve.square(root)
		}
		small := &PublicKey{k.curve, affine{element{}, root}}
		if !k.curve.has(small.point) {
			t.Fatalf("%s: no point of order 2", s.Curve)
		}
		for name, der := range map[string][]byte{
			"nothing": nil, "text": []byte("certificate"), "cut": s.Certificate[:len(s.Certificate)-1], "more": append(bytes.Clone(s.Certificate), 0),
			"off the curve":      s.pointOf(t, k.encoded(), edit(20, 1)),
			"beyond the field":   s.pointOf(t, k.encoded(), edit(1, 0x80)),
			"compressed":         s.pointOf(t, k.encoded(), edit(0, 4^2)),
			"infinity":           s.pointOf(t, k.encoded(), make([]byte, len(k.encoded()))),
			"of a small group":   s.pointOf(t, k.encoded(), small.encoded()),
			"of another curve":   bytes.Replace(s.Certificate, []byte{0x2b, 0x81, 4, 0}, []byte{0x2b, 0x81, 4, 1}, 1),
			"of another kind":    bytes.Replace(s.Certificate, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1}, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 2}, 1),
			"of a broken length": bytes.Replace(s.Certificate, []byte{0x30}, []byte{0x31}, 1),
		} {
			if c, err := ParseCertificate(der); err == nil {
				t.Errorf("%s, %s: read as %v", s.Curve, name, c.PublicKey)
			}
		}
	}
}

// A key of another kind is told from what is broken.
func TestParseCertificateElsewhere(t *testing.T) {
	der := samples(t)[0].Certificate
	for _, other := range [][2][]byte{{{0x2b, 0x81, 4, 0, 36}, {0x2b, 0x81, 4, 0, 34}}, {{0x3d, 2, 1}, {0x3d, 2, 2}}} {
		if _, err := ParseCertificate(bytes.Replace(der, other[0], other[1], 1)); !errors.Is(err, ErrCurve) {
			t.Errorf("ParseCertificate = %v; want %v", err, ErrCurve)
		}
	}
}

// The tool that made the samples makes new ones, where it is installed.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Logf("only the samples are tried: %v", err)
		return
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %q: %v\n%s", args, err, out)
		}
	}
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(at(name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err := os.WriteFile(at("data"), []byte(signed), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range curves {
		run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:"+p.name, "-nodes", "-keyout", at("key"), "-out", at("certificate"), "-subj", "/CN=signer")
		run("dgst", "-sha512", "-sign", at("key"), "-out", at("signature"), at("data"))
		block, _ := pem.Decode(read("certificate"))
		s := sample{Curve: p.name, Hash: "SHA-512", Signature: read("signature"), Certificate: block.Bytes}
		if k := s.key(t); !k.Verify(s.sum(signed), s.Signature) || k.Verify(s.sum("x"), s.Signature) {
			t.Errorf("%s: what OpenSSL signed is taken for something else", p.name)
		}
	}
}

// Whatever is read is a point of prime order, and nothing makes it panic.
func FuzzParseCertificate(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.Certificate)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := ParseCertificate(der)
		if err != nil {
			return
		}
		if k := c.PublicKey.(*PublicKey); !k.curve.has(k.point) {
			t.Errorf("%x has a point beside %s", der, k.curve.name)
		}
	})
}

func FuzzVerify(f *testing.F) {
	all := samples(f)
	for i, s := range all {
		f.Add(i, s.sum("x"), s.Signature)
	}
	keys := make([]*PublicKey, len(all))
	for i, s := range all {
		keys[i] = s.key(f)
	}
	f.Fuzz(func(t *testing.T, i int, sum, signature []byte) {
		if k := keys[uint(i)%uint(len(keys))]; k.Verify(sum, signature) {
			t.Errorf("%x is taken for %s's signature of %x", signature, k.curve.name, sum)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, s := range ofCurves(b) {
		b.Run(s.Curve, func(b *testing.B) {
			k, sum := s.key(b), s.sum(signed)
			for b.Loop() {
				k.Verify(sum, s.Signature)
			}
		})
	}
}
