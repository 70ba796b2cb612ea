package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ends runs glancectl and returns its exit code and all that it says.
func ends(args ...string) (int, string) {
	c := exec.Command("glancectl", args...)
	out, _ := c.CombinedOutput() // the code says how it went
	return c.ProcessState.ExitCode(), string(out)
}

// endings end glancectl with each of its exit codes. Each returns the code and
// what was said.
var endings = map[int]func(*testing.T) (int, string){
	exitOK:          func(t *testing.T) (int, string) { return ends("validate", good(t)) },
	exitError:       func(*testing.T) (int, string) { return ends("frobnicate") },
	exitChanges:     endWithChanges,
	exitUnformatted: func(t *testing.T) (int, string) { return ends("fmt", "-check", write(t, "p.hcl", "a=1\n")) },
	exitInvalid:     func(t *testing.T) (int, string) { return ends("validate", write(t, "p.hcl", "nonsense {}\n")) },
	exitConnect:     func(t *testing.T) (int, string) { return ends("plan", good(t)) },
	exitRemote:      endInTheWork,
	exitLocked:      endLocked,
	exitHealth:      endSick,
	exitPartly:      endPartly,
	exitInterrupted: endInterrupted,
}

// Every exit code that docs/operations.md promises comes out of the program,
// and no other does.
func TestEveryExitCode(t *testing.T) {
	promised := map[int]bool{}
	for _, code := range documentedCodes(t) {
		promised[code] = true
		end := endings[code]
		if end == nil {
			t.Errorf("docs/operations.md promises exit code %d; nothing here ends with it", code)
			continue
		}
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			if got, said := end(t); got != code {
				t.Errorf("exit code %d; want %d\n%s", got, code, said)
			}
		})
	}
	for code := range endings {
		if !promised[code] {
			t.Errorf("docs/operations.md does not know of exit code %d", code)
		}
	}
}

// documentedCodes are the codes of the table in the documentation.
func documentedCodes(t *testing.T) []int {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Exit codes\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var codes []int
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(table, -1) {
		code, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
	}
	if len(codes) == 0 {
		t.Fatal("docs/operations.md has no table of exit codes")
	}
	return codes
}

// good is a proposal without a mistake, whose node is down.
func good(t *testing.T) string {
	t.Helper()
	return write(t, "p.hcl", sshProposal(fmt.Sprintf("port = 1\nknown_hosts = %q", write(t, "known_hosts", "")), ""))
}

func endWithChanges(t *testing.T) (int, string) {
	p, _ := localProposal(t)
	return ends("plan", "--detailed-exitcode", "--service-binary="+standIn(t), p)
}

// endInTheWork has a file where a directory of the node belongs.
func endInTheWork(t *testing.T) (int, string) {
	p, root := localProposal(t)
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "usr"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return ends("apply", "--auto-approve", "--service-binary="+standIn(t), p)
}

// endLocked has another apply at work, which waits for an answer.
func endLocked(t *testing.T) (int, string) {
	p, _ := localProposal(t)
	binary := "--service-binary=" + standIn(t)
	first := atTerminal(t, "apply", binary, p)
	if !first.hear(question) {
		return first.end(t), first.said.String()
	}
	code, said := ends("apply", "--auto-approve", binary, p)
	if _, err := first.person.WriteString("no\n"); err != nil {
		t.Error(err)
	}
	if held := first.end(t); held != exitError {
		t.Errorf("the apply that held the lock ended with %d; want %d: the answer was no", held, exitError)
	}
	return code, said
}

// endSick has a registry that answers that it is not well. Who waits for it
// waits for half a minute, so this is the program without its process.
func endSick(t *testing.T) (int, string) {
	p, _ := localProposal(t)
	text, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	mute := strings.Replace(string(text), "    registry {", "    config \"glance-registry\" {\n      section \"DEFAULT\" { mute = true }\n    }\n    registry {", 1)
	if err := os.WriteFile(p, []byte(mute), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := "--service-binary=" + standIn(t)
	t.Cleanup(func() {
		if code, said := ends("destroy", "--auto-approve", "--images", "--database", binary, p); code != exitOK {
			t.Errorf("destroy ended with %d\n%s", code, said)
		}
	})
	var said bytes.Buffer
	a := &app{streams: streams{out: &said, err: &said, env: os.LookupEnv}, checkTime: time.Nanosecond}
	code := a.run(t.Context(), []string{"apply", "--auto-approve", binary, p})
	if !strings.Contains(said.String(), "glance-registry answers on port") {
		t.Errorf("it does not say what does not answer:\n%s", said.String())
	}
	// Whoever asks later is told the same.
	if later, said := ends("status", binary, p); later != exitHealth {
		t.Errorf("status ended with %d; want %d\n%s", later, exitHealth, said)
	}
	return code, said.String()
}

// endPartly has one node that is there and one that is down.
func endPartly(t *testing.T) (int, string) {
	root := filepath.Join(t.TempDir(), "root")
	p := write(t, "p.hcl", fmt.Sprintf(`proposal "p" {
  node "here" {
    address    = "127.0.0.1"
    connection = "local"
    init       = "process"
    root       = %q
  }
  node "down" {
    address = "localhost"
    ssh {
      port        = 1
      known_hosts = %q
    }
  }
  role "glance-server" {
    nodes = ["here", "down"]
    api { port = %d }
    registry { port = %d }
  }
}
`, root, write(t, "known_hosts", ""), freePort(t), freePort(t)))
	binary := "--service-binary=" + standIn(t)
	code, said := ends("apply", "--auto-approve", binary, p)
	if _, gone := ends("destroy", "--auto-approve", "--images", "--database", binary, p); snapshot(t, root) != "" {
		t.Errorf("destroy left\n%s\n%s", snapshot(t, root), gone)
	}
	return code, said
}

func endInterrupted(t *testing.T) (int, string) {
	h := hang(t, "")
	if err := h.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	return h.end(t).ExitStatus(), h.stderr.String()
}
