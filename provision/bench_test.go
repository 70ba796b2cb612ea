package provision_test

import (
	"fmt"
	"os"
	"testing"

	"glancectl/provision"
	"glancectl/provision/localhost"
	"glancectl/provision/machine"
)

// BenchmarkPlan is a plan that finds nothing to do on a node with as many
// files as an image node has.
func BenchmarkPlan(b *testing.B) {
	dir := b.TempDir()
	var rs []provision.Resource
	for i := range 40 {
		rs = append(rs, machine.File{Path: fmt.Sprintf("%s/%d", dir, i), Mode: 0o600, Content: fmt.Appendf(nil, "file %d\n", i)})
	}
	h := localhost.New("a")
	r := provision.NewReader(h)
	var queries []provision.Query
	for _, res := range rs {
		f := res.(machine.File)
		if err := os.WriteFile(f.Path, f.Content, f.Mode); err != nil {
			b.Fatal(err)
		}
		queries = append(queries, res.Queries()...)
	}
	for b.Loop() {
		f, err := r.Look(b.Context(), queries)
		if err != nil {
			b.Fatal(err)
		}
		for _, res := range rs {
			if c, err := res.Observe(b.Context(), r, f); err != nil || len(c) > 0 {
				b.Fatal(c, err)
			}
		}
	}
}

// BenchmarkWrite is a batch that writes as many files as an image node has.
func BenchmarkWrite(b *testing.B) {
	dir := b.TempDir()
	var ops []provision.Op
	for i := range 40 {
		ops = append(ops, provision.PutFile{Path: fmt.Sprintf("%s/%d", dir, i), Mode: 0o640, Content: fmt.Appendf(nil, "file %d\n", i)})
	}
	w := provision.NewWriter(localhost.New("a"))
	for b.Loop() {
		if err := w.Do(b.Context(), ops, nil); err != nil {
			b.Fatal(err)
		}
	}
}
