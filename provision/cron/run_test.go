package cron_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glancectl/provision"
	"glancectl/provision/cron"
	"glancectl/provision/localhost"
)

// program records its run as the first argument says, and writes to its log.
const program = `#!/bin/sh
dir=${0%/*}
record() { printf '{"version":1,"runs":[{"pid":1,"result":"done"},{"pid":%s,"result":"%s","done":3}]}' $$ "$1" >$dir/runs; }
echo "2026-11-20 12:00:00.000 1 INFO x of another" >>$dir/log
echo "2026-11-20 12:00:00.000 $$ INFO x $*" >>$dir/log
echo "HOME=$HOME LOGNAME=$LOGNAME MORE=$MORE PATH=$PATH SSH=$SSH_CLIENT pwd=$(pwd)"
trap 'record stopped; exit 1' TERM
record running
case $1 in
killed) kill -9 $$ ;;
linger) : >$dir/began; while [ ! -e $dir/go ]; do sleep 0.05; done; record done; exit 0 ;;
hang) : >$dir/began; while :; do sleep 0.05; done ;;
unrecorded) rm $dir/runs; exit 3 ;;
done) record done; exit 0 ;;
*) record "$1"; echo "why not"; exit 1 ;;
esac
`

// sample is a job of which the program is the work, as this user.
func sample(t *testing.T, args ...string) (cron.Job, cron.Entry) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "it's"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return cron.Job{Record: filepath.Join(dir, "runs"), Log: filepath.Join(dir, "log")},
		cron.Entry{User: u.Username, Argv: append([]string{filepath.Join(dir, "it's")}, args...), Env: []string{"MORE=a b"}}
}

func TestRun(t *testing.T) {
	t.Setenv("SSH_CLIENT", "of us")
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		how    string
		result string // "" for none
		good   bool
		log    string
	}{
		{"done", cron.Done, true, ""},
		{"skipped", cron.Skipped, false, "INFO x skipped"},
		{"failed", cron.Failed, false, "INFO x failed"},
		{"killed", cron.Died, false, "INFO x killed"},
		{"unrecorded", "", false, "INFO x unrecorded"},
	} {
		j, e := sample(t, test.how, "--jitter", "1h", "last 100%")
		o, err := j.Run(t.Context(), localhost.New("here"), e)
		if err != nil {
			t.Errorf("%s: %v", test.how, err)
			continue
		}
		result := ""
		if o.Run != nil {
			result = o.Run.Result
		}
		if result != test.result || o.Good() != test.good || o.Passed() != (test.how == "skipped") {
			t.Errorf("%s: %q, good %v, passed %v; want %q, %v", test.how, result, o.Good(), o.Passed(), test.result, test.good)
		}
		if want := "HOME=" + u.HomeDir + " LOGNAME=" + u.Username + " MORE=a b PATH=/usr/bin:/bin SSH= pwd=" + u.HomeDir; !strings.HasPrefix(o.Output, want) {
			t.Errorf("%s: it said %q; want %q, as from cron", test.how, o.Output, want)
		}
		if test.log == "" && o.Log != "" || !strings.HasSuffix(o.Log, strings.TrimSpace(test.log+" last 100%")) && test.log != "" || strings.Contains(o.Log, "of another") {
			t.Errorf("%s: log %q; want the line of this run", test.how, o.Log)
		}
	}
}

// A job is told to end when nobody wants it any more, and says how it did.
func TestRunEndsWithContext(t *testing.T) {
	j, e := sample(t, "hang")
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		o   cron.Outcome
		err error
	}
	ended := make(chan result, 1)
	go func() {
		o, err := j.Run(ctx, localhost.New("here"), e)
		ended <- result{o, err}
	}()
	eventually(t, func() bool { _, err := os.Stat(filepath.Join(filepath.Dir(j.Record), "began")); return err == nil })
	cancel()
	if r := <-ended; r.err != nil || r.o.Run == nil || r.o.Run.Result != cron.Stopped || r.o.Good() {
		t.Errorf("Run = %+v, %v; want that it was stopped", r.o, r.err)
	}
	if _, err := j.Run(ctx, localhost.New("here"), e); !errors.Is(err, context.Canceled) {
		t.Errorf("Run after that = %v; want nothing begun", err)
	}
}

// A job goes on when nobody can hear of it any more.
func TestRunOutlivesItsConnection(t *testing.T) {
	j, e := sample(t, "linger")
	done := make(chan error, 1)
	cut := make(chan struct{})
	go func() {
		_, err := j.Run(t.Context(), cuttable{localhost.New("here"), cut}, e)
		done <- err
	}()
	dir := filepath.Dir(j.Record)
	eventually(t, func() bool { _, err := os.Stat(filepath.Join(dir, "began")); return err == nil })
	close(cut)
	if err := <-done; err == nil {
		t.Error("Run = nil; want an error: it is not known how it went")
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		text, err := os.ReadFile(j.Record)
		return err == nil && strings.Contains(string(text), `"done","done":3`)
	})
}

// cuttable is a host whose connection is cut: both ends see the other's end,
// and nobody sends a signal.
type cuttable struct {
	provision.Host
	cut chan struct{}
}

func (c cuttable) Run(_ context.Context, cmd provision.Cmd) (provision.Result, error) {
	p := exec.Command(cmd.Argv[0], cmd.Argv[1:]...)
	in, err := p.StdinPipe()
	if err != nil {
		return provision.Result{}, err
	}
	out, err := p.StdoutPipe()
	if err != nil {
		return provision.Result{}, err
	}
	if err := p.Start(); err != nil {
		return provision.Result{}, err
	}
	go func() {
		_, _ = io.Copy(in, cmd.Stdin)
		in.Close()
	}()
	go func() { _, _ = io.Copy(cmd.Stdout, out) }()
	<-c.cut
	in.Close()
	out.Close()
	go func() { _ = p.Wait() }()
	return provision.Result{}, errors.New("the connection was lost")
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 10 s")
		}
	}
}

func TestRunErrors(t *testing.T) {
	j, e := sample(t, "done")
	e.User = "no-such-user"
	if _, err := j.Run(t.Context(), localhost.New("here"), e); err == nil || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("as nobody: %v; want an error that says so", err)
	}
	if _, err := j.Run(t.Context(), localhost.New("here"), cron.Entry{}); err == nil {
		t.Error("without a command: no error")
	}
	_, e = sample(t, "done")
	e.Argv[0] += ".missing"
	if o, err := j.Run(t.Context(), localhost.New("here"), e); err != nil || o.Status != 127 || o.Good() {
		t.Errorf("a program that is not there: %+v, %v; want status 127", o, err)
	}
}

func TestTail(t *testing.T) {
	j, _ := sample(t)
	var b strings.Builder
	if err := j.Tail(t.Context(), localhost.New("here"), &b, 2, false); err != nil || b.Len() > 0 {
		t.Errorf("without a log: %q, %v; want nothing", b.String(), err)
	}
	if err := os.WriteFile(j.Log, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := j.Tail(t.Context(), localhost.New("here"), &b, 2, false); err != nil || b.String() != "two\nthree\n" {
		t.Errorf("Tail = %q, %v; want the last two lines", b.String(), err)
	}
}

// Following shows what is there and what comes, until nobody wants it any more.
func TestTailFollows(t *testing.T) {
	j, _ := sample(t)
	if err := os.WriteFile(j.Log, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		err := j.Tail(ctx, localhost.New("here"), w, 1, true)
		w.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(r)
	for _, want := range []string{"two", "three"} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("line %q; want %q", lines.Text(), want)
		}
		f, err := os.OpenFile(j.Log, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("three\n"); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	cancel()
	for lines.Scan() {
		continue // what came meanwhile
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Tail = %v; want that it was told to end", err)
	}
}
