package broker

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// definitions are what a broker exports, as far as it matters here.
type definitions struct {
	VHosts []struct {
		Name string `json:"name"`
	} `json:"vhosts"`
	Users       []user `json:"users"`
	Permissions []struct {
		User  string `json:"user"`
		VHost string `json:"vhost"`
		permissions
	} `json:"permissions"`
}

// A user is one of a broker.
type user struct {
	Name      string `json:"name"`
	Hash      string `json:"password_hash"`
	Algorithm string `json:"hashing_algorithm"`
	Tags      tags   `json:"tags"`
}

// tags are a list or, from brokers before 3.9, a text with commas.
type tags []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *tags) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(t))
	}
	var text string
	err := json.Unmarshal(b, &text)
	*t = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	return err
}

// saltLength is how much of a password hash, in bytes, is its salt.
const saltLength = 4

// has reports whether the user's password is this one, and whether that can
// be known from here.
func (u user) has(password string) (yes, known bool) {
	stored, err := base64.StdEncoding.DecodeString(u.Hash)
	if err != nil {
		return false, false
	}
	if len(stored) <= saltLength {
		return false, true // it has none, and cannot log in with one
	}
	salted := append(bytes.Clone(stored[:saltLength]), password...)
	var sum []byte
	switch u.Algorithm {
	case "rabbit_password_hashing_sha256":
		s := sha256.Sum256(salted)
		sum = s[:]
	case "rabbit_password_hashing_sha512":
		s := sha512.Sum512(salted)
		sum = s[:]
	case "rabbit_password_hashing_md5":
		s := md5.Sum(salted)
		sum = s[:]
	default:
		return false, false
	}
	return bytes.Equal(stored[saltLength:], sum), true
}

// definitions decodes what the step of that name printed.
func (a answer) definitions(s session) (d definitions, err error) {
	if a.status != 0 {
		return d, a.failure(s)
	}
	// A warning of Erlang's may stand before it.
	at := max(0, strings.IndexByte(a.text, '{'))
	if err := json.NewDecoder(strings.NewReader(a.text[at:])).Decode(&d); err != nil {
		return d, fmt.Errorf("rabbitmq %s: %w: %s printed no JSON", s.server, ErrConnect, a.step)
	}
	return d, nil
}
