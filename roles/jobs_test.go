package roles

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/cron"
	"glancectl/provision/localhost"
)

// The entry that lands on a node is read back as what it was made of, and the
// traces are where the programs leave them.
func TestJobsAreAsInstalled(t *testing.T) {
	for name, sample := range samples() {
		p := sample()
		if p.Node(p.Glance.Nodes[0]).Init == proposals.InitProcess {
			continue
		}
		p.Glance.Cache.Enabled = true
		p.Glance.Scrubber.ConfigFile = "/etc/glance/it's 100%.conf"
		p.Glance.Scrubber.Timeout, p.Glance.Pruner.Jitter = 90*time.Minute, 30*time.Second
		node := p.Glance.Nodes[0]
		jobs, err := Jobs(p, node)
		if err != nil || len(jobs) != 4 {
			t.Fatalf("%s: Jobs = %d, %v; want 4", name, len(jobs), err)
		}
		files, err := Render(p, node, options())
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			i := slices.IndexFunc(files, func(f RenderedFile) bool { return f.Path == j.On.Entry })
			if i < 0 {
				t.Errorf("%s: %s: no file %s", name, j.Name, j.On.Entry)
				continue
			}
			f := &provision.Facts{Files: map[string]provision.FileFact{j.On.Entry: {Content: files[i].Content}}}
			s, err := j.On.State(f)
			if err != nil {
				t.Errorf("%s: %s: %v", name, j.Name, err)
				continue
			}
			if d := cmp.Diff(j.argv, s.Entry.Argv); d != "" || s.Entry.Schedule != j.Schedule || s.Entry.User != j.User {
				t.Errorf("%s: %s: entry %+v: -want +got:\n%s", name, j.Name, s.Entry, d)
			}
		}
		lock := p.Glance.WorkingDirectory + "/lock"
		want := cron.Job{
			Entry: "/etc/cron.d/glance-reaper", Record: lock + "/glance-cache-reaper.runs", Lock: lock + "/glance-cache-reaper.lock",
			Log: "/var/log/glance/reaper.log",
		}
		if d := cmp.Diff(want, jobs[1].On); d != "" {
			t.Errorf("%s: the reaper: -want +got:\n%s", name, d)
		}
	}
}

// A config block may send lock and log elsewhere.
func TestJobsFollowTheirConfiguration(t *testing.T) {
	p := single()
	p.Glance.Config = []proposals.ConfigFile{{Name: "glance-scrubber", Sections: []proposals.ConfigSection{
		{Name: "DEFAULT", Options: []proposals.ConfigOption{{Key: "log_file", Value: "/srv/log/$me"}, {Key: "me", Value: "scrub"}}},
		{Name: "oslo_concurrency", Options: []proposals.ConfigOption{{Key: "lock_path", Value: "/srv/lock"}}},
	}}}
	jobs, err := Jobs(p, p.Glance.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	if j := jobs[0].On; j.Record != "/srv/lock/glance-scrubber.runs" || j.Lock != "/srv/lock/glance-scrubber.lock" || j.Log != "/srv/log/scrub" {
		t.Errorf("the scrubber's traces: %+v; want those of its configuration", j)
	}
	// Without a cache there is nothing to do for the others, and no cron where
	// there is no systemd.
	p.Node(p.Glance.Nodes[0]).Init = proposals.InitProcess
	jobs, err = Jobs(p, p.Glance.Nodes[0])
	if err != nil || len(jobs) != 1 || jobs[0].On.Entry != "" || jobs[0].Schedule != "" {
		t.Errorf("Jobs = %+v, %v; want the scrubber alone, without an entry", jobs, err)
	}
	if _, err := Jobs(p, "nobody"); err == nil {
		t.Error("Jobs of a node without the role: no error")
	}
}

func TestJobName(t *testing.T) {
	for name, want := range map[string]string{
		"scrubber": "scrubber", "glance-scrubber": "scrubber", "reaper": "reaper", "cache-reaper": "reaper", "glance-cache-reaper": "reaper",
		"cleaner": "reaper", "cache-cleaner": "reaper", "glance-cache-cleaner": "reaper", "cache-pruner": "pruner", "glance-cache-prefetcher": "prefetcher",
		"api": "", "": "", "glance-": "", "glance-api": "",
	} {
		if got, ok := JobName(name); got != want || ok != (want != "") {
			t.Errorf("JobName(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
}

func TestJobStates(t *testing.T) {
	zurich := time.FixedZone("", 3600)
	now := time.Date(2026, 11, 20, 12, 30, 0, 0, zurich)
	at := func(ago time.Duration) time.Time { return now.Add(-ago).UTC() }
	run := func(result string, ago time.Duration) cron.Run {
		r := cron.Run{PID: int(ago.Minutes()), Start: at(ago), Result: result}
		if result == cron.Failed {
			r.Error = "the store is away"
		}
		return r
	}
	const week = 7 * 24 * time.Hour
	for _, test := range []struct {
		name      string
		schedule  string
		installed time.Duration // ago
		jitter    time.Duration
		runs      []cron.Run
		holder    int
		warning   string // part of it; "" for none
	}{
		{name: "just installed", schedule: "1 * * * *"},
		{name: "installed an hour ago, one run is missed", schedule: "1 * * * *", installed: 80 * time.Minute},
		{name: "never run", schedule: "1 * * * *", installed: 2 * time.Hour, warning: "it has never run: it is there since 2026-11-20 09:30:00 UTC"},
		{name: "as it should be", schedule: "1 * * * *", installed: week, runs: []cron.Run{run(cron.Done, 29*time.Minute)}},
		{name: "one run is missed", schedule: "1 * * * *", installed: week, runs: []cron.Run{run(cron.Done, 89*time.Minute)}},
		{name: "two are", schedule: "1 * * * *", installed: week, runs: []cron.Run{run(cron.Done, 149*time.Minute)}, warning: "it has not run since 2026-11-20 09:01:00 UTC"},
		{name: "the second is just about to start", schedule: "30 * * * *", installed: week, runs: []cron.Run{run(cron.Done, 2*time.Hour)}},
		{name: "the second waits", schedule: "20 * * * *", jitter: time.Hour, installed: week, runs: []cron.Run{run(cron.Done, 130*time.Minute)}},
		{name: "by the clock of the node", schedule: "0 12 * * *", installed: week, runs: []cron.Run{run(cron.Done, 48*time.Hour+30*time.Minute)}, warning: "it has not run"},
		{name: "not yet by the clock of the node", schedule: "0 13 * * *", installed: week, runs: []cron.Run{run(cron.Done, 47*time.Hour+30*time.Minute)}},
		{name: "once a week", schedule: "0 0 * * sun", installed: week, runs: []cron.Run{run(cron.Done, 6*24*time.Hour)}},
		{name: "its schedule has become shorter", schedule: "*/5 * * * *", installed: time.Minute, runs: []cron.Run{run(cron.Done, 12*time.Hour)}},
		{name: "it failed", schedule: "1 * * * *", runs: []cron.Run{run(cron.Done, 89*time.Minute), run(cron.Failed, 29*time.Minute)}, warning: "the run of 2026-11-20 11:01:00 UTC failed: the store is away"},
		{name: "it failed before", schedule: "1 * * * *", runs: []cron.Run{run(cron.Failed, 89*time.Minute), run(cron.Done, 29*time.Minute)}},
		{name: "it failed, and is at work again", schedule: "1 * * * *", runs: []cron.Run{run(cron.Failed, 89*time.Minute), run(cron.Running, 29*time.Minute)}, holder: 29, warning: "failed"},
		{name: "it was ended", schedule: "1 * * * *", runs: []cron.Run{run(cron.TimedOut, 29*time.Minute)}, warning: "was ended at its timeout"},
		{name: "it was told to end", schedule: "1 * * * *", runs: []cron.Run{run(cron.Stopped, 29*time.Minute)}},
		{name: "it died", schedule: "1 * * * *", runs: []cron.Run{run(cron.Running, 29*time.Minute)}, warning: "died before its end"},
		{name: "it hangs", schedule: "1 * * * *", installed: week, runs: []cron.Run{run(cron.Running, 149*time.Minute), run(cron.Skipped, 89*time.Minute), run(cron.Skipped, 29*time.Minute)},
			holder: 149, warning: "it has been at work since 2026-11-20 09:01:00 UTC"},
		{name: "no schedule", schedule: "@daily", warning: "changed by hand"},
	} {
		j := Job{Name: "scrubber", Schedule: "1 * * * *", Jitter: test.jitter, On: cron.Job{Entry: "/e", Record: "/r", Lock: "/l"}}
		record, err := json.Marshal(map[string]any{"version": 1, "runs": test.runs})
		if err != nil {
			t.Fatal(err)
		}
		f := &provision.Facts{Now: now, Locks: map[string]int{"/l": test.holder}, Files: map[string]provision.FileFact{
			"/e": {Content: []byte(test.schedule + " glance /usr/bin/glance-scrubber\n"), Mtime: at(test.installed)},
			"/r": {Content: record},
		}}
		s := JobStates([]Job{j}, f)[0]
		if test.warning == "" && s.Warning != "" || !strings.Contains(s.Warning, test.warning) {
			t.Errorf("%s: warning %q; want %q", test.name, s.Warning, test.warning)
		}
		if s.Next.Before(now) && test.name != "no schedule" {
			t.Errorf("%s: next at %v; want it to come", test.name, s.Next)
		}
	}
}

// Watch learns of the jobs in an observation that finds nothing to do.
func TestWatch(t *testing.T) {
	p := single()
	node := p.Node(p.Glance.Nodes[0])
	node.Root = t.TempDir()
	jobs, err := Jobs(p, node.Name)
	if err != nil {
		t.Fatal(err)
	}
	record := `{"version":1,"runs":[{"pid":1,"start":"2026-11-20T01:00:00Z","end":"2026-11-20T01:00:01Z","result":"failed","error":"the store is away"}]}`
	for name, text := range map[string]string{jobs[0].On.Entry: "1 * * * * glance /usr/bin/glance-scrubber\n", jobs[0].On.Record: record} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var told []JobState
	stage, err := Watch(p, func(_ string, states []JobState) { told = states })
	if err != nil {
		t.Fatal(err)
	}
	trips := 0
	connect := func(_ context.Context, name string) (provision.Host, error) {
		return counted{localhost.New(name), &trips}, nil
	}
	plan, err := provision.Observe(t.Context(), []provision.Stage{stage}, connect, provision.Options{Proposal: p.Name})
	if err != nil || plan.Err() != nil || !plan.Empty() || trips != 1 {
		t.Errorf("Observe = %v, %v, empty %v, %d round trips; want nothing to do, found out in one", err, plan.Err(), plan.Empty(), trips)
	}
	if len(told) != 1 || !strings.Contains(told[0].Warning, "failed: the store is away") || told[0].Next.IsZero() {
		t.Errorf("the jobs are %+v; want the scrubber, which failed", told)
	}
}

// counted is a host that counts what it is asked to run.
type counted struct {
	provision.Host
	trips *int
}

func (c counted) Run(ctx context.Context, cmd provision.Cmd) (provision.Result, error) {
	*c.trips++
	return c.Host.Run(ctx, cmd)
}
