package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"glancectl/service/glance"
)

var _ glance.Lister = (*Store)(nil)

// objectsPage is how many names are read at a time.
const objectsPage = 1000

// Objects implements glance.Lister. Files of other names than an image can have
// are none of ours.
func (s *Store) Objects(ctx context.Context, do func(glance.Object) error) error {
	for _, d := range s.dirs {
		if err := objects(ctx, d.Path, do); err != nil {
			return fmt.Errorf("list image data: %w", err)
		}
	}
	return nil
}

func objects(ctx context.Context, dir string, do func(glance.Object) error) error {
	f, err := os.Open(dir)
	if err != nil {
		return kind(err)
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(objectsPage)
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			id, err := glance.ParseID(e.Name())
			if err != nil || !e.Type().IsRegular() {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it is gone meanwhile
			}
			if err != nil {
				return err
			}
			o := glance.Object{ID: id, URL: fileURL(filepath.Join(dir, e.Name())), Size: info.Size(), Written: info.ModTime()}
			if err := do(o); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
