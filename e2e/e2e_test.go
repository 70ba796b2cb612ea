// Package e2e holds the end-to-end tests: glancectl against real nodes, with
// real databases, a real Keystone and the real clients.
//
// `make e2e` runs them; they need root on Debian. They know glancectl as a
// program only: what it prints, how it ends, and what is on the nodes then.
package e2e

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

func TestMain(m *testing.M) {
	lab.Main(m, "the end-to-end tests", "e2e")
}

// A site is a lab and the glancectl that works on it.
type site struct {
	*lab.Lab
	dir string // of the proposal
	bin string

	mu  sync.Mutex
	all bytes.Buffer // all that glancectl ever printed
}

// newSite starts a lab that is taken down when the test ends.
func newSite(tb testing.TB, c lab.Config) *site {
	tb.Helper()
	bin, err := filepath.Abs("../bin/glancectl")
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
	return &site{Lab: l, dir: tb.TempDir(), bin: bin}
}

// A result is how a run of glancectl ended.
type result struct {
	args           []string
	stdout, stderr string
	code           int
	took           time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("glancectl %s: exit %d after %.1fs\n--- stdout\n%s--- stderr\n%s",
		strings.Join(r.args, " "), r.code, r.took.Seconds(), r.stdout, r.stderr)
}

// command is glancectl with args, in the site's directory.
func (s *site) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, s.bin, args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "NO_COLOR=1", "PLANTED="+planted, "PLANTED_DB="+plantedDB, "PLANTED_NOTE="+plantedNote)
	return c
}

// glancectl runs glancectl to its end.
func (s *site) glancectl(args ...string) result {
	_, done := s.start(args...)
	return <-done
}

// start starts glancectl and returns its process, and a channel that yields
// the result when it has ended.
func (s *site) start(args ...string) (*os.Process, <-chan result) {
	var out, errs bytes.Buffer
	c := s.command(context.Background(), args...)
	c.Stdout, c.Stderr = &out, &errs
	done := make(chan result, 1)
	begun := time.Now()
	if err := c.Start(); err != nil {
		done <- result{args: args, stderr: err.Error(), code: -1}
		return nil, done
	}
	go func() {
		_ = c.Wait() // the exit code says it
		r := result{args: args, stdout: out.String(), stderr: errs.String(), code: c.ProcessState.ExitCode(), took: time.Since(begun)}
		s.mu.Lock()
		s.all.WriteString(r.stdout + r.stderr)
		s.mu.Unlock()
		done <- r
	}()
	return c.Process, done
}

// want runs glancectl and requires an exit code and texts in its output.
func (s *site) want(t testing.TB, code int, texts []string, args ...string) result {
	t.Helper()
	r := s.glancectl(args...)
	t.Logf("glancectl %s: exit %d after %.1fs", strings.Join(args, " "), r.code, r.took.Seconds())
	if r.code != code {
		t.Fatalf("want exit %d\n%v", code, r)
	}
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("want %q in the output\n%v", text, r)
		}
	}
	return r
}

// converged requires that an apply succeeds, that the plan after it is empty,
// and that another apply does nothing.
func (s *site) converged(t testing.TB, proposal string) {
	t.Helper()
	s.want(t, 0, nil, "apply", "--auto-approve", proposal)
	s.want(t, 0, []string{"No changes"}, "plan", "--detailed-exitcode", proposal)
}

// write writes a file of the site.
func (s *site) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// on runs a script on a node as root and returns what it prints.
func (s *site) on(t testing.TB, node, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, err := s.Run(ctx, node, script)
	if err != nil {
		t.Fatalf("on %s: %s\n%v\n%s", node, script, err, out)
	}
	return strings.TrimSpace(out)
}

// fails requires that a script on a node fails, and returns what it says.
func (s *site) fails(t testing.TB, node, script string) string {
	t.Helper()
	out, err := s.Run(context.Background(), node, script)
	if err == nil {
		t.Fatalf("on %s: %s\nsucceeded: %s", node, script, out)
	}
	return out + err.Error()
}

// eventually waits until ok, for half a minute.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within 30 s", what)
}

// jsonLines reads glancectl's JSON lines of one type.
func jsonLines(t testing.TB, r result, kind string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(r.stdout), "\n") {
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
