package sqlcatalog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
)

// A tower lets statements of a gatherer go one by one.
type tower struct {
	begun chan []glance.ID
	land  chan error
}

func newTower() (*tower, *gatherer) {
	w := &tower{make(chan []glance.ID), make(chan error)}
	return w, &gatherer{read: w.read}
}

func (w *tower) read(_ context.Context, ids []glance.ID) ([]*glance.Image, error) {
	w.begun <- slices.Clone(ids)
	if err := <-w.land; err != nil {
		return nil, err
	}
	var list []*glance.Image
	for _, id := range ids {
		if id != "nothing" {
			list = append(list, &glance.Image{ID: id, Properties: map[string]string{}})
		}
	}
	return list, nil
}

// waits blocks until n wants are waiting.
func (g *gatherer) waits(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		g.mu.Lock()
		have := len(g.waiting)
		g.mu.Unlock()
		if have == n {
			return
		}
	}
	t.Fatalf("there are never %d who wait", n)
}

// fill calls get until as many statements have begun as may: one at once, and
// each of the others for a crowd.
func (g *gatherer) fill(t *testing.T, get, begun func()) {
	t.Helper()
	for f := range flights {
		get()
		for n := 1; f > 0 && n < crowd; n++ {
			g.waits(t, n)
			get()
		}
		begun()
	}
}

// Whoever comes while the database is busy goes with the next statement, and
// nobody before being there.
func TestGather(t *testing.T) {
	w, g := newTower()
	var wg sync.WaitGroup
	get := func(id glance.ID, want error) {
		wg.Go(func() {
			im, err := g.get(t.Context(), id)
			switch {
			case !errors.Is(err, want):
				t.Errorf("get %s: %v; want %v", id, err, want)
			case err == nil && id == "nothing" && im != nil, err == nil && id != "nothing" && (im == nil || im.ID != id):
				t.Errorf("get %s = %v", id, im)
			case im != nil:
				im.Properties["mine"] = "x" // which is a race if it is somebody else's
			}
		})
	}
	g.fill(t, func() { get("a", nil) }, func() {
		if ids := <-w.begun; !slices.Equal(slices.Compact(ids), []glance.ID{"a"}) {
			t.Errorf("statement for %v; want a", ids)
		}
	})
	for n, id := range []glance.ID{"c", "d", "c", "nothing"} {
		get(id, nil)
		g.waits(t, n+1)
	}
	w.land <- nil
	ids := <-w.begun
	slices.Sort(ids)
	if ids = slices.Compact(ids); !slices.Equal(ids, []glance.ID{"c", "d", "nothing"}) {
		t.Errorf("the next statement is for %v; want c, d and nothing", ids)
	}
	broken := errors.New("broken")
	w.land <- nil
	w.land <- nil
	wg.Wait()
	// Afterwards the first one goes at once again; an error is for its own.
	get("e", broken)
	<-w.begun
	w.land <- broken
	wg.Wait()
	get("f", nil)
	<-w.begun
	w.land <- nil
	wg.Wait()
	if g.flying != 0 || len(g.waiting) != 0 {
		t.Errorf("at the end %d fly and %d wait", g.flying, len(g.waiting))
	}
}

// Who waits for long asks alone, and who goes away is not waited for.
func TestGatherPatience(t *testing.T) {
	w, g := newTower()
	var wg sync.WaitGroup
	wg.Go(func() { // on a connection that hangs
		if _, err := g.get(t.Context(), "hangs"); err != nil {
			t.Error(err)
		}
	})
	<-w.begun
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if _, err := g.get(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("get for somebody who went away: %v; want %v", err, context.Canceled)
		}
	})
	g.waits(t, 1)
	cancel()
	wg.Go(func() {
		if im, err := g.get(t.Context(), "b"); im == nil || im.ID != "b" || err != nil {
			t.Errorf("get = %v, %v; want b", im, err)
		}
	})
	if ids := <-w.begun; !slices.Equal(ids, []glance.ID{"b"}) {
		t.Errorf("statement for %v; want b alone", ids)
	}
	w.land <- nil
	w.land <- nil
	wg.Wait()
	g.lands(t) // without another statement: nobody waits any more
}

// lands waits until nothing is under way.
func (g *gatherer) lands(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		g.mu.Lock()
		flying, waiting := g.flying, len(g.waiting)
		g.mu.Unlock()
		if flying == 0 && waiting == 0 {
			return
		}
	}
	t.Fatal("there is no end of it")
}

// One image that cannot be read keeps nobody from others, and neither does one
// for which the program has a fault.
func TestGatherKeepsFaultsApart(t *testing.T) {
	broken := errors.New("broken")
	for name, fail := range map[string]func() error{
		"an error": func() error { return broken },
		"a panic":  func() error { panic(broken) },
	} {
		t.Run(name, func(t *testing.T) {
			begun, land := make(chan bool), make(chan bool)
			g := &gatherer{read: func(_ context.Context, ids []glance.ID) (list []*glance.Image, err error) {
				if slices.Contains(ids, "first") {
					begun <- true
					<-land
				}
				for _, id := range ids {
					if id == "bad" {
						return nil, fail()
					}
					list = append(list, &glance.Image{ID: id})
				}
				return list, nil
			}}
			var wg sync.WaitGroup
			get := func(id glance.ID, bad bool) {
				wg.Go(func() {
					im, err := g.get(t.Context(), id)
					if bad && (im != nil || err == nil || !strings.Contains(err.Error(), "broken")) || !bad && (err != nil || im == nil || im.ID != id) {
						t.Errorf("get %s = %v, %v", id, im, err)
					}
				})
			}
			g.fill(t, func() { get("first", false) }, func() { <-begun })
			for n, id := range []glance.ID{"a", "bad", "b"} {
				get(id, id == "bad")
				g.waits(t, n+1)
			}
			for range flights {
				land <- true
			}
			wg.Wait()
			g.lands(t)
		})
	}
}

// However many come and leave while the database hangs, they are not kept in
// mind.
func TestGatherForgets(t *testing.T) {
	begun, land := make(chan bool, flights), make(chan bool)
	g := &gatherer{read: func(context.Context, []glance.ID) ([]*glance.Image, error) {
		begun <- true
		<-land
		return nil, nil
	}}
	var wg sync.WaitGroup
	for range flights {
		wg.Go(func() {
			if _, err := g.get(t.Context(), "hangs"); err != nil {
				t.Error(err)
			}
		})
		<-begun
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 10_000 {
		if _, err := g.get(gone, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("get for somebody who went away: %v; want %v", err, context.Canceled)
			break
		}
	}
	g.mu.Lock()
	if n := len(g.waiting); n > 100 {
		t.Errorf("%d wait of whom all have gone", n)
	}
	g.mu.Unlock()
	close(land)
	wg.Wait()
	g.lands(t)
}

// Queries that are not the same have keys that are not the same, or none.
func TestListKey(t *testing.T) {
	seen := make(map[string]glance.Query)
	for _, q := range []glance.Query{
		{ProjectID: "a"},
		{ProjectID: "a", Admin: true},
		{ProjectID: "a", Bare: true},
		{ProjectID: "a", Limit: 1},
		{ProjectID: "a", Marker: "b"},
		{ProjectID: "a", Tags: []string{"b", "c"}},
		{ProjectID: "a", Tags: []string{"b,c"}},
		{ProjectID: "a", Properties: map[string]string{"b": "c"}},
		{ProjectID: "a", Filters: []glance.Filter{{Attribute: "name", Op: "eq", Values: []string{"b"}}}},
		{ProjectID: "a", Filters: []glance.Filter{{Attribute: "name", Op: "neq", Values: []string{"b"}}}},
		{ProjectID: "\ufffd"},
		{ProjectID: "\xff"},
		{ProjectID: "\xfe"},
		{ProjectID: "a", Properties: map[string]string{"b": "\xff"}},
		{ProjectID: "a", Properties: map[string]string{"b": "\xfe"}},
	} {
		key, ok := listKey(q)
		if other, again := seen[key]; ok && again {
			t.Errorf("%+v has the key of %+v", q, other)
		}
		seen[key] = q
	}
	if _, ok := listKey(glance.Query{ProjectID: "a"}); !ok {
		t.Error("no list is shared")
	}
}
