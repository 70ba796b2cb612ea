package turns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A slowThing is something whose readings the test lets go one by one.
type slowThing struct {
	begun chan context.Context
	land  chan error
}

func (l *slowThing) read(ctx context.Context) (*int, error) {
	l.begun <- ctx
	if err := <-l.land; err != nil {
		return nil, err
	}
	return new(int), ctx.Err()
}

// users waits until n users wait for the reading after the one under way.
func (g *Group[T]) users(t *testing.T, key string, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		g.mu.Lock()
		have := 0
		if l := g.lines[key]; l != nil && l.next != nil {
			have = l.next.users
		}
		g.mu.Unlock()
		if have == n {
			return
		}
	}
	t.Fatalf("there are never %d who wait", n)
}

// Who comes while something is read shares the next reading with all who do, and
// knows whether it has the value alone.
func TestShare(t *testing.T) {
	l := &slowThing{make(chan context.Context), make(chan error)}
	g := new(Group[*int])
	var wg sync.WaitGroup
	get := func(want error) {
		wg.Go(func() {
			v, shared, err := g.Get(t.Context(), "key", l.read)
			if !errors.Is(err, want) || (v == nil) != (want != nil) {
				t.Errorf("Get = %v, %v; want %v", v, err, want)
			}
			if err == nil && !shared {
				*v++ // which is a race if it is somebody else's
			}
		})
	}
	broken := errors.New("broken")
	get(nil)
	<-l.begun
	for n := range 3 {
		get(broken)
		g.users(t, "key", n+1)
	}
	l.land <- nil
	<-l.begun
	get(nil)
	g.users(t, "key", 1)
	get(nil)
	g.users(t, "key", 2)
	l.land <- broken
	<-l.begun
	l.land <- nil
	wg.Wait()
	g.idle(t)
}

// idle waits until nothing is read any more.
func (g *Group[T]) idle(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		g.mu.Lock()
		n := len(g.lines)
		g.mu.Unlock()
		if n == 0 {
			return
		}
	}
	t.Error("something is being read for ever")
}

// Those who shared a reading, and those who could not any more, are expected to
// ask again: the next one waits for them.
func TestCrowd(t *testing.T) {
	g := new(Group[int])
	read := func(context.Context) (int, error) { return 0, nil }
	add := func(r *reading[int]) {
		t.Helper()
		if joined, begun := g.join(t.Context(), "key", read); joined != r || !begun {
			t.Fatalf("join = %p, %t; want %p, true", joined, begun, r)
		}
	}
	last := &reading[int]{done: make(chan struct{})}
	g.lines = map[string]*line[int]{"key": {now: last}}
	add(last)
	add(last)
	if !g.begin("key", last, time.Hour) {
		t.Fatal("a reading for two does not begin")
	}
	waits, _ := g.join(t.Context(), "key", read)
	next := g.turn("key", last)
	if next != waits || next.crowd != 3 {
		t.Fatalf("after a reading for two, while one waits, %d are expected; want 3", next.crowd)
	}
	begun := make(chan bool)
	go func() { begun <- g.begin("key", next, time.Hour) }()
	add(next)
	select {
	case <-begun:
		t.Fatal("the reading does not wait for the third")
	default:
	}
	add(next)
	if !<-begun {
		t.Error("a reading for three does not begin")
	}
	if after := g.turn("key", next); g.begin("key", after, time.Millisecond) || len(g.lines) != 0 {
		t.Error("a reading begins for nobody")
	}
}

// Where nobody comes again, that is waited for more and more rarely, until
// somebody does.
func TestCrowdThatDoesNotCome(t *testing.T) {
	g := new(Group[int])
	read := func(context.Context) (int, error) { return 0, nil }
	waits := func() bool {
		t.Helper()
		r := &reading[int]{done: make(chan struct{})}
		g.lines = map[string]*line[int]{"key": {now: r}}
		g.join(t.Context(), "key", read)
		g.join(t.Context(), "key", read)
		if !g.begin("key", r, 0) {
			t.Fatal("a reading for two does not begin")
		}
		next := g.turn("key", r)
		if next != nil && g.begin("key", next, 0) {
			t.Fatal("a reading begins for nobody")
		}
		return next != nil
	}
	var all []int
	for n := range 40 {
		if waits() {
			all = append(all, n)
		}
	}
	if want := []int{0, 1, 4, 11, 26}; !slices.Equal(all, want) {
		t.Errorf("of readings for two, %v are waited after; want %v", all, want)
	}
	g.learn(true)
	g.skip = 0
	if !waits() {
		t.Error("a crowd that came is not waited for again")
	}
}

// Who does not come again is not waited for for long.
func TestCrowdIsNotComplete(t *testing.T) {
	g := new(Group[int])
	read := func(context.Context) (int, error) { return 0, nil }
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				if _, _, err := g.Get(t.Context(), "key", read); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	g.idle(t)
}

// A reading that nobody waits for is broken off; who waits long for one that
// has not begun reads alone.
func TestShareIsLeft(t *testing.T) {
	l := &slowThing{make(chan context.Context), make(chan error)}
	g := new(Group[*int])
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if _, _, err := g.Get(ctx, "key", l.read); !errors.Is(err, context.Canceled) {
			t.Errorf("Get for somebody who went away: %v; want %v", err, context.Canceled)
		}
	})
	reading := <-l.begun
	cancel()
	wg.Wait()
	select {
	case <-reading.Done():
	case <-time.After(10 * time.Second):
		t.Error("the reading goes on though nobody waits for it")
	}
	// It hangs all the same.
	wg.Go(func() {
		if v, shared, err := g.Get(t.Context(), "key", l.read); v == nil || shared || err != nil {
			t.Errorf("Get beside a reading that hangs = %v, %t, %v", v, shared, err)
		}
	})
	<-l.begun
	l.land <- nil
	l.land <- nil
	wg.Wait()
	g.idle(t)
}

// A panic is that of whoever asked.
func TestPanic(t *testing.T) {
	g := new(Group[int])
	for range 2 {
		func() {
			defer func() {
				if why := recover(); !strings.Contains(fmt.Sprint(why), "too bad") {
					t.Errorf("Get panics with %v; want what read did", why)
				}
			}()
			v, _, err := g.Get(t.Context(), "key", func(context.Context) (int, error) { panic("too bad") })
			t.Errorf("Get = %d, %v", v, err)
		}()
	}
}
