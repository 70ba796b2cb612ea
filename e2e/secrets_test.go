package e2e

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

// watchProcesses records the command lines and environments of everything
// that runs on the nodes, until stopWatching.
func (s *site) watchProcesses(t *testing.T) {
	for _, n := range s.Lab.Nodes() {
		s.On(t, n.Name, `cat >/root/watch.sh <<'EOF'
while [ ! -e /root/watch.stop ]; do
	cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' >>/root/watched
	sleep 0.05
done
EOF
setsid sh /root/watch.sh >/dev/null 2>&1 </dev/null &`)
	}
}

// stopWatching ends what watchProcesses began.
func (s *site) stopWatching(t *testing.T) {
	for _, n := range s.Lab.Nodes() {
		s.On(t, n.Name, "touch /root/watch.stop; sleep 0.2; sort -u -o /root/watched /root/watched; [ -s /root/watched ]")
	}
}

// noSecret looks for the planted passwords in all that glancectl printed, in
// what ran on the nodes during the first apply, in logs, journals, receipts,
// and in every file on the nodes that others than root and glance may read.
func noSecret(t *testing.T, s *site, d draft) {
	s.Want(t, 0, nil, "plan", "--json", d.Name+".hcl")
	s.Want(t, 0, nil, "status", "--json", d.Name+".hcl")
	s.Want(t, 0, nil, "render", d.Name+".hcl")
	// A sensitive option that changes, and one that a service refuses.
	s.Want(t, 2, []string{"glance-scrubber.conf"}, "plan", "--detailed-exitcode", "-var", "note="+plantedNew, d.Name+".hcl")
	s.Want(t, 2, []string{"glance-scrubber.conf"}, "plan", "--detailed-exitcode", "--json", "-var", "note="+plantedNew, d.Name+".hcl")
	d.Extra = `config "glance-api" {
      section "DEFAULT" { workers = var.note }
    }`
	p := s.propose(t, d)
	s.Want(t, 12, []string{"workers"}, "apply", "--auto-approve", "-var", "note="+plantedNew, p)
	s.Want(t, 12, []string{"workers"}, "apply", "--auto-approve", "--json", "-var", "note="+plantedNew, p)
	d.Extra = ""
	s.propose(t, d)
	s.Converged(t, p)

	printed := s.Printed()
	var spellings []string
	for _, secret := range []string{planted, plantedDB, plantedNote} {
		spellings = append(spellings, secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	// What a service says on its node of a value that it cannot use is its own.
	for _, secret := range append(spellings, plantedNew) {
		if i := strings.Index(printed, secret); i >= 0 {
			t.Errorf("glancectl printed %q: …%s", secret, printed[max(0, i-200):i])
		}
	}
	pattern := strings.Join(spellings, `\|`)
	for _, n := range s.Lab.Nodes() {
		for _, look := range []struct{ where, script string }{
			{"command lines", "grep -c '" + pattern + "' /root/watched || :"},
			{"journal", "journalctl --no-pager 2>/dev/null | grep -c '" + pattern + "' || :"},
			{"logs", "grep -rl '" + pattern + "' /var/log 2>/dev/null | wc -l"},
			{"receipts", "grep -rl '" + pattern + "' /var/lib/glancectl/*/receipt.toml /var/lib/glancectl/*/stamps 2>/dev/null | wc -l"},
			{"files that others may read", "find / -xdev -type f -perm -o=r -size -2M \\( -path /proc -o -path /sys \\) -prune -o -xdev -type f -perm -o=r -newer /etc/hostname -size -2M -print0 | xargs -0 grep -l '" + pattern + "' 2>/dev/null | wc -l"},
		} {
			if got := s.On(t, n.Name, look.script); got != "0" {
				t.Errorf("%s: %s hold a planted password (%s)", n.Name, look.where, got)
			}
		}
	}
	// The patterns do find something: the files that must hold the passwords.
	if got := s.On(t, "image-1", "grep -rl '"+pattern+"' /etc/glance | wc -l"); got == "0" {
		t.Error("the planted passwords are nowhere at all: the search cannot be trusted")
	}
	if got := s.On(t, "image-1", "grep -l glance-api /root/watched | wc -l"); got != "1" {
		t.Error("the record of processes has no glance-api: the search cannot be trusted")
	}
}
