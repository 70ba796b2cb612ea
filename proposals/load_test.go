package proposals

import (
	"strings"
	"testing"
)

// environment returns a lookup in pairs and nothing else.
func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// text returns d as people see it.
func text(t *testing.T, d Diagnostics) string {
	t.Helper()
	var b strings.Builder
	if err := d.Write(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// load loads a proposal that must be right.
func load(t *testing.T, path string, o Options) *Proposal {
	t.Helper()
	all, diags := Load([]string{path}, o)
	if len(diags) > 0 || len(all) != 1 {
		t.Fatalf("Load(%s) = %d proposals and\n%s", path, len(all), text(t, diags))
	}
	return all[0]
}

func TestDesign(t *testing.T) {
	p := load(t, "testdata/valid/design.hcl", Options{Env: environment("GLANCE_SERVICE_PASSWORD", "hunter2")})
	if p.Keystone[0].Admin.Openrc != "/root/openrc" {
		t.Errorf("Admin = %+v; want the openrc of the file", p.Keystone[0].Admin)
	}
	load(t, "testdata/valid/minimal.hcl", Options{Env: environment()})
}
