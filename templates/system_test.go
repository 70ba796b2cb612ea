package templates

import (
	"slices"
	"strings"
	"testing"
)

// directive returns the values of a directive of a unit.
func directive(unit []byte, name string) []string {
	var values []string
	for line := range strings.Lines(string(unit)) {
		if v, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name+"="); ok {
			values = append(values, v)
		}
	}
	return values
}

func TestServiceIsOpenedOnlyWhereItIsPut(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Unit)
		want   map[string]string
	}{
		{"default", func(*Unit) {}, map[string]string{
			"ProtectHome": "yes", "PrivateTmp": "yes", "CapabilityBoundingSet": "",
			"ReadWritePaths": "/var/lib/glance /var/log/glance /var/run/glance",
		}},
		{"a low port", func(u *Unit) { u.Port = 80 }, map[string]string{
			"CapabilityBoundingSet": "CAP_NET_BIND_SERVICE", "AmbientCapabilities": "CAP_NET_BIND_SERVICE",
		}},
		{"data in a home", func(u *Unit) { u.Writes = []string{"/home/images"} }, map[string]string{
			"ProtectHome": "read-only", "ReadWritePaths": "/home/images",
		}},
		{"configuration in a home", func(u *Unit) { u.Reads = []string{"/root/glance-api.conf"} }, map[string]string{
			"ProtectHome": "read-only",
		}},
		{"data in tmp", func(u *Unit) { u.Writes = []string{"/var/tmp/images"} }, map[string]string{
			"PrivateTmp": "no", "ProtectHome": "yes",
		}},
		{"a name that only begins like one", func(u *Unit) { u.Writes = []string{"/homeless", "/tmpfs"} }, map[string]string{
			"PrivateTmp": "yes", "ProtectHome": "yes",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := sampleUnit()
			test.change(&u)
			unit := Service(u)
			for name, want := range test.want {
				if got := directive(unit, name); !slices.Equal(got, []string{want}) {
					t.Errorf("%s = %q; want %q once", name, got, want)
				}
			}
		})
	}
}

func TestNoCapabilitiesAboveThePrivilegedPorts(t *testing.T) {
	if got := directive(Service(sampleUnit()), "AmbientCapabilities"); got != nil {
		t.Errorf("AmbientCapabilities = %q for port 9292; want none", got)
	}
}

func TestWords(t *testing.T) {
	for _, test := range []struct {
		name  string
		quote func([]string) string
		words []string
		want  string
	}{
		{"unit, plain", unitWords, []string{"/a", "/b"}, `/a /b`},
		{"unit, space and specifier", unitWords, []string{"/a b/100%"}, `"/a b/100%%"`},
		{"unit, quote", unitWords, []string{`/a"b\`}, `"/a\"b\\"`},
		{"unit, empty", unitWords, []string{""}, `""`},
		{"command of a unit", execWords, []string{"/bin/x", "$HOME"}, `/bin/x $$HOME`},
		{"cron, plain", cronWords, []string{"/usr/bin/x", "--jitter", "30s"}, `/usr/bin/x --jitter 30s`},
		{"cron, percent", cronWords, []string{"/etc/100%.conf"}, `/etc/100\%.conf`},
		{"cron, quote and space", cronWords, []string{"/etc/it's mine"}, `'/etc/it'\''s mine'`},
		{"cron, dollar", cronWords, []string{"$(reboot)"}, `'$(reboot)'`},
		{"cron, empty", cronWords, []string{""}, `''`},
		{"logrotate", func(w []string) string { return join(w, logWord) }, []string{`/var/log/a "b".log`}, `"/var/log/a \"b\".log"`},
	} {
		if got := test.quote(test.words); got != test.want {
			t.Errorf("%s: %q is written %s; want %s", test.name, test.words, got, test.want)
		}
	}
}

func TestCronLine(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(string(CronFile(sampleCron()))), "\n")
	want := "1 * * * * glance /usr/bin/glance-scrubber --config-file /etc/glance/glance-scrubber.conf"
	if got := lines[len(lines)-1]; got != want {
		t.Errorf("cron line:\n%s\nwant\n%s", got, want)
	}
}

func TestTmpfilesNamesRun(t *testing.T) {
	for dir, want := range map[string]string{
		"/var/run/glance":  "d /run/glance 0755 glance glance -",
		"/run/glance":      "d /run/glance 0755 glance glance -",
		"/srv/glance pids": `d "/srv/glance pids" 0755 glance glance -`,
	} {
		text := string(Tmpfiles(RuntimeDir{Dir: dir, User: "glance", Group: "glance"}))
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("Tmpfiles for %s:\n%swant the line %s", dir, text, want)
		}
	}
}
