package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/provision"
)

func (a *app) planVerb() *cobra.Command {
	var detailed bool
	c := &cobra.Command{
		Use:   "plan FILE",
		Short: "show what an apply would change",
		Long: `Plan looks at every node, the database and the Keystone of a proposal, compares
what is there with what the proposal wants, and shows the difference. It
changes nothing.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.plan(c.Context(), args[0], detailed)
		},
	}
	a.nodeFlags(c)
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit 2 when there are changes to make")
	return c
}

func (a *app) plan(ctx context.Context, path string, detailed bool) error {
	s, err := a.begin(path, "plan")
	if err != nil {
		return err
	}
	defer s.end()
	p, _, err := s.observe(ctx)
	if err != nil {
		return err
	}
	s.progress.End()
	a.view.Show(view.Plan{Source: s.source, Plan: p, Apply: a.applyCommand(path), Trips: s.roundTrips()})
	if err := p.Err(); err != nil {
		// The plan shows it with the node; the exit code is what is left.
		return &coded{code: exitCode(err)}
	}
	if detailed && !p.Empty() {
		return &coded{code: exitChanges}
	}
	return nil
}

// observe expands the proposal and compares it with what is there. More stages
// are observed with it.
func (s *session) observe(ctx context.Context, more ...provision.Stage) (*provision.Plan, []provision.Stage, error) {
	s.progress.Begin("looking at the nodes")
	stages, err := s.expand(ctx)
	if err != nil {
		return nil, nil, err
	}
	stages = append(stages, more...)
	p, err := provision.Observe(ctx, stages, s.pool.Connect, s.options)
	if err != nil {
		return nil, nil, err
	}
	if reached(p) {
		return p, stages, nil
	}
	return nil, nil, p.Err()
}

// reached reports whether any target of the plan could be observed, or
// whether there was none to observe.
func reached(p *provision.Plan) bool {
	any := false
	for _, st := range p.Stages {
		for _, t := range st.Targets {
			if t.Err == nil {
				return true
			}
			any = true
		}
	}
	return !any
}

// applyCommand is the command that makes a plan so.
func (a *app) applyCommand(path string) string {
	words := []string{"glancectl", "apply"}
	if len(a.vars) > 0 {
		words = append(words, "-var ...") // their values may be secret
	}
	for _, f := range a.varFiles {
		words = append(words, "-var-file "+f)
	}
	if a.proposal != "" {
		words = append(words, "--proposal "+a.proposal)
	}
	return strings.Join(append(words, path), " ")
}

// errDeclined says that the person at the terminal did not want it.
var errDeclined = errors.New("nothing was changed: the answer was not yes")
