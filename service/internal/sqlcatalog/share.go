package sqlcatalog

import (
	"context"
	"sync"
	"time"

	"glancectl/service/glance"
)

// A sharer answers those who ask for the same list at the same time with one
// reading of it. A list is never read before somebody asks for it: who comes
// while it is being read waits for the next reading, which all who have come by
// then share.
type sharer struct {
	mu    sync.Mutex
	lists map[string]*turns
}

// turns are the readings of one list.
type turns struct {
	now  *reading
	next *reading // nil if nobody waits for one
}

// A reading is one look at a list.
type reading struct {
	read   func(ctx context.Context) ([]*glance.Image, error)
	ctx    context.Context // of those who wait, as long as there are any
	cancel context.CancelFunc
	users  int  // who wait for it; guarded by the sharer, as is the next one
	begun  bool // nobody joins any more

	done   chan struct{} // closed when the rest is set
	list   []*glance.Image
	err    error
	shared bool // by several users
}

// get returns a list that nobody else has: what read returns, which is the list
// that key means. It is read as long as somebody waits for it.
func (s *sharer) get(ctx context.Context, key string, read func(ctx context.Context) ([]*glance.Image, error)) ([]*glance.Image, error) {
	r := s.join(ctx, key, read)
	patience := time.NewTimer(alone)
	defer patience.Stop()
	for {
		select {
		case <-r.done:
			return r.own()
		case <-ctx.Done():
			s.leave(r, true)
			return nil, ctx.Err()
		case <-patience.C:
			if s.leave(r, false) { // a reading that hangs must not keep others waiting
				return read(ctx)
			}
		}
	}
}

// own returns the list for one user, who may do with it what it wants.
func (r *reading) own() ([]*glance.Image, error) {
	if r.err != nil || !r.shared {
		return r.list, r.err
	}
	list := make([]*glance.Image, len(r.list))
	for i, im := range r.list {
		list[i] = im.Clone()
	}
	return list, nil
}

// join returns the reading that the caller waits for.
func (s *sharer) join(ctx context.Context, key string, read func(ctx context.Context) ([]*glance.Image, error)) *reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.lists[key]
	if t != nil && t.next != nil && t.next.users > 0 {
		t.next.users++
		return t.next
	}
	r := &reading{read: read, users: 1, done: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if t != nil {
		t.next = r
		return r
	}
	r.begun = true
	s.lists[key] = &turns{now: r}
	go s.run(key, r)
	return r
}

// leave is for a user who waits no longer, or only if the reading has not begun
// unless always; it says whether the user has left. A reading for nobody is
// broken off.
func (s *sharer) leave(r *reading, always bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.begun && !always {
		return false
	}
	if r.users--; r.users == 0 {
		r.cancel()
	}
	return true
}

// run reads the list as often as there is somebody who waits for it.
func (s *sharer) run(key string, r *reading) {
	for r != nil {
		r.list, r.err = r.read(r.ctx)
		r.cancel()
		next := s.turn(key, r)
		close(r.done)
		r = next
	}
}

// turn ends a reading of a list and returns the next, nil if nobody waits for
// one.
func (s *sharer) turn(key string, r *reading) *reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.shared = r.users > 1
	t := s.lists[key]
	if t.next == nil || t.next.users == 0 {
		delete(s.lists, key)
		return nil
	}
	t.now, t.next = t.next, nil
	t.now.begun = true
	return t.now
}
