package main

import (
	"context"
	"errors"

	"glancectl/provision"
)

// The exit codes of glancectl. They are a contract: docs/operations.md lists
// them, and exit_test.go holds the table.
const (
	exitOK          = 0   // done, or nothing to do
	exitError       = 1   // anything without a code of its own
	exitChanges     = 2   // changes are pending (plan --detailed-exitcode)
	exitUnformatted = 3   // fmt --check found a file that is not formatted
	exitInvalid     = 10  // the proposal is invalid
	exitConnect     = 11  // cannot connect; host key or login refused
	exitRemote      = 12  // work on a node failed
	exitLocked      = 13  // another apply of the proposal is at work
	exitHealth      = 15  // a service does not answer after an apply
	exitPartly      = 16  // some targets are done, some are not
	exitInterrupted = 130 // ended by Ctrl-C or TERM
)

// A coded error ends glancectl with a code of its own. A nil err means that
// everything there is to say has been said.
type coded struct {
	code int
	err  error
}

func (e *coded) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *coded) Unwrap() error { return e.err }

// exitCode returns the code that err ends glancectl with.
func exitCode(err error) int {
	var (
		own     *coded
		connect *provision.ConnectError
		locked  *provision.LockedError
		check   *provision.CheckError
		step    *provision.StepError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &own):
		return own.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &locked):
		return exitLocked
	case errors.As(err, &connect):
		return exitConnect
	case errors.As(err, &check):
		return exitHealth
	case errors.As(err, &step):
		return exitRemote
	}
	return exitError
}
