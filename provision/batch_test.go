package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shells are the programs that may be called sh, as far as they are here.
var shells = []string{"dash", "bash"}

// forShells runs a test for each shell, on a machine where it is sh. One of the
// machines has no perl.
func forShells(t *testing.T, test func(t *testing.T, m *machine)) {
	t.Helper()
	for _, name := range shells {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Logf("no %s here", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			host := shellHost{shell: program}
			if name == "bash" {
				host.first = withoutPerl(t)
			}
			test(t, &machine{Host: host, state: t.TempDir()})
		})
	}
}

// withoutPerl is a directory that makes a perl that comes later in a path be
// missing.
func withoutPerl(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/perl", []byte("#!/bin/sh\necho perl: not found >&2\nexit 127\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A shellHost runs scripts on this machine with a shell of its choice.
type shellHost struct {
	Host
	shell string
	first string // where programs are looked for before others
}

func (h shellHost) Name() string { return "node" }

func (h shellHost) Run(ctx context.Context, c Cmd) (res Result, err error) {
	cmd := exec.CommandContext(ctx, h.shell, c.Argv[1:]...)
	// As on a machine where bash is sh.
	cmd.Args[0] = "sh"
	cmd.Env = append(os.Environ(), "PATH="+strings.TrimPrefix(h.first+":"+os.Getenv("PATH"), ":"))
	cmd.Stdin, cmd.Stdout = c.Stdin, c.Stdout
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err = cmd.Run()
	res.Stderr = []byte(stderr.String())
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		res.Status, err = exit.ExitCode(), nil
	}
	return res, err
}

func TestBatchWrites(t *testing.T) {
	forShells(t, func(t *testing.T, m *machine) {
		dir := t.TempDir()
		files := map[string]string{
			"text":       "a = 1\nb = 'two' \"three\" \\n %s $HOME `id` $(id)\n",
			"no newline": "last line",
			"empty":      "",
			"newlines":   "\n\n",
			"option":     "-n\n",
			"not ASCII":  "größe\n",
			"binary":     "\x00\x01\xff\x81\x88\n",
			"it's here":  strings.Repeat("0123456789\n", 20_000),
		}
		var ops []Op
		for name, content := range files {
			ops = append(ops, PutFile{Path: filepath.Join(dir, name), Content: []byte(content), Mode: 0o640})
		}
		ops = append(ops,
			PutFile{Path: dir + "/program", Content: []byte("#!/bin/sh\n"), Mode: 0o755 | fs.ModeSetgid},
			PutFile{Path: dir + "/twice", Content: []byte("1\n"), Mode: 0o600},
			PutFile{Path: dir + "/twice", Content: []byte("2\n"), Mode: 0o600},
			PutFile{Path: dir + "/a/b/parents", Content: []byte("x\n"), Mode: 0o600, Parents: true},
			MakeDir{Path: dir + "/d", Mode: 0o750}, MakeDir{Path: dir + "/d/e", Mode: 0o750}, MakeDir{Path: dir + "/f", Mode: 0o700},
			MakeLink{Path: dir + "/link", Target: "text"},
			MakeLink{Path: dir + "/other", Target: "text"}, MakeLink{Path: dir + "/other", Target: "empty"},
		)
		next := 0
		if err := m.Do(t.Context(), ops, func(i int) {
			if i != next {
				t.Errorf("done(%d); want %d", i, next)
			}
			next++
		}); err != nil {
			t.Fatal(err)
		}
		if next != len(ops) {
			t.Errorf("%d ops were said to be done; want %d", next, len(ops))
		}
		for name, content := range files {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || string(got) != content {
				t.Errorf("%s = %.80q, %v; want %.80q", name, got, err, content)
			}
		}
		modes := map[string]fs.FileMode{
			"text": 0o640, "program": 0o755 | fs.ModeSetgid, "a": 0o700 | fs.ModeDir, "a/b/parents": 0o600,
			"d": 0o750 | fs.ModeDir, "d/e": 0o750 | fs.ModeDir, "f": 0o700 | fs.ModeDir,
		}
		for name, want := range modes {
			if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Mode() != want {
				t.Errorf("mode of %s = %v, %v; want %v", name, fi.Mode(), err, want)
			}
		}
		if b, err := os.ReadFile(dir + "/twice"); string(b) != "2\n" {
			t.Errorf("a file that was written twice = %q, %v; want what came last", b, err)
		}
		if target, err := os.Readlink(dir + "/link"); target != "text" {
			t.Errorf("link = %q, %v", target, err)
		}
		if target, err := os.Readlink(dir + "/other"); target != "empty" {
			t.Errorf("a link that was made twice = %q, %v; want what came last", target, err)
		}
	})
}

// Of ops that are done together, the one that fails is named, with what it
// printed, and nothing is left beside the files.
func TestBatchFails(t *testing.T) {
	forShells(t, func(t *testing.T, m *machine) {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		put := func(p string) PutFile { return PutFile{Path: dir + p, Content: []byte("x\n"), Mode: 0o600} }
		mkdir := func(p string) MakeDir { return MakeDir{Path: dir + p, Mode: 0o700} }
		if err := os.Mkdir(dir+"/dir", 0o700); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name  string
			ops   []Op
			index int
			text  string
			done  int
		}{
			{"no directory for it", []Op{put("/a"), put("/none/b"), put("/c")}, 1, "none", 0},
			{"a directory in its place", []Op{put("/a"), put("/dir"), put("/c")}, 1, "cannot overwrite directory", 1},
			{"a file in the place of a directory", []Op{mkdir("/d"), mkdir("/file"), mkdir("/e")}, 1, "file", 0},
			{"no directory for a link", []Op{MakeLink{Path: dir + "/l", Target: "a"}, MakeLink{Path: dir + "/none/l", Target: "a"}}, 1, "none/l", 0},
			{"a mode that files are not given", []Op{put("/a"), SetAttrs{Path: dir + "/none", Mode: 0o600}}, 1, "No such file", 1},
			{"a command", []Op{put("/a"), Exec{Argv: []string{"sh", "-c", "echo said >&2; exit 7"}}, put("/b")}, 1, "exit status 7: said", 1},
			{"a command that says much", []Op{Exec{Argv: []string{"sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; echo; echo last; exit 3"}}}, 0, "exit status 3: last", 0},
			{"an owner there is none of", []Op{put("/a"), PutFile{Path: dir + "/b", Mode: 0o600, Owner: "no-such-user"}}, 1, "chown: invalid", 0},
		} {
			done := 0
			err := m.Do(t.Context(), test.ops, func(int) { done++ })
			var se *StepError
			if !errors.As(err, &se) || se.index != test.index || se.Op != test.ops[test.index].String() || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%s: Do = %v; want op %d and %q", test.name, err, test.index, test.text)
			}
			if se != nil && len(se.Log) > logSize {
				t.Errorf("%s: %d bytes of log are kept; want at most %d", test.name, len(se.Log), logSize)
			}
			if done != test.done {
				t.Errorf("%s: %d ops done; want %d", test.name, done, test.done)
			}
			if names, err := filepath.Glob(dir + "/.*"); err != nil || len(names) > 0 {
				t.Errorf("%s: left behind: %q, %v", test.name, names, err)
			}
		}
	})
}

// Whoever can list processes sees no content of a file: put is the shell's
// own, or it is fed a here-document.
func TestPutStartsNoProcess(t *testing.T) {
	forShells(t, func(t *testing.T, m *machine) {
		s := newScript()
		s.writer()
		// From here on no program can be found.
		s.line("PATH=/nonexistent")
		s.line("put 'se cret'")
		var out strings.Builder
		res, err := m.Run(t.Context(), Cmd{Argv: []string{"sh", "-s"}, Stdin: strings.NewReader(s.end()), Stdout: &out})
		if err != nil || out.String() != "se cret\n" {
			t.Errorf("put = %q, %s, %v; want its argument", out.String(), res.Stderr, err)
		}
	})
}

// A program cannot say that an op is done.
func TestProgress(t *testing.T) {
	var done []int
	p := progress{mark: "MARK", done: func(i int) { done = append(done, i) }}
	p.read(strings.NewReader("noise\nMARK begin\n\nMARK done 0\nMARKdone 1\ndone 1\nMARK done 2\n" +
		strings.Repeat("long", 50_000) + "\nMARK done 1\nwhy\n\nMARK failed 2 9\nafter\n"))
	if d := cmp.Diff([]int{0, 1}, done); d != "" {
		t.Errorf("done: -want +got:\n%s", d)
	}
	if got, want := fmt.Sprintf("%v %d %d %q", p.failed, p.at, p.status, p.log), `true 2 9 "why\n\n"`; got != want {
		t.Errorf("progress = %s; want %s", got, want)
	}
}

// What root makes is root's: no program is started for it, unless the
// directory gives its files another group, or it is not root who makes it.
func TestRootedStartsNoProcess(t *testing.T) {
	forShells(t, func(t *testing.T, m *machine) {
		bin := t.TempDir()
		if err := os.WriteFile(bin+"/chown", []byte("#!/bin/sh\necho \"$*\" >>"+bin+"/calls\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		var want string
		for _, setgid := range []bool{false, true} {
			dir := t.TempDir()
			if setgid && os.Geteuid() == 0 {
				if err := errors.Join(os.Chown(dir, 0, 1), os.Chmod(dir, 0o755|fs.ModeSetgid)); err != nil {
					t.Fatal(err)
				}
			}
			if setgid || os.Geteuid() != 0 {
				want += "root:root " + temporary(dir+"/a") + " " + temporary(dir+"/b") + "\n"
			}
			put := func(p string) PutFile {
				return PutFile{Path: dir + p, Mode: 0o600, Owner: "root", Group: "root"}
			}
			if err := m.Do(t.Context(), []Op{put("/a"), put("/b")}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := os.ReadFile(bin + "/calls"); string(got) != want { // its absence shows
			t.Errorf("chown was called with %q; want %q", got, want)
		}
	})
}

// A command that is given time has it, whatever limit a Host has.
func TestBatchTime(t *testing.T) {
	h := &timed{}
	m := &machine{Host: h}
	ops := []Op{Exec{Argv: []string{"true"}}, Exec{Argv: []string{"true"}, Timeout: time.Hour}, Exec{Argv: []string{"true"}, Timeout: time.Minute}}
	if err := m.Do(t.Context(), ops, nil); !errors.Is(err, errCut) || h.longer != time.Hour+time.Minute {
		t.Errorf("Do = %v, in %s more than others have; want 1h1m", err, h.longer)
	}
}

// A timed Host notes what time a command is given, and does not run it.
type timed struct {
	Host
	longer time.Duration
}

func (h *timed) Name() string { return "node" }
func (h *timed) Run(_ context.Context, c Cmd) (Result, error) {
	h.longer = c.Longer
	return Result{}, nil
}

// A user who has processes left can be removed: they are ended.
func TestRemoveBusyUser(t *testing.T) {
	forShells(t, func(t *testing.T, m *machine) {
		job := exec.Command("sleep", "60")
		if err := job.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = job.Wait() // it is ended by a signal
		}()
		bin := t.TempDir()
		for name, text := range map[string]string{
			"getent":  "",
			"stat":    fmt.Sprintf("echo root /proc/1; echo glance /proc/%d\n", job.Process.Pid),
			"userdel": fmt.Sprintf("if kill -0 %d 2>/dev/null; then echo busy >&2; exit 8; fi; echo \"$*\" >>%s/calls\n", job.Process.Pid, bin),
		} {
			if err := os.WriteFile(bin+"/"+name, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		if err := m.Do(t.Context(), []Op{RemoveUser{"glance"}}, nil); err != nil {
			t.Errorf("Do = %v", err)
		}
		if calls, err := os.ReadFile(bin + "/calls"); string(calls) != "-- glance\n" {
			t.Errorf("userdel was called with %q, %v; want one that worked", calls, err)
		}
		_ = job.Process.Kill() // for a test that failed
		<-ended
	})
}
