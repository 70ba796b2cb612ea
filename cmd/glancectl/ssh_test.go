package main

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/hosttest"
)

// write writes a file of a test and returns its name.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// privateKey is a file with a new private key, that nobody knows.
func privateKey(t *testing.T) string {
	t.Helper()
	key, _ := hosttest.NewKey(t)
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "key", string(pem.EncodeToMemory(block)))
}

// openSession begins a session with the proposal in text.
func openSession(t *testing.T, text string) *session {
	t.Helper()
	a := &app{streams: streams{out: io.Discard, err: t.Output(), env: func(string) (string, bool) { return "", false }}, parallelism: 10}
	a.newView()
	s, err := a.begin(write(t, "p.hcl", text), "plan")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

// sshProposal is a proposal with a node that is reached over SSH.
func sshProposal(all, node string) string {
	return fmt.Sprintf(`proposal "p" {
  ssh {
    %s
  }
  node "n" {
    address = "127.0.0.1"
    ssh {
      %s
    }
  }
  role "glance-server" { nodes = ["n"] }
}
`, all, node)
}

// Every attribute of an ssh block reaches the connection, from the proposal
// and from the node, whose own counts.
func TestSSHAttributes(t *testing.T) {
	server := hosttest.NewServer(t)
	silent := hosttest.NewServer(t)
	silent.BlackHole.Store(true)
	stranger := privateKey(t)
	nobody := write(t, "known_hosts", "")

	type set map[string]string
	right := set{
		"user": `"root"`, "port": fmt.Sprint(server.Port), "private_key": fmt.Sprintf("%q", server.KeyFile),
		"known_hosts": fmt.Sprintf("%q", server.KnownHosts), "host_keys": `"strict"`,
		"connect_timeout": "10", "command_timeout": "60",
	}
	type row struct {
		field string // of proposals.SSH
		with  set    // beside what is right
		want  string // part of what goes wrong; "" for nothing
	}
	rows := []row{
		{"User", set{"user": `"deploy"`}, ""},
		{"Port", set{"port": "1"}, "127.0.0.1:1"},
		{"PrivateKey", set{"private_key": fmt.Sprintf("%q", stranger)}, "login as root refused"},
		{"KnownHosts", set{"known_hosts": fmt.Sprintf("%q", nobody)}, "is not in " + nobody},
		{"HostKeys", set{"known_hosts": fmt.Sprintf("%q", write(t, "new", "")), "host_keys": `"accept-new"`}, ""},
		{"ConnectTimeout", set{"port": fmt.Sprint(silent.Port), "connect_timeout": "1"}, "no answer within 1s"},
		{"CommandTimeout", set{"command_timeout": "1"}, "did not end within 1s"},
	}
	for field := range reflect.TypeFor[proposals.SSH]().Fields() {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.field == field.Name }) {
			t.Errorf("no row for %s", field.Name)
		}
	}
	text := func(base, over set) string {
		var b strings.Builder
		for name, value := range base {
			if o := over[name]; o != "" {
				value = o
			}
			fmt.Fprintf(&b, "%s = %s\n", name, value)
		}
		return b.String()
	}
	for _, row := range rows {
		for where, proposal := range map[string]string{
			"proposal": sshProposal(text(right, row.with), ""),
			"node":     sshProposal(text(right, nil), text(row.with, nil)),
		} {
			t.Run(row.field+"/"+where, func(t *testing.T) {
				if row.field != "User" { // who logged in last is asked below
					t.Parallel()
				}
				tryCommand(t, openSession(t, proposal), row.field, row.want)
				if user := server.LastUser.Load(); row.field == "User" && user != "deploy" {
					t.Errorf("logged in as %v; want deploy", user)
				}
			})
		}
	}
}

// tryCommand connects to the node and, to see how long a command may take,
// runs one that takes long. What goes wrong must be as wanted.
func tryCommand(t *testing.T, s *session, field, want string) {
	t.Helper()
	h, err := s.pool.Connect(t.Context(), "n")
	if err == nil && field == "CommandTimeout" {
		_, err = h.Run(t.Context(), provision.Cmd{Argv: []string{"sleep", "30"}})
	}
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("connecting = %v; want %q", err, want)
	}
}

// A machine that takes connections and never says a word is given up when the
// proposal's time is over, with the code for that.
func TestConnectTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody accepts: the kernel alone answers
	port := l.Addr().(*net.TCPAddr).Port
	p := write(t, "p.hcl", sshProposal(fmt.Sprintf("port = %d\nconnect_timeout = 1\nprivate_key = %q\nknown_hosts = %q",
		port, privateKey(t), write(t, "known_hosts", "")), ""))
	var stderr bytes.Buffer
	c := exec.Command("glancectl", "plan", p)
	c.Stderr = &stderr
	begun := time.Now()
	err = c.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitConnect || !strings.Contains(stderr.String(), "no answer within 1s") {
		t.Errorf("plan: %v; want exit status %d and the time\n%s", err, exitConnect, stderr.String())
	}
	if took := time.Since(begun); took < time.Second || took > 8*time.Second {
		t.Errorf("it took %s; want a second and not the default of ten", took)
	}
}
