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

// spelled returns the forms that secrets may turn up in.
func spelled(secrets ...string) []string {
	var all []string
	for _, secret := range secrets {
		all = append(all, secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	return all
}

// notPrinted requires that glancectl has never printed a text.
func (s *site) notPrinted(t *testing.T, texts []string) {
	t.Helper()
	printed := s.Printed()
	for _, text := range texts {
		if i := strings.Index(printed, text); i >= 0 {
			t.Errorf("glancectl printed %q: …%s", text, printed[max(0, i-200):i])
		}
	}
}

// nowhere requires that texts are in no command line and no environment of
// what was watched, in no journal, log or receipt, and in no file on the nodes
// that others than root and glance may read; and that image-1 has them in its
// configuration, where they must be.
func (s *site) nowhere(t *testing.T, texts []string) {
	t.Helper()
	find := "grep -F -c"
	for _, text := range texts {
		find += " -e '" + text + "'"
	}
	script := `found() { [ "$2" = 0 ] || echo "$1: $2"; }
		found 'command lines and environments' $(` + find + ` /root/watched)
		found journal $(journalctl --no-pager 2>/dev/null | ` + find + `)
		in_files() { xargs -0 -r ` + strings.Replace(find, "-c", "-l", 1) + ` 2>/dev/null | wc -l; }
		found logs $(find /var/log -type f -print0 | in_files)
		found receipts $(find /var/lib/glancectl/*/receipt.toml /var/lib/glancectl/*/stamps -print0 2>/dev/null | in_files)
		found 'files that others may read' $(find / /run /tmp /dev/shm -xdev -type f -perm -o=r -newer /etc/hostname -size -2M -print0 | in_files)
		`
	for _, n := range s.Lab.Nodes() {
		if got := s.On(t, n.Name, script); got != "" {
			t.Errorf("%s has a password in\n%s", n.Name, got)
		}
	}
	// The search does find what is there.
	if got := s.On(t, "image-1", find+" -r /etc/glance | grep -v -c :0; grep -l glance-api /root/watched"); !strings.HasSuffix(got, "\n/root/watched") || strings.HasPrefix(got, "0") {
		t.Errorf("image-1 has the passwords in so many files of its configuration, and a record of its processes: %s\nthe search cannot be trusted", got)
	}
}

// noSecret looks for the planted passwords in all that glancectl printed, in
// what ran on the nodes during the first apply, and in what lies there.
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
	r := s.Want(t, 0, []string{"glance-scrubber.conf", "glance-api.conf"}, "apply", "--auto-approve", "--json", p)
	if len(r.Lines(t, "planned_change")) == 0 {
		t.Errorf("an apply in JSON that mends what another has left names no change\n%v", r)
	}
	s.Want(t, 0, []string{"No changes"}, "plan", "--detailed-exitcode", p)

	secrets := spelled(planted, plantedDB, plantedNote)
	// What a service says on its node of a value that it cannot use is its own.
	s.notPrinted(t, append(secrets, plantedNew))
	s.nowhere(t, secrets)
}
