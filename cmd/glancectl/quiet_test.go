package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// listen takes connections on every address of this machine and says nothing.
// It counts them.
func listen(t *testing.T) (port int, seen *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	seen = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			seen.Add(1)
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, seen
}

// The verbs that only read a proposal contact nobody in it, and a proposal with
// a mistake is not acted upon at all.
func TestContactsNobody(t *testing.T) {
	t.Parallel()
	port, seen := listen(t)
	text := fmt.Sprintf(`proposal "p" {
  ssh {
    port        = %[1]d
    known_hosts = %[2]q
    private_key = %[3]q
  }

  node "image-1" { address = "127.0.0.1" }
  node "image-2" { address = "127.0.0.2" }
  node "db" { address = "127.0.0.3" }

  mysql "main" {
    node = "db"
    port = %[1]d
  }

  keystone "main" {
    auth_url = "http://127.0.0.4:%[1]d/v3"
    admin {
      username = "admin"
      password = "of the admin"
    }
  }

  rabbitmq "main" {
    node = "db"
    port = %[1]d
  }

  role "glance-server" {
    nodes             = ["image-1", "image-2"]
    notifier_strategy = "rabbit"
    images            = ["http://127.0.0.5:%[1]d/cirros.qcow2"]
  }
}
`, port, write(t, "known_hosts", ""), privateKey(t))
	good := write(t, "p.hcl", text)
	mistaken := write(t, "p.hcl", strings.Replace(text, "notifier_strategy", "notifyer_strategy", 1))
	binary := "--service-binary=" + standIn(t)
	for _, test := range []struct {
		code int
		args []string
	}{
		{exitOK, []string{"validate", good}},
		{exitOK, []string{"fmt", "-check", good}},
		{exitOK, []string{"render", good}},
		{exitOK, []string{"render", "-o", filepath.Join(t.TempDir(), "out"), "--node", "image-2", good}},
		{exitInvalid, []string{"validate", mistaken}},
		{exitInvalid, []string{"render", mistaken}},
		{exitInvalid, []string{"plan", binary, mistaken}},
		{exitInvalid, []string{"apply", "--auto-approve", binary, mistaken}},
		{exitInvalid, []string{"apply", "--dry-run", binary, mistaken}},
		{exitInvalid, []string{"status", binary, mistaken}},
		{exitInvalid, []string{"job", "list", mistaken}},
		{exitInvalid, []string{"destroy", "--auto-approve", binary, mistaken}},
		// Nor is anybody, if nobody can say yes.
		{exitError, []string{"apply", binary, good}},
		{exitError, []string{"destroy", binary, good}},
	} {
		if code, said := ends(test.args...); code != test.code {
			t.Errorf("%q: exit code %d; want %d\n%s", test.args, code, test.code, said)
		}
		if n := seen.Load(); n != 0 {
			t.Fatalf("%q made %d connections; want none", test.args, n)
		}
	}
	// What does contact somebody is seen.
	if code, said := ends("plan", binary, good); code != exitConnect || seen.Load() == 0 {
		t.Errorf("plan: exit code %d and %d connections; want %d, and some\n%s", code, seen.Load(), exitConnect, said)
	}
}
