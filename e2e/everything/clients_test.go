package everything

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"glancectl/e2e/clients"
	"glancectl/e2e/lab"
)

// A person works with the clients.
type person struct {
	t *testing.T
	*clients.Driver
	ids map[string]string // of images, by the names they were made with
}

// person is an ordinary user who has logged in once: to check a password costs
// more than all the rest of a command.
func (s *site) person(t *testing.T) *person {
	t.Helper()
	d, err := clients.Start(s.Lab, map[string]string{
		"OS_TOKEN":      s.demo,                                                                                              // for openstack
		"OS_AUTH_TOKEN": s.demo, "OS_IMAGE_URL": s.on(nodes[0]).base, "OS_USERNAME": "demo", "OS_PASSWORD": s.DemoPassword(), // for glance
		"OS_AUTH_URL": lab.AuthURL, "OS_IDENTITY_API_VERSION": "3", "OS_REGION_NAME": lab.Region,
		"OS_PROJECT_NAME": "demo", "OS_PROJECT_DOMAIN_NAME": "Default",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &person{t, d, map[string]string{}}
}

// run runs a line: v1, which is glance with version 1, glance or openstack, and
// its words. A word @NAME stands for the ID of the image that was made as NAME.
func (p *person) run(line string) clients.Result {
	p.t.Helper()
	words := strings.Fields(line)
	for i, w := range words {
		if name, ok := strings.CutPrefix(w, "@"); ok {
			words[i] = p.ids[name]
		}
	}
	program, args := words[0], words[1:]
	switch program {
	case "v1":
		program, args = "glance", append([]string{"--os-image-api-version", "1"}, args...)
	case "openstack":
		args = append([]string{"--os-auth-type", "v3token"}, args...)
	}
	r, err := p.Run(program, args...)
	if err != nil {
		p.t.Fatalf("%s: %v", line, err)
	}
	return r
}

// A line that a person types, and what comes of it: patterns that the output
// has, or after a ! has not.
type line struct {
	line string
	want []string
}

// play types lines. One that begins with ! has to fail.
func (p *person) play(lines []line) {
	p.t.Helper()
	for _, l := range lines {
		typed, fails := strings.CutPrefix(l.line, "! ")
		r := p.run(typed)
		if (r.Code != 0) != fails {
			p.t.Fatalf("%s: exit %d\n%s%s", l.line, r.Code, r.Out, r.Err)
		}
		for _, want := range l.want {
			pattern, not := strings.CutPrefix(want, "!")
			if regexp.MustCompile("(?m)"+pattern).MatchString(r.Out+r.Err) == not {
				p.t.Errorf("%s: want %s in the output\n%s%s", l.line, want, r.Out, r.Err)
			}
		}
		if m := regexp.MustCompile(`(?m)^\| id +\| (\S+) +\|$`).FindStringSubmatch(r.Out); m != nil && strings.Contains(typed, "create") {
			name := regexp.MustCompile(`--name (\S+)|(\S+)$`).FindStringSubmatch(typed)
			p.ids[name[1]+name[2]] = m[1]
		}
	}
}

// row is the pattern of a row of a client's table.
func row(name, value string) string { return `^\| ` + name + ` +\| ` + value + ` +\|$` }

// sideBySide is the clients of both versions with the same images, as an
// ordinary user. What version 1 knows goes from the node's API to the node's
// registry, with the user's token.
func sideBySide(t *testing.T, s *site) {
	p := s.person(t)
	s.On(t, lab.KeystoneNode, "cd /root; head -c 3000000 /dev/urandom > disk.raw; printf more > more.raw")
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("from the web")) }))
	web.Listener.Close()
	web.Listener = listen(t, lab.Bridge+":80")
	web.Start()
	t.Cleanup(web.Close)

	const raw = " --disk-format raw --container-format bare"
	p.play([]line{
		// What one makes the other shows, changes and reads.
		{"v1 image-create --name first" + raw + " --file disk.raw --property os=linux", []string{row("status", "active")}},
		{"openstack image create" + raw + " --file disk.raw --property os=bsd second", nil},
		{"openstack image show @first", []string{row("status", "active"), row("visibility", "shared"), "os='linux'"}},
		{"v1 image-show @second", []string{row("status", "active"), row("is_public", "False"), row("Property 'os'", "bsd")}},
		{"openstack image save --file saved.first @first", nil},
		{"v1 image-download @second --file saved.second", nil},
		{"openstack image set --property added=later --tag small @first", nil},
		{"v1 image-update @first --name renamed --property a=b", []string{row("name", "renamed"), row("Property 'added'", "later")}},
		{"openstack image show renamed", []string{"a='b'", "os='linux'", row("tags", "small")}},
		{"v1 image-update @first --purge-props --property c=d", []string{row("Property 'c'", "d"), "!Property 'os'"}},
		{"glance image-show @first", []string{row("c", "d"), "!linux", row("tags", `\["small"\]`)}},
		// Data comes later, by the other.
		{"v1 image-create --name third" + raw, []string{row("status", "queued")}},
		{"glance image-upload --file more.raw @third", nil},
		{"v1 image-download @third --file saved.third", nil},
		{"glance image-create --name fourth" + raw, []string{row("status", "queued")}},
		{"v1 image-update @fourth --file more.raw", []string{row("status", "active")}},
		{"glance image-download @fourth --file saved.fourth", nil},
		{"v1 image-list --status active", []string{" renamed ", " second ", " third ", " fourth "}},
		{"openstack image list", []string{" renamed ", " second ", " third ", " fourth "}},
		{"v1 image-list --name renamed", []string{" renamed ", "! second "}},
		{"v1 image-list --size-min 5 --size-max 5000000", []string{" renamed ", " second ", "! third ", "! fourth "}},
		{"v1 image-list --property-filter os=bsd", []string{" second ", "! renamed "}},
		{"v1 image-list --disk-format raw --container-format bare --is-public False", []string{" renamed ", " third "}},
		{"v1 image-list --disk-format qcow2", []string{"! renamed ", "! third "}},
		{"v1 image-list --page-size 1 --sort-key name --sort-dir asc", []string{"(?s) fourth .* renamed .* second .* third "}},
		{"v1 image-show --human-readable @first", []string{row("size", `2\.9 ?MB`)}},
		{"! v1 image-show 0f6f4c0e-1111-4000-8000-00000000000a", []string{"0f6f4c0e-1111-4000-8000-00000000000a"}},
		{"v1 image-update @third --min-ram 64 --min-disk 1", []string{row("min_ram", "64")}},
		{"glance image-show @third", []string{row("min_ram", "64"), row("min_disk", "1")}},
		{"! v1 image-create --name broken" + raw + " --checksum bad --file more.raw", []string{"did not match"}},
		// What one forbids the other keeps to.
		{"v1 image-update @first --is-protected True", []string{row("protected", "True")}},
		{"! openstack image delete @first", []string{"protected"}},
		{"openstack image set --unprotected @first", nil},
		{"openstack image set --protected @second", nil},
		{"v1 image-delete @second", []string{"Image is protected"}},
		{"v1 image-update @second --is-protected False", []string{row("protected", "False")}},
		{"v1 member-create @first 0123456789abcdef --can-share", nil},
		{"openstack image member list @first", []string{"0123456789abcdef .* pending"}},
		{"glance member-create @second fedcba9876543210", nil},
		{"v1 member-list --image-id @second", []string{"fedcba9876543210 ", "!True"}},
		{"v1 member-list --tenant-id 0123456789abcdef", []string{"0123456789abcdef .*True"}},
		{"v1 member-delete @first 0123456789abcdef", nil},
		{"! v1 member-delete @first 0123456789abcdef", []string{"404"}},
		{"openstack image member list @first", []string{"!0123456789abcdef"}},
		{"! v1 image-create --name x --is-public True" + raw, []string{"Access was denied"}},
		{"! openstack image create --public x", []string{"403"}},
		// From the web, copied and as it is.
		{"! v1 image-create --name x" + raw + " --location file:///etc/shadow", []string{"External sources are not supported"}},
		{"v1 image-create --name copied" + raw + " --copy-from http://" + lab.Bridge + "/", nil},
		{"v1 image-create --name outside" + raw + " --size 12 --location http://" + lab.Bridge + "/", []string{row("status", "active")}},
		{"openstack image save --file saved.outside @outside", nil},
		{"glance stores-info", []string{"fast", "archive", "web"}},
		{"glance image-create-via-import --name kept" + raw + " --file disk.raw --import-method glance-direct --stores archive", nil},
	})
	for _, name := range []string{"copied", "kept"} {
		s.settles(t, p.ids[name])
	}
	p.play([]line{
		{"v1 image-download @copied --file saved.copied", nil},
		{"v1 image-download @kept --file saved.kept", nil},
		{"glance image-show @kept", []string{row("stores", "archive")}},
	})
	s.On(t, lab.KeystoneNode, `set -e; cd /root; printf 'from the web' >web.raw
for pair in disk:first disk:second disk:kept more:third more:fourth web:copied web:outside; do cmp ${pair%:*}.raw saved.${pair#*:}; done`)
	s.limits(t)
	p.play([]line{
		{"v1 image-delete @first @third @copied @kept", nil},
		{"openstack image delete @second @fourth @outside", nil},
		{"openstack image list", []string{"!active", "!queued"}},
		{"v1 image-list", []string{"!active", "!queued"}},
	})

	if got := s.On(t, nodes[0], "ss -Hltn 'sport = :9191' | awk '{ print $4 }'"); got != "10.77.0.21:9191" {
		t.Errorf("the registry listens at %q; want the node's own address", got)
	}
	if got := s.On(t, nodes[0], "grep -c '\"PUT /images/' /var/log/glance/registry.log || :"); got == "0" {
		t.Error("the registry was never asked to change an image")
	}
	if got := s.mysql(t, "SELECT COUNT(*), SUM(value LIKE '%://%') FROM image_locations WHERE status <> 'deleted'"); !strings.HasSuffix(got, "\t0") || got == "0\t0" {
		t.Errorf("locations, and those that can be read, are %q; want all of them sealed", got)
	}
}
