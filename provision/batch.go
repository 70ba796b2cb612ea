package provision

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A batch is the script of ops that follow each other. Starting a process is
// what takes a machine longest, so the shell does itself what it can, and
// neighbours of one kind are done together.
type batch struct {
	*script
	mark  string // begins the lines that are not the output of an op
	state string
	feeds map[int]*feed // of the uploads, by their indexes
	fed   int           // how many of them were rendered
}

// render writes the script of ops. Of each that is done it prints
// "MARK done I". When one fails it prints "MARK failed I STATUS" after what
// the op printed, and ends. "MARK feed I" asks for the content of an upload,
// and "MARK took I" says that a block of it has come.
func (b *batch) render(ops []Op) string {
	b.script = newScript()
	b.line("umask 022")
	b.line("n=0")
	b.writer()
	b.rooted()
	b.guard(fmt.Sprintf(`printf "\n%s failed %%s %%s\n" "$n" "$s";`, b.mark))
	if len(b.feeds) > 0 {
		b.line("exec 4<&0")
		b.taker()
	}
	b.line("exec </dev/null 2>&1")
	b.line("set -e")
	b.line(`printf '\n%s begin\n'`, b.mark)
	for i := 0; i < len(ops); {
		i += b.next(i, ops[i:])
	}
	b.line("trap - EXIT")
	return b.end()
}

// next renders ops[0], whose index is i, and those after it that are done
// together with it. It returns how many.
func (b *batch) next(i int, ops []Op) int {
	b.at(i)
	switch o := ops[0].(type) {
	case PutFile:
		seen := map[string]bool{o.Path: true} // one file has one temporary name
		files := alike(ops, func(f PutFile) bool {
			again := seen[f.Path]
			seen[f.Path] = true
			return !again && !f.Parents && !o.Parents
		})
		b.putFiles(i, files)
		return len(files)
	case MakeDir:
		dirs := alike(ops, func(MakeDir) bool { return true })
		b.makeDirs(i, dirs)
		return len(dirs)
	case MakeLink:
		links := alike(ops, func(l MakeLink) bool { return l.Original == "" && o.Original == "" })
		b.makeLinks(i, links)
		return len(links)
	case StartUnit:
		units := alike(ops, func(u StartUnit) bool { return u.Restart == o.Restart })
		b.startUnits(i, units)
		return len(units)
	case Upload:
		b.upload(i, o, b.feeds[i])
		if b.fed++; b.fed == len(b.feeds) {
			b.line("exec 4<&-")
		}
	case AddGroup:
		if len(ops) > 1 {
			if u, ok := ops[1].(AddUser); ok && !u.Modify && u.Name == o.Name && u.Group == o.Name {
				b.addBoth(i, o, u)
				return 2
			}
		}
		b.captured(o.render)
	case SetAttrs, Remove, RemoveDir, Restore:
		o.render(b.script)
	default:
		b.captured(o.render)
	}
	b.did(i, 1)
	return 1
}

// together is how many ops are at most done together: their names must fit
// into the arguments of a program.
const together = 64

// alike are the first of ops, as far as they are of one type and the first
// is followed by others of which like is true.
func alike[T Op](ops []Op, like func(T) bool) []T {
	all := []T{ops[0].(T)}
	for _, o := range ops[1:min(len(ops), together)] {
		next, ok := o.(T)
		if !ok || !like(next) {
			break
		}
		all = append(all, next)
	}
	return all
}

// at tells which op a failure from here on is of.
func (b *batch) at(i int) { b.line("n=%d", i) }

// did says that n ops from the i-th on are done, all at once: everybody on the
// way is woken up for what the shell says.
func (b *batch) did(i, n int) {
	var which strings.Builder
	for k := range n {
		fmt.Fprintf(&which, " %d", i+k)
	}
	b.line(`printf '\n%s done %%d\n'%s`, b.mark, which.String())
}

// all runs a program once for many words, of which the first belongs to the
// op i. When that fails it is run for each, so that it is known which one
// it is.
func (b *batch) all(i int, argv string, words []string) {
	if len(words) == 1 {
		b.at(i)
		b.line("%s %s", argv, words[0])
		return
	}
	b.line("%s %s 2>/dev/null || {", argv, strings.Join(words, " "))
	for j, w := range words {
		b.at(i + j)
		b.line("%s %s", argv, w)
	}
	b.line("}")
	b.at(i)
}

// atOnce does n ops from the i-th on with one program, or alone: if there is just
// one, if the program cannot be had here, or if it fails, for then it is known
// where, and why. What the program has done already must not hinder alone, which
// says itself what it did. The words are the program's arguments.
func (b *batch) atOnce(i, n int, perl string, words []string, alone func()) {
	if n == 1 {
		alone()
		return
	}
	b.line("if perl -e %s -- %s 2>/dev/null; then", Quote(perl), strings.Join(words, " "))
	b.did(i, n)
	b.line("else")
	alone()
	b.line("fi")
}

// What atOnce does. Debian always has perl, and to start it takes a machine as
// long as to start two of the programs that it stands for.
const (
	renameAll = `while (my ($from, $to) = splice @ARGV, 0, 2) { rename $from, $to or exit 1 }`
	linkAll   = `while (my ($target, $path) = splice @ARGV, 0, 2) { symlink $target, $path or exit 1 }`
	mkdirAll  = `while (my ($path, $mode, $user, $group) = splice @ARGV, 0, 4) {
-d $path or mkdir $path, 0700 or exit 1;
if ("$user$group" ne "") {
my $uid = $user eq "" ? -1 : getpwnam $user; my $gid = $group eq "" ? -1 : getgrnam $group;
defined $uid && defined $gid && chown $uid, $gid, $path or exit 1 }
chmod oct $mode, $path or exit 1 }`
)

// captured runs an op in a shell of its own whose output is kept until it
// ends: what runs must not be ended because nobody reads its output any more.
func (b *batch) captured(render func(*script)) {
	b.line("set +e")
	b.line("o=$(exec 2>&1; set -e")
	render(b.script)
	b.line(")")
	b.line("s=$?; set -e")
	b.line(`[ "$s" = 0 ] || { printf '%%s\n' "$o"; exit "$s"; }`)
}

// putFiles writes all files beside their places, syncs them, and then puts
// them in place one after the other.
func (b *batch) putFiles(i int, files []PutFile) {
	paths := make([]string, len(files))
	for k, f := range files {
		paths[k] = f.Path
	}
	words := b.claim(paths...)
	for k, f := range files {
		b.at(i + k)
		b.keep(f.Path, f.Original)
		if f.Parents {
			d := Quote(path.Dir(f.Path))
			b.line("[ -d %s ] || (umask 077; mkdir -p -- %s)", d, d)
		}
		// The file is born with its mode, unless that has bits that files are
		// not born with.
		b.line("umask %04o", 0o777&^f.Mode.Perm())
		b.write(f.Content, words[k])
	}
	b.line("umask 022")
	for k := 0; k < len(files); {
		f := files[k]
		n := slices.IndexFunc(files[k:], func(g PutFile) bool { return g.Owner != f.Owner || g.Group != f.Group })
		if n < 0 {
			n = len(files) - k
		}
		if f.Owner != "" || f.Group != "" {
			b.all(i+k, chown(f.Owner, f.Group), words[k:k+n])
		}
		k += n
	}
	for k, f := range files {
		if f.Mode&^0o666 != 0 {
			b.at(i + k)
			b.line("chmod %04o %s", octal(f.Mode), words[k])
		}
	}
	b.all(i, "sync", words)
	b.placeAll(i, files, words)
	b.line("t=")
}

// placeAll gives files their final names, in their order.
func (b *batch) placeAll(i int, files []PutFile, words []string) {
	var pairs []string
	for k, f := range files {
		pairs = append(pairs, words[k], Quote(f.Path))
	}
	b.atOnce(i, len(files), renameAll, pairs, func() {
		for k, f := range files {
			b.at(i + k)
			b.line("{ [ ! -e %s ] && [ ! -L %s ]; } || mv -fT -- %s %s", words[k], words[k], words[k], Quote(f.Path))
			b.did(i+k, 1)
		}
	})
}

func (b *batch) makeDirs(i int, dirs []MakeDir) {
	var words []string
	for _, d := range dirs {
		words = append(words, Quote(d.Path), fmt.Sprintf("%04o", octal(d.Mode)), Quote(d.Owner), Quote(d.Group))
	}
	b.atOnce(i, len(dirs), mkdirAll, words, func() {
		for from := 0; from < len(dirs); {
			to := from + 1
			for to < len(dirs) && dirs[to].Mode == dirs[from].Mode && dirs[to].Owner == dirs[from].Owner && dirs[to].Group == dirs[from].Group {
				to++
			}
			b.makeSame(i+from, dirs[from:to])
			b.did(i+from, to-from)
			from = to
		}
	})
}

// makeSame makes directories that have mode and owner in common.
func (b *batch) makeSame(i int, dirs []MakeDir) {
	o := dirs[0]
	argv := fmt.Sprintf("install -d -m %04o", octal(o.Mode))
	if o.Owner != "" {
		argv += " -o " + Quote(o.Owner)
	}
	if o.Group != "" {
		argv += " -g " + Quote(o.Group)
	}
	words := make([]string, len(dirs))
	for k, d := range dirs {
		words[k] = Quote(d.Path)
	}
	b.all(i, argv+" --", words)
}

func (b *batch) makeLinks(i int, links []MakeLink) {
	var pairs []string
	for _, l := range links {
		pairs = append(pairs, Quote(l.Target), Quote(l.Path))
	}
	b.atOnce(i, len(links), linkAll, pairs, func() {
		for k, l := range links {
			b.at(i + k)
			l.render(b.script)
		}
		b.did(i, len(links))
	})
}

// startUnits starts units with one order to systemd, and tells of those that
// are not active then.
func (b *batch) startUnits(i int, units []StartUnit) {
	names := make([]string, len(units))
	for k, u := range units {
		names[k] = Quote(u.Name)
	}
	all := strings.Join(names, " ")
	verb := "start"
	if units[0].Restart {
		verb = "restart"
	}
	b.line("systemctl enable --quiet --no-reload %s", all)
	b.line("u=$(systemctl show -p Type -p LoadState -p ActiveState -p UnitFileState -p NeedDaemonReload -- %s)", all)
	// One that ran may have been started too often for systemd to do it again.
	b.line("case $u in *ActiveState=[!i]*) systemctl reset-failed %s 2>/dev/null || : ;; esac", all)
	// Reading all unit files again takes systemd longer than all the rest, so
	// it is done only when it does not know these as they are.
	b.line("case $u in *=not-found*|*=disabled*|*=yes*) systemctl daemon-reload ;; esac")
	b.line("s=0; systemctl %s %s || s=$?", verb, all)
	// A start of type notify has ended only when the unit is active.
	b.line(`case "$s $u" in *Type=[!n]*|[!0]*)`)
	for k, name := range names {
		b.at(i + k)
		b.line("if ! systemctl is-active --quiet %s; then", name)
		// What the manager says of a start that failed is "see the journal".
		b.line("systemctl show -p ActiveState -p Result %s || :", name)
		b.line("journalctl -u %s -n 20 --no-pager -o cat || :", name)
		b.line("exit 1")
		b.line("fi")
	}
	b.at(i)
	b.line(`[ "$s" = 0 ] || exit "$s"`)
	b.line(";; esac")
	b.did(i, len(units))
}

// addBoth adds a user and the group that is called the same: together they
// take half as long.
func (b *batch) addBoth(i int, g AddGroup, u AddUser) {
	b.line("if getent group %s >/dev/null; then", Quote(g.Name))
	b.did(i, 1)
	b.at(i + 1)
	b.captured(u.render)
	b.line("else")
	b.at(i + 1)
	u.Group = ""
	b.captured(func(s *script) { s.line("%s", u.command("useradd", "--user-group")) })
	b.did(i, 1)
	b.line("fi")
	b.did(i+1, 1)
}

// logSize is how much of what an op printed is kept.
const logSize = 8192

// progress is what a batch said so far.
type progress struct {
	mark   string
	done   func(i int)
	feeds  map[int]*feed
	n      int    // ops that are done
	log    []byte // the end of what was printed since
	failed bool
	at     int // the op that failed
	status int
}

func (p *progress) read(r io.Reader) {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadSlice('\n') // part of one that is too long
		if said, ok := strings.CutPrefix(string(line), p.mark+" "); ok {
			if p.hear(strings.Fields(said)) {
				return
			}
			p.log = p.log[:0]
		} else if p.log = append(p.log, line...); len(p.log) > 2*logSize {
			p.log = append(p.log[:0], p.log[len(p.log)-logSize:]...)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// hear takes in what a batch says and reports whether that is its last word.
func (p *progress) hear(said []string) (last bool) {
	switch {
	case len(said) == 2 && said[0] == "done" && said[1] == strconv.Itoa(p.n):
		p.done(p.n)
		p.n++
	case len(said) == 2 && (said[0] == "feed" || said[0] == "took"):
		i, err := strconv.Atoi(said[1])
		if f := p.feeds[i]; err == nil && f != nil && said[0] == "feed" {
			f.begin()
		} else if err == nil && f != nil {
			f.took()
		}
	case len(said) == 3 && said[0] == "failed":
		p.failed = true
		p.at, _ = strconv.Atoi(said[1])
		p.status, _ = strconv.Atoi(said[2])
		p.log = p.log[max(0, len(p.log)-logSize):]
		return true
	}
	return false
}
