package roles

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/machine"
	"glancectl/service/oslo"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func expand(t *testing.T, p *proposals.Proposal) []provision.Stage {
	t.Helper()
	stages, err := Expand(p, options())
	if err != nil {
		t.Fatal(err)
	}
	return stages
}

// The whole expansion of each sample: stages, targets, ids in their order.
func TestExpand(t *testing.T) {
	for name, sample := range samples() {
		t.Run(name, func(t *testing.T) {
			golden(t, name+".stages", outline(expand(t, sample())))
		})
	}
}

// outline writes stages for people.
func outline(stages []provision.Stage) string {
	var b strings.Builder
	for _, s := range stages {
		b.WriteString(s.Name)
		if s.Required {
			b.WriteString(", required")
		}
		if s.Once {
			b.WriteString(", once")
		}
		if s.Beside {
			b.WriteString(", beside the one before")
		}
		b.WriteByte('\n')
		for _, target := range s.Targets {
			fmt.Fprintf(&b, "  %s (host %q)\n", target.Name, target.Host)
			for _, r := range target.Resources {
				fmt.Fprintf(&b, "    %s%s\n", r.ID(), attributes(r))
			}
			for _, c := range target.Checks {
				fmt.Fprintf(&b, "    check: %s\n", c.Name)
			}
		}
	}
	return b.String()
}

func attributes(r provision.Resource) string {
	switch r := r.(type) {
	case machine.Dir:
		data := ""
		if r.Data {
			data = " data"
		}
		if r.Scratch {
			data += " scratch"
		}
		if r.Logs {
			data += " logs"
		}
		return " " + provision.Attrs(r.Mode, r.Owner, r.Group) + data
	case machine.File:
		return " " + provision.Attrs(r.Mode, r.Owner, r.Group)
	case machine.Binary:
		return " " + provision.Attrs(r.Mode, r.Owner, r.Group)
	case machine.Link:
		return " -> " + r.Target
	case machine.Absent:
		return " absent"
	case machine.Unit:
		return " watches " + strings.Join(r.Watch, " ")
	case machine.Process:
		return fmt.Sprintf(" %q watches %s", r.Argv, strings.Join(r.Watch, " "))
	case machine.Command:
		return fmt.Sprintf(" %q as %q, unless %q, watches %s", r.Run, r.User, r.Check, strings.Join(r.Watch, " "))
	}
	return ""
}

// The files of each sample as they would land on its last node.
func TestRender(t *testing.T) {
	for name, sample := range samples() {
		t.Run(name, func(t *testing.T) {
			p := sample()
			files, err := Render(p, p.Glance.Nodes[len(p.Glance.Nodes)-1], Options{})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, f := range files {
				fmt.Fprintf(&b, "-- %s %s --\n%s", f.Path, provision.Attrs(f.Mode, f.Owner, f.Group), f.Content)
			}
			golden(t, name+".files", b.String())
		})
	}
}

// resources returns all resources of one type in the stages of p.
func resources[R provision.Resource](t *testing.T, p *proposals.Proposal) []R {
	t.Helper()
	var rs []R
	for _, stage := range expand(t, p) {
		for _, target := range stage.Targets {
			for _, r := range target.Resources {
				if r, ok := r.(R); ok {
					rs = append(rs, r)
				}
			}
		}
	}
	return rs
}

// config reads a rendered file of a sample the way the service does.
func config(t *testing.T, p *proposals.Proposal, name string) *oslo.Config {
	t.Helper()
	for _, f := range resources[machine.File](t, p) {
		if f.Path == name {
			c, err := oslo.Parse(name, f.Content)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	t.Fatalf("nothing writes %s", name)
	return nil
}

func option(t *testing.T, p *proposals.Proposal, file, section, key string) string {
	t.Helper()
	value, ok := config(t, p, file).Get(section, key)
	if !ok {
		return "(unset)"
	}
	return value
}

// Where the barclamp's templates and recipes went wrong, in the order in which its
// history tells. Elsewhere are tried: that booleans are spelled one way (7,
// templates.TestBooleansAreSpelledOneWay), that no file with a password is for
// everybody (8, TestNoFileIsOpenToEverybody), that a Keystone that refuses ends an
// apply and an endpoint follows the address (9, identity.TestFaults and the tests
// with real servers), that what is turned off or deactivated goes (11,
// TestTurnedOffElementsGo, TestExpandDestroy); and that the programs do what their
// files say.
func TestDefectsOfTheBarclamp(t *testing.T) {
	p := swift()
	g := p.Glance
	g.UseSyslog = true
	g.Registry.Verbose, g.Registry.Debug, g.API.Debug = false, true, false
	g.PIDDirectory, g.WorkingDirectory = "/run/elsewhere", "/srv/work"
	g.Database.IdleTimeout = 99 * time.Second
	g.ScrubTime = 7 * time.Minute
	g.Cache.MaxSize, g.Cache.ExtraToFree = 12345, 0.35
	g.Cache.GracePeriod, g.Cache.StallTimeout = 11*time.Second, 22*time.Second
	for _, test := range []struct {
		item                     int
		file, section, key, want string
	}{
		{1, "glance-api", "DEFAULT", "delayed_delete", "True"},
		{1, "glance-scrubber", "DEFAULT", "delayed_delete", "True"},
		{1, "glance-scrubber", "DEFAULT", "scrub_time", "420"},
		{1, "glance-scrubber", "glance_store", "swift_store_config_file", "/etc/glance/glance-swift.conf"},
		{2, "glance-api", "DEFAULT", "use_syslog", "True"},
		{2, "glance-registry", "DEFAULT", "use_syslog", "True"},
		{2, "glance-registry", "DEFAULT", "verbose", "False"},
		{2, "glance-registry", "DEFAULT", "debug", "True"},
		{2, "glance-api", "DEFAULT", "debug", "False"},
		{2, "glance-api", "database", "connection_recycle_time", "99"},
		{2, "glance-registry", "database", "connection_recycle_time", "99"},
		{3, "glance-api", "DEFAULT", "pid_file", "/run/elsewhere/glance-api.pid"},
		{3, "glance-registry", "DEFAULT", "pid_file", "/run/elsewhere/glance-registry.pid"},
		{3, "glance-api", "oslo_concurrency", "lock_path", "/srv/work/lock"},
		{3, "glance-registry", "oslo_concurrency", "lock_path", "/srv/work/lock"},
		{3, "glance-scrubber", "oslo_concurrency", "lock_path", "/srv/work/lock"},
		{3, "glance-pruner", "oslo_concurrency", "lock_path", "/srv/work/lock"},
		{4, "glance-pruner", "DEFAULT", "image_cache_max_size", "12345"},
		{4, "glance-pruner", "DEFAULT", "image_cache_percent_extra_to_free", "0.35"},
		{4, "glance-reaper", "DEFAULT", "image_cache_stall_time", "22"},
		{4, "glance-reaper", "DEFAULT", "image_cache_invalid_entry_grace_period", "11"},
		{5, "glance-cache", "DEFAULT", "image_cache_stall_time", "22"},
		{5, "glance-cache", "DEFAULT", "scrub_time", "(unset)"},
	} {
		if got := option(t, p, "/etc/glance/"+test.file+".conf", test.section, test.key); got != test.want {
			t.Errorf("item %d: %s: [%s] %s = %s; want %s", test.item, test.file, test.section, test.key, got, test.want)
		}
	}

	p.Glance.Keystone = nil
	if got := option(t, p, "/etc/glance/glance-api.conf", "paste_deploy", "flavor"); got != "cachemanagement" {
		t.Errorf("item 6: flavor of a cache without Keystone = %s; want cachemanagement", got)
	}
	for _, name := range []string{"glance-api", "glance-registry"} {
		if keys := config(t, p, "/etc/glance/"+name+".conf").Keys("keystone_authtoken"); keys != nil {
			t.Errorf("item 12: without Keystone %s.conf has [keystone_authtoken] %v", name, keys)
		}
	}
	synced := slices.IndexFunc(resources[machine.Command](t, p), func(c machine.Command) bool { return strings.Contains(strings.Join(c.Run, " "), "db sync") })
	if synced < 0 {
		t.Error("item 10: nothing makes the tables")
	}
	p.Glance.Database.Instance = "other"
	if _, err := Expand(p, options()); err == nil || !strings.Contains(err.Error(), `no mysql "other"`) {
		t.Errorf("item 13: Expand with an instance that nobody defines: error %v; want one that names it", err)
	}
}

func TestNoFileIsOpenToEverybody(t *testing.T) {
	secret := regexp.MustCompile(`secret|p@ss|p%40ss|generated-`)
	for name, sample := range samples() {
		for _, f := range resources[machine.File](t, sample()) {
			if f.Mode&0o007 != 0 && secret.Match(f.Content) {
				t.Errorf("%s: %s has a password and the mode %v", name, f.Path, f.Mode)
			}
		}
	}
}

// Files that an earlier proposal put there go when it no longer wants them.
func TestTurnedOffElementsGo(t *testing.T) {
	p := production()
	p.Glance.Cache.Enabled = false
	var absent []string
	for _, a := range resources[machine.Absent](t, p) {
		if !slices.Contains(absent, a.Path) {
			absent = append(absent, a.Path)
		}
	}
	want := []string{
		"/etc/glance/glance-swift.conf",
		"/etc/cron.d/glance-reaper", "/etc/cron.d/glance-prefetcher", "/etc/cron.d/glance-pruner",
	}
	if diff := cmp.Diff(want, absent); diff != "" {
		t.Errorf("absent files (-want +got):\n%s", diff)
	}
	for _, f := range resources[machine.File](t, p) {
		if slices.Contains(absent, f.Path) {
			t.Errorf("%s is both written and removed", f.Path)
		}
	}
}

func TestEveryResourceHasItsOwnID(t *testing.T) {
	for name, sample := range samples() {
		seen := make(map[string]bool)
		for _, stage := range expand(t, sample()) {
			for _, target := range stage.Targets {
				for _, r := range target.Resources {
					id := target.Name + " " + r.ID()
					if seen[id] {
						t.Errorf("%s: two resources are %s", name, id)
					}
					seen[id] = true
				}
			}
		}
	}
}

// What is watched is there: a typing error in an id would keep a daemon from
// being restarted.
func TestWatchedResourcesExist(t *testing.T) {
	for name, sample := range samples() {
		ids := make(map[string]bool)
		var watched []string
		for _, stage := range expand(t, sample()) {
			for _, target := range stage.Targets {
				for _, r := range target.Resources {
					ids[r.ID()] = true
					switch r := r.(type) {
					case machine.Unit:
						watched = append(watched, r.Watch...)
					case machine.Process:
						watched = append(watched, r.Watch...)
					case machine.Command:
						watched = append(watched, r.Watch...)
					}
				}
			}
		}
		if len(watched) == 0 {
			t.Errorf("%s: nothing is watched", name)
		}
		for _, id := range watched {
			if !ids[id] {
				t.Errorf("%s: %s is watched, but nothing makes it", name, id)
			}
		}
	}
}

// Nothing of a node with a root is outside of it.
func TestRoot(t *testing.T) {
	p := quickstart()
	root := p.Nodes[0].Root
	outside := regexp.MustCompile(`(^|[^/\w])/(etc|var|usr|run)/`)
	for _, f := range resources[machine.File](t, p) {
		if !strings.HasPrefix(f.Path, root+"/") {
			t.Errorf("%s is outside of %s", f.Path, root)
		}
		for line := range strings.Lines(string(f.Content)) {
			if strings.Contains(line, "=") && outside.MatchString(strings.ReplaceAll(line, root, "")) &&
				!strings.Contains(line, root+"/") {
				t.Errorf("%s leads out of %s: %s", f.Path, root, line)
			}
		}
		if f.Owner != "" || f.Group != "" {
			t.Errorf("%s is given to %s:%s; want the calling user to keep it", f.Path, f.Owner, f.Group)
		}
	}
	if got, want := option(t, p, root+"/etc/glance/glance-api.conf", "database", "connection"),
		"sqlite:////srv/quick start/var/lib/glance/glance.sqlite"; got != want {
		t.Errorf("connection = %s; want %s", got, want)
	}
	if rs := resources[machine.User](t, p); len(rs) > 0 {
		t.Errorf("a node without systemd gets the users %v", rs)
	}
}

func TestDatabasePasswordIsPercentEncoded(t *testing.T) {
	p := swift()
	p.Glance.Database.Password = proposals.NewSecret("a b+c@d:e/f%g$h?")
	want := "mysql+pymysql://glance:a%20b%2Bc%40d%3Ae%2Ff%25g%24h%3F@10.77.0.4:3306/glance?charset=utf8"
	if got := option(t, p, "/etc/glance/glance-api.conf", "database", "connection"); got != want {
		t.Errorf("connection = %s; want %s", got, want)
	}
}

// A configuration file may stand in a directory of others, which stays theirs.
func TestDirectoriesOfConfigurationFiles(t *testing.T) {
	p := production()
	p.Glance.API.ConfigFile, p.Glance.API.PasteFile = "/etc/glance-api.conf", "/data/glance-api-paste.ini"
	for _, d := range resources[machine.Dir](t, p) {
		if d.Path == "/etc" || d.Path == "/data" {
			t.Errorf("a configuration file in %s makes it %s", d.Path, provision.Attrs(d.Mode, d.Owner, d.Group))
		}
	}
}

func TestExpandDestroy(t *testing.T) {
	for _, test := range []struct {
		name string
		d    DestroyOptions
		want string
	}{
		{"default", DestroyOptions{}, "nodes\n"},
		{"images", DestroyOptions{Images: true}, "nodes\n"},
		{"keystone", DestroyOptions{Keystone: true}, "nodes\nkeystone\n"},
		{"database", DestroyOptions{Database: true}, "nodes\ndatabase\n"},
		{"everything", DestroyOptions{Database: true, Keystone: true, Images: true}, "nodes\nkeystone\ndatabase\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stages, err := ExpandDestroy(production(), Options{}, test.d)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for _, s := range stages {
				got += s.Name + "\n"
				for _, target := range s.Targets {
					r, ok := target.Resources[0].(machine.Removal)
					if ok != (s.Name == "nodes") || r.Images != (ok && test.d.Images) {
						t.Errorf("%s in %s removes what is on the node: %t, images: %t; want %t of images", target.Name, s.Name, ok, r.Images, test.d.Images)
					}
				}
			}
			if got != test.want {
				t.Errorf("stages:\n%swant:\n%s", got, test.want)
			}
		})
	}
	// Without MySQL and Keystone there is nothing but nodes.
	stages, err := ExpandDestroy(single(), Options{}, DestroyOptions{Database: true, Keystone: true})
	if err != nil || len(stages) != 1 {
		t.Errorf("ExpandDestroy of one node: %d stages, error %v; want 1", len(stages), err)
	}
}

func TestWithoutTheRole(t *testing.T) {
	p := production()
	p.Glance = nil
	if stages, err := Expand(p, Options{}); len(stages) > 0 || err != nil {
		t.Errorf("Expand without the role = %v, %v; want nothing", stages, err)
	}
	if _, err := Render(p, "image-1", Options{}); err == nil {
		t.Error("Render of a node without the role: no error")
	}
}

func TestRelative(t *testing.T) {
	for _, test := range []struct{ dir, name, want string }{
		{"/usr/bin", "/usr/lib/glancectl/glanced", "../lib/glancectl/glanced"},
		{"/usr/bin", "/usr/bin/glanced", "glanced"},
		{"/opt/bin", "/usr/lib/glanced", "../../usr/lib/glanced"},
	} {
		if got := relative(test.dir, test.name); got != test.want {
			t.Errorf("relative(%s, %s) = %s; want %s", test.dir, test.name, got, test.want)
		}
	}
}
