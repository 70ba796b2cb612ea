package filestore

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"glancectl/service/glance"
)

// roomiest returns the directory for the next object: of the highest priority
// that has any space, the one with the most. ErrStoreFull if none has;
// ErrUnavailable if none can be asked.
func (s *Store) roomiest() (string, error) {
	if len(s.dirs) == 1 {
		return s.dirs[0].Path, nil // the writing tells
	}
	var best string
	var most uint64
	priority := math.MinInt
	why := fmt.Errorf("%w: no directory has space", glance.ErrStoreFull)
	asked := false
	for _, d := range s.dirs {
		if best != "" && d.Priority < priority {
			break
		}
		n, err := s.free(d.Path)
		if err != nil {
			if !asked {
				why = fmt.Errorf("%w: %v", glance.ErrUnavailable, err)
			}
			continue
		}
		if !asked {
			asked, why = true, fmt.Errorf("%w: no directory has space", glance.ErrStoreFull)
		}
		if n > most {
			best, most, priority = d.Path, n, d.Priority
		}
	}
	if best == "" {
		return "", why
	}
	return best, nil
}

// free returns how much a directory has space for.
func free(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// elsewhere says whether there is a file of that name in a directory other
// than the one given.
func (s *Store) elsewhere(name, dir string) bool {
	for _, d := range s.dirs {
		if dir != "" && d.Path == filepath.Clean(dir) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(d.Path, name)); err == nil {
			return true
		}
	}
	return false
}
