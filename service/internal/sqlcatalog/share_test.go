package sqlcatalog

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
)

// A slowList is a list whose readings the test lets go one by one.
type slowList struct {
	begun chan context.Context
	land  chan error
}

func (l *slowList) read(ctx context.Context) ([]*glance.Image, error) {
	l.begun <- ctx
	if err := <-l.land; err != nil {
		return nil, err
	}
	return []*glance.Image{{ID: "a", Properties: map[string]string{}}}, ctx.Err()
}

// users waits until n users wait for the reading after the one under way.
func (s *sharer) users(t *testing.T, key string, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		have := 0
		if turns := s.lists[key]; turns != nil && turns.next != nil {
			have = turns.next.users
		}
		s.mu.Unlock()
		if have == n {
			return
		}
	}
	t.Fatalf("there are never %d who wait", n)
}

// Who comes while a list is read shares the next reading with all who do, and
// has a list of its own.
func TestShare(t *testing.T) {
	l := &slowList{make(chan context.Context), make(chan error)}
	s := &sharer{lists: make(map[string]*turns)}
	var wg sync.WaitGroup
	get := func(want error) {
		wg.Go(func() {
			list, err := s.get(t.Context(), "key", l.read)
			if !errors.Is(err, want) || err == nil && (len(list) != 1 || list[0].ID != "a") {
				t.Errorf("get = %v, %v; want %v", list, err, want)
			}
			for _, im := range list {
				im.Properties["mine"] = "x" // which is a race if it is somebody else's
			}
		})
	}
	broken := errors.New("broken")
	get(nil)
	<-l.begun
	for n := range 3 {
		get(broken)
		s.users(t, "key", n+1)
	}
	l.land <- nil
	<-l.begun
	get(nil)
	s.users(t, "key", 1)
	get(nil)
	s.users(t, "key", 2)
	l.land <- broken
	<-l.begun
	l.land <- nil
	wg.Wait()
	if len(s.lists) != 0 {
		t.Errorf("at the end %d lists are being read", len(s.lists))
	}
}

// A reading that nobody waits for is broken off; who waits long for one that
// has not begun reads the list alone.
func TestShareIsLeft(t *testing.T) {
	l := &slowList{make(chan context.Context), make(chan error)}
	s := &sharer{lists: make(map[string]*turns)}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if _, err := s.get(ctx, "key", l.read); !errors.Is(err, context.Canceled) {
			t.Errorf("get for somebody who went away: %v; want %v", err, context.Canceled)
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
		if list, err := s.get(t.Context(), "key", l.read); len(list) != 1 || err != nil {
			t.Errorf("get beside a reading that hangs = %v, %v", list, err)
		}
	})
	<-l.begun
	l.land <- nil
	l.land <- nil
	wg.Wait()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		n := len(s.lists)
		s.mu.Unlock()
		if n == 0 {
			return
		}
	}
	t.Error("a list is being read for ever")
}
