// Package localhost is the machine that the program itself runs on, as a
// provision.Host.
//
// Commands run as the user who started the program; nothing is asked of
// sudo. It is for trying things out, for machines that configure themselves,
// and for tests.
package localhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"glancectl/provision"
)

// Host is this machine.
type Host struct{ name string }

// New returns this machine under the name that a proposal gives it.
func New(name string) *Host { return &Host{name: name} }

// Name implements provision.Host.
func (h *Host) Name() string { return h.name }

// Close implements provision.Host. There is nothing to close.
func (h *Host) Close() error { return nil }

// Near says that nothing is between.
func (h *Host) Near() bool { return true }

// grace is how long a command has to end when it is told to.
const grace = 5 * time.Second

// command prepares argv to run in a process group of its own, which is told
// to end when ctx does.
func command(ctx context.Context, argv []string) (*exec.Cmd, error) {
	if len(argv) == 0 {
		return nil, errors.New("run: no command")
	}
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGTERM) }
	c.WaitDelay = grace
	return c, nil
}

// Run implements provision.Host.
func (h *Host) Run(ctx context.Context, c provision.Cmd) (provision.Result, error) {
	cmd, err := command(ctx, c.Argv)
	if err != nil {
		return provision.Result{}, err
	}
	var stdout, stderr capped
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, &stdout, &stderr
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	err = cmd.Run()
	res := provision.Result{Stdout: stdout.b, Stderr: stderr.b}
	if ctx.Err() != nil {
		return res, fmt.Errorf("run %s: %w", c.Argv[0], ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		res.Status = exit.ExitCode()
		return res, nil
	}
	if cmd.ProcessState != nil && cmd.ProcessState.Success() {
		err = nil // it did not read all of its input
	}
	if errors.Is(err, exec.ErrNotFound) {
		// What a shell would say, and what an SSH server's shell does say.
		res.Status, res.Stderr, err = 127, []byte(err.Error()+"\n"), nil
	}
	if err != nil {
		return res, fmt.Errorf("run %s: %w", c.Argv[0], err)
	}
	return res, nil
}

// capped keeps the first provision.MaxOutput bytes written to it. It must
// not be a bytes.Buffer, whose ReadFrom knows no limit.
type capped struct{ b []byte }

func (c *capped) Write(b []byte) (int, error) {
	c.b = append(c.b, b[:min(len(b), provision.MaxOutput-len(c.b))]...)
	return len(b), nil
}

// Dial implements provision.Host.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// Pipe implements provision.Host. The stream outlives ctx, which bounds only
// its start.
func (h *Host) Pipe(ctx context.Context, argv []string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	cmd, err := command(run, argv)
	if err != nil {
		stop()
		return nil, err
	}
	ours, theirs, err := socketpair()
	if err != nil {
		stop()
		return nil, fmt.Errorf("pipe %s: %w", argv[0], err)
	}
	defer theirs.Close()
	cmd.Stdin, cmd.Stdout = theirs, theirs
	if err := cmd.Start(); err != nil {
		stop()
		ours.Close()
		return nil, fmt.Errorf("pipe %s: %w", argv[0], err)
	}
	return &pipe{Conn: ours, close: sync.OnceValue(func() error {
		err := ours.Close()
		stop()
		_ = cmd.Wait() // it was told to end: how it ends is no news
		return err
	})}, nil
}

// pipe is a stream whose end is the end of its process.
type pipe struct {
	net.Conn
	close func() error
}

func (p *pipe) Close() error { return p.close() }

// socketpair returns the two ends of a stream; one for us, one for a child.
func socketpair() (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs := os.NewFile(uintptr(fds[1]), "pipe")
	f := os.NewFile(uintptr(fds[0]), "pipe")
	defer f.Close()
	ours, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}
