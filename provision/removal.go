package provision

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
)

// RemovalID is the id of a resource that removes everything its machine's
// receipt lists. A target that has it is not searched for leftovers.
const RemovalID = "receipt"

// Kinds of things on a machine, as they begin the ids of entries. Removing
// what a receipt lists needs no more than these; every other entry belongs
// to a service and is left to its owner.
const (
	KindFile    = "file"
	KindLink    = "link"
	KindDir     = "dir"
	KindUser    = "user"
	KindGroup   = "group"
	KindUnit    = "unit"
	KindProcess = "process"
)

// ID makes the id of one thing on a machine.
func ID(kind, name string) string { return kind + ":" + name }

// split is the reverse of ID.
func (e *Entry) split() (kind, name string) {
	kind, name, _ = strings.Cut(e.ID, ":")
	return kind, name
}

// order is when things are removed: what runs first, then its files, then
// the directories, then who owned them.
var order = map[string]int{
	KindUnit: 1, KindProcess: 1,
	KindFile: 2, KindLink: 2,
	KindDir:  3,
	KindUser: 4, KindGroup: 5,
}

// The words of an Entry's Before for a unit.
const (
	WasActive  = "active"
	WasEnabled = "enabled"
)

// order is when e is removed. A unit that was there before us is started
// again when its files are back.
func (e *Entry) order() int {
	kind, _ := e.split()
	if kind == KindUnit && !e.Created && e.Before != "" {
		return order[KindFile]
	}
	return order[kind]
}

// RemovalQueries are what RemovalChanges has to know of entries.
func RemovalQueries(entries []Entry) []Query {
	var qs []Query
	for i := range entries {
		switch kind, name := entries[i].split(); kind {
		case KindFile, KindLink:
			qs = append(qs, FileQuery{Path: name})
		case KindDir:
			qs = append(qs, FileQuery{Path: name, Empty: true})
		case KindUser:
			qs = append(qs, UserQuery{name})
		case KindGroup:
			qs = append(qs, GroupQuery{name})
		case KindUnit:
			qs = append(qs, UnitQuery{name})
		case KindProcess:
			qs = append(qs, ProcessQuery{name})
		}
	}
	return qs
}

// RemovalChanges returns the changes that take away what entries of a
// receipt say we put on the machine, the last first: units and processes are
// ended, files and links removed or, where we had replaced something, put
// back as they were, then directories and users that we made. Directories
// with users' data stay unless data is set, and with them the users and
// groups. Scratch directories and logs go with everything in them. What stays is in
// kept. The facts answer RemovalQueries.
func RemovalChanges(f *Facts, entries []Entry, data bool) (changes []Change, kept []Entry) {
	sorted := slices.Clone(entries)
	slices.Reverse(sorted)
	slices.SortStableFunc(sorted, func(a, b Entry) int {
		ka, na := a.split()
		kb, nb := b.split()
		if c := cmp.Compare(a.order(), b.order()); c != 0 {
			return c
		}
		if ka == KindUnit || kb == KindUnit { // after the files
			return cmp.Compare(strings.Count(ka, KindUnit), strings.Count(kb, KindUnit))
		}
		if ka != KindDir {
			return 0
		}
		return cmp.Compare(strings.Count(nb, "/"), strings.Count(na, "/"))
	})
	r := remover{facts: f, data: data}
	for _, e := range sorted {
		kind, name := e.split()
		if order[kind] == 0 {
			continue
		}
		c := Change{ID: e.ID, Action: Delete, Summary: kind + " " + name}
		if r.keeps(e, kind, name) {
			kept = append(kept, e)
			continue
		}
		if c.Ops = r.ops(e, kind, name); len(c.Ops) == 0 {
			c.Summary = "forget " + c.Summary // it is gone, or was there before us
			if d := f.Files[name]; kind == KindDir && e.Data && d.IsDir() && !d.Empty {
				c.Summary += ": it was there before, and what is in it stays"
			}
		}
		changes = append(changes, c)
	}
	return changes, kept
}

// A remover knows what was kept so far.
type remover struct {
	facts *Facts
	data  bool
	kept  []string // directories
}

// keeps reports whether an entry stays because users' data does.
func (r *remover) keeps(e Entry, kind, name string) bool {
	switch kind {
	case KindDir:
		d, ok := r.facts.Files[name]
		below := slices.ContainsFunc(r.kept, func(k string) bool { return strings.HasPrefix(k, name+"/") })
		if below || ok && e.Data && !r.data && d.IsDir() && !d.Empty {
			r.kept = append(r.kept, name)
			return true
		}
	case KindUser, KindGroup:
		return len(r.kept) > 0
	}
	return false
}

// ops are the acts that remove one entry, none when there is nothing left
// of it or it was there before us.
func (r *remover) ops(e Entry, kind, name string) []Op {
	switch kind {
	case KindUnit:
		switch u, ok := r.facts.Units[name]; {
		case !ok || u.LoadState == "not-found":
		case e.Created:
			return []Op{StopUnit{name}}
		case e.Before != "":
			return []Op{ReviveUnit{Name: name, Active: strings.Contains(e.Before, WasActive), Enabled: strings.Contains(e.Before, WasEnabled)}}
		}
	case KindProcess:
		if p, ok := r.facts.Processes[name]; ok {
			return []Op{StopProcess{PIDFile: name, PID: p.PID, Ticks: p.Ticks}}
		}
	case KindFile, KindLink:
		return r.fileOps(e, name)
	case KindDir:
		if e.Created {
			return []Op{RemoveDir{Path: name, All: e.Scratch || e.Logs || e.Data && r.data}}
		}
		if d, ok := r.facts.Files[name]; ok && d.IsDir() && e.Before != "" {
			return []Op{e.attrs(name)}
		}
	case KindUser:
		_, ok := r.facts.Users[name]
		if ok && e.Created {
			return []Op{RemoveUser{name}}
		}
		if was := strings.Split(e.Before, "\n"); ok && len(was) == 3 {
			return []Op{AddUser{Name: name, Group: was[0], Home: was[1], Shell: was[2], Modify: true}}
		}
	case KindGroup:
		if _, ok := r.facts.Groups[name]; ok && e.Created {
			return []Op{RemoveGroup{name}}
		}
	}
	return nil
}

// attrs is the op that gives a directory back what it had before us, as far
// as its owner has a name.
func (e *Entry) attrs(name string) Op {
	digits, owners, _ := strings.Cut(e.Before, " ")
	mode, _ := strconv.ParseUint(digits, 8, 12) // we wrote it
	op := SetAttrs{Path: name}
	_, op.Mode = fileMode(uint32(mode))
	op.Owner, op.Group, _ = strings.Cut(owners, ":")
	if strings.Contains(owners, "UNKNOWN") {
		op.Owner, op.Group = "", ""
	}
	return op
}

// fileOps remove a file or link, or put back what was there before.
func (r *remover) fileOps(e Entry, name string) []Op {
	fact, there := r.facts.Files[name]
	if e.Hash == "" && there && !e.Knows(fact.SHA256) && !e.Knows(fact.Target) {
		// The apply that was to write it never came so far: what is there
		// is not ours.
		return nil
	}
	var ops []Op
	switch {
	case e.Original != "":
		ops = []Op{Restore{Path: name, Original: e.Original}}
	case e.Created || there:
		ops = []Op{Remove{Path: name}}
	}
	if strings.HasPrefix(path.Dir(name)+"/", "/etc/systemd/system/") {
		ops = append(ops, ReloadUnits{})
	}
	return ops
}

// leftovers are the entries of a receipt that none of the wanted ids covers.
func leftovers(r *Receipt, wanted map[string]bool) []Entry {
	if r == nil {
		return nil
	}
	var left []Entry
	for _, e := range r.Entries {
		kind, name := e.split()
		if wanted[e.ID] || order[kind] == 0 {
			continue
		}
		if kind == KindDir && holdsWanted(name, wanted) {
			continue
		}
		if (kind == KindFile && wanted[ID(KindLink, name)]) || (kind == KindLink && wanted[ID(KindFile, name)]) {
			continue // the path is wanted, only as something else
		}
		left = append(left, e)
	}
	return left
}

// holdsWanted reports whether something wanted is below the directory.
func holdsWanted(dir string, wanted map[string]bool) bool {
	for id := range wanted {
		if _, name, _ := strings.Cut(id, ":"); strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}
