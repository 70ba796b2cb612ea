package sqlcatalog

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"glancectl/service/glance"
)

// gone tells whether an image in this status counts as deleted: OpenStack
// Glance keeps a row that waits for the scrubber as a deleted one too.
func gone(s glance.Status) bool { return s == glance.Deleted || s == glance.PendingDelete }

// Create implements glance.Catalog. Times that im does not have are set, and
// all are cut to whole seconds.
func (c *Catalog) Create(ctx context.Context, im *glance.Image) error {
	if err := c.check(im); err != nil {
		return fmt.Errorf("create image %s: %w", im.ID, err)
	}
	now := c.time()
	if im.CreatedAt.IsZero() {
		im.CreatedAt = now
	}
	if im.UpdatedAt.IsZero() {
		im.UpdatedAt = im.CreatedAt
	}
	// MySQL would round them, into the future.
	im.CreatedAt = im.CreatedAt.UTC().Truncate(time.Second)
	im.UpdatedAt = im.UpdatedAt.UTC().Truncate(time.Second)
	err := c.write(ctx, func(tx *sql.Tx) error {
		if err := c.insertImage(ctx, tx, im); err != nil {
			return err
		}
		w := writer{dialect: c.target.dialect, tx: tx, id: im.ID, now: im.CreatedAt}
		if err := w.setProperties(ctx, nil, im.Properties); err != nil {
			return err
		}
		if err := w.setTags(ctx, nil, im.Tags); err != nil {
			return err
		}
		return w.setLocations(ctx, nil, im)
	})
	if err != nil {
		return fmt.Errorf("create image %s: %w", im.ID, err)
	}
	return nil
}

func (c *Catalog) insertImage(ctx context.Context, tx *sql.Tx, im *glance.Image) error {
	d := c.target.dialect
	_, err := tx.ExecContext(ctx, `INSERT INTO images (id, name, disk_format, container_format, size, virtual_size, status, visibility,
		checksum, os_hash_algo, os_hash_value, min_disk, min_ram, owner, protected, os_hidden,
		created_at, updated_at, deleted_at, deleted)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		im.ID, im.Name, im.DiskFormat, im.ContainerFormat, im.Size, im.VirtualSize, im.Status, im.Visibility,
		im.Checksum, im.HashAlgo, im.HashValue, im.MinDisk, im.MinRAM, im.Owner, im.Protected, im.Hidden,
		d.time(im.CreatedAt), d.time(im.UpdatedAt), d.timeOrNull(im.DeletedAt), im.DeletedAt != nil)
	if duplicate(err) {
		return glance.ErrExists
	}
	return err
}

// check tells whether the database can hold the text of im. The servers differ
// in what they do with what they cannot hold; some cut it.
func (c *Catalog) check(im *glance.Image) error {
	for _, s := range []*string{im.Name, im.DiskFormat, im.ContainerFormat, im.Owner} {
		if s != nil && c.target.dialect.wide(*s) {
			return fmt.Errorf("%w: %q: characters the database cannot hold", glance.ErrInvalid, *s)
		}
	}
	for name, value := range im.Properties {
		if c.target.dialect.wide(name) || c.target.dialect.wide(value) {
			return fmt.Errorf("%w: property %q: characters the database cannot hold", glance.ErrInvalid, name)
		}
	}
	for _, tag := range im.Tags {
		if c.target.dialect.wide(tag) {
			return fmt.Errorf("%w: tag %q: characters the database cannot hold", glance.ErrInvalid, tag)
		}
	}
	for _, l := range im.Locations {
		if c.target.dialect.wide(l.URL) {
			return fmt.Errorf("%w: location: characters the database cannot hold", glance.ErrInvalid)
		}
	}
	return nil
}

// Get implements glance.Catalog. A deleted image comes with the properties and
// tags that it had when it was deleted, and with all its locations.
func (c *Catalog) Get(ctx context.Context, id glance.ID, deleted bool) (*glance.Image, error) {
	together := c.gatherer
	if deleted {
		together = nil // nobody else asks for it
	}
	return c.get(ctx, id, together, func(ctx context.Context, ids []glance.ID) ([]*glance.Image, error) {
		return c.target.dialect.whole(ctx, c.single(), ids, wholeOptions{deleted: deleted})
	})
}

// get reads one image: together with those that others ask for at the same
// time, or by read where there is nothing for that.
func (c *Catalog) get(ctx context.Context, id glance.ID, together *gatherer, read func(context.Context, []glance.ID) ([]*glance.Image, error)) (im *glance.Image, err error) {
	if together != nil {
		err = c.retry(ctx, func() error {
			im, err = together.get(ctx, id)
			return err
		})
	} else {
		err = c.connected(ctx, func() error {
			found, err := read(context.WithoutCancel(ctx), []glance.ID{id})
			if len(found) > 0 {
				im = found[0]
			}
			return err
		})
	}
	if err == nil && im == nil {
		err = glance.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", id, err)
	}
	return im, nil
}
