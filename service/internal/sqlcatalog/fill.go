package sqlcatalog

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"glancectl/service/glance"
)

// chunk is how many images one statement reads.
const chunk = 500

// The kinds of rows, as they are told apart.
const (
	image    = -1
	property = iota - 1
	tag
	location
)

// A belonging is a row of image_properties, image_tags or image_locations.
type belonging struct {
	kind      int64
	row       int64 // its key: the order in which rows were added
	image     glance.ID
	name      string // of a property; the tag; the URL
	value     string
	status    string
	deleted   bool
	deletedAt time.Time // if it is
}

// belongingParts are the tables of belongings, and what wholeCells take of them.
var belongingParts = []struct{ table, columns string }{
	{"image_properties", "0, id, image_id, name, value, NULL, deleted, deleted_at"},
	{"image_tags", "1, id, image_id, value, NULL, NULL, deleted, deleted_at"},
	{"image_locations", "2, id, image_id, value, meta_data, status, deleted, deleted_at"},
}

// wholeCells are a row of an image or of a belonging.
type wholeCells struct {
	kind, row                  nullInt
	image, name, value, status nullText
	deleted                    nullInt
	deletedAt                  stamp
	imageCells
}

func (c *wholeCells) dest() []any {
	own := []any{&c.kind, &c.row, &c.image, &c.name, &c.value, &c.status, &c.deleted, &c.deletedAt}
	return append(own, c.imageCells.dest()...)
}

func (c *wholeCells) belonging() belonging {
	return belonging{
		kind: c.kind.n, row: c.row.n, image: glance.ID(c.image.s), name: c.name.s, value: c.value.s, status: c.status.s,
		deleted: c.deleted.n != 0, deletedAt: c.deletedAt.Time,
	}
}

// wholeOptions say what whole reads.
type wholeOptions struct {
	deleted bool // deleted images as well
	bare    bool // no locations
}

// whole returns images with their properties, tags and locations, in the
// order of the IDs. Every image is of
// one moment: it and what belongs to it are read by one statement, which is
// one trip to the database. Images that are not there are left out.
func (d dialect) whole(ctx context.Context, from source, ids []glance.ID, o wholeOptions) ([]*glance.Image, error) {
	var all []*glance.Image
	for part := range slices.Chunk(ids, chunk) {
		found, list, err := d.rows(ctx, from, part, o)
		if err != nil {
			return nil, err
		}
		if err := d.attach(list, found); err != nil {
			return nil, err
		}
		for _, id := range part {
			if im, ok := found[folded(id)]; ok {
				all = append(all, im)
			}
		}
	}
	return all, nil
}

// folded is an ID as maps have it: a server's collation takes "A" and "a" for the
// same.
func folded(id glance.ID) glance.ID { return glance.ID(strings.ToLower(string(id))) }

// rows reads images and what belongs to them.
func (d dialect) rows(ctx context.Context, from source, ids []glance.ID, o wholeOptions) (map[glance.ID]*glance.Image, []belonging, error) {
	in := ` IN (?` + strings.Repeat(`, ?`, len(ids)-1) + `)`
	query := `SELECT -1, 0, NULL, NULL, NULL, NULL, 0, NULL, ` + imageColumns + ` FROM images i WHERE i.id` + in
	live := ``
	if !o.deleted {
		query += ` AND ` + d.hide("i.deleted") + ` = 0`
		live = ` AND ` + d.hide("deleted") + ` = 0`
	}
	parts := belongingParts
	if o.bare {
		parts = parts[:location]
	}
	for _, part := range parts {
		query += ` UNION ALL SELECT ` + part.columns + `, ` + noImage + ` FROM ` + part.table + ` WHERE image_id` + in + live
	}
	args := make([]any, 0, (1+len(parts))*len(ids))
	for range 1 + len(parts) {
		for _, id := range ids {
			args = append(args, string(id))
		}
	}
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	found := make(map[glance.ID]*glance.Image, len(ids))
	list := make([]belonging, 0, 4*len(ids))
	var c wholeCells
	dest := c.dest()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return nil, nil, err
		}
		if c.kind.n == image {
			im := c.imageCells.image()
			found[folded(im.ID)] = im
			continue
		}
		list = append(list, c.belonging())
	}
	return found, list, rows.Err()
}

// attach gives images what belongs to them.
func (d dialect) attach(list []belonging, images map[glance.ID]*glance.Image) error {
	for _, im := range images {
		im.Properties = make(map[string]string)
	}
	// The parts of a union come in no promised order.
	slices.SortFunc(list, func(a, b belonging) int { return cmp.Compare(a.row, b.row) })
	for _, b := range list {
		im, ok := images[folded(b.image)]
		if !ok {
			continue // of an image that is not to be seen
		}
		if b.kind == location {
			url, err := d.seal.Open(b.name)
			if err != nil {
				return fmt.Errorf("location %d: %w", b.row, err)
			}
			b.name = url
		}
		if err := b.addTo(im); err != nil {
			return err
		}
	}
	for _, im := range images {
		slices.Sort(im.Tags)
		im.Tags = slices.Compact(im.Tags)
	}
	return nil
}

// addTo adds b to its image, unless it was taken from it before the image's
// end.
func (b belonging) addTo(im *glance.Image) error {
	if b.deleted && (im.DeletedAt == nil || b.kind != location && b.deletedAt.Before(*im.DeletedAt)) {
		return nil
	}
	switch b.kind {
	case property:
		im.Properties[b.name] = b.value
	case tag:
		im.Tags = append(im.Tags, b.name)
	case location:
		l := glance.Location{ID: b.row, URL: b.name, Status: glance.Status(b.status)}
		var err error
		if l.Metadata, l.Structured, err = decodeMeta(b.value); err != nil {
			return fmt.Errorf("location %d: %w", b.row, err)
		}
		im.Locations = append(im.Locations, l)
	}
	return nil
}

// decodeMeta reads the JSON object in image_locations.meta_data. Values that
// are no text stand for themselves, as JSON, and are structured as well.
func decodeMeta(s string) (meta map[string]string, structured map[string]json.RawMessage, err error) {
	if s == "" || s == "{}" || s == "null" {
		return nil, nil, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return nil, nil, fmt.Errorf("meta_data: %w", err)
	}
	meta = make(map[string]string, len(raw))
	for k, v := range raw {
		meta[k] = textOf(v)
		if v[0] == '"' {
			continue
		}
		if structured == nil {
			structured = make(map[string]json.RawMessage)
		}
		structured[k] = v
	}
	return meta, structured, nil
}

// textOf returns text that is written in JSON, other values as they are.
func textOf(v json.RawMessage) (text string) {
	if json.Unmarshal(v, &text) != nil {
		text = string(v)
	}
	return text
}

// encodeMeta is the opposite of decodeMeta. Where the two differ, the text
// counts.
func encodeMeta(l glance.Location) (string, error) {
	if len(l.Metadata) == 0 {
		return "{}", nil
	}
	all := make(map[string]any, len(l.Metadata))
	for k, v := range l.Metadata {
		all[k] = v
		if raw, ok := l.Structured[k]; ok && textOf(raw) == v {
			all[k] = raw
		}
	}
	b, err := json.Marshal(all)
	return ascii(b), err
}

// ascii writes JSON as the original does, without the characters that a table
// may not be able to hold.
func ascii(b []byte) string {
	var s strings.Builder
	for _, r := range string(b) {
		switch {
		case r < utf8.RuneSelf:
			s.WriteByte(byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&s, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&s, `\u%04x`, r)
		}
	}
	return s.String()
}
