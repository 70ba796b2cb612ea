package sqlcatalog

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

// A seal keeps the URLs of locations from whoever can read the database but
// has no key: metadata_encryption_key. The form is OpenStack Glance's: AES in
// CBC mode, the vector in front, the text ended by a zero and filled up with
// what is none, all of it in base64 for URLs. It hides a URL and does not
// protect it from being changed. A nil seal leaves URLs as they are.
type seal struct{ block cipher.Block }

// newSeal returns the seal of a key, which is 16, 24 or 32 bytes long or empty.
func newSeal(key string) (*seal, error) {
	if key == "" {
		return nil, nil
	}
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return nil, fmt.Errorf("%w: a key has 16, 24 or 32 bytes, not %d", glance.ErrInvalid, len(key))
	}
	return &seal{block}, nil
}

// close returns what the database holds for a URL.
func (s *seal) close(url string) (string, error) {
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

// errSealed is what a value says that cannot be opened.
var errSealed = errors.New("the URL of a location cannot be read: another metadata_encryption_key has sealed it")

// open returns the URL that the database holds. One that was written before
// there was a key stands for itself: base64 has no colon.
func (s *seal) open(value string) (string, error) {
	if s == nil || strings.Contains(value, ":") {
		return value, nil
	}
	sealed, err := base64.URLEncoding.DecodeString(value)
	if err != nil || len(sealed) < 2*aes.BlockSize || len(sealed)%aes.BlockSize != 0 {
		return "", errSealed
	}
	text := sealed[aes.BlockSize:]
	cipher.NewCBCDecrypter(s.block, sealed[:aes.BlockSize]).CryptBlocks(text, text)
	end := bytes.LastIndexByte(text, 0)
	if end < 0 || !utf8.Valid(text[:end]) || !bytes.ContainsRune(text[:end], ':') {
		return "", errSealed
	}
	return string(text[:end]), nil
}
