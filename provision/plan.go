package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Plan is what an apply would do.
type Plan struct {
	Stages []PlannedStage
	nodes  map[string]*node
}

// A PlannedStage is a Stage with what is to be done on its targets.
type PlannedStage struct {
	Name     string
	Targets  []PlannedTarget // of a Once stage, the one that is worked on
	Required bool
	Once     bool
	Beside   bool

	candidates []Target // of a Once stage
}

// A PlannedTarget is a Target with what is to be done there.
type PlannedTarget struct {
	Host    string
	Name    string
	Changes []Change
	// Receipt is what the last apply left on the machine; nil when there was
	// none, or when the machine could not be asked.
	Receipt *Receipt
	Err     error // why the target could not be observed

	target Target
}

// Empty reports whether nothing is to be done. Targets that could not be
// observed do not count, see Err.
func (p *Plan) Empty() bool {
	for t := range p.targets {
		if len(t.Changes) > 0 {
			return false
		}
	}
	return true
}

// Err is why targets could not be observed, all of it, and nil when all could.
func (p *Plan) Err() error {
	var errs []error
	seen := make(map[string]bool)
	for t := range p.targets {
		// A node that is down is said once, not once a stage.
		if t.Err != nil && !seen[t.Err.Error()] {
			seen[t.Err.Error()] = true
			errs = append(errs, t.Err)
		}
	}
	return errors.Join(errs...)
}

func (p *Plan) targets(yield func(*PlannedTarget) bool) {
	for i := range p.Stages {
		for j := range p.Stages[i].Targets {
			if !yield(&p.Stages[i].Targets[j]) {
				return
			}
		}
	}
}

// node is what a plan knows of one machine.
type node struct {
	name     string
	m        *machine
	facts    *Facts
	err      error
	queries  []Query
	wanted   map[string]bool // ids of all resources in all stages
	changing map[string]bool // ids of changes so far
	removes  bool            // has a resource with RemovalID
	last     *PlannedTarget  // gets the leftovers
}

// NewReader returns h as a machine that can only be looked at, for those who
// have to know something of it before there is a plan. It finds no receipt.
func NewReader(h Host) Reader { return reader{&machine{Host: h}} }

// reader is a machine that can only be looked at.
type reader struct{ m *machine }

func (r reader) Name() string { return r.m.Name() }
func (r reader) Look(ctx context.Context, qs []Query) (*Facts, error) {
	return r.m.Look(ctx, qs)
}
func (r reader) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return r.m.Host.Dial(ctx, network, address)
}
func (r reader) Pipe(ctx context.Context, argv []string) (net.Conn, error) {
	return r.m.Pipe(ctx, argv)
}

// Observe compares the targets of all stages with what is wanted, many nodes
// at once, and changes nothing. A node that cannot be reached or observed is
// a target with Err in the plan; an error is returned only when there is no
// plan at all: a bad option, or ctx ended.
func Observe(ctx context.Context, stages []Stage, connect Connect, o Options) (*Plan, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p := newPlan(stages)
	defer func() {
		for _, n := range p.nodes {
			if n.m != nil {
				n.m.Close()
			}
			n.m = nil
		}
	}()
	tell := teller{to: o.Events}
	names := slices.Sorted(maps.Keys(p.nodes))
	observe := func(name string) {
		p.observeNode(ctx, p.nodes[name])
		tell.tell(Event{Kind: ObserveDone, Host: name, Err: p.nodes[name].err})
	}
	shared := p.shared()
	each(o.parallel(), names, func(name string) {
		p.nodes[name].look(ctx, connect, &o)
		if !shared[name] {
			observe(name)
		}
	})
	p.chooseOnce(ctx)
	each(o.parallel(), slices.DeleteFunc(names, func(name string) bool { return !shared[name] }), observe)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	return p, nil
}

// each calls do for every name, so many at once, and waits.
func each(limit int, names []string, do func(string)) {
	var g errgroup.Group
	g.SetLimit(limit)
	for _, name := range names {
		g.Go(func() error {
			do(name)
			return nil
		})
	}
	_ = g.Wait() // do has no error to give
}

// newPlan lays out the plan and gathers what is to be asked of each node.
func newPlan(stages []Stage) *Plan {
	p := &Plan{nodes: make(map[string]*node)}
	for _, s := range stages {
		ps := PlannedStage{Name: s.Name, Required: s.Required, Once: s.Once, Beside: s.Beside}
		for i, t := range s.Targets {
			n := p.nodes[t.Host]
			if n == nil {
				n = &node{name: t.Host, wanted: make(map[string]bool), changing: make(map[string]bool)}
				p.nodes[t.Host] = n
			}
			for _, r := range t.Resources {
				n.wanted[r.ID()] = true
				n.removes = n.removes || r.ID() == RemovalID
				if !s.Once || i == 0 {
					n.queries = append(n.queries, r.Queries()...)
				}
			}
			if !s.Once {
				ps.Targets = append(ps.Targets, PlannedTarget{Host: t.Host, Name: t.Name, target: t})
			}
		}
		if s.Once {
			ps.candidates = s.Targets
		}
		p.Stages = append(p.Stages, ps)
	}
	return p
}

// look connects to a node and asks it everything at once.
func (n *node) look(ctx context.Context, connect Connect, o *Options) {
	h, err := dial(ctx, connect, n.name)
	if err != nil {
		n.err = err
		return
	}
	n.m = &machine{Host: h, root: o.root(n.name), state: o.state(n.name), changing: func(id string) bool { return n.changing[id] }}
	n.facts, n.err = n.m.Look(ctx, n.queries)
}

// shared are the nodes that may get the work of a Once stage. What is to be
// done there is known only when it is known which of them can be reached.
func (p *Plan) shared() map[string]bool {
	names := make(map[string]bool)
	for i := range p.Stages {
		for _, t := range p.Stages[i].candidates {
			names[t.Host] = true
		}
	}
	return names
}

// chooseOnce decides which target of each Once stage is worked on: the first
// that can be reached. Only the first of all was asked already.
func (p *Plan) chooseOnce(ctx context.Context) {
	for i := range p.Stages {
		s := &p.Stages[i]
		if !s.Once || len(s.candidates) == 0 {
			continue
		}
		chosen := slices.IndexFunc(s.candidates, func(t Target) bool { return p.nodes[t.Host].err == nil })
		t := s.candidates[max(chosen, 0)]
		s.Targets = []PlannedTarget{{Host: t.Host, Name: t.Name, target: t}}
		if chosen <= 0 {
			continue
		}
		n := p.nodes[t.Host]
		facts, err := n.m.Look(ctx, targetQueries(t))
		if err != nil {
			n.err = err
			continue
		}
		n.facts.merge(facts)
	}
}

func targetQueries(t Target) []Query {
	var qs []Query
	for _, r := range t.Resources {
		qs = append(qs, r.Queries()...)
	}
	return qs
}

// merge adds what other knows to f.
func (f *Facts) merge(other *Facts) {
	maps.Copy(f.Files, other.Files)
	maps.Copy(f.Users, other.Users)
	maps.Copy(f.Groups, other.Groups)
	maps.Copy(f.Units, other.Units)
	maps.Copy(f.Processes, other.Processes)
	maps.Copy(f.Commands, other.Commands)
	maps.Copy(f.Locks, other.Locks)
}

// observeNode observes all targets on one node, in the order of stages.
func (p *Plan) observeNode(ctx context.Context, n *node) {
	for i := range p.Stages {
		for j := range p.Stages[i].Targets {
			t := &p.Stages[i].Targets[j]
			if t.Host != n.name {
				continue
			}
			if n.err != nil {
				t.Err = n.err
				continue
			}
			t.Receipt = n.facts.Receipt
			t.Changes, t.Err = observeTarget(ctx, n, t.target)
			if !p.Stages[i].Once || n.last == nil {
				n.last = t
			}
		}
	}
	if n.err != nil || n.removes || n.last == nil || n.last.Err != nil {
		return
	}
	changes, err := n.leftovers(ctx)
	if err != nil {
		n.last.Err = err
		return
	}
	n.last.Changes = append(n.last.Changes, changes...)
}

// observeTarget asks each resource what it has to change. Once one of them
// has something to change, the others can see it in their facts.
func observeTarget(ctx context.Context, n *node, t Target) ([]Change, error) {
	var all []Change
	for _, r := range t.Resources {
		changes, err := r.Observe(ctx, reader{n.m}, n.facts)
		if err != nil {
			return all, &StepError{Node: n.name, Step: r.ID(), Err: err}
		}
		for i := range changes {
			c := &changes[i]
			n.changing[c.ID] = true
			c.Proposed = c.Action == Update && !c.Drifted && n.facts.Receipt.left(c.ID)
		}
		all = append(all, changes...)
	}
	return all, nil
}

// leftovers are the changes that remove what earlier applies put on the node
// and nothing wants any more.
func (n *node) leftovers(ctx context.Context) ([]Change, error) {
	left := leftovers(n.facts.Receipt, n.wanted)
	// Logs that are written elsewhere now are still there to be read.
	left = slices.DeleteFunc(left, func(e Entry) bool { return n.changing[e.ID] || e.Logs })
	if len(left) == 0 {
		return nil, nil
	}
	facts, err := n.m.Look(ctx, RemovalQueries(left))
	if err != nil {
		return nil, err
	}
	changes, _ := RemovalChanges(facts, left, false)
	for i := range changes {
		changes[i].Proposed = true
	}
	return changes, nil
}

// waitOr waits for d, or less when ctx ends.
func waitOr(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
