package history_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"

	"glancectl/proposals/history"
)

// A place is a repository with proposals in a folder.
type place struct {
	t    *testing.T
	root string
	repo *git.Repository
}

func newPlace(t *testing.T) *place {
	t.Helper()
	root := t.TempDir()
	repo, err := git.PlainInit(root, false)
	if err != nil {
		t.Fatal(err)
	}
	return &place{t, root, repo}
}

func (p *place) write(name, text string) string {
	p.t.Helper()
	file := filepath.Join(p.root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return file
}

func (p *place) commit(names ...string) string {
	p.t.Helper()
	work, err := p.repo.Worktree()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, name := range names {
		if _, err := work.Add(name); err != nil {
			p.t.Fatal(err)
		}
	}
	who := &object.Signature{Name: "A", Email: "a@example.org", When: time.Unix(1e9, 0)}
	hash, err := work.Commit("change", &git.CommitOptions{Author: who})
	if err != nil {
		p.t.Fatal(err)
	}
	return hash.String()
}

func of(t *testing.T, path string) history.Revision {
	t.Helper()
	r, err := history.Of(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFile(t *testing.T) {
	p := newPlace(t)
	file := p.write("sites/zurich.hcl", "one")
	if got := of(t, file); got != (history.Revision{}) {
		t.Errorf("without a commit: %+v; want nothing known", got)
	}
	p.write("other.txt", "one")
	commit := p.commit("sites/zurich.hcl", "other.txt")
	want := history.Revision{Known: true, Commit: commit, Short: commit[:10], Tracked: true}
	if got := of(t, file); got != want {
		t.Errorf("committed: %+v; want %+v", got, want)
	}
	p.write("other.txt", "two")
	if got := of(t, file); got != want {
		t.Errorf("another file changed: %+v; want %+v", got, want)
	}
	p.write("sites/zurich.hcl", "two")
	want.Modified = true
	if got := of(t, file); got != want {
		t.Errorf("changed: %+v; want %+v", got, want)
	}
	if got := of(t, file).String(); got != commit[:10]+"+modified" {
		t.Errorf("String() = %q", got)
	}
	p.write("sites/zurich.hcl", "one")
	want.Modified = false
	if got := of(t, file); got != want {
		t.Errorf("changed back: %+v; want %+v", got, want)
	}
	want.Tracked, want.Modified = false, true
	if got := of(t, p.write("sites/new.hcl", "one")); got != want {
		t.Errorf("never added: %+v; want %+v", got, want)
	}
	if got := of(t, p.write("elsewhere/new.hcl", "one")); got != want {
		t.Errorf("in a folder that was never added: %+v; want %+v", got, want)
	}
}

func TestDirectory(t *testing.T) {
	p := newPlace(t)
	p.write("site/a.hcl", "a")
	p.write("site/b.hcl.json", "b")
	p.write("site/notes.txt", "n")
	p.commit("site")
	dir := filepath.Join(p.root, "site")
	check := func(what string, tracked, modified bool) {
		t.Helper()
		if got := of(t, dir); !got.Known || got.Tracked != tracked || got.Modified != modified {
			t.Errorf("%s: %+v; want tracked %t, modified %t", what, got, tracked, modified)
		}
	}
	check("committed", true, false)
	p.write("site/notes.txt", "changed")
	p.write("site/.swap.hcl", "hidden")
	check("other files changed", true, false)
	p.write("site/c.hcl", "c")
	check("a file more", false, true)
	p.commit("site/c.hcl")
	check("committed too", true, false)
	if err := os.Remove(filepath.Join(dir, "a.hcl")); err != nil {
		t.Fatal(err)
	}
	check("a file less", true, true)
}

func TestOutside(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.hcl")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := history.Of(file)
	if err != nil || got != (history.Revision{}) || got.String() != "" {
		t.Errorf("Of = %+v, %v; want nothing known", got, err)
	}
	if _, err := history.Of(filepath.Join(t.TempDir(), "missing.hcl")); err == nil {
		t.Error("a missing file is no error")
	}
}

// TestRelativeAndLinked asks from inside the repository, and through links to
// the folder and to the file.
func TestRelativeAndLinked(t *testing.T) {
	p := newPlace(t)
	file := p.write("a/p.hcl", "one")
	p.commit("a/p.hcl")
	links := t.TempDir()
	for name, target := range map[string]string{"dir": filepath.Dir(file), "p.hcl": file} {
		if err := os.Symlink(target, filepath.Join(links, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(p.root, "a"))
	for _, path := range []string{"p.hcl", ".", filepath.Join(links, "dir", "p.hcl"), filepath.Join(links, "p.hcl")} {
		if got := of(t, path); !got.Tracked || got.Modified {
			t.Errorf("Of(%s) = %+v; want tracked and not modified", path, got)
		}
	}
}

// TestLinkedWorktree lays out a second working tree as git worktree does: a
// .git file that names a directory, which names the common one.
func TestLinkedWorktree(t *testing.T) {
	p := newPlace(t)
	p.write("p.hcl", "one")
	commit := p.commit("p.hcl")
	tree := t.TempDir()
	admin := filepath.Join(p.root, ".git", "worktrees", "second")
	for name, text := range map[string]string{
		filepath.Join(admin, "HEAD"):      commit + "\n",
		filepath.Join(admin, "commondir"): "../..\n",
		filepath.Join(admin, "gitdir"):    filepath.Join(tree, ".git") + "\n",
		filepath.Join(tree, ".git"):       "gitdir: " + admin + "\n",
		filepath.Join(tree, "p.hcl"):      "one",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := of(t, filepath.Join(tree, "p.hcl")); got.Commit != commit || !got.Tracked || got.Modified {
		t.Errorf("Of = %+v; want %s, tracked, not modified", got, commit)
	}
}
