package everything

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden plans of the examples anew")

// masks take out of a plan what differs from build to build and from place to
// place.
var masks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\(amd64, \d+ bytes, sha256 [0-9a-f]+\)`), "(amd64, N bytes, sha256 …)"},
	{regexp.MustCompile(`(?m)( from examples/\S+?),? .*$`), "$1"},
	{regexp.MustCompile(`(?m)^To make it so: .*\n`), ""},
}

// examples plans every example on machines where nothing is yet, and compares
// with the golden plan beside it. Their addresses are the lab's.
func examples(t *testing.T, s *site) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "examples/*.hcl"))
	if err != nil || len(files) < 6 {
		t.Fatalf("examples: %v, %v; want at least six", files, err)
	}
	for _, file := range files {
		c := s.Command(t.Context(), "plan", "examples/"+filepath.Base(file))
		c.Dir, c.Env = root, append(c.Env, "GLANCE_SERVICE_PASSWORD=for-the-example", "GLANCE_SWIFT_KEY=for-the-example")
		text, err := c.Output()
		if err != nil {
			t.Errorf("plan of %s: %v", file, err)
		}
		out := string(text)
		for _, m := range masks {
			out = m.pattern.ReplaceAllString(out, m.text)
		}
		out = strings.ReplaceAll(out, root, "…")
		golden := strings.TrimSuffix(file, ".hcl") + ".plan"
		if *update {
			if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), out); diff != "" {
			t.Errorf("plan of %s (-want +got):\n%s", filepath.Base(file), diff)
		}
	}
}
