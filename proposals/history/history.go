// Package history says which revision of a proposal is at hand, from the git
// repository that the proposal is kept in.
//
// The command line shows the revision in plans and leaves it in receipts. The
// package reads proposals as files only and knows nothing of their language.
package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// A Revision is the state of a proposal in its repository. The zero value is
// that of a proposal outside any repository.
type Revision struct {
	Known    bool   // the proposal lies in a repository that has a commit
	Commit   string // the whole hash of HEAD
	Short    string // its first ten digits
	Tracked  bool   // all files of the proposal are in that commit
	Modified bool   // a file differs from the commit, or is not in it, or is gone
}

// String returns the short hash, with "+modified" when the proposal differs
// from it; "" when it is not known.
func (r Revision) String() string {
	if r.Known && r.Modified {
		return r.Short + "+modified"
	}
	return r.Short
}

const shortLength = 10

// Of returns the revision of the proposal at path, a file or a directory
// of *.hcl and *.hcl.json. A path outside any repository, and a repository
// without a commit, are no errors. Only the proposal's own files are compared,
// so the size of the repository does not matter.
func Of(path string) (Revision, error) {
	// A symbolic link stands for the file behind it, and the repository knows
	// its own place without links.
	path, err := filepath.EvalSymlinks(path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return Revision{}, fmt.Errorf("revision: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Revision{}, fmt.Errorf("revision: %w", err)
	}
	dir := path
	if !info.IsDir() {
		dir = filepath.Dir(path)
	}
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return Revision{}, nil
	}
	if err != nil {
		return Revision{}, fmt.Errorf("revision of %s: open repository: %w", path, err)
	}
	head, err := repo.Head()
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return Revision{}, nil
	}
	if err != nil {
		return Revision{}, fmt.Errorf("revision of %s: read HEAD: %w", path, err)
	}
	work, err := repo.Worktree()
	if errors.Is(err, git.ErrIsBareRepository) {
		return Revision{}, nil
	}
	if err != nil {
		return Revision{}, fmt.Errorf("revision of %s: %w", path, err)
	}
	commit, err := repo.CommitObject(head.Hash())
	if err != nil {
		return Revision{}, fmt.Errorf("revision of %s: read commit: %w", path, err)
	}
	r := Revision{Known: true, Commit: head.Hash().String(), Short: head.Hash().String()[:shortLength]}
	name := ""
	if !info.IsDir() {
		name = filepath.Base(path)
	}
	return r, r.compare(commit, work.Filesystem.Root(), dir, name)
}

// compare sets Tracked and Modified from the files of dir, or the one called
// name, and what the commit has in their place.
func (r *Revision) compare(commit *object.Commit, root, dir, name string) error {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return fmt.Errorf("revision: %w", err)
	}
	below, err := filepath.Rel(root, dir)
	if err != nil {
		return fmt.Errorf("revision: %w", err)
	}
	committed, err := committedFiles(commit, filepath.ToSlash(below), name)
	if err != nil {
		return fmt.Errorf("revision of %s: read tree: %w", dir, err)
	}
	present, err := presentFiles(dir, name)
	if err != nil {
		return fmt.Errorf("revision: %w", err)
	}
	r.Tracked = len(present) > 0
	for file, hash := range present {
		was, ok := committed[file]
		r.Tracked = r.Tracked && ok
		r.Modified = r.Modified || !ok || was != hash
	}
	for file := range committed {
		if _, ok := present[file]; !ok {
			r.Modified = true
		}
	}
	return nil
}

// belongs reports whether a file of a directory is part of its proposals.
func belongs(file, name string) bool {
	if name != "" {
		return file == name
	}
	return !strings.HasPrefix(file, ".") && (strings.HasSuffix(file, ".hcl") || strings.HasSuffix(file, ".hcl.json"))
}

func committedFiles(commit *object.Commit, below, name string) (map[string]plumbing.Hash, error) {
	tree, err := commit.Tree()
	if err != nil {
		return nil, err
	}
	if below != "." {
		tree, err = tree.Tree(below)
		if errors.Is(err, object.ErrDirectoryNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	files := map[string]plumbing.Hash{}
	for _, e := range tree.Entries {
		if e.Mode.IsFile() && belongs(e.Name, name) {
			files[e.Name] = e.Hash
		}
	}
	return files, nil
}

func presentFiles(dir, name string) (map[string]plumbing.Hash, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string]plumbing.Hash{}
	for _, e := range entries {
		if e.IsDir() || !belongs(e.Name(), name) {
			continue
		}
		content, err := content(filepath.Join(dir, e.Name()), e)
		if err != nil {
			return nil, err
		}
		files[e.Name()] = plumbing.ComputeHash(plumbing.BlobObject, content)
	}
	return files, nil
}

// content returns what git keeps of a file: of a symbolic link its target.
func content(file string, e fs.DirEntry) ([]byte, error) {
	if e.Type()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(file)
		return []byte(filepath.ToSlash(target)), err
	}
	return os.ReadFile(file)
}
