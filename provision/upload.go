package provision

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

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

// A batch renders these with what it knows of the machine.
func (o Upload) render(*script) {}

// A feed is the content of an Upload on its way to the script of a batch. It
// is an io.Reader of what comes on the script's standard input after the
// script itself and the feeds before it.
type feed struct {
	*blocks
	stream io.ReadCloser
	packed bool
	check  string // BLAKE2b of the content, "" if nobody knows
	begin  func() // the script has come so far
	end    func() // the script has ended, or it will not come so far
	begun  chan struct{}
	over   chan struct{}
}

// newFeed opens the stream that suits the machine.
func newFeed(o Upload, near bool) (*feed, error) {
	f := &feed{packed: true, begun: make(chan struct{}), over: make(chan struct{})}
	f.begin = sync.OnceFunc(func() { close(f.begun) })
	f.end = sync.OnceFunc(func() { close(f.over) })
	open, onWay := o.Open, blocksOnWay
	var err error
	if o.Plain != nil && near {
		open, onWay, f.packed = o.Plain, 1, false // an answer comes at once
		if o.BLAKE2b != nil {
			if f.check, err = o.BLAKE2b(); err != nil {
				return nil, err
			}
		}
	}
	if f.stream, err = open(); err != nil {
		return nil, err
	}
	f.blocks = newBlocks(f.stream, onWay)
	return f, nil
}

// Read implements io.Reader. It waits for begin: a shell may read more of its
// standard input than the script.
func (f *feed) Read(p []byte) (int, error) {
	select {
	case <-f.over:
		return 0, io.EOF
	case <-f.begun:
		return f.blocks.Read(p)
	}
}

// feeds opens the streams of all uploads among ops, by their indexes. If one
// cannot be opened, none is, and its index is returned with the error.
func feeds(ops []Op, near bool) (all map[int]*feed, failed int, err error) {
	all = make(map[int]*feed)
	for i, o := range ops {
		up, ok := o.(Upload)
		if !ok {
			continue
		}
		if all[i], err = newFeed(up, near); err != nil {
			delete(all, i)
			endAll(all)
			return nil, i, err
		}
	}
	return all, 0, nil
}

func endAll(feeds map[int]*feed) {
	for _, f := range feeds {
		f.end()
		_ = f.stream.Close() // it was read, or it is of no use any more
	}
}

// input is the standard input of a batch.
func input(script io.Reader, feeds map[int]*feed) io.Reader {
	all := []io.Reader{script}
	for _, i := range sortedKeys(feeds) {
		all = append(all, feeds[i])
	}
	return io.MultiReader(all...)
}

func sortedKeys(feeds map[int]*feed) []int {
	var keys []int
	for i := range feeds {
		keys = append(keys, i)
	}
	slices.Sort(keys)
	return keys
}

// upload renders an Upload: it asks for the feed of the op i on the standard
// input of the whole script, which is 4 here, and reads it in blocks, each
// after a line with its length. The stamp it leaves lets later looks at the
// file go without hashing it.
func (b *batch) upload(i int, o Upload, f *feed) {
	b.keep(o.Path, o.Original)
	w := b.claim(o.Path)[0]
	b.line("umask 077")
	b.line(": >%s", w)
	b.line(`printf '\n%s feed %d\n'`, b.mark, i)
	const next = `while read -r k <&4 && [ "$k" -gt 0 ]; do head -c "$k" <&4`
	if f.packed {
		b.line(`{ %s || exit 1; printf '\n%s took %d\n' >&3; done | gzip -dc >%s; } 3>&1`, next, b.mark, i, w)
	} else {
		b.line(`%s >>%s || exit 1; printf '\n%s took %d\n'; done`, next, w, b.mark, i)
	}
	b.line("umask 022")
	b.arrived(w, o.SHA256, f.check)
	b.attrs(w, o.Mode, o.Owner, o.Group)
	b.line("sync %s", w)
	b.place(w, o.Path)
	b.line("t=")
	b.stamp(o)
}

// arrived requires that the file named by the shell word w is what was sent.
// BLAKE2b takes a machine half as long as SHA-256, if it has a program for it.
func (b *batch) arrived(w, sha256, blake2b string) {
	b.line("k=SHA-256 h=%s c=sha256sum", Quote(sha256))
	if blake2b != "" {
		b.line("if command -v b2sum >/dev/null; then k=BLAKE2b h=%s c=b2sum; fi", Quote(blake2b))
	}
	b.line("set -- $($c <%s)", w)
	b.line(`[ "$1" = "$h" ] || { echo "what arrived has $k $1, not $h"; exit 1; }`)
}

// stamp notes what an uploaded file looks like.
func (b *batch) stamp(o Upload) {
	state, stamps, next := Quote(b.state), Quote(stampFile(b.state)), Quote(stampFile(b.state)+".new")
	b.line("umask 077")
	b.line("[ -d %s ] || mkdir -p -- %s", state, state)
	b.line("{")
	b.line("while read -r h z m c i k; do")
	b.line(`[ "$k" = %s ] || printf '%%s\n' "$h $z $m $c $i $k"`, Quote(o.Path))
	b.line("done <%s || :", stamps)
	b.line("printf '%%s %%s\\n' %s \"$(stat -c '%s %%n' -- %s)\"", Quote(o.SHA256), stampFormat, Quote(o.Path))
	b.line("} >%s 2>/dev/null", next)
	b.line("mv -fT -- %s %s", next, stamps)
	b.line("umask 022")
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
// length, the last of length 0. It waits until the other side has taken one
// before there are too many on the way: what a program has not read yet sshd
// keeps, in a buffer that it moves for each packet. A side that says nothing
// is not waited for long, so this is never what fails.
type blocks struct {
	from  io.Reader
	block []byte
	next  bytes.Buffer
	ended bool
	onWay chan struct{}
	// broken has why the stream could not be read to its end.
	broken chan error
}

func newBlocks(r io.Reader, onWay int) *blocks {
	return &blocks{from: r, block: make([]byte, blockSize), onWay: make(chan struct{}, onWay), broken: make(chan error, 1)}
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
	if err != nil {
		b.ended = true
		b.broken <- err
	}
	return err
}

// took is told that the other side has taken a block.
func (b *blocks) took() {
	select {
	case <-b.onWay:
	default:
	}
}
