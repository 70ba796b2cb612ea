// Package rig is what the end-to-end tests are written with: a lab, and the
// glancectl of this machine that works on it.
//
// It knows glancectl as a program only: what it prints and how it ends. What a
// test wants to be so is a failure of the test when it is not.
package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/e2e/lab"
)

// A Site is a lab and the glancectl that works on it.
type Site struct {
	*lab.Lab
	Dir string   // where glancectl is called
	Bin string   // glancectl
	Env []string // of glancectl, besides that of the test

	mu  sync.Mutex
	all bytes.Buffer // all that glancectl ever printed
}

// New starts a lab that is taken down when the test ends. The program is the
// one in bin, which is below root.
func New(tb testing.TB, root string, c lab.Config) *Site {
	tb.Helper()
	bin, err := filepath.Abs(filepath.Join(root, "bin/glancectl"))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		tb.Fatalf("%v: run `make build` first", err)
	}
	c.Log = os.Stderr
	l, err := lab.Start(context.Background(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Errorf("lab: %v", err)
		}
	})
	return &Site{Lab: l, Dir: tb.TempDir(), Bin: bin}
}

// Home makes a home directory in which the key of the lab and the keys of its
// nodes are where SSH looks for them.
func (s *Site) Home(tb testing.TB) string {
	tb.Helper()
	home := tb.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		tb.Fatal(err)
	}
	for name, file := range map[string]string{"id_ed25519": s.Key(), "known_hosts": s.KnownHosts()} {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, ".ssh", name), text, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return home
}

// A Result is how a run of glancectl ended.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("glancectl %s: exit %d after %.1fs\n--- stdout\n%s--- stderr\n%s",
		strings.Join(r.Args, " "), r.Code, r.Took.Seconds(), r.Stdout, r.Stderr)
}

// Lines reads glancectl's JSON lines of one type.
func (r Result) Lines(t testing.TB, kind string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(r.Stdout), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("line %q is not JSON: %v\n%v", line, err, r)
		}
		if m["type"] == kind {
			out = append(out, m)
		}
	}
	return out
}

// Command is glancectl with args.
func (s *Site) Command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, s.Bin, args...)
	c.Dir = s.Dir
	c.Env = append(append(os.Environ(), "NO_COLOR=1"), s.Env...)
	return c
}

// Glancectl runs glancectl to its end.
func (s *Site) Glancectl(args ...string) Result {
	_, done := s.Begin(args...)
	return <-done
}

// Begin starts glancectl and returns its process, and a channel that yields
// the result when it has ended.
func (s *Site) Begin(args ...string) (*os.Process, <-chan Result) {
	var out, errs bytes.Buffer
	c := s.Command(context.Background(), args...)
	c.Stdout, c.Stderr = &out, &errs
	done := make(chan Result, 1)
	begun := time.Now()
	if err := c.Start(); err != nil {
		done <- Result{Args: args, Stderr: err.Error(), Code: -1}
		return nil, done
	}
	go func() {
		_ = c.Wait() // the exit code says it
		r := Result{Args: args, Stdout: out.String(), Stderr: errs.String(), Code: c.ProcessState.ExitCode(), Took: time.Since(begun)}
		s.mu.Lock()
		s.all.WriteString(r.Stdout + r.Stderr)
		s.mu.Unlock()
		done <- r
	}()
	return c.Process, done
}

// Printed is all that glancectl has printed so far.
func (s *Site) Printed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// Want runs glancectl and requires an exit code and texts in its output.
func (s *Site) Want(t testing.TB, code int, texts []string, args ...string) Result {
	t.Helper()
	r := s.Glancectl(args...)
	t.Logf("glancectl %s: exit %d after %.1fs", strings.Join(args, " "), r.Code, r.Took.Seconds())
	if r.Code != code {
		t.Fatalf("want exit %d\n%v", code, r)
	}
	for _, text := range texts {
		if !strings.Contains(r.Stdout+r.Stderr, text) {
			t.Errorf("want %q in the output\n%v", text, r)
		}
	}
	return r
}

// Converged requires that an apply succeeds, and that the plan after it is
// empty. The arguments are those of both.
func (s *Site) Converged(t testing.TB, args ...string) {
	t.Helper()
	s.Want(t, 0, nil, append([]string{"apply", "--auto-approve"}, args...)...)
	s.Want(t, 0, []string{"No changes"}, append([]string{"plan", "--detailed-exitcode"}, args...)...)
}

// Write writes a file of the site.
func (s *Site) Write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// On runs a script on a node as root and returns what it prints.
func (s *Site) On(t testing.TB, node, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, err := s.Run(ctx, node, script)
	if err != nil {
		t.Fatalf("on %s: %s\n%v\n%s", node, script, err, out)
	}
	return strings.TrimSpace(out)
}

// Fails requires that a script on a node fails, and returns what it says.
func (s *Site) Fails(t testing.TB, node, script string) string {
	t.Helper()
	out, err := s.Run(context.Background(), node, script)
	if err == nil {
		t.Fatalf("on %s: %s\nsucceeded: %s", node, script, out)
	}
	return out + err.Error()
}

// Eventually waits until ok, for half a minute.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within 30 s", what)
}
