package provision

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
)

// checkPause is between two tries of a check.
const checkPause = 250 * time.Millisecond

// checks asks the checks of all targets on a node, until one fails.
func (a *applier) checks(ctx context.Context, n *applied) {
	for i := range a.plan.Stages {
		s := &a.plan.Stages[i]
		for j := range s.Targets {
			t := &s.Targets[j]
			if t.Host != n.name || len(t.target.Checks) == 0 {
				continue
			}
			event := Event{Stage: s.Name, Host: t.Host, Target: t.Name}
			if err := a.check(ctx, n, t.target.Checks, event); err != nil {
				a.fail(n, TargetReport{Stage: s.Name, Host: t.Host, Name: t.Name}, err)
				return
			}
		}
	}
}

// check asks checks, each until it passes or the time for all is up.
func (a *applier) check(ctx context.Context, n *applied, checks []Check, event Event) error {
	limit := a.o.CheckTime
	if limit == 0 {
		limit = 30 * time.Second
	}
	deadline, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, c := range checks {
		event.Step = c.Name
		event.Kind, event.Err = CheckStarted, nil
		a.tell.tell(event)
		err := c.until(deadline, reader{n.m})
		if err != nil && ctx.Err() == nil {
			err = &CheckError{Node: n.name, Check: c.Name, Err: err, Logs: c.logs(ctx, n.m)}
		} else if err != nil {
			err = fmt.Errorf("%s: check %q: %w", n.name, c.Name, ctx.Err())
		}
		event.Kind, event.Err = CheckPassed, err
		if err != nil {
			event.Kind = CheckFailed
		}
		a.tell.tell(event)
		if err != nil {
			return err
		}
	}
	return nil
}

// until asks until the answer is good or ctx ends. Its error is the last
// answer that was not cut off by the end.
func (c *Check) until(ctx context.Context, r Reader) error {
	var last error
	for {
		err := c.Ask(ctx, r)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if ctx.Err() != nil {
			return last
		}
		waitOr(ctx, checkPause)
	}
}

// logs runs the check's log commands and joins what they print.
func (c *Check) logs(ctx context.Context, h Host) string {
	var b strings.Builder
	for _, cmd := range c.Logs {
		res, err := h.Run(ctx, cmd)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", strings.Join(cmd.Argv, " "), err)
			continue
		}
		b.Write(bytes.TrimRight(append(res.Stdout, res.Stderr...), "\n"))
		b.WriteByte('\n')
	}
	return b.String()
}
