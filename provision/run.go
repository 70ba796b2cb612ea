package provision

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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

// Do implements Writer.
func (m *machine) Do(ctx context.Context, ops []Op, done func(i int)) error {
	if done == nil {
		done = func(int) {}
	}
	for first := 0; first < len(ops); {
		if err := ctx.Err(); err != nil {
			return err
		}
		if up, ok := ops[first].(Upload); ok {
			if err := m.upload(ctx, up); err != nil {
				return err
			}
			done(first)
			first++
			continue
		}
		n := slices.IndexFunc(ops[first:], func(o Op) bool { _, ok := o.(Upload); return ok })
		if n < 0 {
			n = len(ops) - first
		}
		from := first
		if err := m.batch(ctx, ops[from:from+n], func(i int) { done(from + i) }); err != nil {
			return err
		}
		first += n
	}
	return nil
}

// batch runs ops, none of them an Upload, in one session.
func (m *machine) batch(ctx context.Context, ops []Op, done func(i int)) error {
	p := progress{mark: rand.Text(), done: done}
	pr, pw := io.Pipe()
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read(pr)
		// Whatever else comes is of no use, but the writer must not wait.
		_, _ = io.Copy(io.Discard, pr)
	}()
	res, err := m.Run(ctx, Cmd{
		Argv:   []string{"sh", "-s"},
		Stdin:  strings.NewReader(batchScript(ops, p.mark)),
		Stdout: pw,
	})
	pw.Close()
	<-read
	if !p.failed && err == nil && p.n == len(ops) {
		return nil
	}
	at := p.n
	if p.failed {
		at = p.at
	}
	se := &StepError{Node: m.Name(), index: min(at, len(ops)-1)}
	se.Op = ops[se.index].String()
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
