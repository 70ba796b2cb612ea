package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"glancectl/cmd/glancectl/view"
	"glancectl/provision"
)

// A logQuery says what of a job's past is wanted.
type logQuery struct {
	runs, lines int
	follow      bool
}

func (a *app) jobLogVerb() *cobra.Command {
	var q logQuery
	c := &cobra.Command{
		Use:   "log FILE JOB",
		Short: "show the last runs of a job, and its log",
		Long: `Log shows how the last runs of a job went on every image node, or on those that
--node names, and the last lines of its log. The nodes remember the last 50
runs.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.jobLog(c.Context(), args[0], args[1], q)
		},
	}
	a.jobFlags(c, cobra.ExactArgs(2))
	c.Flags().IntVar(&q.runs, "runs", 10, "how many runs")
	c.Flags().IntVar(&q.lines, "lines", 0, "how many lines of the log")
	c.Flags().BoolVar(&q.follow, "follow", false, "go on with what is added to the log, until Ctrl-C")
	return c
}

func (a *app) jobLog(ctx context.Context, path, name string, q logQuery) error {
	if q.runs < 0 || q.lines < 0 {
		return errors.New("--runs and --lines: must be at least 0")
	}
	s, nodes, err := a.openJobs(path, "job log", []string{name})
	if err != nil {
		return err
	}
	defer s.end()
	s.lookAtJobs(ctx, nodes)
	logs, err := s.tails(ctx, nodes, q)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		a.view.Show(jobLogOf(n, q, logs[n.node]))
	}
	if q.follow {
		s.follow(ctx, nodes, q.lines)
		if ctx.Err() != nil {
			return &coded{code: exitInterrupted} // that is how it ends
		}
	}
	var errs []error
	for _, n := range nodes {
		errs = append(errs, n.err)
	}
	if err := errors.Join(errs...); err != nil {
		return &coded{code: exitCode(err)} // it is shown with the node
	}
	return nil
}

// tails reads the last lines of the log of each node that could be looked at.
func (s *session) tails(ctx context.Context, nodes []*nodeJobs, q logQuery) (map[string]string, error) {
	logs := map[string]string{}
	var mu sync.Mutex
	if q.lines > 0 && !q.follow {
		s.onReached(ctx, nodes, func(n *nodeJobs, h provision.Host) error {
			var b bytes.Buffer
			if err := n.jobs[0].On.Tail(ctx, h, &b, q.lines, false); err != nil {
				return &provision.StepError{Node: n.node, Step: n.jobs[0].Name, Err: err}
			}
			mu.Lock()
			defer mu.Unlock()
			logs[n.node] = b.String()
			return nil
		})
	}
	return logs, ctx.Err()
}

// onReached does work on the nodes of which none has failed.
func (s *session) onReached(ctx context.Context, nodes []*nodeJobs, work func(*nodeJobs, provision.Host) error) {
	var up []*nodeJobs
	for _, n := range nodes {
		if n.err == nil {
			up = append(up, n)
		}
	}
	s.onNodes(ctx, up, work)
}

func jobLogOf(n *nodeJobs, q logQuery, log string) view.JobLog {
	r := view.JobLog{Node: n.node, Job: n.jobs[0].Name, Log: log}
	if n.err != nil {
		r.Error = n.err.Error()
		return r
	}
	runs := n.states[0].Runs
	for _, run := range runs[max(0, len(runs)-q.runs):] {
		r.Runs = append(r.Runs, view.Run{Run: run})
	}
	r.Warning = n.states[0].Warning
	return r
}

// follow shows the last lines of the logs and what is added to them, until ctx
// ends or no node is left.
func (s *session) follow(ctx context.Context, nodes []*nodeJobs, lines int) {
	s.onReached(ctx, nodes, func(n *nodeJobs, h provision.Host) error {
		w := &liner{show: func(text string) { s.view.Show(view.LogLine{Node: n.node, Text: text}) }}
		err := n.jobs[0].On.Tail(ctx, h, w, lines, true)
		if err != nil && ctx.Err() == nil {
			s.view.Show(view.Notice{Text: fmt.Sprintf("%s: %v", n.node, err)})
		}
		return err
	})
}

// A liner shows what is written to it line by line.
type liner struct {
	rest []byte
	show func(string)
}

func (l *liner) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		l.show(string(line))
		l.rest = rest
	}
}
