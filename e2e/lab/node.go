package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The limits only end what hangs: a machine with much to do may take a minute
// for what takes a second otherwise, and systemd itself gives a unit ninety to
// stop.
const (
	bridgeName   = "glab0"
	bootPatience = 3 * time.Minute
	stopPatience = 2 * time.Minute
)

// connect makes the bridge and every node's namespace and cable.
func (l *Lab) connect(ctx context.Context) error {
	batch := []string{
		"link add " + bridgeName + " type bridge forward_delay 0",
		"addr add " + Bridge + "/24 dev " + bridgeName,
		"link set " + bridgeName + " up",
	}
	for _, n := range l.nodes {
		batch = append(batch,
			"netns add "+n.namespace(),
			fmt.Sprintf("link add %s type veth peer name eth0 netns %s", n.cable(), n.namespace()),
			fmt.Sprintf("link set %s master %s up", n.cable(), bridgeName),
		)
	}
	if err := ip(ctx, batch); err != nil {
		return err
	}
	return l.each(func(n *Node) error {
		return ip(ctx, []string{
			"addr add " + n.Address + "/24 dev eth0", "link set eth0 up", "link set lo up",
		}, "-n", n.namespace())
	})
}

// ip executes lines of the ip command.
func ip(ctx context.Context, batch []string, options ...string) error {
	cmd := exec.CommandContext(ctx, "ip", append(options, "-batch", "-")...)
	cmd.Stdin = strings.NewReader(strings.Join(batch, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (n *Node) namespace() string { return "glab-" + n.Name }
func (n *Node) cable() string     { return "glab-" + strconv.Itoa(n.index) }

// prepare mounts the node's root directory and writes what is its own.
func (n *Node) prepare(ctx context.Context, l *Lab) error {
	disk := filepath.Join(n.dir, "disk")
	if err := errors.Join(os.MkdirAll(disk, 0o755), os.MkdirAll(n.Root, 0o755)); err != nil {
		return err
	}
	if n.diskMiB > 0 {
		if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("mode=755,size=%dm", n.diskMiB)); err != nil {
			return fmt.Errorf("mount disk of %s: %w", n.Name, err)
		}
	}
	if err := mountOverlay(n.layers, disk, n.Root); err != nil {
		return fmt.Errorf("mount root of %s: %w", n.Name, err)
	}
	return l.personalize(n)
}

// mountOverlay mounts layers, topmost first, below what dir keeps of writes.
func mountOverlay(layers []string, dir, at string) error {
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755), os.MkdirAll(at, 0o755)); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(layers, ":"), upper, work)
	return syscall.Mount("overlay", at, "overlay", 0, options)
}

// inCgroup starts a program in a control group of its own. Machines that
// share one would take each other's services for theirs.
const inCgroup = `set -e
group=$1; shift
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	set -- /sys/fs/cgroup -- "$@"
else
	set -- /sys/fs/cgroup/systemd /sys/fs/cgroup/unified -- "$@"
fi
while [ "$1" != -- ]; do
	if [ -d "$1" ]; then mkdir -p "$1/$group"; echo $$ >"$1/$group/cgroup.procs"; fi
	shift
done
shift
exec "$@"`

// nspawn is the command that starts something in a root directory, as a
// leader of its own session, so that an interrupt of ours does not reach it.
func nspawn(root, name string, more ...string) *exec.Cmd {
	cmd := exec.Command("sh", append([]string{
		"-c", inCgroup, "sh", name,
		"systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--timezone=off",
		"--machine=" + name, "--directory=" + root,
	}, more...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// start boots the node and waits until it answers.
func (n *Node) start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running() {
		return fmt.Errorf("start %s: it is running", n.Name)
	}
	console, err := os.OpenFile(filepath.Join(n.dir, "console.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	options := append([]string{"--hostname=" + n.Name, "--resolv-conf=off",
		"--network-namespace-path=/run/netns/" + n.namespace(), "--boot"}, n.binds...)
	cmd := nspawn(n.Root, n.namespace(), options...)
	cmd.Stdout, cmd.Stderr = console, console
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	gone := make(chan struct{})
	n.spawn, n.gone = cmd, gone
	go func() {
		_ = cmd.Wait() // how it ended is on the console
		close(gone)
	}()

	ctx, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	for _, ready := range []func(context.Context) error{speaksFirst("22")(n), n.ready} {
		if err := n.until(ctx, ready); err != nil {
			return fmt.Errorf("start %s: %w", n.Name, err)
		}
	}
	return nil
}

// until asks again and again until ready passes.
func (n *Node) until(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-n.gone:
			return fmt.Errorf("the machine ended: see %s", filepath.Join(n.dir, "console.log"))
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// speaksFirst is ready when a server greets on the port, as sshd and MariaDB do.
func speaksFirst(port string) func(*Node) func(context.Context) error {
	return func(n *Node) func(context.Context) error {
		return func(ctx context.Context) error {
			dialer := net.Dialer{Timeout: 2 * time.Second}
			c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(n.Address, port))
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
				return err
			}
			_, err = c.Read(make([]byte, 1))
			return err
		}
	}
}

// takesAMQP is ready when a broker answers to the header of its protocol.
func takesAMQP(n *Node) func(context.Context) error {
	return func(ctx context.Context) error {
		dialer := net.Dialer{Timeout: 2 * time.Second}
		c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(n.Address, "5672"))
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		if _, err := c.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 1))
		return err
	}
}

// answersHTTP is ready when the address answers with a status below 500.
func answersHTTP(url string) func(*Node) func(context.Context) error {
	return func(*Node) func(context.Context) error {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		return func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode >= 500 {
				return fmt.Errorf("%s: status %d", url, resp.StatusCode)
			}
			return nil
		}
	}
}

// StartNode boots a node that is off, with the disk it had.
func (l *Lab) StartNode(ctx context.Context, name string) error { return l.Node(name).start(ctx) }

// StopNode shuts a node down in order.
func (l *Lab) StopNode(name string) error {
	n := l.Node(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.running() {
		return nil
	}
	if err := n.spawn.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	select {
	case <-n.gone:
		return nil
	case <-time.After(stopPatience):
		return errors.Join(fmt.Errorf("stop %s: still up after %v: power cut", name, stopPatience), n.cut())
	}
}

// PowerCut ends a node at once: nothing in it gets a word in.
func (l *Lab) PowerCut(name string) error {
	n := l.Node(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.running() {
		return nil
	}
	return n.cut()
}

// cut kills the node's first process, with which the kernel ends all others.
// Killing nspawn instead would leave the node running without a parent.
func (n *Node) cut() error {
	first, err := n.firstProcess()
	if err == nil {
		err = syscall.Kill(first, syscall.SIGKILL)
	}
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("power cut of %s: %w", n.Name, err)
	}
	select {
	case <-n.gone:
		return nil
	case <-time.After(stopPatience):
		return fmt.Errorf("power cut of %s: its nspawn process does not end", n.Name)
	}
}

// firstProcess is the node's PID 1, as this machine numbers it.
func (n *Node) firstProcess() (int, error) {
	pid := n.spawn.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		return 0, syscall.ESRCH
	}
	return strconv.Atoi(fields[0])
}

// Freeze stops every process of a node, as if the machine hung: its kernel
// still takes connections, and nobody answers. Thaw lets them go on.
func (l *Lab) Freeze(name string) error { return l.Node(name).signalAll(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (l *Lab) Thaw(name string) error { return l.Node(name).signalAll(syscall.SIGCONT) }

// CutSSH ends the login sessions of root on a node at once, as a firewall
// would that forgets them. What they had begun stays. It works on a node that
// is frozen as well.
func (l *Lab) CutSSH(name string) error {
	return l.Node(name).signal(syscall.SIGKILL, func(command string) bool {
		return strings.HasPrefix(command, "sshd: root@notty")
	})
}

// signalAll signals the processes of the node's network namespace, twice,
// because one may start another meanwhile.
func (n *Node) signalAll(s syscall.Signal) error {
	all := func(string) bool { return true }
	return errors.Join(n.signal(s, all), n.signal(s, all))
}

// signal signals those processes of the node's network namespace whose
// command line is meant.
func (n *Node) signal(s syscall.Signal, meant func(command string) bool) error {
	pids, err := exec.Command("ip", "netns", "pids", n.namespace()).Output()
	if err != nil {
		return fmt.Errorf("list processes of %s: %w", n.Name, err)
	}
	for _, f := range strings.Fields(string(pids)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			return err
		}
		command, err := os.ReadFile("/proc/" + f + "/cmdline")
		if err != nil || !meant(string(command)) {
			continue // it has ended, or is another's
		}
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal process %d of %s: %w", pid, n.Name, err)
		}
	}
	return nil
}

// Unplug takes a node off the network; connections stay open and silent.
func (l *Lab) Unplug(ctx context.Context, name string) error {
	return ip(ctx, []string{"link set " + l.Node(name).cable() + " down"})
}

// Plug ends an Unplug.
func (l *Lab) Plug(ctx context.Context, name string) error {
	return ip(ctx, []string{"link set " + l.Node(name).cable() + " up"})
}

func (n *Node) running() bool {
	if n.spawn == nil {
		return false
	}
	select {
	case <-n.gone:
		return false
	default:
		return true
	}
}

// wait returns when the nspawn process, which somebody else ends, is gone.
func (n *Node) wait() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running() {
		<-n.gone
	}
}

// writeIn writes a file of the node that is not running yet. Directories that
// are missing are made for root alone.
func (n *Node) writeIn(path, content string, mode fs.FileMode) error {
	name := filepath.Join(n.Root, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(name); err != nil { // a link there would lead out of the node
		return err
	}
	return os.WriteFile(name, []byte(content), mode)
}
