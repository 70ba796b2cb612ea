package service_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service"
)

const (
	watchdog = `{"namespace": "OS::Compute::Watchdog", "display_name": "Watchdog Behavior", "visibility": "public", "protected": true,
		"resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_"}],
		"properties": {"watchdog_action": {"title": "Watchdog Action", "type": "string", "enum": ["reset", "pause"], "default": "reset"}}}`
	webServers = `{"namespace": "OS::Software::WebServers", "display_name": "Watchdog_Behavior", "owner": "p1",
		"objects": [{"name": "Apache", "required": ["port"], "properties": {"port": {"title": "Port", "type": "integer", "minimum": 1, "default": 80}}}],
		"tags": [{"name": "nginx"}, {"name": "apache"}]}`
	nameless = `{"namespace": "€ 🙂", "visibility": "public"}`
)

// manage runs glance-manage and checks its exit code.
func (s *site) manage(want int, args ...string) (out string, err error) {
	s.t.Helper()
	var b logBuffer
	conf := s.conf("manage", "[DEFAULT]\nmetadata_source_path = "+s.path("source")+"\n")
	code, err := service.Manage(s.t.Context(), service.Options{Files: []string{conf}, Stdout: &b, Stderr: &b}, args)
	if code != want || (err != nil) != (want != 0) {
		s.t.Errorf("glance-manage %s: exit %d, %v; want %d", strings.Join(args, " "), code, err, want)
	}
	return b.String(), err
}

func (s *site) file(dir, name, text string) string {
	s.t.Helper()
	if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
		s.t.Fatal(err)
	}
	path := s.path(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// files returns what is in a directory, by name.
func (s *site) files(dir string) map[string]string {
	s.t.Helper()
	entries, err := os.ReadDir(s.path(dir))
	if err != nil {
		s.t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		data, err := os.ReadFile(s.path(dir, e.Name()))
		if err != nil {
			s.t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

// What is exported can be loaded, and then exports as the same.
func TestMetadefsThereAndBack(t *testing.T) {
	s := newSite(t)
	s.file("shipped", "watchdog.json", watchdog)
	s.file("shipped", "web.json", webServers)
	s.file("shipped", "README", "no definitions")
	for _, dir := range []string{"one", "two"} {
		if err := os.Mkdir(s.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, _ := s.manage(0, "db", "load_metadefs", "--path", s.path("shipped"))
	want := s.path("shipped", "watchdog.json") + ": namespace OS::Compute::Watchdog is loaded.\n" +
		s.path("shipped", "web.json") + ": namespace OS::Software::WebServers is loaded.\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("load says (-want +got):\n%s", diff)
	}
	s.manage(0, "db", "export_metadefs", "--path", s.path("one"))
	one := s.files("one")
	if len(one) != 2 || one["WatchdogBehavior.json"] == "" || one["WatchdogBehavior-2.json"] == "" {
		t.Errorf("export writes %q", one)
	}
	s.manage(0, "db_unload_metadefs")
	s.manage(0, "db_export_metadefs", s.path("two"))
	if two := s.files("two"); len(two) > 0 {
		t.Errorf("after unload there are %q", two)
	}
	s.manage(0, "db_load_metadefs", s.path("one", "WatchdogBehavior.json"))
	s.manage(0, "db", "load_metadefs", "--path="+s.path("one"))
	if err := os.Rename(s.path("two"), s.path("source")); err != nil {
		t.Fatal(err)
	}
	s.manage(0, "db", "export_metadefs")
	if diff := cmp.Diff(one, s.files("source")); diff != "" {
		t.Errorf("there and back (-first +second):\n%s", diff)
	}
}

func TestLoadMetadefs(t *testing.T) {
	s := newSite(t)
	old := s.file("defs", "a.json", watchdog)
	s.manage(0, "db", "load_metadefs", "--path", old)
	changed := s.file("new", "a.json", strings.NewReplacer("Behavior", "Conduct", `"default": "reset"`, `"default": "pause"`).Replace(watchdog))
	if err := os.Mkdir(s.path("out"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string // of the line about it
		has  string // the one file exported afterwards
	}{
		{[]string{"db", "load_metadefs", "--path", changed}, "skipped", `"default": "reset"`},
		{[]string{"db", "load_metadefs", "--path", changed, "--merge"}, "loaded", `"default": "reset"`},
		{[]string{"db", "load_metadefs", "--path", changed, "--merge", "--prefer_new"}, "loaded", `"default": "pause"`},
		{[]string{"db", "load_metadefs", "--path", old, "--merge", "--overwrite"}, "loaded", `"default": "reset"`},
		{[]string{"db_load_metadefs", changed}, "skipped", `"default": "reset"`},
		{[]string{"db_load_metadefs", changed, "True"}, "loaded", `"default": "reset"`},
		{[]string{"db_load_metadefs", changed, "True", "True"}, "loaded", `"default": "pause"`},
		{[]string{"db_load_metadefs", old, "True", "", "True"}, "loaded", `"default": "reset"`},
	} {
		if out, _ := s.manage(0, test.args...); !strings.Contains(out, "is "+test.want) {
			t.Errorf("%q says %q; want %s", test.args, out, test.want)
		}
		s.manage(0, "db", "export_metadefs", "--path", s.path("out"))
		var all strings.Builder
		for name, text := range s.files("out") {
			all.WriteString(text)
			if err := os.Remove(s.path("out", name)); err != nil {
				t.Fatal(err)
			}
		}
		if !strings.Contains(all.String(), test.has) {
			t.Errorf("after %q there is\n%s; want %s", test.args, all.String(), test.has)
		}
	}
}

func TestMetadefsMistakes(t *testing.T) {
	s := newSite(t)
	s.file("mixed", "1.json", nameless)
	s.file("mixed", "2.json", `{"namespace": `)
	s.file("mixed", "3.json", webServers)
	s.file("empty", "README", "")
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"db", "load_metadefs", "--path", s.path("mixed")}, 1, "load metadefs " + s.path("mixed", "1.json") + ": Namespace can't contain 4 byte unicode characters.\nload metadefs " + s.path("mixed", "2.json") + ": unexpected EOF"},
		{[]string{"db", "load_metadefs", "--path", s.path("empty")}, 1, "no *.json in it"},
		{[]string{"db", "load_metadefs", "--path", s.path("none")}, 1, "no such file or directory"},
		{[]string{"db", "load_metadefs"}, 1, s.path("source") + ": no such file or directory"},
		{[]string{"db", "load_metadefs", "--overwrite"}, 2, "add --merge"},
		{[]string{"db", "load_metadefs", "--merge", "--overwrite", "--prefer_new"}, 2, "exclude each other"},
		{[]string{"db", "load_metadefs", "--force"}, 2, "flag provided but not defined"},
		{[]string{"db", "load_metadefs", "now"}, 2, `unexpected argument "now"`},
		{[]string{"db_load_metadefs", "a", "b", "", "", "e"}, 2, `unexpected argument "e"`},
		{[]string{"db", "export_metadefs", "now"}, 2, `unexpected argument "now"`},
		{[]string{"db", "unload_metadefs", "now"}, 2, `unexpected argument "now"`},
	} {
		if _, err := s.manage(test.code, test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("glance-manage %q: %v; want %q", test.args, err, test.want)
		}
	}
	// The file between the wrong ones is loaded all the same; an export that
	// cannot be written leaves nothing behind.
	if _, err := s.manage(1, "db", "export_metadefs", "--path", s.path("none")); err == nil || !strings.Contains(err.Error(), "export namespace OS::Software::WebServers") {
		t.Errorf("export to no directory: %v; want which namespace it is", err)
	}
	if left, _ := filepath.Glob(s.path(".export-*")); len(left) > 0 {
		t.Errorf("an export leaves %q", left)
	}
}

func TestManageHelp(t *testing.T) {
	s := newSite(t)
	for _, args := range [][]string{{"db", "load_metadefs", "--help"}, {"db_export_metadefs", "-h"}} {
		if out, _ := s.manage(0, args...); !strings.HasPrefix(out, "usage: glance-manage ") {
			t.Errorf("glance-manage %q says %q; want the usage", args, out)
		}
	}
}

// The api serves what was loaded, by the rules that hold for it.
func TestMetadefsServed(t *testing.T) {
	s := newSite(t)
	s.manage(0, "db", "load_metadefs", "--path", s.file("defs", "a.json", watchdog))
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	d.want(200, `{"hw_watchdog_action": {"type": "string", "title": "Watchdog Action", "default": "reset", "enum": ["reset", "pause"]}}`,
		"GET", "/v2/metadefs/namespaces/OS::Compute::Watchdog?resource_type=OS::Glance::Image", "")
	d.want(200, `"name": "namespace"`, "GET", "/v2/schemas/metadefs/namespace", "")
	d.want(403, "is protected and cannot be deleted", "DELETE", "/v2/metadefs/namespaces/OS::Compute::Watchdog", "")
	d.want(201, `"owner": "admin"`, "POST", "/v2/metadefs/namespaces", `{"namespace": "mine"}`)
	d.want(204, "", "DELETE", "/v2/metadefs/namespaces/mine", "")
	d.want(200, `{"name": "OS::Glance::Image", "created_at"`, "GET", "/v2/metadefs/resource_types", "")
}

// Who comes with a token of Keystone's sees what the rules let it see.
func TestMetadefsByToken(t *testing.T) {
	s := newSite(t)
	keystone := fakeKeystone(t, false)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", tokenOptions(keystone.URL))}})
	const namespaces = "/v2/metadefs/namespaces"
	d.want(201, `"owner": "p-alice"`, "POST", namespaces, `{"namespace": "hers", "owner": "p-alice", "tags": [{"name": "t"}]}`, "X-Auth-Token", "admin")
	d.want(201, `"owner": "p-admin"`, "POST", namespaces, `{"namespace": "open", "visibility": "public", "objects": [{"name": "o"}]}`, "X-Auth-Token", "admin")
	for _, test := range []struct {
		token      string
		hers, open int // what reading is answered with
		listed     string
	}{
		{"admin", 200, 200, "hers open"},
		{"alice", 200, 200, "hers open"},
		{"rita", 200, 200, "hers open"},
		{"bob", 404, 200, "open"},
		{"old", 404, 404, ""}, // no role that the rules know
	} {
		for path, want := range map[string]int{
			"/hers": test.hers, "/hers/tags": test.hers, "/hers/tags/t": test.hers, "/hers/properties": test.hers, "/hers/resource_types": test.hers,
			"/open": test.open, "/open/objects": test.open, "/open/objects/o": test.open,
		} {
			d.want(want, "", "GET", namespaces+path, "", "X-Auth-Token", test.token)
		}
		if test.listed == "" {
			d.want(404, "", "GET", namespaces, "", "X-Auth-Token", test.token)
			continue
		}
		list := d.want(200, "", "GET", namespaces+"?sort_key=namespace&sort_dir=asc", "", "X-Auth-Token", test.token).body
		var found []string
		for _, name := range []string{"hers", "open"} {
			if strings.Contains(list, `"namespace": "`+name+`"`) {
				found = append(found, name)
			}
		}
		if got := strings.Join(found, " "); got != test.listed {
			t.Errorf("%s is shown %q; want %q", test.token, got, test.listed)
		}
	}
	d.want(403, "add_metadef_tag ", "POST", namespaces+"/hers/tags/new", "", "X-Auth-Token", "alice")
	d.want(404, "", "POST", namespaces+"/hers/tags/new", "", "X-Auth-Token", "bob")
	d.want(403, "delete_metadef_namespace ", "DELETE", namespaces+"/open", "", "X-Auth-Token", "bob")
	d.want(204, "", "DELETE", namespaces+"/open", "", "X-Auth-Token", "admin")
}
