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
	programs := relayPrograms(t)
	if len(programs) == 0 {
		t.Error("no perl or python3 to test with")
	}
	data := make([]byte, 1<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	for program, path := range programs {
		for _, network := range []string{"unix", "tcp"} {
			t.Run(program+" "+network, func(t *testing.T) {
				r := startRelay(t, program, path, network, serve(t, network, func(c net.Conn) { _, _ = io.Copy(c, c) }))
				go func() { _, _ = r.in.Write(data) }()
				r.want(data)
				r.end()
			})
		}
	}
}

// Who sends without reading does not keep the relay from what the other sends.
func TestRelayBothWaysAtOnce(t *testing.T) {
	data := make([]byte, 1<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	for program, path := range relayPrograms(t) {
		t.Run(program, func(t *testing.T) {
			arrived := make(chan []byte, 1)
			r := startRelay(t, program, path, "unix", serve(t, "unix", func(c net.Conn) {
				got := make([]byte, len(data))
				n, _ := c.Read(got[:1]) // the other has begun
				_, _ = c.Write(data)
				m, _ := io.ReadFull(c, got[n:])
				arrived <- got[:n+m]
			}))
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = r.in.Write(data)
			}()
			r.want(data)
			<-sent
			if !bytes.Equal(<-arrived, data) {
				t.Error("what arrived is not what was sent")
			}
			r.end()
		})
	}
}

// relayPrograms are the programs of the relay that the machine has.
func relayPrograms(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, program := range []string{"perl", "python3"} {
		path, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		if program == "python3" { // which may be a script that looks for the real one
			out, err := exec.CommandContext(t.Context(), path, "-c", "import sys; print(sys.executable)").Output()
			if err != nil {
				t.Fatal(err)
			}
			path = strings.TrimSpace(string(out))
		}
		found[program] = path
	}
	return found
}

// A startedRelay is a relay at work.
type startedRelay struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
	err *bytes.Buffer
}

// startRelay starts a relay on a machine that has only one of the programs.
func startRelay(t *testing.T, program, path, network, address string) *startedRelay {
	t.Helper()
	bin := t.TempDir()
	if err := os.Symlink(path, filepath.Join(bin, program)); err != nil {
		t.Fatal(err)
	}
	r := &startedRelay{t: t, cmd: exec.CommandContext(t.Context(), "/bin/sh", Relay(network, address)[1:]...), err: new(bytes.Buffer)}
	r.cmd.Env = []string{"PATH=" + bin}
	r.cmd.Stderr = r.err
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if r.out, err = r.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// want waits for what is to come back.
func (r *startedRelay) want(data []byte) {
	r.t.Helper()
	got := make([]byte, len(data))
	if _, err := io.ReadFull(r.out, got); err != nil {
		r.t.Fatalf("read what came back: %v: %s", err, r.err)
	}
	if !bytes.Equal(got, data) {
		r.t.Error("what came back is not what was sent")
	}
}

// end ends what the relay is sent, and with it the relay.
func (r *startedRelay) end() {
	r.t.Helper()
	if err := r.in.Close(); err != nil {
		r.t.Error(err)
	}
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("the relay ended with %v: %s", err, r.err)
	}
}

func TestRelayWithoutAnyProgram(t *testing.T) {
	cmd := exec.Command("/bin/sh", Relay("unix", "/nowhere")[1:]...)
	cmd.Env = []string{"PATH=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("no perl or python3")) {
		t.Errorf("relay = %v, %q; want a failure that says what is missing", err, out)
	}
}

// serve talks with one who connects, and returns where.
func serve(t *testing.T, network string, talk func(net.Conn)) string {
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
		talk(c)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	if network == "tcp" {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return "localhost:" + port
	}
	return address
}
