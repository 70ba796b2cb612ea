// Package turns lets those who ask for the same thing at the same time take
// turns instead of all at once, without giving anybody what is older than the
// question.
//
// The catalog asks its database so, and the APIs the catalog: what is the same
// for several callers, down to the last byte of an answer, is made once. What it
// is that is read, and what makes two questions the same, is up to them.
package turns

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// A Group answers those who ask for the same thing at the same time with one
// reading of it. Nothing is ever read before somebody asks for it: who comes
// while it is being read waits for the next reading, which all who have come by
// then share. When several shared one, the next waits a little for as many to
// come again: clients that ask for a thing at the same time often go on doing
// so, and without that they part into those who are being answered and those
// who wait. Where they do not come, that is tried more and more rarely. The zero
// value is ready to use.
type Group[T any] struct {
	mu     sync.Mutex
	lines  map[string]*line[T]
	missed int // how often in a row a crowd was waited for that did not come
	skip   int // how many readings are not to wait for one
}

// alone is after how long somebody who waits for a reading to begin does one
// without the others: one that hangs must not keep everybody waiting.
const alone = 50 * time.Millisecond

// longest is how long those who may ask again are waited for at most, if it is
// not half of the time that the last reading took.
const longest = 2 * time.Millisecond

// A line is the readings of one thing.
type line[T any] struct {
	now  *reading[T]
	next *reading[T] // nil if nobody waits for one
}

// A reading is one look at a thing.
type reading[T any] struct {
	// What follows is guarded by the group until the reading has begun.
	read   func(ctx context.Context) (T, error) // of who asked first; nil if nobody has
	ctx    context.Context                      // of those who wait, as long as there are any
	cancel context.CancelFunc
	users  int           // who wait for it
	crowd  int           // how many may be expected to
	begun  bool          // nobody joins any more
	all    chan struct{} // told when the crowd is complete; nil if there is none

	done   chan struct{} // closed when the rest is set
	value  T
	err    error
	panic  any  // what read panicked with, for each user
	shared bool // by several users
}

// Get returns what read returns, which is what key means to everybody, and
// whether somebody else has the same value. It is read as long as somebody waits
// for it, with the values of the context of whoever asked first.
func (g *Group[T]) Get(ctx context.Context, key string, read func(ctx context.Context) (T, error)) (v T, shared bool, err error) {
	r, begun := g.join(ctx, key, read)
	var late <-chan time.Time // never
	if !begun {
		patience := time.NewTimer(alone)
		defer patience.Stop()
		late = patience.C
	}
	for {
		select {
		case <-r.done:
			if r.panic != nil {
				panic(r.panic)
			}
			return r.value, r.shared, r.err
		case <-ctx.Done():
			g.leave(r, true)
			return v, false, ctx.Err()
		case <-late:
			if g.leave(r, false) {
				v, err = read(ctx)
				return v, false, err
			}
		}
	}
}

// join returns the reading that the caller waits for, and whether it is under
// way or about to be.
func (g *Group[T]) join(ctx context.Context, key string, read func(ctx context.Context) (T, error)) (r *reading[T], begun bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[key]
	if l != nil && !l.now.begun && !l.now.left() {
		l.now.add(ctx, read)
		return l.now, true
	}
	if l != nil && l.next != nil && !l.next.left() {
		l.next.add(ctx, read)
		return l.next, false
	}
	r = &reading[T]{done: make(chan struct{})}
	r.add(ctx, read)
	if l != nil {
		l.next = r
		return r, false
	}
	if g.lines == nil {
		g.lines = make(map[string]*line[T])
	}
	g.lines[key] = &line[T]{now: r}
	go g.run(key, r) // until nobody waits
	return r, true
}

// add makes the caller a user.
func (r *reading[T]) add(ctx context.Context, read func(ctx context.Context) (T, error)) {
	if r.read == nil {
		r.read = read
		r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	}
	r.users++
	if r.users == r.crowd {
		select {
		case r.all <- struct{}{}:
		default: // it was complete before
		}
	}
}

// left reports whether nobody waits any more of those who did.
func (r *reading[T]) left() bool { return r.read != nil && r.users == 0 }

// leave is for a user who waits no longer, or only if the reading has not begun
// unless always; it says whether the user has left. A reading for nobody is
// broken off.
func (g *Group[T]) leave(r *reading[T], always bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.begun && !always {
		return false
	}
	if r.users--; r.users == 0 {
		r.cancel()
	}
	return true
}

// do reads. A panic is not the end of the process, as it would not be if the
// users had read themselves.
func (r *reading[T]) do() {
	defer func() {
		if why := recover(); why != nil {
			r.panic = fmt.Errorf("%v\n%s", why, debug.Stack())
		}
	}()
	r.value, r.err = r.read(r.ctx)
}

// run reads as often as there is somebody who waits for it.
func (g *Group[T]) run(key string, r *reading[T]) {
	for patience := time.Duration(0); r != nil && g.begin(key, r, patience); {
		begun := time.Now()
		r.do()
		r.cancel()
		patience = min(time.Since(begun)/2, longest)
		next := g.turn(key, r)
		close(r.done)
		r = next
	}
}

// begin closes a reading to those who come later, unless nobody has come. A
// crowd is waited for; whoever is ready to ask is let in first in any case,
// which costs the others nothing but the work that is to be done anyway.
func (g *Group[T]) begin(key string, r *reading[T], patience time.Duration) bool {
	if r.all != nil {
		late := time.NewTimer(patience)
		select {
		case <-r.all:
		case <-late.C:
		}
		late.Stop()
	}
	runtime.Gosched()
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.all != nil {
		g.learn(r.users >= r.crowd)
	}
	if r.read == nil {
		delete(g.lines, key)
		return false
	}
	r.begun = true
	return true
}

// rarest is how rarely it is tried to wait for a crowd, as a power of two.
const rarest = 6

// learn remembers whether a crowd has come.
func (g *Group[T]) learn(came bool) {
	if came {
		g.missed = 0
		return
	}
	g.missed = min(g.missed+1, rarest)
	g.skip = 1<<g.missed - 2 // once is never
}

// turn ends a reading and returns the next; nil if nobody waits for one and
// no crowd is expected to.
func (g *Group[T]) turn(key string, r *reading[T]) *reading[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.shared = r.users > 1
	l := g.lines[key]
	next, waiting := l.next, 0
	if next != nil {
		waiting = next.users
	}
	// Who has asked alone is not expected: nobody would share with him.
	crowd := r.users + waiting
	expected := r.users > 0 && crowd > 1
	if expected && g.skip > 0 {
		g.skip--
		expected = false
	}
	if waiting == 0 {
		if !expected {
			delete(g.lines, key)
			return nil
		}
		next = &reading[T]{done: make(chan struct{})}
	}
	if expected {
		next.crowd, next.all = crowd, make(chan struct{}, 1)
	}
	l.now, l.next = next, nil
	return next
}
