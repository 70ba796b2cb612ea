package e2e

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/e2e/lab"
)

// TestOperator is the life of a deployment by an ordinary user of the nodes,
// who may sudo, with a proposal that leaves the passwords out.
func TestOperator(t *testing.T) {
	s := newSite(t, lab.Config{ImageNodes: 2, Keystone: true, Database: true})
	d := draft{Name: "operator", Nodes: []string{"image-1", "image-2"}, User: lab.Operator, Generated: true}
	p := s.propose(t, d)
	before := s.inventories(t, d)
	s.On(t, "image-1", "mkdir /srv/other && mount -t tmpfs none /srv/other")

	s.watchProcesses(t)
	s.Want(t, 0, []string{"+ file /var/lib/glancectl/operator/secrets.toml", "glance-api answers"}, "apply", "--auto-approve", p)
	passwords := s.passwords(t, d)
	d.Workers = 2
	s.propose(t, d)
	r := s.Want(t, 0, []string{"file:/etc/glance/glance-api.conf"}, "apply", "--auto-approve", "--json", p)
	if len(r.Lines(t, "planned_change")) == 0 {
		t.Errorf("an apply in JSON names no change\n%v", r)
	}
	s.stopWatching(t)
	if diff := cmp.Diff(passwords, s.passwords(t, d)); diff != "" {
		t.Errorf("the second apply has changed the generated passwords (-first +second):\n%s", diff)
	}
	s.Want(t, 0, []string{"No changes"}, "plan", "--detailed-exitcode", p)

	t.Run("clients", func(t *testing.T) { secondNode(t, s) })
	for _, service := range []string{"glance-api", "glance-registry"} {
		t.Run(service+" is confined", func(t *testing.T) { confined(t, s, service) })
	}
	t.Run("no generated password anywhere", func(t *testing.T) {
		s.Want(t, 0, nil, "status", p)
		s.Want(t, 0, nil, "render", p)
		secrets := spelled(slices.Collect(maps.Values(passwords))...)
		s.notPrinted(t, secrets)
		s.nowhere(t, secrets)
	})
	s.On(t, "image-1", "umount /srv/other && rmdir /srv/other")
	t.Run("destroy", func(t *testing.T) { takenAway(t, s, d, before) })
}

var generated = regexp.MustCompile(`(?s)\nconnection = mysql\+pymysql://glance:([^@]*)@.*\[keystone_authtoken\].*\npassword = (\S+)\n`)

// passwords returns those that were generated for the database and the
// Keystone, as all image nodes have them.
func (s *site) passwords(t *testing.T, d draft) map[string]string {
	t.Helper()
	var found map[string]string
	for _, node := range d.Nodes {
		m := generated.FindStringSubmatch(s.On(t, node, "cat /etc/glance/glance-api.conf"))
		if m == nil || len(m[1]) != 32 || len(m[2]) != 32 || m[1] == m[2] {
			t.Fatalf("%s has %q; want two passwords of 32 characters", node, m)
		}
		here := map[string]string{"database": m[1], "keystone": m[2]}
		if found != nil && !maps.Equal(found, here) {
			t.Errorf("%s has other passwords, %v, than %s, %v", node, here, d.Nodes[0], found)
		}
		found = here
	}
	return found
}

// secondNode has an image made through the first node and seen through the
// second, by the client that people use.
func secondNode(t *testing.T, s *site) {
	const list = "env -i PATH=$PATH HOME=/root openstack --os-cloud second --debug image list -f value -c Name -c Status 2>/root/debug"
	got := s.On(t, "auth-node", `. /root/demo-openrc; echo data >/root/data; mkdir -p /root/.config/openstack
cat >/root/.config/openstack/clouds.yaml <<EOF
clouds:
  second:
    auth: {auth_url: $OS_AUTH_URL, username: $OS_USERNAME, password: $OS_PASSWORD, project_name: $OS_PROJECT_NAME, user_domain_name: Default, project_domain_name: Default}
    region_name: RegionOne
    image_endpoint_override: http://10.77.0.22:9292
EOF
		openstack image create --file /root/data --disk-format raw common >/dev/null; `+list+`
		openstack image delete common; `+list+`
		grep -o 'GET http://[^/]*/v2/images' /root/debug | sort -u`)
	if want := "common active\nGET http://10.77.0.22:9292/v2/images"; got != want {
		t.Errorf("an image that was made through the first node and deleted there is seen through the second:\n%s\nwant\n%s", got, want)
	}
}

// confined requires that a service can write in its directories and nowhere
// else, whoever it is, and has no capability and no way to get one.
func confined(t *testing.T, s *site, service string) {
	pid := s.On(t, "image-1", "systemctl show -P MainPID "+service)
	const none = "\t0000000000000000\n"
	want := "CapInh:" + none + "CapPrm:" + none + "CapEff:" + none + "CapBnd:" + none + "CapAmb:" + none + "NoNewPrivs:\t1\nSeccomp:\t2"
	if got := s.On(t, "image-1", "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/"+pid+"/status"); got != want {
		t.Errorf("it runs with\n%s\nwant\n%s", got, want)
	}
	if got := s.On(t, "image-1", "stat -c '%U %G' /proc/"+pid); got != "glance glance" {
		t.Errorf("it runs as %s", got)
	}
	// As root, so that nothing but the confinement hinders, and on other file systems as well.
	const script = `for d in $(find / -xdev -maxdepth 3 -type d) $(cut -d" " -f5 /proc/self/mountinfo); do
		(: >$d/written) 2>/dev/null && rm $d/written && echo $d
	done | sort -u; ls /tmp; echo 1 >/proc/sys/kernel/panic`
	got := s.On(t, "image-1", "touch /tmp/of-the-node; nsenter -t "+pid+" -m sh -c '"+script+"' 2>&1 || rm /tmp/of-the-node")
	want = "/run/glance\n/tmp\n/var/lib/glance\n/var/log/glance\n/var/tmp\nsh: 3: cannot create /proc/sys/kernel/panic: Read-only file system"
	if got != want {
		t.Errorf("it can write in\n%s\nwant\n%s", got, want)
	}
}

// takenAway takes the deployment away piece by piece: each flag takes what it
// names and nothing else, and at last the nodes are as they were.
func takenAway(t *testing.T, s *site, d draft, before map[string][]string) {
	p := d.Name + ".hcl"
	const (
		inDatabase = "glance\n%"
		inKeystone = "admin http://10.77.0.21:9292\ninternal http://10.77.0.21:9292\npublic http://10.77.0.21:9292\nimage\nglance"
	)
	for _, step := range []struct {
		flags              []string
		database, keystone string
	}{
		{nil, inDatabase, inKeystone},
		{[]string{"--database"}, "", inKeystone},
		{[]string{"--keystone"}, "", ""},
	} {
		s.Want(t, 0, nil, slices.Concat([]string{"destroy", "--auto-approve"}, step.flags, []string{p})...)
		if got := s.On(t, "db-node", `mysql -N -e "SHOW DATABASES LIKE 'glance'; SELECT Host FROM mysql.user WHERE User = 'glance'"`); got != step.database {
			t.Errorf("after destroy %v there is in the database %q; want %q", step.flags, got, step.database)
		}
		if got := s.On(t, "auth-node", `mysql -N --raw keystone -e "
			SELECT CONCAT(interface, ' ', url) FROM endpoint WHERE url LIKE '%9292%' ORDER BY interface;
			SELECT type FROM service WHERE type = 'image'; SELECT name FROM local_user WHERE name = 'glance'"`); got != step.keystone {
			t.Errorf("after destroy %v there is in the Keystone\n%s\nwant\n%s", step.flags, got, step.keystone)
		}
		if got := s.On(t, "image-1", "ls /var/lib/glance/images | wc -l; ls -d /usr/bin/glance-api /etc/glance 2>/dev/null || :"); got != "0" {
			t.Errorf("after destroy %v: %s", step.flags, got)
		}
	}
	s.Want(t, 0, nil, "destroy", "--auto-approve", "--images", p)
	if diff := cmp.Diff(before, s.inventories(t, d)); diff != "" {
		t.Errorf("destroy did not leave the nodes as they were (-before +after):\n%s", diff)
	}
	if strings.Contains(strings.Join(before["image-1"], "\n"), "glance") {
		t.Error("there was something of ours on the nodes before")
	}
}
