package machine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"glancectl/provision"
)

// wanted is how a regular file should look.
type wanted struct {
	path         string
	mode         fs.FileMode
	owner, group string
	sum          string
}

// compared is how a regular file differs from what is wanted.
type compared struct {
	entry   *provision.Entry
	there   bool
	content bool // the content differs, or there is none
	attrs   bool // mode or owner differ
	replace bool // it is written anew
	drifted bool
	fact    provision.FileFact
}

// compare compares what is at a path with what should be there, and both
// with what the last apply left.
func compare(f *provision.Facts, id string, want wanted) (compared, error) {
	c := compared{entry: f.Entry(id)}
	c.fact, c.there = f.Files[want.path]
	if c.there && !c.fact.IsRegular() && !c.fact.IsLink() {
		return c, fmt.Errorf("%s: something that is not a file is in the way", want.path)
	}
	c.content = !c.there || c.fact.IsLink() || c.fact.SHA256 != want.sum
	c.attrs = !c.content && !sameAttrs(c.fact, want)
	// What was there before us is kept, its mode and owner too.
	c.replace = c.content || c.attrs && c.entry == nil
	if e := c.entry; e != nil && e.Hash != "" {
		switch {
		case c.content:
			c.drifted = !c.there || c.fact.IsLink() || !e.Knows(c.fact.SHA256)
		case c.attrs:
			c.drifted = e.Settled() && e.Attrs != attrsOf(c.fact, want)
		}
	}
	return c, nil
}

// change describes the difference, without the ops of a new content.
func (c compared) change(f *provision.Facts, id, what string, want wanted) provision.Change {
	attrs := provision.Attrs(want.mode, want.owner, want.group)
	ch := provision.Change{
		ID: id, Action: provision.Update, Drifted: c.drifted,
		Summary: fmt.Sprintf("%s %s", what, want.path),
		Hash:    want.sum,
		Record:  &provision.Entry{Hash: want.sum, Attrs: attrs},
	}
	switch {
	case !c.there:
		ch.Action = provision.Create
		ch.Record.Created = c.entry == nil
		ch.Summary += " " + attrs
	case c.attrs:
		ch.Summary += fmt.Sprintf(" %s -> %s", attrsOf(c.fact, want), attrs)
		ch.Ops = []provision.Op{provision.SetAttrs{Path: want.path, Mode: want.mode, Owner: want.owner, Group: want.group}}
	}
	if c.there && c.entry == nil {
		ch.Summary += " (replaces what is there; kept for destroy)"
	}
	if c.there && c.replace {
		ch.Record.Original = original(f, id, want.path)
	}
	return ch
}

// observe returns the changes that make the file as it should look, after fill
// has written into its own what the kind of file needs.
func (want wanted) observe(f *provision.Facts, what string, fill func(compared, *provision.Change)) ([]provision.Change, error) {
	id := provision.ID(provision.KindFile, want.path)
	c, err := compare(f, id, want)
	if err != nil || !c.content && !c.attrs {
		return nil, err
	}
	changes, err := parents(f, want.path)
	if err != nil {
		return nil, err
	}
	ch := c.change(f, id, what, want)
	fill(c, &ch)
	return append(changes, ch), nil
}

// A File is a regular file with a content that fits in memory.
type File struct {
	Path         string
	Owner, Group string
	Mode         fs.FileMode
	Content      []byte
	// Secrets are masked in diffs.
	Secrets []string
	// INI says that the content is made of sections and options. Whether an
	// option that is gone held a secret is not known any more, so in diffs its
	// value is masked.
	INI bool
	// SecretKeys are options of an INI content, each as SECTION/KEY, whose
	// values are masked in diffs, whatever they are and were.
	SecretKeys []string
}

// ID implements provision.Resource.
func (r File) ID() string { return provision.ID(provision.KindFile, r.Path) }

// Queries implements provision.Resource.
func (r File) Queries() []provision.Query {
	return append(parentQueries(r.Path), provision.FileQuery{Path: r.Path, Content: true, Unless: sum(r.Content)})
}

// Observe implements provision.Resource.
func (r File) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	want := wanted{path: r.Path, mode: r.Mode, sum: sum(r.Content)}
	want.owner, want.group = owner(f, r.Owner, r.Group)
	return want.observe(f, "file", func(c compared, ch *provision.Change) {
		ch.Record.Masked = strings.Join(r.SecretKeys, "\n")
		if c.content {
			ch.Diff = r.diff(c)
		}
		if c.replace {
			ch.Ops = []provision.Op{provision.PutFile{
				Path: r.Path, Content: r.Content, Mode: want.mode, Owner: want.owner, Group: want.group,
				Original: ch.Record.Original,
			}}
		}
	})
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// A Payload is the content of a Binary.
type Payload struct {
	SHA256 string // of the content, in hex
	Size   int64  // of the content
	// Open returns the content as a gzip stream.
	Open func() (io.ReadCloser, error)
	// Plain, if there is one, returns the content as it is.
	Plain func() (io.ReadCloser, error)
	// BLAKE2b, if there is one, returns the content's BLAKE2b-512 in hex.
	BLAKE2b func() (string, error)
}

// A Binary is a program, made for the machine's architecture.
type Binary struct {
	Path         string
	Owner, Group string
	Mode         fs.FileMode
	// Source returns the program for an architecture as Go names it.
	Source func(arch string) (Payload, error)
}

// ID implements provision.Resource.
func (r Binary) ID() string { return provision.ID(provision.KindFile, r.Path) }

// Queries implements provision.Resource.
func (r Binary) Queries() []provision.Query {
	return append(parentQueries(r.Path), provision.FileQuery{Path: r.Path})
}

// Observe implements provision.Resource.
func (r Binary) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	p, err := r.Source(f.Arch)
	if err != nil {
		return nil, err
	}
	want := wanted{path: r.Path, mode: r.Mode, sum: p.SHA256}
	want.owner, want.group = owner(f, r.Owner, r.Group)
	return want.observe(f, "program", func(c compared, ch *provision.Change) {
		if c.replace {
			ch.Summary += fmt.Sprintf(" (%s, %s)", f.Arch, versions(c, p))
			ch.Ops = []provision.Op{provision.Upload{
				Path: r.Path, Mode: want.mode, Owner: want.owner, Group: want.group,
				Original: ch.Record.Original, SHA256: p.SHA256, Size: p.Size,
				Open: p.Open, Plain: p.Plain, BLAKE2b: p.BLAKE2b,
			}}
		}
	})
}

// versions names a program's old and new content.
func versions(c compared, p Payload) string {
	s := fmt.Sprintf("%d bytes, sha256 %.12s", p.Size, p.SHA256)
	if c.there && c.fact.IsRegular() {
		s = fmt.Sprintf("%d bytes, sha256 %.12s -> %s", c.fact.Size, c.fact.SHA256, s)
	}
	return s
}

// An Absent is a file or link that must not be there.
type Absent struct{ Path string }

// ID implements provision.Resource. It is the id that the file would have.
func (r Absent) ID() string { return provision.ID(provision.KindFile, r.Path) }

// Queries implements provision.Resource.
func (r Absent) Queries() []provision.Query {
	return []provision.Query{provision.FileQuery{Path: r.Path}}
}

// Observe implements provision.Resource.
func (r Absent) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	fact, there := f.Files[r.Path]
	if !there {
		return nil, nil
	}
	if fact.IsDir() {
		return nil, fmt.Errorf("%s: a directory is in the way", r.Path)
	}
	keep := original(f, r.ID(), r.Path)
	ch := provision.Change{
		ID: r.ID(), Action: provision.Delete, Summary: "file " + r.Path,
		Ops: []provision.Op{provision.Remove{Path: r.Path, Original: keep}},
	}
	if keep != "" {
		ch.Record = &provision.Entry{Hash: absentHash, Original: keep}
	}
	if e := f.Entry(r.ID()); e != nil && e.Hash == absentHash {
		ch.Drifted = true
	}
	return []provision.Change{ch}, nil
}

// absentHash is what the receipt remembers of a file that was taken away.
const absentHash = "absent"
