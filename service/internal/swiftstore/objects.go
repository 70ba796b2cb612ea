package swiftstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/ncw/swift/v2"

	"glancectl/service/glance"
)

var _ glance.Lister = (*Store)(nil)

// objectsPage is how many names are asked for at a time, unless a test wants
// fewer.
const objectsPage = 1000

// idLength is the length of an image's ID.
const idLength = 36

// Objects implements glance.Lister. A large object and its segments are one;
// segments that no object holds together, as an upload that was cut leaves
// them, are told one by one. Objects of other names are none of ours.
func (s *Store) Objects(ctx context.Context, do func(glance.Object) error) error {
	l := lister{store: s, do: do}
	opts := &swift.ObjectsOpts{Limit: s.page}
	for {
		page, err := s.conn.Objects(ctx, s.c.Container, opts)
		if errors.Is(err, swift.ContainerNotFound) {
			return nil // nothing was put yet
		}
		if err != nil {
			return s.failed(ctx, "list image data", err)
		}
		for _, o := range page {
			if err := l.add(ctx, o); err != nil {
				return err
			}
		}
		if len(page) < s.page {
			return l.flush(ctx)
		}
		opts.Marker = page[len(page)-1].Name
	}
}

// A lister puts together what has been written for one image. Names come
// sorted, so the object is followed by its segments.
type lister struct {
	store    *Store
	do       func(glance.Object) error
	id       glance.ID
	whole    *swift.Object // the object; nil if there is none
	segments []swift.Object
}

// add takes in the next name.
func (l *lister) add(ctx context.Context, o swift.Object) error {
	if len(o.Name) < idLength || len(o.Name) > idLength && o.Name[idLength] != '-' {
		return nil
	}
	id, err := glance.ParseID(o.Name[:idLength])
	if err != nil || o.PseudoDirectory {
		return nil
	}
	if id != l.id {
		if err := l.flush(ctx); err != nil {
			return err
		}
		l.id = id
	}
	if len(o.Name) == idLength {
		l.whole = &o
		return nil
	}
	l.segments = append(l.segments, o)
	return nil
}

// flush tells what there is of the image.
func (l *lister) flush(ctx context.Context) error {
	whole, segments := l.whole, l.segments
	l.whole, l.segments = nil, nil
	if whole != nil {
		held, err := l.held(ctx, len(segments) > 0)
		if err != nil {
			return err
		}
		var loose []swift.Object
		for _, o := range segments {
			if held(o.Name) {
				whole.Bytes += o.Bytes
			} else {
				loose = append(loose, o)
			}
		}
		segments = loose
		if err := l.tell(*whole); err != nil {
			return err
		}
	}
	for _, o := range segments {
		if err := l.tell(o); err != nil {
			return err
		}
	}
	return nil
}

// held returns which segments the image's object holds together. Those of an
// object that says so in a way that is not ours are all its own.
func (l *lister) held(ctx context.Context, any bool) (func(name string) bool, error) {
	if !any {
		return nil, nil
	}
	_, h, err := l.store.conn.Object(ctx, l.store.c.Container, string(l.id))
	if errors.Is(err, swift.ObjectNotFound) {
		return func(string) bool { return false }, nil // it was deleted meanwhile
	}
	if err != nil {
		return nil, l.store.failed(ctx, "list image data", err)
	}
	manifest, err := url.PathUnescape(h["X-Object-Manifest"])
	if err != nil {
		return nil, fmt.Errorf("list image data: manifest of %s: %w", l.id, err)
	}
	if h["X-Static-Large-Object"] != "" {
		return func(string) bool { return true }, nil
	}
	prefix, ours := strings.CutPrefix(manifest, l.store.c.Container+"/")
	return func(name string) bool { return ours && strings.HasPrefix(name, prefix) }, nil
}

func (l *lister) tell(o swift.Object) error {
	written := o.LastModified
	if written.IsZero() {
		written = time.Now() // a cluster that does not say so gives no reason to remove it
	}
	return l.do(glance.Object{ID: l.id, URL: l.store.url(glance.ID(o.Name)), Size: o.Bytes, Written: written})
}
