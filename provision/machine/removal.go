package machine

import (
	"context"
	"path"
	"strings"

	"glancectl/provision"
)

// A Removal takes away everything that the machine's receipt says we put
// there, the last first, and the receipt itself.
type Removal struct {
	// Images also removes directories with users' data.
	Images bool
}

// ID implements provision.Resource.
func (r Removal) ID() string { return provision.RemovalID }

// Queries implements provision.Resource.
func (r Removal) Queries() []provision.Query { return nil }

// Observe implements provision.Resource. What it has to look at is in the
// receipt, so it takes a look of its own.
func (r Removal) Observe(ctx context.Context, m provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	if f.Receipt == nil {
		return nil, nil
	}
	facts, err := m.Look(ctx, provision.RemovalQueries(f.Receipt.Entries))
	if err != nil {
		return nil, err
	}
	changes, kept := provision.RemovalChanges(facts, f.Receipt.Entries, r.Images)
	if len(kept) > 0 {
		if len(changes) > 0 {
			changes[len(changes)-1].Summary += "; kept: " + names(kept)
		}
		return changes, nil
	}
	ops := []provision.Op{provision.RemoveDir{Path: f.State, All: true}}
	// Above the state is our own directory and, where a node's root is not
	// /, others that only we can have made.
	top := f.Root
	if top == "" {
		top = "/var/lib"
	}
	for d := path.Dir(f.State); d != top && d != "/"; d = path.Dir(d) {
		ops = append(ops, provision.RemoveDir{Path: d})
	}
	return append(changes, provision.Change{
		ID: r.ID(), Action: provision.Delete, Summary: "receipt and " + f.State, Ops: ops,
	}), nil
}

// names lists what stays, for people.
func names(entries []provision.Entry) string {
	var s []string
	for _, e := range entries {
		s = append(s, strings.Replace(e.ID, ":", " ", 1))
	}
	return strings.Join(s, ", ")
}
