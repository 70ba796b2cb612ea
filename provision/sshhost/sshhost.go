// Package sshhost is a machine reached over SSH, as a provision.Host.
//
// Keys, the known_hosts file and the client type come from goph. Dialling,
// deadlines, host key policy, keepalive and running commands are done here:
// everything is bounded by a context, and a peer that went away is noticed.
// The package knows nothing of what is run.
package sshhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/melbahja/goph"
	"golang.org/x/crypto/ssh"

	"glancectl/provision"
)

// Config says how to reach a machine. Name and Address are required.
type Config struct {
	Name       string // the node's name in the proposal
	Address    string // host name or IP address
	Port       int    // 0: 22
	User       string // "": root. Everybody else needs sudo without a password
	PrivateKey string // file; "": what ssh-agent has, and the usual files in ~/.ssh
	KnownHosts string // file; "": ~/.ssh/known_hosts
	HostKeys   string // Strict or AcceptNew; "": Strict

	ConnectTimeout time.Duration // of connecting and logging in; 0: 10 s
	CommandTimeout time.Duration // of one command; 0: none
	Keepalive      time.Duration // between signs of life; 0: 15 s. Three missed end the connection
}

// The policies for host keys.
const (
	Strict    = "strict"     // the key must be in the known_hosts file
	AcceptNew = "accept-new" // the key of a machine seen for the first time is added to it
)

// maxSessions is how many commands run at once on one connection. OpenSSH
// allows 10.
const maxSessions = 8

// keepaliveMisses is how many signs of life may be missed.
const keepaliveMisses = 3

// Host is a machine over one SSH connection.
type Host struct {
	cfg      Config
	client   *goph.Client
	near     bool
	sessions chan struct{} // holds one token a session
	trips    atomic.Int64
	dead     chan struct{} // closed when the connection is
	wg       sync.WaitGroup
}

// Dial connects and logs in. Its errors are *provision.ConnectError and say
// what to do. The caller closes the Host.
func Dial(ctx context.Context, c Config) (*Host, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, &provision.ConnectError{Node: c.Name, Address: c.Address, Err: err}
	}
	h := &Host{cfg: c, sessions: make(chan struct{}, maxSessions), dead: make(chan struct{})}
	ctx, cancel := context.WithTimeoutCause(ctx, c.ConnectTimeout,
		fmt.Errorf("no answer within %s: is the machine up, and can it be reached from here?", c.ConnectTimeout))
	defer cancel()
	if err := h.dial(ctx); err != nil {
		return nil, &provision.ConnectError{Node: c.Name, Address: c.addr(), Err: err}
	}
	h.wg.Go(func() {
		_ = h.client.Wait() // why it ended is told to whoever uses it
		close(h.dead)
	})
	h.wg.Go(h.keepalive)
	return h, nil
}

func (c Config) withDefaults() (Config, error) {
	if c.Port == 0 {
		c.Port = 22
	}
	if c.User == "" {
		c.User = "root"
	}
	if c.HostKeys == "" {
		c.HostKeys = Strict
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.Keepalive == 0 {
		c.Keepalive = 15 * time.Second
	}
	if c.HostKeys != Strict && c.HostKeys != AcceptNew {
		return c, fmt.Errorf("host keys %q: must be %q or %q", c.HostKeys, Strict, AcceptNew)
	}
	if c.KnownHosts == "" {
		path, err := goph.DefaultKnownHostsPath()
		if err != nil {
			return c, fmt.Errorf("known hosts: %w: set it, or name a known_hosts file", err)
		}
		c.KnownHosts = path
	}
	var err error
	if c.KnownHosts, err = expand(c.KnownHosts); err != nil {
		return c, err
	}
	c.PrivateKey, err = expand(c.PrivateKey)
	return c, err
}

// expand replaces a leading ~ by the home directory.
func expand(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, rest), err
}

func (c Config) addr() string { return net.JoinHostPort(c.Address, strconv.Itoa(c.Port)) }

// dial connects and logs in, all of it before ctx ends.
func (h *Host) dial(ctx context.Context) error {
	keys, err := findKeys(h.cfg.PrivateKey)
	if err != nil {
		return err
	}
	defer keys.close()
	hosts, err := openKnownHosts(h.cfg)
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", h.cfg.addr())
	if err != nil {
		return explainDial(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	cfg := &ssh.ClientConfig{
		User:              h.cfg.User,
		Auth:              keys.auth(),
		HostKeyCallback:   hosts.check,
		HostKeyAlgorithms: hosts.algorithms(h.cfg.addr()),
	}
	h.near = isNear(os.DirFS("/sys"), links(), conn.RemoteAddr())
	c, chans, reqs, err := ssh.NewClientConn(conn, h.cfg.addr(), cfg)
	if !stop() && err == nil {
		c.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return h.explainLogin(ctx, err, hosts, keys)
	}
	h.client = &goph.Client{
		Client: ssh.NewClient(c, chans, reqs),
		Config: &goph.Config{User: h.cfg.User, Addr: h.cfg.Address, Port: uint(h.cfg.Port), Timeout: h.cfg.ConnectTimeout, Callback: hosts.check},
	}
	return nil
}

func explainDial(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Errorf("%w: check the node's address", err)
	}
	if strings.Contains(err.Error(), "connection refused") {
		return fmt.Errorf("%w: does sshd listen on this address and port?", err)
	}
	return err
}

func (h *Host) explainLogin(ctx context.Context, err error, hosts *knownHosts, keys *keys) error {
	switch {
	case hosts.refused != nil:
		return hosts.refused
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("login as %s refused; tried %s: add a public key of these to %s's authorized_keys, or name another private_key",
			h.cfg.User, keys, h.cfg.User)
	case strings.Contains(err.Error(), "no common algorithm for host key"):
		return fmt.Errorf("the machine has no host key of the kinds that %s lists for %s: %w", h.cfg.KnownHosts, h.cfg.addr(), err)
	}
	return err
}

// keepalive asks the peer for signs of life and closes the connection when
// they stay out.
func (h *Host) keepalive() {
	tick := time.NewTicker(h.cfg.Keepalive)
	defer tick.Stop()
	answers := make(chan error, 1)
	waiting, misses := false, 0
	for {
		select {
		case <-h.dead:
			return
		case <-answers:
			waiting, misses = false, 0
		case <-tick.C:
			if waiting {
				misses++
			}
			if misses >= keepaliveMisses {
				h.client.Close()
				return
			}
			if !waiting {
				waiting = true
				h.wg.Go(func() {
					_, _, err := h.client.SendRequest("keepalive@openssh.com", true, nil)
					answers <- err
				})
			}
		}
	}
}

// Name implements provision.Host.
func (h *Host) Name() string { return h.cfg.Name }

// Trips is how many commands, pipes and connections were started so far.
func (h *Host) Trips() int64 { return h.trips.Load() }

// Alive reports whether the connection stands.
func (h *Host) Alive() bool {
	select {
	case <-h.dead:
		return false
	default:
		return true
	}
}

// Close ends the connection and all that runs over it.
func (h *Host) Close() error {
	err := h.client.Close()
	h.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
