package sshhost_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"glancectl/provision"
	"glancectl/provision/hosttest"
	"glancectl/provision/sshhost"
)

func config(s *hosttest.Server) sshhost.Config {
	return sshhost.Config{
		Name: "node", Address: s.Host, Port: s.Port, PrivateKey: s.KeyFile, KnownHosts: s.KnownHosts,
		ConnectTimeout: 10 * time.Second,
	}
}

func dial(t *testing.T, c sshhost.Config) *sshhost.Host {
	t.Helper()
	h, err := sshhost.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestHost(t *testing.T) {
	s := hosttest.NewServer(t)
	hosttest.Run(t, func(t *testing.T) provision.Host { return dial(t, config(s)) })
}

// Everything that can be wrong with a login is said with what to do about it.
func TestDialErrors(t *testing.T) {
	_, other := hosttest.NewKey(t)
	key, _ := hosttest.NewKey(t)
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	lockedFile := filepath.Join(t.TempDir(), "locked")
	if err := os.WriteFile(lockedFile, pem.EncodeToMemory(locked), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		set  func(*hosttest.Server, *sshhost.Config)
		want []string
	}{
		{"refused", func(s *hosttest.Server, c *sshhost.Config) { s.RefuseAuth.Store(true) },
			[]string{"login as root refused", "tried ", "key", "authorized_keys"}},
		{"black hole", func(s *hosttest.Server, c *sshhost.Config) {
			s.BlackHole.Store(true)
			c.ConnectTimeout = 200 * time.Millisecond
		}, []string{"no answer within 200ms"}},
		{"changed", func(s *hosttest.Server, c *sshhost.Config) { s.WriteKnownHosts(s.KnownHosts, other) },
			[]string{"host key changed", "known_hosts:1", ssh.FingerprintSHA256(other.PublicKey()), "ssh-keygen"}},
		{"changed, accept new", func(s *hosttest.Server, c *sshhost.Config) {
			c.HostKeys = sshhost.AcceptNew
			s.WriteKnownHosts(s.KnownHosts, other)
		}, []string{"host key changed"}},
		{"unknown", func(s *hosttest.Server, c *sshhost.Config) { s.WriteKnownHosts(s.KnownHosts) },
			[]string{"host key unknown", "SHA256:", "ssh-keyscan", "accept-new"}},
		{"no file", func(s *hosttest.Server, c *sshhost.Config) { c.KnownHosts += ".missing" },
			[]string{"host key unknown"}},
		{"no listener", func(s *hosttest.Server, c *sshhost.Config) { c.Port = freePort(t) },
			[]string{"connection refused", "does sshd listen"}},
		{"no key", func(s *hosttest.Server, c *sshhost.Config) { c.PrivateKey += ".missing" },
			[]string{"no such file"}},
		{"locked key", func(s *hosttest.Server, c *sshhost.Config) { c.PrivateKey = lockedFile },
			[]string{"passphrase", "ssh-agent", lockedFile}},
		{"policy", func(s *hosttest.Server, c *sshhost.Config) { c.HostKeys = "off" },
			[]string{`host keys "off"`, "strict"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("SSH_AUTH_SOCK", "")
			s := hosttest.NewServer(t)
			c := config(s)
			test.set(s, &c)
			begin := time.Now()
			h, err := sshhost.Dial(t.Context(), c)
			if err == nil {
				h.Close()
				t.Fatal("Dial = nil; want an error")
			}
			var ce *provision.ConnectError
			if !errors.As(err, &ce) || ce.Node != "node" {
				t.Errorf("Dial = %T; want a *ConnectError for node", err)
			}
			for _, w := range test.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("Dial = %q; want it to say %q", err, w)
				}
			}
			if d := time.Since(begin); d > 5*time.Second {
				t.Errorf("Dial took %s", d)
			}
		})
	}
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A file with only one kind of key is enough, whichever kind it is.
func TestOneKindOfHostKey(t *testing.T) {
	s := hosttest.NewServer(t)
	for _, key := range s.HostKeys() {
		s.WriteKnownHosts(s.KnownHosts, key)
		h, err := sshhost.Dial(t.Context(), config(s))
		if err != nil {
			t.Errorf("Dial with a known %s key = %v", key.PublicKey().Type(), err)
			continue
		}
		h.Close()
	}
}

func TestAcceptNew(t *testing.T) {
	s := hosttest.NewServer(t)
	c := config(s)
	c.HostKeys = sshhost.AcceptNew
	c.KnownHosts = filepath.Join(t.TempDir(), "ssh", "known_hosts")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			h, err := sshhost.Dial(t.Context(), c)
			if err != nil {
				t.Error(err)
				return
			}
			h.Close()
		})
	}
	wg.Wait()
	b, err := os.ReadFile(c.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "\n"); n != 1 {
		t.Errorf("eight first logins at once left %d lines; want 1:\n%s", n, b)
	}
	if fi, err := os.Stat(c.KnownHosts); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file = %v, %v; want 0600", fi.Mode(), err)
	}
	c.HostKeys = sshhost.Strict
	dial(t, c)
}

func TestLostConnection(t *testing.T) {
	s := hosttest.NewServer(t)
	h := dial(t, config(s))
	s.DropAfter.Store(10)
	_, err := h.Run(t.Context(), provision.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader(strings.Repeat("x", 1000))})
	if err == nil || !strings.Contains(err.Error(), "connection was lost") {
		t.Errorf("Run over a connection that is cut = %v; want that it was lost", err)
	}
	if _, err := h.Run(t.Context(), provision.Cmd{Argv: []string{"true"}}); err == nil {
		t.Error("Run after that = nil; want an error")
	}
	for range 100 {
		if !h.Alive() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("Alive() = true after the connection was cut")
}

// A peer that answers nothing any more does not hold a command for ever.
func TestKeepalive(t *testing.T) {
	s := hosttest.NewServer(t)
	c := config(s)
	c.Keepalive = 30 * time.Millisecond
	h := dial(t, c)
	s.DeafRequest.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := h.Run(ctx, provision.Cmd{Argv: []string{"sleep", "60"}}); err == nil || ctx.Err() != nil {
		t.Errorf("Run on a dead peer = %v; want that the connection was lost, soon", err)
	}
}

func TestCommandTimeout(t *testing.T) {
	s := hosttest.NewServer(t)
	c := config(s)
	c.CommandTimeout = 100 * time.Millisecond
	h := dial(t, c)
	_, err := h.Run(t.Context(), provision.Cmd{Argv: []string{"sleep", "60"}})
	if err == nil || !strings.Contains(err.Error(), "did not end within 100ms") {
		t.Errorf("Run = %v; want that it took too long", err)
	}
	if _, err := h.Run(t.Context(), provision.Cmd{Argv: []string{"sleep", "0.2"}, Endless: true}); err != nil {
		t.Errorf("Run without end = %v; want that it may take longer", err)
	}
	if _, err := h.Run(t.Context(), provision.Cmd{Argv: []string{"sleep", "0.2"}, Longer: time.Minute}); err != nil {
		t.Errorf("Run with more time = %v; want that it may take longer", err)
	}
}

// Where sshd must not forward anything, a program on the machine connects.
func TestNoForwarding(t *testing.T) {
	s := hosttest.NewServer(t)
	s.NoForwarding.Store(true)
	h := dial(t, config(s))
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "it's a socket")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			if c, err := l.Accept(); err == nil {
				_, _ = io.Copy(c, c)
				c.Close()
			}
		}()
		c, err := h.Dial(t.Context(), network, l.Addr().String())
		if err != nil {
			t.Errorf("Dial(%s) = %v", network, err)
			continue
		}
		got := make([]byte, 5)
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
			t.Errorf("over %s came back %q, %v; want what was sent", network, got, err)
		}
		c.Close()
	}
	// Nobody there is the end of the stream.
	c, err := h.Dial(t.Context(), "unix", filepath.Join(t.TempDir(), "nothing"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("Read = %d bytes; want an error", n)
	}
}

// Who is not root goes through sudo, without being asked for a password.
func TestSudo(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\necho \"sudo $*\" >&2\n[ \"$1 $2\" = '-n --' ] && shift 2\nexec \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := hosttest.NewServer(t, "PATH="+bin+":"+os.Getenv("PATH"))
	c := config(s)
	c.User = "debian"
	h := dial(t, c)
	res, err := h.Run(t.Context(), provision.Cmd{Argv: []string{"echo", "a b"}})
	if err != nil || string(res.Stdout) != "a b\n" || string(res.Stderr) != "sudo -n -- echo a b\n" {
		t.Errorf("Run = %q, %q, %v; want it through sudo -n", res.Stdout, res.Stderr, err)
	}
}

func TestSudoRefused(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := hosttest.NewServer(t, "PATH="+bin+":"+os.Getenv("PATH"))
	c := config(s)
	c.User = "debian"
	_, err := dial(t, c).Run(t.Context(), provision.Cmd{Argv: []string{"true"}})
	if err == nil || !strings.Contains(err.Error(), "user debian needs sudo without a password") {
		t.Errorf("Run = %v; want what is missing", err)
	}
}

func TestTrips(t *testing.T) {
	s := hosttest.NewServer(t)
	h := dial(t, config(s))
	for range 3 {
		if _, err := h.Run(t.Context(), provision.Cmd{Argv: []string{"true"}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.Trips(); got != 3 {
		t.Errorf("Trips() = %d; want 3", got)
	}
}

// Commands that are given up leave nothing running on our side.
func TestCancelLeavesNothing(t *testing.T) {
	s := hosttest.NewServer(t)
	h := dial(t, config(s))
	if _, err := h.Run(t.Context(), provision.Cmd{Argv: []string{"true"}}); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := h.Run(ctx, provision.Cmd{Argv: []string{"sleep", "60"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run = %v; want the deadline", err)
		}
		cancel()
	}
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines after 20 commands were given up; %d before", runtime.NumGoroutine(), before)
}
