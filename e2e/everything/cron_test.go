package everything

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// jobs are the entries of cron, in the order of their minutes, and what their
// programs are called.
var (
	jobs     = []string{"scrubber", "reaper", "prefetcher", "pruner"}
	programs = map[string]string{"scrubber": "glance-scrubber", "reaper": "glance-cache-reaper", "prefetcher": "glance-cache-prefetcher", "pruner": "glance-cache-pruner"}
)

const (
	lockDir  = "/var/lib/glance/lock"
	cacheDir = "/var/lib/glance/image-cache"
	hours    = 24
	late     = 12 // the hour in which cron starts each entry twice at once
)

// A shell runs scripts as root on a node, one after the other over one
// connection.
type shell struct {
	t    *testing.T
	node string
	in   io.Writer
	out  *bufio.Reader
}

// shell logs in on a node until the test ends.
func (s *site) shell(t *testing.T, node string) *shell {
	t.Helper()
	argv := append(s.SSH(node, "root"), "exec sh 2>&1")
	cmd := exec.Command(argv[0], argv[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // with the code of the last script
	})
	return &shell{t, node, in, bufio.NewReader(out)}
}

// run runs a script in a shell of its own and returns all it prints and its
// exit code. It may be called from any goroutine, one at a time.
func (sh *shell) run(script string) (string, int) {
	if _, err := fmt.Fprintf(sh.in, "(%s\n) </dev/null; echo \"\nended $?\"\n", script); err != nil {
		sh.t.Errorf("on %s: %v", sh.node, err)
		return "", -1
	}
	var all strings.Builder
	for {
		text, err := sh.out.ReadString('\n')
		if err != nil {
			sh.t.Errorf("on %s: %s: %v", sh.node, script, err)
			return all.String(), -1
		}
		if code, ok := strings.CutPrefix(text, "ended "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(code))
			if err != nil {
				sh.t.Errorf("on %s: %s: %v", sh.node, script, err)
			}
			return strings.TrimSpace(all.String()), n
		}
		all.WriteString(text)
	}
}

// A run is one of a job, as it is recorded.
type run struct {
	PID, Done, Skipped, Failed int
	Start                      time.Time
	End                        *time.Time
	Result, Error              string
}

// runs returns what a node has recorded of a job, the latest last.
func (s *site) runs(t *testing.T, node, job string) []run {
	t.Helper()
	var record struct {
		Version int
		Runs    []run
	}
	text := s.On(t, node, "cat "+path.Join(lockDir, programs[job]+".runs"))
	if err := json.Unmarshal([]byte(text), &record); err != nil || record.Version != 1 {
		t.Fatalf("record of the %s on %s: %v\n%s", job, node, err, text)
	}
	return record.Runs
}

// cronDay runs every entry of both nodes with its exact line once for each
// hour of a day, at the same time on both, while images come and go. In one
// hour everything is started twice.
func cronDay(t *testing.T, s *site) {
	lines, shells := map[string][]string{}, map[string]*shell{}
	for _, node := range nodes {
		shells[node] = s.shell(t, node)
		for _, job := range jobs {
			lines[node] = append(lines[node], s.CronLine(t, node, "glance-"+job))
		}
		s.On(t, node, "rm -f "+lockDir+"/*.runs") // a day of its own
	}
	d := day{site: s, deleted: s.pending(t)}
	for hour := range hours {
		d.hour(t, hour, shells)
		for i := range jobs {
			var both sync.WaitGroup
			for _, node := range nodes {
				line := lines[node][i]
				if hour == late {
					line = "(" + line + ") & (" + line + ") & wait"
				}
				both.Go(func() {
					if out, code := shells[node].run(line); out != "" || code != 0 {
						t.Errorf("at %d:00 the %s of %s ended with %d and would be mailed %q", hour, jobs[i], node, code, out)
					}
				})
			}
			both.Wait()
		}
	}
	d.recorded(t)
	s.tidy(t)
	for _, node := range nodes {
		size, err := strconv.Atoi(s.On(t, node, "cat "+cacheDir+"/*-* | wc -c"))
		if err != nil || size == 0 || size > cacheSize {
			t.Errorf("the cache of %s has %d bytes, %v; want some, and at most %d", node, size, err, cacheSize)
		}
	}
	for _, id := range d.there {
		s.on(nodes[0]).want(t, 204, "DELETE", "/v2/images/"+id, "")
	}
}

// A day is what clients do in it.
type day struct {
	*site
	there   []string // images
	deleted int      // images with data, since or before the day began
	queued  int      // for the prefetcher of either node
}

// hour has an image made with one version and read from both nodes, one queued
// for the cache, one deleted, and something in each cache go bad.
func (d *day) hour(t *testing.T, hour int, shells map[string]*shell) {
	t.Helper()
	text := data(600_000)
	from := d.on(nodes[hour%2])
	name := fmt.Sprint("hour-", hour)
	id := ""
	if hour%4 < 2 {
		id = from.uploadV1(t, name, text)
	} else {
		id = from.upload(t, name, text)
	}
	queued := from.upload(t, name+"-queued", text)
	for _, node := range nodes {
		d.on(node).download(t, id, text)
		d.cachedSoon(t, node, id)
		if out, code := shells[node].run(fmt.Sprintf("install -o glance -g glance /dev/null %s/invalid/%s.x && touch -d '-2 hours' %[1]s/invalid/%[2]s.x", cacheDir, id)); code != 0 {
			t.Fatal(out)
		}
	}
	d.adminOn(nodes[hour/2%2]).want(t, 200, "PUT", "/v1/queued_images/"+queued, "")
	d.queued++
	d.there = append(d.there, id, queued)
	if len(d.there) > 6 {
		version := [2]string{"/v1", "/v2"}[hour%2]
		code := [2]int{200, 204}[hour%2]
		d.on(nodes[(hour+1)%2]).want(t, code, "DELETE", version+"/images/"+d.there[0], "")
		d.there = d.there[1:]
		d.deleted++
	}
}

// pending counts the images whose data waits for a scrubber.
func (s *site) pending(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(s.mysql(t, "SELECT COUNT(*) FROM images WHERE status = 'pending_delete'"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// recorded requires that each node has a record of each job's day, in which no
// run overlaps another, and that all work was done, once.
func (d *day) recorded(t *testing.T) {
	t.Helper()
	done := map[string]int{}
	for _, node := range nodes {
		for _, job := range jobs {
			runs := d.runs(t, node, job)
			if len(runs) != hours+1 {
				t.Errorf("%s has a record of %d runs of the %s; want %d", node, len(runs), job, hours+1)
			}
			// The second of two at once has nothing to do if the first is still there.
			runs = slices.DeleteFunc(runs, func(r run) bool { return r.Result == "skipped" })
			if len(runs) < hours {
				t.Errorf("%s has skipped %d runs of the %s; want 1 at most", node, hours+1-len(runs), job)
			}
			var end time.Time
			for _, r := range runs {
				if r.Result != "done" || r.Failed != 0 || r.Error != "" || r.End == nil {
					t.Errorf("%s has recorded of the %s %+v", node, job, r)
					continue
				}
				if r.Start.Before(end) {
					t.Errorf("on %s a run of the %s begins at %v, before the end of the one before at %v", node, job, r.Start, end)
				}
				end = *r.End
				done[job] += r.Done
			}
		}
	}
	for job, want := range map[string]int{"scrubber": d.deleted, "reaper": hours * len(nodes), "prefetcher": d.queued} {
		if done[job] != want {
			t.Errorf("the %ss of both nodes have done %d things; want %d", job, done[job], want)
		}
	}
	if done["pruner"] == 0 {
		t.Error("there was nothing to prune the whole day")
	}
	if n := d.pending(t); n != 0 {
		t.Errorf("%d images still wait for the scrubber", n)
	}
}

// tidy requires that no process and no file is left over on a node, and that
// the store has the images' data and nothing else.
func (s *site) tidy(t *testing.T) {
	t.Helper()
	known := "-e ^.session-"
	for _, program := range programs {
		known += " -e " + program + ".lock -e " + program + ".runs -e " + program + ".runs.lock"
	}
	for _, node := range nodes {
		if got, want := s.On(t, node, "ps -o comm= -u glance | sort"), "glance-api\nglance-registry"; got != want {
			t.Errorf("on %s run %q; want %q", node, got, want)
		}
		if got := s.On(t, node, "cd "+cacheDir+"; ls -A "+lockDir+" /var/lib/glance/staging incomplete invalid queue | grep -v -e '^$' -e :$ "+known+
			"; find /tmp /var/tmp /var/mail /var/spool/cron -type f -newer /etc/glance/glance-api.conf"); got != "" {
			t.Errorf("on %s there are left\n%s", node, got)
		}
	}
	rows := s.mysql(t, "SELECT id FROM images WHERE status IN ('active', 'pending_delete') ORDER BY id")
	files := s.On(t, nodes[0], "cd /srv/glance/images && find fast archive -type f -printf '%f\\n' | sort")
	if rows != files {
		t.Errorf("the stores have %q; want the data of %q", files, rows)
	}
	if got := s.mysql(t, "SELECT id, status FROM images WHERE status IN ('saving', 'importing', 'uploading')"); got != "" {
		t.Errorf("images in between: %s", got)
	}
}
