package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ownerVariable makes the test binary a lab's owner that somebody will kill.
const ownerVariable = "GLANCECTL_LAB_OWNER"

func TestMain(m *testing.M) {
	switch os.Getenv(ownerVariable) {
	case "": // these are the tests
		Main(m, "the tests of the lab", "e2e")
	case "apart":
		Main(owner{}, "the owner of a lab", "e2e")
	}
	owner{}.Run()
}

type owner struct{}

// Run starts a lab, says so and stays.
func (owner) Run() int {
	if _, err := Start(context.Background(), Config{ImageNodes: 1, Log: os.Stderr}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up", os.Getpid())
	select {}
}

func start(t *testing.T, c Config) *Lab {
	t.Helper()
	c.Log = t.Output()
	l, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		nothingLeft(t)
	})
	return l
}

func sh(t *testing.T, l *Lab, node, script string) string {
	t.Helper()
	out, err := l.Run(t.Context(), node, script)
	if err != nil {
		t.Errorf("%s: %v", script, err)
	}
	return strings.TrimSpace(out)
}

// nothingLeft looks everywhere a lab puts something. It holds the lock, so
// that it does not find what another test is using.
func nothingLeft(t *testing.T) {
	t.Helper()
	h, err := lock(context.Background(), lockName, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer h.release()
	for _, pattern := range []string{
		liveDir, "/run/netns/glab-*", limitsDir + "/for-*", limitsDir + "/max_*",
		"/sys/fs/cgroup/glab-*", "/sys/fs/cgroup/systemd/glab-*", "/sys/fs/cgroup/unified/glab-*",
	} {
		left, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if strings.HasPrefix(link.Name, "glab") {
			t.Errorf("left behind: network link %s", link.Name)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), liveDir) {
		t.Errorf("left mounted: something below %s", liveDir)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), liveDir) {
			t.Errorf("left running: %q", text)
		}
	}
}

func TestMachines(t *testing.T) {
	l := start(t, Config{ImageNodes: 2, Database: true, Keystone: true})
	for _, n := range l.Nodes() {
		if got := sh(t, l, n.Name, "systemctl is-system-running --wait"); got != "running" {
			t.Errorf("%s is %q: %s", n.Name, got, sh(t, l, n.Name, "systemctl --failed"))
		}
		if got := sh(t, l, n.Name, "hostname; systemctl is-active ssh cron"); got != n.Name+"\nactive\nactive" {
			t.Errorf("%s: name and services are %q", n.Name, got)
		}
		if got := sh(t, l, n.Name, "hostname -I"); got != n.Address {
			t.Errorf("%s has the addresses %q; want %s", n.Name, got, n.Address)
		}
	}
	if a, b := sh(t, l, "image-1", "cat /etc/machine-id"), sh(t, l, "image-2", "cat /etc/machine-id"); a == b || a == "" {
		t.Errorf("machine IDs are %q and %q", a, b)
	}
	t.Run("operator", func(t *testing.T) {
		argv := append(l.SSH("image-1", Operator), "id -un; sudo -n id -un")
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).Output(); string(out) != "ops\nroot\n" {
			t.Errorf("%q = %q, %v", argv, out, err)
		}
	})
	t.Run("database", func(t *testing.T) {
		if got := sh(t, l, DatabaseNode, "mysql -NBe 'SELECT CURRENT_USER()'"); got != "root@localhost" {
			t.Errorf("root is %q there", got)
		}
		if err := speaksFirst("3306")(l.Node(DatabaseNode))(t.Context()); err != nil {
			t.Errorf("MariaDB from outside: %v", err)
		}
	})
	t.Run("keystone", func(t *testing.T) {
		got := sh(t, l, KeystoneNode, ". "+DemoOpenrc+"; openstack token issue -f value -c project_id; . "+AdminOpenrc+
			"; openstack role list -f value -c Name | sort; openstack project list -f value -c Name | sort")
		lines := strings.Split(got, "\n")
		if len(lines) != 6 || !slices.Equal(lines[1:], []string{"admin", "member", "reader", "admin", "demo"}) {
			t.Errorf("token, roles and projects are %q", lines)
		}
		if l.AdminPassword() == "" || l.AdminPassword() == l.DemoPassword() {
			t.Errorf("passwords are %q and %q", l.AdminPassword(), l.DemoPassword())
		}
	})
	t.Run("own services", func(t *testing.T) {
		// Machines in one control group would wait for each other's processes.
		begin := time.Now()
		sh(t, l, "image-1", "systemctl stop cron")
		if got := sh(t, l, "image-2", "systemctl is-active cron"); got != "active" || time.Since(begin) > 20*time.Second {
			t.Errorf("after cron of image-1 was stopped in %v, that of image-2 is %s", time.Since(begin), got)
		}
	})
}

func TestFailures(t *testing.T) {
	l := start(t, Config{ImageNodes: 2, DiskMiB: map[string]int{"image-2": 32}})
	answers := func(node string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		return speaksFirst("22")(l.Node(node))(ctx) == nil
	}
	sh(t, l, "image-1", "echo kept >/root/file; sync")
	for name, down := range map[string]func(string) error{"PowerCut": l.PowerCut, "StopNode": l.StopNode} {
		if err := down("image-1"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if answers("image-1") {
			t.Errorf("image-1 answers after %s", name)
		}
		if !answers("image-2") {
			t.Errorf("image-2 does not answer after %s of the other", name)
		}
		if err := l.StartNode(t.Context(), "image-1"); err != nil {
			t.Fatalf("start after %s: %v", name, err)
		}
		if got := sh(t, l, "image-1", "cat /root/file; systemctl is-active cron"); got != "kept\nactive" {
			t.Errorf("after %s and a start: %q", name, got)
		}
	}
	if err := l.StartNode(t.Context(), "image-1"); err == nil {
		t.Error("a running node started again")
	}

	if err := l.Freeze("image-1"); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", l.Node("image-1").Address+":22", 3*time.Second)
	if err != nil {
		t.Errorf("connect to a frozen node: %v", err)
	} else {
		c.Close()
	}
	if answers("image-1") {
		t.Error("a frozen node answers")
	}
	if err := l.Thaw("image-1"); err != nil {
		t.Fatal(err)
	}
	if !answers("image-1") {
		t.Error("a thawed node does not answer")
	}

	if err := l.Unplug(t.Context(), "image-1"); err != nil {
		t.Fatal(err)
	}
	if answers("image-1") {
		t.Error("an unplugged node answers")
	}
	if err := l.Plug(t.Context(), "image-1"); err != nil {
		t.Fatal(err)
	}
	sh(t, l, "image-1", "true")

	got := sh(t, l, "image-2", "head -c 100M /dev/zero 2>/dev/null | dd of=/root/big 2>&1 | grep -o 'No space.*'; rm /root/big; echo x >/root/small; cat /root/small")
	if got != "No space left on device\nx" {
		t.Errorf("filling a small disk gave %q", got)
	}
}

// Many machines start in seconds.
func TestTwenty(t *testing.T) {
	begin := time.Now()
	l := start(t, Config{ImageNodes: 20})
	t.Logf("20 nodes are up after %v", time.Since(begin).Round(100*time.Millisecond))
	if err := l.each(func(n *Node) error {
		state, err := l.Run(t.Context(), n.Name, "systemctl is-system-running --wait")
		if err == nil && strings.TrimSpace(state) != "running" {
			err = fmt.Errorf("%s is %s", n.Name, state)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// killed starts an owner of a lab, kills it and all of its process group, as a
// terminal or an impatient runner would, and returns when it has ended.
func killed(t *testing.T, how string, signal syscall.Signal) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), ownerVariable+"="+how)
	if how == "apart" {
		cmd.Env = append(cmd.Env, insideMarker+"=")
	}
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if killErr := syscall.Kill(-cmd.Process.Pid, signal); killErr != nil {
		t.Error(killErr)
	}
	_ = cmd.Wait() // it was killed
	if !strings.HasPrefix(line, "up ") {
		t.Fatalf("the owner said %q, %v", line, err)
	}
}

// However a lab's owner ends, nothing of the lab stays.
func TestKilledOwner(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			killed(t, "alone", signal)
			// The reaper holds the lock until it is done.
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			h, err := lock(ctx, lockName, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.release(); err != nil {
				t.Error(err)
			}
			nothingLeft(t)
		})
	}
}

// When the reaper is killed, Close does its work; when the owner is killed as
// well, the next lab does.
func TestDeadReaper(t *testing.T) {
	for name, end := range map[string]func(*Lab) error{
		"owner lives": (*Lab).Close,
		"owner ends": func(l *Lab) error {
			err := l.reaper.owner.Close()
			_ = l.reaper.cmd.Wait() // it was killed
			return errors.Join(err, l.hold.release())
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Start(t.Context(), Config{ImageNodes: 1, Log: t.Output()})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.reaper.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			if err := end(l); err != nil {
				t.Error(err)
			}
			start(t, Config{ImageNodes: 1})
		})
	}
}

func TestDetached(t *testing.T) {
	l, err := Start(t.Context(), Config{ImageNodes: 1, Detach: true, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	info, err := Status()
	if err != nil || info == nil || len(info.Nodes) != 1 || !info.Detached {
		t.Fatalf("Status = %+v, %v", info, err)
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", info.Nodes[0].SSH+" hostname").Output()
	if string(out) != "image-1\n" {
		t.Errorf("%s hostname = %q, %v", info.Nodes[0].SSH, out, err)
	}
	if second, err := Start(t.Context(), Config{}); err == nil {
		t.Error("a second lab started")
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := Down(t.Context(), t.Output()); err != nil {
		t.Error(err)
	}
	if info, err := Status(); info != nil || err != nil {
		t.Errorf("Status after Down = %+v, %v", info, err)
	}
	nothingLeft(t)
}

func TestStartRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"too many nodes":     {ImageNodes: MaxImageNodes + 1},
		"no such node":       {ImageNodes: 1, DiskMiB: map[string]int{"image-2": 8}},
		"negative":           {ImageNodes: -1},
		"limit without node": {DiskMiB: map[string]int{DatabaseNode: 8}},
	} {
		if l, err := Start(t.Context(), c); err == nil {
			t.Errorf("%s: Start succeeded", name)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	nothingLeft(t)
}
