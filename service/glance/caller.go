package glance

import (
	"context"
	"encoding/binary"
	"strconv"
)

// A Caller is who asks: what the authentication in front found out.
type Caller struct {
	UserID    string
	ProjectID string   // of a token that is for a project
	Roles     []string // lower case

	// What few rules ask for. A token that is for a domain or for the whole
	// deployment is for no project.
	DomainID        string
	System          bool
	UserDomainID    string // where the user is at home
	ProjectDomainID string

	// Admin may do everything. Without Keystone everybody is Admin.
	Admin bool
	// Anonymous has no identity: it may look at what is public, and everything
	// else fails.
	Anonymous bool
	RequestID string // req-UUID

	// Token is what the caller identified itself with, for services that are
	// asked on its behalf.
	Token Token
}

// A Token is a secret that is not printed. Convert it to a string to use it.
type Token string

// String returns a mask.
func (Token) String() string { return "(token)" }

// GoString returns a mask.
func (Token) GoString() string { return "(token)" }

// MarshalText returns a mask, for every encoder that asks for text.
func (Token) MarshalText() ([]byte, error) { return []byte("(token)"), nil }

// Key returns a text that callers have in common if, and only if, they are the
// same to every rule: all of a caller but the request and the token. No key is
// the beginning of another, so that something else may follow it.
func (c Caller) Key() string {
	var b []byte
	add := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	for _, s := range []string{c.UserID, c.ProjectID, c.DomainID, c.UserDomainID, c.ProjectDomainID} {
		add(s)
	}
	for _, is := range []bool{c.System, c.Admin, c.Anonymous} {
		b = strconv.AppendBool(b, is)
	}
	b = binary.AppendUvarint(b, uint64(len(c.Roles)))
	for _, role := range c.Roles {
		add(role)
	}
	return string(b)
}

type callerKey struct{}

// WithCaller returns a context that carries c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom returns the caller that ctx carries; without one it returns an
// anonymous caller, who may change nothing.
func CallerFrom(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok {
		return c
	}
	return Caller{Anonymous: true}
}
