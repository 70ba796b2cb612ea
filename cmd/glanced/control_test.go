package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestControl(t *testing.T) {
	program := build(t)
	conf, address := configure(t, program)
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(conf)
	if err := os.WriteFile(conf, append(text, "[oslo_concurrency]\nlock_path = "+dir+"/lock\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	pid := filepath.Join(dir, "run", "x.pid")
	control := func(want int, says string, args ...string) {
		t.Helper()
		out, err := exec.Command(program, append([]string{"control", "--pid-file", pid}, args...)...).CombinedOutput()
		code := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != want || !strings.Contains(string(out), says) {
			t.Errorf("glance-control %s = %d,\n%s\nwant %d and %q", args, code, out, want, says)
		}
	}
	number := func() int {
		t.Helper()
		text, err := os.ReadFile(pid)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	answers := func() bool {
		resp, err := http.Get("http://" + address + "/healthcheck")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}
	t.Cleanup(func() { _ = exec.Command(program, "control", "--pid-file", pid, "api", "stop").Run() })
	t.Cleanup(func() { _ = exec.Command(program, "control", "--pid-file", pid, "scrubber", "stop").Run() })

	control(3, "No glance-api running", "api", "status", conf)
	control(0, "No glance-api running", "api", "stop", conf)
	control(1, "it does not run", "api", "reload", conf)
	control(1, "none.conf", "api", "start", filepath.Join(dir, "none.conf"))
	control(0, "Starting glance-api", "api", "start", conf)
	if !answers() {
		t.Error("the api does not answer after its start")
	}
	first := number()
	control(0, "glance-api running: "+strconv.Itoa(first), "api", "status")
	control(0, "appears to already be running", "glance-api", "start", conf)

	// A new log file is begun.
	if err := os.Rename(filepath.Join(dir, "log"), filepath.Join(dir, "log.1")); err != nil {
		t.Fatal(err)
	}
	control(0, "", "api", "reload", conf)
	for !exists(filepath.Join(dir, "log")) {
		if !answers() {
			t.Fatal("the api is gone after its reload")
		}
	}
	control(0, "Stopping glance-api", "api", "restart", conf)
	second := number()
	if second == first || !answers() {
		t.Errorf("after a restart process %d was %d and answers: %t", second, first, answers())
	}

	// A pid file of a dead process is no hindrance, even if its number is that
	// of another process now.
	if err := syscall.Kill(second, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for answers() {
		continue
	}
	if err := os.WriteFile(pid, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	control(0, "Removing stale pid file", "api", "start", conf)
	control(0, "Stopping glance-api", "api", "shutdown", conf)
	if answers() || exists(pid) {
		t.Errorf("after its end it answers: %t, has a pid file: %t", answers(), exists(pid))
	}
	if err := os.WriteFile(pid, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	control(1, "not the number of a process", "api", "stop", conf)
	if err := os.Remove(pid); err != nil {
		t.Fatal(err)
	}

	control(0, "Starting glance-scrubber", "scrubber", "start", conf)
	out, err := exec.Command(program, "scrubber", "--config-file", conf, "--restore", "0f6f4c0e-1111-4000-8000-00000000000a").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another scrubber is at work here") {
		t.Errorf("restore beside the daemon: %v, %s", err, out)
	}
	control(0, "Stopping glance-scrubber", "scrubber", "reload", conf)
	control(0, "Stopping glance-scrubber", "scrubber", "stop")
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
