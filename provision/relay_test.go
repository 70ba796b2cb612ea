package provision

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every program that the relay knows passes everything on, both ways, and
// ends with the server.
func TestRelay(t *testing.T) {
	tried := 0
	for _, program := range []string{"perl", "socat", "python3"} {
		path, err := exec.LookPath(program)
		if err != nil {
			continue // the machine has not all of them
		}
		if program == "python3" { // which may be a script that looks for the real one
			out, err := exec.CommandContext(t.Context(), path, "-c", "import sys; print(sys.executable)").Output()
			if err != nil {
				t.Fatal(err)
			}
			path = strings.TrimSpace(string(out))
		}
		tried++
		for _, network := range []string{"unix", "tcp"} {
			t.Run(program+" "+network, func(t *testing.T) {
				address := echoServer(t, network)
				bin := t.TempDir()
				if err := os.Symlink(path, filepath.Join(bin, program)); err != nil {
					t.Fatal(err)
				}
				data := make([]byte, 1<<20)
				if _, err := rand.Read(data); err != nil {
					t.Fatal(err)
				}
				cmd := exec.CommandContext(t.Context(), "/bin/sh", Relay(network, address)[1:]...)
				cmd.Env = []string{"PATH=" + bin}
				in, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = in.Write(data) }()
				got := make([]byte, len(data))
				if _, err := io.ReadFull(out, got); err != nil {
					t.Fatalf("read what came back: %v: %s", err, stderr.String())
				}
				if !bytes.Equal(got, data) {
					t.Error("what came back is not what was sent")
				}
				if err := in.Close(); err != nil {
					t.Error(err)
				}
				if err := cmd.Wait(); err != nil {
					t.Errorf("the relay ended with %v: %s", err, stderr.String())
				}
			})
		}
	}
	if tried == 0 {
		t.Error("no perl, socat or python3 to test with")
	}
}

func TestRelayWithoutAnyProgram(t *testing.T) {
	cmd := exec.Command("/bin/sh", Relay("unix", "/nowhere")[1:]...)
	cmd.Env = []string{"PATH=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("no perl, socat or python3")) {
		t.Errorf("relay = %v, %q; want a failure that says what is missing", err, out)
	}
}

// echoServer sends back what it is sent and returns its address.
func echoServer(t *testing.T, network string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "relay") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	address := filepath.Join(dir, "s")
	if network == "tcp" {
		address = "localhost:0" // a name
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	if network == "tcp" {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return "localhost:" + port
	}
	return address
}
