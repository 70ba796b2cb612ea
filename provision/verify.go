package provision

import (
	"context"
	"fmt"
	"slices"
)

// verify observes all that was changed once more, each node in one go, and
// requires that nothing is left to do.
func (a *applier) verify(ctx context.Context, report *Report) {
	done := make(map[string][]int) // indexes of report.Targets by node
	var names []string
	for i, t := range report.Targets {
		if n := a.nodes[t.Host]; len(t.Done) == 0 || n.out != nil {
			continue
		}
		if done[t.Host] == nil {
			names = append(names, t.Host)
		}
		done[t.Host] = append(done[t.Host], i)
	}
	each(a.o.parallel(), names, func(host string) {
		if ctx.Err() != nil {
			return
		}
		n := a.nodes[host]
		var targets []Target
		for _, i := range done[host] {
			targets = append(targets, a.plan.target(&report.Targets[i]))
		}
		for k, err := range a.leftToDo(ctx, n, targets) {
			if r := &report.Targets[done[host][k]]; err != nil {
				r.Err, n.out = err, err
				a.tell.tell(Event{Kind: TargetFailed, Stage: r.Stage, Host: host, Target: r.Name, Err: err})
			}
		}
	})
}

// target is what a report is about.
func (p *Plan) target(r *TargetReport) Target {
	for i := range p.Stages {
		s := &p.Stages[i]
		if s.Name != r.Stage {
			continue
		}
		for j := range s.Targets {
			if t := &s.Targets[j].target; t.Host == r.Host && t.Name == r.Name {
				return *t
			}
		}
		for _, t := range s.candidates {
			if t.Host == r.Host && t.Name == r.Name {
				return t
			}
		}
	}
	return Target{}
}

// leftToDo observes targets of one node anew, as if nothing else were
// changing, and returns for each an error if it is not as wanted.
func (a *applier) leftToDo(ctx context.Context, n *applied, targets []Target) []error {
	errs := make([]error, len(targets))
	fail := func(err error) []error { return slices.Repeat([]error{err}, len(targets)) }
	if err := a.open(ctx, n); err != nil {
		return fail(err)
	}
	var queries []Query
	for _, t := range targets {
		queries = append(queries, targetQueries(t)...)
	}
	facts, err := n.m.Look(ctx, queries)
	if err != nil {
		return fail(err)
	}
	for i, t := range targets {
		left, err := observeTarget(ctx, &node{name: n.name, m: n.m, facts: facts, changing: make(map[string]bool)}, t)
		if err == nil && len(left) > 0 {
			err = &StepError{Node: n.name, Step: left[0].ID, Err: fmt.Errorf("still to do after the apply: %s", left[0].Summary)}
		}
		errs[i] = err
	}
	return errs
}
