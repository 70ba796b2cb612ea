package e2e

import (
	"strings"
	"testing"
)

// clientsV1 is the glance client with version 1 of the API, as an ordinary
// user: its metadata goes from the node's API to the node's registry, with the
// user's token. That there is no data it takes from a standard input that is
// closed or, where it looks too late for that, a terminal.
func clientsV1(t *testing.T, s *site, _ draft) {
	const demo = ". /root/demo-openrc; cd /root; v1() { glance --os-image-api-version 1 \"$@\"; }; " +
		`typed() { script -qec "glance --os-image-api-version 1 $*" /dev/null | tr -d '\r'; }; `
	s.On(t, "auth-node", "head -c 3000000 /dev/urandom > /root/disk.raw; printf more > /root/more.raw")
	s.On(t, "auth-node", demo+"v1 image-create --name first --disk-format raw --container-format bare --file disk.raw --property os=linux >/dev/null")
	s.On(t, "auth-node", demo+"v1 image-create --name later --disk-format raw --container-format bare <&- >/dev/null")
	id := func(name string) string {
		return s.On(t, "auth-node", demo+"v1 image-list | awk '$4 == \""+name+"\" { print $2 }'")
	}
	first, later := id("first"), id("later")
	field := func(name string) string { return " | awk -F'|' '$2 ~ /^ *" + name + " *$/ { print $3 }' | xargs" }
	for _, want := range []struct{ script, out string }{
		{"v1 image-show " + first + field("status"), "active"},
		{"v1 image-show " + first + field("Property .os."), "linux"},
		{"v1 image-show " + first + field("is_public"), "False"},
		{"v1 image-show " + later + field("status"), "queued"},
		{"v1 image-list --status active" + field(first), "first"},
		{"v1 image-download " + first + " --file saved && cmp disk.raw saved && echo same", "same"},
		{"typed image-update " + first + " --name renamed --property a=b" + field("name"), "renamed"},
		{"v1 image-show " + first + field("Property .os."), "linux"},
		{"typed image-update " + first + " --purge-props --property c=d | grep -c \"Property '\"", "1"},
		{"v1 image-update " + later + " --file more.raw" + field("status"), "active"},
		{"v1 image-download " + later, "more"},
		{"typed image-update " + first + " --is-protected True" + field("protected"), "True"},
		{"v1 image-delete " + first + " 2>&1 | grep -c 'Image is protected'", "1"},
		{"typed image-update " + first + " --is-protected False" + field("protected"), "False"},
		{"v1 member-create " + first + " 0123456789abcdef --can-share; v1 member-list --image-id " + first + " | awk '/0123456789abcdef/ { print $6 }'", "True"},
		{"v1 member-delete " + first + " 0123456789abcdef; v1 member-list --image-id " + first + " | grep -c 0123456789abcdef || true", "0"},
		{"v1 image-create --name x --is-public True --disk-format raw --container-format bare <&- 2>&1 | grep -c 'Access was denied'", "1"},
		{"v1 image-create --name x --disk-format raw --container-format bare --location file:///etc/shadow <&- 2>&1 | grep -c 'External sources are not supported'", "1"},
		{"openstack image show renamed -f value -c visibility", "shared"},
		{"v1 image-delete " + first + " " + later + "; v1 image-list -f 2>/dev/null | grep -c active || true", "0"},
	} {
		if got := s.On(t, "auth-node", demo+want.script); got != want.out {
			t.Errorf("%s = %q; want %q", want.script, got, want.out)
		}
	}
	if got := s.On(t, "image-1", "ss -Hltn 'sport = :9191' | awk '{ print $4 }'"); got != "10.77.0.21:9191" {
		t.Errorf("the registry listens at %q; want the node's own address", got)
	}
	if got := s.On(t, "image-1", "grep -c '\"PUT /images/' /var/log/glance/registry.log"); got == "0" || strings.Contains(got, "No such") {
		t.Errorf("the registry was asked to change %s images; want some", got)
	}
}
