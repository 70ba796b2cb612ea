package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// delaying deploys a service whose deletes are delayed, and returns it and a
// file with the options of its scrubber.
func delaying(t *testing.T, program, scrubber string) (d *deployment, conf string) {
	t.Helper()
	d = deploy(t, program, "sqlite:///"+filepath.Join(t.TempDir(), "glance.sqlite"), "http://127.0.0.1:1")
	more, conf := d.path("more.conf"), d.path("scrubber.conf")
	touch(t, more, "[DEFAULT]\ndelayed_delete = true\n")
	touch(t, conf, "[DEFAULT]\nlog_file = "+d.path("scrubber.log")+"\n"+scrubber)
	api := d.command("api", "--config-file", more)
	if err := api.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.kill(api) })
	d.ready(t.Context())
	return d, conf
}

// doomed makes images that wait for the scrubber.
func (d *deployment) doomed(n int) (ids []string) {
	d.t.Helper()
	for range n {
		id := d.upload(1000)
		d.call("DELETE", "/v2/images/"+id, "", nil)
		ids = append(ids, id)
	}
	return ids
}

// stored says how many of the images have data in the store.
func (d *deployment) stored(ids ...string) (n int) {
	for _, id := range ids {
		if exists(d.path("one", id)) {
			n++
		}
	}
	return n
}

// TestScrubberDaemon has a scrubber that wakes up every second, by the option
// and by its configuration.
func TestScrubberDaemon(t *testing.T) {
	t.Parallel()
	program := build(t)
	d, conf := delaying(t, program, "wakeup_time = 1\nscrub_time = 0\n")
	asked := d.path("daemon.conf")
	touch(t, asked, "[DEFAULT]\ndaemon = True\n")
	for _, args := range [][]string{{"--daemon"}, {"-D"}, {"--config-file", asked}} {
		if err := os.Remove(d.path("scrubber.log")); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		runs := func() []time.Time {
			text, _ := os.ReadFile(d.path("scrubber.log")) // it may not be there yet
			var ends []time.Time
			for _, m := range regexp.MustCompile(`(?m)^(\S+ \S+) \d+ INFO glance\.scrubber \S+ finished `).FindAllSubmatch(text, -1) {
				end, err := time.Parse("2006-01-02 15:04:05.000", string(m[1]))
				if err != nil {
					t.Fatal(err)
				}
				ends = append(ends, end)
			}
			return ends
		}
		c := d.command("scrubber", append([]string{"--config-file", conf}, args...)...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		awaits(t, "the first run", func() bool { return len(runs()) > 0 })
		ids := d.doomed(2)
		awaits(t, "what was deleted between two runs to be scrubbed", func() bool { return d.stored(ids...) == 0 })
		ends := runs()
		for i := range ends[1:] {
			if apart := ends[i+1].Sub(ends[i]); apart < 950*time.Millisecond {
				t.Errorf("%s: two runs are %v apart; want a second", args, apart)
			}
		}
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("%s: at its end: %v", args, err)
		}
	}
}

// TestScrubberByHand has what an administrator may ask of it.
func TestScrubberByHand(t *testing.T) {
	t.Parallel()
	program := build(t)
	d, conf := delaying(t, program, "scrub_time = 3600\n")
	scrubber := func(code int, says string, args ...string) {
		t.Helper()
		c := d.command("scrubber", append([]string{"--config-file", conf}, args...)...)
		out, _ := c.CombinedOutput()
		if got := c.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), says) || says == "" && len(out) > 0 {
			t.Errorf("glance-scrubber %s = %d,\n%s\nwant %d and %q", args, got, out, code, says)
		}
	}
	id := d.doomed(1)[0]
	scrubber(0, "") // it is not time yet
	scrubber(0, "", "--restore", id)
	if got := string(d.call("GET", "/v2/images/"+id, "", nil)); !strings.Contains(got, `"status": "active"`) {
		t.Errorf("the image that was restored is %s", got)
	}
	if got := d.call("GET", "/v2/images/"+id+"/file", "", nil); len(got) != 1000 {
		t.Errorf("the image that was restored has %d bytes", len(got))
	}
	scrubber(1, "cannot restore", "--restore", id)
	scrubber(1, "nonsense", "--restore", "nonsense")
	scrubber(1, "only one can be asked for", "--restore", id, "--daemon")

	// Orphans are removed when that is said, and not before.
	const orphan = "aaaaaaaa-0000-4000-8000-000000000009"
	touch(t, d.path("one", orphan), "x")
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(d.path("one", orphan), old, old); err != nil {
		t.Fatal(err)
	}
	found := "orphan file://" + d.path("one", orphan) + " 1 bytes\n"
	scrubber(0, "")
	scrubber(1, found, "--check")
	scrubber(1, "only with check", "--remove-orphans")
	if d.stored(orphan, id) != 2 {
		t.Fatal("the orphan is gone, and nobody has said so")
	}
	scrubber(0, found, "--check", "--remove-orphans") // nothing is wrong any more
	if d.stored(orphan) != 0 || d.stored(id) != 1 {
		t.Errorf("orphans there: %d; want none. Data of images: %d; want 1", d.stored(orphan), d.stored(id))
	}
	scrubber(0, "", "--check")
	if err := os.Remove(d.path("one", id)); err != nil {
		t.Fatal(err)
	}
	scrubber(1, "missing "+id+" file://", "--check", "--remove-orphans")
}

// TestTwoScrubbers has those of two nodes, which know nothing of each other,
// scrub the same images at the same time.
func TestTwoScrubbers(t *testing.T) {
	t.Parallel()
	program := build(t)
	d, conf := delaying(t, program, "scrub_time = 0\n")
	ids := d.doomed(60)
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // they are due a whole second later
	var both sync.WaitGroup
	for _, node := range []string{"lock", "lock2"} {
		own := d.path(node + ".conf")
		touch(t, own, "[oslo_concurrency]\nlock_path = "+d.path(node)+"\n")
		both.Go(func() {
			if out, err := d.command("scrubber", "--config-file", conf, "--config-file", own).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("scrubber with its locks in %s: %v, %s", node, err, out)
			}
		})
	}
	both.Wait()
	other := *d
	other.dir = d.path("two-records")
	if err := os.Mkdir(other.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(d.path("lock2"), other.path("lock")); err != nil {
		t.Fatal(err)
	}
	one, two := d.lastRun("scrubber", 1), other.lastRun("scrubber", 1)
	if one.Result != "done" || two.Result != "done" || one.Failed+two.Failed != 0 || one.Done+two.Done != len(ids) || d.stored(ids...) != 0 {
		t.Errorf("the two have done %+v and %+v, %d images are left; want %d in all", one, two, d.stored(ids...), len(ids))
	}
}

// TestStuckJob has a job whose database does not answer: another run does
// nothing meanwhile, and it ends when its time is over.
func TestStuckJob(t *testing.T) {
	t.Parallel()
	program := build(t)
	silent, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	d := &deployment{t: t, program: program, dir: t.TempDir()}
	touch(t, d.path("glance.conf"), "[DEFAULT]\nlog_file = "+d.path("log")+"\nimage_cache_dir = "+d.path("cache")+"\n[database]\nconnection = mysql+pymysql://glance:x@"+silent.Addr().String()+"/glance\n[oslo_concurrency]\nlock_path = "+d.path("lock")+
		"\n[glance_store]\nfilesystem_store_datadir = "+d.path("images")+"\n")
	const job = "scrubber"
	began := time.Now()
	stuck := d.command(job, "--timeout", "1s")
	var said bytes.Buffer
	stuck.Stderr = &said
	if err := stuck.Start(); err != nil {
		t.Fatal(err)
	}
	if err := silent.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c, err := silent.Accept()
	if err != nil {
		_ = stuck.Process.Kill()
		t.Fatalf("%s does not ask its database: %v, %v: %s", job, err, stuck.Wait(), &said)
	}
	if out, err := d.command(job, "--timeout", "1s").CombinedOutput(); err != nil {
		t.Errorf("%s beside another: %v: %s", job, err, out)
	}
	if r := d.lastRun(job, 1); r.Result != "skipped" {
		t.Errorf("%s beside another is recorded as %+v; want skipped", job, r)
	}
	defer c.Close()
	if err := stuck.Wait(); stuck.ProcessState.ExitCode() != 1 {
		t.Errorf("%s at the end of its time: %v; want exit 1", job, err)
	}
	if took := time.Since(began); took < time.Second || took > 5*time.Second {
		t.Errorf("%s with a time-out of 1s has taken %v", job, took)
	}
	if r := d.lastRun(job, 2); r.Result != "timeout" || r.End == nil || r.Failed == 0 {
		t.Errorf("%s at the end of its time is recorded as %+v", job, r)
	}

	// Nor does one go on that hangs where nothing reaches it, as here while it
	// connects for an image.
	if err := os.MkdirAll(d.path("cache", "queue"), 0o700); err != nil {
		t.Fatal(err)
	}
	touch(t, d.path("cache", "queue", "aaaaaaaa-0000-4000-8000-000000000001"), "")
	began = time.Now()
	out, err := d.command("cache-prefetcher", "--timeout", "1s").CombinedOutput()
	if took := time.Since(began); err == nil || !strings.Contains(string(out), "it does not end though its time is over") || took > 7*time.Second {
		t.Errorf("cache-prefetcher that hangs ends after %v: %v, %s", took, err, out)
	}
	if r := d.lastRun("cache-prefetcher", 1); r.Result != "timeout" || r.End == nil {
		t.Errorf("cache-prefetcher that hangs is recorded as %+v", r)
	}

	text, err := os.ReadFile(d.path("log"))
	if err != nil || strings.Count(string(text), "nothing done: another run is at work") != 1 {
		t.Errorf("the log is %s, %v; want that another run is at work", text, err)
	}
}

// TestJitter has jobs of several nodes begin at the same time, and work at
// different ones.
func TestJitter(t *testing.T) {
	t.Parallel()
	program := build(t)
	d := &deployment{t: t, program: program, dir: t.TempDir()}
	touch(t, d.path("glance.conf"), "[DEFAULT]\nimage_cache_dir = "+d.path("cache")+"\n")
	var nodes sync.WaitGroup
	var starts [8]time.Time
	for i := range starts {
		own := *d
		own.dir = d.path(strconv.Itoa(i))
		if err := os.Mkdir(own.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		touch(t, own.path("own.conf"), "[oslo_concurrency]\nlock_path = "+own.path("lock")+"\n")
		nodes.Go(func() {
			if out, err := d.command("cache-pruner", "--config-file", own.path("own.conf"), "--jitter", "500ms").CombinedOutput(); err != nil {
				t.Errorf("cache-pruner: %v: %s", err, out)
				return
			}
			starts[i] = own.lastRun("cache-pruner", 1).Start
		})
	}
	nodes.Wait()
	slices.SortFunc(starts[:], time.Time.Compare)
	if apart := starts[len(starts)-1].Sub(starts[0]); apart < 100*time.Millisecond {
		t.Errorf("with --jitter 500ms %d jobs begin within %v", len(starts), apart)
	}

	waits := d.command("cache-pruner", "--config-file", d.path("0", "own.conf"), "--jitter", "1000h")
	if err := waits.Start(); err != nil {
		t.Fatal(err)
	}
	awaits(t, "the signal to be heeded", func() bool { // it is once the process has come so far
		_ = waits.Process.Signal(syscall.SIGTERM)
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", waits.Process.Pid))
		return err != nil || len(line) == 0
	})
	if err := waits.Wait(); err == nil {
		t.Error("a job that was ended before it began exits 0")
	}
}
