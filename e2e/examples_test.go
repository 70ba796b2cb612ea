package e2e

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
	{regexp.MustCompile(`(?m)^still at work: .*\n`), ""}, // on a machine that is busy
}

// examples plans every example on machines where nothing is yet, and compares
// with the golden plan beside it. Their addresses are the lab's.
func examples(t *testing.T, s *site, _ draft) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	home := s.Home(t)
	files, err := filepath.Glob("../examples/*.hcl")
	if err != nil || len(files) < 3 {
		t.Fatalf("examples: %v, %v; want at least three", files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		out := run(t, root, "env", "HOME="+home, "NO_COLOR=1", "GLANCE_SERVICE_PASSWORD=for-the-example", "GLANCE_SWIFT_KEY=for-the-example",
			s.Bin, "plan", "examples/"+name)
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
			t.Errorf("plan of %s (-want +got):\n%s", name, diff)
		}
	}
}
