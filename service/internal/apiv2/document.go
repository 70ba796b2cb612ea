package apiv2

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"glancectl/service/glance"
)

// appendImage appends the document of an image. Custom properties come first,
// as they always did. What it shows is what the caller that ctx carries may
// know.
func (a *API) appendImage(ctx context.Context, b []byte, im *glance.Image) []byte {
	self := "/v2/images/" + string(im.ID)
	b = append(b, '{')
	for _, name := range slices.Sorted(maps.Keys(im.Properties)) {
		if hidden(name) {
			continue
		}
		b = appendName(b, name)
		if value := im.Properties[name]; value != "" || !a.nullable(name) {
			b = appendString(b, value)
		} else {
			b = append(b, "null"...)
		}
		b = append(b, ", "...)
	}
	b = appendText(b, "name", im.Name)
	b = appendText(b, "disk_format", im.DiskFormat)
	b = appendText(b, "container_format", im.ContainerFormat)
	b = appendMember(b, "visibility", string(im.Visibility))
	b = appendNumber(b, "size", im.Size)
	b = appendNumber(b, "virtual_size", im.VirtualSize)
	b = appendMember(b, "status", string(im.Status))
	b = appendText(b, "checksum", im.Checksum)
	b = appendBool(b, "protected", im.Protected)
	b = appendNumber(b, "min_ram", &im.MinRAM)
	b = appendNumber(b, "min_disk", &im.MinDisk)
	b = appendText(b, "owner", im.Owner)
	b = appendBool(b, "os_hidden", im.Hidden)
	b = appendText(b, "os_hash_algo", im.HashAlgo)
	b = appendText(b, "os_hash_value", im.HashValue)
	b = appendMember(b, "id", string(im.ID))
	b = appendMember(b, "created_at", timestamp(im.CreatedAt))
	b = appendMember(b, "updated_at", timestamp(im.UpdatedAt))
	b = a.appendPlaces(ctx, b, im)
	b = appendName(b, "tags")
	b = append(appendJSON(b, im.Tags), ", "...)
	b = appendMember(b, "self", self)
	b = appendMember(b, "file", self+"/file")
	b = appendName(b, "schema")
	b = appendString(b, "/v2/schemas/image")
	if stores := a.images.StoreIDs(ctx, im); len(stores) > 0 {
		b = appendName(append(b, ", "...), "stores")
		b = appendString(b, strings.Join(stores, ","))
	}
	return append(b, '}')
}

// hidden says whether a property is an affair of the services alone.
func hidden(name string) bool {
	return name == glance.StageHost || name == "os_glance_hash_op_host"
}

func appendMember(b []byte, name, value string) []byte {
	return append(appendString(appendName(b, name), value), ", "...)
}

func appendText(b []byte, name string, value *string) []byte {
	if value == nil {
		return append(appendName(b, name), "null, "...)
	}
	return appendMember(b, name, *value)
}

func appendNumber(b []byte, name string, value *int64) []byte {
	if value == nil {
		return append(appendName(b, name), "null, "...)
	}
	return append(strconv.AppendInt(appendName(b, name), *value, 10), ", "...)
}

func appendBool(b []byte, name string, value bool) []byte {
	return append(strconv.AppendBool(appendName(b, name), value), ", "...)
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func memberDocument(m *glance.Member) object {
	return object{
		{"member_id", m.ProjectID},
		{"image_id", string(m.ImageID)},
		{"status", string(m.Status)},
		{"created_at", timestamp(m.CreatedAt)},
		{"updated_at", timestamp(m.UpdatedAt)},
		{"schema", "/v2/schemas/member"},
	}
}
