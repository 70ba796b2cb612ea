package imagecache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/ownership"
)

// An identity is what makes data the data of an image.
type identity struct {
	id       glance.ID
	size     int64
	checksum string // MD5, hex
}

// identityOf returns what im's data has to be; ok is false for an image that
// cannot be cached because nobody could tell whether the data is right.
func identityOf(im *glance.Image) (e identity, ok bool) {
	if im.Size == nil || im.Checksum == nil || len(*im.Checksum) != checksumLen {
		return identity{}, false
	}
	if _, err := glance.ParseID(string(im.ID)); err != nil {
		return identity{}, false
	}
	return identity{im.ID, *im.Size, *im.Checksum}, true
}

// checksumLen is the length of an MD5 in hex. A state file begins with one and
// a line end; every further byte is a hit.
const checksumLen = 32

// newState writes the state of an entry that has had no hit yet.
func (c *Cache) newState(e identity) error {
	f, err := os.CreateTemp(filepath.Join(c.dir, stateDir), "."+string(e.id)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // the rename below, if made, leaves nothing under this name
	_, err = io.WriteString(f, e.checksum+"\n")
	if err := errors.Join(err, ownership.GiveAway(f, c.dir), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), c.state(e.id))
}

// openState opens the state of an entry for counting a hit, or only for
// reading if the directory cannot be written to.
func (c *Cache) openState(id glance.ID) (*os.File, error) {
	f, err := os.OpenFile(c.state(id), os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, os.ErrPermission) {
		return os.Open(c.state(id))
	}
	return f, err
}

// matches reports whether an entry's state says that it is the data of e, and
// counts a hit if it does.
func (c *Cache) matches(e identity, hit bool) bool {
	f, err := c.openState(e.id)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [checksumLen + 1]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || !bytes.Equal(head[:], []byte(e.checksum+"\n")) {
		return false
	}
	if hit {
		_, _ = f.Write([]byte{'.'}) // a hit that is not counted is still a hit
	}
	return true
}

// An Entry is an image whose data is in the cache.
type Entry struct {
	ID           glance.ID
	Size         int64
	Hits         int64
	LastAccessed time.Time
	LastModified time.Time
}

// entry returns what is known about the data file that info describes.
func (c *Cache) entry(id glance.ID, info os.FileInfo) Entry {
	e := Entry{ID: id, Size: info.Size(), LastModified: info.ModTime(), LastAccessed: info.ModTime()}
	if state, err := os.Stat(c.state(id)); err == nil {
		e.LastAccessed = state.ModTime()
		e.Hits = max(0, state.Size()-checksumLen-1)
	}
	return e
}

// invalidate takes data out of the cache and keeps it aside for the grace
// period, so that somebody can see what was wrong with it.
func (c *Cache) invalidate(name string, id glance.ID) error {
	f, err := os.CreateTemp(filepath.Join(c.dir, invalidDir), string(id)+".*")
	if err != nil {
		return errors.Join(fmt.Errorf("keep invalid data: %w", err), remove(name))
	}
	defer f.Close()
	err = os.Rename(name, f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return remove(f.Name()) // somebody else took it out
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep invalid data: %w", err), remove(f.Name()), remove(name))
	}
	now := time.Now()
	return os.Chtimes(f.Name(), now, now) // the grace period begins now
}
