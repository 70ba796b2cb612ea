package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"glancectl/e2e/lab"
)

// What an Ansible playbook of the same size took on the same machine, with
// pipelining and 20 forks: the scale that the table is read by.
const (
	ansibleFirst = 60 * time.Second
	ansibleNoop  = 53 * time.Second
)

// fleetSize is the number of image nodes of the benchmark.
const fleetSize = 20

// rounds is how often each figure is taken; the table has the medians.
const rounds = 3

// BenchmarkTable prints the table of benchmarks. It is one benchmark because
// its figures belong to one run of one lab.
func BenchmarkTable(b *testing.B) {
	for range b.N {
		first, noop, trips := fleet(b)
		start, idle := startAndIdle(b)
		fmt.Print(table([][4]string{
			{"work", "measured", "compared with", "goal"},
			{fmt.Sprintf("first apply to %d nodes", fleetSize), seconds(first), ratio(ansibleFirst, first) + " (Ansible: 60 s)", "under a tenth"},
			{fmt.Sprintf("plan of %d nodes, nothing to do", fleetSize), seconds(noop), ratio(ansibleNoop, noop) + " (Ansible: 53 s)", "under a thirtieth"},
			{"round trips of that plan, the most on a node", fmt.Sprint(trips), "", "at most 4"},
			{"glance-api, start to first answer", fmt.Sprintf("%d ms", start.Milliseconds()), "", "under 100 ms"},
			{"glance-api, resident memory when idle", fmt.Sprintf("%.1f MB", float64(idle)/1e6), "", "under 40 MB"},
		}))
		b.ReportMetric(first.Seconds(), "s/first-apply")
		b.ReportMetric(noop.Seconds(), "s/no-op-plan")
		b.ReportMetric(trips, "round-trips")
		b.ReportMetric(float64(start.Milliseconds()), "ms/start")
		b.ReportMetric(float64(idle)/1e6, "MB/idle")
	}
}

// fleet rolls out to twenty nodes and takes it away again, some times.
func fleet(b *testing.B) (first, noop time.Duration, trips float64) {
	s := newSite(b, lab.Config{ImageNodes: fleetSize, Keystone: true, Database: true})
	d := draft{Name: "fleet"}
	for i := range fleetSize {
		d.Nodes = append(d.Nodes, fmt.Sprintf("image-%d", i+1))
	}
	p := s.propose(b, d)
	var applies, plans []time.Duration
	for range rounds {
		applies = append(applies, s.Want(b, 0, nil, "apply", "--auto-approve", p).Took)
		for range rounds {
			r := s.Want(b, 0, nil, "plan", "--detailed-exitcode", "--json", p)
			plans = append(plans, r.Took)
			trips = max(trips, r.Lines(b, "change_summary")[0]["round_trips"].(float64))
		}
		s.Want(b, 0, nil, "destroy", "--auto-approve", "--images", "--database", "--keystone", p)
	}
	return median(applies), median(plans), trips
}

// startAndIdle starts the service alone, some times, and measures the time to
// its first answer and its memory a second later.
func startAndIdle(b *testing.B) (start time.Duration, idle int64) {
	var starts []time.Duration
	for range rounds {
		took, rss := startOnce(b)
		starts = append(starts, took)
		idle = max(idle, rss)
	}
	return median(starts), idle
}

func startOnce(b *testing.B) (took time.Duration, rss int64) {
	dir := b.TempDir()
	glanced, err := filepath.Abs("../bin/glanced")
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	conf := filepath.Join(dir, "glance-api.conf")
	text := fmt.Sprintf(`[DEFAULT]
bind_host = 127.0.0.1
bind_port = %s
log_file = %s/api.log
[database]
connection = sqlite:///%s/glance.sqlite
[glance_store]
stores = file
default_store = file
filesystem_store_datadir = %s/images
[oslo_concurrency]
lock_path = %s/lock
`, port, dir, dir, dir, dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	run(b, dir, "mkdir", "images", "lock")
	run(b, dir, glanced, "manage", "--config-file", conf, "db", "sync")
	begun := time.Now()
	c := exec.Command(glanced, "api", "--config-file", conf)
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}()
	for {
		r, err := http.Get("http://127.0.0.1:" + port + "/healthcheck")
		if err == nil {
			r.Body.Close()
			took = time.Since(begun)
			break
		}
		if time.Since(begun) > 10*time.Second {
			b.Fatalf("glance-api: no answer within 10 s: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
	r, err := http.Get("http://127.0.0.1:" + port + "/v2/images")
	if err != nil || r.StatusCode != http.StatusOK {
		b.Fatalf("list images: %v, %v", r, err)
	}
	r.Body.Close()
	time.Sleep(time.Second)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &rss); n == 1 {
			return took, rss * 1024
		}
	}
	b.Fatal("no VmRSS in /proc")
	return 0, 0
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func ratio(other, ours time.Duration) string {
	return fmt.Sprintf("1/%.0f", other.Seconds()/ours.Seconds())
}

// table lays rows out in columns, the first row as the head.
func table(rows [][4]string) string {
	var b strings.Builder
	var width [4]int
	for _, r := range rows {
		for i, cell := range r {
			width[i] = max(width[i], len(cell))
		}
	}
	for n, r := range rows {
		for i, cell := range r {
			fmt.Fprintf(&b, "| %-*s ", width[i], cell)
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range width {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
