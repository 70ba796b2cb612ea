// Package filestore keeps image data in files: a [glance.Store] whose objects
// are DIRECTORY/ID, as OpenStack Glance's filesystem store lays them out.
//
// The service opens one for the "file" store of its configuration. A file
// appears under its name only when it is whole and on the disk; until then it
// has a name that no image can have. The package knows nothing of what is in
// the files, and it never touches a path outside its directory, whatever a
// location in the catalog may say.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"glancectl/service/glance"
)

// Options are the optional settings of Open. The zero value is ready to use.
type Options struct {
	// Mode is the mode of the files; 0 means 0640.
	Mode fs.FileMode
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// A Store keeps image data in one directory. Its methods may be called from
// several goroutines at once, and other processes may use the same directory
// meanwhile.
type Store struct {
	dir  string
	mode fs.FileMode
}

var _ glance.Store = (*Store)(nil)

// partPrefix begins the names of files that are not whole. No image ID begins
// with a dot.
const partPrefix = ".part-"

// staleAfter is how long a file that is not whole may have been left alone
// before it counts as the rest of a process that died.
const staleAfter = 24 * time.Hour

// Open returns the store in dir, an absolute path, and makes the directory
// with mode 0750 if it is missing. Parts of files that nobody has written to
// for a day are removed.
func Open(dir string, o Options) (*Store, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("file store %s: not an absolute path", dir)
	}
	s := &Store{dir: filepath.Clean(dir), mode: o.Mode}
	if s.mode == 0 {
		s.mode = 0o640
	}
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return nil, fmt.Errorf("file store: %w", err)
	}
	if err := s.clean(now().Add(-staleAfter)); err != nil {
		return nil, fmt.Errorf("file store: %w", err)
	}
	return s, nil
}

// clean removes the parts that were last written to before the given time.
func (s *Store) clean(before time.Time) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), partPrefix) {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			continue // gone meanwhile, or still in use
		}
		if err := os.Remove(s.file(e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s *Store) file(name string) string { return filepath.Join(s.dir, name) }

// Scheme implements glance.Store.
func (s *Store) Scheme() string { return "file" }

// Put implements glance.Store. The data is on the disk when Put returns.
func (s *Store) Put(ctx context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	name := string(id)
	if !safe(name) {
		return "", 0, fmt.Errorf("store image %q: %w: the ID is no file name", id, glance.ErrInvalid)
	}
	n, err := s.put(ctx, name, r)
	if errors.Is(err, fs.ErrNotExist) {
		// It is the directory that is missing: nobody asked for an object.
		return "", 0, fmt.Errorf("store image %s: %w: %v", id, glance.ErrUnavailable, err)
	}
	if err != nil {
		return "", 0, fmt.Errorf("store image %s: %w", id, kind(err))
	}
	return s.URL(id), n, nil
}

func (s *Store) put(ctx context.Context, name string, r io.Reader) (n int64, err error) {
	// The link below tells for certain; asking first saves the copy.
	if _, err := os.Lstat(s.file(name)); err == nil {
		return 0, fs.ErrExist
	}
	f, err := os.CreateTemp(s.dir, partPrefix+name+"-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) // the link made below outlives this name
	defer f.Close()
	if n, err = copyTo(ctx, f, r); err != nil {
		return 0, err
	}
	if err := f.Chmod(s.mode); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	// A rename would replace what another upload has put there; a link fails.
	if err := os.Link(f.Name(), s.file(name)); err != nil {
		return 0, err
	}
	if err := s.syncDir(); err != nil {
		// Whether the name is on the disk is unknown: it must not be there.
		os.Remove(s.file(name))
		return 0, err
	}
	return n, nil
}

// syncDir makes the names in the directory last.
func (s *Store) syncDir() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Open implements glance.Store. The reader is an io.WriterTo too, which brings
// a large buffer to io.Copy.
func (s *Store) Open(_ context.Context, location string, off, n int64) (io.ReadCloser, error) {
	path, err := s.path(location)
	if err != nil {
		return nil, err
	}
	f, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("read image data: %w", kind(err))
	}
	if off > 0 {
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			f.Close()
			return nil, fmt.Errorf("read image data: %w", err)
		}
	}
	return &reader{file: f, left: n}, nil
}

// openFile opens a regular file and nothing else: opening a pipe that somebody
// left in the directory would never end.
func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fs.ErrNotExist // a symbolic link is not ours
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Delete implements glance.Store. Readers that have the object open keep it.
func (s *Store) Delete(_ context.Context, location string) error {
	path, err := s.path(location)
	if err != nil {
		return err
	}
	// Remove would also take away an empty directory.
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return fmt.Errorf("delete image data %s: %w", path, glance.ErrNotFound)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("delete image data: %w", kind(err))
	}
	if err := s.syncDir(); err != nil {
		return fmt.Errorf("delete image data: %w", kind(err))
	}
	return nil
}

// path returns the file that a location means. Locations come from a database
// that others write to as well: one that is not directly in the directory is
// none of ours, whatever is there.
func (s *Store) path(location string) (string, error) {
	rest, ok := strings.CutPrefix(location, "file://")
	if !ok {
		rest, ok = strings.CutPrefix(location, "filesystem://")
	}
	path, err := url.PathUnescape(rest)
	if !ok || err != nil {
		return "", fmt.Errorf("image data %q: %w: no URL of a file", location, glance.ErrNotFound)
	}
	dir, name := filepath.Split(path)
	if filepath.Clean(dir) != s.dir || !safe(name) {
		return "", fmt.Errorf("image data %q: %w: not in %s", location, glance.ErrNotFound, s.dir)
	}
	return s.file(name), nil
}

// safe tells whether a file of that name is one of an image.
func safe(name string) bool {
	return name != "" && len(name) <= 200 && name[0] != '.' && !strings.ContainsAny(name, "/\x00")
}

// kind wraps an error of the system in what it means.
func kind(err error) error {
	for _, k := range []struct{ is, means error }{
		{fs.ErrExist, glance.ErrExists},
		{fs.ErrNotExist, glance.ErrNotFound},
		{syscall.ENOSPC, glance.ErrStoreFull},
		{syscall.EDQUOT, glance.ErrStoreFull},
		{syscall.EFBIG, glance.ErrStoreFull},
		{syscall.EROFS, glance.ErrStoreReadOnly},
		{fs.ErrPermission, glance.ErrStoreReadOnly},
	} {
		if errors.Is(err, k.is) {
			return fmt.Errorf("%w: %w", k.means, err)
		}
	}
	return err
}
