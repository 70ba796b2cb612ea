package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Ctrl-C tells the job to end, and says where to look how it did.
func TestJobRunInterrupted(t *testing.T) {
	p, root := localProposal(t)
	program := filepath.Join(root, "usr/bin/glance-scrubber")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\ntrap ': >" + root + "/ended; exit 1' TERM\n: >" + root + "/begun\nwhile :; do sleep 0.05; done\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	c := exec.Command("glancectl", "job", "run", p, "scrubber")
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	there := func(name string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(root, name)); err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the job has not %s", name)
			}
		}
	}
	there("begun")
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // the exit code tells
	if code := c.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(stderr.String(), "glancectl job log") {
		t.Errorf("job run: exit %d; want %d and where to look\n%s", code, exitInterrupted, stderr.String())
	}
	there("ended")
}
