package proposals

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func loadText(t *testing.T, src string, o Options) *Proposal {
	t.Helper()
	return load(t, write(t, t.TempDir(), "proposal.hcl", src), o)
}

func write(t *testing.T, dir, name, src string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// carried is what a proposal needs so that nothing is said about it.
const carried = `  node "carrier" { address = "10.0.0.1" }
  role "glance-server" { nodes = ["carrier"] }
`

// described is a proposal whose description is expr.
func described(head, expr string) string {
	return head + "\nproposal \"p\" {\n  description = " + expr + "\n" + carried + "}\n"
}

func TestVariablePrecedence(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "p.hcl", described(`variable "x" { default = "default" }`, "var.x"))
	weak := write(t, dir, "weak.hcl", `x = "weak file"`)
	strong := write(t, dir, "strong.json", `{"x": "strong file"}`)
	env := environment("GLANCECTL_VAR_x", "environment")
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Env: environment()}, "default"},
		{Options{Env: env}, "environment"},
		{Options{Env: env, VarFiles: []string{weak}}, "weak file"},
		{Options{Env: env, VarFiles: []string{weak, strong}}, "strong file"},
		{Options{Env: env, VarFiles: []string{strong, weak}}, "weak file"},
		{Options{Env: env, VarFiles: []string{weak}, Vars: map[string]string{"x": "flag"}}, "flag"},
		{Options{Env: env, Vars: map[string]string{"x": ""}}, ""},
	} {
		if got := load(t, file, test.o).Description; got != test.want {
			t.Errorf("with %+v the value is %q; want %q", test.o, got, test.want)
		}
	}
}

func TestVariableTypes(t *testing.T) {
	for _, test := range []struct{ typ, given, expr, want string }{
		{"string", "[1]", "var.x", "[1]"},
		{"number", "12", "var.x + 1", "13"},
		{"bool", "true", `var.x ? "yes" : "no"`, "yes"},
		{"list", `["a", 2]`, `"${var.x[0]}${var.x[1]}"`, "a2"},
		{"list(string)", `["a", "b"]`, `join("-", var.x)`, "a-b"},
		{"map", `{ a = "b" }`, "var.x.a", "b"},
		{"map(number)", `{ a = 1 }`, `tostring(var.x["a"])`, "1"},
		{"any", "text", "var.x", "text"},
	} {
		file := write(t, t.TempDir(), "p.hcl", described(`variable "x" { type = `+test.typ+` }`, test.expr))
		if got := load(t, file, Options{Env: environment(), Vars: map[string]string{"x": test.given}}).Description; got != test.want {
			t.Errorf("%s: %s with %q = %q; want %q", test.typ, test.expr, test.given, got, test.want)
		}
	}
}

func TestFunctions(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "name.txt", "from a file\n")
	for _, test := range []struct{ expr, want string }{
		{`upper("a") `, "A"},
		{`lower("A")`, "a"},
		{`format("%s-%02d", "n", 3)`, "n-03"},
		{`join(",", split(" ", "a b"))`, "a,b"},
		{`replace("aXb", "X", "-")`, "a-b"},
		{`trimspace(file("name.txt"))`, "from a file"},
		{`join(",", concat(["a"], ["b"]))`, "a,b"},
		{`tostring(length(["a", "b"]))`, "2"},
		{`merge({ a = "1" }, { a = "2" }).a`, "2"},
		{`lookup({ a = "1" }, "b", "none")`, "none"},
		{`join(",", keys({ b = 1, a = 2 }))`, "a,b"},
		{`join(",", values({ b = "1", a = "2" }))`, "2,1"},
		{`contains(["a"], "a") ? "in" : "out"`, "in"},
		{`coalesce(null, "x")`, "x"},
		{`try(tonumber("x"), "no number")`, "no number"},
		{`can(tonumber("x")) ? "can" : "cannot"`, "cannot"},
		{`cidrhost("10.77.3.9/24", 21)`, "10.77.3.21"},
		{`cidrhost("10.77.0.0/16", -2)`, "10.77.255.254"},
		{`cidrhost("2001:db8::/64", 17)`, "2001:db8::11"},
		{`base64encode("abc")`, "YWJj"},
		{`jsonencode({ a = [1, true] })`, `{"a":[1,true]}`},
		{`join(",", [for n in range(3) : "n${n}"])`, "n0,n1,n2"},
		{`tonumber("4") + 1`, "5"},
		{`env("SET")`, "value"},
		{`env("NOT_SET", "otherwise")`, "otherwise"},
		{`env("NOT_SET", null)`, ""},
	} {
		file := write(t, dir, "p.hcl", described("", test.expr))
		if got := load(t, file, Options{Env: environment("SET", "value")}).Description; got != test.want {
			t.Errorf("%s = %q; want %q", test.expr, got, test.want)
		}
	}
}

func TestLocalsInAnyOrder(t *testing.T) {
	got := loadText(t, described("locals {\n  a = \"${local.b}!\"\n  b = local.c\n}\nlocals {\n  c = \"deep\"\n}", "local.a"), Options{Env: environment()}).Description
	if got != "deep!" {
		t.Errorf("description = %q; want %q", got, "deep!")
	}
}

// TestNullIsLeftOut gives null where there is a default, where there is none,
// and in a config section.
func TestNullIsLeftOut(t *testing.T) {
	p := loadText(t, `
proposal "p" {
  ssh { user = "deploy" }
  node "a" {
    address = "10.0.0.1"
    ssh { user = null }
  }
  role "glance-server" {
    nodes = ["a"]
    user  = null
    api { port = null }
    config "glance-api" {
      section "DEFAULT" { x = null }
    }
  }
}`, Options{Env: environment()})
	if p.Glance.API.Port != 9292 || p.Glance.User != "glance" || p.Nodes[0].SSH.User != "deploy" {
		t.Errorf("port %d, user %q, ssh user %q; want the defaults", p.Glance.API.Port, p.Glance.User, p.Nodes[0].SSH.User)
	}
	if n := len(p.Glance.Config[0].Sections[0].Options); n != 0 {
		t.Errorf("%d options; want none", n)
	}
}

func TestDirectoryAndJSON(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "variables.hcl", `variable "port" { default = 9300 }`)
	write(t, dir, "a.hcl", `proposal "a" {
  node "n" { address = "10.0.0.1" }
  role "glance-server" {
    nodes = ["n"]
    api { port = var.port }
  }
}`)
	write(t, dir, "b.hcl.json", `{"proposal": {"b": {
  "node": {"n": {"address": "10.0.0.1", "ssh": {"port": 23}}},
  "role": {"glance-server": {"nodes": ["n"], "api": {"port": "${var.port + 1}"},
    "config": {"glance-api": {"section": {"DEFAULT": {"list": ["a", "b"]}}}}}}}}}`)
	write(t, dir, "notes.txt", "not a proposal")
	write(t, dir, ".hidden.hcl", "not = read")
	all, diags := Load([]string{dir}, Options{Env: environment()})
	if len(diags) > 0 || len(all) != 2 {
		t.Fatalf("%d proposals and\n%s", len(all), text(t, diags))
	}
	if all[0].Glance.API.Port != 9300 || all[1].Glance.API.Port != 9301 {
		t.Errorf("ports %d and %d; want 9300 and 9301", all[0].Glance.API.Port, all[1].Glance.API.Port)
	}
	if got := all[1].Nodes[0].SSH.Port; got != 23 {
		t.Errorf("SSH port from JSON = %d; want 23", got)
	}
	want := []ConfigOption{{Key: "list", Value: "a"}, {Key: "list", Value: "b"}}
	if diff := cmp.Diff(want, all[1].Glance.Config[0].Sections[0].Options); diff != "" {
		t.Errorf("options from JSON (-want +got):\n%s", diff)
	}
	if got := filepath.Base(all[1].File); got != "b.hcl.json" {
		t.Errorf("File = %s; want b.hcl.json", got)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		paths []string
		o     Options
		want  string
	}{
		{nil, Options{}, "no proposal given"},
		{[]string{filepath.Join(dir, "missing.hcl")}, Options{}, "no such file"},
		{[]string{dir}, Options{}, "no proposal in the directory"},
		{[]string{"/dev/null"}, Options{}, "not a regular file"},
		{[]string{write(t, t.TempDir(), "empty.hcl", "# nothing\n")}, Options{}, "no proposal block"},
		{[]string{"testdata/valid/minimal.hcl"}, Options{VarFiles: []string{filepath.Join(dir, "missing.hcl")}}, "no such file"},
		{[]string{write(t, t.TempDir(), "bin.hcl", "\xff\xfe")}, Options{}, "not UTF-8"},
	} {
		all, diags := Load(test.paths, test.o)
		if got := text(t, diags); len(all) > 0 || !strings.Contains(got, test.want) {
			t.Errorf("Load(%v) = %d proposals and\n%s\nwant %q", test.paths, len(all), got, test.want)
		}
	}
}

// TestDigest wants the digest to follow what the proposal says, not how or
// where it is written, and never its secrets.
func TestDigest(t *testing.T) {
	digest := func(src string) string { return loadText(t, src, Options{Env: environment()}).Digest }
	const base = `
proposal "p" {
  node "a" { address = "10.0.0.1" }
  mysql "m" { node = "a" }
  role "glance-server" {
    nodes = ["a"]
    database "mysql" { password = "one" }
    config "glance-api" {
      section "DEFAULT" { a_secret = "two" }
    }
  }
}`
	was := digest(base)
	for _, test := range []struct {
		what, src string
		same      bool
	}{
		{"a comment", "# hello\n" + base, true},
		{"a default written out", strings.Replace(base, `nodes = ["a"]`, "nodes = [\"a\"]\nuse_syslog = false", 1), true},
		{"another password", strings.Replace(base, `"one"`, `"three"`, 1), true},
		{"another secret option", strings.Replace(base, `"two"`, `"three"`, 1), true},
		{"another option", strings.Replace(base, "a_secret", "b", 1), false},
		{"another address", strings.Replace(base, "10.0.0.1", "10.0.0.2", 1), false},
	} {
		if got := digest(test.src); (got == was) != test.same {
			t.Errorf("%s: digest the same: %t; want %t", test.what, got == was, test.same)
		}
	}
}

// TestLimits gives files that would take the parser down too far, and numbers
// that would take it too long.
func TestLimits(t *testing.T) {
	for _, src := range []string{
		"x = " + strings.Repeat("(", 1e4), "x = " + strings.Repeat("[", 1e4), "x = " + strings.Repeat("!", 1e4), "x = " + strings.Repeat("b ? b : ", 1e4),
		"x = " + strings.Repeat("b ? ", 1e4), "x = " + strings.Repeat("\"${", 1e4), strings.Repeat("a {\n", 1e4), "x = " + strings.Repeat("[for a in ", 1e4),
	} {
		_, diags := Load([]string{write(t, t.TempDir(), "p.hcl", src)}, Options{Env: environment()})
		if len(diags) != 1 || diags[0].Summary != "the file nests deeper than 200 levels" {
			t.Errorf("%.20q...: reported:\n%.500s", src, text(t, diags))
		}
		if _, err := Format([]byte(src), "p.hcl"); err == nil {
			t.Errorf("%.20q... is formatted", src)
		}
	}
	for _, number := range []string{"1e999999999", "1E+301", "2e-99999999999999999999"} {
		_, diags := Load([]string{write(t, t.TempDir(), "p.hcl", described("", number))}, Options{Env: environment()})
		if len(diags) != 1 || diags[0].Summary != "the number has more than 300 digits" {
			t.Errorf("%s: reported:\n%s", number, text(t, diags))
		}
	}
	for _, number := range []string{"9e299 * 9e299 * 9e299", `tonumber("1e99999")`, "1e-299 / 9e299"} {
		_, diags := Load([]string{write(t, t.TempDir(), "p.hcl", role("api { port = "+number+" }\n scrub_time = "+number))}, Options{Env: environment()})
		if got := text(t, diags); len(diags) != 2 || len(got) > 1000 {
			t.Errorf("%s: reported:\n%s", number, got)
		}
	}
	_, diags := Load([]string{write(t, t.TempDir(), "p.hcl.json", strings.Repeat("[", 1e4))}, Options{Env: environment()})
	if len(diags) != 1 || diags[0].Summary != "the file nests deeper than 200 levels" {
		t.Errorf("JSON: reported:\n%.500s", text(t, diags))
	}
}

// TestDigestDoesNotDependOnThePlace loads one text in two directories, as two
// operators would.
func TestDigestDoesNotDependOnThePlace(t *testing.T) {
	digest := func(home string) string {
		dir := t.TempDir()
		write(t, dir, "a.img", "image")
		return load(t, write(t, dir, "p.hcl", `proposal "p" {
  ssh {
    private_key = "key"
    known_hosts = "~/known"
  }
  node "a" { address = "10.0.0.1" }
  role "glance-server" {
    nodes  = ["a"]
    images = ["a.img"]
  }
}`), Options{Env: environment("HOME", home)}).Digest
	}
	if one, two := digest("/home/one"), digest("/home/two"); one != two {
		t.Errorf("digests %s and %s; want one", one, two)
	}
}

// TestMissing leaves the administrator of a Keystone to the environment.
func TestMissing(t *testing.T) {
	const unused = `  keystone "other" { auth_url = "http://10.0.0.6:5000/v3" }
`
	for _, test := range []struct {
		name, inside, more string
		env                []string
		warnings, missing  int
	}{
		{name: "no Keystone"},
		{name: "given", more: unused, env: []string{"OS_USERNAME", "admin", "OS_PASSWORD", "secret"}},
		{name: "nothing given", more: unused, warnings: 1, missing: 1},
		{name: "application credential", more: unused, env: []string{"OS_APPLICATION_CREDENTIAL_ID", "c", "OS_APPLICATION_CREDENTIAL_SECRET", "secret"}},
		{name: "no secret of it", more: unused, env: []string{"OS_APPLICATION_CREDENTIAL_ID", "c"}, warnings: 1, missing: 1},
		{name: "no password", more: unused, env: []string{"OS_USERNAME", "admin"}, warnings: 1, missing: 1},
		{name: "not used", more: unused, inside: "keystone { enabled = false }", warnings: 1},
		{
			name: "another one is used", inside: "keystone { instance = \"main\" }", warnings: 1,
			more: unused + "  keystone \"main\" {\n    node     = \"a\"\n    auth_url = \"http://10.0.0.5:5000/v3\"\n    admin { openrc = \"/root/openrc\" }\n  }\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			src := strings.Replace(role(test.inside), "  role", test.more+"  role", 1)
			ps, diags := Load([]string{write(t, t.TempDir(), "p.hcl", src)}, Options{Env: environment(test.env...)})
			if len(ps) != 1 || len(diags) != test.warnings {
				t.Fatalf("%d proposals and %d warnings; want 1 and %d\n%s", len(ps), len(diags), test.warnings, text(t, diags))
			}
			missing := ps[0].Missing()
			if len(missing) != test.missing || len(missing) == 1 && !strings.HasPrefix(missing[0], `keystone "other" has no administrator: write admin {`) {
				t.Errorf("Missing() = %q; want %d of other", missing, test.missing)
			}
		})
	}
}
