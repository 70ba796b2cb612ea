package proposals

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// broken has one mistake behind tabs and letters of several bytes.
const broken = "proposal \"Zürich\" {\n\tnode \"ä\" { address = \"10.0.0.1\" }\n}\n"

func TestDiagnosticForms(t *testing.T) {
	file := write(t, t.TempDir(), "p.hcl", broken)
	_, diags := Load([]string{file}, Options{Env: environment()})
	wantText := `Error: bad name of a proposal: "Zürich"

  on FILE line 1, column 10:
     1: proposal "Zürich" {
                 ^^^^^^^^

  Use letters, digits and . _ -, at most 63, a letter or digit first.

Error: bad name of a node: "ä"

  on FILE line 2, column 7:
     2: 	node "ä" { address = "10.0.0.1" }
        	     ^^^

  Use letters, digits and . _ -, at most 63, a letter or digit first.
`
	if diff := cmp.Diff(wantText, strings.ReplaceAll(text(t, diags), file, "FILE")); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	asJSON, err := json.Marshal(diags[1:])
	if err != nil {
		t.Fatal(err)
	}
	wantJSON := `[{"severity":"error","summary":"bad name of a node: \"ä\"","detail":"Use letters, digits and . _ -, at most 63, a letter or digit first.",` +
		`"file":"FILE","line":2,"column":7,"snippet":"\tnode \"ä\" { address = \"10.0.0.1\" }"}]`
	if got := strings.ReplaceAll(string(asJSON), file, "FILE"); got != wantJSON {
		t.Errorf("JSON = %s\nwant   %s", got, wantJSON)
	}
	var colour strings.Builder
	if err := diags.Write(&colour, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(colour.String(), "\x1b[1;31mError:\x1b[0m") || !strings.Contains(colour.String(), "\x1b[1;31m^^^^^^^^\x1b[0m") {
		t.Errorf("no colour in %q", colour.String())
	}
}

// TestTerminalIsSafe plants an escape sequence where a diagnostic shows the
// source.
func TestTerminalIsSafe(t *testing.T) {
	file := write(t, t.TempDir(), "p.hcl", "proposal \"p\" {\n  x = \"\x1b]0;title\x07\x1b[2J\"\n}\n\x1b[31m")
	_, diags := Load([]string{file}, Options{Env: environment()})
	if !diags.HasErrors() {
		t.Fatal("nothing is reported")
	}
	if got := text(t, diags); strings.ContainsAny(got, "\x1b\x07") {
		t.Errorf("control characters reach the terminal: %q", got)
	}
}

func TestEveryMistakeIsReportedOnce(t *testing.T) {
	file := write(t, t.TempDir(), "p.hcl", `proposal "p" {
  ssh { port = 0 }
  node "a" { address = "10.0.0.1" }
  node "b" { address = "10.0.0.2" }
}`)
	_, diags := Load([]string{file, file}, Options{Env: environment()})
	ports := 0
	for _, d := range diags {
		if strings.HasPrefix(d.Summary, "port out of range") {
			ports++
		}
	}
	if ports != 1 {
		t.Errorf("one wrong port is reported %d times", ports)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteReturnsTheWritersError(t *testing.T) {
	if err := (Diagnostics{{Summary: "x"}}).Write(brokenWriter{}, false); !errors.Is(err, errBroken) {
		t.Errorf("Write = %v; want %v", err, errBroken)
	}
}
