package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// A Report is what an apply did.
type Report struct {
	Targets     []TargetReport // in the order of the plan, those with nothing to do left out
	Interrupted bool           // ctx ended before all was done
}

// A TargetReport is what an apply did on one target.
type TargetReport struct {
	Stage, Host, Name string

	Done    []Change // in order
	Err     error    // why it stopped: a *StepError, *ConnectError or *CheckError
	Skipped string   // why it did not begin
}

// Changed is the number of changes that were made.
func (r *Report) Changed() int {
	n := 0
	for _, t := range r.Targets {
		n += len(t.Done)
	}
	return n
}

// Failed are the targets that stopped with an error.
func (r *Report) Failed() []TargetReport {
	return slices.DeleteFunc(slices.Clone(r.Targets), func(t TargetReport) bool { return t.Err == nil })
}

// Err is everything that went wrong, and nil when nothing did.
func (r *Report) Err() error {
	var errs []error
	for _, t := range r.Failed() {
		errs = append(errs, t.Err)
	}
	return errors.Join(errs...)
}

// applier is one run of Apply.
type applier struct {
	plan    *Plan
	connect Connect
	o       *Options
	tell    teller
	nodes   map[string]*applied
	turns   chan struct{} // one for each node that is worked on

	mu        sync.Mutex // of report
	report    *Report
	verifying sync.WaitGroup // of services
}

// applied is a node during an apply. Targets of one node take turns, so that
// one goroutine at a time uses it.
type applied struct {
	mu sync.Mutex // held by who uses the node or asks whether it is out

	name        string
	m           *machine
	receipt     *Receipt
	out         error           // why it is left out from now on
	planned     []Change        // of all targets on it
	outstanding map[string]bool // ids of changes that are not made yet
	made        []Change        // that the receipt does not know yet
	unknown     bool            // a target could not be observed
	gone        bool            // the receipt was removed
}

// Apply makes the changes of a plan: the stages in order, the targets of a
// stage side by side. A target that fails is left out of later stages, and
// so is every other target on its node; the others go on. What was changed is
// observed once more and must be as wanted: services while later stages go on,
// machines after the last stage, if it came to that. Then the checks of changed
// nodes are asked until they pass.
//
// When ctx ends, ops that have begun end or are cut off without harm, nothing
// else begins, and the report says so. The error is the report's Err, or why
// there was nothing to run.
func Apply(ctx context.Context, p *Plan, connect Connect, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	a := newApplier(p, connect, &o)
	defer a.close()
	whole := true
	for i := 0; i < len(p.Stages) && whole; {
		n := p.beside(i)
		whole = a.stages(ctx, p.Stages[i:i+n])
		i += n
	}
	if whole { // what was only begun need not work yet
		a.confirm(ctx)
	}
	a.verifying.Wait()
	if whole {
		a.refresh(ctx)
	}
	report := a.report
	report.Interrupted = ctx.Err() != nil
	err := report.Err()
	if report.Interrupted && !errors.Is(err, context.Cause(ctx)) {
		err = errors.Join(err, fmt.Errorf("apply: %w", context.Cause(ctx)))
	}
	return report, err
}

func newApplier(p *Plan, connect Connect, o *Options) *applier {
	a := &applier{plan: p, connect: connect, o: o, nodes: make(map[string]*applied), report: new(Report)}
	a.turns = make(chan struct{}, o.parallel())
	a.tell.to = o.Events
	for name, n := range p.nodes {
		an := &applied{name: name, outstanding: make(map[string]bool)}
		if n.facts != nil {
			an.receipt = n.facts.Receipt
		}
		a.nodes[name] = an
	}
	for t := range p.targets {
		n := a.nodes[t.Host]
		n.unknown = n.unknown || t.Err != nil
		n.planned = append(n.planned, t.Changes...)
		for _, c := range t.Changes {
			n.outstanding[c.ID] = true
		}
	}
	return a
}

func (a *applier) close() {
	for _, n := range a.nodes {
		if n.m != nil {
			n.m.Close()
		}
	}
}

// beside is the number of stages that are worked on together from the i-th
// on.
func (p *Plan) beside(i int) int {
	n := 1
	for i+n < len(p.Stages) && p.Stages[i+n].Beside {
		n++
	}
	return n
}

// doomed reports whether it is known that the stage cannot succeed, and that
// none can after it.
func (s *PlannedStage) doomed() bool {
	return s.Required && slices.ContainsFunc(s.Targets, func(t PlannedTarget) bool { return t.Err != nil })
}

// stages works on stages side by side and reports whether the next may begin.
// If one is doomed the others need not begin.
func (a *applier) stages(ctx context.Context, stages []PlannedStage) bool {
	for i := range stages {
		if stages[i].doomed() {
			stages = stages[i : i+1]
			break
		}
	}
	results := make([][]TargetReport, len(stages))
	whole := make([]bool, len(stages))
	var wg sync.WaitGroup
	for i := range stages {
		s := stages[i] // a copy: the plan stays as it was shown
		wg.Go(func() { results[i], whole[i] = a.stage(ctx, &s) })
	}
	wg.Wait()
	next := !slices.Contains(whole, false)
	for _, r := range results {
		a.mu.Lock()
		a.report.Targets = append(a.report.Targets, r...)
		a.mu.Unlock()
		if next {
			a.verifyServices(ctx, r)
		}
	}
	return next
}

// stage works on one stage and reports whether the next may begin.
func (a *applier) stage(ctx context.Context, s *PlannedStage) (reports []TargetReport, whole bool) {
	a.replaceOnce(ctx, s)
	busy := slices.ContainsFunc(s.Targets, func(t PlannedTarget) bool { return len(t.Changes) > 0 || t.Err != nil })
	if !busy {
		return nil, true
	}
	if ctx.Err() != nil {
		return nil, false
	}
	a.tell.tell(Event{Kind: StageStarted, Stage: s.Name})
	results := make([]TargetReport, len(s.Targets))
	indexes := make(map[string][]int) // targets by node
	var names []string
	for i := range s.Targets {
		host := s.Targets[i].Host
		if indexes[host] == nil {
			names = append(names, host)
		}
		indexes[host] = append(indexes[host], i)
	}
	each(a.o.parallel(), names, func(host string) {
		a.turns <- struct{}{} // stages beside this one have nodes of their own
		defer func() { <-a.turns }()
		for _, i := range indexes[host] {
			results[i] = a.target(ctx, s, &s.Targets[i])
		}
	})
	ok := true
	for _, r := range results {
		ok = ok && r.Err == nil && r.Skipped == ""
		if r.Err != nil || r.Skipped != "" || len(r.Done) > 0 {
			reports = append(reports, r)
		}
	}
	a.tell.tell(Event{Kind: StageDone, Stage: s.Name})
	return reports, ctx.Err() == nil && (ok || !s.Required)
}

// replaceOnce gives a Once stage another target when the planned one is on a
// node that has failed since.
func (a *applier) replaceOnce(ctx context.Context, s *PlannedStage) {
	if !s.Once || len(s.Targets) == 0 || !a.nodes[s.Targets[0].Host].isOut() {
		return
	}
	for _, t := range s.candidates {
		n := a.nodes[t.Host]
		if n.isOut() || a.plan.nodes[t.Host].err != nil || ctx.Err() != nil {
			continue
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		pt := PlannedTarget{Host: t.Host, Name: t.Name, target: t, Receipt: n.receipt}
		o := a.observeAgain(ctx, n, t)[0]
		pt.Changes, pt.Err = o.changes, o.err
		s.Targets = []PlannedTarget{pt}
		return
	}
}

// isOut reports whether the node is left out.
func (n *applied) isOut() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.out != nil
}

// target works on one target.
func (a *applier) target(ctx context.Context, s *PlannedStage, t *PlannedTarget) (r TargetReport) {
	n := a.nodes[t.Host]
	n.mu.Lock() // a node may be in two stages that are worked on together
	defer n.mu.Unlock()
	r = TargetReport{Stage: s.Name, Host: t.Host, Name: t.Name}
	event := Event{Stage: s.Name, Host: t.Host, Target: t.Name}
	switch {
	case n.out != nil && len(t.Changes)+len(t.target.Resources) > 0:
		r.Skipped = "an earlier step on this node failed"
		event.Kind = TargetSkipped
		a.tell.tell(event)
		return r
	case t.Err != nil:
		r.Err, n.out = t.Err, t.Err
	case len(t.Changes) == 0:
		return r
	case ctx.Err() != nil:
		r.Skipped = "interrupted"
		return r
	default:
		event.Kind = TargetStarted
		a.tell.tell(event)
		r.Done, r.Err = a.change(ctx, n, t, event)
	}
	event.Kind, event.Err = TargetDone, r.Err
	if r.Err != nil {
		event.Kind = TargetFailed
		n.out = r.Err
	}
	a.tell.tell(event)
	return r
}

// open connects to a node unless that is done.
func (a *applier) open(ctx context.Context, n *applied) error {
	if n.m != nil {
		return nil
	}
	h, err := dial(ctx, a.connect, n.name)
	if err != nil {
		return err
	}
	n.m = &machine{Host: h, root: a.o.root(n.name), state: a.o.state(n.name)}
	return nil
}

// change makes the changes of one target.
func (a *applier) change(ctx context.Context, n *applied, t *PlannedTarget, event Event) ([]Change, error) {
	if err := a.open(ctx, n); err != nil {
		return nil, err
	}
	w := &worker{applier: a, node: n, event: event, changes: t.Changes}
	err := w.run(ctx)
	return w.done, err
}

// refresh brings the receipts of nodes up to date that saw no change, or of
// which an earlier apply was cut off. Nobody fails for it.
func (a *applier) refresh(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	var names []string
	for name, n := range a.nodes {
		if n.receipt == nil || n.gone || n.out != nil || n.unknown {
			continue
		}
		if next := a.stamp(n.receipt.confirm(n.outstanding)); !next.same(n.receipt) {
			names = append(names, name)
		}
	}
	each(a.o.parallel(), names, func(name string) {
		n := a.nodes[name]
		if err := a.open(ctx, n); err != nil {
			return
		}
		next := a.stamp(n.receipt.confirm(n.outstanding))
		op, err := putReceipt(n.m.state, next)
		if err == nil {
			err = n.m.Do(ctx, []Op{op}, nil)
		}
		if err == nil {
			n.receipt = next
		}
	})
}
