package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A standInDaemon is what `glancectl apply --service-binary` installs in these
// tests: this program, under the name of a daemon. It answers that it is well,
// unless the proposal sets an option mute.
func standInDaemon() {
	text, err := os.ReadFile(os.Args[len(os.Args)-1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	well := !bytes.Contains(text, []byte("\nmute = "))
	for line := range bytes.Lines(text) {
		if port, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("bind_port = ")); ok {
			handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if !well {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				fmt.Fprint(w, "OK")
			})
			fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+string(port), handler))
		}
	}
	os.Exit(1)
}

// standInManage is glance-manage: its database is always up to date.
func standInManage() { os.Exit(0) }

// localProposal is a proposal for this machine, below a directory of the test.
func localProposal(t *testing.T) (file, root string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "root")
	return write(t, "p.hcl", fmt.Sprintf(`proposal "p" {
  node "here" {
    connection = "local"
    init       = "process"
    root       = %q
  }
  role "glance-server" {
    nodes = ["here"]
    api {
      port        = %d
      bind_to_all = false
    }
    registry {
      port        = %d
      bind_to_all = false
    }
  }
}
`, root, freePort(t), freePort(t))), root
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// standIn is this program, as a file to install.
func standIn(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// Whoever stops reading does not stop an apply: it goes on to its end.
func TestNobodyReads(t *testing.T) {
	p, root := localProposal(t)
	binary := "--service-binary=" + standIn(t)
	t.Cleanup(func() {
		if out, err := exec.Command("glancectl", "destroy", "--auto-approve", "--images", "--database", binary, p).CombinedOutput(); err != nil {
			t.Errorf("destroy: %v\n%s", err, out)
		}
	})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	c := exec.Command("glancectl", "apply", "--auto-approve", binary, p)
	c.Stdout, c.Stderr = w, w
	if err := c.Run(); err != nil {
		t.Errorf("apply = %v; want it to come to its end", err)
	}
	w.Close()
	out, err := exec.Command("glancectl", "plan", "--detailed-exitcode", binary, p).CombinedOutput()
	if err != nil {
		t.Errorf("plan afterwards: %v; want nothing to do below %s\n%s", err, root, out)
	}
}

// A closed terminal, kill and Ctrl-C end a run in order.
func TestSignalsEndInOrder(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			h := hang(t, "")
			if err := h.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			state := h.end(t)
			if state.ExitStatus() != exitInterrupted || !strings.Contains(h.stderr.String(), "interrupted") {
				t.Errorf("plan ended with %d; want %d and a word\n%s", state.ExitStatus(), exitInterrupted, h.stderr.String())
			}
		})
	}
}

// The second Ctrl-C ends at once what the first one could not.
func TestSecondInterrupt(t *testing.T) {
	h := hang(t, "trap '' INT TERM HUP")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		state := h.end(t)
		if !state.Signaled() || state.Signal() != syscall.SIGINT {
			t.Errorf("plan ended with status %#x; want it ended by the signal\n%s", int(state), h.stderr.String())
		}
	}()
	for { // the first may still be under way when the second is sent
		if err := h.cmd.Process.Signal(syscall.SIGINT); err != nil {
			break
		}
		select {
		case <-ended:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	<-ended
}

// A hanging glancectl is one whose node does not answer.
type hanging struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

// hang starts a plan and returns when its node hangs, after a line of shell.
func hang(t *testing.T, line string) *hanging {
	t.Helper()
	p, _ := localProposal(t)
	bin := t.TempDir()
	fifo := filepath.Join(bin, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	stat := "#!/bin/sh\n" + line + "\necho $$ >" + fifo + "\nexec sleep 60\n"
	if err := os.WriteFile(filepath.Join(bin, "stat"), []byte(stat), 0o755); err != nil {
		t.Fatal(err)
	}
	h := new(hanging)
	h.cmd = exec.Command("glancectl", "plan", "--service-binary="+standIn(t), p)
	h.cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	h.cmd.Stderr = &h.stderr
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(fifo) // until the node is asked
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	said, err := bufio.NewReader(f).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(said))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			t.Errorf("end the program that hangs: %v", err)
		}
	})
	return h
}

// end waits for glancectl and says how it ended.
func (h *hanging) end(t *testing.T) syscall.WaitStatus {
	if err := h.cmd.Wait(); err == nil {
		t.Error("plan worked; want it ended")
	}
	return h.cmd.ProcessState.Sys().(syscall.WaitStatus)
}
