package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bouncing is how long a server has to live to be worth another start.
const bouncing = time.Second

// logProgram writes to the system's log what it reads.
const logProgram = "logger"

// named returns the number in the pid file, 0 if there is none.
func (c *controlled) named() int {
	text, err := os.ReadFile(c.pid)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}

// lasts looks for as long as it was told whether the server that was started
// goes on. If it ends, its exit code is returned.
func (c *controlled) lasts(ctx context.Context) (int, error) {
	for until := time.Now().Add(c.o.Await); time.Now().Before(until) && sleep(ctx, controlPoll); {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(c.child, &status, syscall.WNOHANG, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return ManageFailed, err
		}
		if pid != c.child {
			continue
		}
		if status.Signaled() {
			return ManageFailed, fmt.Errorf("it has ended again: %s", status.Signal())
		}
		return status.ExitStatus(), fmt.Errorf("it has ended again, with exit code %d", status.ExitStatus())
	}
	return ManageDone, nil
}

// respawn starts again what ends without being told to, until all have been
// told, or ctx ends. The servers go on then.
func respawn(ctx context.Context, servers []*controlled) (err error) {
	for _, c := range servers {
		c.tell()
	}
	for len(servers) > 0 && sleep(ctx, controlPoll) {
		servers = slices.DeleteFunc(servers, func(c *controlled) bool {
			goes, failed := c.again(ctx)
			if failed != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", c.name, failed))
			}
			return !goes
		})
	}
	return err
}

// again starts the server once more if it has to be. It returns false when
// there is nothing more to look after. One that ends in order has removed its
// pid file.
func (c *controlled) again(ctx context.Context) (goes bool, err error) {
	if c.lives(c.child) {
		return true, nil
	}
	_, _ = syscall.Wait4(c.child, nil, syscall.WNOHANG, nil) // it leaves no zombie
	why := ""
	switch {
	case c.named() != c.child:
		why = "deliberately stopped"
	case time.Since(c.begun) < bouncing:
		why = "bouncing"
	}
	if why != "" {
		_, err := fmt.Fprintf(c.out, "Suppressed respawn as glance-%s was %s\n", c.name, why)
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	if err := c.start(ctx); err != nil {
		return false, err
	}
	c.tell()
	return true, nil
}

// tell says that the server is looked after.
func (c *controlled) tell() {
	fmt.Fprintf(c.out, "Looking after glance-%s  pid: %d\n", c.name, c.child)
}

// detach gives up the standard output and error of this process, if it was
// started by somebody who waits for that: to nobody, or to the system's log.
// If that cannot be told, they are given up all the same.
func (p *process) detach() error {
	if !p.o.Detach {
		return nil
	}
	to, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer to.Close()
	if p.o.Capture {
		var log *os.File
		if log, err = p.logger(); err == nil {
			defer log.Close()
			to = log
		}
	}
	return errors.Join(err, syscall.Dup3(int(to.Fd()), 1, 0), syscall.Dup3(int(to.Fd()), 2, 0))
}

// logger returns what writes to the system's log, until this process ends.
func (p *process) logger() (*os.File, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer from.Close()
	logger := exec.Command(logProgram, "-t", fmt.Sprintf("glance-%s[%d]", p.program, os.Getpid()))
	logger.Stdin = from
	if err := logger.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("capture output: %w", err), to.Close())
	}
	signal.Ignore(syscall.SIGPIPE) // should somebody end it, that is no reason to end too
	return to, nil
}
