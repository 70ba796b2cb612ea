package provision

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
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
	p := progress{done: done}
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
		Stdin:  strings.NewReader(batchScript(ops)),
		Stdout: pw,
	})
	pw.Close()
	<-read
	next := ops[min(p.n, len(ops)-1)].String()
	switch {
	case p.failed:
		return &StepError{Node: m.Name(), Op: next, Status: p.status, Log: p.log}
	case err != nil:
		return &StepError{Node: m.Name(), Op: next, Err: err}
	case p.n < len(ops):
		return &StepError{Node: m.Name(), Op: next, Status: res.Status, Log: string(res.Stderr), Err: cutError(res)}
	}
	return nil
}

// cutError describes a session that ended without saying how its script did.
func cutError(res Result) error {
	if l := lastLine(string(res.Stderr)); l != "" {
		return fmt.Errorf("exit status %d: %s", res.Status, l)
	}
	return errCut
}

// batchScript renders ops as functions and calls them one by one. After each
// it prints "done I", or "failed I STATUS LOG" and ends.
func batchScript(ops []Op) string {
	s := newScript()
	s.line("umask 022")
	s.line("echo") // ends a line that a shell's start-up files may have begun
	for i, o := range ops {
		s.line("op%d() {", i)
		o.render(s)
		s.line("}")
	}
	s.line("step() {")
	// Not in a condition: there, a shell ignores set -e.
	s.line(`o=$(set -e; "op$1" 2>&1 </dev/null)`)
	s.line("s=$?")
	s.line(`if [ "$s" -eq 0 ]; then printf 'done %%s\n' "$1" || exit 1; return; fi`)
	s.line(`printf 'failed %%s %%s %%s\n' "$1" "$s" "$(printf %%s "$o" | tail -c 8192 | base64 -w0)"`)
	s.line("exit 0")
	s.line("}")
	for i := range ops {
		s.line("step %d", i)
	}
	return s.end()
}

// progress is what a batch said so far.
type progress struct {
	done   func(i int)
	n      int // ops that are done
	failed bool
	status int
	log    string
}

func (p *progress) read(r io.Reader) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 64<<10)
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) < 2 || f[1] != strconv.Itoa(p.n) {
			continue
		}
		switch f[0] {
		case "done":
			p.done(p.n)
			p.n++
		case "failed":
			p.failed = true
			if len(f) > 2 {
				p.status, _ = strconv.Atoi(f[2])
			}
			if len(f) > 3 {
				log, _ := base64.StdEncoding.DecodeString(f[3])
				p.log = string(log)
			}
			return
		}
	}
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
	s.keep(o.Path, o.Original)
	s.begin(o.Path)
	s.line("umask 077")
	s.line(`gzip -dc >"$t"`)
	s.line(`set -- $(sha256sum <"$t")`)
	s.line(`[ "$1" = %s ] || { echo "what arrived has SHA-256 $1, not %s" >&2; exit 1; }`, Quote(o.SHA256), o.SHA256)
	s.attrs(`"$t"`, o.Mode, o.Owner, o.Group)
	s.line(`sync "$t"`)
	s.line(`mv -fT -- "$t" %s`, Quote(o.Path))
	s.line("(umask 077; mkdir -p -- %s)", Quote(state))
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
