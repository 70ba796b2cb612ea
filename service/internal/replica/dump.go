package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"glancectl/service/client"
)

// Dump writes the images of the source to a directory, which is made if it is
// not there. What is there already is kept up to date; a file of data that was
// begun is continued.
func (c *Copier) Dump(ctx context.Context, path string) error {
	d, err := open(path, true)
	if err != nil {
		return err
	}
	defer d.close()
	list, err := c.source.Records(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		c.o.Detail("Considering " + list[i].ID)
		if err := c.one(ctx, list[i].ID, func() error { return c.store(ctx, d, &list[i]) }); err != nil {
			return err
		}
	}
	return c.result()
}

// store brings an image into d.
func (c *Copier) store(ctx context.Context, d *directory, r *client.Record) error {
	if !uuid.MatchString(r.ID) {
		return errors.New("its ID is no UUID, and no name for a file")
	}
	im, err := c.withMembers(ctx, c.source, r)
	if err != nil {
		return err
	}
	if im.Status == active && !c.o.MetaOnly {
		if err := c.fetch(ctx, d, im); err != nil {
			return err
		}
	}
	return d.write(im)
}

// fetch brings the data of an image into d, if it is not there.
func (c *Copier) fetch(ctx context.Context, d *directory, im *image) error {
	name := d.file(im.ID, dataSuffix)
	info, err := os.Stat(name)
	if err == nil && info.Size() == im.Size {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c.o.Say(fmt.Sprintf("Storing: %s (%d bytes) in %s", im.title(), im.Size, name))
	f, err := os.OpenFile(name+partSuffix, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.again(ctx, im.ID, func() error { return c.resume(ctx, f, im) }); err != nil {
		if errors.Is(err, errDamaged) || c.gone(ctx, im.ID) { // it would be continued for ever
			err = errors.Join(err, os.Remove(f.Name()))
		}
		return err
	}
	return d.finish(f, name)
}

// resume brings into f what is missing of an image's data.
func (c *Copier) resume(ctx context.Context, f *os.File, im *image) error {
	have, err := f.Seek(0, io.SeekEnd)
	if err == nil && have > im.Size {
		have, err = 0, f.Truncate(0)
	}
	if err != nil {
		return err
	}
	ctx, guard := guard(ctx)
	defer guard.stop()
	body := io.Reader(io.NewSectionReader(f, 0, have))
	if have < im.Size {
		data, start, err := c.source.Download(ctx, im.ID, have)
		if err != nil {
			return guard.judge(err)
		}
		defer data.Close()
		if start == 0 && have > 0 { // it gives no parts
			if have, err = 0, f.Truncate(0); err != nil {
				return err
			}
		}
		body = io.MultiReader(io.NewSectionReader(f, 0, have), data)
	}
	checked := c.check(im, body, guard)
	if _, err := io.CopyN(io.Discard, checked, have); err != nil {
		return guard.judge(err)
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return err
	}
	_, err = io.CopyBuffer(onlyWriter{f}, checked, make([]byte, c.o.Chunk))
	return guard.judge(err)
}

// onlyWriter hides that a file can read by itself, so that it is written in
// chunks of the size that was asked for.
type onlyWriter struct{ io.Writer }

// Load brings the images of a directory to the target.
func (c *Copier) Load(ctx context.Context, path string) error {
	d, err := open(path, false)
	if err != nil {
		return err
	}
	defer d.close()
	ids, err := d.ids()
	if err != nil {
		return err
	}
	there, err := c.there(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		c.o.Detail("Considering " + id)
		if err := c.one(ctx, id, func() error { return c.load(ctx, d, id, there) }); err != nil {
			return err
		}
	}
	return c.result()
}

// load brings one image to the target.
func (c *Copier) load(ctx context.Context, d *directory, id string, there map[string]client.Record) error {
	from, err := d.read(id)
	if err != nil || from == nil {
		return err
	}
	to, err := c.at(ctx, there, id)
	if err != nil {
		return err
	}
	name := d.file(id, dataSuffix)
	if to == nil || to.Status != active && to.Status != deactivated {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.o.Detail(id + " dump is missing image data, skipping")
			return nil
		case err != nil:
			return err
		case info.Size() != from.Size:
			return fmt.Errorf("%s has %d bytes, not %d: dump it again", name, info.Size(), from.Size)
		}
	}
	return c.put(ctx, from, to, func(context.Context) (io.ReadCloser, error) { return os.Open(name) })
}
