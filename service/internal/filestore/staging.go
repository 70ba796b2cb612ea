package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"glancectl/service/glance"
)

// A Store can be a staging area as well.
var _ glance.Staging = (*Store)(nil)

// URL implements glance.Staging. In several directories it is the URL that the
// data would have in the first; staging areas have one.
func (s *Store) URL(id glance.ID) string { return fileURL(filepath.Join(s.dirs[0].Path, string(id))) }

func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// Held implements glance.Staging.
func (s *Store) Held(ctx context.Context) (whole, parts []glance.ID, err error) {
	for _, d := range s.dirs {
		entries, err := os.ReadDir(d.Path)
		if err != nil {
			return nil, nil, fmt.Errorf("file store: %w", kind(err))
		}
		for _, e := range entries {
			name := e.Name()
			if id, ok := partOf(name); ok {
				parts = append(parts, id)
				continue
			}
			if id, err := glance.ParseID(name); err == nil && e.Type().IsRegular() {
				whole = append(whole, id)
			}
		}
	}
	return whole, parts, ctx.Err()
}

// partOf returns the image that a file which is not whole was begun for.
func partOf(name string) (glance.ID, bool) {
	rest, ok := strings.CutPrefix(name, partPrefix)
	at := strings.LastIndexByte(rest, '-')
	if !ok || at < 0 {
		return "", false
	}
	id, err := glance.ParseID(rest[:at])
	return id, err == nil
}

// Discard implements glance.Discarder. A Put that is under way fails.
func (s *Store) Discard(_ context.Context, id glance.ID) error {
	for _, d := range s.dirs {
		if err := discard(d.Path, id); err != nil {
			return err
		}
	}
	return nil
}

// discard removes what a directory has of an image.
func discard(dir string, id glance.ID) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("discard data of %s: %w", id, kind(err))
	}
	for _, e := range entries {
		part, is := partOf(e.Name())
		if e.Name() != string(id) && (!is || part != id) || e.IsDir() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("discard data of %s: %w", id, kind(err))
		}
	}
	return nil
}

// Temp makes an empty file beside the data of an image, for what becomes of that
// data on its way. Its maker removes it; while he keeps it open nobody takes it
// for the rest of something that died. Discard removes it as well.
func (s *Store) Temp(id glance.ID) (*os.File, error) {
	if !safe(string(id)) {
		return nil, fmt.Errorf("file for image %q: %w: the ID is no file name", id, glance.ErrInvalid)
	}
	f, err := newPart(s.dirs[0].Path, string(id))
	if err != nil {
		return nil, fmt.Errorf("file for image %s: %w", id, kind(err))
	}
	return f, nil
}

// File returns the path of the file that a location of the store means, be it
// there or not.
func (s *Store) File(location string) (string, error) { return s.path(location) }
