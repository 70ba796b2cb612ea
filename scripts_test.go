package glancectl_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const nobody = 65534

func TestHelpListsEveryTarget(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "make", "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):(?:[^=]|$)`).FindAllStringSubmatch(string(makefile), -1)
	if len(targets) < 15 {
		t.Fatalf("found %d targets in the Makefile", len(targets))
	}
	for _, m := range targets {
		if !regexp.MustCompile(`(?m)^  ` + m[1] + ` +\S`).Match(out) {
			t.Errorf("make help does not say what %s is:\n%s", m[1], out)
		}
	}
}

// A stage is a copy of a script of ours with programs that it calls, most of
// which only write down that they were called.
type stage struct {
	dir string
	cmd *exec.Cmd
	out strings.Builder
}

// newStage sets a script up. Its PATH has nothing but tools: from this
// machine if they have no text, and else scripts.
func newStage(t *testing.T, script string, tools map[string]string) *stage {
	t.Helper()
	s := &stage{dir: t.TempDir()}
	if err := os.Chmod(filepath.Dir(s.dir), 0o755); err != nil { // for nobody
		t.Fatal(err)
	}
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{script: string(text)}
	for name, text := range tools {
		if !strings.Contains(name, "/") {
			name = "tools/" + name
		}
		if text == "" {
			real, err := exec.LookPath(filepath.Base(name))
			if err != nil {
				t.Fatal(err)
			}
			text = "exec " + real + ` "$@"`
		}
		files[name] = "#!/bin/sh\n" + strings.ReplaceAll(text, "NOTE", `echo "${0##*/} $*" >>`+s.dir+"/calls")
	}
	for name, text := range files {
		name = filepath.Join(s.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	s.cmd = exec.CommandContext(t.Context(), filepath.Join(s.dir, script))
	s.cmd.Env = []string{"PATH=" + filepath.Join(s.dir, "tools")}
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	return s
}

// asNobody has the script run without root's rights.
func (s *stage) asNobody(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	if err := errors.Join(os.Chown(s.dir, nobody, nobody), os.Chown(filepath.Join(s.dir, "bin"), nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// called returns what was called, sorted.
func (s *stage) called(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "calls"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	calls := slices.Collect(strings.Lines(string(text)))
	for i, c := range calls {
		calls[i] = strings.TrimSuffix(c, "\n")
	}
	slices.Sort(calls)
	return calls
}

// testTools are what e2e/test.sh calls.
func testTools(debian, root bool) map[string]string {
	tools := map[string]string{
		"make": "NOTE", "go": `NOTE; case "$*" in list*) echo glancectl/e2e/peer; esac; [ "$FAIL" != "${*##* }" ]`,
		"bin/glancectl":   `[ "$FAIL" = inside ] || echo '"services":["amd64","arm64"]'`,
		"e2e/packages.sh": "NOTE", "e2e/lint.sh": "NOTE",
	}
	for _, name := range []string{"bash", "cat", "dirname", "env", "flock", "id", "mkdir", "nice", "rm", "setsid", "sleep"} {
		tools[name] = ""
	}
	tools["grep"] = fmt.Sprintf(`case "$*" in */etc/os-release*) %t; exit; esac; exec /bin/grep "$@"`, debian)
	if debian {
		tools["apt-get"] = "NOTE"
	}
	if root {
		tools["id"] = "echo 0"
	}
	return tools
}

// make test says in one line what it leaves out, which with CI=true is a
// failure, and runs all the rest.
func TestTestScript(t *testing.T) {
	computing := []string{"lint.sh ", "make --no-print-directory build", "make --no-print-directory unit TESTFLAGS=-vet=off"}
	machines := slices.Sorted(slices.Values(append([]string{
		"packages.sh ", "go run ./e2e/cmd/lab images", "go list ./e2e/...",
		"go test -vet=off -count=1 -timeout 40m -run ^TestMainJob$ ./e2e",
		"go test -vet=off -count=1 -timeout 40m ./e2e/servers",
		"go test -vet=off -count=1 -timeout 40m ./e2e/conformance",
		"go test -vet=off -count=1 -timeout 40m ./e2e/everything",
		"go test -vet=off -count=1 -timeout 40m -p 1 glancectl/e2e/peer",
		"go test -vet=off -count=1 -timeout 40m -skip ^TestMainJob$ ./e2e",
		"go test -vet=off -count=1 -timeout 40m ./e2e/lab",
	}, computing...)))
	for _, test := range []struct {
		name         string
		debian, root bool
		env          string
		code         int
		says         string
		calls        []string
	}{
		{"not root", true, false, "", 0, "left out: the end-to-end tests need root", computing},
		{"not root with CI", true, false, "CI=true", 1, "CI=true: nothing may be left out", computing},
		{"not Debian", false, true, "", 0, "left out: the end-to-end tests need Debian", computing},
		{"not Debian with CI", false, true, "CI=true", 1, "left out: the end-to-end tests need Debian", computing},
		{"everything", true, true, "CI=true", 0, "== done ", machines},
		{"a failure", true, true, "FAIL=./e2e/servers", 1, "FAILED   servers ", machines},
		{"no service inside", true, true, "FAIL=inside", 1, "bin/glancectl has not the service for amd64 and arm64 inside", []string{computing[1], "packages.sh "}},
		{"no images", true, true, "FAIL=images", 1, "something failed: see above", append([]string{"go run ./e2e/cmd/lab images"}, append(computing, "packages.sh ")...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, "e2e/test.sh", testTools(test.debian, test.root))
			s.cmd.Env = append(s.cmd.Env, test.env)
			if !test.root {
				s.asNobody(t)
			}
			_ = s.cmd.Run() // its exit code says it
			out := s.out.String()
			if code := s.cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d; want %d:\n%s", code, test.code, out)
			}
			if !regexp.MustCompile("(?m)^" + regexp.QuoteMeta(test.says)).MatchString(out) {
				t.Errorf("want a line %q:\n%s", test.says, out)
			}
			leaves := 0
			if !test.debian || !test.root {
				leaves = 1
			}
			if got := strings.Count(out, "left out: "); got != leaves {
				t.Errorf("%d lines say what is left out; want %d:\n%s", got, leaves, out)
			}
			if got := s.called(t); !slices.Equal(got, test.calls) {
				t.Errorf("it called\n%q\nwant\n%q:\n%s", got, test.calls, out)
			}
		})
	}
}

// An interrupt ends all that make test has started.
func TestTestScriptInterrupted(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			tools := testTools(true, true)
			// What runs for long: a process of its own each, with a child.
			const long = `echo $$ >>pids; sleep 1000 & echo $! >>pids; wait`
			tools["go"] = `case "$*" in list*|run*) exit; esac; ` + long
			tools["make"] = `case "$*" in *unit*) ;; *) exit; esac; ` + long
			s := newStage(t, "e2e/test.sh", tools)
			if err := s.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pids := func() []string {
				text, err := os.ReadFile(filepath.Join(s.dir, "pids"))
				if err != nil {
					return nil
				}
				return strings.Fields(string(text))
			}
			for end := time.Now().Add(20 * time.Second); len(pids()) < 8; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("only %q run", pids())
				}
			}
			if err := s.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = s.cmd.Wait()
			if code := s.cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(s.out.String(), "interrupted") {
				t.Errorf("exit code %d; want 130, and that it says so:\n%s", code, s.out.String())
			}
			for _, f := range pids() {
				pid, err := strconv.Atoi(f)
				if err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) && !zombie(f) {
					t.Errorf("process %d of %q is left", pid, pids())
					_ = syscall.Kill(pid, syscall.SIGKILL) // the failure is told
				}
			}
		})
	}
}

// zombie reports whether a process has ended, and only nobody has asked how.
func zombie(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// What the lab needs is installed, if it is not there.
func TestPackagesScript(t *testing.T) {
	for _, test := range []struct{ missing, installs string }{
		{"", ""},
		{"qemu-utils mmdebstrap", "apt-get install -q -y --no-install-recommends mmdebstrap qemu-utils"},
	} {
		s := newStage(t, "e2e/packages.sh", map[string]string{
			"bash": "", "env": "", "grep": "", "apt-get": "NOTE",
			"dpkg-query": `for p; do :; done; case " ` + test.missing + ` " in *" $p "*) exit 1; esac; echo install ok installed`,
		})
		if err := s.cmd.Run(); err != nil {
			t.Fatalf("%v:\n%s", err, s.out.String())
		}
		var want []string
		if test.installs != "" {
			want = []string{test.installs, "apt-get update -q"}
		}
		if got := s.called(t); !slices.Equal(got, want) {
			t.Errorf("with %q missing it called %q; want %q", test.missing, got, want)
		}
	}
}
