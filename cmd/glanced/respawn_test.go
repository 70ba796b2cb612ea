package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A controller calls glance-control.
type controller struct {
	t    *testing.T
	argv []string // that it is called by
	env  []string // that is added
	dir  string   // where its pid files are
}

func (c *controller) command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.argv[0], append(c.argv[1:len(c.argv):len(c.argv)], args...)...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// want calls it, requires an exit code and returns what it says.
func (c *controller) want(code int, says string, args ...string) {
	c.t.Helper()
	cmd := c.command(args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), says) {
		c.t.Errorf("glance-control %s = %d,\n%s\nwant %d and %q", args, got, out, code, says)
	}
}

// pid returns the process of a server, 0 if it has no pid file.
func (c *controller) pid(server string) int {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "glance-"+server+".pid"))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	n, numErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err := errors.Join(err, numErr); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// awaits waits until something is so.
func awaits(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing comes of waiting for " + what)
		}
	}
}

// anywhere configures all servers, each on a port that is free.
func anywhere(t *testing.T, program string) (conf string) {
	t.Helper()
	conf, _ = configure(t, program)
	dir := filepath.Dir(conf)
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "bind_port") && !strings.HasPrefix(line, "log_file") {
			kept = append(kept, line)
		}
	}
	touch(t, conf, strings.Join(kept, "")+"[DEFAULT]\nbind_port = 0\nlog_dir = "+dir+"\n[oslo_concurrency]\nlock_path = "+dir+"/lock\n")
	return conf
}

// TestControlAll has all servers, whose pid files are where nobody said. That
// directory is the test's own, by a mount that only glance-control sees.
func TestControlAll(t *testing.T) {
	t.Parallel()
	program := build(t)
	conf := anywhere(t, program)
	run := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	argv := []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /var/run && exec "$@"`, run}
	if os.Getuid() != 0 {
		argv = append([]string{"unshare", "--user", "--map-root-user"}, argv[1:]...)
	}
	c := &controller{t: t, argv: append(argv, program, "control"), dir: run + "/glance"}
	if out, err := exec.Command(argv[0], append(argv[1:], "true")...).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("unshare: %v: %s", err, out)
		}
		t.Logf("not tested: no mounts of one's own on this machine: %v: %s", err, out)
		return
	}
	servers := []string{"api", "registry", "scrubber"}
	t.Cleanup(func() { _ = c.command("all", "stop").Run() })
	pids := func() (list [3]int) {
		for i, server := range servers {
			list[i] = c.pid(server)
		}
		return list
	}
	alive := func(pids [3]int, want bool) {
		t.Helper()
		for i, server := range servers {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pids[i])) // none of who is gone
			if got := pids[i] != 0 && bytes.HasPrefix(line, []byte("glance-"+server)); got != want {
				t.Errorf("%s, process %d: lives %t; want %t", server, pids[i], got, want)
			}
		}
	}
	c.want(3, "No glance-api running\nNo glance-registry running\nNo glance-scrubber running", "all", "status")
	c.want(0, "Starting glance-api\nStarting glance-registry\nStarting glance-scrubber\n", "all", "start", conf)
	first := pids()
	alive(first, true)
	c.want(0, fmt.Sprintf("glance-api running: %d\nglance-registry running: %d\nglance-scrubber running: %d\n", first[0], first[1], first[2]), "all", "status")
	c.want(0, "glance-registry appears to already be running: /var/run/glance/glance-registry.pid", "registry", "start", conf)

	// The scrubber has no log to begin anew, but settings to read.
	for _, server := range servers[:2] {
		log := filepath.Join(filepath.Dir(conf), "glance-"+server+".log")
		if err := os.Rename(log, log+".1"); err != nil {
			t.Fatal(err)
		}
	}
	c.want(0, "Stopping glance-scrubber", "all", "reload", conf)
	second := pids()
	alive(second, true)
	if second[0] != first[0] || second[1] != first[1] || second[2] == first[2] {
		t.Errorf("after a reload the processes are %d, before %d; want the scrubber's another and the rest the same", second, first)
	}
	for _, server := range servers[:2] {
		awaits(t, "a new log of "+server, func() bool { return exists(filepath.Join(filepath.Dir(conf), "glance-"+server+".log")) })
	}
	for _, command := range []string{"restart", "force-reload"} {
		before := pids()
		c.want(0, "Stopping glance-registry", "all", command, conf)
		alive(before, false)
		alive(pids(), true)
	}
	c.want(0, "Stopping glance-registry", "glance-registry", "shutdown")
	last := pids()
	c.want(3, "No glance-registry running", "registry", "status")
	c.want(0, "No glance-registry running\nStopping glance-scrubber", "all", "stop")
	alive(last, false)
	if names, err := filepath.Glob(run + "/glance/*"); err != nil || len(names) > 0 {
		t.Errorf("left are %s, %v", names, err)
	}
}

// TestControlRespawn has glance-control stay and look after a server.
func TestControlRespawn(t *testing.T) {
	t.Parallel()
	program := build(t)
	conf := anywhere(t, program)
	dir := t.TempDir()
	c := &controller{t: t, argv: []string{program, "control", "--pid-file", dir + "/glance-api.pid"}, dir: dir}
	t.Cleanup(func() { _ = c.command("api", "stop").Run() })
	log := filepath.Join(dir, "said")
	said := func() string {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	// respawner returns when the server is looked after.
	respawner := func() *exec.Cmd {
		t.Helper()
		out, err := os.Create(log)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		keeper := c.command("--respawn", "api", "start", conf)
		keeper.Stdout, keeper.Stderr = out, out
		if err := keeper.Start(); err != nil {
			t.Fatal(err)
		}
		awaits(t, "the server to be looked after", func() bool { return strings.Contains(said(), "Looking after glance-api  pid: ") })
		return keeper
	}
	ends := func(keeper *exec.Cmd, want string) {
		t.Helper()
		defer time.AfterFunc(time.Minute, func() { _ = keeper.Process.Kill() }).Stop() // or it looks after it for ever
		if err := keeper.Wait(); err != nil || !strings.HasSuffix(said(), want) {
			t.Errorf("glance-control --respawn ends with %v and has said\n%s\nwant %q at its end", err, said(), want)
		}
	}
	keeper := respawner()
	first := c.pid("api")
	time.Sleep(1100 * time.Millisecond) // what dies within a second is not started again
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaits(t, "another server", func() bool { return strings.Count(said(), "Looking after glance-api") == 2 })
	if second := c.pid("api"); second == 0 || second == first {
		t.Errorf("after process %d was killed the server is process %d", first, second)
	}
	c.want(0, "glance-api running: ", "api", "status")
	c.want(0, "Stopping glance-api", "api", "stop")
	ends(keeper, "Suppressed respawn as glance-api was deliberately stopped\n")

	keeper = respawner()
	if err := syscall.Kill(c.pid("api"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ends(keeper, "Suppressed respawn as glance-api was bouncing\n")

	// The one who looks after it may end: the server goes on.
	keeper = respawner()
	last := c.pid("api")
	if err := keeper.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ends(keeper, fmt.Sprintf("Looking after glance-api  pid: %d\n", last))
	c.want(0, "glance-api running: ", "api", "status")
	c.want(0, "Stopping glance-api", "api", "stop")
}

// TestControlAwaits has glance-control exit as what it has started.
func TestControlAwaits(t *testing.T) {
	t.Parallel()
	program := build(t)
	conf := anywhere(t, program)
	dir := t.TempDir()
	c := &controller{t: t, argv: []string{program, "control", "--pid-file", dir + "/glance-api.pid"}, dir: dir}
	t.Cleanup(func() { _ = c.command("api", "stop").Run() })
	began := time.Now()
	c.want(0, "Starting glance-api\n", "--await-child", "1", "api", "start", conf)
	if took := time.Since(began); took < time.Second {
		t.Errorf("--await-child 1 returns after %v", took)
	}
	c.want(0, "Stopping glance-api", "api", "stop")

	awaiting := c.command("--await-child", "60", "api", "start", conf)
	var said bytes.Buffer
	awaiting.Stdout, awaiting.Stderr = &said, &said
	if err := awaiting.Start(); err != nil {
		t.Fatal(err)
	}
	awaits(t, "the server", func() bool { return exec.Command(c.argv[0], append(c.argv[1:], "api", "status")...).Run() == nil })
	if err := syscall.Kill(c.pid("api"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := awaiting.Wait(); awaiting.ProcessState.ExitCode() != 1 {
		t.Errorf("--await-child of a server that is killed: %v, %s; want exit 1", err, &said)
	}
}

// TestControlCaptures has what a server writes to standard error go where
// logger takes it.
func TestControlCaptures(t *testing.T) {
	t.Parallel()
	program := build(t)
	conf := anywhere(t, program)
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	touch(t, conf, strings.Replace(string(text), "log_dir", "#", 1)) // so it logs to standard error
	dir := t.TempDir()
	c := &controller{t: t, dir: dir, env: []string{"PATH=" + dir + ":" + os.Getenv("PATH")},
		argv: []string{program, "control", "--capture-output", "--pid-file", dir + "/glance-api.pid"}}
	plain := &controller{t: t, dir: dir, argv: []string{program, "control", "--pid-file", dir + "/glance-api.pid"}}
	t.Cleanup(func() { _ = plain.command("api", "stop").Run() })
	touch(t, dir+"/logger", "#!/bin/sh\necho \"$*\" >>"+dir+"/args\nexec cat >>"+dir+"/syslog\n")
	if err := os.Chmod(dir+"/logger", 0o700); err != nil {
		t.Fatal(err)
	}
	c.want(0, "Starting glance-api", "api", "start", conf)
	tag := fmt.Sprintf("-t glance-api[%d]\n", c.pid("api"))
	plain.want(0, "Stopping glance-api", "api", "stop")
	read := func(name string) string {
		text, _ := os.ReadFile(dir + name) // it may not be there yet
		return string(text)
	}
	awaits(t, "the log of the server's end", func() bool { return strings.Contains(read("/syslog"), "glance.api") })
	if got := read("/args"); got != tag {
		t.Errorf("logger is called with %q; want %q", got, tag)
	}
	plain.want(0, "Starting glance-api", "api", "start", conf)
	plain.want(0, "Stopping glance-api", "api", "stop")
	if got := read("/args"); got != tag {
		t.Errorf("without --capture-output logger is called: %q", got)
	}
	c.env = []string{"PATH=" + dir + "/none"}
	c.want(1, `api: exec: "logger": executable file not found`, "api", "start", conf)
}
