package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ControlUsageText says how glance-control is called.
const ControlUsageText = `usage: glance-control [options] SERVER COMMAND [CONFIG]

SERVER is api, registry, scrubber or all, COMMAND one of

  start    start it and wait until it takes requests; 0 if it runs already
  stop     end it and wait until it has ended; 0 if it does not run
  restart  both
  reload   begin a new log file; the scrubber is restarted
  status   0 if it runs, 3 if not

shutdown is stop, force-reload is restart. CONFIG is the configuration file.
`

// ControlStopped is the exit code of glance-control status if something does
// not run.
const ControlStopped = 3

const (
	pidDir      = "/var/run/glance"
	controlWait = time.Minute
	controlPoll = 20 * time.Millisecond
)

// A controlled is a daemon that is found by its pid file.
type controlled struct {
	o      Options
	out    io.Writer
	name   string // api, registry or scrubber
	pid    string // its pid file
	config string // "" means the one that it finds itself
	wait   time.Duration

	child int       // the process that start has started; 0 if there is none
	begun time.Time // when that took requests
}

// Control carries out a command of glance-control and returns its exit code.
func Control(ctx context.Context, o Options, args []string) (code int, err error) {
	out := o.Stdout
	if out == nil {
		out = os.Stdout
	}
	if len(args) == 0 || args[0] == "help" {
		return say(out, ManageUsage, ControlUsageText)
	}
	names := []string{strings.TrimPrefix(args[0], "glance-")}
	all := []string{"api", "registry", "scrubber"}
	switch {
	case names[0] == "all" && o.PIDFile != "":
		return ManageUsage, errors.New("a pid file is that of one server")
	case names[0] == "all":
		names = all
	case !slices.Contains(all, names[0]):
		return ManageUsage, fmt.Errorf("no such server: %q", args[0])
	}
	switch {
	case len(args) < 2 || len(args) > 3:
		return ManageUsage, errors.New("want a server, a command and perhaps a configuration file")
	case args[1] != "start" && (o.Respawn || o.Await > 0):
		return ManageUsage, fmt.Errorf("--await-child and --respawn are for start, not for %s", args[1])
	case o.Capture && slices.Contains([]string{"stop", "shutdown", "status"}, args[1]):
		return ManageUsage, fmt.Errorf("--capture-output is for what is started, not for %s", args[1])
	case o.Respawn && o.Await > 0:
		return ManageUsage, errors.New("--await-child and --respawn exclude each other")
	}
	var started []*controlled
	for _, name := range names {
		c := &controlled{o: o, out: out, name: name, pid: o.PIDFile, wait: o.Timeout}
		if c.pid == "" {
			c.pid = filepath.Join(pidDir, "glance-"+name+".pid")
		}
		if c.wait <= 0 {
			c.wait = controlWait
		}
		if len(args) == 3 {
			c.config = args[2]
		}
		one, oneErr := c.command(ctx, args[1])
		if oneErr == nil && c.child != 0 {
			started = append(started, c)
			one, oneErr = c.lasts(ctx)
		}
		if oneErr != nil {
			oneErr = fmt.Errorf("%s: %w", name, oneErr)
		}
		code, err = max(code, one), errors.Join(err, oneErr)
	}
	if o.Respawn {
		if respawnErr := respawn(ctx, started); respawnErr != nil {
			code, err = ManageFailed, errors.Join(err, respawnErr)
		}
	}
	return code, err
}

// command carries out one command.
func (c *controlled) command(ctx context.Context, command string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	run := map[string]func(context.Context) error{
		"start": c.start, "stop": c.stop, "shutdown": c.stop, "reload": c.reload, "restart": c.restart, "force-reload": c.restart,
	}[command]
	switch {
	case command == "status":
		pid, err := c.running()
		if err != nil {
			return ManageFailed, err
		}
		if pid == 0 {
			return say(c.out, ControlStopped, "No glance-"+c.name+" running")
		}
		return say(c.out, ManageDone, fmt.Sprintf("glance-%s running: %d", c.name, pid))
	case run == nil:
		return ManageUsage, fmt.Errorf("no such command: %q", command)
	}
	if err := run(ctx); err != nil {
		return ManageFailed, err
	}
	return ManageDone, nil
}

// running returns the number of the process, 0 if there is none. A pid file that
// is left of one that is dead, though its number may be another's now, is
// removed.
func (c *controlled) running() (int, error) {
	text, err := os.ReadFile(c.pid)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%s: not the number of a process", c.pid)
	}
	if c.lives(pid) {
		return pid, nil
	}
	fmt.Fprintln(c.out, "Removing stale pid file", c.pid)
	return 0, os.Remove(c.pid)
}

// lives says whether a process is there and is the daemon.
func (c *controlled) lives(pid int) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	line, err := os.ReadFile(filepath.Join(proc, "cmdline")) // that of a zombie is empty
	if err != nil {
		return false
	}
	words := strings.Split(string(line), "\x00")
	return filepath.Base(words[0]) == "glance-"+c.name || len(words) > 1 && strings.TrimPrefix(words[1], "glance-") == c.name
}

// start starts the daemon, unless it runs. The daemon has its errors told here
// until it takes requests, and then gives up its standard error.
func (c *controlled) start(ctx context.Context) error {
	if pid, err := c.running(); err != nil || pid != 0 {
		if pid != 0 {
			fmt.Fprintf(c.out, "glance-%s appears to already be running: %s\n", c.name, c.pid)
		}
		return err
	}
	program, err := os.Executable()
	if err == nil && c.o.Capture {
		_, err = exec.LookPath(logProgram)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(c.pid), 0o755)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Starting glance-%s\n", c.name)
	said, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	daemon := exec.Command(program, "--pid-file", c.pid, "--detach")
	daemon.Args[0] = "glance-" + c.name
	if c.config != "" {
		daemon.Args = append(daemon.Args, "--config-file", c.config)
	}
	if c.name == "scrubber" {
		daemon.Args = append(daemon.Args, "--daemon")
	}
	if c.o.Capture {
		daemon.Args = append(daemon.Args, "--capture-output")
	}
	daemon.Stdout, daemon.Stderr = tell, tell
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = daemon.Start()
	tell.Close()
	if err != nil {
		return err
	}
	return c.await(ctx, daemon, said)
}

// await waits until a daemon that was started takes requests, or has ended.
func (c *controlled) await(ctx context.Context, daemon *exec.Cmd, said *os.File) error {
	var text bytes.Buffer
	silent := make(chan error, 1)
	go func() {
		_, err := io.Copy(&text, said) // until it gives it up, or ends
		silent <- err
	}()
	select {
	case <-ctx.Done():
		said.Close()
		<-silent
		err := errors.Join(daemon.Process.Kill(), ignoreExit(daemon.Wait()))
		return errors.Join(fmt.Errorf("it does not begin to work: %w", ctx.Err()), err)
	case err := <-silent:
		if err != nil {
			return err
		}
	}
	if c.named() == daemon.Process.Pid {
		c.child, c.begun = daemon.Process.Pid, time.Now()
		return daemon.Process.Release()
	}
	err := daemon.Wait()
	if err == nil {
		err = errors.New("it ended at once")
	}
	return fmt.Errorf("%w: %s", err, strings.TrimSpace(text.String()))
}

func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

// stop ends the daemon and waits for its end.
func (c *controlled) stop(ctx context.Context) error {
	pid, err := c.running()
	if err != nil {
		return err
	}
	if pid == 0 {
		fmt.Fprintf(c.out, "No glance-%s running\n", c.name)
		return nil
	}
	fmt.Fprintf(c.out, "Stopping glance-%s  pid: %d  signal: %d\n", c.name, pid, syscall.SIGTERM)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	for c.lives(pid) {
		if !sleep(ctx, controlPoll) {
			return fmt.Errorf("process %d has not ended: %w", pid, ctx.Err())
		}
	}
	if err := os.Remove(c.pid); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (c *controlled) restart(ctx context.Context) error {
	if err := c.stop(ctx); err != nil {
		return err
	}
	return c.start(ctx)
}

// reload has the daemon begin a new log file.
func (c *controlled) reload(ctx context.Context) error {
	if c.name == "scrubber" {
		return c.restart(ctx)
	}
	pid, err := c.running()
	if err == nil && pid == 0 {
		err = errors.New("it does not run")
	}
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGHUP)
}
