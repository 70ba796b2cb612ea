package registry

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"glancectl/service/glance"
)

// A brief is an image in a short list. The order of the fields is the order on
// the wire, here and below.
type brief struct {
	ID              glance.ID `json:"id"`
	Name            *string   `json:"name"`
	Size            *int64    `json:"size"`
	DiskFormat      *string   `json:"disk_format"`
	ContainerFormat *string   `json:"container_format"`
	Checksum        *string   `json:"checksum"`
}

func briefOf(im *glance.Image) brief {
	return brief{im.ID, im.Name, im.Size, im.DiskFormat, im.ContainerFormat, im.Checksum}
}

// A full is an image with everything the registry knows.
type full struct {
	ContainerFormat *string           `json:"container_format"`
	ID              glance.ID         `json:"id"`
	Status          glance.Status     `json:"status"`
	Owner           *string           `json:"owner"`
	Name            *string           `json:"name"`
	DeletedAt       *stamp            `json:"deleted_at"`
	Checksum        *string           `json:"checksum"`
	Size            *int64            `json:"size"`
	CreatedAt       stamp             `json:"created_at"`
	Deleted         bool              `json:"deleted"`
	UpdatedAt       stamp             `json:"updated_at"`
	IsPublic        bool              `json:"is_public"`
	MinRAM          int64             `json:"min_ram"`
	MinDisk         int64             `json:"min_disk"`
	VirtualSize     *int64            `json:"virtual_size"`
	Protected       bool              `json:"protected"`
	DiskFormat      *string           `json:"disk_format"`
	Properties      map[string]string `json:"properties"`
	LocationData    []location        `json:"location_data"`
	Location        *string           `json:"location"`
}

type location struct {
	ID       int64             `json:"id"`
	URL      string            `json:"url"`
	Metadata map[string]string `json:"metadata"`
	Status   glance.Status     `json:"status"`
}

// A stamp is a time in the registry's form: microseconds, no zone.
type stamp time.Time

func (s stamp) MarshalText() ([]byte, error) {
	return time.Time(s).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000000"), nil
}

func fullOf(im *glance.Image) full {
	f := full{
		ContainerFormat: im.ContainerFormat,
		ID:              im.ID,
		Status:          im.Status,
		Owner:           im.Owner,
		Name:            im.Name,
		Checksum:        im.Checksum,
		Size:            im.Size,
		CreatedAt:       stamp(im.CreatedAt),
		Deleted:         im.Status == glance.Deleted || im.Status == glance.PendingDelete,
		UpdatedAt:       stamp(im.UpdatedAt),
		IsPublic:        im.Visibility == glance.Public,
		MinRAM:          im.MinRAM,
		MinDisk:         im.MinDisk,
		VirtualSize:     im.VirtualSize,
		Protected:       im.Protected,
		DiskFormat:      im.DiskFormat,
		Properties:      orEmpty(im.Properties),
		LocationData:    []location{},
	}
	if im.DeletedAt != nil {
		t := stamp(*im.DeletedAt)
		f.DeletedAt = &t
	}
	for _, l := range im.Locations {
		if l.Status == glance.Deleted {
			continue
		}
		f.LocationData = append(f.LocationData, location{l.ID, l.URL, orEmpty(l.Metadata), l.Status})
		if f.Location == nil && l.Status == glance.Active {
			f.Location = &l.URL
		}
	}
	return f
}

// orEmpty returns m, or an empty map for nil: the wire has {} and not null.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func writeJSON(w http.ResponseWriter, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	body := spaced(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that is gone needs no answer
	return nil
}

// spaced returns compact JSON with a space after each comma and colon between
// values, which is how the original separates them.
func spaced(compact []byte) []byte {
	out := make([]byte, 0, len(compact)+len(compact)/8)
	inString := false
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		out = append(out, c)
		switch {
		case c == '\\':
			i++
			out = append(out, compact[i]) // the escaped character ends no string
		case c == '"':
			inString = !inString
		case (c == ',' || c == ':') && !inString:
			out = append(out, ' ')
		}
	}
	return out
}
