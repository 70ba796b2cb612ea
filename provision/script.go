package provision

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
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
	s.line(`base64 -d >%s <<'EOF' || { set -- $(df -Ph -- "$(dirname -- %s)" | tail -n 1); echo "cannot write: file system $1 at $6 is $5 full, $4 free" >&2; exit 1; }`, to, to)
	for e := base64.StdEncoding.EncodeToString(content); e != ""; {
		n := min(len(e), 76)
		s.line("%s", e[:n])
		e = e[n:]
	}
	s.line("EOF")
}

// temporary is the name that a new file has until it is whole. It is always
// the same for one path, so that the next run finds what a run that was cut
// off left behind.
func temporary(p string) string {
	return path.Join(path.Dir(p), "."+path.Base(p)+".glancectl-new")
}

// begin sets $t to the temporary name of p, free to be used, and removes it
// when the op ends in whatever way.
func (s *script) begin(p string) {
	s.line("t=%s", Quote(temporary(p)))
	s.line(`trap '{ [ ! -e "$t" ] && [ ! -L "$t" ]; } || rm -f -- "$t"' EXIT`)
	s.line("trap 'exit 143' HUP INT TERM")
	s.line(`{ [ ! -e "$t" ] && [ ! -L "$t" ]; } || rm -f -- "$t"`)
}

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

// attrs sets owner and mode of the file named by the shell word w. The owner
// comes first: changing it clears setuid bits.
func (s *script) attrs(w string, mode fs.FileMode, owner, group string) {
	if owner != "" || group != "" {
		s.line("chown %s %s", Quote(owner+":"+group), w)
	}
	s.line("chmod %04o %s", octal(mode), w)
}

func (o PutFile) render(s *script) {
	s.keep(o.Path, o.Original)
	if o.Parents {
		s.line("(umask 077; mkdir -p -- %s)", Quote(path.Dir(o.Path)))
	}
	s.begin(o.Path)
	// The file is born with its mode, unless that has bits that files are
	// not born with. Every process that is not started counts.
	s.line("umask %04o", 0o777&^o.Mode.Perm())
	s.decode(o.Content, `"$t"`)
	if o.Mode&^0o666 != 0 {
		s.attrs(`"$t"`, o.Mode, o.Owner, o.Group)
	} else if o.Owner != "" || o.Group != "" {
		s.line(`chown %s "$t"`, Quote(o.Owner+":"+o.Group))
	}
	s.line(`sync "$t"`)
	s.line(`mv -fT -- "$t" %s`, Quote(o.Path))
}

func (o MakeDir) render(s *script) {
	s.line("[ -d %s ] || mkdir -m 0700 -- %s", Quote(o.Path), Quote(o.Path))
	s.attrs(Quote(o.Path), o.Mode, o.Owner, o.Group)
}

func (o SetAttrs) render(s *script) {
	s.attrs(Quote(o.Path), o.Mode, o.Owner, o.Group)
}

func (o MakeLink) render(s *script) {
	s.keep(o.Path, o.Original)
	s.begin(o.Path)
	s.line(`ln -s -- %s "$t"`, Quote(o.Target))
	s.line(`mv -fT -- "$t" %s`, Quote(o.Path))
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
	s.begin(o.Path)
	s.line(`cp -pP -- %s "$t"`, orig)
	s.line(`[ -L "$t" ] || sync "$t"`)
	s.line(`mv -fT -- "$t" %s`, p)
	s.line("rm -f -- %s", orig)
	s.line("else")
	s.line("rm -f -- %s %s", p, Quote(temporary(o.Path)))
	s.line("fi")
}

func (o AddGroup) render(s *script) {
	s.line("getent group %s >/dev/null || groupadd --system -- %s", Quote(o.Name), Quote(o.Name))
}

func (o AddUser) render(s *script) {
	argv := []string{"useradd", "--system", "--no-create-home"}
	if o.Modify {
		argv = []string{"usermod"}
	}
	for _, f := range [][2]string{{"--gid", o.Group}, {"--home", o.Home}, {"--shell", o.Shell}} {
		if f[1] != "" {
			argv = append(argv, f[0], f[1])
		}
	}
	s.line("%s", quoteAll(append(argv, "--", o.Name)))
}

func (o RemoveUser) render(s *script) {
	s.line("! getent passwd %s >/dev/null || userdel -- %s", Quote(o.Name), Quote(o.Name))
}

func (o RemoveGroup) render(s *script) {
	s.line("! getent group %s >/dev/null || groupdel -- %s", Quote(o.Name), Quote(o.Name))
}

func (o Exec) render(s *script) {
	limit := o.Timeout
	if limit == 0 {
		limit = 10 * time.Minute
	}
	s.line("timeout -k 5 %d %s", int(max(limit, time.Second).Seconds()), s.as(o.User, o.Argv))
}

// as returns the shell words that run argv as user, if root runs the script.
func (s *script) as(user string, argv []string) string {
	if user == "" {
		return quoteAll(argv)
	}
	return fmt.Sprintf("sh -c %s sh %s", Quote(
		`if [ "$(id -u)" != 0 ]; then shift; exec "$@"; fi
if command -v runuser >/dev/null; then u=$1; shift; exec runuser -u "$u" -- "$@"; fi
u=$1; shift; exec su -s /bin/sh -c 'exec "$@"' "$u" -- sh "$@"`), quoteAll(append([]string{user}, argv...)))
}

func (o StartUnit) render(s *script) {
	u := Quote(o.Name)
	verb := "start"
	if o.Restart {
		verb = "restart"
	}
	s.line("systemctl reset-failed %s 2>/dev/null || :", u)
	// Reading all unit files again takes systemd longer than all the rest, so
	// it is done only when it does not know this one as it is.
	s.line("systemctl enable --quiet --no-reload %s", u)
	s.line(`case "$(systemctl show -p LoadState -p UnitFileState -p NeedDaemonReload -- %s)" in`, u)
	s.line("*=not-found*|*=disabled*|*=yes*) systemctl daemon-reload ;;")
	s.line("esac")
	// What the manager says of a start that failed is "see the journal".
	s.line("if ! systemctl %s %s || ! systemctl is-active --quiet %s; then", verb, u, u)
	s.line("systemctl show -p ActiveState -p Result %s || :", u)
	s.line("journalctl -u %s -n 20 --no-pager -o cat || :", u)
	s.line("exit 1")
	s.line("fi")
}

func (o StopUnit) render(s *script) {
	u := Quote(o.Name)
	s.line(`[ "$(systemctl show -p LoadState --value %s)" = not-found ] || systemctl disable --quiet --now %s`, u, u)
	s.line("systemctl reset-failed %s 2>/dev/null || :", u)
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
	s.begin(o.PIDFile)
	s.line(`echo "$p" >"$t"`)
	s.line(`mv -fT -- "$t" %s`, pid)
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
