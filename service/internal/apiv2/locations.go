package apiv2

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

// locationRoutes is where the data of images is, as services of the cloud see
// it. Of the methods, only one is ever told to who uses another.
func (a *API) locationRoutes() []route {
	return []route{
		{"/v2/images/{id}/locations", []method{
			{"GET", false, a.listLocations},
			{"POST", true, a.addLocation},
			{anyMethod, true, onlyPost},
		}},
	}
}

func onlyPost(_ http.ResponseWriter, r *http.Request) error {
	return &fault.Fault{
		Code:   http.StatusMethodNotAllowed,
		Text:   "The method " + r.Method + " is not allowed for this resource.",
		Header: http.Header{"Allow": {http.MethodPost}},
	}
}

func (a *API) listLocations(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r, noImage)
	if err != nil {
		return err
	}
	locations, err := a.images.Locations(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, appendLocations(nil, locations))
}

// hashAlgorithms are those that a client can name the digest of data by.
var hashAlgorithms = []string{"sha1", "sha256", "sha512", "md5"}

// maxLocation is how long a URL may be that the catalog has room for, sealed
// and in the widest characters.
const maxLocation = 8192

// addLocationSchema is that of the body of a request that adds a location,
// under the name that the original gives it there. What it does not know is let
// through.
func addLocationSchema() object {
	algorithms := make(list, len(hashAlgorithms))
	for i, name := range hashAlgorithms {
		algorithms[i] = name
	}
	return object{
		{"name", "location"},
		{"properties", object{{"add_location", object{
			{"type", "object"},
			{"properties", object{
				{"url", object{{"type", "string"}, {"maxLength", maxLocation}}},
				{"validation_data", object{
					{"type", "object"},
					{"additionalProperties", false},
					{"properties", object{
						{"os_hash_algo", object{{"type", "string"}, {"enum", algorithms}}},
						{"os_hash_value", object{{"type", "string"}, {"maxLength", 128}}},
					}},
					{"dependentRequired", object{
						{"os_hash_value", []string{"os_hash_algo"}},
						{"os_hash_algo", []string{"os_hash_value"}},
					}},
				}},
			}},
			{"required", []string{"url"}},
		}}}},
	}
}

func (a *API) addLocation(w http.ResponseWriter, r *http.Request) error {
	body, err := readJSON(r)
	if err != nil {
		return err
	}
	checked, err := validateBody(addLocationSchema(), map[string]any{"add_location": body})
	if err != nil {
		return err
	}
	doc := checked["add_location"].(map[string]any)
	id, err := imageID(r, noImage)
	if err != nil {
		return err
	}
	req := glance.LocationRequest{URL: str(doc, "url")}
	if data, ok := doc["validation_data"].(map[string]any); ok {
		req.Validation = glance.Validation{HashAlgo: str(data, "os_hash_algo"), HashValue: str(data, "os_hash_value")}
	}
	im, err := a.images.AddLocation(r.Context(), id, req)
	if err != nil {
		return err
	}
	return reply(w, http.StatusAccepted, a.appendImage(r.Context(), nil, im))
}

// validateLocations checks the locations of a patch.
func validateLocations(v any) error {
	c := &schemaCheck{name: "image"}
	c.check(object{{"type", "array"}, {"items", locationItems()}}, v, spot{where: "schema['properties']['locations']"})
	return c.worst
}

// maxMetadata is how much metadata of a location the catalog has room for.
const maxMetadata = 10_000

// newLocations returns locations that the schema has let through.
func newLocations(values list) ([]glance.NewLocation, error) {
	all := make([]glance.NewLocation, 0, len(values))
	for _, v := range values {
		doc := v.(map[string]any)
		l := glance.NewLocation{URL: str(doc, "url"), Metadata: make(map[string]string), Structured: make(map[string]json.RawMessage)}
		metadata := doc["metadata"].(map[string]any)
		for name, value := range metadata {
			if text, ok := value.(string); ok {
				l.Metadata[name] = text
				continue
			}
			l.Structured[name] = appendJSON(nil, value)
			l.Metadata[name] = string(l.Structured[name])
		}
		if len(appendJSON(nil, metadata)) > maxMetadata {
			return nil, bad("The metadata of a location should not be greater than %d bytes.", maxMetadata)
		}
		if key, found := strange(metadata, ""); found {
			return nil, bad("The image metadata key %s has an invalid type. Only dict, list, and unicode are supported.", key)
		}
		if data, ok := doc["validation_data"].(map[string]any); ok {
			l.Validation = glance.Validation{
				Checksum: str(data, "checksum"), HashAlgo: str(data, "os_hash_algo"), HashValue: str(data, "os_hash_value"),
			}
		}
		all = append(all, l)
	}
	return all, nil
}

// strange returns the key of a value that is, or holds, neither text nor what
// holds values itself.
func strange(v any, key string) (string, bool) {
	switch v := v.(type) {
	case string:
		return "", false
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if key, found := strange(v[name], name); found {
				return key, true
			}
		}
		return "", false
	case list:
		for i, e := range v {
			if key, found := strange(e, fmt.Sprintf("%s[%d]", key, i)); found {
				return key, true
			}
		}
		return "", false
	}
	return key, true
}

// appendPlaces appends what of an image's document says where its data is.
func (a *API) appendPlaces(ctx context.Context, b []byte, im *glance.Image) []byte {
	if locations, shown := a.images.ShownLocations(ctx, im); shown {
		b = appendName(b, "locations")
		b = append(appendLocations(b, locations), ", "...)
	}
	if !a.o.ShowDirectURL {
		return b
	}
	if url := a.images.DirectURL(ctx, im); url != "" {
		b = appendMember(b, "direct_url", url)
	}
	return b
}

// structured returns a value of a location's metadata.
func structured(l glance.Location, name string) any {
	raw, ok := l.Structured[name]
	if !ok {
		return l.Metadata[name]
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return l.Metadata[name]
	}
	return v
}

func appendLocations(b []byte, locations []glance.Location) []byte {
	all := make(list, 0, len(locations))
	for _, l := range locations {
		metadata := make(object, 0, len(l.Metadata))
		for _, name := range slices.Sorted(maps.Keys(l.Metadata)) {
			metadata = append(metadata, member{name, structured(l, name)})
		}
		all = append(all, object{{"url", l.URL}, {"metadata", metadata}})
	}
	return appendJSON(b, all)
}
