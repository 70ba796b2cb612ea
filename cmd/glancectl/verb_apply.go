package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/provision"
)

func (a *app) applyVerb() *cobra.Command {
	var dryRun, approve bool
	c := &cobra.Command{
		Use:   "apply FILE",
		Short: "make it so",
		Long: `Apply shows the plan, asks, and makes the changes: first the database and the
Keystone, then the nodes side by side. A node on which a step fails is left
out; the others are finished. It can be cut at any point and run again.`,
		RunE: func(c *cobra.Command, args []string) error {
			if dryRun {
				return a.plan(c.Context(), args[0], false)
			}
			return a.apply(c.Context(), args[0], approve)
		},
	}
	a.nodeFlags(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show the plan and change nothing")
	c.Flags().BoolVar(&approve, "auto-approve", false, "do not ask")
	return c
}

func (a *app) apply(ctx context.Context, path string, approve bool) error {
	s, err := a.begin(path, "apply")
	if err != nil {
		return err
	}
	defer s.end()
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	s.options.Lost = lost // somebody took the lock over: stop
	unlock, p, err := s.lockAndObserve(ctx, a.mayAsk(approve))
	if err != nil {
		return err
	}
	defer unlock()
	a.view.Show(view.Plan{Source: s.source, Plan: p, Trips: s.roundTrips()})
	if !p.Empty() {
		if err := a.confirm(ctx, approve, "Apply this plan?"); err != nil {
			return err
		}
	}
	return a.execute(ctx, s, p)
}

// lockAndObserve takes the lock of the proposal on its nodes and makes the
// plan. If nobody could approve the plan, it fails before anything is locked.
func (s *session) lockAndObserve(ctx context.Context, mayAsk error) (unlock func(), p *provision.Plan, err error) {
	if mayAsk != nil {
		return nil, nil, mayAsk
	}
	nodes, err := s.nodes()
	if err != nil {
		return nil, nil, err
	}
	s.progress.Begin("looking at the nodes")
	unlock, err = provision.Lock(ctx, nodes, s.pool.Connect, s.options)
	if err != nil {
		return nil, nil, err
	}
	p, _, err = s.observe(ctx)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	s.progress.End()
	return unlock, p, nil
}

// execute makes the changes of a plan and says how it went.
func (a *app) execute(ctx context.Context, s *session, p *provision.Plan) error {
	s.progress.Begin("")
	report, err := provision.Apply(ctx, p, s.pool.Connect, s.options)
	s.progress.End()
	if report == nil {
		return err
	}
	a.view.Show(view.Outcome{Report: report, Took: s.progress.Took(), Nothing: p.Empty() && err == nil})
	if report.Interrupted {
		return context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	return &coded{code: applyCode(report, err)}
}

// applyCode is the exit code of an apply with failures: that of the failure
// when nothing was done anywhere else, otherwise "partly applied".
func applyCode(report *provision.Report, err error) int {
	failed := map[string]bool{}
	for _, t := range report.Failed() {
		failed[t.Host] = true
	}
	for _, t := range report.Targets {
		if !failed[t.Host] && t.Err == nil && t.Skipped == "" {
			return exitPartly
		}
	}
	return exitCode(err)
}

// mayAsk returns an error if there is nobody to ask and nothing to spare it.
func (a *app) mayAsk(approve bool) error {
	if approve || a.terminal && !a.json {
		return nil
	}
	return errors.New("there is no terminal to ask on: look at the plan, then use --auto-approve")
}

// confirm asks on the terminal; only "yes" will do.
func (a *app) confirm(ctx context.Context, approve bool, question string) error {
	if approve {
		return nil
	}
	fmt.Fprintf(a.err, "\n%s Only yes will do: ", question)
	answer := make(chan bool, 1)
	go func() {
		line, err := bufio.NewReader(a.in).ReadString('\n')
		// What the end of the input cut off was not sent by anybody.
		answer <- err == nil && strings.TrimSpace(line) == "yes"
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return context.Cause(ctx)
	case yes := <-answer:
		if !yes {
			return errDeclined
		}
		return nil
	}
}
