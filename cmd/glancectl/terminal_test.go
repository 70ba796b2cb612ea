package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A terminal has glancectl at one end and a person at the other.
type terminal struct {
	cmd    *exec.Cmd
	person *os.File
	said   bytes.Buffer // to the person; typed text is echoed into it
}

// atTerminal starts glancectl at a terminal.
func atTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	c := exec.Command("glancectl", args...)
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return &terminal{cmd: c, person: person}
}

// hear reads what is said until it ends with text, or glancectl is gone.
func (m *terminal) hear(text string) bool {
	b := make([]byte, 4096)
	for text == "" || !bytes.HasSuffix(m.said.Bytes(), []byte(text)) {
		n, err := m.person.Read(b)
		m.said.Write(b[:n])
		if err != nil { // EIO, when nobody has the other end any more
			return false
		}
	}
	return true
}

// end waits for glancectl and returns its exit code.
func (m *terminal) end(t *testing.T) int {
	t.Helper()
	m.hear("")
	var exit *exec.ExitError
	if err := m.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return m.cmd.ProcessState.ExitCode()
}

const question = "Only yes will do: "

// answer runs glancectl at a terminal, types keys when it asks, and returns how
// it ended.
func answer(t *testing.T, keys string, args ...string) (code int, said string) {
	t.Helper()
	m := atTerminal(t, args...)
	if !m.hear(question) {
		t.Fatalf("%q ended with %d and asked nothing\n%s", args, m.end(t), m.said.String())
	}
	if _, err := m.person.WriteString(keys); err != nil {
		t.Fatal(err)
	}
	return m.end(t), m.said.String()
}

// snapshot is all that is below dir, but for the place where locks are while
// somebody is at work.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name) // it is below
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && name == dir {
				return nil
			}
			return err
		}
		if d.IsDir() && (rel == "." || rel == "run" || rel == "run/lock" || rel == "run/lock/glancectl") {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		if d.Type().IsRegular() {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			content = fmt.Sprintf("%x %s", sha256.Sum256(text), info.ModTime())
		}
		fmt.Fprintln(&b, rel, info.Mode(), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const declined = "nothing was changed: the answer was not yes"

// unwanted are answers that are not yes, and how glancectl ends.
var unwanted = []struct {
	name, keys string
	code       int
	says       string
}{
	{"no", "no\n", exitError, declined},
	{"end of input", "\x04", exitError, declined},
	{"Ctrl-C", "\x03", exitInterrupted, "interrupted"},
	{"nothing", "\n", exitError, declined},
	{"half of it", "y\n", exitError, declined},
	{"in capitals", "YES\n", exitError, declined},
	{"more than that", "yes please\n", exitError, declined},
	{"yes and no return", "yes\x04\x04", exitError, declined},
	{"Ctrl-C after yes", "yes\x03", exitInterrupted, "interrupted"},
}

// A person at a terminal is asked, and nothing is done unless they say yes.
func TestQuestion(t *testing.T) {
	t.Parallel()
	p, root := localProposal(t)
	binary := "--service-binary=" + standIn(t)
	defer exec.Command("glancectl", "destroy", "--auto-approve", binary, p).Run() // if the test ends early
	decline := func(verb string, answers int) {
		t.Helper()
		before := snapshot(t, root)
		for _, test := range unwanted[:answers] {
			code, said := answer(t, test.keys, verb, binary, p)
			if code != test.code || !strings.Contains(said, test.says) {
				t.Errorf("%s, %s: exit code %d; want %d and %q\n%s", verb, test.name, code, test.code, test.says, said)
			}
			if after := snapshot(t, root); after != before {
				t.Errorf("%s, %s: something was changed:\n%s\nbefore:\n%s", verb, test.name, after, before)
			}
		}
	}
	decline("apply", len(unwanted))
	if code, said := answer(t, "yes\n", "apply", binary, p); code != exitOK || !strings.Contains(said, "Applied") {
		t.Errorf("apply, yes: exit code %d; want %d\n%s", code, exitOK, said)
	}
	installed := snapshot(t, root)
	if !strings.Contains(installed, "etc/glance/glance-api.conf") {
		t.Errorf("apply, yes: it has put there\n%s", installed)
	}

	// Who has nothing to do asks nothing.
	m := atTerminal(t, "apply", binary, p)
	if code := m.end(t); code != exitOK || strings.Contains(m.said.String(), question) {
		t.Errorf("apply of nothing: exit code %d; want %d and no question\n%s", code, exitOK, m.said.String())
	}

	decline("destroy", 3)
	if code, said := answer(t, "yes\n", "destroy", "--images", "--database", binary, p); code != exitOK {
		t.Errorf("destroy, yes: exit code %d; want %d\n%s", code, exitOK, said)
	}
	if left := snapshot(t, root); left != "" {
		t.Errorf("destroy, yes: it left\n%s", left)
	}
}

// Where nobody can be asked nothing is done without --auto-approve.
func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	p, root := localProposal(t)
	binary := "--service-binary=" + standIn(t)
	refused := func(verb string) {
		t.Helper()
		before := snapshot(t, root)
		c := exec.Command("glancectl", verb, binary, p)
		c.Stdin = strings.NewReader("yes\n") // a pipe is no person
		out, err := c.CombinedOutput()
		if c.ProcessState.ExitCode() != exitError || !strings.Contains(string(out), "use --auto-approve") {
			t.Errorf("%s: %v; want exit code %d and what to do\n%s", verb, err, exitError, out)
		}
		// Whoever reads JSON cannot answer, terminal or not.
		m := atTerminal(t, verb, "--json", binary, p)
		if code := m.end(t); code != exitError || !strings.Contains(m.said.String(), "use --auto-approve") {
			t.Errorf("%s --json at a terminal: exit code %d; want %d and what to do\n%s", verb, code, exitError, m.said.String())
		}
		if after := snapshot(t, root); after != before {
			t.Errorf("%s: something was changed:\n%s\nbefore:\n%s", verb, after, before)
		}
	}
	approved := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("glancectl", append(args, "--auto-approve", binary, p)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", args[0], err, out)
		}
	}
	refused("apply")
	approved("apply")
	refused("destroy")
	approved("destroy", "--images", "--database")
}
