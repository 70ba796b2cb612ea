package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"

	"glancectl/proposals"
)

// TestRevision: what a proposal is read from beside its own file counts.
func TestRevision(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hcl, inventory, vars := file("p.hcl", "p"), file("nodes.toml", "n"), file("v.hcl", "v")
	repo, err := git.PlainInit(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	work, err := repo.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"p.hcl", "nodes.toml", "v.hcl"} {
		if _, err := work.Add(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := work.Commit("first", &git.CommitOptions{Author: &object.Signature{Name: "t", Email: "t@example.org"}}); err != nil {
		t.Fatal(err)
	}
	secret := file("secret.hcl", "kept out of git")
	for _, test := range []struct {
		name     string
		change   string // a file that is edited, and put back after
		varFiles []string
		modified bool
	}{
		{"nothing edited", "", []string{vars, secret}, false},
		{"the proposal edited", hcl, nil, true},
		{"the inventory edited", inventory, nil, true},
		{"the variables edited", vars, []string{vars}, true},
		{"other variables edited", vars, nil, false},
	} {
		old, _ := os.ReadFile(test.change) // there is none for ""
		if test.change != "" {
			file(filepath.Base(test.change), "edited")
		}
		a := &app{varFiles: test.varFiles}
		rev, err := a.revision(hcl, &proposals.Proposal{Inventory: inventory})
		if err != nil || !rev.Known || rev.Modified != test.modified {
			t.Errorf("%s: revision = %+v, %v; want modified %v", test.name, rev, err, test.modified)
		}
		if test.change != "" {
			file(filepath.Base(test.change), string(old))
		}
	}
}
