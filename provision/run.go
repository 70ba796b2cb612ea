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

// upload runs an Upload in a session of its own.
func (m *machine) upload(ctx context.Context, o Upload) error {
	fail := func(res Result, err error) error {
		return &StepError{Node: m.Name(), Op: o.String(), Status: res.Status, Log: string(res.Stderr), Err: err}
	}
	r, err := o.Open()
	if err != nil {
		return fail(Result{}, err)
	}
	defer r.Close()
	s := newScript()
	o.renderUpload(s, m.state)
	res, err := m.Run(ctx, Cmd{Argv: []string{"sh", "-c", s.end()}, Stdin: r})
	if err != nil {
		return fail(res, err)
	}
	if res.Status != 0 {
		return fail(res, nil)
	}
	if !bytes.HasSuffix(bytes.TrimSpace(res.Stdout), []byte("uploaded")) {
		return fail(res, errCut)
	}
	return nil
}

func (o Upload) String() string { return "upload " + o.Path }

// render is never called: Do gives an Upload its own session.
func (o Upload) render(s *script) { s.line("exit 1") }

// renderUpload writes the script that reads the gzip stream on its input.
// The stamp it leaves lets later looks at the file go without hashing it.
func (o Upload) renderUpload(s *script, state string) {
	stamps := Quote(stampFile(state))
	s.line("set -e")
	s.guard("")
	s.keep(o.Path, o.Original)
	w := s.claim(o.Path)[0]
	s.line("umask 077")
	s.line("gzip -dc >%s", w)
	s.line("set -- $(sha256sum <%s)", w)
	s.line(`[ "$1" = %s ] || { echo "what arrived has SHA-256 $1, not %s" >&2; exit 1; }`, Quote(o.SHA256), o.SHA256)
	s.attrs(w, o.Mode, o.Owner, o.Group)
	s.line("sync %s", w)
	s.place(w, o.Path)
	s.line("t=")
	s.line("mkdir -p -- %s", Quote(state))
	s.line("{")
	s.line("while read -r h z m c i n; do")
	s.line(`[ "$n" = %s ] || printf '%%s\n' "$h $z $m $c $i $n"`, Quote(o.Path))
	s.line("done <%s || :", stamps)
	s.line("printf '%%s %%s\\n' %s \"$(stat -c '%s %%n' -- %s)\"", Quote(o.SHA256), stampFormat, Quote(o.Path))
	s.line("} >%s 2>/dev/null", Quote(stampFile(state)+".new"))
	s.line("mv -fT -- %s %s", Quote(stampFile(state)+".new"), stamps)
	s.line("echo uploaded")
}

// stampFormat is what stat prints to tell whether a file is still the same.
const stampFormat = "%s %.9Y %.9Z %i"

func stampFile(state string) string { return state + "/stamps" }
