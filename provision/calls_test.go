package provision_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"glancectl/provision"
	"glancectl/provision/machine"
)

// doing is a resource that is not made of ops.
type doing struct {
	id string
	ok *atomic.Bool
	do func(ctx context.Context) error

	beside bool
}

func (d doing) ID() string                 { return d.id }
func (d doing) Queries() []provision.Query { return nil }
func (d doing) Observe(context.Context, provision.Reader, *provision.Facts) ([]provision.Change, error) {
	if d.ok.Load() {
		return nil, nil
	}
	return []provision.Change{{ID: d.id, Action: provision.Create, Summary: d.id, Beside: d.beside, Do: func(ctx context.Context, w provision.Writer) error {
		if err := d.do(ctx); err != nil {
			return err
		}
		d.ok.Store(true)
		return nil
	}}}, nil
}

// Changes keep their order, whether they are ops or not.
func TestDoKeepsOrder(t *testing.T) {
	s := newSite(t)
	var between atomic.Bool
	d := doing{id: "grant:x", ok: new(atomic.Bool), do: func(context.Context) error {
		between.Store(s.exists("a", "one") && !s.exists("a", "two"))
		return nil
	}}
	s.done(stage("one", target("a", s.file("a", "one", "1"), d, s.file("a", "two", "1"))))
	if !between.Load() {
		t.Error("the change ran before the first file or after the second")
	}
	var failed *provision.StepError
	bad := doing{id: "grant:y", ok: new(atomic.Bool), do: func(context.Context) error { return errors.New("access denied") }}
	_, err := s.apply(stage("one", target("a", s.file("a", "one", "1"), d, bad, s.file("a", "two", "1"))))
	if !errors.As(err, &failed) || failed.Step != "grant:y" || !strings.Contains(err.Error(), "access denied") {
		t.Errorf("Apply = %v; want the step that failed", err)
	}
}

// The first receipt announces what later stages do too, so that they need not.
// When it does not come to that, the next apply makes it as if for the first time.
func TestAnnounceAllStages(t *testing.T) {
	s := newSite(t)
	bad := doing{id: "grant:bad", ok: new(atomic.Bool), do: func(context.Context) error { return errors.New("access denied") }}
	stages := []provision.Stage{
		stage("one", target("a", s.file("a", "one", "1"))),
		stage("two", target("a", bad, s.file("a", "two", "2"))),
	}
	if _, err := s.apply(stages...); err == nil {
		t.Fatal("Apply worked; want the failure")
	}
	r := s.receipt("a")
	one, two := r.Entry("file:"+s.path("a", "one")), r.Entry("file:"+s.path("a", "two"))
	if one == nil || one.Settled() || !one.Created || two == nil || two.Settled() || !two.Created {
		t.Errorf("receipt: %+v; want both announced, and neither settled before the last stage", r.Entries)
	}
	bad.ok.Store(true)
	for _, c := range s.plan(stages...).Stages[1].Targets[0].Changes {
		if c.Drifted || c.Action != provision.Create {
			t.Errorf("change %s %s, drifted: %v; want it created", c.Action, c.ID, c.Drifted)
		}
	}
	s.done(stages...)
	for _, name := range []string{"one", "two"} {
		if e := s.receipt("a").Entry("file:" + s.path("a", name)); !e.Settled() || !e.Created {
			t.Errorf("receipt: %+v; want it settled, and made by us", e)
		}
	}
}

// What the receipt says of all stages at the end is what it would say after
// each: of a mode that changed as well, and of a file that is gone.
func TestSettleAllStages(t *testing.T) {
	s := newSite(t)
	dir, gone := machine.Dir{Path: s.path("a", "d"), Mode: 0o700}, s.file("a", "gone", "1")
	s.done(stage("one", target("a", dir, gone)), stage("two", target("a", s.file("a", "two", "2"))))
	dir.Mode = 0o750
	s.done(stage("one", target("a", dir, machine.Absent{Path: gone.Path})), stage("two", target("a", s.file("a", "two", "3"))))
	r := s.receipt("a")
	if e := r.Entry(dir.ID()); e == nil || e.Attrs != "0750" || !e.Settled() {
		t.Errorf("receipt of the directory: %+v; want 0750, settled", e)
	}
	if e := r.Entry(gone.ID()); e != nil {
		t.Errorf("receipt of the file that is gone: %+v; want none", e)
	}
}

// Changes that need nothing of each other are made at the same time, after
// what stands before them. One that fails does not cut the others off.
func TestDoBeside(t *testing.T) {
	s := newSite(t)
	var running atomic.Int32
	both := make(chan struct{})
	meet := func(context.Context) error {
		if !s.exists("a", "one") {
			return errors.New("too early")
		}
		if running.Add(1) == 2 {
			close(both)
		}
		select {
		case <-both:
			return nil
		case <-time.After(5 * time.Second):
			return errors.New("the other one did not begin")
		}
	}
	x := doing{id: "grant:x", ok: new(atomic.Bool), do: meet, beside: true}
	y := doing{id: "grant:y", ok: new(atomic.Bool), do: meet, beside: true}
	s.done(stage("one", target("a", s.file("a", "one", "1"), x, y)))

	bad := doing{id: "grant:bad", ok: new(atomic.Bool), do: func(context.Context) error { return errors.New("access denied") }}
	good := doing{id: "grant:good", ok: new(atomic.Bool), do: func(context.Context) error { return nil }, beside: true}
	late := doing{id: "grant:late", ok: new(atomic.Bool), do: func(context.Context) error { return nil }}
	report, err := s.apply(stage("one", target("a", bad, good, late)))
	var failed *provision.StepError
	if !errors.As(err, &failed) || failed.Step != "grant:bad" {
		t.Errorf("Apply = %v; want the step that failed", err)
	}
	if done := report.Targets[0].Done; len(done) != 1 || done[0].ID != "grant:good" || late.ok.Load() {
		t.Errorf("done: %v, late: %v; want good alone", done, late.ok.Load())
	}
}

// When nothing is remembered of a target, nothing is left on its machine.
func TestNoReceiptForServices(t *testing.T) {
	s := newSite(t)
	s.done(stage("one", target("a", doing{id: "grant:x", ok: new(atomic.Bool), do: func(context.Context) error { return nil }})))
	if s.receipt("a") != nil {
		t.Error("there is a receipt; want none")
	}
}
