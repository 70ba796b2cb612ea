package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancectl/e2e/rig"
)

// faults break things one at a time. Each gives a clear message and its exit
// code, and the apply after it ends at "no changes".
func faults(t *testing.T, s *site, d draft) {
	for _, fault := range []struct {
		name string
		run  func(*testing.T, *site, draft)
	}{
		// What takes away the records of jobs comes first: cronRan wants some.
		{"full disk", fullDisk},
		{"Ctrl-C", interrupted},
		{"SSH cut in the middle", sshCut},
		{"database password changed by hand", passwordByHand},
		{"endpoint moved by hand", endpointMoved},
		{"service killed", serviceKilled},
		{"service stopped by hand", serviceStopped},
		{"node is down", nodeDown},
		{"wrong host key", wrongHostKey},
		{"login refused", loginRefused},
		{"locked", locked},
		{"a configuration that does not start", badConfig},
	} {
		t.Run(fault.name, func(t *testing.T) {
			p := s.propose(t, d)
			fault.run(t, s, d)
			s.propose(t, d)
			s.Converged(t, p)
		})
	}
}

// says requires patterns in what glancectl has printed. ^ and $ are those of
// lines.
func says(t *testing.T, r rig.Result, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)" + p).MatchString(r.Stdout + r.Stderr) {
			t.Errorf("want %s in the output\n%v", p, r)
		}
	}
}

func passwordByHand(t *testing.T, s *site, d draft) {
	s.On(t, "db-node", `mysql -e "ALTER USER 'glance'@'%' IDENTIFIED BY 'by-hand'; GRANT TRIGGER ON glance.* TO 'glance'@'%'"`)
	r := s.Want(t, 2, nil, "plan", "--detailed-exitcode", d.Name+".hcl")
	says(t, r, "^mysql main on db-node\n  ~ database user glance: log-in fails, set the password\n  ~ privileges of glance on glance: revoke TRIGGER ON ")
	s.Converged(t, d.Name+".hcl")
	if got := s.On(t, "db-node", `mysql -N -e "SHOW GRANTS FOR 'glance'@'%'"`); strings.Contains(got, "TRIGGER") {
		t.Errorf("a privilege granted by hand is still there: %s", got)
	}
}

func endpointMoved(t *testing.T, s *site, d draft) {
	s.On(t, "auth-node", `. /root/openrc; openstack endpoint set --url http://10.99.0.1:9292/v1 $(openstack endpoint list --service image --interface public -f value -c ID)`)
	r := s.Want(t, 2, nil, "plan", "--detailed-exitcode", d.Name+".hcl")
	says(t, r, "^keystone main on auth-node\n  ~ public endpoint in RegionOne: http://10.99.0.1:9292/v1 -> http://10.77.0.21:9292$")
	s.Converged(t, d.Name+".hcl")
}

func serviceKilled(t *testing.T, s *site, d draft) {
	pid := s.On(t, "image-1", "systemctl show -p MainPID --value glance-api; kill -KILL $(systemctl show -p MainPID --value glance-api)")
	rig.Eventually(t, "systemd restarts glance-api", func() bool {
		now := s.On(t, "image-1", "systemctl show -p MainPID,ActiveState --value glance-api | tr '\n' ' '")
		return strings.Contains(now, "active") && !strings.HasPrefix(now, "0 ") && !strings.HasPrefix(now, pid+" ") && !strings.Contains(now, "activating")
	})
	s.Want(t, 0, []string{"glance-api answers"}, "status", d.Name+".hcl")

	// Once more, with time to look before it is restarted.
	s.On(t, "image-1", `mkdir -p /run/systemd/system/glance-api.service.d
		printf '[Service]\nRestartSec=1h\n' >/run/systemd/system/glance-api.service.d/slow.conf
		systemctl daemon-reload; systemctl kill -s KILL glance-api`)
	rig.Eventually(t, "glance-api is down", func() bool {
		return s.On(t, "image-1", "systemctl show -p SubState --value glance-api") == "auto-restart"
	})
	says(t, s.Want(t, 15, nil, "status", d.Name+".hcl"), "^image-1\n(  .*\n)*  FAIL  +glance-api answers on port 9292: .*refused")
	says(t, s.Want(t, 2, nil, "plan", "--detailed-exitcode", d.Name+".hcl"), `^image-1\n  ~ start glance-api.service \(activating\)$`)
	s.On(t, "image-1", "rm -r /run/systemd/system/glance-api.service.d; systemctl daemon-reload")
}

func serviceStopped(t *testing.T, s *site, d draft) {
	s.On(t, "image-2", "systemctl disable --now glance-registry 2>/dev/null")
	says(t, s.Want(t, 15, nil, "status", d.Name+".hcl"), "^image-2\n(  .*\n)*  FAIL  +glance-registry answers on port 9191: .*refused")
	says(t, s.Want(t, 2, nil, "plan", "--detailed-exitcode", d.Name+".hcl"), `^image-2\n  ~ start glance-registry.service \(inactive\)$`)
}

func nodeDown(t *testing.T, s *site, d draft) {
	if err := s.StopNode("image-2"); err != nil {
		t.Fatal(err)
	}
	d.Workers = 5
	p := s.propose(t, d)
	const why = `connect image-2 \(10\.77\.0\.22:22\): .*(refused|no route to host|timed out|timeout)`
	says(t, s.Want(t, 11, nil, "plan", p), "^image-2\n  cannot look at it: "+why)
	says(t, s.Want(t, 11, []string{"glance-api answers"}, "status", p), "^image-2\n(  .*\n)*?  .*"+why)
	r := s.Want(t, 16, nil, "apply", "--auto-approve", p)
	says(t, r, "^Failed: image-2\n  "+why, "^Not complete after .*, 1 target failed[.] Mend the cause and apply again[.]$", "^  failed image-2: install$")
	if got := s.On(t, "image-1", "grep ^workers /etc/glance/glance-api.conf"); got != "workers = 5" {
		t.Errorf("on the node that is up: %q; want the new value\n%v", got, r)
	}
	if err := s.StartNode(context.Background(), "image-2"); err != nil {
		t.Fatal(err)
	}
}

func wrongHostKey(t *testing.T, s *site, d draft) {
	known, err := os.ReadFile(s.KnownHosts())
	if err != nil {
		t.Fatal(err)
	}
	// Each node gets its neighbour's key.
	lines := strings.Split(strings.TrimSpace(string(known)), "\n")
	for i, line := range lines {
		host, _, _ := strings.Cut(line, " ")
		_, key, _ := strings.Cut(lines[(i+1)%len(lines)], " ")
		lines[i] = host + " " + key
	}
	s.Write(t, "swapped", strings.Join(lines, "\n")+"\n")
	d.KnownHosts = filepath.Join(s.Dir, "swapped")
	p := s.propose(t, d)
	const changed = `connect image-2 \(10\.77\.0\.22:22\): host key changed: the machine shows \S+ SHA256:\S+, but \S+/swapped:\d has SHA256:`
	says(t, s.Want(t, 11, nil, "plan", p), changed)
	says(t, s.Want(t, 11, nil, "apply", "--auto-approve", p), changed)

	s.Write(t, "empty", "")
	d.KnownHosts = filepath.Join(s.Dir, "empty")
	s.propose(t, d)
	says(t, s.Want(t, 11, nil, "plan", p), `connect image-2 \(10\.77\.0\.22:22\): host key unknown: .* is not in \S+/empty: .*ssh-keyscan 10\.77\.0\.22`)
}

func loginRefused(t *testing.T, s *site, d draft) {
	d.User = "nobody-we-know"
	p := s.propose(t, d)
	says(t, s.Want(t, 11, nil, "plan", p), `connect image-2 \(10\.77\.0\.22:22\): login as nobody-we-know refused; tried \S+: add a public key`)
}

func locked(t *testing.T, s *site, d draft) {
	d.Workers = 6
	p := s.propose(t, d)
	// The first is stopped as soon as it has the lock.
	said := s.follow(t, "image-1", "echo watching; timeout 30 sh -c 'until [ -d /run/lock/glancectl/main.lock ]; do sleep 0.01; done' && echo locked")
	if got := said(); got != "watching" {
		t.Fatal(got)
	}
	first, done := s.Begin("apply", "--auto-approve", p)
	if got := said(); got != "locked" {
		t.Fatalf("no lock is taken: %q", got)
	}
	if err := first.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	second := s.Glancectl("apply", "--auto-approve", p)
	if err := first.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.Code != 0 {
		t.Errorf("the first of two applies\n%v", r)
	}
	if second.Code != 13 {
		t.Errorf("the second of two applies: want exit 13\n%v", second)
	}
	says(t, second, fmt.Sprintf(`lock /run/lock/glancectl/main\.lock on \S+: held by \S+ \(apply, process %d\) since `, first.Pid))
	// A lock that somebody holds for sure.
	s.On(t, "image-1", `mkdir -p /run/lock/glancectl/main.lock; echo '{"id":"x","who":"ann","host":"desk","pid":1,"operation":"apply","started":"2026-01-01T00:00:00Z"}' >/run/lock/glancectl/main.lock/info.json; touch /run/lock/glancectl/main.lock/* /run/lock/glancectl/main.lock`)
	says(t, s.Want(t, 13, nil, "apply", "--auto-approve", p), `lock /run/lock/glancectl/main\.lock on image-1: held by ann@desk \(apply, process 1\) since `)
	s.On(t, "image-1", "touch -d '-5 min' /run/lock/glancectl/main.lock/* /run/lock/glancectl/main.lock")
	s.Want(t, 0, []string{"ann"}, "apply", "--auto-approve", p)
}

func fullDisk(t *testing.T, s *site, d draft) {
	d.Nodes = []string{"image-1", "image-2", "image-3"}
	d.Workers = 7
	p := s.propose(t, d)
	s.On(t, "image-3", "fallocate -l 1G /root/fill 2>/dev/null || dd if=/dev/zero of=/root/fill bs=1M 2>/dev/null; df / | tail -1; true")
	r := s.Want(t, 16, nil, "apply", "--auto-approve", p)
	says(t, r, "^Failed: image-3\n  step: \\S+\n(  .*\n)*    cannot write: file system .* is 100% full", "^Not complete after ", "^  failed image-3: install$")
	left := s.On(t, "image-3", "find /usr/lib/glancectl /etc/glance -name '*.glancectl*' -o -name '.*' -type f 2>/dev/null | wc -l")
	if left != "0" {
		t.Errorf("half-written files left on image-3: %s", left)
	}
	s.On(t, "image-3", "rm /root/fill")
	s.Converged(t, p)
	s.On(t, "image-3", "systemctl is-active glance-api")
	// Back to two nodes; what is on the third is taken away by hand's way:
	// a destroy of a proposal that names it alone is another proposal.
	d.Nodes = []string{"image-3"}
	s.propose(t, d)
	s.Want(t, 0, nil, "destroy", "--auto-approve", "--images", p)
}

// follow runs a script on a node beside the test and returns a function that
// waits for its next line; "" is its end.
func (s *site) follow(t *testing.T, node, script string) (next func() string) {
	t.Helper()
	argv := append(s.SSH(node, "root"), script)
	c := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Wait() }) // what it said is what counts
	lines := bufio.NewScanner(out)
	return func() string {
		lines.Scan()
		return lines.Text()
	}
}

// midway begins an apply on bare nodes, and freezes image-2 as soon as the
// apply has put something there.
func (s *site) midway(t *testing.T, p string) (*os.Process, <-chan rig.Result) {
	t.Helper()
	s.Want(t, 0, nil, "destroy", "--auto-approve", p)
	process, done := s.Begin("apply", "--auto-approve", p)
	rig.Eventually(t, "the apply has begun on image-2", func() bool {
		_, err := os.Stat(filepath.Join(s.Node("image-2").Root, "usr/lib/glancectl"))
		return err == nil
	})
	if err := s.Freeze("image-2"); err != nil {
		t.Fatal(err)
	}
	return process, done
}

// interrupted sends Ctrl-C in the middle of an apply, and at other moments.
func interrupted(t *testing.T, s *site, d draft) {
	p := s.propose(t, d)
	process, done := s.midway(t, p)
	if err := process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := s.Thaw("image-2"); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if r.Code != 130 || !strings.Contains(r.Stdout, "Interrupted after ") {
		t.Errorf("Ctrl-C in the middle: want exit 130, and that it says so\n%v", r)
	}
	s.Want(t, 2, nil, "plan", "--detailed-exitcode", p) // there was something left to do
	s.Converged(t, p)
	for _, wait := range []time.Duration{0, 300 * time.Millisecond} {
		s.Want(t, 0, nil, "destroy", "--auto-approve", p)
		process, done := s.Begin("apply", "--auto-approve", p)
		rig.Eventually(t, "the apply has begun", func() bool {
			return s.On(t, "image-1", "ls -d /run/lock/glancectl/main.lock 2>/dev/null || :") != ""
		})
		time.Sleep(wait)
		_ = process.Signal(syscall.SIGINT) // it may have ended
		r := <-done
		t.Logf("Ctrl-C after %v: exit %d", wait, r.Code)
		if r.Code != 130 && r.Code != 0 {
			t.Errorf("Ctrl-C after %v: want exit 130\n%v", wait, r)
		}
		if r.Code == 130 && !strings.Contains(r.Stdout+r.Stderr, "nterrupted") {
			t.Errorf("Ctrl-C after %v: it does not say so\n%v", wait, r)
		}
		s.Converged(t, p)
	}
}

// sshCut kills the node's end of the connections in the middle of an apply.
// The other node is not harmed.
func sshCut(t *testing.T, s *site, d draft) {
	p := s.propose(t, d)
	_, done := s.midway(t, p)
	if err := s.CutSSH("image-2"); err != nil {
		t.Fatal(err)
	}
	if err := s.Thaw("image-2"); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if r.Code != 16 || !strings.Contains(r.Stdout, "Not complete") {
		t.Errorf("cut: want exit 16\n%v", r)
	}
	says(t, r, `^Failed: image-2\n  step: \S+\n  .*image-2: the connection was lost$`)
	if got := s.On(t, "image-1", "systemctl is-active glance-api"); got != "active" {
		t.Errorf("cut: on the other node: %s\n%v", got, r)
	}
}

// badConfig is a value that glanced refuses at start: the failure shows its
// journal.
func badConfig(t *testing.T, s *site, d draft) {
	d.Extra = `config "glance-api" {
      section "DEFAULT" { bind_port = "not-a-port" }
    }`
	p := s.propose(t, d)
	r := s.Want(t, 12, nil, "apply", "--auto-approve", p)
	for _, node := range d.Nodes {
		says(t, r, "^Failed: "+node+"\n  step: unit:glance-api.service\n  .*\n  last lines of its log:\n(    .*\n)*"+
			`    glance-api: /etc/glance/glance-api.conf:\d+: \[DEFAULT\] bind_port: "not-a-port" is not a number`)
	}
}
