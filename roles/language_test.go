package roles

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/proposals"
)

// load reads a file with one proposal.
func load(t *testing.T, file string) *proposals.Proposal {
	t.Helper()
	env := func(name string) (string, bool) { return "service/secret", name == "GLANCE_SERVICE_PASSWORD" }
	ps, diags := proposals.Load([]string{file}, proposals.Options{Env: env})
	if diags.HasErrors() || len(ps) != 1 {
		var b strings.Builder
		if err := diags.Write(&b, false); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("%s: %d proposals\n%s", file, len(ps), b.String())
	}
	return ps[0]
}

// The sample that the tests make by hand is what the language makes of the
// same proposal: its defaults are the language's.
func TestSampleIsWhatTheLanguageMakes(t *testing.T) {
	read, err := Expand(load(t, "testdata/production.hcl"), options())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dump(expand(t, production()), nil), dump(read, nil)); diff != "" {
		t.Errorf("production (-sample +language):\n%s", diff)
	}
}

// A body is what stands in a block: HCL expressions by the names of
// attributes.
type body map[string]string

// bodies are the blocks of a small proposal by their paths in the language's
// table, with the least that they need.
func bodies() map[string]body {
	return map[string]body{
		"node":                 {"address": `"10.0.0.1"`},
		"mysql":                {"node": `"peer"`},
		"mysql.admin":          {"user": `"root"`, "password": `"rootsecret"`},
		"keystone":             {"node": `"peer"`, "auth_url": `"http://10.0.0.9:5000/v3"`},
		"keystone.admin":       {"username": `"admin"`, "password": `"adminsecret"`},
		"rabbitmq":             {"node": `"peer"`},
		"role":                 {"nodes": `["image"]`, "notifier_strategy": `"rabbit"`},
		"role.backing.file":    {"default": "true"},
		"role.backing.swift":   {"default": "false"},
		"role.cache":           {"enabled": "true"},
		"role.database.mysql":  {},
		"role.database.sqlite": {},
		"role.keystone":        {},
		"role.rabbitmq":        {},
		"role.api":             {}, "role.registry": {},
		"role.scrubber": {}, "role.reaper": {}, "role.prefetcher": {}, "role.pruner": {},
	}
}

// write writes the proposal with one of its two databases.
func write(b map[string]body, database string) string {
	block := func(syntax, path string, inside ...string) string {
		var lines []string
		for _, name := range slices.Sorted(maps.Keys(b[path])) {
			lines = append(lines, name+" = "+b[path][name])
		}
		return syntax + " {\n" + strings.Join(append(lines, inside...), "\n") + "\n}\n"
	}
	var role []string
	for _, path := range []string{"cache", "keystone", "api", "registry", "scrubber", "reaper", "prefetcher", "pruner"} {
		role = append(role, block(path, "role."+path))
	}
	if b["role"]["notifier_strategy"] == `"rabbit"` {
		role = append(role, block("rabbitmq", "role.rabbitmq"))
	}
	role = append(role,
		block(`backing "file"`, "role.backing.file"), block(`backing "swift"`, "role.backing.swift"),
		block(fmt.Sprintf("database %q", database), "role.database."+database),
	)
	return "proposal \"p\" {\n" +
		block(`node "image"`, "node") + "node \"peer\" { address = \"10.0.0.9\" }\n" +
		block(`mysql "main"`, "mysql", block("admin", "mysql.admin")) + "mysql \"other\" {\nnode = \"peer\"\nport = 3307\n}\n" +
		block(`keystone "main"`, "keystone", block("admin", "keystone.admin")) +
		"keystone \"other\" {\nauth_url = \"http://10.0.0.8:5000/v3\"\nadmin {\nusername = \"admin\"\npassword = \"adminsecret\"\n}\n}\n" +
		block(`rabbitmq "main"`, "rabbitmq") + "rabbitmq \"other\" {\nnode = \"peer\"\nport = 5673\n}\n" +
		block(`role "glance-server"`, "role", role...) + "}\n"
}

// elsewhere are attributes that change nothing on a node, and who reads them.
// A name without an attribute stands for the whole block.
var elsewhere = map[string]string{
	"variable": "loading a proposal", "locals": "loading a proposal", "proposal": "loading a proposal, and people",
	"ssh": "the table in cmd/glancectl tries each",
}

// A setting says what blocks are for an attribute that cannot just be given
// another value of its type.
type setting struct{ before, after map[string]body }

var settings = map[string]setting{
	"node.connection": {after: map[string]body{"node": {"address": `"10.0.0.1"`, "connection": `"local"`}}},
	"node.address":    {after: map[string]body{"node": {"address": `"10.0.0.2"`}}},
	"node.init":       {after: map[string]body{"node": {"address": `"10.0.0.1"`, "init": `"process"`, "root": `"/srv/a"`}}},
	"node.root": {
		before: map[string]body{"node": {"address": `"10.0.0.1"`, "init": `"process"`, "root": `"/srv/a"`}},
		after:  map[string]body{"node": {"address": `"10.0.0.1"`, "init": `"process"`, "root": `"/srv/b"`}},
	},
	"mysql.node":    {after: map[string]body{"mysql": {"node": `"image"`, "address": `"10.0.0.9"`}}},
	"mysql.address": {after: map[string]body{"mysql": {"node": `"peer"`, "address": `"10.0.0.7"`}}},
	"keystone.node": {after: map[string]body{"keystone": {"node": `"image"`, "auth_url": `"http://10.0.0.9:5000/v3"`}}},
	"keystone.auth_url": {
		after: map[string]body{"keystone": {"node": `"peer"`, "auth_url": `"http://10.0.0.7:5000/v3"`}},
	},
	"keystone.admin.openrc":      {after: map[string]body{"keystone.admin": {"openrc": `"/root/openrc"`}}},
	"keystone.admin.clouds_yaml": {before: clouds("/a.yaml", "c"), after: clouds("/b.yaml", "c")},
	"keystone.admin.cloud":       {before: clouds("/a.yaml", "c"), after: clouds("/a.yaml", "d")},
	"rabbitmq.node":              {after: map[string]body{"rabbitmq": {"node": `"image"`, "address": `"10.0.0.9"`}}},
	"rabbitmq.address":           {after: map[string]body{"rabbitmq": {"node": `"peer"`, "address": `"10.0.0.7"`}}},
	"role.nodes":                 {after: map[string]body{"role": {"nodes": `["image", "peer"]`, "notifier_strategy": `"rabbit"`}}},
	"role.images": {
		after: map[string]body{"role": {"nodes": `["image"]`, "notifier_strategy": `"rabbit"`, "images": `["https://example.org/cirros.qcow2"]`}},
	},
	"role.rabbitmq.instance": {after: map[string]body{"role.rabbitmq": {"instance": `"other"`}}},
	"role.notifier_strategy": {
		before: map[string]body{"role": {"nodes": `["image"]`, "notifier_strategy": `"noop"`}},
		after:  map[string]body{"role": {"nodes": `["image"]`, "notifier_strategy": `"logging"`}},
	},
	"role.backing.file.default":       swapped,
	"role.backing.swift.default":      swapped,
	"role.backing.swift.auth_address": {after: map[string]body{"role.backing.swift": {"auth_address": `"http://10.0.0.6:5000/v3"`}}},
	"role.cache.enabled":              {after: map[string]body{"role.cache": {"enabled": "false"}}},
	"role.cache.extra_to_free":        {after: map[string]body{"role.cache": {"enabled": "true", "extra_to_free": "0.5"}}},
	"role.database.mysql.instance":    {after: map[string]body{"role.database.mysql": {"instance": `"other"`}}},
	"role.database.sqlite.connection": {
		after: map[string]body{"role.database.sqlite": {"connection": `"sqlite:////srv/db/glance.sqlite"`}},
	},
	"role.scrubber.user": byRoot("scrubber"), "role.reaper.user": byRoot("reaper"),
	"role.prefetcher.user": byRoot("prefetcher"), "role.pruner.user": byRoot("pruner"),
	"role.keystone.instance": {after: map[string]body{"role.keystone": {"instance": `"other"`}}},
	"role.keystone.enabled":  {after: map[string]body{"role.keystone": {"enabled": "false"}}},
}

// swapped makes the other backing the default.
var swapped = setting{after: map[string]body{
	"role.backing.file": {"default": "false"}, "role.backing.swift": {"default": "true"},
}}

// byRoot has root run a job: nobody else may but the role's user.
func byRoot(job string) setting {
	return setting{after: map[string]body{"role." + job: {"user": `"root"`}}}
}

func clouds(file, cloud string) map[string]body {
	return map[string]body{"keystone.admin": {"clouds_yaml": `"` + file + `"`, "cloud": `"` + cloud + `"`}}
}

// another is a value of an attribute's type that is not its default.
func another(a proposals.AttrSpec) string {
	switch a.Type {
	case "bool":
		if a.Default == "true" {
			return "false"
		}
		return "true"
	case "number", "duration":
		return "123"
	case "size":
		return `"11GiB"`
	case "path":
		return `"/srv/other/place"`
	case "schedule":
		return `"2 3 * * *"`
	}
	return `"another"`
}

// Every attribute of the language's table has an effect: a proposal in which
// it has another value expands to something else.
func TestEveryAttributeOfTheLanguageHasAnEffect(t *testing.T) {
	expansion := func(b map[string]body, database string) string {
		file := filepath.Join(t.TempDir(), "p.hcl")
		if err := os.WriteFile(file, []byte(write(b, database)), 0o600); err != nil {
			t.Fatal(err)
		}
		return expandAndReach(load(t, file))
	}
	tried := 0
	for _, block := range proposals.Language() {
		database := "mysql"
		if strings.HasSuffix(block.Path, ".sqlite") {
			database = "sqlite"
		}
		for _, a := range block.Attrs {
			name := block.Path + "." + a.Name
			if elsewhere[block.Path] != "" || elsewhere[name] != "" {
				continue
			}
			tried++
			before, after := bodies(), bodies()
			changes, special := settings[name]
			if !special {
				changed := maps.Clone(after[block.Path])
				if changed == nil {
					t.Errorf("%s: bodies has no such block", name)
					continue
				}
				changed[a.Name] = another(a)
				changes.after = map[string]body{block.Path: changed}
			}
			maps.Copy(before, changes.before)
			maps.Copy(after, changes.after)
			if expansion(before, database) == expansion(after, database) {
				t.Errorf("%s: nothing on a node changes with it", name)
			}
		}
	}
	if tried < 100 {
		t.Errorf("tried %d attributes; want all of the language", tried)
	}
}
