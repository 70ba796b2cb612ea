package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	kills      = 100
	clients    = 6
	answers    = 9                      // fewer changes than that are answered before a kill
	later      = 15 * time.Millisecond  // and it comes less than so much later
	longest    = 500 * time.Millisecond // that the service lives, on a machine that is busy
	seedOption = "GLANCECTL_KILL_SEED"  // to have much the same again
)

// TestKill kills the service at a hundred random moments, while it starts, puts
// things in order, and works for several clients. In the end there is nothing
// but what the clients were told, or may expect: every active image is whole,
// no image is in between, and no file belongs to nobody.
func TestKill(t *testing.T) {
	program := build(t)
	t.Run("sqlite", func(t *testing.T) {
		killed(t, program, "sqlite:///"+filepath.Join(t.TempDir(), "glance.sqlite"))
	})
	t.Run("jobs", func(t *testing.T) { jobsKilled(t, program) })
	t.Run("mariadb", func(t *testing.T) {
		if url := mariaDB(t); url != "" {
			killed(t, program, url)
		}
	})
}

// mariaDB starts a server for the test and returns the URL of a database. When
// none is installed it returns "": a log line on a person's machine, a failure
// where everything must have been tested.
func mariaDB(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("mariadbd"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("mariadbd is not installed: apt-get install mariadb-server-core")
		}
		t.Log("not tested on MariaDB: mariadbd is not installed")
		return ""
	}
	dir, err := os.MkdirTemp("", "kill-") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(dir, "first.sql")
	if err := os.WriteFile(first, []byte("CREATE DATABASE glance CHARACTER SET utf8;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	options := []string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--socket=" + filepath.Join(dir, "s"),
		"--pid-file=" + filepath.Join(dir, "pid"), "--log-error=" + filepath.Join(dir, "log"), "--init-file=" + first,
		"--skip-grant-tables", "--skip-networking", "--innodb-flush-log-at-trx-commit=0"}
	if os.Getuid() == 0 {
		options = append(options, "--user=root")
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("mariadbd", options...)
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait() // it was told to end
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return "mysql+pymysql://root@localhost/glance?charset=utf8&unix_socket=" + filepath.Join(dir, "s")
}

// A deployment is the service with what it has on the disk.
type deployment struct {
	t                     *testing.T
	program, dir, address string
}

func (d *deployment) path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

// deploy configures the service and makes its tables, as soon as there is a
// database.
func deploy(t *testing.T, program, database, web string) *deployment {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{t, program, t.TempDir(), l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(d.address)
	from, err := url.Parse(web)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("DIR", d.dir, "PORT", port, "DATABASE", database, "WEB", from.Port()).Replace(`[DEFAULT]
verbose = true
log_file = DIR/log
bind_host = 127.0.0.1
bind_port = PORT
image_cache_dir = DIR/cache
enabled_backends = one:file, two:file
enabled_import_methods = [glance-direct,web-download,copy-image]
[paste_deploy]
flavor = caching
[database]
connection = DATABASE
[glance_store]
default_backend = one
[one]
filesystem_store_datadir = DIR/one
[two]
filesystem_store_datadir = DIR/two
[os_glance_staging_store]
filesystem_store_datadir = DIR/staging
[oslo_concurrency]
lock_path = DIR/lock
[import_filtering_opts]
allowed_hosts = [127.0.0.1]
allowed_ports = [WEB]
`)
	if err := os.WriteFile(d.path("glance.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		out, err := d.command("manage", "db", "sync").CombinedOutput()
		if err == nil {
			return d
		}
		if time.Now().After(deadline) {
			t.Fatalf("db sync: %v\n%s", err, out)
		}
	}
}

// command is one of the programs, with arguments behind its configuration.
func (d *deployment) command(program string, args ...string) *exec.Cmd {
	c := exec.Command(d.program, append([]string{program, "--config-file", d.path("glance.conf")}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// start starts the service; nobody says that it is there.
func (d *deployment) start() *exec.Cmd {
	d.t.Helper()
	c := d.command("api")
	if err := c.Start(); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// ready waits until the service answers, or ctx ends.
func (d *deployment) ready(ctx context.Context) bool {
	for ctx.Err() == nil {
		c, err := net.Dial("tcp", d.address)
		if err == nil {
			c.Close()
			return true
		}
		time.Sleep(200 * time.Microsecond)
	}
	return false
}

func killed(t *testing.T, program, database string) {
	seed := rand.Uint64()
	if text := os.Getenv(seedOption); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", seedOption, seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	l := &load{t: t, data: make([]byte, 6<<20), answered: make(chan struct{}, 1000)}
	for i := range l.data {
		l.data[i] = byte(rng.Uint32())
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var from, n int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d/%d", &from, &n); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(l.data[from : from+n]) // whoever wants it may be dead
	}))
	defer web.Close()
	l.web = web.URL
	d := deploy(t, program, database, web.URL)
	l.url = "http://" + d.address
	for i := range clients {
		w := &worker{load: l, name: fmt.Sprint("client", i), rng: rand.New(rand.NewPCG(seed, uint64(i+1))), http: http.DefaultClient, done: map[string]int{}}
		l.clients = append(l.clients, w)
	}
	defer http.DefaultClient.CloseIdleConnections()

	c := d.start()
	d.ready(t.Context())
	if err := l.clients[0].create(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.shared = l.clients[0].images[0].id
	l.clients[0].images = nil
	d.kill(c)
	began := time.Now()
	for range kills {
		d.round(l, rng.IntN(answers), time.Duration(rng.Int64N(int64(later))))
		if t.Failed() {
			break
		}
	}
	done := map[string]int{}
	for _, w := range l.clients {
		for method, n := range w.done {
			done[method] += n
		}
	}
	t.Logf("%d kills in %v, answered: %v", kills, time.Since(began).Round(time.Millisecond), done)
	if done["PUT"] < clients || done["DELETE"] < clients || done["PATCH"] < clients {
		t.Error("there was no load to speak of")
	}
	d.check(l)
}

func (d *deployment) kill(c *exec.Cmd) {
	d.t.Helper()
	if err := c.Process.Kill(); err != nil {
		d.t.Error(err)
	}
	_ = c.Wait() // it was killed
}

// round lets the clients work on the service, until it has answered so many
// changes and for a moment more, and kills it.
func (d *deployment) round(l *load, answers int, later time.Duration) {
	d.t.Helper()
	c := d.start()
	ctx, cancel := context.WithCancel(d.t.Context())
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		if d.ready(ctx) {
			l.work(ctx)
		}
	}()
	enough := time.After(longest)
	for ; answers > 0; answers-- {
		select {
		case <-l.answered:
		case <-enough:
			answers = 0
		}
	}
	time.Sleep(later) // a random moment is not a condition to wait for
	d.kill(c)
	cancel()
	<-worked
	for len(l.answered) > 0 {
		<-l.answered
	}
}

// check starts the service for the last time and looks at all that there is.
func (d *deployment) check(l *load) {
	t := d.t
	c := d.start()
	if !d.ready(t.Context()) {
		t.Fatal("it does not start")
	}
	defer d.kill(c)
	found := l.verify(d)
	if out, err := d.command("scrubber").CombinedOutput(); err != nil {
		t.Errorf("scrubber: %v\n%s", err, out)
	}
	if len(found[active]) == 0 {
		t.Error("no image is active")
	}
	// What nobody asks for is put in order behind the clients' backs.
	for what, want := range map[string][]string{"one": found["one"], "two": found["two"], "staging": found[uploading], "cache/incomplete": nil, "cache/state": nil} {
		d.settles(what, want)
	}
	d.cacheSettles(found[active])
	d.noTasks(l)
}

// names returns the names of the files in a directory. Sessions are none of
// images, and the state of a cached image is no file of its own.
func (d *deployment) names(dir string) []string {
	entries, err := os.ReadDir(d.path(dir))
	if err != nil {
		d.t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		_, err := os.Lstat(d.path("cache", e.Name()))
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".session-") && (dir != "cache/state" || err != nil) {
			list = append(list, e.Name())
		}
	}
	return list
}

// settles waits until a directory has the files given and no others.
func (d *deployment) settles(dir string, want []string) {
	d.t.Helper()
	diff := ""
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if diff = cmp.Diff(want, d.names(dir), cmpopts.SortSlices(strings.Compare), cmpopts.EquateEmpty()); diff == "" {
			return
		}
	}
	d.t.Errorf("files in %s (-want +got):\n%s", dir, diff)
	for _, name := range d.names(dir) {
		if !slices.Contains(want, name) {
			d.tell(name)
		}
	}
}

// cacheSettles waits until the cache has nothing but some of the images given.
func (d *deployment) cacheSettles(images []string) {
	d.t.Helper()
	foreign := func(name string) bool { return !slices.Contains(images, name) }
	for deadline := time.Now().Add(10 * time.Second); slices.ContainsFunc(d.names("cache"), foreign); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Errorf("the cache has %q; want nothing but active images, %q", d.names("cache"), images)
			return
		}
	}
}

// tell shows what the log says of an image.
func (d *deployment) tell(id string) {
	d.t.Helper()
	log, err := os.ReadFile(d.path("log"))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, id) || strings.Contains(line, " started ") {
			d.t.Log(strings.TrimSpace(line))
		}
	}
}

// noTasks waits until no task is left that would never end.
func (d *deployment) noTasks(l *load) {
	for _, status := range []string{"pending", "processing"} {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			n, text := d.tasks(l.url + "/v2/tasks?limit=1000&status=" + status)
			if n == 0 {
				break
			}
			if time.Now().After(deadline) {
				d.t.Errorf("%d tasks stay %s: %s", n, status, text)
				break
			}
		}
	}
}

// tasks returns how many tasks there are at a URL, and which.
func (d *deployment) tasks(url string) (n int, text string) {
	resp, err := http.Get(url)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var list struct{ Tasks []struct{ ID string } }
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return len(list.Tasks), string(body)
}
