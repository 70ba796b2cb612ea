package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/provision"
	"glancectl/roles"
)

func (a *app) jobRunVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "run FILE JOB",
		Short: "run a job now",
		Long: `Run starts a job on every image node, or on those that --node names, as the
node's cron entry says: the same user, options and timeout, but at once. It
waits for the end and shows how it went. A job of which another run is at work
is not begun. Ctrl-C tells the job to end.

No lock of the proposal is taken, as cron takes none: an apply may go on
beside it.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.jobRun(c.Context(), args[0], args[1])
		},
	}
	a.jobFlags(c, cobra.ExactArgs(2))
	return c
}

func (a *app) jobRun(ctx context.Context, path, name string) error {
	s, nodes, err := a.openJobs(path, "job run", []string{name})
	if err != nil {
		return err
	}
	defer s.end()
	s.progress.Begin("")
	good := false
	errs := make(map[string]error, len(nodes))
	results := make(chan view.JobRun)
	go func() {
		defer close(results)
		s.onNodes(ctx, nodes, func(n *nodeJobs, h provision.Host) error {
			r, err := s.runJob(ctx, n, h)
			if err == nil {
				results <- r
			}
			return err
		})
	}()
	for r := range results {
		a.view.Show(r)
		if errs[r.Node] = runError(r); errs[r.Node] == nil {
			good = true
		}
	}
	s.progress.End()
	if ctx.Err() != nil {
		return &coded{exitInterrupted, errors.New("interrupted: the jobs that were at work were told to end; `glancectl job log` shows how they did")}
	}
	var all []error
	for _, n := range nodes {
		if n.err != nil {
			a.view.Show(view.JobRun{Node: n.node, Job: n.jobs[0].Name, Error: n.err.Error()})
			errs[n.node] = n.err
		}
		all = append(all, errs[n.node])
	}
	switch err := errors.Join(all...); {
	case err == nil:
		return nil
	case good:
		return &coded{code: exitPartly}
	default:
		return &coded{code: exitCode(err)} // what failed is shown
	}
}

// runJob runs the one job of a node.
func (s *session) runJob(ctx context.Context, n *nodeJobs, h provision.Host) (view.JobRun, error) {
	job := n.jobs[0]
	defer s.progress.Work(n.node, job.Name)()
	fail := func(err error) (view.JobRun, error) {
		return view.JobRun{}, &provision.StepError{Node: n.node, Step: job.Name, Err: err}
	}
	f, err := provision.NewReader(h).Look(ctx, roles.JobQueries(n.jobs))
	if err != nil {
		return fail(err)
	}
	o, err := roles.RunJob(ctx, h, roles.JobStates(n.jobs, f)[0])
	if err != nil {
		return fail(err)
	}
	r := view.JobRun{Node: n.node, Job: job.Name, Status: o.Status, Good: o.Good(), Passed: o.Passed(), Output: o.Output, Log: o.Log}
	if o.Run != nil {
		r.Run = &view.Run{Run: *o.Run}
	}
	return r, nil
}

// runError is what a run means for the exit code.
func runError(r view.JobRun) error {
	switch {
	case r.Passed:
		return &provision.LockedError{Node: r.Node}
	case r.Good:
		return nil
	}
	return &provision.StepError{Node: r.Node, Step: r.Job, Status: r.Status}
}
