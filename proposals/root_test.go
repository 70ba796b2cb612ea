package proposals

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The directory that everything goes below may be anywhere, also where people
// put blanks into names.
func TestRootMayHoldBlanks(t *testing.T) {
	for root, ok := range map[string]bool{
		"/srv/plain":        true,
		"/srv/my files/a b": true,
		"/srv/ first":       false,
		"/srv/last /x":      false,
		"/srv/last ":        false,
		"/srv/quo'te":       false,
		"/srv/a$b":          false,
		"/srv/per%cent":     false,
	} {
		file := filepath.Join(t.TempDir(), "p.hcl")
		text := fmt.Sprintf("proposal \"p\" {\n  node \"a\" {\n    connection = \"local\"\n    init = \"process\"\n    root = \"%s\"\n  }\n  role \"glance-server\" { nodes = [\"a\"] }\n}\n", root)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, diags := Load([]string{file}, Options{})
		switch {
		case ok && (diags.HasErrors() || all[0].Nodes[0].Root != root):
			t.Errorf("root %q: %v; want it taken as it is", root, diags)
		case !ok && !strings.Contains(fmt.Sprint(diags), "root holds a character that is not allowed"):
			t.Errorf("root %q: %v; want it refused", root, diags)
		}
	}
}
