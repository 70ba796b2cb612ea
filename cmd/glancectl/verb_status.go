package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/provision"
	"glancectl/roles"
)

func (a *app) statusVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "status FILE",
		Short: "show what runs where, since when, from which revision",
		Long: `Status looks at the nodes of a proposal: what the last apply was, what differs
from the proposal since, whether the services answer, and whether a job failed
the last time or does not run. It changes nothing.`,
		RunE: func(c *cobra.Command, args []string) error { return a.status(c.Context(), args[0]) },
	}
	a.nodeFlags(c)
	return c
}

// statusTime is how long a service has to answer status.
const statusTime = 3 * time.Second

func (a *app) status(ctx context.Context, path string) error {
	s, err := a.begin(path, "status")
	if err != nil {
		return err
	}
	defer s.end()
	jobs := map[string][]view.JobState{}
	var mu sync.Mutex
	watch, err := roles.Watch(s.proposal, func(node string, states []roles.JobState) {
		mu.Lock()
		defer mu.Unlock()
		jobs[node] = jobStates(states)
	})
	if err != nil {
		return err
	}
	p, stages, err := s.observe(ctx, watch)
	if err != nil {
		return err
	}
	r := view.Status{Source: s.source, Nodes: nodeStates(p)}
	for _, n := range r.Nodes {
		n.ImageNode = s.proposal.Glance != nil && slices.Contains(s.proposal.Glance.Nodes, n.Node)
		if !n.Destroyed {
			n.Jobs = jobs[n.Node]
		}
	}
	s.progress.Begin("asking the services")
	sick := s.askAll(ctx, stages, &r)
	s.progress.End()
	a.view.Show(r)
	switch {
	case p.Err() != nil:
		return &coded{code: exitCode(p.Err())}
	case sick:
		return &coded{code: exitHealth}
	}
	return nil
}

// nodeStates says of each machine of the plan what the plan knows.
func nodeStates(p *provision.Plan) []*view.NodeState {
	var out []*view.NodeState
	byName := map[string]*view.NodeState{}
	for _, st := range p.Stages {
		for _, t := range st.Targets {
			n := byName[t.Host]
			if n == nil {
				n = &view.NodeState{Node: t.Host}
				byName[t.Host] = n
				out = append(out, n)
			}
			n.Pending += len(t.Changes)
			for _, c := range t.Changes {
				if c.Drifted {
					n.Drifted++
				}
			}
			if t.Err != nil {
				n.Error = t.Err.Error()
			}
			if r := t.Receipt; r != nil {
				n.Destroyed = !slices.ContainsFunc(r.Entries, func(e provision.Entry) bool { return strings.HasPrefix(e.ID, "file:") })
				n.Applied, n.Revision, n.Modified, n.Glancectl = r.Time, r.Revision, r.Modified, r.Version
			}
		}
	}
	return out
}

// askAll asks every check once and reports whether one failed.
func (s *session) askAll(ctx context.Context, stages []provision.Stage, r *view.Status) (sick bool) {
	for _, n := range r.Nodes {
		if n.Error != "" || n.Applied.IsZero() || n.Destroyed {
			continue // whatever answers there is none of ours
		}
		h, err := s.pool.Connect(ctx, n.Node)
		if err != nil {
			n.Error = err.Error()
			continue
		}
		for _, c := range checksOf(stages, n.Node) {
			state := view.CheckState{Check: c.Name, OK: true}
			limited, cancel := context.WithTimeout(ctx, statusTime)
			if err := c.Ask(limited, provision.NewReader(h)); err != nil {
				state.OK, state.Error = false, err.Error()
				sick = true
			}
			cancel()
			n.Checks = append(n.Checks, state)
		}
	}
	return sick
}

// checksOf are the checks of all targets on a node.
func checksOf(stages []provision.Stage, node string) []provision.Check {
	var out []provision.Check
	for _, st := range stages {
		for _, t := range st.Targets {
			if t.Host == node {
				out = append(out, t.Checks...)
			}
		}
	}
	return out
}
