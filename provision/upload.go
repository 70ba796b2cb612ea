package provision

import (
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
	b.line(`printf '\n%s feed %d\n'`, b.mark, i)
	if f.packed {
		b.line(`{ take %d | gzip -dc >%s; } 3>&1`, i, w)
	} else {
		b.line(`take %d 3>&1 >%s`, i, w)
	}
	b.line("umask 022")
	b.arrived(w, o.SHA256, f.check)
	b.attrs(w, o.Mode, o.Owner, o.Group)
	b.line("sync %s", w)
	b.place(w, o.Path)
	b.line("t=")
	b.stamp(o)
}

// taker defines take, which passes the blocks of the feed it is told the number
// of on from 4 to its output, and says on 3 when it has passed one on. A stream
// that breaks off is for arrived to find out.
func (b *batch) taker() {
	b.line("take() {")
	b.line("k=0; perl -e %s %s \"$1\" <&4 || k=$?", Quote(takeBlocks), b.mark)
	b.line("[ $k = 127 ] || return $k") // there is no perl
	b.line(`while read -r k <&4 && [ "$k" -gt 0 ]; do head -c "$k" <&4 || return; printf '\n%s took %%d\n' "$1" >&3; done`, b.mark)
	b.line("}")
}

// takeBlocks spares a machine the start of a program for each block.
const takeBlocks = `my ($mark, $i) = @ARGV;
open my $said, ">&=", 3 or die "3: $!\n";
sub put {
  my ($h, $b) = @_;
  while (length $b) { my $n = syswrite $h, $b; defined $n or die "cannot write: $!\n"; substr($b, 0, $n) = "" }
}
while (1) {
  my ($left, $c) = ("", "");
  $left .= $c while sysread(STDIN, $c, 1) and $c ne "\n";
  last unless $left;
  while ($left > 0) {
    my $n = sysread STDIN, my $b, $left < 65536 ? $left : 65536 or exit;
    put(\*STDOUT, $b);
    $left -= $n;
  }
  put($said, "\n$mark took $i\n");
}`

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
	block []byte // a line and a block, made when there is one to read
	next  []byte // what of it was not handed out
	ended bool
	onWay chan struct{}
	// broken has why the stream could not be read to its end.
	broken chan error
}

func newBlocks(r io.Reader, onWay int) *blocks {
	return &blocks{from: r, onWay: make(chan struct{}, onWay), broken: make(chan error, 1)}
}

// Read implements io.Reader.
func (b *blocks) Read(p []byte) (int, error) {
	if len(b.next) == 0 {
		if b.ended {
			return 0, io.EOF
		}
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.next)
	b.next = b.next[n:]
	return n, nil
}

// lineRoom is how long the line before a block can be, and the one after it.
const lineRoom = len("1073741824\n")

func (b *blocks) fill() error {
	select {
	case b.onWay <- struct{}{}:
	case <-time.After(blockPatience):
	}
	if b.block == nil {
		b.block = make([]byte, lineRoom+blockSize+lineRoom)
	}
	n, err := io.ReadFull(b.from, b.block[lineRoom:lineRoom+blockSize])
	from, to := lineRoom, lineRoom+n
	if n > 0 {
		line := fmt.Sprintf("%d\n", n)
		from -= copy(b.block[lineRoom-len(line):], line)
	}
	b.ended = err != nil
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		to += copy(b.block[to:], "0\n")
		err = nil
	}
	b.next = b.block[from:to]
	if err != nil {
		b.next = nil
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
