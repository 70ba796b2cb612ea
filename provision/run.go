package provision

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// A machine is a Host as resources see it: the one Reader and Writer.
type machine struct {
	Host
	root     string // "" is /
	state    string // the directory of receipt and stamps
	changing func(id string) bool
}

// errCut says that a session ended before its script did.
var errCut = errors.New("the session ended before the script did")

// Do implements Writer. All ops run in one session.
func (m *machine) Do(ctx context.Context, ops []Op, done func(i int)) error {
	if len(ops) == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	fed, at, err := feeds(ops, isNear(m.Host))
	if err != nil {
		return &StepError{Node: m.Name(), Op: ops[at].String(), Err: err, index: at}
	}
	defer endAll(fed)
	p := progress{mark: rand.Text(), done: done, feeds: fed}
	if done == nil {
		p.done = func(int) {}
	}
	res, err := m.batch(ctx, ops, &p)
	if !p.failed && err == nil && p.n == len(ops) {
		return nil
	}
	return m.failure(ops, &p, res, err)
}

// batch runs the script of ops and follows its progress to the end.
func (m *machine) batch(ctx context.Context, ops []Op, p *progress) (Result, error) {
	b := batch{mark: p.mark, state: m.state, feeds: p.feeds}
	pr, pw := io.Pipe()
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read(pr)
		for _, f := range p.feeds {
			f.end() // nobody asks for it any more
		}
		// Whatever else comes is of no use, but the writer must not wait.
		_, _ = io.Copy(io.Discard, pr)
	}()
	res, err := m.Run(ctx, Cmd{
		Argv:   []string{"sh", "-s"},
		Stdin:  input(strings.NewReader(b.render(ops)), p.feeds),
		Stdout: pw,
		Longer: longer(ops),
	})
	pw.Close()
	<-read
	return res, err
}

// longer is the time that ops ask for themselves.
func longer(ops []Op) (all time.Duration) {
	for _, o := range ops {
		if e, ok := o.(Exec); ok {
			all += e.Timeout
		}
	}
	return all
}

// failure says which of ops failed, and why.
func (m *machine) failure(ops []Op, p *progress, res Result, err error) error {
	at := p.n
	if p.failed {
		at = p.at
	}
	se := &StepError{Node: m.Name(), index: min(at, len(ops)-1)}
	se.Op = ops[se.index].String()
	if f := p.feeds[se.index]; f != nil {
		select {
		case se.Err = <-f.broken:
			return se
		default:
		}
	}
	switch {
	case p.failed:
		se.Status, se.Log = p.status, string(bytes.Trim(p.log, "\n"))
	case err != nil:
		se.Err = err
	default:
		se.Status, se.Log, se.Err = res.Status, string(res.Stderr)+string(p.log), cutError(res)
	}
	return se
}

// cutError describes a session that ended without saying how its script did.
func cutError(res Result) error {
	if l := lastLine(string(res.Stderr)); l != "" {
		return fmt.Errorf("exit status %d: %s", res.Status, l)
	}
	return errCut
}
