package sshhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"glancectl/provision"
)

// sudoRefused is what sudo says when it does not let a user do as asked.
var sudoRefused = regexp.MustCompile(`^sudo: a password is required|^sudo: .*no tty present|not in the sudoers file|may not run sudo`)

// grace is how long a session has to end after it was told to.
const grace = time.Second

// errLost says that a connection ended while something was going on.
var errLost = errors.New("the connection was lost")

// line is argv as the one line that SSH has, for root.
func (h *Host) line(argv []string) (string, error) {
	if len(argv) == 0 {
		return "", errors.New("no command")
	}
	line := provision.QuoteAll(argv)
	if h.cfg.User != "root" {
		line = "sudo -n -- " + line
	}
	return line, nil
}

// session opens a session and counts it. done gives its place back.
func (h *Host) session(ctx context.Context) (*ssh.Session, func(), error) {
	select {
	case h.sessions <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	case <-h.dead:
		return nil, nil, errLost
	}
	h.trips.Add(1)
	done := func() { <-h.sessions }
	type opened struct {
		s   *ssh.Session
		err error
	}
	ch := make(chan opened, 1)
	h.wg.Go(func() {
		s, err := h.client.NewSession()
		ch <- opened{s, err}
	})
	select {
	case o := <-ch:
		if o.err != nil {
			done()
			return nil, nil, h.explain(o.err)
		}
		return o.s, done, nil
	case <-ctx.Done():
		h.wg.Go(func() {
			if o := <-ch; o.err == nil {
				o.s.Close()
			}
			done()
		})
		return nil, nil, context.Cause(ctx)
	}
}

// lostSoon is how long a Host has to notice that its connection is lost.
const lostSoon = 100 * time.Millisecond

// explain says that the connection was lost, when that is why. A session may
// see it before the Host does, in many words, and who connects again then
// must not be given this connection once more.
func (h *Host) explain(err error) error {
	var answer *ssh.OpenChannelError
	if errors.As(err, &answer) {
		return err
	}
	select {
	case <-h.dead:
		return errLost
	case <-time.After(lostSoon):
	}
	var missing *ssh.ExitMissingError
	if errors.As(err, &missing) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return errLost
	}
	return err
}

// Run implements provision.Host.
func (h *Host) Run(ctx context.Context, c provision.Cmd) (provision.Result, error) {
	line, err := h.line(c.Argv)
	if err != nil {
		return provision.Result{}, fmt.Errorf("run: %w", err)
	}
	fail := func(err error) (provision.Result, error) {
		return provision.Result{}, fmt.Errorf("run %s on %s: %w", c.Argv[0], h.cfg.Name, err)
	}
	if t := h.cfg.CommandTimeout; t > 0 && !c.Endless {
		var cancel context.CancelFunc
		t += c.Longer
		ctx, cancel = context.WithTimeoutCause(ctx, t, fmt.Errorf("did not end within %s: look what it waits for, or give it more time with command_timeout", t))
		defer cancel()
	}
	s, done, err := h.session(ctx)
	if err != nil {
		return fail(err)
	}
	defer done()
	defer s.Close()
	out, stdout, stderr := &gate{w: c.Stdout}, new(capped), new(capped)
	if c.Stdout == nil {
		out.w = stdout
	}
	errs := &gate{w: stderr}
	s.Stdin, s.Stdout, s.Stderr = c.Stdin, out, errs
	if err := s.Start(line); err != nil {
		return fail(h.explain(err))
	}
	ended := make(chan error, 1)
	h.wg.Go(func() { ended <- s.Wait() })
	select {
	case err = <-ended:
	case <-ctx.Done():
		_ = s.Signal(ssh.SIGTERM) // some servers know no signals: closing must do
		s.Close()
		select {
		case <-ended:
		case <-time.After(grace):
		case <-h.dead:
		}
		out.shut()
		errs.shut()
		return fail(context.Cause(ctx))
	}
	return h.result(stdout.b, stderr.b, err, fail)
}

// result translates how a session ended.
func (h *Host) result(stdout, stderr []byte, err error, fail func(error) (provision.Result, error)) (provision.Result, error) {
	res := provision.Result{Stdout: stdout, Stderr: stderr}
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit) && h.cfg.User != "root" && sudoRefused.Match(stderr):
		return fail(fmt.Errorf("user %s needs sudo without a password (NOPASSWD): %s", h.cfg.User, bytes.TrimSpace(stderr)))
	case errors.As(err, &exit):
		res.Status = exit.ExitStatus()
	case errors.Is(err, io.EOF) && h.Alive():
		// It ended without reading all of its input.
	case err != nil:
		return fail(h.explain(err))
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

// gate passes writes on until it is shut. A session that was given up may
// still write.
type gate struct {
	mu sync.Mutex
	w  io.Writer
}

func (g *gate) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.w == nil {
		return len(b), nil
	}
	return g.w.Write(b)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.w = nil
}

// Pipe implements provision.Host. ctx bounds only the start.
func (h *Host) Pipe(ctx context.Context, argv []string) (net.Conn, error) {
	line, err := h.line(argv)
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	fail := func(err error) error { return fmt.Errorf("pipe %s on %s: %w", argv[0], h.cfg.Name, err) }
	s, done, err := h.session(ctx)
	if err != nil {
		return nil, fail(err)
	}
	in, err := s.StdinPipe()
	if err == nil {
		s.Stderr = io.Discard
		var out io.Reader
		if out, err = s.StdoutPipe(); err == nil {
			if err = s.Start(line); err == nil {
				return h.bridge(out, in, func() {
					_ = s.Signal(ssh.SIGTERM) // for programs that do not mind the end of their input
					s.Close()
					done()
				}), nil
			}
		}
	}
	s.Close()
	done()
	return nil, fail(h.explain(err))
}

// Dial implements provision.Host: sshd connects, as the user who logged in.
// Where sshd is not allowed to, a program on the machine does, as root.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	h.trips.Add(1)
	c, err := h.client.DialContext(ctx, network, address)
	var answer *ssh.OpenChannelError
	if errors.As(err, &answer) && answer.Reason == ssh.Prohibited {
		return h.Pipe(ctx, provision.Relay(network, address))
	}
	if err != nil {
		return nil, fmt.Errorf("dial %s %s from %s: %w", network, address, h.cfg.Name, h.explain(err))
	}
	return h.bridge(c, c, func() { c.Close() }), nil
}

// bridge makes a net.Conn of two streams of an SSH channel. A channel alone
// knows no deadlines, which database and HTTP clients set. The end of either
// side is the end of both.
func (h *Host) bridge(r io.Reader, w io.WriteCloser, end func()) net.Conn {
	ours, theirs := net.Pipe()
	h.wg.Go(func() {
		_, _ = io.Copy(theirs, r)
		theirs.Close()
	})
	h.wg.Go(func() {
		_, _ = io.Copy(w, theirs)
		w.Close()
		end()
	})
	return ours
}
