package proposals

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormat(t *testing.T) {
	const src = "# kept\nproposal  \"p\"   {\nnode \"a\"{\naddress=\"10.0.0.1\" # kept too\n      root   =  \"/x\"\n}\n}\n"
	const want = "# kept\nproposal \"p\" {\n  node \"a\" {\n    address = \"10.0.0.1\" # kept too\n    root    = \"/x\"\n  }\n}\n"
	got, err := Format([]byte(src), "p.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("Format (-want +got):\n%s", diff)
	}
	again, err := Format(got, "p.hcl")
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("formatting twice gives another text: %s, %v", again, err)
	}
}

func TestFormatRefusesWhatDoesNotParse(t *testing.T) {
	got, err := Format([]byte("proposal \"p\" {\n  password = \""+planted+"\n}"), "p.hcl")
	if err == nil || got != nil {
		t.Fatalf("Format = %q, %v; want an error", got, err)
	}
	if s := err.Error(); !strings.HasPrefix(s, "format p.hcl:2: ") || strings.Contains(s, planted) {
		t.Errorf("error = %q; want the place and no source", s)
	}
}

func TestFormatLeavesJSON(t *testing.T) {
	src := []byte(`{"proposal":   {}}`)
	if got, err := Format(src, "p.hcl.json"); err != nil || !bytes.Equal(got, src) {
		t.Errorf("Format(JSON) = %s, %v; want it unchanged", got, err)
	}
}

// TestInit holds the starter to its promises: valid, formatted, and valid
// too when the comments that hold language are taken off.
func TestInit(t *testing.T) {
	src := Init("my-proposal")
	if got := loadText(t, string(src), Options{Env: environment()}).Name; got != "my-proposal" {
		t.Errorf("name = %q; want my-proposal", got)
	}
	if got, err := Format(src, "p.hcl"); err != nil || !bytes.Equal(got, src) {
		t.Errorf("the starter is not formatted: %v\n%s", err, cmp.Diff(string(src), string(got)))
	}
	var all []string
	for _, line := range strings.Split(string(src), "\n") {
		bare := strings.TrimPrefix(strings.TrimSpace(line), "# ")
		if strings.ContainsAny(bare, "={}") {
			line = bare
		}
		all = append(all, line)
	}
	p := loadText(t, strings.Join(all, "\n"), Options{Env: environment("HOME", "/home/me")})
	if len(p.MySQL) != 1 || len(p.Keystone) != 1 || len(p.Nodes) != 4 {
		t.Errorf("with everything: %d mysql, %d keystone, %d nodes; want 1, 1, 4", len(p.MySQL), len(p.Keystone), len(p.Nodes))
	}
}

// TestInitMakesNamesValid gives names of files that no proposal can have.
func TestInitMakesNamesValid(t *testing.T) {
	for name, want := range map[string]string{
		"a\" ${x}":                 "a-x",
		"":                         "glance",
		"...":                      "glance",
		"Bildservice Zürich (neu)": "Bildservice-Z-rich-neu",
		"-a.b_c-1":                 "a.b_c-1",
		"a\n} # NAME":              "a-NAME",
		strings.Repeat("x", 100):   strings.Repeat("x", 63),
	} {
		if got := loadText(t, string(Init(name)), Options{Env: environment()}).Name; got != want {
			t.Errorf("Init(%q) is called %q; want %q", name, got, want)
		}
	}
}

func TestValidExamplesAreFormatted(t *testing.T) {
	files, err := filepath.Glob("testdata/valid/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Format(src, file); err != nil || !bytes.Equal(got, src) {
			t.Errorf("%s is not formatted: %v\n%s", file, err, cmp.Diff(string(src), string(got)))
		}
	}
}
