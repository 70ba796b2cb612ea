package sqlcatalog

import (
	"fmt"
	"strconv"

	"glancectl/service/glance"
)

// The cells below take single values off a row. database/sql can fill the
// fields of an image itself, but does so by reflection, which was most of the
// work of a list.

// A nullText is a text as either database returns it. It keeps the text that it
// has if the next one is the same, as most columns of an image's rows are.
type nullText struct {
	s     string
	valid bool
}

// Scan implements sql.Scanner.
func (t *nullText) Scan(v any) error {
	t.valid = v != nil
	switch v := v.(type) {
	case nil:
		t.s = ""
	case []byte:
		if t.s != string(v) { // which copies nothing
			t.s = string(v)
		}
	case string:
		t.s = v
	default:
		return fmt.Errorf("%T is no text", v)
	}
	return nil
}

func (t *nullText) pointer() *string {
	if !t.valid {
		return nil
	}
	s := t.s
	return &s
}

// A nullInt is a whole number, or a truth, as either database returns it.
type nullInt struct {
	n     int64
	valid bool
}

// Scan implements sql.Scanner.
func (i *nullInt) Scan(v any) (err error) {
	i.n, i.valid = 0, v != nil
	switch v := v.(type) {
	case nil:
	case int64:
		i.n = v
	case bool:
		if v {
			i.n = 1
		}
	case []byte:
		i.n, err = strconv.ParseInt(string(v), 10, 64)
	default:
		return fmt.Errorf("%T is no number", v)
	}
	return err
}

func (i *nullInt) pointer() *int64 {
	if !i.valid {
		return nil
	}
	n := i.n
	return &n
}

// imageColumns are what imageCells take, of a table images known as i.
const imageColumns = `i.id, i.name, i.disk_format, i.container_format, i.size, i.virtual_size, i.status, i.visibility,
	i.checksum, i.os_hash_algo, i.os_hash_value, i.min_disk, i.min_ram, i.owner, i.protected, i.os_hidden,
	i.created_at, i.updated_at, i.deleted_at`

// noImage is imageColumns where there is no image.
const noImage = `NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`

// imageCells are a row of imageColumns.
type imageCells struct {
	id, name, disk, container nullText
	size, virtual             nullInt
	status, visibility        nullText
	checksum, algo, hash      nullText
	minDisk, minRAM           nullInt
	owner                     nullText
	protected, hidden         nullInt
	created, updated, deleted stamp
}

// dest is where a row goes.
func (c *imageCells) dest() []any {
	return []any{
		&c.id, &c.name, &c.disk, &c.container, &c.size, &c.virtual, &c.status, &c.visibility,
		&c.checksum, &c.algo, &c.hash, &c.minDisk, &c.minRAM, &c.owner, &c.protected, &c.hidden,
		&c.created, &c.updated, &c.deleted,
	}
}

// image returns the image of the row, which shares nothing with it.
func (c *imageCells) image() *glance.Image {
	im := &glance.Image{
		ID:              glance.ID(c.id.s),
		Name:            c.name.pointer(),
		DiskFormat:      c.disk.pointer(),
		ContainerFormat: c.container.pointer(),
		Size:            c.size.pointer(),
		VirtualSize:     c.virtual.pointer(),
		Status:          glance.Status(c.status.s),
		Visibility:      glance.Visibility(c.visibility.s),
		Checksum:        c.checksum.pointer(),
		HashAlgo:        c.algo.pointer(),
		HashValue:       c.hash.pointer(),
		MinDisk:         c.minDisk.n,
		MinRAM:          c.minRAM.n,
		Owner:           c.owner.pointer(),
		Protected:       c.protected.n != 0,
		Hidden:          c.hidden.n != 0,
		CreatedAt:       c.created.Time,
		UpdatedAt:       c.updated.Time,
		DeletedAt:       c.deleted.pointer(),
	}
	if !c.updated.valid {
		im.UpdatedAt = im.CreatedAt
	}
	return im
}
