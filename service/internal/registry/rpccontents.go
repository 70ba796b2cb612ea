package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"glancectl/service/glance/metadef"
)

// A content is a kind of thing that namespaces hold: its commands differ by
// names and columns only.
type content struct {
	name, class string // in commands and in exceptions
	naming      string // the argument that names one
	number      string // the argument that has its number
	dict        string // the argument with what it is to be

	rows   func(ns *metadef.Namespace) []contentRow
	write  func(ctx context.Context, namespace, old string, r contentRow) error // old is "" for a new one
	remove func(ctx context.Context, namespace, name string) error
	clear  func(ctx context.Context, namespace string) error
	show   func(ctx context.Context, name string) (*metadef.Namespace, error)
}

// A contentRow is one of them; columns that its kind does not have are nil.
type contentRow struct {
	ID          int64           `json:"id"`
	NamespaceID int64           `json:"namespace_id"`
	Name        string          `json:"name"`
	Description json.RawMessage `json:"description,omitempty"`
	Required    json.RawMessage `json:"required,omitempty"`
	Schema      json.RawMessage `json:"json_schema,omitempty"`
	CreatedAt   moment          `json:"created_at"`
	UpdatedAt   moment          `json:"updated_at"`
}

func contentRowOf(ns *metadef.Namespace, e metadef.Entry) contentRow {
	return contentRow{ID: e.ID, NamespaceID: ns.ID, Name: e.Name, CreatedAt: moment(e.CreatedAt), UpdatedAt: changed(e)}
}

func (h *Handler) contents() []content {
	d := h.o.Definitions
	return []content{
		{"object", "Object", "object_name", "object_id", "object_dict", objectRows, h.writeObject, d.RemoveObject, d.RemoveObjects, d.Show},
		{"property", "Property", "property_name", "property_id", "property_dict", propertyRows, h.writeProperty, d.RemoveProperty, d.RemoveProperties, d.Show},
		{"tag", "Tag", "name", "id", "tag_dict", tagRows, h.writeTag, d.RemoveTag, d.RemoveTags, d.Show},
	}
}

func objectRows(ns *metadef.Namespace) []contentRow {
	rows := make([]contentRow, len(ns.Objects))
	for i, o := range ns.Objects {
		r := contentRowOf(ns, o.Entry)
		r.Description, r.Required, r.Schema = rawOf(o.Description), rawOf(strings.Join(o.Required, ",")), rawOf(o.Properties)
		if len(o.Required) == 0 {
			r.Required = json.RawMessage("null")
		}
		rows[i] = r
	}
	return rows
}

func propertyRows(ns *metadef.Namespace) []contentRow {
	rows := make([]contentRow, len(ns.Properties))
	for i, p := range ns.Properties {
		rows[i] = contentRowOf(ns, p.Entry)
		rows[i].Schema = rawOf(p.Schema)
	}
	return rows
}

func tagRows(ns *metadef.Namespace) []contentRow {
	rows := make([]contentRow, len(ns.Tags))
	for i, t := range ns.Tags {
		rows[i] = contentRowOf(ns, t.Entry)
	}
	return rows
}

// schemaOf reads a schema, whose numbers stay as they are.
func schemaOf(raw json.RawMessage) (metadef.Schema, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil || m == nil {
		return nil, raise("Invalid", "A schema is an object.")
	}
	s, err := metadef.ParseSchema(m)
	if err != nil {
		return nil, raise("Invalid", "%v", err)
	}
	return s, nil
}

func (h *Handler) writeObject(ctx context.Context, namespace, old string, r contentRow) error {
	o := &metadef.Object{Required: []string{}, Properties: map[string]metadef.Schema{}}
	o.Name = r.Name
	if s, null := plain(r.Description); !null && r.Description != nil {
		o.Description = &s
	}
	if s, null := plain(r.Required); !null && s != "" {
		o.Required = strings.Split(s, ",")
	}
	var schemas map[string]json.RawMessage
	if r.Schema != nil && json.Unmarshal(r.Schema, &schemas) != nil {
		return raise("Invalid", "Properties are no object.")
	}
	for name, raw := range schemas {
		s, err := schemaOf(raw)
		if err != nil {
			return err
		}
		o.Properties[name] = s
	}
	if old == "" {
		return h.o.Definitions.AddObject(ctx, namespace, o)
	}
	return h.o.Definitions.SetObject(ctx, namespace, old, o)
}

func (h *Handler) writeProperty(ctx context.Context, namespace, old string, r contentRow) error {
	s, err := schemaOf(r.Schema)
	if err != nil {
		return err
	}
	p := &metadef.Property{Schema: s}
	if p.Name = r.Name; old == "" {
		_, err = h.o.Definitions.AddProperty(ctx, namespace, p)
	} else {
		_, err = h.o.Definitions.SetProperty(ctx, namespace, old, p)
	}
	return err
}

func (h *Handler) writeTag(ctx context.Context, namespace, old string, r contentRow) (err error) {
	if old == "" {
		_, err = h.o.Definitions.AddTag(ctx, namespace, r.Name)
	} else {
		_, err = h.o.Definitions.SetTag(ctx, namespace, old, r.Name)
	}
	return err
}

// getAll returns all rows, of tags in the order and as many as is asked for.
func (k content) getAll(_ context.Context, ns *metadef.Namespace, args values) (any, error) {
	if k.class != "Tag" {
		return k.rows(ns), nil
	}
	sorted := *ns
	key := metadef.SortKey(args.text("sort_key"))
	if key != "" && !slices.Contains(metadef.TagSortKeys, key) {
		return nil, raise("InvalidSortKey", "Sort key supplied was not valid.")
	}
	sorted.Tags = ns.SortTags(metadef.TagQuery{Sort: key, Ascending: args.text("sort_dir") == "asc"})
	rows := k.rows(&sorted)
	if n := args.number("marker"); n != 0 {
		at := slices.IndexFunc(rows, func(r contentRow) bool { return r.ID == n })
		if at < 0 {
			return nil, raise("MetadefTagNotFound", "Metadata tag not found for id %d", n)
		}
		rows = rows[at+1:]
	}
	if n := args.number("limit"); n > 0 && n < int64(len(rows)) {
		rows = rows[:n]
	}
	return rows, nil
}

// named returns the row of that name.
func (k content) named(ns *metadef.Namespace, name string) (contentRow, error) {
	rows := k.rows(ns)
	at := slices.IndexFunc(rows, func(r contentRow) bool {
		return r.Name == name || ns.FoldCase && strings.EqualFold(r.Name, name)
	})
	if at < 0 {
		format := "The metadata definition " + k.name + " with name=%s was not found in namespace=%s."
		return contentRow{}, raise("Metadef"+k.class+"NotFound", format, name, ns.Name)
	}
	return rows[at], nil
}

func (k content) get(_ context.Context, ns *metadef.Namespace, args values) (any, error) {
	return k.named(ns, args.text(k.naming))
}

func (k content) count(_ context.Context, ns *metadef.Namespace, _ values) (any, error) {
	return len(k.rows(ns)), nil
}

func (k content) create(ctx context.Context, ns *metadef.Namespace, args values) (any, error) {
	return k.save(ctx, ns, args, contentRow{})
}

func (k content) update(ctx context.Context, ns *metadef.Namespace, args values) (any, error) {
	number, rows := args.number(k.number), k.rows(ns)
	at := slices.IndexFunc(rows, func(r contentRow) bool { return r.ID == number })
	if at < 0 {
		return nil, raise("Metadef"+k.class+"NotFound", "Metadata definition "+k.name+" not found for id=%d", number)
	}
	return k.save(ctx, ns, args, rows[at])
}

// save writes what was before with what the arguments change, and returns the
// row as it then is.
func (k content) save(ctx context.Context, ns *metadef.Namespace, args values, before contentRow) (any, error) {
	v, err := args.object(k.dict)
	if err != nil {
		return nil, err
	}
	after := before
	if v.has("name") {
		after.Name = v.text("name")
	}
	for name, column := range map[string]*json.RawMessage{
		"description": &after.Description, "required": &after.Required, "json_schema": &after.Schema,
	} {
		if raw, ok := v[name]; ok {
			*column = raw
		}
	}
	if err := k.write(ctx, ns.Name, before.Name, after); err != nil {
		return nil, err
	}
	if ns, err = k.show(ctx, ns.Name); err != nil {
		return nil, err
	}
	return k.named(ns, after.Name)
}

func (k content) delete(ctx context.Context, ns *metadef.Namespace, args values) (any, error) {
	old, err := k.named(ns, args.text(k.naming))
	if err != nil {
		return nil, err
	}
	return old, k.remove(ctx, ns.Name, old.Name)
}

func (k content) deleteAll(ctx context.Context, ns *metadef.Namespace, _ values) (any, error) {
	return len(k.rows(ns)), k.clear(ctx, ns.Name)
}

// addTags makes the tags of a namespace those that are named.
func (h *Handler) addTags(ctx context.Context, ns *metadef.Namespace, args values) (any, error) {
	var list []values
	if json.Unmarshal(args["tag_list"], &list) != nil {
		return nil, missingArgument("tag_list")
	}
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = v.text("name")
	}
	if err := h.o.Definitions.AddTags(ctx, ns.Name, names, args.truth("can_append")); err != nil {
		return nil, err
	}
	after, err := h.o.Definitions.Show(ctx, ns.Name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(tagRows(after), func(r contentRow) bool { return !slices.Contains(names, r.Name) }), nil
}
