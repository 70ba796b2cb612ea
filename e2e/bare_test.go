package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBareBuild builds everything in a fresh clone, without the service inside.
// The glancectl of it says what is missing when it is asked to install that.
func TestBareBuild(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a clone")
	run(t, ".", "git", "clone", "-q", "--no-hardlinks", "..", dir)
	run(t, dir, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "./...")
	// Compiles the tests of what embeds something that make puts there; the rest is as in this clone.
	run(t, dir, "env", "CGO_ENABLED=0", "go", "list", "-test", "-export", "-trimpath", "./cmd/...")
	run(t, dir, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-o", "bare", "./cmd/glancectl")
	if out := run(t, dir, "./bare", "version"); !strings.Contains(out, "no image service inside; `make build` puts it there") {
		t.Errorf("version of a bare glancectl:\n%s", out)
	}
	for _, args := range [][]string{{"plan"}, {"apply", "--auto-approve"}} {
		c := exec.Command("./bare", append(args, "examples/quickstart.hcl")...)
		c.Dir = dir
		out, _ := c.CombinedOutput() // the code says how it went
		if code := c.ProcessState.ExitCode(); code != 12 || !strings.Contains(string(out), "not inside this glancectl: build it with `make build`, or name a program with --service-binary") {
			t.Errorf("bare glancectl %s: exit code %d; want 12 and what is missing\n%s", args[0], code, out)
		}
	}
	if out := run(t, dir, "sh", "-c", "find quickstart -type f 2>/dev/null || :"); out != "" {
		t.Errorf("a bare glancectl has put there:\n%s", out)
	}
}
