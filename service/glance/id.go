package glance

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// ParseID returns s as an ID if it is a UUID with hyphens, in the case it was
// written in. An ID is safe as a file name and in a URL. The error is an
// ErrInvalid.
func ParseID(s string) (ID, error) {
	if !isUUID(s) {
		return "", fmt.Errorf("image ID %q: not a UUID: %w", s, ErrInvalid)
	}
	return ID(s), nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
		}
	}
	return true
}

// NewUUID returns a random UUID in lower case.
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	text := make([]byte, 0, 36)
	from := 0
	for _, end := range []int{4, 6, 8, 10, 16} {
		if from > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, b[from:end])
		from = end
	}
	return string(text)
}
