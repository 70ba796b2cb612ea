package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"glancectl/service/glance"
	"glancectl/service/internal/v1wire"
)

// maxBody bounds what is read of a request.
const maxBody = 4 << 20

// readBody reads the body of a request whole: it is JSON about a few images.
func readBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, bad("Client disconnected before sending all data to backend")
	}
	if len(b) > maxBody {
		return nil, v1wire.Refused(http.StatusRequestEntityTooLarge, "The body of your request was too large for this server.")
	}
	return b, nil
}

// readObject reads a body that is an object.
func readObject(r *http.Request) (map[string]json.RawMessage, error) {
	b, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(b, &object) != nil || object == nil {
		return nil, bad("Malformed JSON in request body.")
	}
	return object, nil
}

// An invalid value of a field.
type invalid struct{ field, text string }

func (e *invalid) Error() string { return e.text }

// Values are attributes of an image as they came, by their names.
type values map[string]json.RawMessage

func (v values) has(name string) bool {
	_, ok := v[name]
	return ok
}

// text returns a string, empty if there is none.
func (v values) text(name string) string {
	var s string
	if json.Unmarshal(v[name], &s) != nil {
		return ""
	}
	return s
}

// plain returns what JSON stands for as text: a string as it is.
func plain(raw json.RawMessage) (s string, null bool) {
	switch {
	case json.Unmarshal(raw, &s) == nil:
		return s, string(raw) == "null"
	}
	return string(raw), false
}

// widths are how long texts may be, as the tables have them.
var widths = map[string]int{
	"name": 255, "owner": 255, "disk_format": 20, "container_format": 20, "checksum": 32,
	"os_hash_algo": 64, "os_hash_value": 128,
}

// statuses are those that an image can have.
var statuses = []glance.Status{
	glance.Queued, glance.Saving, glance.Uploading, glance.Importing, glance.Active,
	glance.Deactivated, glance.Killed, glance.PendingDelete, glance.Deleted,
}

// apply sets what v has in im. Fields that are nobody's, and those that only
// the catalog sets, are passed over. The error is an *invalid; im may then be
// changed in parts.
func (v values) apply(im *glance.Image) error {
	for _, f := range []struct {
		name string
		to   **string
	}{
		{"name", &im.Name}, {"owner", &im.Owner}, {"disk_format", &im.DiskFormat}, {"container_format", &im.ContainerFormat},
		{"checksum", &im.Checksum}, {"os_hash_algo", &im.HashAlgo}, {"os_hash_value", &im.HashValue},
	} {
		if err := v.setText(f.name, f.to); err != nil {
			return err
		}
	}
	if err := v.numbers(im); err != nil {
		return err
	}
	if v.has("status") {
		status := glance.Status(v.text("status"))
		if !slices.Contains(statuses, status) {
			return &invalid{"status", fmt.Sprintf("Invalid image status '%s' for image.", status)}
		}
		im.Status = status
	}
	if err := v.visibility(im); err != nil {
		return err
	}
	if err := v.properties(im); err != nil {
		return err
	}
	return v.locations(im)
}

func (v values) setText(name string, to **string) error {
	raw, ok := v[name]
	if !ok {
		return nil
	}
	s, null := plain(raw)
	if null {
		*to = nil
		return nil
	}
	if utf8.RuneCountInString(s) > widths[name] {
		return &invalid{name, fmt.Sprintf("%s is longer than %d characters.", name, widths[name])}
	}
	*to = &s
	return nil
}

func (v values) numbers(im *glance.Image) error {
	for _, f := range []struct {
		name string
		to   **int64
	}{{"size", &im.Size}, {"virtual_size", &im.VirtualSize}} {
		if raw, ok := v[f.name]; ok {
			n, null, err := integer(f.name, raw, math.MaxInt64)
			if err != nil {
				return err
			}
			if *f.to = &n; null {
				*f.to = nil
			}
		}
	}
	for _, f := range []struct {
		name string
		to   *int64
	}{{"min_disk", &im.MinDisk}, {"min_ram", &im.MinRAM}} {
		if raw, ok := v[f.name]; ok {
			n, _, err := integer(f.name, raw, math.MaxInt32)
			if err != nil {
				return err
			}
			*f.to = n
		}
	}
	return nil
}

// integer reads a number, which some clients write as text.
func integer(name string, raw json.RawMessage, high int64) (n int64, null bool, err error) {
	s, null := plain(raw)
	if null {
		return 0, true, nil
	}
	n, err = strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < 0 || n > high {
		return 0, false, &invalid{name, fmt.Sprintf("Invalid value '%s' for parameter '%s'.", s, name)}
	}
	return n, false, nil
}

// truth reads a boolean as Python does that takes everything that is not empty
// for true.
func truth(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "false", "0", "0.0", `""`, "[]", "{}":
		return false
	}
	return true
}

// visibility reads is_public, by which an image that is not public is shared
// unless it was private or of a community before, and its later form.
func (v values) visibility(im *glance.Image) error {
	if raw, ok := v["protected"]; ok {
		im.Protected = truth(raw)
	}
	if raw, ok := v["os_hidden"]; ok {
		im.Hidden = truth(raw)
	}
	if raw, ok := v["is_public"]; ok {
		switch public := truth(raw); {
		case public:
			im.Visibility = glance.Public
		case im.Visibility == glance.Public:
			im.Visibility = glance.Shared
		}
	}
	if !v.has("visibility") {
		return nil
	}
	if v.has("is_public") {
		return &invalid{"visibility", "Specifying both 'visibility' and 'is_public' is not permissiable."}
	}
	switch vis := glance.Visibility(v.text("visibility")); vis {
	case glance.Public, glance.Private, glance.Shared, glance.Community:
		im.Visibility = vis
		return nil
	default:
		return &invalid{"visibility", fmt.Sprintf("Invalid visibility '%s' for image.", vis)}
	}
}

func (v values) properties(im *glance.Image) error {
	raw, ok := v["properties"]
	if !ok || string(raw) == "null" {
		return nil
	}
	var props map[string]json.RawMessage
	if json.Unmarshal(raw, &props) != nil {
		return &invalid{"properties", "Properties are no object."}
	}
	if im.Properties == nil {
		im.Properties = make(map[string]string)
	}
	for name, value := range props {
		if utf8.RuneCountInString(name) > 255 {
			return &invalid{"properties", "The name of a property is longer than 255 characters."}
		}
		setProperty(im, name, value)
	}
	return nil
}

// setProperty gives an image a property, but for the one that says which
// service has the staged data: tokens are sent there, so that is for the
// services that stage data, which do not go through a registry.
func setProperty(im *glance.Image, name string, value json.RawMessage) {
	if name != glance.StageHost {
		im.Properties[name], _ = plain(value)
	}
}

// A place is a location as the API sends it.
type place struct {
	URL      string                     `json:"url"`
	Metadata map[string]json.RawMessage `json:"metadata"`
	Status   glance.Status              `json:"status"`
}

// locations reads where the data is: URLs, and what is known about each.
func (v values) locations(im *glance.Image) error {
	raw, one := v["location"]
	var urls []string
	if many, ok := v["locations"]; ok && string(many) != "null" {
		if err := v.places(im, many); err == nil { // as the database has them
			return nil
		}
		if json.Unmarshal(many, &urls) != nil {
			return &invalid{"locations", "Locations are no list."}
		}
	}
	if url, null := plain(raw); one && !null {
		urls = append(urls, url)
	}
	data, described := v["location_data"]
	if !described && urls == nil {
		return nil
	}
	known := &glance.Image{}
	if described && string(data) != "null" {
		if err := v.places(known, data); err != nil {
			return err
		}
	}
	im.Locations = nil
	for _, url := range urls {
		l := glance.Location{URL: url, Metadata: map[string]string{}, Status: glance.Active}
		if at := slices.IndexFunc(known.Locations, func(k glance.Location) bool { return k.URL == url }); at >= 0 {
			l = known.Locations[at]
		}
		im.Locations = append(im.Locations, l)
	}
	for _, l := range known.Locations {
		if !slices.Contains(urls, l.URL) {
			im.Locations = append(im.Locations, l)
		}
	}
	return nil
}

// places sets the locations of im to those of a list of objects.
func (v values) places(im *glance.Image, raw json.RawMessage) error {
	var list []place
	if json.Unmarshal(raw, &list) != nil {
		return &invalid{"locations", "Locations are no list of places."}
	}
	im.Locations = nil
	for _, p := range list {
		if p.URL == "" {
			return &invalid{"locations", "A location has no url."}
		}
		l := glance.Location{URL: p.URL, Metadata: map[string]string{}, Status: p.Status}
		if l.Status == "" {
			l.Status = glance.Active
		}
		for name, value := range p.Metadata {
			l.Metadata[name], _ = plain(value)
		}
		im.Locations = append(im.Locations, l)
	}
	return nil
}
