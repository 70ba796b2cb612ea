package proposals

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/proposal.md")

func TestReferenceIsCurrent(t *testing.T) {
	const file = "../docs/proposal.md"
	want := Reference()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/proposal.md is not what Reference returns; run go test ./proposals -update")
	}
}
