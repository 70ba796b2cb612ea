package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// unitProperties are what a UnitQuery asks systemd for.
const unitProperties = "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,MainPID,ExecMainStartTimestamp"

// questions are queries in the order in which the look script answers them.
type questions struct {
	files     []FileQuery // no two of one path
	users     []string
	groups    []string
	units     []string
	processes []string // PID files
	commands  []CommandQuery
	locks     []string
	clock     bool
}

// sort puts queries into questions, each only once.
func sortQueries(queries []Query) (questions, error) {
	var q questions
	byPath := make(map[string]int)
	file := func(f FileQuery) error {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		i, ok := byPath[f.Path]
		if !ok {
			byPath[f.Path] = len(q.files)
			q.files = append(q.files, f)
			return nil
		}
		have := &q.files[i]
		if f.Content && have.Content && f.Unless != have.Unless {
			have.Unless = "" // two want it for different reasons
		} else if f.Content && !have.Content {
			have.Unless = f.Unless
		}
		have.Content = have.Content || f.Content
		have.Empty = have.Empty || f.Empty
		return nil
	}
	add := func(list *[]string, s string) {
		if !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for _, query := range queries {
		switch query := query.(type) {
		case FileQuery:
			if err := file(query); err != nil {
				return q, err
			}
		case UserQuery:
			add(&q.users, query.Name)
		case GroupQuery:
			add(&q.groups, query.Name)
		case UnitQuery:
			add(&q.units, query.Name)
		case ProcessQuery:
			add(&q.processes, query.PIDFile)
			if err := file(FileQuery{Path: query.PIDFile}); err != nil {
				return q, err
			}
		case LockQuery:
			add(&q.locks, query.Path)
			if err := file(FileQuery{Path: query.Path}); err != nil {
				return q, err
			}
		case ClockQuery:
			q.clock = true
		case CommandQuery:
			if len(query.Argv) == 0 {
				return q, errors.New("command query: no command")
			}
			if !slices.ContainsFunc(q.commands, func(c CommandQuery) bool { return c.Key() == query.Key() }) {
				q.commands = append(q.commands, query)
			}
		}
	}
	return q, nil
}

// Look implements Reader. The receipt is part of every answer.
func (m *machine) Look(ctx context.Context, queries []Query) (*Facts, error) {
	fail := func(err error) error { return fmt.Errorf("look at %s: %w", m.Name(), err) }
	q, err := sortQueries(queries)
	if err != nil {
		return nil, fail(err)
	}
	res, err := m.Run(ctx, Cmd{Argv: []string{"sh", "-s"}, Stdin: strings.NewReader(q.script(m.state))})
	if err != nil {
		return nil, fail(err)
	}
	f, err := q.parse(string(res.Stdout))
	if errors.Is(err, errCut) {
		err = cutError(res)
	}
	if err != nil {
		return nil, fail(err)
	}
	f.State, f.Root = m.state, m.root
	f.changing = m.changing
	return f, nil
}

// beginMark is the first line of the answer. A shell's start-up files may
// have printed something before it.
const beginMark = "glancectl-begin"

// script asks all questions. What programs print is passed on as it is, in
// sections that end with a line of one dot; everything else is a line that
// begins with what it is about, and what could hold a line break is sent in
// base64. Programs are called once for all files, users and units together,
// and the shell reads line by line only what is short: twenty nodes on one
// machine, as in the lab, feel every process and every byte that is read alone.
func (q *questions) script(state string) string {
	s := newScript()
	s.line(`printf '\n%%s\n' ` + beginMark)
	s.line(`{ read -r a </proc/sys/kernel/arch; } 2>/dev/null || a=$(uname -m)`)
	s.line(`u=; { while read -r k u v; do [ "$k" != Uid: ] || break; done </proc/$$/status; } 2>/dev/null; [ -n "$u" ] || u=$(id -u)`)
	s.line(`printf 'machine %%s %%s\n' "$a" "$u"`)
	s.line(`{ while IFS== read -r k v; do [ "$k" != ID ] || printf 'os %%s\n' "$v"; done </etc/os-release; } 2>/dev/null`)
	if state != "" {
		receipt := Quote(receiptFile(state))
		s.line(`[ ! -e %s ] || printf 'receipt %%s\n' "$(base64 -w0 <%s)"`, receipt, receipt)
	}
	q.fileScript(s, state)
	s.section("users", "getent passwd --", q.users)
	s.section("groups", "getent group --", q.groups)
	s.section("units", "systemctl show --no-pager -p "+unitProperties+" --", q.units)
	if len(q.locks) > 0 {
		// A line is "1: FLOCK ADVISORY WRITE 42 00:1f:77 0 EOF"; who waits has an
		// arrow before FLOCK.
		s.line(`{ while read -r n k v w p i v; do [ "$k $w" != "FLOCK WRITE" ] || printf 'lock %%s %%s\n' "${i##*:}" "$p"; done </proc/locks; } 2>/dev/null`)
	}
	if q.clock {
		s.line(`{ printf 'zone %%s\n' "$(base64 -w0 </etc/localtime)"; } 2>/dev/null`)
	}
	if len(q.processes) > 0 || q.clock {
		s.line(`printf 'now %%s\n' "$(date +%%s.%%N)"`)
	}
	for i, p := range q.processes {
		s.line("p=; { read -r p <%s; } 2>/dev/null", Quote(p))
		s.line("case $p in ''|*[!0-9]*) ;; *)")
		s.line(`if { read -r l </proc/$p/stat && read -r up x </proc/uptime; } 2>/dev/null; then`)
		s.line("l=${l##*) }; set -- $l")
		s.line(`[ "$1" = Z ] || printf 'process %d %%s %%s %%s %%s\n' "$p" "${20}" "$up" "$(base64 -w0 </proc/$p/cmdline)"`, i)
		s.line("fi ;; esac")
	}
	for i, c := range q.commands {
		s.line("o=$(timeout -k 5 120 %s </dev/null 2>&1); e=$?", AsUser(c.User, c.Argv))
		s.line(`printf 'command %d %%s %%s\n' "$e" "$(printf %%s "$o" | tail -c 4096 | base64 -w0)"`, i)
	}
	s.line("echo end")
	return s.end()
}

// sectionEnd is the line after a section. Nothing in one is like it.
const sectionEnd = "."

// section runs a program for words, if there are any.
func (s *script) section(name, argv string, words []string) {
	if len(words) == 0 {
		return
	}
	s.line("echo %s", name)
	s.line("%s %s 2>/dev/null", argv, quoteAll(words))
	s.line("echo %s", sectionEnd)
}

// fileScript asks about all files: one stat for all of them, then one
// sha256sum for the regular ones, but those that are large and have a stamp,
// then the content of those that are not what the question expects.
func (q *questions) fileScript(s *script, state string) {
	var all, small, other []string
	for _, f := range q.files {
		all = append(all, f.Path)
		if f.Content {
			small = append(small, f.Path)
		} else {
			other = append(other, f.Path)
		}
	}
	if len(all) == 0 {
		return
	}
	s.section("files", "QUOTING_STYLE=literal stat -c '%f %U %G "+stampFormat+" %N' --", all)
	s.line(`regular() { [ -f "$1" ] && [ ! -L "$1" ]; }`)
	s.line("set --")
	if len(other) > 0 {
		s.line("echo sums")
		s.line("for n in %s; do", quoteAll(other))
		s.line(`regular "$n" || continue`)
		s.line("k= l=$(stat -c '%s %%n' -- \"$n\")", stampFormat)
		s.line(`if [ "${l%%%% *}" -gt %d ]; then`, MaxContent)
		s.line(`{ while read -r h m; do [ "$m" != "$l" ] || k=$h; done <%s; } 2>/dev/null`, Quote(stampFile(state)))
		s.line("fi")
		s.line(`if [ -n "$k" ]; then printf '%%s  %%s\n' "$k" "$n"; else set -- "$@" "$n"; fi`)
		s.line("done")
		s.line("echo %s", sectionEnd)
	}
	if len(small) > 0 {
		s.line(`for n in %s; do ! regular "$n" || set -- "$@" "$n"; done`, quoteAll(small))
	}
	s.line("a=")
	s.line("if [ $# -gt 0 ]; then")
	s.line(`a=$(sha256sum -- "$@" 2>/dev/null)`)
	s.line(`printf 'sums\n%%s\n%s\n' "$a"`, sectionEnd)
	s.line("fi")
	s.line(`a="`)
	s.line(`$a`)
	s.line(`"`)
	for _, f := range q.files {
		if !f.Content {
			continue
		}
		p := Quote(f.Path)
		as := "/" // no sum is that
		if f.Unless != "" {
			as = f.Unless
		}
		s.line("case $a in *%s*) ;;", Quote("\n"+as+"  "+f.Path+"\n"))
		s.line("*%s*)", Quote("  "+f.Path+"\n"))
		s.line(`printf 'content %%s %%s\n' "$(head -c %d -- %s | base64 -w0)" %s ;;`, MaxContent+1, p, p)
		s.line("esac")
	}
	for i, f := range q.files {
		if f.Empty {
			s.line(`[ ! -d %s ] || [ -n "$(ls -A -- %s | head -c 1)" ] || echo empty %d`, Quote(f.Path), Quote(f.Path), i)
		}
	}
}

func receiptFile(state string) string { return state + "/receipt.toml" }
