package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"glancectl/cmd/glancectl/view"
	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/roles"
)

func (a *app) jobVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "job",
		Short: "look at the periodic jobs of the nodes, and run them",
		Long: `The jobs of a proposal (scrubber, reaper, prefetcher, pruner) are started by cron
on every image node.

  glancectl job list FILE             what ran, how it went, what is next
  glancectl job run FILE JOB          run a job now
  glancectl job log FILE JOB          the last runs of a job, and its log`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q; `glancectl job --help` lists them", "job "+args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.jobListVerb(), a.jobRunVerb(), a.jobLogVerb())
	return c
}

// jobFlags gives a verb the flags with which jobs are chosen.
func (a *app) jobFlags(c *cobra.Command, args cobra.PositionalArgs) {
	a.connectFlags(c)
	c.Args = args
	c.Flags().StringArrayVar(&a.nodes, "node", nil, "only on this node (repeatable)")
	c.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveDefault // a file
		}
		return roles.JobNames(), cobra.ShellCompDirectiveNoFileComp
	}
	_ = c.RegisterFlagCompletionFunc("node", func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.completeNodes(args), cobra.ShellCompDirectiveNoFileComp
	}) // it fails for a flag that is not there
}

// completeNodes are the image nodes of the proposal that is on the command
// line, if it can be read.
func (a *app) completeNodes(args []string) []string {
	vars, err := variables(a.vars)
	if err != nil || len(args) == 0 {
		return nil
	}
	all, _ := proposals.Load(args[:1], proposals.Options{Vars: vars, VarFiles: a.varFiles, Env: a.env})
	var nodes []string
	for _, p := range all {
		if p.Glance != nil && (a.proposal == "" || a.proposal == p.Name) {
			nodes = append(nodes, p.Glance.Nodes...)
		}
	}
	return nodes
}

// A nodeJobs is what there is to know of the jobs of one node.
type nodeJobs struct {
	node   string
	jobs   []roles.Job
	states []roles.JobState
	err    error // why it could not be looked at
}

// openJobs opens a proposal for a verb that looks at jobs, and chooses those. Who
// gets a session ends it.
func (a *app) openJobs(path, verb string, names []string) (*session, []*nodeJobs, error) {
	s, err := a.open(path, verb)
	if err != nil {
		return nil, nil, err
	}
	nodes, err := a.chooseJobs(s.proposal, names)
	if err != nil {
		s.end()
		return nil, nil, err
	}
	return s, nodes, nil
}

// chooseJobs returns the nodes that --node names, or all, with their jobs of
// the given names, or all.
func (a *app) chooseJobs(p *proposals.Proposal, names []string) ([]*nodeJobs, error) {
	if p.Glance == nil {
		return nil, noRole(p)
	}
	wanted := map[string]bool{}
	for _, name := range names {
		job, ok := roles.JobName(name)
		if !ok {
			return nil, unknown("job", name, roles.JobNames())
		}
		wanted[job] = true
	}
	for _, node := range a.nodes {
		if !slices.Contains(p.Glance.Nodes, node) {
			return nil, unknown("node", node, p.Glance.Nodes)
		}
	}
	var out []*nodeJobs
	for _, node := range p.Glance.Nodes {
		if len(a.nodes) > 0 && !slices.Contains(a.nodes, node) {
			continue
		}
		jobs, err := roles.Jobs(p, node)
		if err != nil {
			return nil, err
		}
		for name := range wanted {
			if !slices.ContainsFunc(jobs, func(j roles.Job) bool { return j.Name == name }) {
				return nil, fmt.Errorf("the proposal has no job %s: its cache is not enabled", name)
			}
		}
		if len(wanted) > 0 {
			jobs = slices.DeleteFunc(jobs, func(j roles.Job) bool { return !wanted[j.Name] })
		}
		out = append(out, &nodeJobs{node: node, jobs: jobs})
	}
	return out, nil
}

// noRole says that there is no node for a verb to look at.
func noRole(p *proposals.Proposal) error {
	return fmt.Errorf("proposal %s: it gives no node the role glance-server", p.Name)
}

// unknown says that there is no such thing, and which there are.
func unknown(thing, name string, names []string) error {
	if near := proposals.Nearest(name, names); near != "" {
		return fmt.Errorf("no %s %q; did you mean %q?", thing, name, near)
	}
	return fmt.Errorf("no %s %q; there is %s", thing, name, strings.Join(names, ", "))
}

// onNodes does work on nodes side by side. What fails on one of them is kept
// with it.
func (s *session) onNodes(ctx context.Context, nodes []*nodeJobs, work func(*nodeJobs, provision.Host) error) {
	var g errgroup.Group
	g.SetLimit(s.options.Parallel)
	for _, n := range nodes {
		g.Go(func() error {
			h, err := s.pool.Connect(ctx, n.node)
			if err == nil {
				err = work(n, h)
			}
			n.err = err
			return nil
		})
	}
	_ = g.Wait() // each keeps its error
}

// lookAtJobs finds out what the nodes' jobs are like, in one round trip each.
func (s *session) lookAtJobs(ctx context.Context, nodes []*nodeJobs) {
	s.progress.Begin("looking at the nodes")
	defer s.progress.End()
	s.onNodes(ctx, nodes, func(n *nodeJobs, h provision.Host) error {
		f, err := provision.NewReader(h).Look(ctx, roles.JobQueries(n.jobs))
		if err != nil {
			return &provision.StepError{Node: n.node, Step: "look at the jobs", Err: err}
		}
		n.states = roles.JobStates(n.jobs, f)
		return nil
	})
}

// jobStates are states as they are shown.
func jobStates(states []roles.JobState) []view.JobState {
	out := make([]view.JobState, len(states))
	for i, s := range states {
		j := view.JobState{Job: s.Name, Schedule: s.Schedule, User: s.User, Next: s.Next, Warning: s.Warning}
		if s.Entry != nil {
			j.Installed = true
			if s.Entry.Schedule != s.Schedule {
				j.Actual = s.Entry.Schedule
			}
		}
		if r := s.Current(); r != nil {
			j.Running = &r.Start
		}
		if r := s.Last(); r != nil {
			j.Last = &view.Run{Run: *r}
		}
		out[i] = j
	}
	return out
}
