package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancectl/provision"
	"glancectl/provision/localhost"
	"glancectl/roles"
)

// A password that an earlier apply generated is never made anew because the
// node that keeps it does not answer.
func TestGeneratedPasswordsStay(t *testing.T) {
	const kept = "service_password = \"kept-by-a-node\"\n"
	for _, test := range []struct {
		name string
		kept []string // the nodes that have the password
		down []string
		want string // "" for none yet
		err  string // part of it; "" for none
	}{
		{name: "the first apply"},
		{name: "kept by all", kept: []string{"a", "b"}, want: "kept-by-a-node"},
		{name: "one of two is down", kept: []string{"a", "b"}, down: []string{"a"}, want: "kept-by-a-node"},
		{name: "the only one that has it is up", kept: []string{"b"}, down: []string{"a"}, want: "kept-by-a-node"},
		{name: "the only one that has it is down", kept: []string{"a"}, down: []string{"a"}, err: "one does not answer: bring it back, or give the passwords"},
		{name: "nobody knows whether the one that is down has it", down: []string{"b"}, err: "one does not answer"},
		{name: "all are down", kept: []string{"a", "b"}, down: []string{"a", "b"}, err: "no route to host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openSession(t, fmt.Sprintf(`proposal "p" {
  node "a" {
    address = "10.0.0.1"
    root    = %q
  }
  node "b" {
    address = "10.0.0.2"
    root    = %q
  }
  keystone "main" {
    auth_url = "http://10.0.0.3:5000/v3"
    admin {
      username = "admin"
      password = "of the admin"
      project  = "admin"
    }
  }
  role "glance-server" { nodes = ["a", "b"] }
}
`, filepath.Join(dir, "a"), filepath.Join(dir, "b")))
			for _, node := range test.kept {
				state := filepath.Join(dir, node, "var/lib/glancectl/p")
				if err := os.MkdirAll(state, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(state, "secrets.toml"), []byte(kept), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			down := strings.Join(test.down, "")
			s.pool = provision.NewPool(func(_ context.Context, node string) (provision.Host, error) {
				if strings.Contains(down, node) {
					return nil, &provision.ConnectError{Node: node, Err: errors.New("no route to host")}
				}
				return localhost.New(node), nil
			})
			found, err := s.recover(t.Context())
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || exitCode(err) != exitConnect {
					t.Errorf("recover = %v, exit code %d; want %q, %d", err, exitCode(err), test.err, exitConnect)
				}
				return
			}
			if err != nil || found.ServicePassword.Reveal() != test.want {
				t.Errorf("recover = %q, %v; want %q", found.ServicePassword.Reveal(), err, test.want)
			}
			if made := roles.Generate(s.proposal, found); test.want != "" && made != found {
				t.Error("a password was made though there is one")
			}
		})
	}
}
