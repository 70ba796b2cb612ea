// Package lab runs real machines for tests and for trying a proposal by hand:
// Debian systems with systemd, sshd and cron, booted by systemd-nspawn, each
// in a network namespace of its own behind one bridge. A database node has
// MariaDB, an authentication node has Keystone, the OpenStack clients and a
// Barbican that is off, a peer node has the original OpenStack Glance with a
// MariaDB, a message queue node has RabbitMQ.
//
// It needs root on Debian. The end-to-end tests and the command e2e/cmd/lab
// use it. It knows nothing of image services: what is tested comes from
// outside.
//
// One lab can run in a network at a time, because the addresses are fixed:
// tests run in one of their own, see [Main]. Whatever ends a lab's owner, a
// process of its own takes the lab down.
package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Names and addresses. The Keystone's address is part of its prepared state.
const (
	Bridge         = "10.77.0.1" // this machine, as the nodes see it
	DatabaseNode   = "db-node"
	KeystoneNode   = "auth-node"
	PeerNode       = "peer-node"
	RabbitNode     = "mq-node"
	Operator       = "ops" // an ordinary user on every node who may sudo without a password
	Region         = "RegionOne"
	AuthURL        = "http://10.77.0.5:5000/v3"
	BarbicanURL    = "http://10.77.0.5:9311" // when somebody has started it
	AdminOpenrc    = "/root/openrc"          // on the Keystone's node
	DemoOpenrc     = "/root/demo-openrc"     // of user demo, role member on project demo
	MaxImageNodes  = 100
	databaseNumber = 4
	keystoneNumber = 5
	peerNumber     = 6
	rabbitNumber   = 7
	imageNumber    = 20 // image-1 is the one after
)

// A Config says which nodes a lab has.
type Config struct {
	ImageNodes int  // image-1, image-2, ...: bare machines
	Keystone   bool // auth-node
	Database   bool // db-node
	Nginx      bool // the image nodes have an nginx, which does not run
	Peer       bool // peer-node: OpenStack Glance, configured and started by package e2e/peer
	Rabbit     bool // mq-node: RabbitMQ, without a user that may come from elsewhere, and rsyslog
	// Shared is a directory that all image nodes have in common, as if an NFS
	// were mounted there; "" means none.
	Shared string
	// DiskMiB limits what a node can write, by the node's name.
	DiskMiB map[string]int
	// Detach leaves the lab running when its owner ends, until Down.
	Detach bool
	// Log is told what takes long; nil means nobody.
	Log io.Writer
}

// A Lab is a set of running nodes.
type Lab struct {
	config Config
	dir    string
	nodes  []*Node
	hold   *hold
	reaper *reaper

	adminPassword string
	demoPassword  string
}

// A Node is one machine of a lab.
type Node struct {
	Name    string
	Address string
	Root    string // its root directory, as this machine sees it

	dir     string
	index   int
	layers  []string // read-only, topmost first
	ready   func(ctx context.Context) error
	diskMiB int
	binds   []string // options of nspawn

	mu    sync.Mutex
	spawn *exec.Cmd     // the nspawn process; nil when the node is off
	gone  chan struct{} // closed when it has ended
}

// Start builds the images that are missing, boots the nodes side by side and
// returns when each answers. It waits for a lab that has an owner; one that a
// person has started and left running is an error.
//
// The caller must Close the lab, and may rely on it being taken down when the
// caller is killed instead.
func Start(ctx context.Context, c Config) (*Lab, error) {
	if err := Check(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	if c.ImageNodes < 0 || c.ImageNodes > MaxImageNodes {
		return nil, fmt.Errorf("lab: %d image nodes: must be 0 to %d", c.ImageNodes, MaxImageNodes)
	}
	if err := Install(ctx, c.Log); err != nil {
		return nil, err
	}
	hold, err := take(ctx, c.Log)
	if err != nil {
		return nil, err
	}
	l := &Lab{config: c, dir: liveDir, hold: hold}
	if err := l.up(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// up does the work of Start. On failure Close takes down what there is.
func (l *Lab) up(ctx context.Context) error {
	if err := l.plan(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	if l.config.Shared != "" {
		if err := os.Mkdir(l.SharedDir(), 0o755); err != nil {
			return err
		}
	}
	var err error
	if l.reaper, err = startReaper(filepath.Join(l.dir, "reap.sh"), limitsScript+reapScript, l.hold, l.dir, "wait"); err != nil {
		return err
	}
	if err := l.writeKeys(); err != nil {
		return err
	}
	if err := roomForWatches(ctx, limitsDir, filepath.Base(l.dir), settingsDir); err != nil {
		return err
	}
	if err := l.connect(ctx); err != nil {
		return err
	}
	if err := l.each(func(n *Node) error { return n.prepare(ctx, l) }); err != nil {
		return err
	}
	if err := l.each(func(n *Node) error { return n.start(ctx) }); err != nil {
		return err
	}
	if err := l.writeInfo(); err != nil {
		return err
	}
	if l.config.Detach {
		return os.WriteFile(filepath.Join(l.dir, detachedName), nil, 0o600)
	}
	return nil
}

// plan lists the nodes and sees to their images.
func (l *Lab) plan(ctx context.Context) error {
	add := func(name string, number int, top image, ready func(*Node) func(context.Context) error) error {
		layers, err := top.build(ctx, l.config.Log)
		if err != nil {
			return err
		}
		n := &Node{
			Name: name, Address: fmt.Sprintf("10.77.0.%d", number),
			dir: filepath.Join(l.dir, "nodes", name), index: len(l.nodes) + 1, layers: layers,
			diskMiB: l.config.DiskMiB[name],
		}
		n.Root = filepath.Join(n.dir, "root")
		n.ready = ready(n)
		l.nodes = append(l.nodes, n)
		return nil
	}
	if l.config.Database {
		if err := add(DatabaseNode, databaseNumber, databaseImage(), speaksFirst("3306")); err != nil {
			return err
		}
	}
	if l.config.Keystone {
		if err := add(KeystoneNode, keystoneNumber, keystoneImage(), answersHTTP(AuthURL)); err != nil {
			return err
		}
		var err error
		if l.adminPassword, l.demoPassword, err = preparedPasswords(l.nodes[len(l.nodes)-1].layers); err != nil {
			return err
		}
	}
	if l.config.Peer {
		if err := add(PeerNode, peerNumber, peerImage(), speaksFirst("3306")); err != nil {
			return err
		}
	}
	if l.config.Rabbit {
		if err := add(RabbitNode, rabbitNumber, rabbitImage(), takesAMQP); err != nil {
			return err
		}
	}
	nodes := nodeImage()
	if l.config.Nginx {
		nodes = webImage()
	}
	for i := range l.config.ImageNodes {
		if err := add(fmt.Sprintf("image-%d", i+1), imageNumber+i+1, nodes, speaksFirst("22")); err != nil {
			return err
		}
		if l.config.Shared != "" {
			l.nodes[len(l.nodes)-1].binds = []string{"--bind=" + l.SharedDir() + ":" + l.config.Shared}
		}
	}
	for name := range l.config.DiskMiB {
		if l.find(name) == nil {
			return fmt.Errorf("lab: disk limit for %q: no such node", name)
		}
	}
	return nil
}

// SharedDir is what the image nodes have in common, as this machine sees it.
func (l *Lab) SharedDir() string { return filepath.Join(l.dir, "shared") }

// each calls do for all nodes at once and returns all their errors.
func (l *Lab) each(do func(*Node) error) error {
	errs := make([]error, len(l.nodes))
	var wg sync.WaitGroup
	for i, n := range l.nodes {
		wg.Go(func() { errs[i] = do(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close takes the lab down and returns when nothing of it is left. A lab that
// was detached is left running. Close may be called twice.
func (l *Lab) Close() error {
	var err error
	if l.reaper != nil {
		if err = l.reaper.finish(); err != nil { // somebody killed it
			err = reap(context.Background())
		}
		l.reaper = nil
	}
	if err == nil && !exists(filepath.Join(l.dir, detachedName)) {
		for _, n := range l.nodes {
			n.wait()
		}
	}
	return errors.Join(err, l.hold.release())
}

// Nodes returns all nodes.
func (l *Lab) Nodes() []*Node { return l.nodes }

// Node returns the node called name. There must be one.
func (l *Lab) Node(name string) *Node {
	n := l.find(name)
	if n == nil {
		panic("lab: no node " + name)
	}
	return n
}

func (l *Lab) find(name string) *Node {
	for _, n := range l.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Dir is a directory for the caller's files that goes with the lab.
func (l *Lab) Dir() string { return l.dir }

// Key is the file of the SSH private key that root and Operator of every node
// accept.
func (l *Lab) Key() string { return filepath.Join(l.dir, "key") }

// KnownHosts is a file with the nodes' host keys, by address.
func (l *Lab) KnownHosts() string { return filepath.Join(l.dir, "known_hosts") }

// AdminPassword is the password of Keystone's user admin.
func (l *Lab) AdminPassword() string { return l.adminPassword }

// DemoPassword is the password of Keystone's ordinary user demo.
func (l *Lab) DemoPassword() string { return l.demoPassword }

// SSH is the command line that logs in to a node as user, ready for a
// command to be appended.
func (l *Lab) SSH(node, user string) []string {
	return sshCommand(l.dir, user, l.Node(node).Address)
}

func sshCommand(dir, user, address string) []string {
	return []string{
		"ssh", "-F", "none", "-i", filepath.Join(dir, "key"),
		"-o", "UserKnownHostsFile=" + filepath.Join(dir, "known_hosts"),
		"-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR",
		user + "@" + address,
	}
}

// Run executes a shell script as root on a node, with nothing on its input,
// and returns what it printed on standard output. The error of a script that
// fails has what it printed on standard error.
func (l *Lab) Run(ctx context.Context, node, script string) (string, error) {
	argv := append(l.SSH(node, "root"), script)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("run on %s: %w: %s", node, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
