package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/cron"
)

var update = flag.Bool("update", false, "write the golden files anew")

// records has one of every record, as it looks after a run where a lot went on.
func records() map[string]Record {
	diff := "--- a\n+++ b\n@@ -1,2 +1,2 @@\n [DEFAULT]\n-debug = True\n+debug = False\n"
	write := provision.Change{ID: "file:/etc/a.conf", Action: provision.Update, Summary: "file /etc/a.conf", Diff: diff, Drifted: true}
	restart := provision.Change{ID: "unit:a.service", Action: provision.Restart, Summary: "restart a.service: file:/etc/a.conf changes"}
	made := provision.Change{ID: "group:glance", Action: provision.Create, Summary: "group glance"}
	gone := provision.Change{ID: "file:/etc/cron.d/b", Action: provision.Delete, Summary: "file /etc/cron.d/b", Proposed: true}
	other := provision.Change{ID: "file:/etc/b.conf", Action: provision.Update, Summary: "file /etc/b.conf", Diff: diff, Proposed: true}
	sync := provision.Change{ID: "command:sync", Action: provision.Run}
	target := func(name string, changes ...provision.Change) provision.PlannedTarget {
		return provision.PlannedTarget{Host: name, Name: name, Changes: changes}
	}
	down := provision.PlannedTarget{Host: "image-3", Name: "image-3", Err: &provision.ConnectError{Node: "image-3", Address: "10.0.0.3:22", Err: errors.New("no route to host")}}
	source := Source{Proposal: "production", File: "p.hcl", Revision: "0123456789", Modified: true}
	step := &provision.StepError{Node: "image-1", Step: "unit:a.service", Op: "start a.service", Status: 1, Log: "line one\nline two\n"}
	check := &provision.CheckError{Node: "image-2", Check: "a answers on port 1", Err: errors.New("connection refused"), Logs: "its journal\n"}
	when := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
	ended := when.Add(1500 * time.Millisecond)
	good := &Run{cron.Run{PID: 1, Start: when, End: &ended, Result: cron.Done, Done: 3, Skipped: 2, Bytes: 5 << 30}}
	bad := &Run{cron.Run{PID: 2, Start: when, Result: cron.Died, Done: 1, Failed: 1, Bytes: 12, Error: "the store is away"}}
	warned := JobState{Job: "scrubber", Schedule: "1 * * * *", User: "glance", Installed: true, Last: bad, Next: when.Add(time.Hour), Warning: "the run of 07:00 died"}
	jobs := []NodeJobs{
		{Node: "image-1", Jobs: []JobState{warned, {Job: "pruner", Schedule: "45 * * * *", Actual: "46 * * * *", User: "glance", Installed: true, Running: &when, Last: good, Next: when}}},
		{Node: "image-2", Error: "no route to host"},
		{Node: "image-3", Jobs: []JobState{{Job: "scrubber", Schedule: "1 * * * *", User: "glance"}, {Job: "pruner"}}},
	}
	return map[string]Record{
		"plan": Plan{Source: source, Apply: "glancectl apply p.hcl", Trips: 2, Plan: &provision.Plan{Stages: []provision.PlannedStage{
			{Name: "install", Targets: []provision.PlannedTarget{target("image-1", made, write, other), target("image-2", made, write, other), down}},
			{Name: "schema", Targets: []provision.PlannedTarget{target("image-1", sync)}},
			{Name: "services", Targets: []provision.PlannedTarget{target("image-1", restart, gone), target("image-2", restart, gone), down}},
		}}},
		"plan-empty": Plan{Source: Source{Proposal: "p", File: "p.hcl"}, Plan: &provision.Plan{}, Apply: "glancectl apply p.hcl"},
		"outcome": Outcome{Took: 75 * time.Second, Report: &provision.Report{Targets: []provision.TargetReport{
			{Stage: "install", Host: "image-1", Name: "image-1", Done: []provision.Change{made}, Err: step},
			{Stage: "services", Host: "image-2", Name: "image-2", Done: []provision.Change{made, write}, Err: check},
			{Stage: "services", Host: "image-1", Name: "image-1", Skipped: "an earlier step on this node failed"},
		}}},
		"outcome-good":        Outcome{Took: 4200 * time.Millisecond, Report: &provision.Report{Targets: []provision.TargetReport{{Host: "a", Name: "a", Done: []provision.Change{made}}}}},
		"outcome-interrupted": Outcome{Took: time.Second, Report: &provision.Report{Interrupted: true}},
		"status": Status{Source: source, Nodes: []*NodeState{
			{Node: "image-1", Applied: when, Revision: "0123456789abcdef", Modified: true, Glancectl: "v1", Pending: 2, Drifted: 1,
				Checks: []CheckState{{Check: "a answers", OK: true}, {Check: "b answers", Error: "connection refused"}}},
			{Node: "image-2", Error: "no route to host"},
			{Node: "image-5", ImageNode: true, Applied: when, Glancectl: "v1", Jobs: []JobState{warned, {Job: "pruner", Installed: true}}},
			{Node: "image-3", ImageNode: true, Pending: 40},
			{Node: "image-4", ImageNode: true, Pending: 35, Applied: when, Destroyed: true, Glancectl: "v1"},
			{Node: ""},
		}},
		"jobs":            JobList{Source: source, Nodes: jobs},
		"jobs-down":       JobList{Source: source, Nodes: jobs[1:2]},
		"job-run":         JobRun{Node: "image-1", Job: "scrubber", Good: true, Run: good},
		"job-run-silent":  JobRun{Node: "image-1", Job: "scrubber", Good: true},
		"job-run-bad":     JobRun{Node: "image-1", Job: "scrubber", Status: 137, Run: bad, Output: "Killed", Log: "line one\nline two"},
		"job-run-passed":  JobRun{Node: "image-1", Job: "scrubber", Passed: true},
		"job-run-unknown": JobRun{Node: "image-1", Job: "scrubber", Error: "the connection was lost"},
		"job-log":         JobLog{Node: "image-1", Job: "scrubber", Warning: "the run of 07:00 died", Runs: []Run{*good, *bad}, Log: "line one\nline two\n"},
		"job-log-down":    JobLog{Node: "image-1", Job: "scrubber", Error: "no route to host"},
		"job-log-new":     JobLog{Node: "image-1", Job: "scrubber"},
		"log-line":        LogLine{Node: "image-1", Text: "line one"},
		"mistakes":        Mistakes{proposals.Diagnostics{{Severity: "error", Summary: "unknown attribute \"prt\"", Detail: "Did you mean \"port\"?", File: "p.hcl", Line: 3, Column: 5, Snippet: "    prt = 1"}}},
		"problem":         Problem{Err: errors.New("it went wrong"), Advice: "Do it\nright.", Code: 1},
		"version":         Version{Glancectl: "v1", Go: "go1", Services: []string{"amd64", "arm64"}},
		"file":            File{Node: "image-1", Path: "/etc/a", Mode: "0640", Owner: "root", Group: "glance", Content: "a = 1\n"},
		"failed":          happening{provision.Event{Kind: provision.TargetFailed, Time: when, Stage: "install", Host: "image-1", Target: "image-1", Err: step}},
	}
}

// TestRecords compares how every record looks, as text and as JSON, with the
// golden files.
func TestRecords(t *testing.T) {
	for name, r := range records() {
		for _, form := range []string{"txt", "json"} {
			var out, errs bytes.Buffer
			v := New(Options{Out: &out, Err: &errs, JSON: form == "json", Version: "v1"})
			v.Show(r)
			got := out.String() + errs.String()
			if (errs.Len() > 0) != (r.talk() && form == "txt") {
				t.Errorf("%s.%s: on the wrong stream", name, form)
			}
			golden := filepath.Join("testdata", name+"."+form)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("%s (-want +got):\n%s", golden, d)
			}
			if form == "json" {
				for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
					if !json.Valid([]byte(line)) {
						t.Errorf("%s: not JSON: %s", name, line)
					}
				}
			}
		}
	}
}

// TestColour is on only where it was asked for.
func TestColour(t *testing.T) {
	for _, colour := range []bool{false, true} {
		var out bytes.Buffer
		New(Options{Out: &out, Err: &out, Colour: colour, Terminal: colour}).Show(records()["plan"])
		if got := strings.Contains(out.String(), "\x1b["); got != colour {
			t.Errorf("Colour %v: escapes in the text: %v", colour, got)
		}
	}
}

// TestProgress draws over itself on a terminal, and leaves one line for each
// target elsewhere.
func TestProgress(t *testing.T) {
	events := []provision.Event{
		{Kind: provision.TargetStarted, Stage: "install", Host: "a", Target: "a"},
		{Kind: provision.StepStarted, Stage: "install", Host: "a", Target: "a", Step: "file:/etc/x"},
		{Kind: provision.TargetDone, Stage: "install", Host: "a", Target: "a"},
	}
	show := func(terminal bool) string {
		var errs bytes.Buffer
		v := New(Options{Out: &errs, Err: &errs, Terminal: terminal})
		p := v.Progress()
		p.Begin("")
		for _, e := range events {
			p.Event(e)
		}
		p.End()
		p.End() // once more does no harm
		return errs.String()
	}
	if got, want := show(false), "  done a: install\n"; got != want {
		t.Errorf("not on a terminal: %q; want %q", got, want)
	}
	got := show(true)
	if !strings.Contains(got, "file:/etc/x") || !strings.Contains(got, "\x1b[1A\x1b[J") {
		t.Errorf("on a terminal: %q; want the step, drawn over later", got)
	}
	if !strings.HasSuffix(got, "  done a: install\n") {
		t.Errorf("on a terminal: %q; want nothing but the done line to stay", got)
	}
}

// TestHide masks a secret in every spelling, in text and JSON.
func TestHide(t *testing.T) {
	const secret = `pass"word/& 1`
	for _, form := range []bool{false, true} {
		var out bytes.Buffer
		v := New(Options{Out: &out, Err: &out, JSON: form})
		v.Hide(secret[:10], secret, "short")
		v.Show(Problem{Err: errors.New("mysql://glance:" + url.QueryEscape(secret) + "@db and " + secret + ", too short")})
		got := out.String()
		if strings.Contains(got, "word") || strings.Count(got, "(sensitive)") != 2 || !strings.Contains(got, "too short") {
			t.Errorf("JSON %v: %s", form, got)
		}
	}
}
