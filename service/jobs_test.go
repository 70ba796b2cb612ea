package service_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancectl/service"
)

// runJob runs a job and returns its log.
func runJob(t *testing.T, run runner, o service.Options) (string, error) {
	t.Helper()
	log := new(logBuffer)
	o.Stderr = log
	err := run(t.Context(), o)
	return log.String(), err
}

// exists tells whether there is a file below the site's directory.
func (s *site) exists(elem ...string) bool {
	_, err := os.Stat(s.path(elem...))
	return err == nil
}

func TestScrubber(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\ndelayed_delete = True\n")}})
	d.create(imageA, "data")
	d.want(204, "", "DELETE", "/v2/images/"+imageA, "")
	for _, test := range []struct {
		options string
		want    string
		left    bool
	}{
		{"[DEFAULT]\nscrub_time = 3600\n", "run.done=0 run.skipped=", true},
		{"[DEFAULT]\nscrub_time = 0\n", "run.done=1 ", false},
		{"[DEFAULT]\nscrub_time = 0\n", "run.done=0 ", false},
	} {
		// An image counts whole seconds, so "before now" may take one.
		var log string
		eventually(t, test.want, func() bool {
			var err error
			log, err = runJob(t, service.RunScrubber, service.Options{Files: []string{s.conf("scrubber", test.options)}})
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(log, " INFO glance.scrubber [-] finished "+test.want)
		})
		if got := s.exists("images", imageA); got != test.left || strings.Count(log, "\n") != 1 {
			t.Errorf("after %q data there: %v, log %q; want %v and one line", test.options, got, log, test.left)
		}
	}
}

func TestScrubberAsDaemon(t *testing.T) {
	s := newSite(t)
	log := new(logBuffer)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- service.RunScrubber(ctx, service.Options{Files: []string{s.conf("scrubber", "[DEFAULT]\nwakeup_time = 0\n")}, Daemon: true, Stderr: log})
	}()
	eventually(t, "a second run", func() bool { return strings.Count(log.String(), " finished run.done=0 ") >= 2 })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("at its end: %v", err)
	}
}

// TestCache goes the way of cached data: by a download, by the prefetcher's
// queue, and out again by pruner and reaper.
func TestCache(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[paste_deploy]\nflavor = cachemanagement\n")}})
	d.create(imageA, "data of a")
	d.create(imageB, "data of b")
	d.want(200, `{"cached_images": []}`, "GET", "/v2/cached_images", "")
	d.want(200, "data of a", "GET", "/v2/images/"+imageA+"/file", "")
	eventually(t, "the cache to verify the data", func() bool {
		return strings.Contains(d.call("GET", "/v2/cached_images", "").body, `"image_id": "`+imageA+`", "hits": `)
	})
	d.want(200, "null", "PUT", "/v2/queued_images/"+imageB, "")
	d.want(200, `{"queued_images": ["`+imageB+`"]}`, "GET", "/v2/queued_images", "")

	log, err := runJob(t, service.RunPrefetcher, service.Options{Files: []string{s.conf("prefetcher", "")}})
	if err != nil || !strings.Contains(log, "finished run.done=1 run.skipped=0 run.failed=0 run.bytes=9 ") {
		t.Errorf("the prefetcher: %v, %s", err, log)
	}
	d.want(200, `{"queued_images": []}`, "GET", "/v2/queued_images", "")
	if err := os.Remove(s.path("images", imageB)); err != nil {
		t.Fatal(err)
	}
	d.want(200, "data of b", "GET", "/v2/images/"+imageB+"/file", "") // only the cache has it

	log, err = runJob(t, service.RunPruner, service.Options{Files: []string{s.conf("pruner", "[DEFAULT]\nimage_cache_max_size = 10\nimage_cache_percent_extra_to_free = 0\n")}})
	if err != nil || !strings.Contains(log, "finished run.done=1 ") || s.exists("cache", imageA) || !s.exists("cache", imageB) {
		t.Errorf("the pruner: %v, %s; want that only the older entry is gone", err, log)
	}
	stalled := s.path("cache", "incomplete", imageA+".x")
	if err := os.WriteFile(stalled, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(stalled, time.Time{}, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	log, err = runJob(t, service.RunReaper, service.Options{Files: []string{s.conf("reaper", "[DEFAULT]\nimage_cache_stall_time = 30\n")}})
	if err != nil || !strings.Contains(log, "finished run.done=1 ") || s.exists("cache", "incomplete", imageA+".x") {
		t.Errorf("the reaper: %v, %s", err, log)
	}
}

func TestCacheManagement(t *testing.T) {
	s := newSite(t)
	keystone := fakeKeystone(t, false)
	d := start(t, service.RunAPI, service.Options{Files: []string{
		s.conf("api", strings.Replace(tokenOptions(keystone.URL), "flavor = keystone", "flavor = keystone+cachemanagement", 1))}})
	d.want(401, "", "GET", "/v2/cached_images", "")
	d.want(403, "You are not authorized to complete manage_image_cache action.", "GET", "/v2/cached_images", "", "X-Auth-Token", "alice")
	for _, test := range []struct {
		code               int
		want, method, path string
	}{
		{200, "null", "PUT", "/v2/queued_images/" + imageA},
		{200, "null", "PUT", "/v2/queued_images/" + imageB},
		{200, "null", "DELETE", "/v2/queued_images/" + imageB},
		{200, `{"num_deleted": 1}`, "DELETE", "/v2/queued_images"},
		{200, `{"queued_images": []}`, "GET", "/v2/queued_images"},
		{200, "null", "DELETE", "/v2/cached_images/" + imageA},
		{200, `{"num_deleted": 0}`, "DELETE", "/v2/cached_images"},
		{404, "", "PUT", "/v2/queued_images/not-an-id"},
		{200, "null", "DELETE", "/v2/queued_images/not-an-id"},
		{200, "null", "DELETE", "/v2/cached_images/not-an-id"},
		{404, "", "POST", "/v2/queued_images"},
		{404, "", "GET", "/v2/cached_images/" + imageA},
		{404, "", "GET", "/v2/cached_things"},
	} {
		d.want(test.code, test.want, test.method, test.path, "", "X-Auth-Token", "admin")
	}
}

// TestDropFromCache empties a cache that has something in it.
func TestDropFromCache(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[paste_deploy]\nflavor = cachemanagement\n")}})
	d.create(imageA, "data")
	d.want(200, "data", "GET", "/v2/images/"+imageA+"/file", "")
	eventually(t, "the cache to have it", func() bool { return s.exists("cache", imageA) })
	d.want(200, `{"num_deleted": 1}`, "DELETE", "/v2/cached_images", "")
	if s.exists("cache", imageA) {
		t.Error("the data is still there")
	}
}

func TestJobsDoNotOverlap(t *testing.T) {
	s := newSite(t)
	if err := os.Mkdir(s.path("lock"), 0o750); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(s.path("lock", "glance-cache-pruner.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	pruner := service.Options{Files: []string{s.conf("pruner", "")}}
	if log, err := runJob(t, service.RunPruner, pruner); err != nil || !strings.Contains(log, "nothing done: another run is at work") {
		t.Errorf("beside another run: %v, %s", err, log)
	}
	if log, err := runJob(t, service.RunReaper, service.Options{Files: []string{s.conf("reaper", "")}}); err != nil || !strings.Contains(log, " finished ") {
		t.Errorf("another job: %v, %s; want it to run", err, log)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if log, err := runJob(t, service.RunPruner, pruner); err != nil || !strings.Contains(log, " finished ") {
		t.Errorf("after the other run: %v, %s", err, log)
	}
	unlocked := s.write("unlocked.conf", "[DEFAULT]\nimage_cache_dir = DIR/cache\n")
	t.Setenv("OSLO_LOCK_PATH", "")
	if log, err := runJob(t, service.RunPruner, service.Options{Files: []string{unlocked}}); err != nil || !strings.Contains(log, "WARNING glance.cache-pruner [-] no [oslo_concurrency] lock_path") {
		t.Errorf("without a lock path: %v, %s", err, log)
	}
}

func TestJobsFail(t *testing.T) {
	s := &site{t, t.TempDir()} // without tables
	scrubber := s.conf("scrubber", "")
	log, err := runJob(t, service.RunScrubber, service.Options{Files: []string{scrubber}})
	if err == nil || !strings.HasPrefix(err.Error(), "1 of 1 failed: ") || !strings.Contains(log, "run.failed=1") || !strings.Contains(log, " ERROR glance.scrubber ") {
		t.Errorf("without tables: %v, %s", err, log)
	}
	if log, err := runJob(t, service.RunScrubber, service.Options{Files: []string{scrubber}, Timeout: 1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("out of time: %v, %s", err, log)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := service.RunScrubber(ctx, service.Options{Files: []string{scrubber}, Jitter: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended while it waits: %v; want Canceled", err)
	}
}

// What each job logs, and where, is said by its own file.
func TestJobsLogAsTheyAreTold(t *testing.T) {
	s := newSite(t)
	jobs := []struct {
		name string
		run  runner
	}{
		{"scrubber", service.RunScrubber}, {"reaper", service.RunReaper},
		{"pruner", service.RunPruner}, {"prefetcher", service.RunPrefetcher},
	}
	levels := []struct {
		options string
		want    []string // in its log
		not     string
	}{
		{"debug = True\nverbose = False\n", []string{" DEBUG glance.", " INFO glance.", " WARNING glance."}, " ERROR "},
		{"debug = False\nverbose = True\n", []string{" INFO glance.", " WARNING glance."}, " DEBUG "},
		{"debug = False\nverbose = False\n", []string{" WARNING glance."}, " INFO "},
		{"debug = True\nverbose = True\nuse_stderr = False\n", []string{" DEBUG glance.", " INFO glance."}, " ERROR "},
	}
	for turn := range levels {
		for i, job := range jobs {
			level := levels[(turn+i)%len(levels)]
			log := s.path(job.name + ".log")
			if err := os.RemoveAll(log); err != nil {
				t.Fatal(err)
			}
			// Of the two options nobody knows, one is worth a warning.
			conf := s.conf("glance-"+job.name, "[DEFAULT]\nlog_file = "+log+"\nimage_cache_sqlite_db = cache.db\nverbos = True\n"+level.options)
			if said, err := runJob(t, job.run, service.Options{Files: []string{conf}}); err != nil || said != "" {
				t.Errorf("%s: %v, %q", job.name, err, said)
			}
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range level.want {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s with %q logs\n%s\nwant %q", job.name, level.options, text, want)
				}
			}
			if strings.Contains(string(text), level.not) {
				t.Errorf("%s with %q logs\n%s\nwant no %q", job.name, level.options, text, level.not)
			}
		}
	}
}
