package view

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"glancectl/provision"
)

// An Outcome is how an apply went.
type Outcome struct {
	Report  *provision.Report
	Took    time.Duration
	Nothing bool // there was nothing to do
}

func (r Outcome) talk() bool { return false }

func (r Outcome) lines() []line {
	var out []line
	for _, t := range r.Report.Failed() {
		out = append(out, line{"failure", struct {
			Stage string `json:"stage"`
			Node  string `json:"node"`
			failedTarget
		}{t.Stage, t.Host, failed(t)}})
	}
	return append(out, line{"apply_summary", struct {
		Changed     int     `json:"changed"`
		Failed      int     `json:"failed"`
		Skipped     int     `json:"skipped"`
		Interrupted bool    `json:"interrupted,omitempty"`
		Seconds     float64 `json:"seconds"`
	}{r.Report.Changed(), len(r.Report.Failed()), r.skipped(), r.Report.Interrupted, r.Took.Seconds()}})
}

// skipped counts the nodes on which something was not begun.
func (r Outcome) skipped() int {
	names := map[string]bool{}
	for _, t := range r.Report.Targets {
		if t.Skipped != "" {
			names[t.Host] = true
		}
	}
	return len(names)
}

func (r Outcome) text(p *paper) {
	for _, t := range r.Report.Failed() {
		f := failed(t)
		p.print("\n%s\n", p.in(red, "Failed: "+f.Target))
		if f.Step != "" {
			p.print("  step: %s\n", f.Step)
		}
		p.indented("  ", f.Error)
		if f.Log != "" {
			p.print("  last lines of its log:\n")
			p.indented("    ", f.Log)
		}
	}
	if skipped := r.skipped(); skipped > 0 && !r.Report.Interrupted {
		p.print("\n%s left out, because something before it failed.\n", count(skipped, "node"))
	}
	switch failed := len(r.Report.Failed()); {
	case r.Nothing:
	case r.Report.Interrupted:
		p.print("\n%s after %s: %s made. The next apply finishes the work.\n",
			p.in(yellow, "Interrupted"), since(r.Took), count(r.Report.Changed(), "change"))
	case failed > 0:
		p.print("\n%s after %s: %s made, %s failed. Mend the cause and apply again.\n",
			p.in(red, "Not complete"), since(r.Took), count(r.Report.Changed(), "change"), count(failed, "target"))
	default:
		p.print("\n%s in %s: %s made.\n", p.in(green, "Applied"), since(r.Took), count(r.Report.Changed(), "change"))
	}
}

// A failedTarget is a failure in the parts that are shown.
type failedTarget struct {
	Target string `json:"target"`
	Step   string `json:"step,omitempty"`
	Error  string `json:"error"`
	Log    string `json:"log,omitempty"`
}

// maxLog is how many lines of a log are shown.
const maxLog = 20

func failed(t provision.TargetReport) failedTarget {
	f := failedTarget{Target: t.Name, Error: t.Err.Error()}
	var step *provision.StepError
	var check *provision.CheckError
	switch {
	case errors.As(t.Err, &step):
		f.Step, f.Log = step.Step, step.Log
		if step.Err != nil {
			f.Error = step.Err.Error()
		} else {
			f.Error = fmt.Sprintf("%s: exit status %d", step.Op, step.Status)
		}
	case errors.As(t.Err, &check):
		f.Step, f.Log, f.Error = check.Check, check.Logs, check.Err.Error()
	}
	lines := strings.Split(strings.TrimRight(f.Log, "\n"), "\n")
	f.Log = strings.Join(lines[max(0, len(lines)-maxLog):], "\n")
	return f
}
