package provision

import (
	"context"
	"fmt"
	"slices"
)

// verifyServices begins to verify what was done to services, which takes
// long and needs nothing of the stages that follow.
func (a *applier) verifyServices(ctx context.Context, done []TargetReport) {
	if a.o.NoVerify {
		return
	}
	for _, t := range done {
		if !t.called() || t.Err != nil {
			continue
		}
		a.verifying.Go(func() {
			n := a.nodes[t.Host]
			n.mu.Lock()
			defer n.mu.Unlock()
			a.verify(ctx, n, []TargetReport{t})
		})
	}
}

// confirm verifies what was done to machines, each in one go, and asks the
// checks of all nodes where something was changed.
func (a *applier) confirm(ctx context.Context) {
	done := make(map[string][]TargetReport) // what is to be verified, by node
	var names []string
	a.mu.Lock()
	reports := slices.Clone(a.report.Targets)
	a.mu.Unlock()
	for _, t := range reports {
		if len(t.Done) == 0 || t.Err != nil {
			continue
		}
		if done[t.Host] == nil {
			names = append(names, t.Host)
			done[t.Host] = []TargetReport{}
		}
		if !t.called() && !a.o.NoVerify {
			done[t.Host] = append(done[t.Host], t)
		}
	}
	each(a.o.parallel(), names, func(host string) {
		n := a.nodes[host]
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.out == nil && len(done[host]) > 0 {
			a.verify(ctx, n, done[host])
		}
		if n.out == nil {
			a.checks(ctx, n)
		}
	})
}

// called reports whether something was done that is not made of ops.
func (r TargetReport) called() bool {
	return slices.ContainsFunc(r.Done, func(c Change) bool { return c.Do != nil })
}

// fail notes that a target failed after its changes were made, and leaves
// its node out.
func (a *applier) fail(n *applied, t TargetReport, err error) {
	n.out = err
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.report.Targets {
		if r := &a.report.Targets[i]; r.Stage == t.Stage && r.Host == t.Host && r.Name == t.Name {
			r.Err = err
			return
		}
	}
	t.Err = err
	a.report.Targets = append(a.report.Targets, t)
}

// verify requires that nothing is left to do of what was done on a node.
func (a *applier) verify(ctx context.Context, n *applied, done []TargetReport) {
	if ctx.Err() != nil {
		return
	}
	targets := make([]Target, len(done))
	for i := range done {
		targets[i] = a.plan.target(&done[i])
	}
	for i, o := range a.observeAgain(ctx, n, targets...) {
		err := o.err
		if err == nil && len(o.changes) > 0 {
			err = &StepError{Node: n.name, Step: o.changes[0].ID, Err: fmt.Errorf("still to do after the apply: %s", o.changes[0].Summary)}
		}
		if err != nil {
			a.fail(n, done[i], err)
			a.tell.tell(Event{Kind: TargetFailed, Stage: done[i].Stage, Host: n.name, Target: done[i].Name, Err: err})
		}
	}
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

// observed is what is to be done on a target.
type observed struct {
	changes []Change
	err     error
}

// observeAgain observes targets of one node anew, in one go, each as if
// nothing else were changing.
func (a *applier) observeAgain(ctx context.Context, n *applied, targets ...Target) []observed {
	all := make([]observed, len(targets))
	var facts *Facts
	err := a.open(ctx, n)
	if err == nil {
		var queries []Query
		for _, t := range targets {
			queries = append(queries, targetQueries(t)...)
		}
		facts, err = n.m.Look(ctx, queries)
	}
	for i, t := range targets {
		if all[i].err = err; err == nil {
			all[i].changes, all[i].err = observeTarget(ctx, &node{name: n.name, m: n.m, facts: facts, changing: make(map[string]bool)}, t)
		}
	}
	return all
}
