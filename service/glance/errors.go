package glance

import (
	"errors"
	"fmt"
)

// The kinds of failure. Adapters translate what they meet into one of these
// at their edge; an error that is none of them is a fault of the service.
var (
	ErrNotFound      = errors.New("not found")
	ErrExists        = errors.New("exists already")
	ErrConflict      = errors.New("conflict")
	ErrForbidden     = errors.New("forbidden")
	ErrInvalid       = errors.New("invalid")
	ErrTooLarge      = errors.New("too large")
	ErrWrongFormat   = errors.New("wrong format")
	ErrGone          = errors.New("gone")
	ErrStoreFull     = errors.New("store is full")
	ErrStoreReadOnly = errors.New("store is read-only")
	ErrUnavailable   = errors.New("unavailable")
)

// A Refusal is a failure that the caller is told about in words. The words
// are part of the Images API: clients look for them.
type Refusal struct {
	Kind    error // one of the kinds above
	Message string
	// Remark says that Message adds to the standard sentence of its kind
	// ("Access was denied to this resource.") instead of replacing it.
	Remark bool
	// Rule is the one that did not let the caller through, if it was one.
	Rule Rule
	// Property is the one that is protected, if that was the reason.
	Property string
}

func (r *Refusal) Error() string { return r.Message }

// Unwrap makes errors.Is see the kind.
func (r *Refusal) Unwrap() error { return r.Kind }

func refuse(kind error, format string, args ...any) error {
	return &Refusal{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

func remark(kind error, format string, args ...any) error {
	return &Refusal{Kind: kind, Message: fmt.Sprintf(format, args...), Remark: true}
}

// errHidden is what a caller is told of what a rule keeps it from looking at.
// Unlike what is not there, it is not named.
var errHidden error = &Refusal{Kind: ErrNotFound, Message: "The resource could not be found."}

func noImage(id ID) error { return refuse(ErrNotFound, "No image found with ID %s", id) }
