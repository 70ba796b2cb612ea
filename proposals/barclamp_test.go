package proposals

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A parameter of the barclamp. Values are written as in HCL.
type barclampParameter struct {
	name       string
	code       string // the default in its code; what it was set to when a proposal was made, if that is something else
	documented string // the default in its documentation, if that is another
	misread    bool   // the documentation says that it means something else
}

// barclamp are the barclamp's parameters.
func barclamp() []barclampParameter {
	all := []barclampParameter{
		{name: "description", code: `""`},
		{name: "elements.glance-server", code: "[]"},
		{name: "images", code: `["of the administration server"]`},
		{name: "enable_caching", code: "false"},
		{name: "use_cachemanagement", code: "false"},
		{name: "image_cache_datadir", code: `"/var/lib/glance/image-cache"`},
		{name: "image_cache_stall_timeout", code: "86400", misread: true},
		{name: "image_cache_grace_period", code: "3600", misread: true},
		{name: "image_cache_max_size", code: `"10GiB"`},
		{name: "use_syslog", code: "false"},
		{name: "notifier_strategy", code: `"noop"`, documented: `"Noop"`},
		{name: "default_store", code: `"file"`},
		{name: "filesystem_store_datadir", code: `"/var/lib/glance/images"`},
		{name: "swift_store_auth_address", code: `"127.0.0.1:8080/v1.0"`},
		{name: "swift_store_user", code: `"glance_user"`, documented: `"glance"`},
		{name: "swift_store_key", code: `"glance_key"`, documented: `"glance"`},
		{name: "swift_store_container", code: `"glance"`},
		{name: "swift_store_create_container_on_put", code: "false"},
		{name: "pid_directory", code: `"/var/run/glance"`},
		{name: "working_directory", code: `"/var/lib/glance"`},
		{name: "sql_idle_timeout", code: "3600"},
		{name: "use_keystone", code: "true"},
		{name: "keystone_instance", code: `"none"`},
		{name: "mysql_instance", code: `"none"`},
		{name: "rabbitmq_instance", code: `"none"`},
		{name: "sqlite_connection", code: `"sqlite:////var/lib/glance/glance.sqlite"`, documented: `"sqlite:var/lib/glance/glance.sqlite"`},
		{name: "service_user", code: `"glance"`},
		{name: "service_password", code: `"twelve digits"`},
		{name: "api.bind_open_address", code: "false", documented: "true"},
		{name: "api.bind_port", code: "9292"},
		{name: "api.paste_ini", code: `"/etc/glance/glance-api-paste.ini"`},
		{name: "registry.bind_open_address", code: "false", documented: "true"},
		{name: "registry.bind_port", code: "9191"},
		{name: "registry.paste_ini", code: `"/etc/glance/glance-registry-paste.ini"`},
	}
	for _, element := range []string{"api", "registry", "scrubber", "reaper", "pruner", "prefetcher"} {
		all = append(all,
			barclampParameter{name: element + ".verbose", code: "true"},
			barclampParameter{name: element + ".debug", code: "false"},
			barclampParameter{name: element + ".log_file", code: fmt.Sprintf("%q", "/var/log/glance/"+element+".log")},
			barclampParameter{name: element + ".config_file", code: fmt.Sprintf("%q", "/etc/glance/glance-"+element+".conf")},
		)
	}
	return all
}

// departs reports whether an attribute is not just what p is.
func (p barclampParameter) departs(a AttrSpec) bool {
	return !a.Required && a.Default != p.code || p.documented != "" || p.misread
}

// Every parameter of the barclamp has its place in the language, with the same
// default; where not, or where its code and its documentation disagree, the
// reference says so and why.
func TestBarclampParameters(t *testing.T) {
	reference, err := os.ReadFile("../docs/proposal.md")
	if err != nil {
		t.Fatal(err)
	}
	_, departures, _ := strings.Cut(string(reference), "\n## Where it departs from the barclamp\n")
	departures, names, _ := strings.Cut(departures, "\n### Names\n")
	known := map[string]bool{}
	for _, p := range barclamp() {
		known[p.name] = true
		places := 0
		for _, b := range Language() {
			for _, a := range b.Attrs {
				if a.Barclamp != p.name {
					continue
				}
				places++
				_, why, _ := strings.Cut(departures, fmt.Sprintf("\n| `%s`, `%s` | `%s` | ", b.Syntax, a.Name, p.name))
				why, _, _ = strings.Cut(why, " |\n")
				if p.departs(a) && len(strings.Fields(why)) < 5 {
					t.Errorf("%s.%s departs from the barclamp's %s (%s, documented %s), and the reference gives the reason %q", b.Path, a.Name, p.name, p.code, p.documented, why)
				}
				if !strings.Contains(names, fmt.Sprintf("\n| `%s` | `%s` in `%s` |\n", p.name, a.Name, b.Syntax)) {
					t.Errorf("the reference does not say what %s is called here", p.name)
				}
			}
		}
		if places == 0 {
			t.Errorf("the barclamp's parameter %q has no place in the language", p.name)
		}
	}
	for _, b := range Language() {
		for _, a := range b.Attrs {
			if a.Barclamp != "" && !known[a.Barclamp] {
				t.Errorf("%s.%s is said to be the barclamp's %s, which it does not have", b.Path, a.Name, a.Barclamp)
			}
		}
	}
	// What is a label here, and what is not a parameter.
	for _, want := range []string{"| `database` | the label of the block `database` |", "`glance-manage -A TOKEN -H HOST index`"} {
		if !strings.Contains(departures+names, want) {
			t.Errorf("the reference does not say %q", want)
		}
	}
}
