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

// script asks all questions. Every answer is a line that begins with what it
// is about; what could hold a line break is sent in base64. Programs are
// called once for all files, users and units together: twenty nodes on one
// machine, as in the lab, feel every process.
func (q *questions) script(state string) string {
	s := newScript()
	s.line(`printf '\n%%s\n' ` + beginMark)
	s.line(`printf 'machine %%s %%s %%s\n' "$(uname -m)" "$(id -u)" "$(date +%%s.%%N)"`)
	s.line(`{ while IFS== read -r k v; do [ "$k" != ID ] || printf 'os %%s\n' "$v"; done </etc/os-release; } 2>/dev/null`)
	if state != "" {
		receipt := Quote(receiptFile(state))
		s.line(`[ ! -e %s ] || printf 'receipt %%s\n' "$(base64 -w0 <%s)"`, receipt, receipt)
	}
	q.fileScript(s, state)
	if len(q.users) > 0 {
		s.line(`getent passwd -- %s | while IFS= read -r l; do printf 'user %%s\n' "$l"; done`, quoteAll(q.users))
	}
	if len(q.groups) > 0 {
		s.line(`getent group -- %s | while IFS= read -r l; do printf 'group %%s\n' "$l"; done`, quoteAll(q.groups))
	}
	if len(q.units) > 0 {
		s.line(`systemctl show --no-pager -p %s -- %s 2>/dev/null | while IFS= read -r l; do printf 'unit %%s\n' "$l"; done`,
			unitProperties, quoteAll(q.units))
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
		s.line("o=$(timeout -k 5 120 %s </dev/null 2>&1); e=$?", s.as(c.User, c.Argv))
		s.line(`printf 'command %d %%s %%s\n' "$e" "$(printf %%s "$o" | tail -c 4096 | base64 -w0)"`, i)
	}
	s.line("echo end")
	return s.end()
}

// fileScript asks about all files: one stat for all of them, then one
// sha256sum for those that are small, or large and without a stamp, then the
// content of those that are not what the question expects.
func (q *questions) fileScript(s *script, state string) {
	if len(q.files) == 0 {
		return
	}
	paths := make([]string, len(q.files))
	for i, f := range q.files {
		paths[i] = f.Path
	}
	s.line("a=$(QUOTING_STYLE=literal stat -c '%%f %%U %%G %s %%N' -- %s 2>/dev/null)", stampFormat, quoteAll(paths))
	s.line("set --")
	s.line("while read -r f u g z m c i n; do")
	s.line(`[ -n "$f" ] || continue`)
	s.line(`printf 'file %%s\n' "$f $u $g $z $m $c $i $n"`)
	s.line("case $f in 8???) ;; *) continue ;; esac") // the rest is about regular files
	s.line("k=")
	s.line(`if [ "$z" -gt %d ]; then`, MaxContent)
	s.line(`{ while read -r h l; do [ "$l" != "$z $m $c $i $n" ] || k=$h; done <%s; } 2>/dev/null`, Quote(stampFile(state)))
	s.line("fi")
	s.line(`if [ -n "$k" ]; then printf 'sum %%s\n' "$k $n"; else set -- "$@" "$n"; fi`)
	s.line("done <<EOF")
	s.line("$a")
	s.line("EOF")
	s.line(`a=; [ $# -eq 0 ] || a=$(sha256sum -- "$@" 2>/dev/null)`)
	s.line("while read -r h n; do")
	s.line(`[ -n "$h" ] || continue`)
	s.line(`printf 'sum %%s\n' "$h $n"`)
	s.line("case $n in")
	for _, f := range q.files {
		if f.Content {
			s.line("%s) k=%s ;;", Quote(f.Path), Quote(f.Unless))
		}
	}
	s.line("*) continue ;;")
	s.line("esac")
	s.line(`[ "$h" = "$k" ] || printf 'content %%s\n' "$(head -c %d -- "$n" | base64 -w0) $n"`, MaxContent+1)
	s.line("done <<EOF")
	s.line("$a")
	s.line("EOF")
	for i, f := range q.files {
		if f.Empty {
			s.line(`[ ! -d %s ] || [ -n "$(ls -A -- %s | head -c 1)" ] || echo empty %d`, Quote(f.Path), Quote(f.Path), i)
		}
	}
}

func receiptFile(state string) string { return state + "/receipt.toml" }
