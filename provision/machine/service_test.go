package machine_test

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancectl/provision"
	"glancectl/provision/machine"
)

func TestProcess(t *testing.T) {
	b := newBench(t)
	conf := machine.File{Path: b.path("conf"), Mode: 0o600, Content: []byte("1")}
	p := machine.Process{
		Name: "sleeper", Argv: []string{"sh", "-c", "echo $GREETING; exec sleep 1000"},
		PIDFile: b.path("pid"), LogFile: b.path("log"), Env: []string{"GREETING=it's on"}, Watch: []string{conf.ID()},
	}
	pid := func() string {
		got, err := os.ReadFile(b.path("pid"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(got))
	}
	t.Cleanup(func() { b.apply(machine.Removal{}) })
	b.apply(conf, p)
	b.want("log", "it's on\n", 0o644)
	first := pid()

	conf.Content = []byte("2")
	changes := b.apply(conf, p)
	if len(changes) != 2 || changes[1].Action != provision.Restart || pid() == first {
		t.Errorf("after its file changed: %+v, process %s then %s; want a restart", changes, first, pid())
	}
	kill(t, pid())
	if c := one(t, b.apply(conf, p)); c.Action != provision.Update || !c.Drifted {
		t.Errorf("after it was killed: %+v; want it started, as drifted", c)
	}
	second := pid()
	p.Argv = []string{"sleep", "1001"}
	if c := one(t, b.apply(conf, p)); c.Action != provision.Restart {
		t.Errorf("another command: %+v; want a restart", c)
	}
	last := pid()
	b.apply(machine.Removal{})
	for _, n := range []string{first, second, last} {
		if running(n) {
			t.Errorf("process %s is still there", n)
		}
	}
}

// running reports whether a process runs; one that nobody waited for does not.
func running(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// kill kills a process and waits until it is dead.
func kill(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); running(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %s does not die", pid)
		}
	}
}

// A process that does not know the newest file, because an apply was cut off
// before the restart, is restarted.
func TestProcessOlderThanFile(t *testing.T) {
	b := newBench(t)
	conf := machine.File{Path: b.path("conf"), Mode: 0o600, Content: []byte("1")}
	p := machine.Process{Name: "sleeper", Argv: []string{"sleep", "1000"}, PIDFile: b.path("pid"), LogFile: b.path("log"), Watch: []string{conf.ID()}}
	t.Cleanup(func() { b.apply(machine.Removal{}) })
	b.apply(conf, p)
	time.Sleep(1100 * time.Millisecond) // the start is known to the second
	b.write("conf", "1", 0o600)
	if c := one(t, b.apply(conf, p)); c.Action != provision.Restart || !strings.Contains(c.Summary, "newer than the process") {
		t.Errorf("change = %+v; want a restart", c)
	}
}

func TestProcessThatEnds(t *testing.T) {
	b := newBench(t)
	err := b.applyError(machine.Process{
		Name: "bad", Argv: []string{"sh", "-c", "echo bad configuration; exit 1"}, PIDFile: b.path("pid"), LogFile: b.path("log"),
	})
	if !strings.Contains(err.Error(), "bad configuration") {
		t.Errorf("error = %v; want the end of the log in it", err)
	}
	if strings.Contains(b.tree(), "pid") {
		t.Errorf("the PID file is still there: %s", b.tree())
	}
}

func TestCommand(t *testing.T) {
	b := newBench(t)
	conf := machine.File{Path: b.path("conf"), Mode: 0o600, Content: []byte("1")}
	flag := b.path("flag")
	r := machine.Command{Name: "schema", Check: []string{"test", "-e", flag}, Run: []string{"touch", flag}, Watch: []string{conf.ID()}}
	if c := b.apply(conf, r); len(c) != 2 {
		t.Errorf("first apply = %+v; want file and command", c)
	}
	conf.Content = []byte("2")
	if c := b.apply(conf, r); len(c) != 2 || c[1].Action != provision.Run {
		t.Errorf("after a watched change = %+v; want the command again", c)
	}
	if _, changes := b.plan(conf, machine.Command{Name: "later", Check: []string{b.path("no-such-program")}, Run: []string{"true"}}); len(changes) != 1 {
		t.Errorf("a check that is not installed yet: %+v; want the command", changes)
	}
	err := b.applyError(conf, machine.Command{Name: "bad", Check: []string{"false"}, Run: []string{"sh", "-c", "echo what went wrong >&2; exit 9"}})
	for _, want := range []string{"node", "command:bad", "exit status 9", "what went wrong"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v; want it to say %q", err, want)
		}
	}
	err = b.applyError(conf, machine.Command{Name: "useless", Check: []string{"false"}, Run: []string{"true"}})
	if !strings.Contains(err.Error(), "still to do") {
		t.Errorf("a command that changes nothing = %v; want it noticed", err)
	}
	err = b.applyError(conf, machine.Command{Name: "slow", Check: []string{"false"}, Run: []string{"sleep", "60"}, Timeout: time.Second})
	if !strings.Contains(err.Error(), "exit status 124") {
		t.Errorf("a command that takes too long = %v; want status 124", err)
	}
}
