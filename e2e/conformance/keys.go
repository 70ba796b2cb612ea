package conformance

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"glancectl/e2e/lab"
)

// samplesFile has signatures of signedData by keys of every type that images
// are signed with, and the certificates of the keys.
const (
	samplesFile = "../../service/glance/testdata/signatures.json"
	signedData  = "the data of an image that is signed"
)

// startKeys starts the lab's Barbican, whose place the catalog of tokens says
// from then on, and has it keep the certificates that scripts name. It returns
// for every sample, numbered from 0, $signature0, $hash0, $type0 and
// $certificate0, the ID; moreover
//
//	$signed            the data that was signed
//	$over              a certificate that is valid no more
//	$signature_over    a signature for it, of the type ECC_SECP384R1 and SHA-384
//	$phrase            a secret that is a passphrase
//	$in_text, $in_der  certificate 0, kept as text and in DER
//	$missing           the ID of no secret
func (s *Site) startKeys(ctx context.Context) (map[string]string, error) {
	if err := s.startBarbican(ctx); err != nil {
		return nil, fmt.Errorf("start Barbican: %w", err)
	}
	if err := s.identity.register(ctx, "key-manager", "barbican", lab.BarbicanURL); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(samplesFile)
	if err != nil {
		return nil, err
	}
	var samples []struct {
		KeyType     string `json:"key_type"`
		HashMethod  string `json:"hash_method"`
		Signature   string `json:"signature"`
		Certificate []byte `json:"certificate"`
	}
	if err := json.Unmarshal(text, &samples); err != nil {
		return nil, fmt.Errorf("%s: %w", samplesFile, err)
	}
	vars := map[string]string{"signed": signedData, "missing": "00000000-0000-4000-8000-000000000000"}
	keep := func(name string, secret map[string]string) error {
		id, err := s.store(ctx, "member", secret)
		vars[name] = id
		return err
	}
	for i, sample := range samples {
		n := strconv.Itoa(i)
		vars["type"+n], vars["hash"+n], vars["signature"+n] = sample.KeyType, sample.HashMethod, sample.Signature
		if err := keep("certificate"+n, encoded("certificate", inPEM(sample.Certificate))); err != nil {
			return nil, err
		}
	}
	over, signature, err := expired()
	if err != nil {
		return nil, err
	}
	vars["signature_over"] = signature
	for name, secret := range map[string]map[string]string{
		"over":    encoded("certificate", inPEM(over)),
		"phrase":  encoded("passphrase", []byte("open")),
		"in_der":  encoded("certificate", samples[0].Certificate),
		"in_text": {"secret_type": "certificate", "payload": string(inPEM(samples[0].Certificate)), "payload_content_type": "text/plain"},
	} {
		if err := keep(name, secret); err != nil {
			return nil, err
		}
	}
	return vars, nil
}

// expired returns a certificate that is over, and a signature of signedData.
func expired() (der []byte, signature string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		return nil, "", err
	}
	sum := sha512.Sum384([]byte(signedData))
	text, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	return der, base64.StdEncoding.EncodeToString(text), err
}

func inPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// startBarbican starts it with the account that both image services have, and
// waits until it answers.
func (s *Site) startBarbican(ctx context.Context) error {
	text := fmt.Sprintf("[keystone_authtoken]\nwww_authenticate_uri = %s\nauth_url = %[1]s\nauth_type = password\nusername = %s\npassword = %s\nproject_name = %s\n"+
		"user_domain_name = Default\nproject_domain_name = Default\n", lab.AuthURL, s.identity.login.User, s.identity.login.Password, s.identity.login.Project)
	const name = "/etc/barbican/barbican.conf.d/account.conf"
	if err := os.WriteFile(filepath.Join(s.Lab.Node(lab.KeystoneNode).Root, name), []byte(text), 0o600); err != nil {
		return err
	}
	if _, err := s.Lab.Run(ctx, lab.KeystoneNode, "chown barbican: "+name+"; systemctl start barbican-api"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for {
		_, err := s.askBarbican(ctx, http.MethodGet, "/", "", nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := s.Lab.Run(context.WithoutCancel(ctx), lab.KeystoneNode, "tail -n 30 /var/log/barbican/*; journalctl -q -n 30 -u barbican-api")
			return fmt.Errorf("it does not answer: %w: %s", err, log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// encoded is a secret as it is documented for certificates of images.
func encoded(kind string, payload []byte) map[string]string {
	return map[string]string{
		"secret_type": kind, "payload": base64.StdEncoding.EncodeToString(payload),
		"payload_content_type": "application/octet-stream", "payload_content_encoding": "base64",
	}
}

// store has the Barbican keep a secret of a persona, and returns its ID.
func (s *Site) store(ctx context.Context, who string, secret map[string]string) (string, error) {
	answer, err := s.askBarbican(ctx, http.MethodPost, "/v1/secrets", s.identity.tokens[who], secret)
	if err != nil {
		return "", fmt.Errorf("keep a %s of %s: %w", secret["secret_type"], who, err)
	}
	var made struct {
		Ref string `json:"secret_ref"`
	}
	if err := json.Unmarshal(answer, &made); err != nil || !strings.HasPrefix(made.Ref, lab.BarbicanURL) {
		return "", fmt.Errorf("keep a %s of %s: %q, %w", secret["secret_type"], who, answer, err)
	}
	return path.Base(made.Ref), nil
}

// askBarbican returns what the Barbican answers if it does as it is told.
func (s *Site) askBarbican(ctx context.Context, method, target, token string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, lab.BarbicanURL+target, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Auth-Token", token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, target, resp.Status, answer)
	}
	return answer, nil
}
