package provision_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"glancectl/provision"
)

// A gate keeps whoever connects until it is let go.
type gate struct {
	mu      sync.Mutex
	waiting int
	open    chan struct{}
}

func (g *gate) connect(context.Context, string) (provision.Host, error) {
	g.mu.Lock()
	g.waiting++
	g.mu.Unlock()
	<-g.open
	return nil, errors.New("no route to host")
}

// pass lets those at the gate go one by one, and checks before each that as
// many wait as may be worked on at once: no fewer, as long as there are
// others, and never more.
func (g *gate) pass(t *testing.T, nodes, limit int) {
	t.Helper()
	for left := nodes; left > 0; left-- {
		synctest.Wait()
		g.mu.Lock()
		if want := min(left, limit); g.waiting != want {
			t.Errorf("%d nodes are worked on at once while %d are left; want %d", g.waiting, left, want)
		}
		g.waiting--
		g.mu.Unlock()
		g.open <- struct{}{}
	}
}

// As many nodes are worked on at once as the options say, whatever is done to
// them, and in stages beside each other together.
func TestParallel(t *testing.T) {
	const nodes = 24
	s := newSite(t)
	install, beside := stage("install"), stage("keystone")
	beside.Beside = true
	var names []string
	for i := range nodes {
		name := fmt.Sprintf("n%02d", i)
		names = append(names, name)
		to := &install
		if i%4 == 0 {
			to = &beside
		}
		to.Targets = append(to.Targets, target(name, s.file(name, "x", "1")))
	}
	stages := []provision.Stage{install, beside}
	s.o.Events = nil
	plan := s.plan(stages...)
	for _, test := range []struct{ parallel, limit int }{{0, 10}, {1, 1}, {3, 3}, {100, nodes}} {
		o := s.o
		o.Parallel = test.parallel
		for what, work := range map[string]func(context.Context, provision.Connect){
			"lock": func(ctx context.Context, c provision.Connect) {
				unlock, err := provision.Lock(ctx, names, c, o)
				if err != nil {
					t.Errorf("Lock = %v; want nodes that are down left to the plan to report", err)
					return
				}
				unlock()
			},
			"observe": func(ctx context.Context, c provision.Connect) {
				if p, err := provision.Observe(ctx, stages, c, o); err != nil || p.Err() == nil {
					t.Errorf("Observe of nodes that are down = %v; want the plan to say so", err)
				}
			},
			"apply": func(ctx context.Context, c provision.Connect) {
				if r, err := provision.Apply(ctx, plan, c, o); err == nil || len(r.Failed()) != nodes {
					t.Errorf("Apply to nodes that are down = %v, %v; want them all failed", r, err)
				}
			},
		} {
			t.Run(fmt.Sprintf("%s/%d", what, test.parallel), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := &gate{open: make(chan struct{})}
					done := make(chan struct{})
					go func() {
						defer close(done)
						work(t.Context(), g.connect)
					}()
					g.pass(t, nodes, test.limit)
					<-done
				})
			})
		}
	}
}
