package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/e2e/lab"
	"glancectl/e2e/rig"
)

// TestMainJob is the life of one deployment, from a plan on bare machines to
// its end. All parts need the first apply; each leaves the deployment as it was.
func TestMainJob(t *testing.T) {
	s := newSite(t, lab.Config{ImageNodes: 3, Keystone: true, Database: true, DiskMiB: map[string]int{"image-3": 300}})
	main := draft{Name: "main", Nodes: []string{"image-1", "image-2"}, Delayed: true}
	before := s.inventories(t, main)

	for _, part := range []struct {
		name string
		run  func(*testing.T, *site, draft)
	}{
		{"first apply", firstApply},
		{"second apply changes nothing", secondApply},
		{"login without root", withSudo},
		{"openstack and glance clients", clients},
		{"cron", cronJobs},
		{"cache turned on and off", cacheTurned},
		{"changed by hand, changed in the proposal", drift},
		{"faults", faults},
		{"no secret anywhere", noSecret},
		{"cron on its own", cronRan},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, s, main) }) && part.name == "first apply" {
			t.FailNow() // nothing to look at without it
		}
	}
	t.Run("destroy", func(t *testing.T) { destroyed(t, s, main, before) })
}

// firstApply rolls out on bare machines, while every node's command lines
// are recorded for noSecret.
func firstApply(t *testing.T, s *site, d draft) {
	p := s.propose(t, d)
	s.Want(t, 0, []string{"proposal main is valid"}, "validate", p)
	s.Want(t, 2, []string{"+ database", "+ file /etc/glance/glance-api.conf", "Plan: "}, "plan", "--detailed-exitcode", p)
	if got := s.On(t, "image-1", "ls /etc/glance /usr/bin/glance-api 2>&1 | wc -l; getent passwd glance || echo no user"); !strings.HasSuffix(got, "no user") {
		t.Errorf("after plan, on image-1: %s; want nothing changed", got)
	}
	s.Want(t, 1, []string{"--auto-approve"}, "apply", p)

	s.watchProcesses(t)
	s.Want(t, 0, []string{"Applied in", "glance-api answers"}, "apply", "--auto-approve", p)
	s.stopWatching(t)

	for _, node := range d.Nodes {
		for _, want := range []struct{ script, out string }{
			{"systemctl is-active glance-api glance-registry", "active\nactive"},
			{"systemctl is-enabled glance-api glance-registry", "enabled\nenabled"},
			{"stat -c '%A %U %G' /etc/glance/glance-api.conf", "-rw-r----- root glance"},
			{"stat -c '%A %U' /var/lib/glancectl/main/receipt.toml", "-rw------- root"},
			{"ps -o user= -C glance-api,glance-registry | sort -u", "glance"},
			{"ls /etc/cron.d | grep glance", "glance-scrubber"},
			{"logrotate -d /etc/logrotate.d/glance >/dev/null 2>&1; echo $?", "0"},
			{"su -s /bin/sh glance -c 'glance-manage --config-file /etc/glance/glance-manage.conf db version'", "wallaby_contract01"},
		} {
			if got := s.On(t, node, want.script); got != want.out {
				t.Errorf("on %s: %s = %q; want %q", node, want.script, got, want.out)
			}
		}
	}
	s.asRendered(t, d)
	grants := s.On(t, "db-node", `mysql -N -e "SHOW GRANTS FOR 'glance'@'%'"`)
	for _, want := range []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER"} {
		if !strings.Contains(grants, want) {
			t.Errorf("grants lack %s: %s", want, grants)
		}
	}
	if strings.Contains(grants, "ALL PRIVILEGES") || strings.Contains(grants, "GRANT OPTION") || strings.Contains(grants, "TRIGGER") {
		t.Errorf("grants are too wide: %s", grants)
	}
	endpoints := s.On(t, "auth-node", ". /root/openrc; openstack endpoint list --service image -f value -c Interface -c URL | sort")
	if want := "admin http://10.77.0.21:9292\ninternal http://10.77.0.21:9292\npublic http://10.77.0.21:9292"; endpoints != want {
		t.Errorf("endpoints:\n%s\nwant:\n%s", endpoints, want)
	}
}

// secondApply finds nothing to do, and proves it by what is on the nodes.
func secondApply(t *testing.T, s *site, d draft) {
	state := `find /etc/glance /usr/lib/glancectl /etc/cron.d /var/lib/glancectl -type f -printf '%p %C@ %i\n' | sort; systemctl show -p MainPID glance-api glance-registry`
	before := s.On(t, "image-1", state)
	r := s.Want(t, 0, nil, "plan", "--detailed-exitcode", "--json", d.Name+".hcl")
	if trips := r.Lines(t, "change_summary")[0]["round_trips"].(float64); trips > 4 {
		t.Errorf("a plan with nothing to do took %v round trips a node; want at most 4", trips)
	}
	s.Converged(t, d.Name+".hcl")
	if after := s.On(t, "image-1", state); after != before {
		t.Errorf("the second apply changed something:\n%s\nbefore:\n%s", after, before)
	}
	s.Want(t, 0, []string{"glance-api answers", "as the proposal says"}, "status", d.Name+".hcl")
}

// withSudo sees the same deployment as an ordinary user who may sudo, and
// the database by an account of its own.
func withSudo(t *testing.T, s *site, d draft) {
	d.User = lab.Operator
	d.Name = "main"
	s.propose(t, d)
	s.Want(t, 0, []string{"No changes"}, "plan", "--detailed-exitcode", "main.hcl")

	s.On(t, "db-node", `mysql -e "GRANT ALL ON *.* TO deployer@localhost IDENTIFIED BY 'deploy-1f9' WITH GRANT OPTION"`)
	d.User, d.Admin = "", `admin {
      user     = "deployer"
      password = "deploy-1f9"
    }`
	s.propose(t, d)
	s.Want(t, 0, []string{"No changes"}, "plan", "--detailed-exitcode", "main.hcl")
	d.Admin = strings.Replace(d.Admin, "deploy-1f9", "wrong", 1)
	s.propose(t, d)
	s.Want(t, 12, []string{"deployer"}, "plan", "main.hcl")
	s.On(t, "db-node", `mysql -e "DROP USER deployer@localhost"`)
	d.Admin = ""
	s.propose(t, d)
}

// clients are the ones that people use, as an ordinary user.
func clients(t *testing.T, s *site, _ draft) {
	const demo = ". /root/demo-openrc; cd /root; "
	// The header of a qcow2 of 10 MiB, and 8 MiB in all.
	s.On(t, "auth-node", `{ printf 'QFI\373\0\0\0\2'; head -c 16 /dev/zero; printf '\0\0\0\0\0\240\0\0'; head -c 480 /dev/zero; head -c 8388096 /dev/urandom; } > /root/disk.qcow2`)
	s.On(t, "auth-node", demo+"openstack image create --file disk.qcow2 --disk-format qcow2 --container-format bare cirros >/dev/null")
	id := s.On(t, "auth-node", demo+"openstack image show cirros -f value -c id")
	for _, want := range []struct{ script, out string }{
		{"openstack image list -f value -c Name -c Status", "cirros active"},
		{"openstack image show " + id + " -f value -c visibility", "shared"},
		{"openstack image save --file saved cirros && cmp disk.qcow2 saved && echo same", "same"},
		{"openstack image set --property os_distro=debian --tag small cirros && openstack image show cirros -f value -c tags", "['small']"},
		{"glance image-create --name second --disk-format raw --container-format bare --file disk.qcow2 | grep -c 'status *| active'", "1"},
		{"glance image-list | grep -c second", "1"},
	} {
		if got := s.On(t, "auth-node", demo+want.script); got != want.out {
			t.Errorf("%s = %q; want %q", want.script, got, want.out)
		}
	}
	if got, want := s.On(t, "image-1", "stat -c '%A %U %G %s' /var/lib/glance/images/"+id), "-rw-r----- glance glance 8388608"; got != want {
		t.Errorf("image file: %q; want %q", got, want)
	}
	s.On(t, "auth-node", demo+"openstack image delete cirros second")
	if got := s.On(t, "auth-node", demo+"openstack image list -f value"); got != "" {
		t.Errorf("after delete: %q; want an empty list", got)
	}
	if out := s.Fails(t, "auth-node", "openstack --os-auth-type none --os-endpoint http://10.77.0.21:9292 image list"); !strings.Contains(out, "401") {
		t.Errorf("without a token: %s; want 401", out)
	}
}

// runCron runs the one line of a cron file by hand, as cron would.
func (s *site) runCron(t *testing.T, node, file string) string {
	t.Helper()
	return s.On(t, node, s.CronLine(t, node, file))
}

// cronJobs runs the scrubber by hand, which removes the data of an image in
// pending_delete. Cron, which would do it every minute, rests meanwhile.
func cronJobs(t *testing.T, s *site, d draft) {
	const demo = ". /root/demo-openrc; cd /root; "
	for _, node := range d.Nodes {
		s.On(t, node, "systemctl stop cron")
	}
	p := d.Name + ".hcl"
	// On all nodes at once: what earlier parts have deleted.
	s.Want(t, 0, []string{"done image-1: scrubber: ", "done image-2: scrubber: "}, "job", "run", p, "scrubber")
	s.On(t, "auth-node", demo+"openstack image create --file disk.qcow2 doomed >/dev/null")
	id := s.On(t, "auth-node", demo+"openstack image show doomed -f value -c id")
	file := "/var/lib/glance/images/" + id
	s.On(t, "auth-node", demo+"openstack image delete doomed")
	if got := s.On(t, "image-1", "ls "+file); got != file {
		t.Errorf("after a delayed delete: %q; want the data kept for the scrubber", got)
	}
	s.Want(t, 0, []string{"done image-1: scrubber: 1 done, 8.0 MiB in "}, "job", "run", "--node", "image-1", p, "scrubber")
	if got := s.On(t, "image-1", "ls "+file+" 2>/dev/null || echo gone"); got != "gone" {
		t.Errorf("after the scrubber: %s; want it gone", got)
	}
	status := s.On(t, "db-node", "mysql -N glance -e \"SELECT status, deleted FROM images WHERE id = '"+id+"'\"")
	if status != "deleted\t1" {
		t.Errorf("the image's row: %q; want it deleted", status)
	}
	r := s.Want(t, 0, nil, "job", "list", p)
	for _, want := range []string{
		`(?m)^image-1  scrubber  \* \* \* \* \*  glance  20\S+ \S+ +\S+s  done +1 done, 8.0 MiB +20\S+ \S+:00$`,
		`(?m)^image-2  scrubber  \* \* \* \* \*  glance  `,
	} {
		if !regexp.MustCompile(want).MatchString(r.Stdout) {
			t.Errorf("want a line %s\n%v", want, r)
		}
	}
	// One that should have run and has not is a warning.
	const record = "/var/lib/glance/lock/glance-scrubber.runs"
	s.On(t, "image-2", "mv "+record+" /root/kept; touch -d '1 hour ago' /etc/cron.d/glance-scrubber")
	s.Want(t, 0, []string{"  warning    scrubber: it has never run: it is there since "}, "status", p)
	s.On(t, "image-2", "mv /root/kept "+record)
	r = s.Want(t, 0, nil, "job", "log", "--json", "--runs", "1", "--lines", "1", p, "scrubber")
	for _, node := range d.Nodes {
		if !slices.ContainsFunc(r.Lines(t, "run"), func(run map[string]any) bool { return run["node"] == node && run["result"] == "done" }) ||
			!slices.ContainsFunc(r.Lines(t, "log_line"), func(line map[string]any) bool {
				return line["node"] == node && strings.Contains(fmt.Sprint(line["text"]), " glance.scrubber ")
			}) {
			t.Errorf("want the last run of the scrubber on %s, and a line of its log\n%v", node, r)
		}
		s.On(t, node, "systemctl start cron")
	}
}

// cronRan sees what cron has started on its own, at the turn of a minute: the
// first may take that long, and a busy machine may be late for one or two.
func cronRan(t *testing.T, s *site, d draft) {
	var r rig.Result
	ran := func() bool {
		r = s.Want(t, 0, nil, "job", "log", "--json", "--runs", "50", "--lines", "1", "--node", "image-1", d.Name+".hcl", "scrubber")
		lines := r.Lines(t, "log_line")
		if len(lines) == 0 { // nobody has run yet
			return false
		}
		if line := lines[0]["text"]; !strings.Contains(fmt.Sprint(line), " glance.scrubber ") {
			t.Errorf("the log's last line: %v; want one of the scrubber", line)
		}
		return slices.ContainsFunc(r.Lines(t, "run"), func(run map[string]any) bool {
			start, err := time.Parse(time.RFC3339, run["start"].(string))
			if err != nil {
				t.Fatal(err)
			}
			return start.Second() < 3 && run["result"] == "done"
		})
	}
	for deadline := time.Now().Add(4 * time.Minute); !ran(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("cron has started nothing:\n%v", r)
		}
	}
}

// cacheTurned turns the cache on: three more jobs that work; and off again.
func cacheTurned(t *testing.T, s *site, d draft) {
	const demo = ". /root/demo-openrc; cd /root; "
	d.Cache = true
	p := s.propose(t, d)
	s.Want(t, 2, []string{"+ file /etc/cron.d/glance-pruner", "! restart glance-api.service"}, "plan", "--detailed-exitcode", p)
	s.Converged(t, p)
	s.asRendered(t, d)
	s.On(t, "auth-node", demo+"openstack image create --file disk.qcow2 cached >/dev/null && openstack image save --file saved cached && cmp disk.qcow2 saved")
	id := s.On(t, "auth-node", demo+"openstack image show cached -f value -c id")
	if got := s.On(t, "image-1", "stat -c '%s %U' /var/lib/glance/image-cache/"+id); got != "8388608 glance" {
		t.Errorf("in the cache: %q; want the whole image", got)
	}
	// Served from the cache even when the store has lost it.
	s.On(t, "image-1", "mv /var/lib/glance/images/"+id+" /root/kept")
	s.On(t, "auth-node", demo+"openstack image save --file saved cached && cmp disk.qcow2 saved")
	s.On(t, "image-1", "mv /root/kept /var/lib/glance/images/"+id)
	for _, job := range []string{"glance-reaper", "glance-prefetcher", "glance-pruner"} {
		s.runCron(t, "image-1", job)
	}
	s.On(t, "auth-node", demo+"openstack image delete cached")
	s.runCron(t, "image-1", "glance-scrubber")

	d.Cache = false
	s.propose(t, d)
	s.Converged(t, p)
	if got := s.On(t, "image-1", "ls /etc/cron.d | grep glance"); got != "glance-scrubber" {
		t.Errorf("cron entries with the cache off: %q; want the scrubber's alone", got)
	}
}

// drift tells a change by hand from one of the proposal.
func drift(t *testing.T, s *site, d draft) {
	p := s.propose(t, d)
	s.On(t, "image-1", "sed -i 's/^debug = .*/debug = True/' /etc/glance/glance-api.conf")
	r := s.Want(t, 2, []string{"changed on the node since the last apply", "-debug = True", "+debug = False"}, "plan", "--detailed-exitcode", p)
	if strings.Contains(r.Stdout, planted) {
		t.Errorf("the diff shows a password\n%v", r)
	}
	s.Want(t, 0, []string{"1 of them made by hand"}, "status", p)
	s.Converged(t, p)

	d.Workers = 3
	s.propose(t, d)
	r = s.Want(t, 2, []string{"+workers = 3", "! restart glance-api.service"}, "plan", "--detailed-exitcode", p)
	if strings.Contains(r.Stdout, "changed on the node") || strings.Count(r.Stdout, "changed in the proposal since the last apply") != len(d.Nodes) {
		t.Errorf("a change of the proposal is not called one\n%v", r)
	}
	if strings.Contains(r.Stdout, "! restart glance-registry") {
		t.Errorf("the registry is to be restarted, and nothing of it changed\n%v", r)
	}
	s.Converged(t, p)
}

// asRendered requires that the files of glancectl on the nodes are those that
// render writes, byte for byte.
func (s *site) asRendered(t *testing.T, d draft) {
	t.Helper()
	dir := t.TempDir()
	s.Want(t, 0, nil, "render", "-o", dir, "--show-secrets", d.Name+".hcl")
	for _, node := range d.Nodes {
		want := files(t, filepath.Join(dir, node), "*/*/*", "*/*/*/*")
		if len(want) < 10 {
			t.Errorf("render writes %d files for %s", len(want), node)
		}
		got := files(t, s.Node(node).Root, "etc/glance/*", "etc/*/glance*", "etc/systemd/system/glance*")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("on %s are not the files that render writes (-render +node):\n%s", node, diff)
		}
	}
}

// files returns modes and contents of the files below root that fit patterns.
func files(t *testing.T, root string, patterns ...string) map[string]string {
	t.Helper()
	dir, found := os.DirFS(root), map[string]string{}
	for _, pattern := range patterns {
		names, err := fs.Glob(dir, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			info, err := fs.Stat(dir, name)
			if err != nil {
				t.Fatal(err)
			}
			if info.IsDir() {
				continue
			}
			text, err := fs.ReadFile(dir, name)
			if err != nil {
				t.Fatal(err)
			}
			found[name] = info.Mode().String() + "\n" + string(text)
		}
	}
	return found
}

// inventories are what is on the image nodes of a draft outside of what runs
// and logs: files with their owners, modes and, where they configure
// something, contents; users, groups, crontabs and units.
func (s *site) inventories(t *testing.T, d draft) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, node := range d.Nodes {
		all[node] = strings.Split(s.On(t, node, `
			find /etc /usr /opt /srv /home /root /var /run -xdev \( -path /var/lib/systemd -o -path /var/log/journal -o -path /run/systemd -o -path /run/log -o -path '/var/tmp/systemd-private-*' \) -prune \
				-o ! -path /root/watched ! -path '/root/watch.s*' -printf '%y %m %u %g %p %l\n' | sort -k5
			find /etc /var/spool/cron -xdev -type f ! -name '*-' ! -name .updated -exec sha256sum {} + | sort -k2
			getent passwd; getent group; getent shadow; systemctl list-unit-files --no-legend --no-pager
			systemctl list-units --all --no-legend --no-pager 'glance*'`), "\n")
	}
	return all
}

// destroyed takes everything away and leaves the node as it was.
func destroyed(t *testing.T, s *site, d draft, before map[string][]string) {
	p := s.propose(t, d)
	s.On(t, "image-1", "echo data >/var/lib/glance/images/kept")
	s.Want(t, 0, nil, "destroy", "--auto-approve", p)
	if got := s.On(t, "image-1", "ls -d /var/lib/glance/images /usr/bin/glance-api 2>/dev/null || :"); got != "/var/lib/glance/images" {
		t.Errorf("after a destroy without flags: %q; want the images alone", got)
	}
	s.Want(t, 0, []string{"its data is still there"}, "status", p)
	s.Want(t, 0, []string{"- database"}, "destroy", "--auto-approve", "--images", "--database", "--keystone", p)
	if diff := cmp.Diff(before, s.inventories(t, d)); diff != "" {
		t.Errorf("destroy did not leave the nodes as they were (-before +after):\n%s", diff)
	}
	if got := s.On(t, "db-node", `mysql -N -e "SHOW DATABASES LIKE 'glance'; SELECT User FROM mysql.user WHERE User = 'glance'"`); got != "" {
		t.Errorf("left on the database: %q", got)
	}
	if got := s.On(t, "auth-node", ". /root/openrc; openstack service list -f value -c Type; openstack user list --project service -f value -c Name"); strings.Contains(got, "image") || strings.Contains(got, "glance") {
		t.Errorf("left in the Keystone: %q", got)
	}
	s.Want(t, 0, []string{"Nothing to take away"}, "destroy", "--auto-approve", p)
	s.Want(t, 0, []string{"applied    never"}, "status", p)
}
