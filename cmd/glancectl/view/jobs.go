package view

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"glancectl/provision/cron"
)

// A Run is what is known of one run of a job.
type Run struct {
	cron.Run
}

// took is how long the run took, as far as that is known.
func (r Run) took() string {
	if r.End == nil {
		return "-"
	}
	return since(r.End.Sub(r.Start))
}

// counts is what the run did.
func (r Run) counts() string {
	parts := []string{fmt.Sprintf("%d done", r.Done)}
	if r.Run.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", r.Run.Skipped))
	}
	if r.Run.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", r.Run.Failed))
	}
	if r.Bytes > 0 {
		parts = append(parts, bytesText(r.Bytes))
	}
	return strings.Join(parts, ", ")
}

// bytesText writes a number of bytes the way people read it.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

// colour is that of a result.
func (r Run) colour() string {
	switch {
	case !r.Good():
		return red
	case r.Result == cron.Done:
		return green
	}
	return yellow
}

// A JobState is what is known of a job on a node.
type JobState struct {
	Job       string     `json:"job"`
	Schedule  string     `json:"schedule,omitempty"`        // as in the proposal; "" where there is no cron
	Actual    string     `json:"actual_schedule,omitempty"` // on the node, if that is another
	User      string     `json:"user,omitempty"`
	Installed bool       `json:"installed"`         // cron has an entry for it
	Running   *time.Time `json:"running,omitempty"` // since when a run is at work; nil: none is
	Last      *Run       `json:"last,omitempty"`    // the run that has ended last
	Next      time.Time  `json:"next,omitzero"`
	Warning   string     `json:"warning,omitempty"`
}

// NodeJobs are the jobs of one node.
type NodeJobs struct {
	Node  string
	Error string // why it could not be looked at
	Jobs  []JobState
}

// A JobList is the jobs of all nodes.
type JobList struct {
	Source Source
	Nodes  []NodeJobs
}

func (r JobList) talk() bool { return false }

func (r JobList) lines() []line {
	out := []line{{"source", r.Source}}
	for _, n := range r.Nodes {
		if n.Error != "" {
			out = append(out, nodeError(n.Node, n.Error))
		}
		for _, j := range n.Jobs {
			out = append(out, line{"job", struct {
				Node string `json:"node"`
				JobState
			}{n.Node, j}})
		}
	}
	return out
}

func (r JobList) text(p *paper) {
	p.print("%s\n", r.Source)
	t := newTable("node", "job", "schedule", "user", "last run (UTC)", "took", "result", "counts", "next (UTC)")
	for _, n := range r.Nodes {
		for _, j := range n.Jobs {
			t.row(append([]string{n.Node}, j.cells()...)...)
		}
	}
	if t.rows > 1 {
		p.print("\n%s", t.String())
	}
	var warnings []string
	for _, n := range r.Nodes {
		if n.Error != "" {
			p.print("\n%s\n", p.in(bold, n.Node))
			p.indented("  ", p.in(red, "cannot look at it: ")+n.Error)
		}
		for _, j := range n.Jobs {
			if j.Warning != "" {
				warnings = append(warnings, fmt.Sprintf("%s on %s: %s", j.Job, n.Node, j.Warning))
			}
			if j.Actual != "" {
				warnings = append(warnings, fmt.Sprintf("%s on %s: cron has the schedule %q until the next apply", j.Job, n.Node, j.Actual))
			}
		}
	}
	for i, text := range warnings {
		if i == 0 {
			p.print("\n")
		}
		p.print("%s %s\n", p.in(yellow, "warning:"), text)
	}
}

// cells are the job's columns.
func (j JobState) cells() []string {
	last, took, result, counts := "never", "-", "-", "-"
	if r := j.Last; r != nil {
		last, took, result, counts = utc(r.Start), r.took(), r.Result, r.counts()
	}
	if j.Running != nil {
		result += ", at work since " + j.Running.UTC().Format("15:04:05")
	}
	next := "-"
	switch {
	case !j.Next.IsZero():
		next = utc(j.Next)
	case j.Schedule != "" && !j.Installed:
		next = "not installed"
	}
	return []string{j.Job, orDash(j.Schedule), orDash(j.User), last, took, result, counts, next}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// A table is text in columns.
type table struct {
	strings.Builder
	w    *tabwriter.Writer
	rows int
}

func newTable(head ...string) *table {
	t := new(table)
	t.w = tabwriter.NewWriter(&t.Builder, 0, 0, 2, ' ', 0)
	t.row(head...)
	return t
}

func (t *table) row(cells ...string) {
	t.rows++
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// String returns the table, once.
func (t *table) String() string {
	_ = t.w.Flush() // a Builder takes everything
	return t.Builder.String()
}

// A JobRun is how a run by hand went.
type JobRun struct {
	Node   string `json:"node"`
	Job    string `json:"job"`
	Good   bool   `json:"ok"`
	Passed bool   `json:"passed,omitempty"` // it was not begun: another is at work
	Status int    `json:"status"`           // how the process ended
	Run    *Run   `json:"run,omitempty"`    // what it recorded
	Output string `json:"output,omitempty"`
	Log    string `json:"log,omitempty"`
	Error  string `json:"error,omitempty"` // why it is not known how it went
}

func (r JobRun) talk() bool    { return false }
func (r JobRun) lines() []line { return []line{{"job_run", r}} }

func (r JobRun) text(p *paper) {
	what := r.Node + ": " + r.Job
	switch {
	case r.Error != "":
		p.print("%s %s\n", p.in(red, "failed"), what)
		p.indented("  ", r.Error)
		return
	case r.Passed:
		p.print("%s %s: another run is at work\n", p.in(yellow, "not begun"), what)
		return
	case r.Good && r.Run == nil:
		p.print("%s %s\n", p.in(green, "done"), what)
		return
	case r.Good:
		p.print("%s %s: %s in %s\n", p.in(green, "done"), what, r.Run.counts(), r.Run.took())
		return
	}
	result, counts := "failed", ""
	if r.Run != nil {
		result, counts = r.Run.Result, ": "+r.Run.counts()
	}
	p.print("%s %s%s, exit status %d\n", p.in(red, result), what, counts, r.Status)
	if r.Output != "" {
		p.indented("  ", r.Output)
	}
	if r.Log != "" {
		p.print("  last lines of its log:\n")
		p.indented("    ", r.Log)
	}
}

// A JobLog is the past of a job on a node.
type JobLog struct {
	Node    string
	Job     string
	Error   string // why it could not be looked at
	Warning string
	Runs    []Run
	Log     string
}

func (r JobLog) talk() bool { return false }

func (r JobLog) lines() []line {
	var out []line
	if r.Error != "" {
		out = append(out, nodeError(r.Node, r.Error))
	}
	for _, run := range r.Runs {
		out = append(out, line{"run", struct {
			Node string `json:"node"`
			Job  string `json:"job"`
			Run
		}{r.Node, r.Job, run}})
	}
	for text := range strings.Lines(r.Log) {
		out = append(out, LogLine{r.Node, strings.TrimSuffix(text, "\n")}.lines()...)
	}
	return out
}

func (r JobLog) text(p *paper) {
	p.print("%s\n", p.in(bold, r.Job+" on "+r.Node))
	if r.Error != "" {
		p.indented("  ", p.in(red, "cannot look at it: ")+r.Error)
		return
	}
	if r.Warning != "" {
		p.print("  %s %s\n", p.in(yellow, "warning:"), r.Warning)
	}
	if len(r.Runs) == 0 {
		p.print("  it has never run\n")
	}
	for _, run := range r.Runs {
		p.print("  %s  %7s  %s  %s\n", utc(run.Start), run.took(), p.in(run.colour(), fmt.Sprintf("%-8s", run.Result)), run.counts())
		if run.Error != "" {
			p.indented("      ", run.Error)
		}
	}
	if r.Log != "" {
		p.indented("  ", r.Log)
	}
}

// A LogLine is a line of a job's log.
type LogLine struct {
	Node string `json:"node"`
	Text string `json:"text"`
}

func (r LogLine) talk() bool    { return false }
func (r LogLine) lines() []line { return []line{{"log_line", r}} }
func (r LogLine) text(p *paper) { p.print("%s  %s\n", p.in(cyan, r.Node), r.Text) }

// nodeError is the line about a node that could not be looked at.
func nodeError(node, text string) line {
	return line{"node_error", struct {
		Node  string `json:"node"`
		Error string `json:"error"`
	}{node, text}}
}
