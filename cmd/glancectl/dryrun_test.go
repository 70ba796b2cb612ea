package main

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// apply --dry-run says word for word what plan says, ends as it does, and
// changes nothing; --auto-approve makes no difference to it.
func TestDryRun(t *testing.T) {
	t.Parallel()
	p, root := localProposal(t)
	binary := "--service-binary=" + standIn(t)
	same := func(file string, want int, says string) {
		t.Helper()
		before := snapshot(t, root)
		for _, json := range []string{"--json=false", "--json"} {
			code, plan := apart("plan", json, binary, file)
			if code != want || json != "--json" && !strings.Contains(plan, says) {
				t.Errorf("plan %s: exit code %d; want %d and %q\n%s", json, code, want, says, plan)
			}
			code, dry := apart("apply", "-dry-run", "--auto-approve", json, binary, file)
			if diff := cmp.Diff(plan, dry); code != want || diff != "" {
				t.Errorf("apply --dry-run %s: exit code %d; want %d\nit says (-plan +apply):\n%s", json, code, want, diff)
			}
		}
		if after := snapshot(t, root); after != before {
			t.Errorf("something was changed:\n%s\nbefore:\n%s", after, before)
		}
	}
	same(p, exitOK, "glance-api.conf")
	same(good(t), exitConnect, "n")
	same(write(t, "p.hcl", "nonsense {}\n"), exitInvalid, "nonsense")

	// Somebody else's apply is not in the way, and this is not in its.
	m := atTerminal(t, "apply", binary, p)
	if !m.hear(question) {
		t.Fatalf("apply asked nothing\n%s", m.said.String())
	}
	if code, said := ends("apply", "--dry-run", binary, p); code != exitOK {
		t.Errorf("apply --dry-run beside an apply: exit code %d; want %d\n%s", code, exitOK, said)
	}
	if _, err := m.person.WriteString("yes\n"); err != nil {
		t.Fatal(err)
	}
	if code := m.end(t); code != exitOK {
		t.Errorf("the apply beside the dry runs ended with %d\n%s", code, m.said.String())
	}
	same(p, exitOK, "No changes")
	if code, said := ends("destroy", "--auto-approve", "--images", "--database", binary, p); code != exitOK {
		t.Errorf("destroy ended with %d\n%s", code, said)
	}
}

var moment = regexp.MustCompile(`"time":"[^"]*"`)

// apart runs glancectl and returns its exit code and what it wrote, to standard
// output and to standard error, without the times.
func apart(args ...string) (code int, said string) {
	var stdout, stderr bytes.Buffer
	c := exec.Command("glancectl", args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	_ = c.Run() // the code says how it went
	text := moment.ReplaceAll(stdout.Bytes(), nil)
	return c.ProcessState.ExitCode(), string(text) + "\n-- standard error --\n" + stderr.String()
}
