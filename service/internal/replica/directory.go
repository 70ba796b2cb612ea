package replica

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"glancectl/service/client"
)

// A directory has three files of each image. ID is what the original's
// replicator writes and reads: the image in the terms of version 1, as JSON. It
// is written last. ID.img is its data. ID.v2 is what version 1 has no word for;
// it may be missing.
type directory struct {
	path string
	lock *os.File
}

const (
	dataSuffix  = ".img"
	moreSuffix  = ".v2"
	partSuffix  = ".part"
	wordPublic  = "public"
	wordShared  = "shared"
	dirMode     = 0o750
	fileMode    = 0o640
	maxDocument = 16 << 20
)

// An oldDocument is an image as version 1 shows it.
type oldDocument struct {
	ID              string         `json:"id"`
	Name            string         `json:"name,omitempty"`
	Status          string         `json:"status"`
	Size            int64          `json:"size"`
	DiskFormat      string         `json:"disk_format,omitempty"`
	ContainerFormat string         `json:"container_format,omitempty"`
	Checksum        string         `json:"checksum,omitempty"`
	Owner           string         `json:"owner,omitempty"`
	Public          bool           `json:"is_public"`
	Protected       bool           `json:"protected"`
	Deleted         bool           `json:"deleted"`
	MinDisk         int64          `json:"min_disk"`
	MinRAM          int64          `json:"min_ram"`
	CreatedAt       string         `json:"created_at,omitempty"`
	UpdatedAt       string         `json:"updated_at,omitempty"`
	Properties      map[string]any `json:"properties"`
}

// A moreDocument is what version 2 adds.
type moreDocument struct {
	Visibility string          `json:"visibility"`
	Hidden     bool            `json:"os_hidden"`
	Tags       []string        `json:"tags"`
	HashAlgo   string          `json:"os_hash_algo"`
	HashValue  string          `json:"os_hash_value"`
	Members    []client.Member `json:"members"`
	Shared     bool            `json:"members_known"`
	Version1   bool            `json:"from_version_1,omitempty"` // of the rest nothing is known
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// open opens a directory for one run; others have to wait for its end. The
// caller closes it.
func open(path string, write bool) (*directory, error) {
	if write {
		if err := os.MkdirAll(path, dirMode); err != nil {
			return nil, err
		}
	}
	lock, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	how := syscall.LOCK_SH
	if write {
		how = syscall.LOCK_EX
	}
	if err := syscall.Flock(int(lock.Fd()), how|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: another dump or load is at work", path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &directory{path, lock}, nil
}

func (d *directory) close() { d.lock.Close() }

// file returns the path of a file of an image. An ID that is no UUID, which a
// service could send, is none.
func (d *directory) file(id, suffix string) string { return filepath.Join(d.path, id+suffix) }

// ids returns the images that are there.
func (d *directory) ids() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	var list []string
	for _, e := range entries {
		if uuid.MatchString(e.Name()) && !e.IsDir() {
			list = append(list, e.Name())
		}
	}
	return list, err
}

// read returns an image; nil if it is not there.
func (d *directory) read(id string) (*image, error) {
	var old oldDocument
	found, err := d.readJSON(d.file(id, ""), &old)
	if err != nil || !found {
		return nil, err
	}
	if old.ID != id {
		return nil, fmt.Errorf("%s: it is of image %q", d.file(id, ""), old.ID)
	}
	im := &image{Record: client.Record{
		Image: client.Image{
			ID: id, Name: old.Name, Status: old.Status, Visibility: wordShared, Size: old.Size, Checksum: old.Checksum,
			DiskFormat: old.DiskFormat, ContainerFormat: old.ContainerFormat,
		},
		Owner: old.Owner, Protected: old.Protected, MinDisk: old.MinDisk, MinRAM: old.MinRAM,
		CreatedAt: old.CreatedAt, UpdatedAt: old.UpdatedAt, Properties: make(map[string]string), Version1: true,
	}}
	for name, value := range old.Properties {
		switch v := value.(type) {
		case nil:
			im.Properties[name] = ""
		case string:
			im.Properties[name] = v
		default:
			im.Properties[name] = fmt.Sprint(v)
		}
	}
	return im, d.readMore(im, old.Public)
}

// readMore adds to im what version 1 has no word for.
func (d *directory) readMore(im *image, public bool) error {
	var more moreDocument
	if found, err := d.readJSON(d.file(im.ID, moreSuffix), &more); err != nil {
		return err
	} else if found {
		im.Hidden, im.Tags, im.HashAlgo, im.HashValue = more.Hidden, more.Tags, more.HashAlgo, more.HashValue
		im.members, im.shared, im.Version1 = more.Members, more.Shared, more.Version1
		if more.Visibility != wordPublic {
			im.Visibility = more.Visibility
		}
		slices.Sort(im.Tags)
	}
	if public { // who changes the older file by hand means it
		im.Visibility, im.members, im.shared = wordPublic, nil, false
	}
	return nil
}

func (d *directory) readJSON(name string, to any) (found bool, err error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("%s: too large", name)
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(text, to); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

// write writes what there is to know of an image.
func (d *directory) write(im *image) error {
	more := moreDocument{
		Visibility: im.Visibility, Hidden: im.Hidden, Tags: append([]string{}, im.Tags...),
		HashAlgo: im.HashAlgo, HashValue: im.HashValue, Members: append([]client.Member{}, im.members...), Shared: im.shared, Version1: im.Version1,
	}
	old := oldDocument{
		ID: im.ID, Name: im.Name, Status: im.Status, Size: im.Size, DiskFormat: im.DiskFormat, ContainerFormat: im.ContainerFormat,
		Checksum: im.Checksum, Owner: im.Owner, Public: im.Visibility == wordPublic, Protected: im.Protected,
		MinDisk: im.MinDisk, MinRAM: im.MinRAM, CreatedAt: im.CreatedAt, UpdatedAt: im.UpdatedAt, Properties: make(map[string]any),
	}
	for name, value := range im.Properties {
		old.Properties[name] = value
	}
	if err := d.writeJSON(d.file(im.ID, moreSuffix), more); err != nil {
		return err
	}
	return d.writeJSON(d.file(im.ID, ""), old)
}

// writeJSON replaces a file whole, if it does not say the same already.
func (d *directory) writeJSON(name string, from any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) {
		return nil
	}
	f, err := os.OpenFile(name+partSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return d.finish(f, name)
}

// finish gives a file that is whole its name.
func (d *directory) finish(f *os.File, name string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return d.lock.Sync()
}
