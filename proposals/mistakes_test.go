package proposals

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestMistakes loads the proposal of every archive and compares what is
// reported with its file "want". Files "vars" and "env" hold NAME=VALUE lines;
// varfile.hcl is a file of values.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			file, err := filepath.Abs(file) // mistakes goes elsewhere
			if err != nil {
				t.Fatal(err)
			}
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := mistakes(t, archive)
			if *update {
				abs := slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
				archive.Files = append(abs, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(fileOf(archive, "want")), got); diff != "" {
				t.Errorf("what is reported differs (-want +got):\n%s", diff)
			}
		})
	}
}

// mistakes loads the archive in a directory of its own and returns what is
// reported.
func mistakes(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	o := Options{Vars: map[string]string{}}
	path := "proposal.hcl"
	for _, f := range archive.Files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		switch f.Name {
		case "varfile.hcl":
			o.VarFiles = []string{f.Name}
		case "proposal.hcl.json":
			path = f.Name
		}
	}
	for line := range strings.Lines(string(fileOf(archive, "vars"))) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		o.Vars[name] = value
	}
	var env []string
	for line := range strings.Lines(string(fileOf(archive, "env"))) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env = append(env, name, value)
	}
	o.Env = environment(env...)
	t.Chdir(dir)
	all, diags := Load([]string{path}, o)
	if diags.HasErrors() == (len(all) > 0) {
		t.Errorf("Load returned %d proposals; errors: %t", len(all), diags.HasErrors())
	}
	return strings.ReplaceAll(text(t, diags), dir, "DIR")
}

func fileOf(archive *txtar.Archive, name string) []byte {
	for _, f := range archive.Files {
		if f.Name == name {
			return bytes.Clone(f.Data)
		}
	}
	return nil
}
