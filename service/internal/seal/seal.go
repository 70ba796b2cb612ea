// Package seal keeps the URLs of locations from whoever can read a database or
// a registry but has no key: metadata_encryption_key.
//
// The catalog in SQL seals what it writes, and a client of a registry what it
// sends. Which URLs there are is not known here.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"glancectl/service/glance"
)

// A Seal hides URLs. The form is OpenStack Glance's: AES in CBC mode, the vector
// in front, the text ended by a zero and filled up with what is none, all of it
// in base64 for URLs. It hides a URL and does not protect it from being changed.
// A nil Seal leaves URLs as they are.
type Seal struct{ block cipher.Block }

// New returns the seal of a key, which is 16, 24 or 32 bytes long or empty.
func New(key string) (*Seal, error) {
	if key == "" {
		return nil, nil
	}
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return nil, fmt.Errorf("%w: a key has 16, 24 or 32 bytes, not %d", glance.ErrInvalid, len(key))
	}
	return &Seal{block}, nil
}

// Close returns what stands for a URL, something else each time.
func (s *Seal) Close(url string) (string, error) {
	if s == nil {
		return url, nil
	}
	fill := make([]byte, aes.BlockSize-len(url)%aes.BlockSize)
	sealed := make([]byte, aes.BlockSize, 2*aes.BlockSize+len(url))
	if _, err := rand.Read(sealed); err != nil {
		return "", err
	}
	if _, err := rand.Read(fill); err != nil {
		return "", err
	}
	for i := range fill {
		fill[i] |= 1
	}
	fill[0] = 0
	sealed = append(append(sealed, url...), fill...)
	text := sealed[aes.BlockSize:]
	cipher.NewCBCEncrypter(s.block, sealed[:aes.BlockSize]).CryptBlocks(text, text)
	return base64.URLEncoding.EncodeToString(sealed), nil
}

// ErrSealed is what a value says that cannot be opened.
var ErrSealed = errors.New("the URL of a location cannot be read: another metadata_encryption_key has sealed it")

// Open returns the URL that a value stands for. One that was written before
// there was a key stands for itself: base64 has no colon.
func (s *Seal) Open(value string) (string, error) {
	if s == nil || strings.Contains(value, ":") {
		return value, nil
	}
	sealed, err := base64.URLEncoding.DecodeString(value)
	if err != nil || len(sealed) < 2*aes.BlockSize || len(sealed)%aes.BlockSize != 0 {
		return "", ErrSealed
	}
	text := sealed[aes.BlockSize:]
	cipher.NewCBCDecrypter(s.block, sealed[:aes.BlockSize]).CryptBlocks(text, text)
	end := bytes.LastIndexByte(text, 0)
	if end < 0 || !utf8.Valid(text[:end]) || !bytes.ContainsRune(text[:end], ':') {
		return "", ErrSealed
	}
	return string(text[:end]), nil
}
