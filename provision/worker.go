package provision

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// receiptStep is the step of writing the receipt.
const receiptStep = "receipt"

// worker makes the changes of one target, in order: those that have ops in
// batches as large as can be, the others one by one. The receipt announces
// all changes of the node before the first and says what is so after the last.
type worker struct {
	*applier
	node    *applied
	event   Event
	changes []Change
	done    []Change
	settled *Receipt // what the last step of all writes
}

// step is one op of a batch.
type step struct {
	op     Op
	change int // index into changes; -1 for the receipt
	last   bool
}

func (w *worker) run(ctx context.Context) error {
	before, after, err := w.receipts()
	if err != nil {
		return err
	}
	batch := before
	for i := 0; i < len(w.changes); i++ {
		c := &w.changes[i]
		if c.Do == nil {
			for j, o := range c.Ops {
				batch = append(batch, step{op: o, change: i, last: j == len(c.Ops)-1})
			}
			if len(c.Ops) == 0 {
				w.finish(i)
			}
			continue
		}
		if err := w.batch(ctx, batch); err != nil {
			return err
		}
		batch = nil
		first := i
		for i+1 < len(w.changes) && w.changes[i+1].Do != nil && w.changes[i+1].Beside {
			i++
		}
		if err := w.calls(ctx, first, i); err != nil {
			return err
		}
	}
	if err := w.batch(ctx, append(batch, after...)); err != nil {
		return err
	}
	if w.settled != nil {
		w.node.receipt, w.node.made = w.settled, nil
	}
	return nil
}

// receipts are the steps that write the receipt before and after the changes.
// There are none when the changes are not of a kind that is remembered.
func (w *worker) receipts() (before, after []step, err error) {
	remembered, removed := false, false
	for i := range w.changes {
		c := &w.changes[i]
		remembered = remembered || w.node.remembers(c)
		removed = removed || c.ID == RemovalID && c.Action == Delete
	}
	if !remembered && !removed {
		return nil, nil, nil
	}
	old := w.node.receipt
	if old == nil {
		old = &Receipt{Schema: receiptSchema, Proposal: w.o.Proposal}
	}
	// What later stages do here is announced as well: one write is enough.
	announced := old.announce(w.node.ahead()).announce(w.changes)
	if !announced.same(old) {
		op, err := putReceipt(w.node.m.state, announced)
		if err != nil {
			return nil, nil, err
		}
		before = []step{{op: op, change: -1}}
	}
	w.node.receipt = announced
	if removed {
		w.node.gone = true
		return before, nil, nil
	}
	for i := range w.changes {
		delete(w.node.outstanding, w.changes[i].ID)
	}
	w.node.made = append(w.node.made, w.changes...)
	if slices.ContainsFunc(w.node.ahead(), func(c Change) bool { return w.node.remembers(&c) }) {
		return before, nil, nil // the last of them says what is so
	}
	next := announced.settle(w.node.made)
	if !w.node.unknown {
		next = next.confirm(w.node.outstanding)
	}
	next = w.stamp(next)
	op, err := putReceipt(w.node.m.state, next)
	if err != nil {
		return nil, nil, err
	}
	w.settled = next
	return before, []step{{op: op, change: -1, last: true}}, nil
}

// remembers reports whether a change is of a kind that the node's receipt
// remembers, or forgets.
func (n *applied) remembers(c *Change) bool {
	return c.record() != nil || c.Action == Delete && n.receipt != nil && n.receipt.Entry(c.ID) != nil
}

// ahead are the changes of all targets on the node that are not made yet.
func (n *applied) ahead() []Change {
	return slices.DeleteFunc(slices.Clone(n.planned), func(c Change) bool { return !n.outstanding[c.ID] })
}

// stamp returns a copy of r that names what is applied now.
func (a *applier) stamp(r *Receipt) *Receipt {
	next := *r
	next.Version, next.Digest, next.Revision, next.Modified = a.o.Version, a.o.Digest, a.o.Revision, a.o.Modified
	if !next.same(r) {
		next.Time = time.Now().UTC().Truncate(time.Second)
	}
	return &next
}

// putReceipt is the op that writes a receipt.
func putReceipt(state string, r *Receipt) (Op, error) {
	b, err := r.Marshal()
	return PutFile{Path: receiptFile(state), Content: b, Mode: 0o600, Parents: true}, err
}

// batch executes steps and tells of each.
func (w *worker) batch(ctx context.Context, steps []step) error {
	if len(steps) == 0 {
		return nil
	}
	ops := make([]Op, len(steps))
	for i, s := range steps {
		ops[i] = s.op
	}
	at := 0
	w.begin(steps, at)
	err := w.node.m.Do(ctx, ops, func(i int) {
		if s := steps[i]; s.change >= 0 && s.last {
			w.finish(s.change)
		}
		at = i + 1
		w.begin(steps, at)
	})
	if err == nil {
		return nil
	}
	// Of ops that are done together, not the first need be the one that fails.
	var se *StepError
	if errors.As(err, &se) && se.index > at && at < len(steps) {
		at = se.index
		if c := steps[at].change; c >= 0 {
			w.say(StepStarted, c)
		}
	}
	id := receiptStep
	if at < len(steps) && steps[at].change >= 0 {
		id = w.changes[steps[at].change].ID
	}
	return w.fail(id, err)
}

// begin tells that the change of a step begins, if it does.
func (w *worker) begin(steps []step, i int) {
	if i >= len(steps) || steps[i].change < 0 || i > 0 && steps[i-1].change == steps[i].change {
		return
	}
	w.say(StepStarted, steps[i].change)
}

func (w *worker) say(kind EventKind, change int) {
	e := w.event
	c := w.changes[change]
	e.Kind, e.Step, e.Change = kind, c.ID, &c
	w.tell.tell(e)
}

func (w *worker) finish(change int) {
	w.done = append(w.done, w.changes[change])
	w.say(StepDone, change)
}

// calls makes changes that are not made of ops, from the first to the last,
// all at the same time. The error is that of the first that failed; the
// others came to their end.
func (w *worker) calls(ctx context.Context, first, last int) error {
	errs := make([]error, last-first+1)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = w.call(ctx, first+i) })
	}
	wg.Wait()
	var failed error
	for i, err := range errs {
		if err == nil {
			w.done = append(w.done, w.changes[first+i])
		} else if failed == nil {
			failed = err
		}
	}
	return failed
}

// call makes a change that is not made of ops, and tells of it.
func (w *worker) call(ctx context.Context, i int) error {
	w.say(StepStarted, i)
	if err := ctx.Err(); err != nil {
		return w.fail(w.changes[i].ID, err)
	}
	if err := w.changes[i].Do(ctx, w.node.m); err != nil {
		return w.fail(w.changes[i].ID, err)
	}
	w.say(StepDone, i)
	return nil
}

// fail makes a *StepError of err that names the step, and tells of it.
func (w *worker) fail(id string, err error) error {
	var se *StepError
	if errors.As(err, &se) && se.Step == "" {
		named := *se
		named.Step = id
		se = &named
	} else {
		se = &StepError{Node: w.node.name, Step: id, Err: err}
	}
	e := w.event
	e.Kind, e.Step, e.Err = StepFailed, id, se
	w.tell.tell(e)
	return se
}
