package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built is glanced as it is shipped, built once for all tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := os.RemoveAll(built.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// build returns the name of glanced as it is shipped.
func build(tb testing.TB) string {
	tb.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "glanced-"); built.err != nil {
			return
		}
		c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", built.dir, ".")
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		tb.Fatal(built.err)
	}
	return filepath.Join(built.dir, "glanced")
}

// configure writes a configuration with a database and returns its name and
// the address that it serves on.
func configure(tb testing.TB, program string) (conf, address string) {
	tb.Helper()
	dir := tb.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address = l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	conf = filepath.Join(dir, "glance.conf")
	text := fmt.Sprintf("[DEFAULT]\nverbose = true\nlog_file = %[1]s/log\nbind_host = 127.0.0.1\nbind_port = %[2]s\n"+
		"[database]\nconnection = sqlite:///%[1]s/glance.sqlite\n[glance_store]\nfilesystem_store_datadir = %[1]s/images\n", dir, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	if out, err := exec.Command(program, "manage", "--config-file", conf, "db", "sync").CombinedOutput(); err != nil {
		tb.Fatalf("db sync: %v\n%s", err, out)
	}
	return conf, address
}

// launch starts the api and waits for its first answer.
func launch(tb testing.TB, program, conf, address string) *exec.Cmd {
	tb.Helper()
	c := exec.Command(program, "api", "--config-file", conf)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Microsecond) { // a busy machine takes a while
		resp, err := http.Get("http://" + address + "/healthcheck")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return c
			}
		}
		if time.Now().After(deadline) {
			_ = c.Process.Kill()
			tb.Fatalf("no answer: %v", err)
		}
	}
}

// end asks a process to end, and waits until it has done so without an error.
func end(tb testing.TB, c *exec.Cmd) {
	tb.Helper()
	http.DefaultClient.CloseIdleConnections()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Error(err)
	}
	if err := c.Wait(); err != nil {
		tb.Errorf("after SIGTERM: %v", err)
	}
}

// TestSignals has a real process: HUP begins a new log, TERM ends it.
func TestSignals(t *testing.T) {
	program := build(t)
	conf, address := configure(t, program)
	c := launch(t, program, conf, address)
	defer end(t, c)
	log := filepath.Join(filepath.Dir(conf), "log")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(log); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("HUP begins no new log")
		}
	}
}

// BenchmarkStart measures how long glance-api takes from its start to its
// first answer, and what memory it holds after some.
func BenchmarkStart(b *testing.B) {
	program := build(b)
	conf, address := configure(b, program)
	var took time.Duration
	var resident int
	for b.Loop() {
		begin := time.Now()
		c := launch(b, program, conf, address)
		took += time.Since(begin)
		resp, err := http.Get("http://" + address + "/v2/images")
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		resident += residentSet(b, c.Process.Pid)
		end(b, c)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.Microseconds())/1000/float64(b.N), "ms/start")
	b.ReportMetric(float64(resident)/1024/float64(b.N), "MB-resident")
}

// residentSet returns the memory of a process in KiB.
func residentSet(tb testing.TB, pid int) int {
	tb.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				tb.Fatal(err)
			}
			return n
		}
	}
	tb.Fatal("no VmRSS")
	return 0
}
