package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
)

func (a *app) jobListVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "list FILE [JOB]...",
		Short: "show what ran, how it went, and what runs next",
		Long: `List shows the jobs of every image node: when cron starts them and as whom, how
the last run went, whether one is at work, and when the next begins. It
changes nothing.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.jobList(c.Context(), args[0], args[1:])
		},
	}
	a.jobFlags(c, cobra.MinimumNArgs(1))
	return c
}

func (a *app) jobList(ctx context.Context, path string, names []string) error {
	s, nodes, err := a.openJobs(path, "job list", names)
	if err != nil {
		return err
	}
	defer s.end()
	s.lookAtJobs(ctx, nodes)
	if err := ctx.Err(); err != nil {
		return err
	}
	r := view.JobList{Source: s.source}
	var errs []error
	for _, n := range nodes {
		row := view.NodeJobs{Node: n.node, Jobs: jobStates(n.states)}
		if n.err != nil {
			row.Error = n.err.Error()
			errs = append(errs, n.err)
		}
		r.Nodes = append(r.Nodes, row)
	}
	a.view.Show(r)
	if err := errors.Join(errs...); err != nil {
		// The list shows it with the node; the exit code is what is left.
		return &coded{code: exitCode(err)}
	}
	return nil
}
