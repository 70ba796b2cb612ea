package proposals

import (
	"strings"
	"testing"
)

func TestPlacesOnMachines(t *testing.T) {
	for _, test := range []struct {
		path      string
		dir, file bool // whether it may be a directory of the service, or a configuration file
	}{
		{"/", false, false},
		{"/etc", false, false},
		{"/etc/passwd", false, false},
		{"/etc/default/glance", false, false},
		{"/etc/glance/api.conf", false, true},
		{"/etc/glance-images/api.conf", false, true},
		{"/etc/openstack-Glance/a/b.conf", false, true},
		{"/etc/glance-api.conf", false, true},
		{"/lib64/x/y", false, false},
		{"/library/x", true, true},
		{"/home", false, false},
		{"/home/me/images", false, false},
		{"/root/x", false, false},
		{"/run/images", true, false},
		{"/var/run/images/x", true, true},
		{"/var/lock/images/x", false, false},
		{"/run/systemd/x", false, false},
		{"/srv", false, false},
		{"/srv/images", true, false},
		{"/data", true, false},
		{"/tmp/images", true, false},
		{"/var/lib/glance", true, false},
		{"/var/lib/glance/a/b", true, true},
		{"/var/lib/glancectl", false, false},
		{"/var/lib/mysql-images", true, false},
		{"/var/log/mysql/x", false, false},
	} {
		if why := machinePlace(test.path); (why == "") != test.dir {
			t.Errorf("the directory %s: %q; want it allowed: %t", test.path, why, test.dir)
		}
		if why := machineFile(test.path); (why == "") != test.file {
			t.Errorf("the file %s: %q; want it allowed: %t", test.path, why, test.file)
		}
	}
}

// Below a root of its own a node has no directories of the machine.
func TestPlacesBelowARoot(t *testing.T) {
	const inside = `
    working_directory = "/var/lib"
    pid_directory     = "/run"
    backing "file" { directory = "/srv" }
    cache { directory = "/usr" }
    api {
      log_file    = "/var/log/api.log"
      config_file = "/etc/api.conf"
    }
`
	const below = "proposal \"p\" {\n  node \"a\" {\n connection = \"local\"\n init = \"process\"\n root = \"/srv/a\"\n }\n"
	loadText(t, below+"  role \"glance-server\" {\n    nodes = [\"a\"]\n"+inside+"  }\n}\n", Options{Env: environment()})

	mixed := below + "  node \"b\" { address = \"10.0.0.2\" }\n  role \"glance-server\" {\n    nodes = [\"a\", \"b\"]\n" +
		"    database \"sqlite\" {}\n" + inside + "  }\n}\n"
	_, diags := Load([]string{write(t, t.TempDir(), "p.hcl", mixed)}, Options{Env: environment()})
	if got := strings.Count(text(t, diags), "Error:"); got != 6 {
		t.Errorf("with a node without a root, %d mistakes; want 6:\n%s", got, text(t, diags))
	}
}

// A path that comes from a sensitive variable is in no message, in whatever
// form.
func TestNoSecretInPlaces(t *testing.T) {
	for _, inside := range []string{
		`working_directory = "/etc//${var.s}/"`, `api { log_file = "/usr/../usr/${var.s}//x.log" }`,
		`api { config_file = "/etc/${var.s}//x.conf" }`, `registry { paste_file = "/srv//${var.s}/" }`,
		`database "sqlite" { connection = "sqlite:////root//${var.s}/../${var.s}/x" }`,
		"backing \"file\" { directory = \"/srv//${var.s}\" }\ncache { directory = \"/srv/${var.s}//x\" }",
		"api { log_file = \"/srv//${var.s}\" }\nregistry { log_file = \"/srv/${var.s}\" }",
	} {
		file := write(t, t.TempDir(), "p.hcl", sensitiveVar+role(inside))
		_, diags := Load([]string{file}, Options{Env: environment(), Vars: map[string]string{"s": "a//b/73973973"}})
		if got := text(t, diags); !diags.HasErrors() || strings.Contains(got, "73973973") {
			t.Errorf("%s: reported:\n%s", inside, got)
		}
	}
}
