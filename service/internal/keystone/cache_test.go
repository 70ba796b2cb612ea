package keystone_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"glancectl/service/internal/keystone"

	"github.com/google/go-cmp/cmp"
)

func TestAnswersAreCached(t *testing.T) {
	s := newSite(t)
	s.tokens["gAAAAA-short"] = fakeToken{"u1", "p1", nil, s.clock.Now().Add(100 * time.Second)}
	steps := []struct {
		what        string
		wait        time.Duration
		token       string
		code        int
		validations int // so far
	}{
		{"first", 0, memberToken, 200, 1},
		{"second", 299 * time.Second, memberToken, 200, 1},
		{"after the cache time", time.Second, memberToken, 200, 2},
		{"bad", 0, "gAAAAA-unknown", 401, 3},
		{"bad again", 9 * time.Second, "gAAAAA-unknown", 401, 3},
		{"bad after the pause", time.Second, "gAAAAA-unknown", 401, 4},
	}
	for _, step := range steps {
		s.clock.add(step.wait)
		w, _ := s.get("X-Auth-Token", step.token)
		if _, n := s.counts(); w.Code != step.code || n != step.validations {
			t.Errorf("%s: %d after %d validations; want %d after %d", step.what, w.Code, n, step.code, step.validations)
		}
	}
}

func TestCachedTokenExpires(t *testing.T) {
	s := newSite(t)
	s.tokens["gAAAAA-short"] = fakeToken{"u1", "p1", nil, s.clock.Now().Add(100 * time.Second)}
	if w, _ := s.get("X-Auth-Token", "gAAAAA-short"); w.Code != 200 {
		t.Fatalf("before it expires: %d; want 200", w.Code)
	}
	s.clock.add(100 * time.Second)
	if w, _ := s.get("X-Auth-Token", "gAAAAA-short"); w.Code != 401 {
		t.Errorf("after it expired: %d; want 401", w.Code)
	}
}

func TestNoCache(t *testing.T) {
	s := newSite(t, func(o *keystone.Options) { o.CacheTime = -1 })
	for range 3 {
		s.get("X-Auth-Token", memberToken)
	}
	if _, n := s.counts(); n != 3 {
		t.Errorf("validations of 3 requests without a cache = %d; want 3", n)
	}
}

func TestCallersShareNothing(t *testing.T) {
	s := newSite(t)
	_, first := s.get("X-Auth-Token", memberToken)
	first.Roles[0] = "admin"
	if _, second := s.get("X-Auth-Token", memberToken); !cmp.Equal(second, member) {
		t.Errorf("caller = %+v; want %+v", second, member)
	}
}

func TestConcurrentRequestsShareOneQuestion(t *testing.T) {
	s := newSite(t)
	s.hold = make(chan struct{})
	var g sync.WaitGroup
	for range 50 {
		g.Go(func() {
			if w, got := s.get("X-Auth-Token", memberToken); w.Code != 200 || !cmp.Equal(got, member) {
				t.Errorf("concurrent request = %d, %+v; want 200, %+v", w.Code, got, member)
			}
		})
	}
	waitFor(t, func() bool { _, n := s.counts(); return n == 1 })
	close(s.hold)
	g.Wait()
	if logins, n := s.counts(); logins != 1 || n != 1 {
		t.Errorf("50 requests took %d log-ins and %d validations; want 1 and 1", logins, n)
	}
}

// A client that gives up must not take others with it that wait for the same
// answer.
func TestClientGoesAway(t *testing.T) {
	s := newSite(t)
	s.hold = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	h := s.m.Require(http.NotFoundHandler())
	first := make(chan int)
	go func() {
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
		r.Header.Set("X-Auth-Token", memberToken)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		first <- w.Code
	}()
	waitFor(t, func() bool { _, n := s.counts(); return n == 1 })
	second := make(chan int)
	go func() {
		w, _ := s.get("X-Auth-Token", memberToken)
		second <- w.Code
	}()
	cancel()
	<-first
	close(s.hold)
	if code := <-second; code != 200 {
		t.Errorf("second request = %d; want 200", code)
	}
	if s.log.String() != "" {
		t.Errorf("a client that went away was logged as a failure:\n%s", s.log)
	}
}

func TestOwnTokenIsRenewed(t *testing.T) {
	s := newSite(t, func(o *keystone.Options) { o.CacheTime = -1 })
	s.tokens[memberToken] = fakeToken{"u1", "p1", nil, s.clock.Now().Add(24 * time.Hour)}
	for _, step := range []struct {
		what   string
		before func()
		logins int // so far
	}{
		{"first", func() {}, 1},
		{"again", func() { s.clock.add(50 * time.Minute) }, 1},
		{"shortly before it expires", func() { s.clock.add(9*time.Minute + time.Second) }, 2},
		{"after it was revoked", func() { s.revoke("gAAAAA-own-token") }, 3},
	} {
		step.before()
		w, _ := s.get("X-Auth-Token", memberToken)
		if n, _ := s.counts(); w.Code != 200 || n != step.logins {
			t.Errorf("%s: %d after %d log-ins; want 200 after %d", step.what, w.Code, n, step.logins)
		}
	}
}

func TestWrongServicePassword(t *testing.T) {
	s := newSite(t)
	s.password = "another"
	for range 5 {
		if w, _ := s.get("X-Auth-Token", memberToken); w.Code != 503 {
			t.Errorf("with a wrong service password: %d; want 503", w.Code)
		}
	}
	if n, _ := s.counts(); n != 1 {
		t.Errorf("log-ins with a wrong password = %d; want 1, or the account gets locked", n)
	}
	s.set(func() { s.password = servicePassword })
	s.clock.add(10 * time.Second)
	if w, _ := s.get("X-Auth-Token", memberToken); w.Code != 200 {
		t.Errorf("after the password was repaired: %d; want 200", w.Code)
	}
}
