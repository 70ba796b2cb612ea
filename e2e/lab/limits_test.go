package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The kernel's limits are raised when they are too low, and the last who
// needs that puts them back.
func TestLimits(t *testing.T) {
	dir, settings := t.TempDir(), t.TempDir()
	instances, watches := filepath.Join(settings, "max_user_instances"), filepath.Join(settings, "max_user_watches")
	for name, text := range map[string]string{instances: "128\n", watches: "1000000\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raise := func(name string) {
		if err := roomForWatches(t.Context(), dir, name, settings); err != nil {
			t.Fatal(err)
		}
	}
	back := func(name string) {
		cmd := exec.CommandContext(t.Context(), "sh", "-s", dir, name, settings)
		cmd.Stdin = strings.NewReader(limitsScript + `limits_back "$@"`)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("put back for %s: %v: %s", name, err, out)
		}
	}
	are := func(when, want string) {
		t.Helper()
		for name, want := range map[string]string{instances: want, watches: "1000000"} {
			if text, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(text)) != want {
				t.Errorf("%s, %s is %q, %v; want %s", when, filepath.Base(name), text, err, want)
			}
		}
	}
	raise("one")
	are("raised for one", "8192")
	raise("two")
	back("one")
	are("needed by another", "8192")
	back("two")
	are("needed by nobody", "128")
	raise("three")
	are("raised again", "8192")
	back("three")
	back("three")
	are("put back twice", "128")
}
