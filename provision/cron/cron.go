// Package cron looks after the jobs that cron starts on a machine: what is
// known of their runs, and a run by hand that is like one of cron.
//
// A job has an entry in a directory of cron, a file that its runs lock one
// after the other, a file in which they record how they went, and a log. What
// the job does is not known here.
package cron

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"glancectl/provision"
)

// A Job is where the traces of a job are on a machine.
type Job struct {
	Entry  string // its file for cron; "" where there is no cron
	Record string // what its runs write down
	Lock   string // what its runs lock
	Log    string
}

// The results of a run, as it records them.
const (
	Running  = "running"
	Done     = "done"
	Failed   = "failed"
	TimedOut = "timeout" // it was ended at its timeout
	Stopped  = "stopped" // it was told to end
	Skipped  = "skipped" // another run was at work
	Died     = "died"    // its process ended without a word
)

// A Run is what is recorded of one run of a job.
type Run struct {
	PID     int        `json:"pid"`
	Start   time.Time  `json:"start"`
	End     *time.Time `json:"end"` // nil: not known, or not yet
	Result  string     `json:"result"`
	Done    int        `json:"done"`
	Skipped int        `json:"skipped"`
	Failed  int        `json:"failed"`
	Bytes   int64      `json:"bytes"`
	Error   string     `json:"error,omitempty"` // the first one
}

// Good reports whether nothing went wrong, as far as the run has come.
func (r Run) Good() bool { return r.Result != Failed && r.Result != TimedOut && r.Result != Died }

// recordVersion is the version of the records that are understood.
const recordVersion = 1

// readRecord reads a record of runs, of which the latest is last.
func readRecord(text []byte) ([]Run, error) {
	var r struct {
		Version int   `json:"version"`
		Runs    []Run `json:"runs"`
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("version %d, this glancectl knows %d", r.Version, recordVersion)
	}
	return r.Runs, nil
}

// A State is what is known of a job on a machine.
type State struct {
	Entry *Entry    // nil: cron has none; without Argv: it has one that is not ours
	Runs  []Run     // the latest is last; what has ended without a word has died
	Now   time.Time // on the machine, in its zone
}

// Queries are the facts that State wants to find.
func (j Job) Queries() []provision.Query {
	qs := []provision.Query{
		provision.FileQuery{Path: j.Record, Content: true}, provision.LockQuery{Path: j.Lock}, provision.ClockQuery{},
	}
	if j.Entry != "" {
		qs = append(qs, provision.FileQuery{Path: j.Entry, Content: true})
	}
	return qs
}

// justNow is longer than it takes to look at a machine: what began during the
// look may have the lock although nobody had it yet, or has given it back.
const justNow = 5 * time.Second

// State returns what is known of the job. An error says that its entry or its
// record cannot be understood; the rest is known all the same.
func (j Job) State(f *provision.Facts) (State, error) {
	s := State{Now: f.Now}
	var bad, worse error
	if file, ok := f.Files[j.Entry]; ok && j.Entry != "" {
		e, err := readEntry(file.Content)
		if err != nil {
			bad = fmt.Errorf("%s %w", j.Entry, err)
		}
		e.Since = file.Mtime
		s.Entry = &e
	}
	if file, ok := f.Files[j.Record]; ok {
		runs, err := readRecord(file.Content)
		if err != nil {
			worse = fmt.Errorf("%s: %w", j.Record, err)
		}
		holder := f.Locks[j.Lock]
		for i := range runs {
			r := &runs[i]
			if r.Result == Running && r.PID != holder && f.Now.Sub(r.Start) > justNow {
				r.Result = Died
			}
		}
		s.Runs = runs
	}
	return s, errors.Join(bad, worse)
}

// Current is the run that is at work; nil if there is none.
func (s State) Current() *Run {
	return s.latest(func(r Run) bool { return r.Result == Running })
}

// Last is the run that has ended last; nil if there is none. One that was
// not begun, because another was at work, is none.
func (s State) Last() *Run {
	return s.latest(func(r Run) bool { return r.Result != Running && r.Result != Skipped })
}

func (s State) latest(want func(Run) bool) *Run {
	for i := len(s.Runs) - 1; i >= 0; i-- {
		if want(s.Runs[i]) {
			return &s.Runs[i]
		}
	}
	return nil
}

// Begun is since when a run of the job is to be expected: its last start, or
// since its entry is as it is. It is zero without either.
func (s State) Begun() time.Time {
	var t time.Time
	if s.Entry != nil {
		t = s.Entry.Since
	}
	if r := s.latest(func(r Run) bool { return r.Result != Skipped }); r != nil && r.Start.After(t) {
		t = r.Start
	}
	return t
}
