package apiv2

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

// maxJSON is the largest JSON body: all properties a quota allows, each as
// long as the catalog can keep it, fit.
const maxJSON = 10 << 20

// readJSON returns the request's body, which must be a JSON object or array:
// a map[string]any or a list, with numbers as json.Number.
func readJSON(r *http.Request) (any, error) {
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxJSON))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &fault.Fault{Code: http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return nil, bad("Malformed JSON in request body.")
	}
	if len(data) == 0 {
		return nil, bad("Body expected in request.")
	}
	if !utf8.Valid(data) {
		return nil, undecodable()
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, bad("Malformed JSON in request body.")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad("Malformed JSON in request body.")
	}
	switch v := v.(type) {
	case map[string]any, []any:
		return lists(v), nil
	}
	return nil, bad("Unexpected body type. Expected list/dict.")
}

// lists gives arrays the type that documents are written with.
func lists(v any) any {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			v[i] = lists(e)
		}
		return list(v)
	case map[string]any:
		for name, e := range v {
			v[name] = lists(e)
		}
	}
	return v
}

// fieldWords are what is said about a body that must have one field.
type fieldWords struct{ missing, form string }

var (
	memberWords = fieldWords{"Member to be added not specified", `Expected a member in the form: {"member": "image_id"}`}
	statusWords = fieldWords{"Status not specified", `Expected a status in the form: {"status": "status"}`}
)

// readField returns the one field that the body must have.
func readField(r *http.Request, name string, words fieldWords) (string, error) {
	body, err := readJSON(r)
	if err != nil {
		return "", err
	}
	fields, ok := body.(map[string]any)
	if !ok {
		return "", bad("%s", words.form)
	}
	v, ok := fields[name]
	if !ok {
		return "", bad("%s", words.missing)
	}
	if v == nil {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", bad("%s", words.form)
	}
	return s, nil
}

// Attributes that clients see and may not write. The first few are refused
// before anything else is looked at.
var (
	derived  = []string{"direct_url", "self", "file", "schema", "stores"}
	readOnly = []string{"status", "created_at", "updated_at", "checksum", "size", "virtual_size"}
)

// parseDraft reads a new image.
func (a *API) parseDraft(body any) (glance.Draft, error) {
	var d glance.Draft
	doc, ok := body.(map[string]any)
	if !ok {
		return d, mismatch("type", "schema", "%s is not of type 'object'", repr(body))
	}
	if err := refuseAny(doc, derived, "Attribute '%s' is read-only."); err != nil {
		return d, err
	}
	if err := a.validateAll(doc); err != nil {
		return d, err
	}
	if err := refuseAny(doc, readOnly, "Attribute '%s' is read-only."); err != nil {
		return d, err
	}
	if err := refuseAny(doc, []string{"locations"}, "Attribute '%s' is reserved."); err != nil {
		return d, err
	}
	var err error
	d.ID = glance.ID(str(doc, "id"))
	d.Name, d.DiskFormat, d.ContainerFormat = pointer(doc, "name"), pointer(doc, "disk_format"), pointer(doc, "container_format")
	d.Visibility = glance.Visibility(str(doc, "visibility"))
	d.Owner = pointer(doc, "owner")
	owner, named := doc["owner"]
	d.Ownerless = named && owner == nil
	d.Protected, _ = doc["protected"].(bool)
	d.Hidden, _ = doc["os_hidden"].(bool)
	if d.MinDisk, err = integer(doc, "min_disk"); err != nil {
		return d, err
	}
	if d.MinRAM, err = integer(doc, "min_ram"); err != nil {
		return d, err
	}
	if tags, ok := doc["tags"].(list); ok {
		d.Tags = texts(tags)
	}
	d.Properties = make(map[string]string)
	for name, v := range doc {
		if s, ok := v.(string); ok && !a.isBase(name) {
			d.Properties[name] = s
		}
	}
	return d, nil
}

func refuseAny(doc map[string]any, names []string, format string) error {
	for _, name := range names {
		if _, ok := doc[name]; ok {
			return forbidden(format, name)
		}
	}
	return nil
}

func (a *API) isBase(name string) bool {
	for _, p := range a.properties {
		if p.name == name {
			return true
		}
	}
	return false
}

func str(doc map[string]any, name string) string {
	s, _ := doc[name].(string)
	return s
}

func pointer(doc map[string]any, name string) *string {
	if s, ok := doc[name].(string); ok {
		return &s
	}
	return nil
}

// integer returns a number that the schema has let through; one that is too
// large for a machine word is too large for the catalog as well.
func integer(doc map[string]any, name string) (int64, error) {
	v, ok := doc[name].(json.Number)
	if !ok {
		return 0, nil
	}
	n, err := v.Int64()
	if err != nil && strings.HasPrefix(v.String(), "-") {
		return 0, bad("Invalid value '%s' for parameter '%s': Cannot be a negative value", v, name)
	}
	if err != nil {
		return 0, bad("'%s' value out of range, must not exceed 2147483647.", name)
	}
	return n, nil
}

func texts(values list) []string {
	all := make([]string, 0, len(values))
	for _, v := range values {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}
