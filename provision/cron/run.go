package cron

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"glancectl/provision"
)

// An Outcome is how a run by hand went.
type Outcome struct {
	Run    *Run   // what it recorded; nil if it recorded nothing
	Status int    // how its process ended
	Output string // what it said beside its log
	Log    string // the last lines of its log, if anything went wrong
}

// Good reports whether the job did what it is for.
func (o Outcome) Good() bool {
	return o.Status == 0 && (o.Run == nil || o.Run.Good() && o.Run.Result != Stopped)
}

// Passed reports whether the run was not begun, because another is at work.
func (o Outcome) Passed() bool { return o.Run != nil && o.Run.Result == Skipped }

// errCut says that a session ended before its script did.
var errCut = errors.New("the session ended before the job did")

// outputKept is how much of what the job says is kept, logRead how much of
// the end of its log is looked at, logLines how many lines of it are kept.
const (
	outputKept = 8 << 10
	logRead    = 256 << 10
	logLines   = 20
)

// Run runs the job as e says, as cron would, but at once, and waits for its
// end, which takes as long as it takes. When ctx ends, the job is told to end,
// and Run returns how it did unless that takes long. When the connection is
// lost the job goes on. An error means that it is not known how the run went.
func (j Job) Run(ctx context.Context, h provision.Host, e Entry) (Outcome, error) {
	if len(e.Argv) == 0 {
		return Outcome{}, fmt.Errorf("%s %w", j.Entry, errByHand)
	}
	printed, err := command(ctx, h, j.script(e))
	if err != nil {
		return Outcome{}, err
	}
	return j.outcome(printed)
}

// What the script prints about the job: "glancectl-pid PID" when it begins,
// and a last line.
const (
	pidMark = "glancectl-pid"
	endMark = "glancectl-end"
)

// script runs the job and says how it went. What the job says is kept until
// its end: it must not be ended because nobody reads that any more.
func (j Job) script(e Entry) string {
	env := []string{"env", "-i", "SHELL=/bin/sh", "PATH=/usr/bin:/bin"}
	// The shell becomes the job, so it knows the number of its process.
	start := `echo "` + pidMark + ` $$" >&3; exec 3>&-; exec ` + provision.QuoteAll(append(env, e.Env...)) +
		` HOME="$HOME" LOGNAME="$LOGNAME" ` + provision.QuoteAll(now(e.Argv))
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("{")
	line("PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	line("export PATH")
	if e.User != "" {
		line("u=$(getent passwd -- %s) || { echo glancectl-nobody; echo %s; exit 0; }", provision.Quote(e.User), endMark)
		line("u=${u%%:*}; HOME=${u##*:} LOGNAME=%s", provision.Quote(e.User))
		line("export HOME LOGNAME")
	}
	line(`cd -- "$HOME" 2>/dev/null || cd /`)
	// Whoever is told to end, the shell stays: it keeps the job's output open.
	line("trap : HUP INT TERM")
	line("exec 3>&1 4<&0")
	line(`while read -r order pid; do [ "$order" != stop ] || kill -TERM "$pid"; done <&4 >/dev/null 2>&1 3>&- &`)
	line("w=$!")
	line("exec 4<&-")
	line("o=$(exec 2>&1 </dev/null; exec %s)", provision.AsUser(e.User, []string{"sh", "-c", start}))
	line("s=$?")
	line("exec 3>&-")
	line(`kill "$w"`)
	line(`printf '\nglancectl-status %%s\n' "$s"`)
	line(`printf 'output %%s\n' "$(printf %%s "$o" | tail -c %d | base64 -w0)"`, outputKept)
	line(`[ ! -e %[1]s ] || printf 'record %%s\n' "$(base64 -w0 <%[1]s)"`, provision.Quote(j.Record))
	line(`[ ! -e %[1]s ] || printf 'log %%s\n' "$(tail -c %[2]d -- %[1]s | base64 -w0)"`, provision.Quote(j.Log), logRead)
	line("echo %s", endMark)
	line("exit 0")
	line("}")
	return b.String()
}

// outcome reads what the script printed.
func (j Job) outcome(out string) (o Outcome, err error) {
	said := map[string]string{}
	for line := range strings.Lines(out) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		said[word] = rest
	}
	if _, nobody := said["glancectl-nobody"]; nobody {
		return o, errors.New("there is no such user")
	}
	if _, whole := said[endMark]; !whole {
		return o, errCut
	}
	if o.Status, err = strconv.Atoi(said["glancectl-status"]); err != nil {
		return o, errCut
	}
	var output, record, log []byte
	for name, to := range map[string]*[]byte{"output": &output, "record": &record, "log": &log} {
		if *to, err = base64.StdEncoding.DecodeString(said[name]); err != nil {
			return o, errCut
		}
	}
	o.Output = strings.TrimSpace(string(output))
	pid := said[pidMark]
	if len(record) > 0 {
		runs, err := readRecord(record)
		if err != nil {
			return o, fmt.Errorf("%s: %w", j.Record, err)
		}
		for i := range runs {
			if strconv.Itoa(runs[i].PID) == pid {
				o.Run = &runs[i]
			}
		}
	}
	// One that was killed has not said so.
	if o.Run != nil && o.Run.Result == Running {
		o.Run.Result = Died
	}
	if !o.Good() {
		o.Log = linesOf(string(log), pid)
	}
	return o, nil
}

// linesOf returns the last lines of a log that are of a process, or, if there
// are none, just the last lines.
func linesOf(log, pid string) string {
	var all, its []string
	for line := range strings.Lines(log) {
		line = strings.TrimSuffix(line, "\n")
		all = append(all, line)
		// "2026-11-20 12:00:01.000 4711 INFO ..."
		if w := strings.SplitN(line, " ", 4); len(w) == 4 && w[2] == pid {
			its = append(its, line)
		}
	}
	if len(its) == 0 {
		its = all
	}
	return strings.Join(its[max(0, len(its)-logLines):], "\n")
}

// Tail writes the last lines of the job's log to w, and goes on with what is
// added until ctx ends, if it is to follow. There need not be a log yet.
func (j Job) Tail(ctx context.Context, h provision.Host, w io.Writer, lines int, follow bool) error {
	c := provision.Cmd{Argv: []string{"tail", "-n", strconv.Itoa(lines), "--", j.Log}, Stdout: w, Endless: follow}
	if follow {
		// It ends with its input, however the connection ends.
		in, hold := io.Pipe()
		defer context.AfterFunc(ctx, func() { hold.Close() })()
		c.Argv = []string{"sh", "-c", fmt.Sprintf(`tail -n %d -F -- %s & cat >/dev/null; kill "$!"`, lines, provision.Quote(j.Log))}
		c.Stdin = in
	}
	res, err := h.Run(ctx, c)
	if err != nil {
		return err
	}
	if said := strings.TrimSpace(string(res.Stderr)); res.Status != 0 && !strings.Contains(said, "No such file") {
		return fmt.Errorf("read %s: %s", j.Log, said)
	}
	return nil
}
