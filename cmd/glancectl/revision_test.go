package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// A repository is one with a proposal in it.
type repository struct {
	t    *testing.T
	work *git.Worktree
	file string // the proposal
}

// commit commits the proposal with more text at its end, and returns the
// commit.
func (r *repository) commit(more string) string {
	r.t.Helper()
	r.edit(more)
	if _, err := r.work.Add(filepath.Base(r.file)); err != nil {
		r.t.Fatal(err)
	}
	hash, err := r.work.Commit("proposal", &git.CommitOptions{Author: &object.Signature{Name: "t", Email: "t@example.org"}})
	if err != nil {
		r.t.Fatal(err)
	}
	return hash.String()
}

func (r *repository) edit(more string) {
	r.t.Helper()
	text, err := os.ReadFile(r.file)
	if err == nil {
		err = os.WriteFile(r.file, append(text, more...), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// Plan, apply, status and the receipt name the revision of the proposal, and
// whether its file differs from it. A proposal outside of a repository has
// none, and works.
func TestRevisionIsNamed(t *testing.T) {
	t.Parallel()
	p, root := localProposal(t)
	binary := "--service-binary=" + standIn(t)
	defer exec.Command("glancectl", "destroy", "--auto-approve", "--images", "--database", binary, p).Run() // no other test needs it
	check := func(says string, args ...string) {
		t.Helper()
		if code, said := ends(append(args, binary, p)...); code != exitOK || !strings.Contains(said, says) {
			t.Errorf("%q: exit code %d; want %d and %q\n%s", args, code, exitOK, says, said)
		}
	}
	// applied applies, and checks what is known of it afterwards.
	applied := func(says, json, receipt, status string) {
		t.Helper()
		check(json, "plan", "--json")
		check(says, "apply", "--auto-approve")
		text, err := os.ReadFile(filepath.Join(root, "var/lib/glancectl/p/receipt.toml"))
		if err != nil || !strings.Contains(string(text), receipt) {
			t.Errorf("receipt: %v; want %q in it:\n%s", err, receipt, text)
		}
		check(status, "status")
	}

	outside := `"file":"` + p + `"}` // and no revision
	applied(", not in a git repository\n", outside, "revision = ''\nmodified = false\n", " UTC, by glancectl ")

	repo, err := git.PlainInit(filepath.Dir(p), false)
	if err != nil {
		t.Fatal(err)
	}
	r := repository{t: t, file: p}
	if r.work, err = repo.Worktree(); err != nil {
		t.Fatal(err)
	}
	first := r.commit("# one\n")
	says, json := " at revision "+first[:10]+"\n", `"revision":"`+first[:10]+`"}`
	check(says, "plan")
	applied(says, json, "revision = '"+first+"'\nmodified = false\n", ", revision "+first[:10]+", by glancectl ")

	r.edit("# two\n")
	says, json = " at revision "+first[:10]+", modified since\n", `"revision":"`+first[:10]+`","modified":true}`
	applied(says, json, "revision = '"+first+"'\nmodified = true\n", ", revision "+first[:10]+", modified, by glancectl ")

	second := r.commit("# three\n")
	says, json = " at revision "+second[:10]+"\n", `"revision":"`+second[:10]+`"}`
	applied(says, json, "revision = '"+second+"'\nmodified = false\n", ", revision "+second[:10]+", by glancectl ")
}
