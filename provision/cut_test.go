package provision_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glancectl/provision"
	"glancectl/provision/hosttest"
	"glancectl/provision/machine"
	"glancectl/provision/sshhost"
)

// An apply may be cut off after any step. The next one finishes the work, and
// takes nothing for a change by hand.
func TestCutAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		s := newSite(t)
		stages := func(v string) []provision.Stage {
			return []provision.Stage{
				stage("one", target("a", machine.Dir{Path: s.path("a", "d"), Mode: 0o700}, s.file("a", "d/x", v), s.file("a", "d/y", v),
					machine.Link{Path: s.path("a", "link"), Target: v}, s.file("a", "foreign", v))),
			}
		}
		if err := os.MkdirAll(s.path("a", ""), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.path("a", "foreign"), []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, v := range []string{"1", "2"} {
			s.cut = func(string) int { return n }
			_, err := s.apply(stages(v)...)
			s.cut = nil
			s.settles("a")
			if err == nil {
				if n < 5 {
					t.Fatalf("nothing was cut after %d steps", n)
				}
				return
			}
			if n%2 == 0 { // once more, on the way to something else
				s.cut = func(string) int { return n }
				_, _ = s.apply(stages(v + "x")...) // whether it was cut or came to its end
				s.cut = nil
				s.settles("a")
			}
			p := s.plan(stages(v)...)
			for _, c := range p.Stages[0].Targets[0].Changes {
				if c.Drifted {
					t.Errorf("cut after %d steps: %s is taken for a change by hand", n, c.ID)
				}
			}
			s.done(stages(v)...)
			for _, e := range s.receipt("a").Entries {
				if e.Pending != "" || e.Hash == "" {
					t.Errorf("cut after %d steps, and done: entry %+v", n, e)
				}
			}
		}
		s.done(stage("destroy", target("a", machine.Removal{})))
		if b, err := os.ReadFile(s.path("a", "foreign")); string(b) != "theirs" {
			t.Errorf("cut after %d steps: the foreign file came back as %q, %v", n, b, err)
		}
		if s.exists("a", "d") || s.exists("a", "link") || s.exists("a", "var/lib/glancectl") {
			t.Errorf("cut after %d steps: the removal left something", n)
		}
	}
}

// settles waits until what was cut off has noticed that: it goes on until it
// has something to say.
func (s *site) settles(node string) {
	last, same := "", 0
	for same < 5 {
		now := ""
		_ = filepath.WalkDir(s.path(node, ""), func(name string, d os.DirEntry, err error) error {
			if info, serr := os.Lstat(name); err == nil && serr == nil {
				now += fmt.Sprintln(name, info.Size(), info.ModTime())
			}
			return nil
		})
		if same++; now != last {
			last, same = now, 0
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A removal after an apply that was cut off before it touched a foreign file
// leaves that file alone.
func TestRemovalAfterCut(t *testing.T) {
	s := newSite(t)
	if err := os.MkdirAll(s.path("a", ""), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("a", "foreign"), []byte("theirs"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := s.apply(stage("one", target("a", failing("bad"), s.file("a", "foreign", "ours")))); err == nil {
		t.Fatal("Apply = nil; want the failure")
	}
	s.done(stage("destroy", target("a", machine.Removal{})))
	if b, err := os.ReadFile(s.path("a", "foreign")); string(b) != "theirs" {
		t.Errorf("the foreign file is %q, %v", b, err)
	}
}

// A disk on which a file does not fit any more is said, and leaves the old
// file and no other.
func TestFullDisk(t *testing.T) {
	s := newSite(t)
	s.done(stage("one", target("a", s.file("a", "x", "old"))))
	s.full = true
	_, err := s.apply(stage("one", target("a", s.file("a", "x", strings.Repeat("new", 100_000)))))
	if err == nil || !strings.Contains(err.Error(), "write "+s.path("a", "x")) || !strings.Contains(err.Error(), "cannot write: file system ") {
		t.Errorf("Apply = %v; want the file and why", err)
	}
	if b, err := os.ReadFile(s.path("a", "x")); string(b) != "old" {
		t.Errorf("the file is %q, %v; want the old one", b, err)
	}
	if names, err := filepath.Glob(s.path("a", ".*")); err != nil || len(names) > 0 {
		t.Errorf("left behind: %q, %v", names, err)
	}
	s.full = false
	s.done(stage("one", target("a", s.file("a", "x", "new"))))
}

// A connection that is lost in the middle of a script, wherever that is,
// leaves whole files and no others.
func TestLostConnection(t *testing.T) {
	s := newSite(t)
	srv := hosttest.NewServer(t)
	connect := func(ctx context.Context, node string) (provision.Host, error) {
		return sshhost.Dial(ctx, sshhost.Config{Name: node, Address: srv.Host, Port: srv.Port, PrivateKey: srv.KeyFile, KnownHosts: srv.KnownHosts})
	}
	for i, bytes := range []int64{1, 500, 3000, 6000, 10_000, 20_000} {
		content := strings.Repeat(fmt.Sprint(i), 3000)
		st := stage("one", target("a", s.file("a", "x", content), s.file("a", "y", content)))
		p, err := provision.Observe(t.Context(), []provision.Stage{st}, connect, s.o)
		if err != nil {
			t.Fatal(err)
		}
		srv.DropAfter.Store(bytes)
		_, err = provision.Apply(t.Context(), p, connect, s.o)
		srv.DropAfter.Store(0)
		if bytes < 10_000 && err == nil {
			t.Errorf("Apply over a connection that is cut after %d bytes = nil", bytes)
		}
		for _, f := range []string{"x", "y"} {
			if b, err := os.ReadFile(s.path("a", f)); err == nil && len(b) != 3000 {
				t.Errorf("cut after %d bytes: %s has %d bytes", bytes, f, len(b))
			}
		}
		s.done(st)
		if names, err := filepath.Glob(s.path("a", ".*")); err != nil || len(names) > 0 {
			t.Errorf("left behind: %q, %v", names, err)
		}
	}
}
