package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestQuickstart is the README's first command in a fresh clone: the service
// runs, an image makes the round trip, and nothing is left at the end.
func TestQuickstart(t *testing.T) {
	if c, err := net.Dial("tcp", "127.0.0.1:9292"); err == nil {
		c.Close()
		t.Fatal("something answers on 127.0.0.1:9292 already: the quickstart has no place")
	}
	dir := filepath.Join(t.TempDir(), "a clone") // where people keep things
	run(t, ".", "git", "clone", "-q", "--no-hardlinks", "..", dir)
	t.Cleanup(func() { _ = exec.Command("make", "-C", dir, "quickstart-stop").Run() }) // when the test failed before

	out := run(t, dir, "make", "quickstart")
	for _, want := range []string{"uploaded", "downloaded", "the same", "make quickstart-stop"} {
		if !strings.Contains(out, want) {
			t.Errorf("make quickstart does not say %q:\n%s", want, out)
		}
	}
	out = run(t, dir, "bin/glancectl", "plan", "--detailed-exitcode", "examples/quickstart.hcl")
	if !strings.Contains(out, "No changes") {
		t.Errorf("plan after quickstart:\n%s", out)
	}
	run(t, dir, "make", "quickstart-stop")
	if c, err := net.DialTimeout("tcp", "127.0.0.1:9292", time.Second); err == nil {
		c.Close()
		t.Error("after quickstart-stop something still answers on port 9292")
	}
	run(t, dir, "make", "clean")
	if out := run(t, dir, "git", "status", "--porcelain", "--ignored"); out != "" {
		t.Errorf("left after make clean:\n%s", out)
	}
}

// TestQuickstartWithoutRoot runs the quickstart's proposal as an ordinary user.
func TestQuickstartWithoutRoot(t *testing.T) {
	dir := filepath.Join("/var/tmp", "glancectl-quickstart-test")
	run(t, ".", "rm", "-rf", dir)
	run(t, ".", "mkdir", "-p", dir+"/examples")
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // below /var/tmp, nothing else uses it
	run(t, ".", "cp", "../bin/glancectl", dir)
	run(t, ".", "cp", "../examples/quickstart.hcl", dir+"/examples")
	run(t, ".", "chown", "-R", "nobody", dir)
	as := []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "HOME=" + dir}
	glancectl := func(args ...string) string {
		return run(t, dir, as[0], append(append(as[1:], "./glancectl"), args...)...)
	}
	glancectl("apply", "--auto-approve", "examples/quickstart.hcl")
	stop := func() {
		glancectl("destroy", "--auto-approve", "--images", "--database", "examples/quickstart.hcl")
	}
	defer stop()
	if out := glancectl("status", "examples/quickstart.hcl"); !strings.Contains(out, "glance-api answers") {
		t.Errorf("status:\n%s", out)
	}
	if out := run(t, dir, "find", "quickstart", "!", "-user", "nobody"); out != "" {
		t.Errorf("not owned by the calling user: %s", out)
	}
}

// run runs a program that must succeed and returns what it prints.
func run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
