// Package machine has the kinds of resources that a machine has: users,
// directories, files, links, units, processes and commands.
//
// Package roles puts them together. They are plain values that know nothing
// of what they are used for, and they see and change a machine only through
// the queries and ops of package provision.
package machine

import (
	"fmt"
	"io/fs"
	"path"
	"slices"

	"glancectl/provision"
)

// owner returns who is to own a file. Only root can give files away; for
// everybody else what they make is theirs.
func owner(f *provision.Facts, user, group string) (string, string) {
	if f.UID != 0 {
		return "", ""
	}
	return user, group
}

// sameAttrs reports whether a file has the mode and owner it should have.
func sameAttrs(f provision.FileFact, want wanted) bool {
	return f.Mode == want.mode &&
		(want.owner == "" || f.Owner == want.owner) &&
		(want.group == "" || f.Group == want.group)
}

// attrsOf writes what a file has in the way want is written.
func attrsOf(f provision.FileFact, want wanted) string {
	if want.owner == "" && want.group == "" {
		return provision.Attrs(f.Mode, "", "")
	}
	return provision.Attrs(f.Mode, f.Owner, f.Group)
}

// ancestors are the directories above p, the uppermost first.
func ancestors(p string) []string {
	var dirs []string
	for d := path.Dir(p); d != "/" && d != "."; d = path.Dir(d) {
		dirs = append(dirs, d)
	}
	slices.Reverse(dirs)
	return dirs
}

// parentQueries ask about the directories above p.
func parentQueries(p string) []provision.Query {
	var qs []provision.Query
	for _, d := range ancestors(p) {
		qs = append(qs, provision.FileQuery{Path: d})
	}
	return qs
}

// parents are the changes that make the missing directories above p. They
// are remembered, so that a removal takes them away again.
func parents(f *provision.Facts, p string) ([]provision.Change, error) {
	var changes []provision.Change
	for _, d := range ancestors(p) {
		id := provision.ID(provision.KindDir, d)
		fact, ok := f.Files[d]
		mode := fs.FileMode(0o755)
		if d == f.State {
			mode = 0o700
		}
		attrs := provision.Attrs(mode, "", "")
		switch {
		case !ok && !f.Changing(id):
			changes = append(changes, provision.Change{
				ID: id, Action: provision.Create, Summary: "directory " + d + " " + attrs,
				Record: &provision.Entry{Hash: dirHash, Attrs: attrs, Created: true},
				Ops:    []provision.Op{provision.MakeDir{Path: d, Mode: mode}},
			})
		case ok && !fact.IsDir() && !fact.IsLink():
			return nil, fmt.Errorf("%s: %s is not a directory", p, d)
		}
	}
	return changes, nil
}

// original is where what is at p now is to be kept when it is not ours.
func original(f *provision.Facts, id, p string) string {
	if e := f.Entry(id); e != nil && (e.Original != "" || e.Created || e.Hash != "") {
		return e.Original
	}
	return f.State + "/originals" + p
}

// watching reports which of the watched ids is about to change.
func watching(f *provision.Facts, watch []string) (string, bool) {
	i := slices.IndexFunc(watch, f.Changing)
	if i < 0 {
		return "", false
	}
	return watch[i], true
}
