package provision_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancectl/provision"
	"glancectl/provision/localhost"
)

// A machine tells who holds a lock, and what time it is there.
func TestLookAtLocksAndClock(t *testing.T) {
	held, free := filepath.Join(t.TempDir(), "held"), filepath.Join(t.TempDir(), "free")
	for _, name := range []string{held, free} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(held)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	look := func() *provision.Facts {
		t.Helper()
		facts, err := provision.NewReader(localhost.New("here")).Look(t.Context(), []provision.Query{
			provision.LockQuery{Path: held}, provision.LockQuery{Path: free}, provision.LockQuery{Path: free + ".missing"}, provision.ClockQuery{},
		})
		if err != nil {
			t.Fatal(err)
		}
		return facts
	}
	facts := look()
	if len(facts.Locks) != 1 || facts.Locks[held] != os.Getpid() {
		t.Errorf("locks = %v; want that process %d has %s and nobody another", facts.Locks, os.Getpid(), held)
	}
	date := exec.Command("date", "+%z")
	date.Env = []string{"PATH=" + os.Getenv("PATH")}
	zone, err := date.Output()
	if err != nil {
		t.Fatal(err)
	}
	if off := time.Since(facts.Now).Abs(); off > time.Minute || facts.Now.Format("-0700") != strings.TrimSpace(string(zone)) {
		t.Errorf("now = %v; want about %v in zone %s", facts.Now, time.Now(), zone)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if facts := look(); len(facts.Locks) != 0 {
		t.Errorf("locks = %v after they were given up; want none", facts.Locks)
	}
}
