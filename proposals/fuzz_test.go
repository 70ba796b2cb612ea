package proposals

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzLoad wants Load to come back from any text, with proposals or with
// errors but not with both, and with diagnostics that can be written.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.hcl", "testdata/mistakes/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if strings.HasSuffix(file, ".txtar") {
				archive := txtar.Parse(text)
				text = archive.Files[0].Data
			}
			f.Add(string(text), strings.HasPrefix(string(text), "{"))
		}
	}
	for _, src := range leaky {
		f.Add(src, strings.HasPrefix(src, "{"))
	}
	dir := f.TempDir()
	inventory, err := os.ReadFile("testdata/valid/inventory.toml")
	if err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nodes.toml"), inventory, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src string, isJSON bool) {
		name := "p.hcl"
		if isJSON {
			name = "p.hcl.json"
		}
		file := write(t, dir, name, src)
		all, diags := Load([]string{file}, Options{Env: environment("HOME", "/home/me")})
		if diags.HasErrors() == (len(all) > 0) {
			t.Errorf("%d proposals; errors: %t", len(all), diags.HasErrors())
		}
		if got := text(t, diags); strings.ContainsRune(got, '\x1b') {
			t.Errorf("an escape reaches the terminal: %q", got)
		}
		if formatted, err := Format([]byte(src), name); err == nil && !isJSON {
			if _, err := Format(formatted, name); err != nil {
				t.Errorf("what Format returns does not parse: %v\n%s", err, formatted)
			}
		}
	})
}

// FuzzInventory wants the loader to come back from any inventory.
func FuzzInventory(f *testing.F) {
	text, err := os.ReadFile("testdata/valid/inventory.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("[nodes]\na = 1\n[nodes.b]\nssh = 2\n")
	f.Add("nodes = 7\n")
	f.Add("[nodes.a]\naddress = {x = [nan]}\n[[nodes.b.ssh]]\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src string) {
		write(t, dir, "nodes.toml", src)
		file := write(t, dir, "p.hcl", "proposal \"p\" {\n  inventory = \"nodes.toml\"\n}\n")
		all, diags := Load([]string{file}, Options{Env: environment()})
		if diags.HasErrors() == (len(all) > 0) {
			t.Errorf("%d proposals; errors: %t", len(all), diags.HasErrors())
		}
	})
}

// FuzzCron wants the checker to accept only what it can start.
func FuzzCron(f *testing.F) {
	for _, s := range []string{"1 * * * *", "*/5 0-23/2 1,15 jan-mar,DEC Mon-Fri", "0 0 31 2 *", "@daily", "1-2-3 * * * *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		schedule, err := ParseSchedule(s)
		if err != nil {
			return
		}
		if len(strings.Fields(s)) != 5 || strings.ContainsAny(s, "%;$`\"'\\()&|<>") {
			t.Errorf("ParseSchedule(%q) accepts what would end up in a shell's line", s)
		}
		if now := time.Now(); !schedule.Next(now).After(now) {
			t.Errorf("ParseSchedule(%q) accepts what never comes", s)
		}
	})
}

// FuzzSensitive wants no expression to bring a sensitive value, or what it
// makes of one, into a diagnostic.
func FuzzSensitive(f *testing.F) {
	for _, expr := range []string{
		"var.s", "upper(var.s)", "tonumber(lower(var.s))", `cidrhost("${var.s}/8", 1)`, "file(var.s)", `env("x${var.s}")`,
		"{ (var.s) = 1 }.y", "[var.s][7]", "try(var.s.a, tonumber(var.s))", `jsonencode({ a = var.s })`, "local.x[var.s]",
		`[for c in split("", var.s) : tonumber(c)]`, `base64encode(var.s) + 1`, `lookup({ a = 1 }, var.s, var.s)`, `replace(var.s, "-", "") * 2`,
	} {
		f.Add(expr)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, expr string) {
		if strings.Contains(expr, "V4lue") {
			return // then it is no secret
		}
		file := write(t, dir, "p.hcl", sensitiveVar+"locals {\n  x = {}\n}\n"+role("api {\n      port = "+expr+"\n      log_file = "+expr+"\n    }"))
		_, diags := Load([]string{file}, Options{Env: environment(), Vars: map[string]string{"s": planted}})
		if got := text(t, diags); strings.Contains(got, "V4lue") || strings.Contains(got, "V4LUE") {
			t.Errorf("the value is in what is reported:\n%s", got)
		}
	})
}
