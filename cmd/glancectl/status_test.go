package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Status warns of a job that has failed, and works all the same.
func TestStatusWarnsOfJobs(t *testing.T) {
	p, root := localProposal(t)
	glancectl := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("glancectl", append(args, "--service-binary="+standIn(t), p)...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", args[0], err, out)
		}
		return string(out)
	}
	glancectl("apply", "--auto-approve")
	defer glancectl("destroy", "--auto-approve", "--images", "--database")
	if out := glancectl("status"); strings.Contains(out, "warning") {
		t.Errorf("status before any job has run:\n%s\nwant no warning", out)
	}
	record := filepath.Join(root, "var/lib/glance/lock/glance-scrubber.runs")
	text := `{"version":1,"runs":[{"pid":1,"start":"2026-11-20T01:00:00Z","end":"2026-11-20T01:00:01Z","result":"timeout"}]}`
	if err := os.WriteFile(record, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, want := glancectl("status"), "\n  warning    scrubber: the run of 2026-11-20 01:00:00 UTC was ended at its timeout\n"; !strings.Contains(out, want) {
		t.Errorf("status:\n%s\nwant %q", out, want)
	}
	if out, want := glancectl("status", "--json"), `"result":"timeout"`; !strings.Contains(out, want) {
		t.Errorf("status --json:\n%s\nwant %s", out, want)
	}
}
