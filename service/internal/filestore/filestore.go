// Package filestore keeps image data in files: a [glance.Store] whose objects
// are DIRECTORY/ID, as OpenStack Glance's filesystem store lays them out.
//
// The service opens one for each file store of its configuration. A file
// appears under its name only when it is whole and on the disk; until then it
// has a name that no image can have. The package knows nothing of what is in
// the files, and it never touches a path outside its directories, whatever a
// location in the catalog may say.
package filestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"glancectl/service/glance"
)

// Options are the optional settings of Open. The zero value is ready to use.
type Options struct {
	// Mode is the mode of the files; 0 means 0640. Who it lets read the files
	// may pass through their directories too.
	Mode fs.FileMode
	// Hole is the length of a run of zeros that takes no space on the disk; 0
	// means that every zero is written.
	Hole int
	// Direct writes past the page cache where the disk is fast enough. It is
	// for data that is not read again at once.
	Direct bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// A Dir is one of the directories of a store. New objects go to those with the
// highest priority that have space, among equals to the one with the most.
type Dir struct {
	Path     string // absolute
	Priority int
}

// A Store keeps image data in directories. Its methods may be called from
// several goroutines at once, and other processes may use the same directories
// meanwhile.
type Store struct {
	dirs   []Dir // the highest priority first
	mode   fs.FileMode
	hole   int
	direct bool
	free   func(dir string) (bytes uint64, err error)

	naming sync.Mutex // held while an object gets its name, if there are several directories
}

var (
	_ glance.Store = (*Store)(nil)
	_ glance.Owner = (*Store)(nil)
)

// partPrefix begins the names of files that are not whole. No image ID begins
// with a dot.
const partPrefix = ".part-"

// staleAfter is how long a file that is not whole may have been left alone
// before it counts as the rest of a process that died, on a file system that
// cannot tell by a lock.
const staleAfter = 24 * time.Hour

// Open returns the store in dir, an absolute path, and makes the directory
// with mode 0750 if it is missing. Parts of files are removed whose writer is
// dead: it holds a lock on them, here and on other machines, for as long as it
// lives.
func Open(dir string, o Options) (*Store, error) { return OpenAll([]Dir{{Path: dir}}, o) }

// OpenAll is Open for a store in several directories.
func OpenAll(dirs []Dir, o Options) (*Store, error) {
	s := &Store{mode: o.Mode, hole: o.Hole, direct: o.Direct, free: free}
	if s.mode == 0 {
		s.mode = 0o640
	}
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	for _, d := range dirs {
		if !filepath.IsAbs(d.Path) {
			return nil, fmt.Errorf("file store %s: not an absolute path", d.Path)
		}
		d.Path = filepath.Clean(d.Path)
		if err := s.prepare(d.Path, now().Add(-staleAfter), o.Mode); err != nil {
			return nil, fmt.Errorf("file store: %w", err)
		}
		s.dirs = append(s.dirs, d)
	}
	slices.SortStableFunc(s.dirs, func(a, b Dir) int { return cmp.Compare(b.Priority, a.Priority) })
	return s, nil
}

// prepare makes a directory ready: files with mode can be reached in it, and
// the parts of the dead are gone; where locks do not tell, those that were last
// written to before the given time.
func (s *Store) prepare(dir string, before time.Time, mode fs.FileMode) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	pass := (mode | mode>>1 | mode>>2) & 0o011 // x for whoever has r, w or x
	if now := info.Mode().Perm(); now|pass != now {
		if err := os.Chmod(dir, now|pass); err != nil {
			return err
		}
	}
	return clean(dir, before)
}

// Scheme implements glance.Store.
func (s *Store) Scheme() string { return "file" }

// Put implements glance.Store. The data is on the disk when Put returns.
func (s *Store) Put(ctx context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	name := string(id)
	if !safe(name) {
		return "", 0, fmt.Errorf("store image %q: %w: the ID is no file name", id, glance.ErrInvalid)
	}
	// The link tells for certain; asking first saves the copy.
	if s.elsewhere(name, "") {
		return "", 0, fmt.Errorf("store image %s: %w", id, glance.ErrExists)
	}
	dir, err := s.roomiest()
	if err != nil {
		return "", 0, fmt.Errorf("store image %s: %w", id, err)
	}
	path := filepath.Join(dir, name)
	n, err := s.put(ctx, path, r)
	if errors.Is(err, fs.ErrNotExist) {
		// It is the directory that is missing: nobody asked for an object.
		return "", 0, fmt.Errorf("store image %s: %w: %v", id, glance.ErrUnavailable, err)
	}
	if err != nil {
		return "", 0, fmt.Errorf("store image %s: %w", id, kind(err))
	}
	return fileURL(path), n, nil
}

// put writes a file and gives it the name path.
func (s *Store) put(ctx context.Context, path string, r io.Reader) (n int64, err error) {
	dir, name := filepath.Split(path)
	f, err := newPart(dir, name)
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) // the link made below outlives this name
	defer f.Close()
	if n, err = s.copyTo(ctx, f, r); err != nil {
		return 0, err
	}
	if err := f.Chmod(s.mode); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	// It stays open, for the sake of its lock, until it has its name.
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := s.name(f.Name(), path); err != nil {
		return 0, err
	}
	if err := syncDir(dir); err != nil {
		// Whether the name is on the disk is unknown: it must not be there.
		os.Remove(path)
		return 0, err
	}
	return n, nil
}

// name gives a file its name for good, unless there is one of that name.
func (s *Store) name(part, path string) error {
	if len(s.dirs) > 1 {
		s.naming.Lock()
		defer s.naming.Unlock()
	}
	// A rename would replace what another upload has put there; a link fails.
	if err := os.Link(part, path); err != nil {
		return err
	}
	dir, name := filepath.Split(path)
	if s.elsewhere(name, dir) {
		os.Remove(path)
		return fs.ErrExist
	}
	return nil
}

// syncDir makes the names in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
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
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("delete image data: %w", kind(err))
	}
	return nil
}

// path returns the file that a location means. Locations come from a database
// that others write to as well: one that is not directly in a directory of the
// store is none of ours, whatever is there.
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
	dir = filepath.Clean(dir)
	if !slices.ContainsFunc(s.dirs, func(d Dir) bool { return d.Path == dir }) || !safe(name) {
		return "", fmt.Errorf("image data %q: %w: not in a directory of the store", location, glance.ErrNotFound)
	}
	return filepath.Join(dir, name), nil
}

// Owns implements glance.Owner.
func (s *Store) Owns(location string) bool {
	_, err := s.path(location)
	return err == nil
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
