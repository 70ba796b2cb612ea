package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"glancectl/provision"
)

// TestExitCodes holds the contract of docs/operations.md.
func TestExitCodes(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("somewhere: %w", err) }
	for _, test := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{&coded{code: exitChanges}, 2},
		{&coded{code: exitUnformatted}, 3},
		{wrap(&coded{exitInvalid, errors.New("bad")}), 10},
		{wrap(&provision.ConnectError{Node: "n", Err: errors.New("refused")}), 11},
		{wrap(&provision.StepError{Node: "n", Err: errors.New("no")}), 12},
		{wrap(&provision.LockedError{Node: "n"}), 13},
		{wrap(&provision.CheckError{Node: "n", Err: errors.New("no answer")}), 15},
		{&coded{code: exitPartly}, 16},
		{wrap(context.Canceled), 130},
		// A step that failed because it was interrupted is an interruption.
		{&provision.StepError{Node: "n", Err: context.Canceled}, 130},
		// Of several failures the one that explains the others.
		{errors.Join(&provision.StepError{Node: "a", Err: errors.New("no")}, &provision.ConnectError{Node: "b", Err: errors.New("no")}), 11},
	} {
		if got := exitCode(test.err); got != test.code {
			t.Errorf("exitCode(%v) = %d; want %d", test.err, got, test.code)
		}
	}
}

func TestApplyCode(t *testing.T) {
	down := &provision.ConnectError{Node: "b", Err: errors.New("refused")}
	for _, test := range []struct {
		name    string
		targets []provision.TargetReport
		code    int
	}{
		{"all failed", []provision.TargetReport{{Host: "b", Err: down}}, exitConnect},
		{"one done, one failed", []provision.TargetReport{{Host: "a"}, {Host: "b", Err: down}}, exitPartly},
		{"one failed, the rest skipped", []provision.TargetReport{{Host: "b", Err: down}, {Host: "a", Skipped: "database failed"}}, exitConnect},
		{"done, then failed on the same node", []provision.TargetReport{{Host: "b"}, {Host: "b", Err: down}}, exitConnect},
	} {
		report := &provision.Report{Targets: test.targets}
		if got := applyCode(report, report.Err()); got != test.code {
			t.Errorf("%s: applyCode = %d; want %d", test.name, got, test.code)
		}
	}
}
