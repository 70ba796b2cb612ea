package provision

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// upload runs an Upload in a session of its own.
func (m *machine) upload(ctx context.Context, o Upload) error {
	fail := func(res Result, err error) error {
		return &StepError{Node: m.Name(), Op: o.String(), Status: res.Status, Log: string(res.Stderr), Err: err}
	}
	open, unpack, onWay := o.Open, "| gzip -dc ", blocksOnWay
	if o.Plain != nil && isNear(m.Host) {
		open, unpack, onWay = o.Plain, "", 1 // an answer comes at once
	}
	r, err := open()
	if err != nil {
		return fail(Result{}, err)
	}
	defer r.Close()
	s := newScript()
	o.renderUpload(s, m.state, unpack)
	in := newBlocks(r, onWay)
	res, err := m.Run(ctx, Cmd{Argv: []string{"sh", "-c", s.end()}, Stdin: in, Stdout: in})
	if err != nil {
		return fail(res, err)
	}
	if res.Status != 0 {
		return fail(res, nil)
	}
	if !bytes.HasSuffix(bytes.TrimSpace(in.said), []byte("uploaded")) {
		return fail(res, errCut)
	}
	return nil
}

// near is a Host that knows how fast the link to it is.
type near interface {
	// Near reports whether the link is so fast that to unpack a stream takes
	// the machine longer than to receive what is in it.
	Near() bool
}

func isNear(h Host) bool {
	n, ok := h.(near)
	return ok && n.Near()
}

func (o Upload) String() string { return "upload " + o.Path }

// render is never called: Do gives an Upload its own session.
func (o Upload) render(s *script) { s.line("exit 1") }

// renderUpload writes the script that reads blocks on its input and passes
// them through unpack. The stamp it leaves lets later looks at the file go
// without hashing it.
func (o Upload) renderUpload(s *script, state, unpack string) {
	stamps := Quote(stampFile(state))
	s.line("set -e")
	s.rooted()
	s.guard("")
	s.keep(o.Path, o.Original)
	w := s.claim(o.Path)[0]
	s.line("umask 077")
	s.line("exec 3>&1")
	s.line(`while read -r n && [ "$n" -gt 0 ]; do head -c "$n" || exit 1; echo >&3; done %s>%s`, unpack, w)
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

const (
	blockSize     = 1 << 20
	blocksOnWay   = 2
	blockPatience = time.Second
)

// blocks hands out a stream in blocks, each after a line that says its
// length, the last of length 0. It waits until the other side has printed a
// line for one before there are too many on the way: what a program has not
// read yet sshd keeps, in a buffer that it moves for each packet. A side that
// says nothing is not waited for long, so this is never what fails.
type blocks struct {
	from  io.Reader
	block []byte
	next  bytes.Buffer
	ended bool
	onWay chan struct{}
	said  []byte // what the other side printed
}

func newBlocks(r io.Reader, onWay int) *blocks {
	return &blocks{from: r, block: make([]byte, blockSize), onWay: make(chan struct{}, onWay)}
}

// Read implements io.Reader.
func (b *blocks) Read(p []byte) (int, error) {
	if b.next.Len() == 0 {
		if b.ended {
			return 0, io.EOF
		}
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	return b.next.Read(p)
}

func (b *blocks) fill() error {
	select {
	case b.onWay <- struct{}{}:
	case <-time.After(blockPatience):
	}
	n, err := io.ReadFull(b.from, b.block)
	if n > 0 {
		fmt.Fprintf(&b.next, "%d\n", n)
		b.next.Write(b.block[:n])
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		b.ended = true
		b.next.WriteString("0\n")
		return nil
	}
	return err
}

// Write implements io.Writer: it is told what the other side prints.
func (b *blocks) Write(p []byte) (int, error) {
	for range bytes.Count(p, []byte("\n")) {
		select {
		case <-b.onWay:
		default:
		}
	}
	b.said = append(b.said, p...)
	b.said = b.said[max(0, len(b.said)-logSize):]
	return len(p), nil
}
