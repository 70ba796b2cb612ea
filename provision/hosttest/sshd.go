package hosttest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// A Server is an SSH server on 127.0.0.1. The fields for faults may be set
// at any time and hold from then on.
type Server struct {
	Host       string // the address
	Port       int
	KeyFile    string // a private key that may log in, as any user
	KnownHosts string // a file with the server's host keys

	RefuseAuth   atomic.Bool  // nobody may log in
	BlackHole    atomic.Bool  // connections are accepted and never answered
	NoForwarding atomic.Bool  // connections from here are prohibited
	DeafRequest  atomic.Bool  // global requests, such as keepalives, are not answered
	DropAfter    atomic.Int64 // connections end after so many bytes of input to commands; 0: never
	Logins       atomic.Int64
	LastUser     atomic.Value // string: who logged in last
	Sessions     atomic.Int64 // commands begun

	// Names are addresses, as HOST:PORT, that only this machine knows, with
	// where they lead. It is set before the first login.
	Names map[string]string

	t        *testing.T
	dir      string
	client   ssh.PublicKey
	hostKeys []ssh.Signer
	env      []string
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
}

// NewServer starts a server with an ed25519 and an RSA host key. It ends
// with the test. env is added to the environment of the commands.
func NewServer(t *testing.T, env ...string) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), env: env, conns: make(map[net.Conn]bool)}
	s.makeKeys()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	s.Host, s.Port = addr.IP.String(), addr.Port
	s.KnownHosts = filepath.Join(s.dir, "known_hosts")
	s.WriteKnownHosts(s.KnownHosts, s.hostKeys...)
	s.wg.Go(func() { s.serve(l) })
	t.Cleanup(func() {
		l.Close()
		s.Drop()
		s.wg.Wait()
	})
	return s
}

// HostKeys are the server's keys.
func (s *Server) HostKeys() []ssh.Signer { return s.hostKeys }

// WriteKnownHosts writes a known_hosts file that says that the server has keys.
func (s *Server) WriteKnownHosts(path string, keys ...ssh.Signer) {
	s.t.Helper()
	var b []byte
	for _, k := range keys {
		addr := knownhosts.Normalize(net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
		b = append(b, knownhosts.Line([]string{addr}, k.PublicKey())+"\n"...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// NewKey returns a new private key.
func NewKey(t *testing.T) (ed25519.PrivateKey, ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, signer
}

func (s *Server) makeKeys() {
	s.t.Helper()
	key, signer := NewKey(s.t)
	s.client = signer.PublicKey()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.KeyFile = filepath.Join(s.dir, "key")
	if err := os.WriteFile(s.KeyFile, pem.EncodeToMemory(block), 0o600); err != nil {
		s.t.Fatal(err)
	}
	_, host := NewKey(s.t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.t.Fatal(err)
	}
	rsaHost, err := ssh.NewSignerFromKey(rsaKey)
	if err != nil {
		s.t.Fatal(err)
	}
	s.hostKeys = []ssh.Signer{host, rsaHost}
}

// Drop cuts all connections.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *Server) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			s.conn(c)
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// conn serves one connection to its end.
func (s *Server) conn(c net.Conn) {
	if s.BlackHole.Load() {
		_, _ = io.Copy(io.Discard, c) // until the other side has enough
		return
	}
	cfg := &ssh.ServerConfig{
		MaxAuthTries: 20,
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if s.RefuseAuth.Load() || string(key.Marshal()) != string(s.client.Marshal()) {
				return nil, errors.New("no such key")
			}
			s.LastUser.Store(meta.User()) // before the client knows that it is in
			return nil, nil
		},
	}
	for _, k := range s.hostKeys {
		cfg.AddHostKey(k)
	}
	sc, chans, reqs, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		return
	}
	s.Logins.Add(1)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for r := range reqs {
			if r.WantReply && !s.DeafRequest.Load() {
				_ = r.Reply(false, nil)
			}
		}
	})
	for nc := range chans {
		wg.Go(func() { s.channel(ctx, sc, nc) })
	}
	cancel()
	wg.Wait()
}

func (s *Server) channel(ctx context.Context, sc *ssh.ServerConn, nc ssh.NewChannel) {
	switch nc.ChannelType() {
	case "session":
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		s.session(ctx, sc, ch, reqs)
	case "direct-tcpip":
		var m struct {
			Host  string
			Port  uint32
			OHost string
			OPort uint32
		}
		if ssh.Unmarshal(nc.ExtraData(), &m) == nil {
			s.forward(nc, "tcp", net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port))))
		}
	case "direct-streamlocal@openssh.com":
		var m struct {
			Path, Reserved string
			Reserved2      uint32
		}
		if ssh.Unmarshal(nc.ExtraData(), &m) == nil {
			s.forward(nc, "unix", m.Path)
		}
	default:
		_ = nc.Reject(ssh.UnknownChannelType, "not here")
	}
}

// forward connects a channel to an address.
func (s *Server) forward(nc ssh.NewChannel, network, address string) {
	if s.NoForwarding.Load() {
		_ = nc.Reject(ssh.Prohibited, "administratively prohibited")
		return
	}
	if known, ok := s.Names[address]; ok {
		address = known
	}
	to, err := net.Dial(network, address)
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer to.Close()
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	s.wg.Go(func() { ssh.DiscardRequests(reqs) })
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(to, ch)
		to.Close()
	})
	_, _ = io.Copy(ch, to)
	ch.Close()
	wg.Wait()
}

// session runs the command of one session.
func (s *Server) session(ctx context.Context, sc *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
	defer ch.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var cmd *exec.Cmd
	done := make(chan struct{})
	defer func() {
		if cmd != nil {
			<-done
		}
	}()
	for r := range reqs {
		switch {
		case r.Type == "exec" && cmd == nil:
			var m struct{ Command string }
			if err := ssh.Unmarshal(r.Payload, &m); err != nil {
				_ = r.Reply(false, nil)
				return
			}
			cmd = s.command(ctx, sc, ch, m.Command)
			err := cmd.Start()
			_ = r.Reply(err == nil, nil)
			if err != nil {
				close(done)
				return
			}
			s.Sessions.Add(1)
			s.wg.Go(func() {
				defer close(done)
				s.wait(cmd, ch)
			})
		case r.Type == "signal" && cmd != nil:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		case r.WantReply:
			_ = r.Reply(false, nil)
		}
	}
}

// command prepares a command the way sshd does: by a shell, in a process
// group of its own. What it is sent counts towards DropAfter.
func (s *Server) command(ctx context.Context, sc *ssh.ServerConn, ch ssh.Channel, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = soon
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Error(err)
		return cmd
	}
	s.wg.Go(func() { // ends with the channel
		defer in.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := ch.Read(buf)
			if left := s.DropAfter.Load(); left > 0 && n > 0 {
				if s.DropAfter.Add(-int64(n)) <= 0 {
					s.DropAfter.Store(0)
					_, _ = in.Write(buf[:min(int64(n), left)])
					sc.Close()
					return
				}
			}
			if _, werr := in.Write(buf[:n]); werr != nil || err != nil {
				return
			}
		}
	})
	return cmd
}

// wait tells the other side how a command ended.
func (s *Server) wait(cmd *exec.Cmd, ch ssh.Channel) {
	err := cmd.Wait()
	status := uint32(0)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status = uint32(exit.ExitCode())
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			status = 128 + uint32(ws.Signal())
		}
	} else if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		fmt.Fprintln(ch.Stderr(), err)
		status = 255
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
	ch.Close()
}
