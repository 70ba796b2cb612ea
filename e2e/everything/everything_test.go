// Package everything applies the example that turns everything on and does
// what a site sees in the long run: clients of both versions, days of cron,
// brokers and processes that go away, caches that fill up.
package everything

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glancectl/e2e/lab"
	"glancectl/e2e/rig"
)

func TestMain(m *testing.M) {
	lab.Main(m, "the end-to-end tests with everything on", "e2e")
}

// A site is a lab on which the example is applied.
type site struct {
	*rig.Site
	args        []string // of glancectl: the proposal and its variables
	demo, admin string   // tokens
}

// The image nodes, which have all in common but their caches.
var nodes = []string{"image-1", "image-2"}

const (
	cacheSize = 8 << 20 // the variable cache_size
	pruned    = 6 << 20 // what the pruner leaves: a quarter less
	sealKey   = "Planted-Key-77c1e0d2-0123456789a"
)

func TestEverything(t *testing.T) {
	s := &site{Site: rig.New(t, "../..", lab.Config{
		ImageNodes: len(nodes), Database: true, Keystone: true, Rabbit: true, Shared: "/srv/glance",
	})}
	example, err := filepath.Abs("../../examples/everything.hcl")
	if err != nil {
		t.Fatal(err)
	}
	s.Env = []string{"HOME=" + s.Home(t), "GLANCE_METADATA_KEY=" + sealKey}
	s.args = []string{"-var", "cache_size=8MiB", "-var", "scrub_time=0s", "-var", "jitter=0s", example}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *site)
	}{
		{"examples on bare machines", examples},
		{"apply", applied},
		{"clients of both versions", sideBySide},
		{"two nodes", twoNodes},
		{"a cache for each node", caches},
		{"a day of cron", cronDay},
		{"broker away", brokerAway},
		{"api killed", killedAPI},
		{"registry killed", killedRegistry},
		{"jobs killed", killedJobs},
		{"afterwards", afterwards},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, s) }) && part.name == "apply" {
			t.FailNow() // nothing to look at without it
		}
	}
	t.Run("destroy", func(t *testing.T) { destroyed(t, s) })
}

// glancectl runs a verb on the example and requires an exit code and texts.
func (s *site) glancectl(t *testing.T, code int, texts []string, verb ...string) rig.Result {
	t.Helper()
	return s.Want(t, code, texts, slices.Concat(verb, s.args)...)
}

// applied rolls the example out.
func applied(t *testing.T, s *site) {
	s.glancectl(t, 0, []string{
		"+ virtual host glance", "+ broker user glance", "+ permissions of glance in glance", "glance-api answers",
	}, "apply", "--auto-approve")
	for _, node := range nodes {
		if got, want := s.On(t, node, "systemctl is-active glance-api glance-registry; ls /etc/cron.d | grep glance"),
			"active\nactive\nglance-prefetcher\nglance-pruner\nglance-reaper\nglance-scrubber"; got != want {
			t.Errorf("%s has %q; want %q", node, got, want)
		}
		// No entry is started but by the tests.
		s.On(t, node, "systemctl stop cron")
	}
	s.demo, s.admin = s.token(t, "demo", s.DemoPassword()), s.token(t, "admin", s.AdminPassword())
}

// afterwards there are no changes, nobody has told a secret, and the real cron
// takes the entries.
func afterwards(t *testing.T, s *site) {
	s.glancectl(t, 0, []string{"No changes"}, "plan", "--detailed-exitcode")
	s.glancectl(t, 0, []string{"glance-api answers", "as the proposal says"}, "status")
	password := s.brokerPassword(t)
	for _, node := range append([]string{lab.RabbitNode}, nodes...) {
		if got := s.On(t, node, "{ journalctl -q --no-pager; cat /var/log/glance/*.log /var/log/rabbitmq/*.log 2>/dev/null; } | grep -c -F -e "+password+" -e "+sealKey+" || :"); got != "0" {
			t.Errorf("the logs of %s have secrets in %s lines", node, got)
		}
	}
	for _, node := range nodes {
		// It has read all entries when it comes to those that run at the start.
		if got := s.On(t, node, `systemctl start cron
said="journalctl -q _SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID cron)"
timeout 30 sh -c "until $said | grep -q '@reboot jobs'; do sleep 0.1; done" && $said -t cron | grep -i -e glance -e error -e bad || [ $? = 1 ]`); got != "" {
			t.Errorf("cron of %s says %s", node, got)
		}
		if got := s.On(t, node, "grep -h 'has no effect' /var/log/glance/*.log || :"); got != "" {
			t.Errorf("services of %s warn of what stands in their files:\n%s", node, got)
		}
	}
}

// brokerPassword is the one that was generated, which is on the nodes alone.
func (s *site) brokerPassword(t *testing.T) string {
	t.Helper()
	password := s.On(t, nodes[0], "sed -n 's/^rabbit_password = //p' /etc/glance/glance-api.conf")
	if len(password) != 32 {
		t.Fatalf("the generated password is %q; want 32 characters", password)
	}
	return password
}

// destroyed takes all of it away again.
func destroyed(t *testing.T, s *site) {
	s.glancectl(t, 0, []string{"- broker user glance", "- virtual host glance with everything in it", "- database"},
		"destroy", "--auto-approve", "--images", "--database", "--keystone", "--broker")
	if got := s.On(t, lab.RabbitNode, "rabbitmqctl -q list_vhosts; rabbitmqctl -q list_users"); strings.Contains(got, "glance") {
		t.Errorf("after destroy the broker has %s", got)
	}
	if got := s.On(t, nodes[0], "ls -A /srv/glance; ls -d /var/lib/glance /etc/glance /etc/cron.d/glance* 2>/dev/null || :"); got != "" {
		t.Errorf("after destroy there is %s", got)
	}
}
