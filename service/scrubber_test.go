package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"glancectl/service"
)

// delayed returns a running api whose deletes are delayed.
func (s *site) delayed() *daemon {
	s.t.Helper()
	return start(s.t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\ndelayed_delete = True\n")}})
}

func imageNumber(n int) string { return fmt.Sprintf("0f6f4c0e-3333-4000-8000-%012d", n) }

// lock takes the lock of a job, as another process would, until it is closed.
func (s *site) lock(name string) *os.File {
	s.t.Helper()
	if err := os.MkdirAll(s.path("lock"), 0o750); err != nil {
		s.t.Fatal(err)
	}
	f, err := os.Create(s.path("lock", name))
	if err == nil {
		s.t.Cleanup(func() { f.Close() })
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

func TestScrubberRestores(t *testing.T) {
	s := newSite(t)
	d := s.delayed()
	d.create(imageA, "data")
	d.want(204, "", "DELETE", "/v2/images/"+imageA, "")
	o := service.Options{Files: []string{s.conf("scrubber", "")}, Restore: imageA}

	lock := s.lock("glance-scrubber.lock")
	if _, err := runJob(t, service.RunScrubber, o); err == nil || !strings.Contains(err.Error(), "another scrubber is at work here") {
		t.Errorf("restore beside a daemon: %v", err)
	}
	d.want(404, "", "GET", "/v2/images/"+imageA, "")
	lock.Close()

	if log, err := runJob(t, service.RunScrubber, o); err != nil || !strings.Contains(log, "finished run.done=1 ") {
		t.Errorf("restore: %v, %s", err, log)
	}
	d.want(200, `"status": "active"`, "GET", "/v2/images/"+imageA, "")
	d.want(200, "data", "GET", "/v2/images/"+imageA+"/file", "")
	if _, err := runJob(t, service.RunScrubber, o); err == nil || !strings.Contains(err.Error(), "cannot restore the image from active to active (wanted from_state=pending_delete)") {
		t.Errorf("restore of an active image: %v", err)
	}
	for _, id := range []string{imageB, "nonsense"} {
		o.Restore = id
		if _, err := runJob(t, service.RunScrubber, o); err == nil || !strings.Contains(err.Error(), id) {
			t.Errorf("restore of %s: %v", id, err)
		}
	}
	for _, o := range []service.Options{{Restore: imageA, Daemon: true}, {Check: true, Restore: imageA}, {Check: true, Daemon: true}, {RemoveOrphans: true}} {
		o.Files = []string{s.conf("scrubber", "")}
		if _, err := runJob(t, service.RunScrubber, o); err == nil {
			t.Errorf("scrubber with %+v runs", o)
		}
	}
}

func TestScrubberChecks(t *testing.T) {
	s := newSite(t)
	d := s.delayed()
	for n := range 3 {
		d.create(imageNumber(n), "data")
	}
	d.want(204, "", "DELETE", "/v2/images/"+imageNumber(2), "")
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageNumber(3)+`"}`)
	if err := os.Remove(s.path("images", imageNumber(0))); err != nil {
		t.Fatal(err)
	}
	s.write("images/"+imageNumber(3), "queued")   // an orphan: its image has no data
	s.write("images/"+imageNumber(4), "nobody's") // an orphan
	s.write("images/"+imageNumber(5), "young")    // may still become an image's
	s.write("images/notes.txt", "of the operator")
	for _, n := range []int{1, 2, 3, 4} {
		if err := os.Chtimes(s.path("images", imageNumber(n)), time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(remove bool) (string, error) {
		var out bytes.Buffer
		_, err := runJob(t, service.RunScrubber, service.Options{Files: []string{s.conf("scrubber", "")}, Check: true, RemoveOrphans: remove, Stdout: &out})
		return out.String(), err
	}
	missing := "missing " + imageNumber(0) + " file://" + s.path("images", imageNumber(0)) + "\n"
	orphans := []string{
		"orphan file://" + s.path("images", imageNumber(3)) + " 6 bytes\n",
		"orphan file://" + s.path("images", imageNumber(4)) + " 8 bytes\n",
	}
	for _, remove := range []bool{false, true} {
		out, err := check(remove)
		if err == nil || len(out) != len(missing+orphans[0]+orphans[1]) || !strings.HasPrefix(out, missing) || !strings.Contains(out, orphans[0]) || !strings.Contains(out, orphans[1]) {
			t.Errorf("check = %v,\n%swant an error, and\n%s%s", err, out, missing, orphans)
		}
		if s.exists("images", imageNumber(4)) == remove {
			t.Errorf("after a check with remove %v the orphan is there: %v", remove, !remove)
		}
	}
	if out, err := check(false); err == nil || out != missing {
		t.Errorf("after the orphans are removed: %v, %s", err, out)
	}
	d.want(204, "", "DELETE", "/v2/images/"+imageNumber(0), "")
	if out, err := check(true); err != nil || out != "" {
		t.Errorf("when nothing is wrong: %v, %s", err, out)
	}
	for _, name := range []string{imageNumber(1), imageNumber(2), imageNumber(5), "notes.txt"} {
		if !s.exists("images", name) {
			t.Errorf("%s is gone", name)
		}
	}
}

// Scrubbers of two nodes, each with locks of its own, share the work, and
// neither of them fails.
func TestScrubbersOfTwoNodes(t *testing.T) {
	s := newSite(t)
	d := s.delayed()
	const n = 40
	for i := range n {
		d.create(imageNumber(i), "data")
		d.want(204, "", "DELETE", "/v2/images/"+imageNumber(i), "")
	}
	var nodes sync.WaitGroup
	for _, node := range []string{"one", "two"} {
		conf := s.write(node+".conf", strings.Join([]string{"[DEFAULT]", "verbose = True", "[database]", "connection = sqlite:///DIR/glance.sqlite", "[glance_store]",
			"filesystem_store_datadir = DIR/images", "[oslo_concurrency]", "lock_path = DIR/" + node, ""}, "\n"))
		nodes.Go(func() {
			// An image counts whole seconds: the last ones may not be due yet.
			for s.images() > 0 {
				if log, err := runJob(t, service.RunScrubber, service.Options{Files: []string{conf}}); err != nil {
					t.Errorf("scrubber of node %s: %v\n%s", node, err, log)
					return
				}
			}
		})
	}
	nodes.Wait()
	for i := range n {
		if s.exists("images", imageNumber(i)) {
			t.Errorf("data of image %d is left", i)
		}
	}
	if runs := s.runs("one/glance-scrubber.runs"); len(runs) == 0 || runs[0].Failed != 0 {
		t.Errorf("runs of node one: %+v", runs)
	}
}

// images returns the number of files in the store.
func (s *site) images() int {
	entries, err := os.ReadDir(s.path("images"))
	if err != nil {
		s.t.Error(err)
	}
	return len(entries)
}

// A jobRun is a run as its record has it.
type jobRun struct {
	PID                   int
	Start, End            *time.Time
	Result, Error         string
	Done, Skipped, Failed int
}

// runs returns what is recorded in a file.
func (s *site) runs(name string) []jobRun {
	s.t.Helper()
	text, err := os.ReadFile(s.path(name))
	var r struct {
		Version int
		Job     string
		Runs    []jobRun
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil || r.Version != 1 || r.Job == "" {
		s.t.Fatalf("%s: %v: %s", name, err, text)
	}
	return r.Runs
}

func TestJobsRecordTheirRuns(t *testing.T) {
	s := newSite(t)
	d := s.delayed()
	d.create(imageA, "data")
	scrubber := service.Options{Files: []string{s.conf("scrubber", "[DEFAULT]\nscrub_time = 0\n")}}
	run := func(o service.Options) { _, _ = runJob(t, service.RunScrubber, o) }
	last := func(want string) jobRun {
		t.Helper()
		runs := s.runs("lock/glance-scrubber.runs")
		r := runs[len(runs)-1]
		if r.Result != want || r.PID != os.Getpid() || r.Start == nil || r.End == nil || r.End.Before(*r.Start) {
			t.Errorf("last run %+v; want result %s", r, want)
		}
		return r
	}
	run(scrubber)
	last("done")
	run(service.Options{Files: []string{s.conf("scrubber-lost", "[database]\nconnection = sqlite:///"+s.path("none", "glance.sqlite")+"\n")}})
	failed := last("failed")
	if failed.Failed != 1 || !strings.Contains(failed.Error, "open database") {
		t.Errorf("failed run = %+v", failed)
	}
	// What is done by hand in its place is no run of the job, however it goes.
	run(service.Options{Files: scrubber.Files, Restore: imageA})
	run(service.Options{Files: scrubber.Files, Check: true, Stdout: io.Discard})
	if runs := s.runs("lock/glance-scrubber.runs"); len(runs) != 2 {
		t.Errorf("%d runs are recorded after a restore and a check by hand; want 2: %+v", len(runs), runs)
	}
	run(service.Options{Files: scrubber.Files, Timeout: 1})
	last("timeout")

	// One that goes on is remembered, however many are not begun beside it.
	lock := s.lock("glance-scrubber.lock")
	s.write("lock/glance-scrubber.runs", `{"version": 1, "job": "scrubber", "runs": [{"pid": 1, "start": "2026-11-20T01:00:00Z", "end": null, "result": "running"}]}`)
	for range 52 {
		run(scrubber)
		last("skipped")
	}
	if runs := s.runs("lock/glance-scrubber.runs"); len(runs) != 50 || runs[0].Result != "running" {
		t.Errorf("beside the run that goes on: %d runs, the first %+v; want 50, and that one", len(runs), runs[0])
	}
	lock.Close()

	// A process that was killed has left this.
	s.write("lock/glance-scrubber.runs", `{"version": 1, "job": "scrubber", "runs": [{"pid": 1, "start": "2026-11-20T01:00:00Z", "end": null, "result": "running"}]}`)
	d.want(204, "", "DELETE", "/v2/images/"+imageA, "")
	eventually(t, "the image to be due", func() bool { run(scrubber); return last("done").Done == 1 })
	if r := s.runs("lock/glance-scrubber.runs")[0]; r.Result != "died" || r.End != nil {
		t.Errorf("the killed run is %+v; want it to have died", r)
	}

	// It keeps to its size, and what cannot be read is begun anew.
	for range 60 {
		run(service.Options{Files: scrubber.Files, Timeout: 1})
	}
	if n := len(s.runs("lock/glance-scrubber.runs")); n != 50 {
		t.Errorf("%d runs are recorded; want 50", n)
	}
	s.write("lock/glance-scrubber.runs", "{")
	run(scrubber)
	if n := len(s.runs("lock/glance-scrubber.runs")); n != 1 {
		t.Errorf("%d runs are recorded after the file broke; want 1", n)
	}
	unwritable := s.conf("pruner", "")
	if err := os.Mkdir(s.path("lock", "glance-cache-pruner.runs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if log, err := runJob(t, service.RunPruner, service.Options{Files: []string{unwritable}}); err != nil || !strings.Contains(log, "this run is not recorded") || !strings.Contains(log, "finished") {
		t.Errorf("a run that cannot be recorded: %v, %s", err, log)
	}
}

// What root leaves that runs a job by hand is the service's, so that the next
// run of cron can use it.
func TestJobsOfRoot(t *testing.T) {
	s := newSite(t)
	scrubber := s.conf("scrubber", "[DEFAULT]\nlog_file = DIR/log/scrubber.log\n")
	owner := os.Geteuid()
	if owner == 0 {
		owner = 65534
	}
	for _, dir := range []string{"lock", "log"} {
		if err := errors.Join(os.Mkdir(s.path(dir), 0o750), os.Chown(s.path(dir), owner, -1)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := runJob(t, service.RunScrubber, service.Options{Files: []string{scrubber}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"lock/glance-scrubber.lock", "lock/glance-scrubber.runs", "lock/glance-scrubber.runs.lock", "log/scrubber.log"} {
		info, err := os.Stat(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != owner {
			t.Errorf("%s belongs to user %d; want %d, as its directory does", name, uid, owner)
		}
	}
}

// A scrubber that is told to end while it scrubs ends in order.
func TestScrubberDaemonStops(t *testing.T) {
	s := newSite(t)
	log := new(logBuffer)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	o := service.Options{Files: []string{s.conf("scrubber", "[DEFAULT]\nwakeup_time = 1000\n")}, Daemon: true, Stderr: log}
	go func() { ended <- service.RunScrubber(ctx, o) }()
	eventually(t, "the first run", func() bool { return strings.Contains(log.String(), " finished ") })
	if _, err := runJob(t, service.RunScrubber, service.Options{Files: o.Files, Restore: imageA}); err == nil || !strings.Contains(err.Error(), "another scrubber") {
		t.Errorf("restore beside the daemon: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("at its end: %v", err)
	}
}
