package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// placesLeft looks everywhere a place puts something.
func placesLeft(t *testing.T) []string {
	t.Helper()
	var left []string
	for _, pattern := range []string{
		apartDir + "/[0-9]*", limitsDir + "/for-*",
		"/sys/fs/cgroup/" + apartGroup + "*", "/sys/fs/cgroup/systemd/" + apartGroup + "*", "/sys/fs/cgroup/unified/" + apartGroup + "*",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, found...)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if p == "/proc/1/cmdline" {
			continue // this test runs apart itself
		}
		if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), apartDir) {
			left = append(left, string(text))
		}
	}
	return left
}

// However tests that run apart end, nothing of them stays.
func TestKilledApart(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			killed(t, "apart", signal)
			for end := time.Now().Add(time.Minute); len(placesLeft(t)) > 0 && time.Now().Before(end); {
				time.Sleep(50 * time.Millisecond)
			}
			if left := placesLeft(t); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			nothingLeft(t)
		})
	}
}

// What runs apart sees its own processes, network and labs, and its exit code
// comes back. When its reaper is killed, the next one cleans up.
func TestApart(t *testing.T) {
	p, err := newPlace(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	script := `set -e
test "$(ls /var/lib/glancectl-lab)" = ""
test "$(ip -o link show up | cut -d' ' -f2)" = lo:
ip netns add one
ip link add there type bridge
test -e /sys/class/net/there
test "$(ps -e -o pid= | wc -l)" -lt 8
sleep 1000 &
exit 7`
	cmd := exec.CommandContext(t.Context(), "sh", p.script(), group(p.dir), p.state(), stateDir, "sh", "-c", script)
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit code %d, %v; want 7:\n%s", code, err, out)
	}
	if _, err := os.Stat("/run/netns/one"); err == nil {
		t.Error("its network namespace is seen outside")
	}
	if err := p.reaper.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = p.reaper.owner.Close() // nobody reads it any more
	_ = p.reaper.cmd.Wait()    // it was killed
	if err := p.hold.release(); err != nil {
		t.Error(err)
	}
	if len(placesLeft(t)) == 0 {
		t.Error("nothing is left although nobody cleaned up")
	}
	// What the reaper was running has the lock for a moment longer.
	for end := time.Now().Add(10 * time.Second); len(placesLeft(t)) > 0 && time.Now().Before(end); {
		next, err := newPlace(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := next.remove(); err != nil {
			t.Error(err)
		}
	}
	if left := placesLeft(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
