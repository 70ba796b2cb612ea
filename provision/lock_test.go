package provision_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"glancectl/provision"
	"glancectl/provision/hosttest"
	"glancectl/provision/sshhost"
)

const lockPath = "run/lock/glancectl/production.lock"

func TestLock(t *testing.T) {
	s := newSite(t)
	nodes := []string{"b", "a", "c"}
	unlock, err := provision.Lock(t.Context(), nodes, s.connect, s.o)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if !s.exists(n, lockPath+"/info.json") {
			t.Errorf("no lock on %s", n)
		}
	}
	_, err = provision.Lock(t.Context(), []string{"c", "d"}, s.connect, s.o)
	var le *provision.LockedError
	if !errors.As(err, &le) || le.Node != "c" || le.Holder.PID != os.Getpid() || le.Holder.Operation != "apply" ||
		le.Holder.Host == "" || le.Holder.Started.IsZero() {
		t.Errorf("Lock = %v (%+v); want who holds it, on c", err, le)
	}
	if s.exists("d", lockPath) {
		t.Error("the second lock left something on d")
	}
	other := s.o
	other.Proposal = "staging"
	unlockOther, err := provision.Lock(t.Context(), nodes, s.connect, other)
	if err != nil {
		t.Errorf("Lock of another proposal = %v", err)
	} else {
		unlockOther()
	}
	unlock()
	unlock() // once more does no harm
	for _, n := range nodes {
		if s.exists(n, "run") {
			t.Errorf("after unlock there is something on %s", n)
		}
	}
}

// Of many who want the lock at once one gets it, and all can get it in turn.
func TestLockRace(t *testing.T) {
	s := newSite(t)
	var wg sync.WaitGroup
	var taken atomic.Int64
	for range 8 {
		wg.Go(func() {
			unlock, err := provision.Lock(t.Context(), []string{"a", "b"}, s.connect, provision.Options{Proposal: "production", Root: s.o.Root})
			var le *provision.LockedError
			if err == nil {
				taken.Add(1)
				defer unlock()
				time.Sleep(time.Second)
			} else if !errors.As(err, &le) {
				t.Errorf("Lock = %v; want it or a *LockedError", err)
			}
		})
	}
	wg.Wait()
	if n := taken.Load(); n != 1 {
		t.Errorf("%d got the lock; want 1", n)
	}
	unlock, err := provision.Lock(t.Context(), []string{"a", "b"}, s.connect, s.o)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// A lock without a sign of life is taken over, and whose it was is told.
func TestLockTakeover(t *testing.T) {
	s := newSite(t)
	info := s.path("a", lockPath+"/info.json")
	if err := os.MkdirAll(filepath.Dir(info), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(info, []byte(`{"id":"dead","who":"eve","host":"laptop"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		age   time.Duration
		taken bool
	}{{30 * time.Second, false}, {90 * time.Second, true}} {
		then := time.Now().Add(-test.age)
		if err := os.Chtimes(info, then, then); err != nil {
			t.Fatal(err)
		}
		s.events = nil
		unlock, err := provision.Lock(t.Context(), []string{"a"}, s.connect, s.o)
		if (err == nil) != test.taken {
			t.Errorf("Lock after %s = %v; taken over: want %v", test.age, err, test.taken)
		}
		if err != nil {
			var le *provision.LockedError
			if !errors.As(err, &le) || le.Holder.Who != "eve" || le.Age < 29*time.Second {
				t.Errorf("Lock = %v (%+v); want eve's, with its age", err, le)
			}
			continue
		}
		if got := strings.Join(s.events, "\n"); !strings.Contains(got, "lock_taken  a eve@laptop") {
			t.Errorf("events = %q; want from whom it was taken", got)
		}
		unlock()
	}
	if s.exists("a", "run/lock/glancectl") {
		t.Error("after unlock there is something left")
	}
}

// A lock is given back after the work was interrupted, too, and a node that
// cannot be reached does not hinder the others.
func TestUnlockAfterCancel(t *testing.T) {
	s := newSite(t)
	s.down["b"] = true
	ctx, cancel := context.WithCancel(t.Context())
	unlock, err := provision.Lock(ctx, []string{"a", "b"}, s.connect, s.o)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	unlock()
	if s.exists("a", lockPath) {
		t.Error("the lock is still there")
	}
}

// A lock is given back although the connection that it was taken over is lost.
func TestUnlockAfterLostConnection(t *testing.T) {
	s := newSite(t)
	srv := hosttest.NewServer(t)
	pool := provision.NewPool(func(ctx context.Context, node string) (provision.Host, error) {
		return sshhost.Dial(ctx, sshhost.Config{Name: node, Address: srv.Host, Port: srv.Port, PrivateKey: srv.KeyFile, KnownHosts: srv.KnownHosts})
	})
	defer pool.Close()
	unlock, err := provision.Lock(t.Context(), []string{"a"}, pool.Connect, s.o)
	if err != nil {
		t.Fatal(err)
	}
	srv.Drop()
	unlock()
	if s.exists("a", lockPath) {
		t.Error("the lock is still there")
	}
}

// Whoever slept while the lock was taken over learns it at the next sign of
// life, and does not touch the lock of the other.
func TestLockLost(t *testing.T) {
	s := newSite(t)
	lost := make(chan error, 1)
	s.o.Heartbeat, s.o.Lost = 50*time.Millisecond, func(err error) { lost <- err }
	unlock, err := provision.Lock(t.Context(), []string{"a"}, s.connect, s.o)
	if err != nil {
		t.Fatal(err)
	}
	other := `{"id":"other","who":"ann","host":"desk"}`
	if err := os.WriteFile(s.path("a", lockPath+"/info.json"), []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-lost:
		var locked *provision.LockedError
		if !errors.As(err, &locked) || locked.Holder.Who != "ann" {
			t.Errorf("told %v; want that ann has it", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a lost lock goes unnoticed")
	}
	unlock()
	if b, err := os.ReadFile(s.path("a", lockPath+"/info.json")); string(b) != other {
		t.Errorf("after unlock the other's lock is %q, %v; want it left alone", b, err)
	}
}

// A node without a place for a lock is left out; the others are locked.
func TestLockWithoutPlace(t *testing.T) {
	s := newSite(t)
	if err := os.MkdirAll(s.path("a", ""), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("a", "run"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	unlock, err := provision.Lock(t.Context(), []string{"a", "b"}, s.connect, s.o)
	if err != nil {
		t.Fatal(err)
	}
	if !s.exists("b", lockPath) {
		t.Error("b is not locked")
	}
	unlock()
	if _, err := provision.Lock(t.Context(), []string{"a"}, s.connect, s.o); err == nil {
		t.Error("Lock where there is no place at all = nil")
	}
}
