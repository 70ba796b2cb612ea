package sqlcatalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"glancectl/service/glance"
)

// rowsEach is how many rows an image may have in a join with what belongs to it.
// A few properties for each of a few tags are read sooner so than table by
// table; many for each of many are not read.
const rowsEach = 64

// wideFor is how long images that had more rows are taken to stay so. Nothing but
// time is lost if they do not.
const wideFor = 10 * time.Second

// bareCells are a row of an image with a property and a tag of it, if there are
// any.
type bareCells struct {
	imageCells
	property    nullInt
	name, value nullText
	tag         nullInt
	tagText     nullText
}

func (c *bareCells) dest() []any {
	return append(c.imageCells.dest(), &c.property, &c.name, &c.value, &c.tag, &c.tagText)
}

// GetBare implements glance.BareCatalog.
func (c *Catalog) GetBare(ctx context.Context, id glance.ID) (*glance.Image, error) {
	return c.get(ctx, id, c.bare, c.readBare)
}

// readBare returns those of the images that there are, in no order, each of one
// moment.
func (c *Catalog) readBare(ctx context.Context, ids []glance.ID) ([]*glance.Image, error) {
	asked := time.Now()
	if asked.UnixNano() >= c.wide.Load() {
		list, whole, err := c.joined(ctx, ids)
		if err != nil || whole {
			return list, err
		}
		c.wide.Store(asked.Add(wideFor).UnixNano())
	}
	return c.target.dialect.whole(ctx, c.single(), ids, wholeOptions{bare: true})
}

// joined reads images in one join, which is about half of the work for the
// database that a union is. Whole is false if there are too many rows for that.
func (c *Catalog) joined(ctx context.Context, ids []glance.ID) (list []*glance.Image, whole bool, err error) {
	d, most := c.target.dialect, c.rowsEach*len(ids)
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = string(id)
	}
	rows, err := c.single().QueryContext(ctx, `SELECT `+imageColumns+`, p.id, p.name, p.value, t.id, t.value FROM images i`+
		` LEFT JOIN image_properties p ON p.image_id = i.id AND `+d.hide("p.deleted")+` = 0`+
		` LEFT JOIN image_tags t ON t.image_id = i.id AND `+d.hide("t.deleted")+` = 0`+
		fmt.Sprintf(` WHERE i.id IN (?%s) AND %s = 0 LIMIT %d`, strings.Repeat(`, ?`, len(ids)-1), d.hide("i.deleted"), most), args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	n, found := 0, make(map[string]*bareImage, len(ids))
	var cells bareCells
	dest := cells.dest()
	for ; rows.Next(); n++ {
		if err := rows.Scan(dest...); err != nil {
			return nil, false, err
		}
		b, known := found[cells.id.s]
		if !known {
			b = &bareImage{im: cells.image(), property: cells.property, tag: cells.tag}
			b.im.Properties = make(map[string]string)
			found[cells.id.s] = b
			list = append(list, b.im)
		}
		b.add(&cells)
	}
	for _, im := range list {
		slices.Sort(im.Tags)
		im.Tags = slices.Compact(im.Tags)
	}
	return list, n < most, rows.Err()
}

// A bareImage is an image whose rows are being read, of which every property is
// there with every tag.
type bareImage struct {
	im            *glance.Image
	property, tag nullInt // of the first row
}

// add takes each property and each tag once: with the first of the others.
func (b *bareImage) add(c *bareCells) {
	if c.property.valid && c.tag == b.tag {
		b.im.Properties[c.name.s] = c.value.s
	}
	if c.tag.valid && c.property == b.property {
		b.im.Tags = append(b.im.Tags, c.tagText.s)
	}
}
