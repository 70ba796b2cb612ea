package v1wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"glancectl/service/glance"
)

// A Brief is an image in a short list. The order of the fields is the order on
// the wire, here and below.
type Brief struct {
	ID              glance.ID `json:"id"`
	Name            *string   `json:"name"`
	Size            *int64    `json:"size"`
	DiskFormat      *string   `json:"disk_format"`
	ContainerFormat *string   `json:"container_format"`
	Checksum        *string   `json:"checksum"`
}

// BriefOf returns im as it stands in a short list.
func BriefOf(im *glance.Image) Brief {
	return Brief{im.ID, im.Name, im.Size, im.DiskFormat, im.ContainerFormat, im.Checksum}
}

// A Full is an image as its users see it.
type Full struct {
	ContainerFormat *string           `json:"container_format"`
	ID              glance.ID         `json:"id"`
	Status          glance.Status     `json:"status"`
	Owner           *string           `json:"owner"`
	Name            *string           `json:"name"`
	DeletedAt       *Stamp            `json:"deleted_at"`
	Checksum        *string           `json:"checksum"`
	Size            *int64            `json:"size"`
	CreatedAt       Stamp             `json:"created_at"`
	Deleted         bool              `json:"deleted"`
	UpdatedAt       Stamp             `json:"updated_at"`
	IsPublic        *bool             `json:"is_public,omitempty"` // nil in what a deletion answers
	MinRAM          int64             `json:"min_ram"`
	MinDisk         int64             `json:"min_disk"`
	VirtualSize     *int64            `json:"virtual_size"`
	Protected       bool              `json:"protected"`
	DiskFormat      *string           `json:"disk_format"`
	Properties      map[string]string `json:"properties"`
}

// A Record is an image with all that a registry knows of it.
type Record struct {
	Full
	LocationData []Location `json:"location_data"`
	Location     *string    `json:"location"` // the first active one
}

// A Location is where data is. ID is 0 in a new one.
type Location struct {
	ID       int64             `json:"id"`
	URL      string            `json:"url"`
	Metadata map[string]string `json:"metadata"`
	Status   glance.Status     `json:"status"`
}

// A Stamp is a time in the form of version 1: microseconds, no zone.
type Stamp time.Time

const stampForm = "2006-01-02T15:04:05.000000"

// MarshalText implements encoding.TextMarshaler.
func (s Stamp) MarshalText() ([]byte, error) {
	return time.Time(s).UTC().AppendFormat(nil, stampForm), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Stamp) UnmarshalText(b []byte) error {
	t, ok := Time(string(b))
	if !ok {
		return fmt.Errorf("%q is no time", b)
	}
	*s = Stamp(t)
	return nil
}

func (s Stamp) String() string { return time.Time(s).UTC().Format(stampForm) }

// Gone says whether an image in that status counts as deleted.
func Gone(s glance.Status) bool { return s == glance.Deleted || s == glance.PendingDelete }

// FullOf returns the document of im.
func FullOf(im *glance.Image) Full {
	public := im.Visibility == glance.Public
	f := Full{
		ContainerFormat: im.ContainerFormat,
		ID:              im.ID,
		Status:          im.Status,
		Owner:           im.Owner,
		Name:            im.Name,
		Checksum:        im.Checksum,
		Size:            im.Size,
		CreatedAt:       Stamp(im.CreatedAt),
		Deleted:         Gone(im.Status),
		UpdatedAt:       Stamp(im.UpdatedAt),
		IsPublic:        &public,
		MinRAM:          im.MinRAM,
		MinDisk:         im.MinDisk,
		VirtualSize:     im.VirtualSize,
		Protected:       im.Protected,
		DiskFormat:      im.DiskFormat,
		Properties:      orEmpty(im.Properties),
	}
	if im.DeletedAt != nil {
		t := Stamp(*im.DeletedAt)
		f.DeletedAt = &t
	}
	return f
}

// RecordOf returns im as a registry shows it. Locations that are deleted are
// not shown.
func RecordOf(im *glance.Image) Record {
	r := Record{Full: FullOf(im), LocationData: []Location{}}
	for _, l := range im.Locations {
		if l.Status == glance.Deleted {
			continue
		}
		r.LocationData = append(r.LocationData, Location{l.ID, l.URL, orEmpty(l.Metadata), l.Status})
		if r.Location == nil && l.Status == glance.Active {
			r.Location = &l.URL
		}
	}
	return r
}

// Image returns the image that a registry shows. What a registry does not
// know of it is empty, and what is not public counts as shared.
func (r Record) Image() *glance.Image {
	im := &glance.Image{
		ID:              r.ID,
		Name:            r.Name,
		DiskFormat:      r.DiskFormat,
		ContainerFormat: r.ContainerFormat,
		Size:            r.Size,
		VirtualSize:     r.VirtualSize,
		Status:          r.Status,
		Visibility:      glance.Shared,
		Checksum:        r.Checksum,
		MinDisk:         r.MinDisk,
		MinRAM:          r.MinRAM,
		Owner:           r.Owner,
		Protected:       r.Protected,
		CreatedAt:       time.Time(r.CreatedAt),
		UpdatedAt:       time.Time(r.UpdatedAt),
		Properties:      orEmpty(r.Properties),
	}
	if r.IsPublic != nil && *r.IsPublic {
		im.Visibility = glance.Public
	}
	if r.DeletedAt != nil {
		t := time.Time(*r.DeletedAt)
		im.DeletedAt = &t
	}
	for _, l := range r.LocationData {
		im.Locations = append(im.Locations, glance.Location{ID: l.ID, URL: l.URL, Metadata: l.Metadata, Status: l.Status})
	}
	return im
}

// orEmpty returns m, or an empty map for nil: the wire has {} and not null.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// A Member is a member as the list of an image's members shows it.
type Member struct {
	ProjectID string `json:"member_id"`
	CanShare  bool   `json:"can_share"`
}

// A Membership is an image that is shared with somebody.
type Membership struct {
	ImageID  glance.ID `json:"image_id"`
	CanShare bool      `json:"can_share"`
}

// Members is the document of an image's members.
func Members(list []glance.Member) any {
	members := make([]Member, 0, len(list))
	for _, m := range list {
		members = append(members, Member{m.ProjectID, m.CanShare})
	}
	return struct {
		Members []Member `json:"members"`
	}{members}
}

// SharedImages is the document of the images that are shared with a project.
func SharedImages(list []glance.Member) any {
	shared := make([]Membership, 0, len(list))
	for _, m := range list {
		shared = append(shared, Membership{m.ImageID, m.CanShare})
	}
	return struct {
		Images []Membership `json:"shared_images"`
	}{shared}
}

// JSON returns v the way Python writes JSON: a space after commas and colons,
// and text beyond ASCII as it is.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return spaced(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// Reply answers with the document v.
func Reply(w http.ResponseWriter, code int, v any) error {
	body, err := JSON(v)
	if err != nil {
		return err
	}
	Send(w, code, body)
	return nil
}

// Send answers with a document that JSON has made.
func Send(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// spaced returns compact JSON with a space after each comma and colon between
// values.
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
