package provision

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// receiptSchema is the version of the receipt's format.
const receiptSchema = 1

// A Receipt is what applies of one proposal left on a machine. It holds no
// secret, but hashes of files that contain some: it is for root alone.
type Receipt struct {
	Schema   int       `toml:"schema"`
	Proposal string    `toml:"proposal"`
	Version  string    `toml:"version"`  // of glancectl
	Digest   string    `toml:"digest"`   // of the proposal
	Revision string    `toml:"revision"` // of git; "" outside of a repository
	Modified bool      `toml:"modified"` // the proposal differed from its revision
	Time     time.Time `toml:"time"`
	Entries  []Entry   `toml:"entry"` // in the order of their first apply
}

// An Entry is one thing on a machine that an apply made or changed.
type Entry struct {
	ID   string `toml:"id"`
	Hash string `toml:"hash"` // of the content we left; "" when no apply came to its end
	// Pending is the hash that an apply was about to leave. It is set before
	// the apply begins and empty after it, so that an apply that was cut off
	// is not taken for a change by hand. After several that were cut off it
	// has a line for each, the last first.
	Pending  string `toml:"pending,omitempty"`
	Attrs    string `toml:"attrs,omitempty"`    // mode and owner, as Attrs writes them
	Created  bool   `toml:"created,omitempty"`  // it was not there before us
	Original string `toml:"original,omitempty"` // where what was there before us is kept
	// Before is what a directory, a user or a unit that we only changed was
	// like: Attrs; a number of a group, home and shell, a line each; "active"
	// and "enabled".
	Before  string `toml:"before,omitempty"`
	Data    bool   `toml:"data,omitempty"`    // a directory with users' data
	Scratch bool   `toml:"scratch,omitempty"` // a directory that goes with everything in it
	Logs    bool   `toml:"logs,omitempty"`    // so does this one, but not before the whole does
	// Masked are the options of a file, a line each, whose values were secret
	// when it was written, or about to be: they must not be shown when the
	// next proposal does not call them so any more.
	Masked string `toml:"masked,omitempty"`
}

// Knows reports whether hash is one that an apply of ours left or was about
// to leave.
func (e *Entry) Knows(hash string) bool {
	return hash != "" && (hash == e.Hash || slices.Contains(strings.Split(e.Pending, "\n"), hash))
}

// Settled reports whether the last apply of this entry came to its end.
func (e *Entry) Settled() bool { return e.Hash != "" && e.Pending == "" }

// ParseReceipt reads a receipt. Fields and schemas it does not know are
// errors: they come from a newer glancectl, which a plan must not undo.
func ParseReceipt(b []byte) (*Receipt, error) {
	var head struct {
		Schema int `toml:"schema"`
	}
	if err := toml.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	if head.Schema != receiptSchema {
		return nil, fmt.Errorf("receipt: schema %d, this glancectl knows %d: use the glancectl that wrote it, or a newer one", head.Schema, receiptSchema)
	}
	d := toml.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	r := new(Receipt)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return r, nil
}

// Marshal writes the receipt the way ParseReceipt reads it.
func (r *Receipt) Marshal() ([]byte, error) {
	b, err := toml.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return b, nil
}

// Entry returns the entry of id, and nil when there is none.
func (r *Receipt) Entry(id string) *Entry {
	i := slices.IndexFunc(r.Entries, func(e Entry) bool { return e.ID == id })
	if i < 0 {
		return nil
	}
	return &r.Entries[i]
}

// record is the entry that c leaves, and nil when it leaves none.
func (c *Change) record() *Entry {
	if c.Record != nil {
		e := *c.Record
		e.ID = c.ID
		return &e
	}
	if c.Hash != "" && c.Action != Delete {
		return &Entry{ID: c.ID, Hash: c.Hash}
	}
	return nil
}

// left reports whether an apply that came to its end left the resource. Without
// a receipt none has.
func (r *Receipt) left(id string) bool {
	if r == nil {
		return false
	}
	e := r.Entry(id)
	return e != nil && e.Settled()
}

// announce returns a copy of r that says what changes are about to be made.
func (r *Receipt) announce(changes []Change) *Receipt {
	next := *r
	next.Entries = slices.Clone(r.Entries)
	for i := range changes {
		e := changes[i].record()
		if e == nil {
			continue
		}
		if old := next.Entry(e.ID); old != nil {
			if !slices.Contains(strings.Split(old.Pending, "\n"), e.Hash) {
				old.Pending = strings.TrimSuffix(e.Hash+"\n"+old.Pending, "\n")
			}
			old.Created = old.Created || e.Created
			old.Attrs, old.Data, old.Scratch, old.Logs = e.Attrs, e.Data, e.Scratch, e.Logs
			for _, option := range strings.Split(e.Masked, "\n") {
				if !slices.Contains(strings.Split(old.Masked, "\n"), option) {
					old.Masked = strings.Trim(old.Masked+"\n"+option, "\n")
				}
			}
			if old.Original == "" {
				old.Original = e.Original
			}
			if old.Before == "" {
				old.Before = e.Before
			}
			continue
		}
		e.Hash, e.Pending = "", e.Hash
		next.Entries = append(next.Entries, *e)
	}
	return &next
}

// settle returns a copy of r after changes were made.
func (r *Receipt) settle(changes []Change) *Receipt {
	next := *r
	next.Entries = slices.Clone(r.Entries)
	for i := range changes {
		c := &changes[i]
		e := c.record()
		old := next.Entry(c.ID)
		switch {
		case e != nil && old != nil:
			e.inherit(*old)
			*old = *e
		case e != nil:
			next.Entries = append(next.Entries, *e)
		case old != nil && c.Action == Delete:
			next.forget(c.ID)
		}
		if e != nil {
			next.supersede(e)
		}
	}
	return &next
}

// inherit takes over what an older entry knows of the time before us.
func (e *Entry) inherit(old Entry) {
	e.Created = e.Created || old.Created
	if e.Original == "" {
		e.Original = old.Original
	}
	if e.Before == "" {
		e.Before = old.Before
	}
}

func (r *Receipt) forget(id string) {
	r.Entries = slices.DeleteFunc(r.Entries, func(e Entry) bool { return e.ID == id })
}

// supersede drops the entry of a file where there is a link now, or the
// other way round. A path has one past.
func (r *Receipt) supersede(e *Entry) {
	twins := map[string]string{KindFile: KindLink, KindLink: KindFile}
	kind, name := e.split()
	if twins[kind] == "" {
		return
	}
	old := r.Entry(ID(twins[kind], name))
	if old == nil {
		return
	}
	r.Entry(e.ID).Created, r.Entry(e.ID).Original = old.Created, old.Original
	r.forget(old.ID)
}

// confirm returns a copy of r in which nothing is pending but the
// outstanding ids: all else was observed to be as wanted.
func (r *Receipt) confirm(outstanding map[string]bool) *Receipt {
	next := *r
	next.Entries = slices.Clone(r.Entries)
	for i := range next.Entries {
		if e := &next.Entries[i]; e.Pending != "" && !outstanding[e.ID] {
			e.Hash, _, _ = strings.Cut(e.Pending, "\n")
			e.Pending = ""
		}
	}
	return &next
}

// same reports whether two receipts say the same.
func (r *Receipt) same(other *Receipt) bool {
	return r.Version == other.Version && r.Digest == other.Digest && r.Revision == other.Revision &&
		r.Modified == other.Modified && slices.Equal(r.Entries, other.Entries)
}
