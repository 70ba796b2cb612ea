package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"glancectl/service/internal/jobs"
	"glancectl/service/internal/ownership"
)

// The results of a run of a job.
const (
	runRunning = "running" // it has not ended
	runDone    = "done"
	runFailed  = "failed"
	runTimeout = "timeout" // it was ended at its timeout
	runStopped = "stopped" // it was told to end
	runSkipped = "skipped" // it was not begun, as another was at work
	runDied    = "died"    // its process ended without a word
)

// A jobRun is what is recorded of one run of a job.
type jobRun struct {
	PID     int        `json:"pid"`
	Start   time.Time  `json:"start"`
	End     *time.Time `json:"end"` // null while it runs
	Result  string     `json:"result"`
	Done    int        `json:"done"`
	Skipped int        `json:"skipped"`
	Failed  int        `json:"failed"`
	Bytes   int64      `json:"bytes"`
	Error   string     `json:"error,omitempty"` // the first one
}

// A runRecord is the file in which the runs of a job are recorded.
type runRecord struct {
	Version int      `json:"version"`
	Job     string   `json:"job"`
	Runs    []jobRun `json:"runs"` // the latest are last
}

const (
	runVersion = 1
	runsKept   = 50
	errorKept  = 500 // bytes of an error
)

// record changes the record of the program's runs: glance-PROGRAM.runs in
// lock_path, if there is one. It is written whole; of several processes one
// after the other. A job does its work though its runs cannot be recorded. What is
// done by hand in place of the job is not recorded: how that went says nothing
// about the job.
func (p *process) record(change func(runs []jobRun) []jobRun) {
	if p.LockPath == "" || p.o.byHand() {
		return
	}
	if err := changeRuns(filepath.Join(p.LockPath, "glance-"+string(p.program)), string(p.program), change); err != nil {
		p.log.Warn("this run is not recorded", slog.Any("error", err))
	}
}

// changeRuns changes the record base.runs of a job.
func changeRuns(base, job string, change func([]jobRun) []jobRun) error {
	if err := os.MkdirAll(filepath.Dir(base), 0o750); err != nil {
		return err
	}
	lock, err := ownership.Open(base+".runs.lock", os.O_RDWR, 0o640)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	r := runRecord{Version: runVersion, Job: job}
	text, err := os.ReadFile(base + ".runs")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var was runRecord
	if err == nil && json.Unmarshal(text, &was) == nil && was.Version == runVersion {
		r.Runs = was.Runs // what cannot be read is begun anew
	}
	r.Runs = kept(change(r.Runs))
	if text, err = json.MarshalIndent(r, "", " "); err != nil {
		return err
	}
	return replaceFile(base+".runs", append(text, '\n'), func(f *os.File) error { return ownership.GiveAway(f, filepath.Dir(base)) })
}

// kept are the latest runs. One that goes on is not forgotten over those that
// were not begun because of it.
func kept(runs []jobRun) []jobRun {
	over := len(runs) - runsKept
	return slices.DeleteFunc(runs, func(r jobRun) bool {
		if over <= 0 || r.Result == runRunning {
			return false
		}
		over--
		return true
	})
}

// recordSkipped records a run that was not begun.
func (p *process) recordSkipped() {
	now := recordTime()
	p.record(func(runs []jobRun) []jobRun {
		return append(runs, jobRun{PID: os.Getpid(), Start: now, End: &now, Result: runSkipped})
	})
}

// recordStart records that a run begins, for the one who has the lock of the
// job: what has not ended before is dead.
func (p *process) recordStart() jobRun {
	run := jobRun{PID: os.Getpid(), Start: recordTime(), Result: runRunning}
	p.record(func(runs []jobRun) []jobRun {
		for i := range runs {
			if runs[i].Result == runRunning {
				runs[i].Result = runDied
			}
		}
		return append(runs, run)
	})
	return run
}

// recordEnd records how a run has ended.
func (p *process) recordEnd(ctx context.Context, run jobRun, report jobs.Report) {
	now := recordTime()
	run.End, run.Result = &now, runDone
	run.Done, run.Skipped, run.Failed, run.Bytes = report.Done, report.Skipped, len(report.Failures), report.Bytes
	if run.Failed > 0 {
		run.Result = runFailed
		run.Error = fmt.Sprintf("%.*s", errorKept, report.Failures[0])
	}
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		run.Result = runTimeout
	case err != nil:
		run.Result = runStopped
	}
	p.record(func(runs []jobRun) []jobRun {
		for i := len(runs) - 1; i >= 0; i-- {
			if runs[i].PID == run.PID && runs[i].Start.Equal(run.Start) && runs[i].Result == runRunning {
				runs[i] = run
				return runs
			}
		}
		return append(runs, run)
	})
}

func recordTime() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
