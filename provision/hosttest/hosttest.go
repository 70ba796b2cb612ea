// Package hosttest is the suite that every provision.Host passes, and an SSH
// server for tests of what runs over SSH.
//
// It is used by tests alone. The server really executes the commands that it
// is sent, on this machine and as this user.
package hosttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/provision"
)

// soon is how long things may take that should happen at once.
const soon = 10 * time.Second

// Run checks everything that a Host promises. open returns a Host under the
// name "node", whose commands run on this machine; it is closed by the suite.
func Run(t *testing.T, open func(t *testing.T) provision.Host) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, h provision.Host)
	}{
		{"Name", testName},
		{"Result", testResult},
		{"Quoting", testQuoting},
		{"Missing", testMissing},
		{"Stdin", testStdin},
		{"StdinUnread", testStdinUnread},
		{"Streaming", testStreaming},
		{"Cap", testCap},
		{"Cancel", testCancel},
		{"CancelledBefore", testCancelledBefore},
		{"Parallel", testParallel},
		{"Pipe", testPipe},
		{"PipeEnds", testPipeEnds},
		{"Dial", testDial},
		{"DialRefused", testDialRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := open(t)
			defer func() {
				if err := h.Close(); err != nil {
					t.Errorf("Close() = %v", err)
				}
			}()
			test.run(t, h)
		})
	}
}

// run runs a command that must be known to have ended.
func run(t *testing.T, h provision.Host, c provision.Cmd) provision.Result {
	t.Helper()
	res, err := h.Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run(%q) = %v", c.Argv, err)
	}
	return res
}

func sh(script string) provision.Cmd {
	return provision.Cmd{Argv: []string{"sh", "-c", script}}
}

func testName(t *testing.T, h provision.Host) {
	if got := h.Name(); got != "node" {
		t.Errorf("Name() = %q; want %q", got, "node")
	}
}

func testResult(t *testing.T, h provision.Host) {
	res := run(t, h, sh("echo out; echo err >&2; exit 7"))
	if res.Status != 7 || string(res.Stdout) != "out\n" || string(res.Stderr) != "err\n" {
		t.Errorf("Run = %d, %q, %q; want 7, out, err", res.Status, res.Stdout, res.Stderr)
	}
	if res := run(t, h, sh("exit 0")); res.Status != 0 {
		t.Errorf("Run(exit 0) = status %d", res.Status)
	}
}

func testQuoting(t *testing.T, h provision.Host) {
	args := []string{"a b", "$HOME", "`id`", `"'\`, "", "*", "; echo X", "ü\n\t"}
	res := run(t, h, provision.Cmd{Argv: append([]string{"printf", `%s|`}, args...)})
	if got, want := string(res.Stdout), strings.Join(args, "|")+"|"; got != want {
		t.Errorf("arguments arrived as %q; want %q", got, want)
	}
}

func testMissing(t *testing.T, h provision.Host) {
	if res := run(t, h, provision.Cmd{Argv: []string{"glancectl-no-such-program"}}); res.Status != 127 || len(res.Stderr) == 0 {
		t.Errorf("a program that is not there: status %d, stderr %q; want 127 and why", res.Status, res.Stderr)
	}
	if _, err := h.Run(t.Context(), provision.Cmd{}); err == nil {
		t.Error("Run(no command) = nil; want an error")
	}
}

func testStdin(t *testing.T, h provision.Host) {
	in := bytes.Repeat([]byte("0123456789abcdef\x00\xff"), 100_000)
	res := run(t, h, provision.Cmd{Argv: []string{"cat"}, Stdin: bytes.NewReader(in)})
	if !bytes.Equal(res.Stdout, in) {
		t.Errorf("cat gave back %d bytes of %d, or others", len(res.Stdout), len(in))
	}
}

func testStdinUnread(t *testing.T, h provision.Host) {
	in := strings.NewReader(strings.Repeat("x", 4<<20))
	if res := run(t, h, provision.Cmd{Argv: []string{"true"}, Stdin: in}); res.Status != 0 {
		t.Errorf("a command that does not read its input: status %d; want 0", res.Status)
	}
}

// testStreaming reads a line before the command can go on: it waits for a
// file that is made only then.
func testStreaming(t *testing.T, h provision.Host) {
	flag := filepath.Join(t.TempDir(), "flag")
	c := sh("echo first; while [ ! -e " + provision.Quote(flag) + " ]; do sleep 0.01; done; echo second")
	var out bytes.Buffer
	c.Stdout = writerFunc(func(b []byte) (int, error) {
		if out.Len() == 0 {
			if err := os.WriteFile(flag, nil, 0o600); err != nil {
				return 0, err
			}
		}
		return out.Write(b)
	})
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	res, err := h.Run(ctx, c)
	if err != nil || out.String() != "first\nsecond\n" || len(res.Stdout) != 0 {
		t.Errorf("Run = %v; streamed %q, kept %q; want both lines streamed and none kept", err, out.String(), res.Stdout)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func testCap(t *testing.T, h provision.Host) {
	res := run(t, h, sh("head -c 9000000 /dev/zero; head -c 9000000 /dev/zero >&2; exit 3"))
	if len(res.Stdout) != provision.MaxOutput || len(res.Stderr) != provision.MaxOutput || res.Status != 3 {
		t.Errorf("Run = status %d, %d and %d bytes; want 3, %d and %d", res.Status,
			len(res.Stdout), len(res.Stderr), provision.MaxOutput, provision.MaxOutput)
	}
}

// testCancel ends a command that says when it is told to end.
func testCancel(t *testing.T, h provision.Host) {
	told := filepath.Join(t.TempDir(), "told")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := sh("trap 'echo yes >" + provision.Quote(told) + "; exit' TERM HUP; echo ready; while :; do sleep 0.05; done")
	c.Stdout = writerFunc(func(b []byte) (int, error) {
		cancel()
		return len(b), nil
	})
	begin := time.Now()
	if _, err := h.Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("Run after cancel = %v; want context.Canceled", err)
	}
	if d := time.Since(begin); d > soon {
		t.Errorf("Run returned %s after cancel", d)
	}
	wait(t, "the command was not told to end", func() bool {
		_, err := os.Stat(told)
		return err == nil
	})
}

// wait fails the test when ok does not become true soon.
func wait(t *testing.T, why string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !ok(); {
		if time.Now().After(end) {
			t.Fatal(why)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func testCancelledBefore(t *testing.T, h provision.Host) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Run(ctx, sh("exit 0")); !errors.Is(err, context.Canceled) {
		t.Errorf("Run with an ended context = %v; want context.Canceled", err)
	}
}

func testParallel(t *testing.T, h provision.Host) {
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			res, err := h.Run(t.Context(), sh("cat; exit 5"))
			if err != nil || res.Status != 5 {
				t.Errorf("Run = status %d, %v; want 5", res.Status, err)
			}
		})
	}
	wg.Wait()
}

func testPipe(t *testing.T, h provision.Host) {
	c, err := h.Pipe(t.Context(), []string{"cat"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Errorf("SetDeadline = %v", err)
	}
	echo(t, c, c)
}

// echo sends lines and expects them back.
func echo(t *testing.T, w io.Writer, r io.Reader) {
	t.Helper()
	for _, line := range []string{"one\n", "two\x00\xff\n"} {
		if _, err := io.WriteString(w, line); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(line))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != line {
			t.Fatalf("sent %q, got back %q, %v", line, got, err)
		}
	}
}

func testPipeEnds(t *testing.T, h provision.Host) {
	ended := filepath.Join(t.TempDir(), "ended")
	c, err := h.Pipe(t.Context(), []string{"sh", "-c", "cat; echo yes >" + provision.Quote(ended)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	pid := filepath.Join(t.TempDir(), "pid")
	c, err = h.Pipe(t.Context(), []string{"sh", "-c", "echo $$ >" + provision.Quote(pid) + "; echo ready; exec sleep 1000"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "closing the pipe did not end its process", func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(b)) + "/stat")
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
}

func testDial(t *testing.T, h provision.Host) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
		c, err := h.Dial(t.Context(), network, l.Addr().String())
		if err != nil {
			t.Errorf("Dial(%s) = %v", network, err)
			continue
		}
		echo(t, c, c)
		if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Errorf("SetReadDeadline = %v", err)
		}
		var ne net.Error
		if _, err := c.Read(make([]byte, 1)); !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("Read past the deadline = %v; want a timeout", err)
		}
		c.Close()
	}
}

func testDialRefused(t *testing.T, h provision.Host) {
	if _, err := h.Dial(t.Context(), "unix", filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("Dial(a socket that is not there) = nil; want an error")
	}
}
