package apiv2

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
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
	if len(data) == 0 && !hasBody(r) {
		return nil, bad("Body expected in request.")
	}
	if !utf8.Valid(data) || halfLetter(data) {
		return nil, bad("Malformed JSON in request body.")
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

// halfLetter finds an escape that is one half of a surrogate pair, without the
// other: there is no such letter.
func halfLetter(data []byte) bool {
	unit := func(i int) uint64 {
		if i+6 > len(data) || data[i] != '\\' || data[i+1] != 'u' {
			return 0
		}
		n, _ := strconv.ParseUint(string(data[i+2:i+6]), 16, 16) // what is no number, the decoder refuses
		return n
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case u >= 0xd800 && u < 0xdc00:
			if low := unit(i + 6); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 11
		case u >= 0xdc00 && u <= 0xdfff:
			return true
		default:
			i++ // past the letter that is escaped, which may be a backslash
		}
	}
	return false
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
type fieldWords struct{ missing, form, wrong string }

var (
	memberWords = fieldWords{"Member to be added not specified", memberForm, memberForm}
	statusWords = fieldWords{"Status not specified", `Expected a status in the form: {"status": "status"}`,
		`Incorrect request: Status must be "pending", "accepted" or "rejected".`}
)

const memberForm = `Expected a member in the form: {"member": "image_id"}`

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
	switch v, ok := fields[name]; v := v.(type) {
	case string:
		return v, nil
	case nil:
		if !ok {
			return "", bad("%s", words.missing)
		}
		return "", nil
	case map[string]any:
		if len(v) == 0 { // as good as none
			return "", nil
		}
	}
	return "", bad("%s", words.wrong)
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
		if s, ok := v.(string); (ok || v == nil) && !a.isBase(name) {
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
	if f, ferr := v.Float64(); err != nil && ferr == nil && math.Abs(f) <= 1<<53 { // a whole number, written as if it were none
		n, err = int64(f), nil
	}
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
