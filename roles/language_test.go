package roles

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/proposals"
)

// load reads a proposal of testdata.
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
