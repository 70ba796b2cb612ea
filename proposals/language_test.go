package proposals

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// shapes are the structs that the blocks of the table are decoded into.
var shapes = map[string]any{
	"":                     fileBlock{},
	"variable":             variableBlock{},
	"proposal":             proposalBlock{},
	"ssh":                  sshBlock{},
	"node":                 nodeBlock{},
	"mysql":                mysqlBlock{},
	"mysql.admin":          mysqlAdminBlock{},
	"keystone":             keystoneBlock{},
	"keystone.admin":       keystoneAdminBlock{},
	"rabbitmq":             rabbitmqBlock{},
	"role":                 roleBlock{},
	"role.backing.file":    fileBackingBlock{},
	"role.backing.swift":   swiftBackingBlock{},
	"role.cache":           cacheBlock{},
	"role.database.mysql":  mysqlDatabaseBlock{},
	"role.database.sqlite": sqliteDatabaseBlock{},
	"role.keystone":        roleKeystoneBlock{},
	"role.rabbitmq":        roleRabbitMQBlock{},
	"role.api":             apiBlock{},
	"role.registry":        daemonBlock{},
	"role.scrubber":        jobBlock{},
	"role.reaper":          jobBlock{},
	"role.prefetcher":      jobBlock{},
	"role.pruner":          jobBlock{},
	"role.config":          configBlock{},
}

func TestTableMatchesStructs(t *testing.T) {
	for path, shape := range shapes {
		var attrs, blocks []string
		ty := reflect.TypeOf(shape)
		for i := range ty.NumField() {
			name, kind, _ := strings.Cut(ty.Field(i).Tag.Get("hcl"), ",")
			switch kind {
			case "optional":
				attrs = append(attrs, name)
			case "block":
				blocks = append(blocks, name)
			}
		}
		var described []string
		if s := spec(path); s != nil {
			for _, a := range s.Attrs {
				described = append(described, a.Name)
			}
		} else if path != "" {
			t.Errorf("the table has no block %q", path)
		}
		slices.Sort(attrs)
		slices.Sort(described)
		if diff := cmp.Diff(described, attrs); diff != "" {
			t.Errorf("%s: attributes of the table and of the struct differ (-table +struct):\n%s", path, diff)
		}
		if diff := cmp.Diff(children[path], blocks); diff != "" {
			t.Errorf("%s: blocks of the table and of the struct differ (-table +struct):\n%s", path, diff)
		}
	}
	for _, b := range Language() {
		if _, ok := shapes[b.Path]; !ok && b.Path != "locals" && b.Path != "role.config.section" {
			t.Errorf("nothing decodes the block %q", b.Path)
		}
	}
}

// TestTableIsComplete holds every entry to what the reference needs.
func TestTableIsComplete(t *testing.T) {
	for _, b := range Language() {
		if b.Meaning == "" || b.Syntax == "" {
			t.Errorf("block %q: no meaning or no syntax", b.Path)
		}
		for _, a := range b.Attrs {
			if a.Meaning == "" || a.Type == "" {
				t.Errorf("%s.%s: no meaning or no type", b.Path, a.Name)
			}
			ways := 0
			for _, given := range []bool{a.Default != "", a.Implied != "", a.Required} {
				if given {
					ways++
				}
			}
			if ways != 1 {
				t.Errorf("%s.%s: says %d times what holds when it is left out; want once", b.Path, a.Name, ways)
			}
			if a.Default != "" {
				want, _ := wanted(a.Type)
				if got := constant(a.Default).Type(); want != cty.DynamicPseudoType && !want.IsListType() && got != want {
					t.Errorf("%s.%s: default %s is not a %s", b.Path, a.Name, a.Default, a.Type)
				}
			}
		}
	}
}

// TestEveryAttribute takes each attribute of testdata/valid/full.hcl, which
// must be all of the table. Without it the result is another one, so something
// reads it; with a value of a wrong type it is reported, at its place; with
// a sensitive value the result is the same.
func TestEveryAttribute(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"full.hcl", "inventory.toml"} {
		text, err := os.ReadFile(filepath.Join("testdata/valid", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole := changed(t, dir, "", "", nil)
	full, diags := Load([]string{filepath.Join(dir, "full.hcl")}, Options{Env: environment("HOME", "/home/me")})
	if len(diags) > 0 {
		t.Fatalf("full.hcl:\n%s", text(t, diags))
	}
	for _, b := range Language() {
		for _, a := range b.Attrs {
			t.Run(b.Path+"."+a.Name, func(t *testing.T) {
				if !whole[b.Path+"."+a.Name] {
					t.Fatal("testdata/valid/full.hcl does not have it")
				}
				checkAttribute(t, dir, b, a, full)
			})
		}
	}
}

func checkAttribute(t *testing.T, dir string, b BlockSpec, a AttrSpec, full []*Proposal) {
	reload := func() ([]*Proposal, Diagnostics) {
		return Load([]string{filepath.Join(dir, "changed.hcl")}, Options{Env: environment("HOME", "/home/me")})
	}
	changed(t, dir, b.Path, a.Name, func(body *hclwrite.Body) { body.RemoveAttribute(a.Name) })
	without, diags := reload()
	about := b.Path == "variable" && a.Name != "default" && a.Name != "sensitive"
	if !diags.HasErrors() && cmp.Equal(full, without, sameSecrets, ignorePlaces) && !about {
		t.Error("leaving it out changes nothing: nobody reads it")
	}
	if a.Type == "any" || a.Type == "type" {
		return
	}
	changed(t, dir, b.Path, a.Name, func(body *hclwrite.Body) {
		body.SetAttributeValue(a.Name, cty.MapVal(map[string]cty.Value{"a": cty.StringVal("b")}))
	})
	_, diags = reload()
	if !slices.ContainsFunc(diags, func(d Diagnostic) bool {
		return strings.Contains(d.Summary, "wrong type: "+a.Name) && strings.Contains(d.Snippet, a.Name)
	}) {
		t.Errorf("a map as its value is not reported at its place:\n%s", text(t, diags))
	}
	if b.Path == "variable" {
		return
	}
	changed(t, dir, b.Path, a.Name, func(body *hclwrite.Body) {
		was := body.GetAttribute(a.Name).Expr().BuildTokens(nil)
		body.SetAttributeTraversal(a.Name, hcl.Traversal{hcl.TraverseRoot{Name: "local"}, hcl.TraverseAttr{Name: "hidden"}})
		file := hclwrite.NewEmptyFile()
		file.Body().SetAttributeRaw("hidden", was)
		appendHidden(t, dir, string(file.Bytes()))
	})
	sensitive, diags := reload()
	if diff := cmp.Diff(full, sensitive, sameSecrets, ignorePlaces); diff != "" {
		t.Errorf("a sensitive value changes the result (-plain +sensitive):\n%s\n%s", diff, text(t, diags))
	}
}

// appendHidden leaves a text that changed adds to the file: a local value
// that is sensitive because it goes through a sensitive variable.
func appendHidden(t *testing.T, dir, line string) {
	t.Helper()
	value := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "hidden"))
	value = strings.TrimSpace(strings.TrimPrefix(value, "="))
	text := "variable \"sure\" {\n  type      = bool\n  default   = true\n  sensitive = true\n}\nlocals {\n  hidden = var.sure ? " + value + " : null\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "hidden"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

var (
	sameSecrets  = cmp.Comparer(func(a, b Secret) bool { return a == b })
	ignorePlaces = cmp.FilterPath(func(p cmp.Path) bool {
		return slices.Contains([]string{"File", "Digest", "hidden"}, p.Last().String()[min(1, len(p.Last().String())):])
	}, cmp.Ignore())
)

// changed writes full.hcl to changed.hcl with change applied to the first
// block at path that has the attribute, and returns all attributes it met.
func changed(t *testing.T, dir, path, attr string, change func(*hclwrite.Body)) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "full.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	file, diags := hclwrite.ParseConfig(text, "full.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	met := map[string]bool{}
	walk(file.Body(), "", func(at string, body *hclwrite.Body) {
		for name := range body.Attributes() {
			met[at+"."+name] = true
		}
		if at == path && change != nil && body.GetAttribute(attr) != nil {
			change(body)
			change = nil
		}
	})
	out := file.Bytes()
	if hidden, err := os.ReadFile(filepath.Join(dir, "hidden")); err == nil {
		out = append(out, hidden...)
		if err := os.Remove(filepath.Join(dir, "hidden")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "changed.hcl"), out, 0o600); err != nil {
		t.Fatal(err)
	}
	return met
}

// walk calls visit for body and the blocks in it, with their paths in the
// language table.
func walk(body *hclwrite.Body, path string, visit func(string, *hclwrite.Body)) {
	visit(path, body)
	for _, b := range body.Blocks() {
		inner := b.Type()
		if path == "role" || path == "role.config" || inner == "admin" {
			inner = path + "." + inner
		}
		if b.Type() == "backing" || b.Type() == "database" {
			inner += "." + b.Labels()[0]
		}
		walk(b.Body(), inner, visit)
	}
}

// TestInventoryHasEveryAttribute compares the shape of an inventory with the
// blocks that it stands for.
func TestInventoryHasEveryAttribute(t *testing.T) {
	for path, shape := range map[string]any{"node": inventoryNode{}, "ssh": inventorySSH{}} {
		var want, got []string
		for _, a := range spec(path).Attrs {
			want = append(want, a.Name)
		}
		for name := range tomlFields(shape) {
			got = append(got, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-table +inventory):\n%s", path, diff)
		}
	}
}
