package sqlcatalog

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"glancectl/service/glance"
)

// chunk is how many images one statement reads the belongings of.
const chunk = 500

// The kinds of belonging, as fill tells them apart.
const (
	property = iota
	tag
	location
)

// A belonging is a row of image_properties, image_tags or image_locations.
type belonging struct {
	kind      int
	row       int64 // its key: the order in which rows were added
	image     glance.ID
	name      string // of a property; the tag; the URL
	value     sql.NullString
	status    string
	deleted   bool
	deletedAt stamp
}

// fill reads the properties, tags and locations of images, in one statement
// for every chunk of them.
func (d dialect) fill(ctx context.Context, tx *sql.Tx, images []*glance.Image) error {
	for part := range slices.Chunk(images, chunk) {
		if err := d.fillChunk(ctx, tx, part); err != nil {
			return err
		}
	}
	return nil
}

func (d dialect) fillChunk(ctx context.Context, tx *sql.Tx, images []*glance.Image) error {
	byID := make(map[glance.ID]*glance.Image, len(images))
	live := true
	for _, im := range images {
		im.Properties = make(map[string]string)
		byID[im.ID] = im
		live = live && im.DeletedAt == nil
	}
	list, err := d.belongings(ctx, tx, images, live)
	if err != nil {
		return err
	}
	// The parts of a union come in no promised order.
	slices.SortFunc(list, func(a, b belonging) int { return cmp.Compare(a.row, b.row) })
	for _, b := range list {
		if err := b.addTo(byID[b.image]); err != nil {
			return err
		}
	}
	for _, im := range images {
		slices.Sort(im.Tags)
		im.Tags = slices.Compact(im.Tags)
	}
	return nil
}

func (d dialect) belongings(ctx context.Context, tx *sql.Tx, images []*glance.Image, live bool) ([]belonging, error) {
	where := ` WHERE image_id IN (?` + strings.Repeat(`, ?`, len(images)-1) + `)`
	if live {
		where += ` AND ` + d.hide("deleted") + ` = 0`
	}
	query := `SELECT 0, id, image_id, name, value, '', deleted, deleted_at FROM image_properties` + where +
		` UNION ALL SELECT 1, id, image_id, value, '', '', deleted, deleted_at FROM image_tags` + where +
		` UNION ALL SELECT 2, id, image_id, value, meta_data, status, deleted, deleted_at FROM image_locations` + where
	args := make([]any, 0, 3*len(images))
	for range 3 {
		for _, im := range images {
			args = append(args, im.ID)
		}
	}
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []belonging
	for rows.Next() {
		var b belonging
		if err := rows.Scan(&b.kind, &b.row, &b.image, &b.name, &b.value, &b.status, &b.deleted, &b.deletedAt); err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, rows.Err()
}

// addTo adds b to its image, unless it was taken from it before the image's
// end.
func (b belonging) addTo(im *glance.Image) error {
	if b.deleted && (im.DeletedAt == nil || b.kind != location && b.deletedAt.Before(*im.DeletedAt)) {
		return nil
	}
	switch b.kind {
	case property:
		im.Properties[b.name] = b.value.String
	case tag:
		im.Tags = append(im.Tags, b.name)
	case location:
		meta, err := decodeMeta(b.value.String)
		if err != nil {
			return fmt.Errorf("location %d: %w", b.row, err)
		}
		im.Locations = append(im.Locations, glance.Location{ID: b.row, URL: b.name, Metadata: meta, Status: glance.Status(b.status)})
	}
	return nil
}

// decodeMeta reads the JSON object in image_locations.meta_data. Values that
// are no text stand for themselves, as JSON.
func decodeMeta(s string) (map[string]string, error) {
	if s == "" || s == "{}" || s == "null" {
		return nil, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return nil, fmt.Errorf("meta_data: %w", err)
	}
	meta := make(map[string]string, len(raw))
	for k, v := range raw {
		var text string
		if json.Unmarshal(v, &text) != nil {
			text = string(v)
		}
		meta[k] = text
	}
	return meta, nil
}

// encodeMeta is the opposite of decodeMeta.
func encodeMeta(meta map[string]string) (string, error) {
	if len(meta) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(meta)
	return string(b), err
}
