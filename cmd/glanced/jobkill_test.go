package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// jobsKilled kills each job in the middle of its work. The next run finds no
// lock, finishes what was left, and records that there was one before it.
func jobsKilled(t *testing.T, program string) {
	d := deploy(t, program, "sqlite:///"+filepath.Join(t.TempDir(), "glance.sqlite"), "http://127.0.0.1:1")
	more := d.path("more.conf")
	touch(t, more, "[DEFAULT]\ndelayed_delete = true\nimage_cache_stall_time = 60\n")
	api := d.command("api", "--config-file", more)
	if err := api.Start(); err != nil {
		t.Fatal(err)
	}
	defer d.kill(api)
	d.ready(t.Context())

	var doomed []string
	d.killJob(&killedJob{
		name: "scrubber", next: "scrubber", conf: more,
		fill: func() {
			doomed = nil
			for range 10 {
				id := d.upload(1000)
				d.call("DELETE", "/v2/images/"+id, "", nil)
				doomed = append(doomed, id)
			}
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // they are due a whole second later
		},
		left: func() int { return d.files("one", func(name string) bool { return slices.Contains(doomed, name) }) },
	})

	var wanted []string
	for range 5 {
		wanted = append(wanted, d.upload(2<<20))
	}
	d.killJob(&killedJob{
		name: "cache-prefetcher", next: "cache-prefetcher", conf: more,
		fill: func() {
			for _, id := range wanted {
				_ = os.Remove(d.path("cache", id)) // of the run that was too fast
				touch(t, d.path("cache", "queue", id), "")
			}
		},
		left: func() int { return d.files("cache/queue", nil) },
	})
	if got := d.files("cache", nil); got != len(wanted) {
		t.Errorf("%d images are cached; want %d", got, len(wanted))
	}

	const many = 1500
	long := time.Now().Add(-24 * time.Hour)
	d.killJob(&killedJob{
		name: "cache-cleaner", next: "cache-reaper", conf: more, // one job, by its two names
		fill: func() {
			for i := range many {
				name := d.path("cache", "invalid", fmt.Sprintf("%08x-0000-4000-8000-000000000000.x", i))
				touch(t, name, "x")
				if err := os.Chtimes(name, long, long); err != nil {
					t.Fatal(err)
				}
			}
		},
		left: func() int { return d.files("cache/invalid", nil) },
	})
	touch(t, more, "[DEFAULT]\nimage_cache_max_size = 1\nimage_cache_percent_extra_to_free = 1\n")
	d.killJob(&killedJob{
		name: "cache-pruner", next: "cache-pruner", conf: more,
		fill: func() {
			for i := range many {
				touch(t, d.path("cache", fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)), "x")
			}
		},
		left: func() int { return d.files("cache", nil) },
	})
}

// A killedJob is a job that is to be killed in the middle of its work.
type killedJob struct {
	name, next string // what it is called, and what the next run is called
	conf       string
	fill       func()     // makes work
	left       func() int // counts the work that is left
}

// killJob kills a job when there is less left than at its beginning, and has
// the next run do the rest.
func (d *deployment) killJob(j *killedJob) {
	t := d.t
	t.Helper()
	pid, rest := 0, 0
	for try := 0; rest == 0; try++ {
		if try == 10 {
			t.Fatalf("%s has always done all its work before it could be killed", j.name)
		}
		j.fill()
		before := j.left()
		c := d.command(j.name, "--config-file", j.conf)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); j.left() == before; time.Sleep(200 * time.Microsecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s does nothing", j.name)
			}
		}
		_ = c.Process.Kill() // it may have ended
		_ = c.Wait()
		pid, rest = c.Process.Pid, j.left()
		t.Logf("%s: killed after %d of %d", j.name, before-rest, before)
	}
	if r := d.lastRun(j.next, 1); r.Result != "running" || r.PID != pid {
		t.Errorf("%s: when it was killed, its record says %+v; want that it runs", j.name, r)
	}
	if out, err := d.command(j.next, "--config-file", j.conf).CombinedOutput(); err != nil {
		t.Errorf("%s, after it was killed: %v\n%s", j.next, err, out)
	}
	if n := j.left(); n != 0 {
		t.Errorf("%s: %d things were left by the one that was killed, and %d by the next", j.next, rest, n)
	}
	if r := d.lastRun(j.next, 2); r.Result != "died" || r.PID != pid || r.End != nil {
		t.Errorf("%s: afterwards the record of the killed one says %+v; want that it died", j.next, r)
	}
	// What was under way when it was killed may count once more, or no more.
	if r := d.lastRun(j.next, 1); r.Result != "done" || r.Failed != 0 || r.Done < rest-1 || r.Done > rest+1 {
		t.Errorf("%s: the record of the next run says %+v; want that it did %d", j.next, r, rest)
	}
}

// files counts the files in a directory, all or those that are wanted.
func (d *deployment) files(dir string, wanted func(name string) bool) int {
	d.t.Helper()
	entries, err := os.ReadDir(d.path(dir))
	if err != nil {
		d.t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if !e.IsDir() && (wanted == nil || wanted(e.Name())) {
			n++
		}
	}
	return n
}

// A jobRun is what is recorded of a run.
type jobRun struct {
	PID, Done, Failed int
	Start             time.Time
	End               *time.Time
	Result            string
}

// lastRun returns the last run that is recorded of a job, or the n-th from
// the end.
func (d *deployment) lastRun(job string, n int) jobRun {
	d.t.Helper()
	text, err := os.ReadFile(d.path("lock", "glance-"+job+".runs"))
	var r struct{ Runs []jobRun }
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil || len(r.Runs) < n {
		d.t.Fatalf("record of %s: %v: %s", job, err, text)
	}
	return r.Runs[len(r.Runs)-n]
}

// upload makes an active image of so many bytes.
func (d *deployment) upload(size int) (id string) {
	d.t.Helper()
	var im struct{ ID string }
	answer := d.call("POST", "/v2/images", "application/json", strings.NewReader(`{"disk_format": "raw", "container_format": "bare"}`))
	if err := json.Unmarshal(answer, &im); err != nil {
		d.t.Fatal(err)
	}
	d.call("PUT", "/v2/images/"+im.ID+"/file", "application/octet-stream", bytes.NewReader(make([]byte, size)))
	return im.ID
}

// call asks the api, which must do as it is asked.
func (d *deployment) call(method, path, contentType string, body io.Reader) []byte {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.address+path, body)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		d.t.Fatalf("%s %s: %s %v: %s", method, path, resp.Status, err, answer)
	}
	return answer
}

func touch(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
