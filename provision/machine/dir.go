package machine

import (
	"context"
	"fmt"
	"io/fs"

	"glancectl/provision"
)

// dirHash is what the receipt remembers as the content of a directory.
const dirHash = "dir"

// A Dir is a directory.
type Dir struct {
	Path         string
	Owner, Group string
	Mode         fs.FileMode
	// Data says that users' data is below: a removal leaves a directory that
	// is not empty unless it is told otherwise.
	Data bool
	// Scratch says that what is below is of no use without the directory's
	// service, such as a cache: removing the directory removes it all.
	Scratch bool
	// Logs says the same, but a directory of logs that is no longer wanted
	// stays until everything else is removed.
	Logs bool
}

// ID implements provision.Resource.
func (r Dir) ID() string { return provision.ID(provision.KindDir, r.Path) }

// Queries implements provision.Resource.
func (r Dir) Queries() []provision.Query {
	return append(parentQueries(r.Path), provision.FileQuery{Path: r.Path})
}

// Observe implements provision.Resource.
func (r Dir) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	want := wanted{path: r.Path, mode: r.Mode}
	want.owner, want.group = owner(f, r.Owner, r.Group)
	attrs := provision.Attrs(want.mode, want.owner, want.group)
	fact, there := f.Files[r.Path]
	e := f.Entry(r.ID())
	ch := provision.Change{
		ID: r.ID(), Action: provision.Update, Summary: "directory " + r.Path,
		Hash:    dirHash,
		Record:  &provision.Entry{Hash: dirHash, Attrs: attrs, Data: r.Data, Scratch: r.Scratch, Logs: r.Logs},
		Drifted: e != nil && e.Settled(),
	}
	switch {
	case !there:
		ch.Action = provision.Create
		ch.Record.Created = true
		ch.Summary += " " + attrs
		ch.Ops = []provision.Op{provision.MakeDir{Path: r.Path, Mode: want.mode, Owner: want.owner, Group: want.group}}
	case !fact.IsDir():
		return nil, fmt.Errorf("%s: something that is not a directory is in the way", r.Path)
	case sameAttrs(fact, want):
		return nil, nil
	default:
		ch.Drifted = e != nil && e.Settled() && e.Attrs != attrsOf(fact, want)
		if e == nil {
			ch.Record.Before = attrsOf(fact, want)
		}
		ch.Summary += fmt.Sprintf(" %s -> %s", attrsOf(fact, want), attrs)
		ch.Ops = []provision.Op{provision.SetAttrs{Path: r.Path, Mode: want.mode, Owner: want.owner, Group: want.group}}
	}
	changes, err := parents(f, r.Path)
	if err != nil {
		return nil, err
	}
	return append(changes, ch), nil
}

// A Link is a symbolic link.
type Link struct{ Path, Target string }

// ID implements provision.Resource.
func (r Link) ID() string { return provision.ID(provision.KindLink, r.Path) }

// Queries implements provision.Resource.
func (r Link) Queries() []provision.Query {
	return append(parentQueries(r.Path), provision.FileQuery{Path: r.Path})
}

// Observe implements provision.Resource.
func (r Link) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	fact, there := f.Files[r.Path]
	if there && fact.IsLink() && fact.Target == r.Target {
		return nil, nil
	}
	if there && fact.IsDir() {
		return nil, fmt.Errorf("%s: a directory is in the way", r.Path)
	}
	e := f.Entry(r.ID())
	ch := provision.Change{
		ID: r.ID(), Action: provision.Update,
		Summary: fmt.Sprintf("link %s -> %s", r.Path, r.Target),
		Hash:    r.Target,
		Record:  &provision.Entry{Hash: r.Target},
		Drifted: e != nil && e.Hash != "" && !e.Knows(fact.Target),
	}
	if there {
		ch.Record.Original = original(f, r.ID(), r.Path)
	} else {
		ch.Action = provision.Create
		ch.Record.Created = e == nil
	}
	ch.Ops = []provision.Op{provision.MakeLink{Path: r.Path, Target: r.Target, Original: ch.Record.Original}}
	changes, err := parents(f, r.Path)
	if err != nil {
		return nil, err
	}
	return append(changes, ch), nil
}
