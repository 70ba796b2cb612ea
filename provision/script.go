package provision

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"
)

// A script is a POSIX shell script in the making. It is fed to "sh -s" on
// standard input, so that nothing in it is seen in a list of processes. All
// of it stands between braces: a shell that is cut off in the middle of
// reading has not begun to execute.
type script struct {
	b strings.Builder
}

func newScript() *script {
	s := new(script)
	s.line("{")
	s.line("LC_ALL=C TZ=UTC PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	s.line("export LC_ALL TZ PATH")
	return s
}

// end closes the braces and returns the script.
func (s *script) end() string {
	s.line("exit 0")
	s.line("}")
	return s.b.String()
}

func (s *script) line(format string, args ...any) {
	fmt.Fprintf(&s.b, format+"\n", args...)
}

// decode writes content to the file named by the shell word to. base64 does
// not say why it cannot write, so the state of the disk is told.
func (s *script) decode(content []byte, to string) {
	s.line(`base64 -d >%s <<'EOF' || { %s; exit 1; }`, to, diskState(to))
	for e := base64.StdEncoding.EncodeToString(content); e != ""; {
		n := min(len(e), 76)
		s.line("%s", e[:n])
		e = e[n:]
	}
	s.line("EOF")
}

// diskState is the shell command that tells how full the disk is that the
// file named by the shell word w is on.
func diskState(w string) string {
	return fmt.Sprintf(`set -- $(df -Ph -- "$(dirname -- %s)" | tail -n 1); echo "cannot write: file system $1 at $6 is $5 full, $4 free" >&2`, w)
}

// text is what every shell can write without help: lines of printable ASCII.
var text = regexp.MustCompile(`^([\t -~]*\n)+$`)

// writer defines put, which writes its argument and a line break without
// starting a process. Where printf is none of the shell's own commands, its
// arguments would be seen in a list of processes.
func (s *script) writer() {
	s.line("if PATH=/nonexistent command printf '' 2>/dev/null; then")
	s.line(`put() { printf '%%s\n' "$1"; }`)
	s.line("else")
	s.line("put() { cat <<EOF")
	s.line("$1")
	s.line("EOF")
	s.line("}")
	s.line("fi")
}

// write writes content to the file named by the shell word to. It needs
// writer.
func (s *script) write(content []byte, to string) {
	if !text.Match(content) {
		s.decode(content, to)
		return
	}
	s.line("put %s >%s || { %s; exit 1; }", Quote(strings.TrimSuffix(string(content), "\n")), to, diskState(to))
}

// temporary is the name that a new file has until it is whole. It is always
// the same for one path, so that the next run finds what a run that was cut
// off left behind.
func temporary(p string) string {
	return path.Join(path.Dir(p), "."+path.Base(p)+".glancectl-new")
}

// guard makes the shell remove the files that $t names, in quoted words, when
// it ends in whatever way, and then run last unless a signal ended it.
func (s *script) guard(last string) {
	s.line("t=")
	s.line(`clean() { [ -z "$t" ] || eval "rm -f -- $t" || :; }`)
	s.line("trap 's=$?; clean; %s exit \"$s\"' EXIT", last)
	s.line("trap 'trap - EXIT; clean; exit 143' HUP INT PIPE TERM")
}

// claim names the temporary files of paths in $t, and sees to it that there
// are none yet. It returns them as shell words. After guard, they are gone
// when the script ends, unless $t is emptied.
func (s *script) claim(paths ...string) []string {
	words := make([]string, len(paths))
	for i, p := range paths {
		words[i] = Quote(temporary(p))
	}
	s.line("t=%s", Quote(strings.Join(words, " ")))
	for _, w := range words {
		s.line("{ [ ! -e %s ] && [ ! -L %s ]; } || rm -f -- %s", w, w, w)
	}
	return words
}

// place gives the file named by the shell word w its final name.
func (s *script) place(w, p string) { s.line("mv -fT -- %s %s", w, Quote(p)) }

// keep copies what is at p to original, once.
func (s *script) keep(p, original string) {
	if original == "" {
		return
	}
	o := Quote(original)
	s.line("if [ ! -e %s ] && [ ! -L %s ] && { [ -e %s ] || [ -L %s ]; }; then", o, o, Quote(p), Quote(p))
	s.line("(umask 077; mkdir -p -- %s)", Quote(path.Dir(original)))
	s.line("cp -pP -- %s %s", Quote(p), Quote(original+".new"))
	s.line("[ -L %s ] || sync %s", Quote(original+".new"), Quote(original+".new"))
	s.line("mv -T -- %s %s", Quote(original+".new"), o)
	s.line("fi")
}

// rooted defines the command that gives files to root. What root makes is
// root's already, unless its directory gives it another group, and a look
// starts no process. A shell that cannot look lets chown do it.
func (s *script) rooted() {
	s.line("rooted() {")
	s.line(`for f in / "$@"; do { [ -O "$f" ] && [ -G "$f" ]; } 2>/dev/null || { chown root:root "$@"; return; }; done`)
	s.line("}")
}

// chown is the command that gives an owner to the files whose shell words
// follow it. It needs rooted.
func chown(owner, group string) string {
	if owner == "root" && group == "root" {
		return "rooted"
	}
	return "chown " + Quote(owner+":"+group)
}

// attrs sets owner and mode of the file named by the shell word w. The owner
// comes first: changing it clears setuid bits. It needs rooted.
func (s *script) attrs(w string, mode fs.FileMode, owner, group string) {
	if owner != "" || group != "" {
		s.line("%s %s", chown(owner, group), w)
	}
	s.line("chmod %04o %s", octal(mode), w)
}

// A batch renders these together with their neighbours.
func (o PutFile) render(*script)   {}
func (o MakeDir) render(*script)   {}
func (o StartUnit) render(*script) {}

func (o SetAttrs) render(s *script) {
	s.attrs(Quote(o.Path), o.Mode, o.Owner, o.Group)
}

func (o MakeLink) render(s *script) {
	p, target := Quote(o.Path), Quote(o.Target)
	s.keep(o.Path, o.Original)
	w := s.claim(o.Path)[0]
	s.line("if [ ! -e %s ] && [ ! -L %s ]; then", p, p)
	s.line("ln -sT -- %s %s", target, p)
	s.line("else")
	s.line("ln -sT -- %s %s", target, w)
	s.place(w, o.Path)
	s.line("fi")
	s.line("t=")
}

func (o Remove) render(s *script) {
	s.keep(o.Path, o.Original)
	s.line("rm -f -- %s %s", Quote(o.Path), Quote(temporary(o.Path)))
}

func (o RemoveDir) render(s *script) {
	if o.All {
		s.line("rm -rf -- %s", Quote(o.Path))
		return
	}
	s.line("[ ! -d %s ] || rmdir --ignore-fail-on-non-empty -- %s", Quote(o.Path), Quote(o.Path))
}

func (o Restore) render(s *script) {
	p, orig := Quote(o.Path), Quote(o.Original)
	s.line("if [ -e %s ] || [ -L %s ]; then", orig, orig)
	w := s.claim(o.Path)[0]
	s.line("cp -pP -- %s %s", orig, w)
	s.line("[ -L %s ] || sync %s", w, w)
	s.place(w, o.Path)
	s.line("t=")
	s.line("rm -f -- %s", orig)
	s.line("else")
	s.line("rm -f -- %s %s", p, Quote(temporary(o.Path)))
	s.line("fi")
}

func (o AddGroup) render(s *script) {
	s.line("getent group %s >/dev/null || groupadd --system -- %s", Quote(o.Name), Quote(o.Name))
}

func (o AddUser) render(s *script) {
	if o.Modify {
		s.line("%s", o.command("usermod"))
		return
	}
	s.line("%s", o.command("useradd"))
}

// command returns the words that run a program of the shadow suite.
func (o AddUser) command(program string, flags ...string) string {
	argv := append([]string{program}, flags...)
	if !o.Modify {
		argv = append(argv, "--system", "--no-create-home")
	}
	for _, f := range [][2]string{{"--gid", o.Group}, {"--home", o.Home}, {"--shell", o.Shell}} {
		if f[1] != "" {
			argv = append(argv, f[0], f[1])
		}
	}
	return quoteAll(append(argv, "--", o.Name))
}

// userBusy is the status of userdel when the user still has processes.
const userBusy = 8

func (o RemoveUser) render(s *script) {
	u := Quote(o.Name)
	s.line("getent passwd %s >/dev/null || exit 0", u)
	// A job that cron has started may still be at work. It is told to end, and
	// ended when it does not within ten seconds.
	s.line("i=0")
	s.line("until e=0; userdel -- %s >/dev/null 2>&1 || e=$?; [ $e != %d ] || [ $i = 110 ]; do", u, userBusy)
	s.line("case $i in 0) k=TERM ;; 100) k=KILL ;; *) k= ;; esac")
	s.line(`[ -z "$k" ] || stat -c '%%U %%n' /proc/[0-9]* 2>/dev/null | while read -r o p; do [ "$o" != %s ] || kill "-$k" "${p#/proc/}" 2>/dev/null || :; done`, u)
	s.line("i=$((i+1)); sleep 0.1")
	s.line("done")
	s.line("[ $e = 0 ] || userdel -- %s", u) // it says why
}

func (o RemoveGroup) render(s *script) {
	s.line("! getent group %s >/dev/null || groupdel -- %s", Quote(o.Name), Quote(o.Name))
}

func (o Exec) render(s *script) {
	limit := o.Timeout
	if limit == 0 {
		limit = 10 * time.Minute
	}
	s.line("timeout -k 5 %d %s", int(max(limit, time.Second).Seconds()), AsUser(o.User, o.Argv))
}

// AsUser returns the words of a shell that run argv as user, if root runs the
// shell. Without a user, and for anybody else, it is run as who runs the shell.
func AsUser(user string, argv []string) string {
	if user == "" {
		return quoteAll(argv)
	}
	return fmt.Sprintf("sh -c %s sh %s", Quote(
		`if [ "$(id -u)" != 0 ]; then shift; exec "$@"; fi
if command -v runuser >/dev/null; then u=$1; shift; exec runuser -u "$u" -- "$@"; fi
u=$1; shift; exec su -s /bin/sh -c 'exec "$@"' "$u" -- sh "$@"`), quoteAll(append([]string{user}, argv...)))
}

func (o StopUnit) render(s *script) {
	u := Quote(o.Name)
	s.line(`[ "$(systemctl show -p LoadState --value %s)" = not-found ] || systemctl disable --quiet --now %s`, u, u)
	s.line("systemctl reset-failed %s 2>/dev/null || :", u)
}

func (o ReviveUnit) render(s *script) {
	u := Quote(o.Name)
	enable := "disable"
	if o.Enabled {
		enable = "enable"
	}
	s.line("systemctl daemon-reload")
	s.line("systemctl %s --quiet %s", enable, u)
	if !o.Active {
		s.line("systemctl stop %s", u)
		s.line("systemctl reset-failed %s 2>/dev/null || :", u)
		return
	}
	s.line("systemctl restart %s || { s=$?; journalctl -u %s -n 20 --no-pager -o cat || :; exit $s; }", u, u)
}

func (ReloadUnits) render(s *script) {
	s.line("[ ! -d /run/systemd/system ] || systemctl daemon-reload")
}

func (o StartProcess) render(s *script) {
	log, pid := Quote(o.LogFile), Quote(o.PIDFile)
	s.line("(")
	for _, kv := range o.Env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			s.line("export %s=%s", k, Quote(v))
		}
	}
	s.line("exec setsid %s", quoteAll(o.Argv))
	s.line(") </dev/null >>%s 2>&1 &", log)
	s.line("p=$!")
	s.guard("")
	w := s.claim(o.PIDFile)[0]
	s.line(`echo "$p" >%s`, w)
	s.place(w, o.PIDFile)
	s.line("t=")
	s.line("for i in 1 2 3; do")
	s.line("sleep 0.1")
	s.line(`kill -0 "$p" 2>/dev/null || { rm -f -- %s; tail -n 20 -- %s; exit 1; }`, pid, log)
	s.line("done")
}

func (o StopProcess) render(s *script) {
	s.line("alive() {")
	s.line("{ read -r l </proc/%d/stat; } 2>/dev/null || return 1", o.PID)
	s.line("l=${l##*) }; set -- $l")
	s.line(`[ "$1" != Z ] && [ "${20}" = %s ]`, Quote(o.Ticks))
	s.line("}")
	s.line("if alive; then kill -TERM %d || :; fi", o.PID)
	s.line("i=0")
	s.line("while [ $i -lt 100 ] && alive; do sleep 0.1; i=$((i+1)); done")
	s.line("if alive; then kill -KILL %d || :; sleep 0.1; fi", o.PID)
	s.line("rm -f -- %s", Quote(o.PIDFile))
}
