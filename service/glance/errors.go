package glance

import "errors"

// The kinds of failure. Adapters translate what they meet into one of these
// at their edge; an error that is none of them is a fault of the service.
var (
	ErrNotFound      = errors.New("not found")
	ErrExists        = errors.New("exists already")
	ErrConflict      = errors.New("conflict")
	ErrForbidden     = errors.New("forbidden")
	ErrInvalid       = errors.New("invalid")
	ErrTooLarge      = errors.New("too large")
	ErrGone          = errors.New("gone")
	ErrStoreFull     = errors.New("store is full")
	ErrStoreReadOnly = errors.New("store is read-only")
	ErrUnavailable   = errors.New("unavailable")
)
