package apiv2

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
)

// ParseImageSchema reads the JSON of a schema-image.json: what a site says of
// custom properties, by their names, alone or as the member "properties". Of a
// property its type, description, pattern, maxLength and enum are understood;
// anything else is an error.
func ParseImageSchema(text []byte) ([]Property, error) {
	var file map[string]json.RawMessage
	if err := strictly(text, &file); err != nil {
		return nil, err
	}
	if inner, ok := file["properties"]; ok {
		file = nil
		if err := strictly(inner, &file); err != nil {
			return nil, fmt.Errorf("properties: %w", err)
		}
	}
	var all []Property
	for _, name := range slices.Sorted(maps.Keys(file)) {
		p, err := parseProperty(name, file[name])
		if err != nil {
			return nil, fmt.Errorf("property %s: %w", name, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// A Property is what a schema says of a custom property.
type Property struct{ property }

func parseProperty(name string, text json.RawMessage) (Property, error) {
	var raw struct {
		Type        json.RawMessage `json:"type"`
		Description string          `json:"description"`
		Pattern     string          `json:"pattern"`
		MaxLength   int             `json:"maxLength"`
		Enum        []*string       `json:"enum"`
		IsBase      bool            `json:"is_base"` // what it is, it is not
	}
	if err := strictly(text, &raw); err != nil {
		return Property{}, err
	}
	p := property{name: name, custom: true, description: raw.Description, pattern: raw.Pattern, maxLength: raw.MaxLength}
	var one string
	var err error
	if json.Unmarshal(raw.Type, &one) == nil {
		p.types = []string{one}
	} else {
		err = json.Unmarshal(raw.Type, &p.types)
	}
	if err != nil || !slices.Contains(p.types, "string") || slices.ContainsFunc(p.types, func(t string) bool { return t != "string" && t != "null" }) {
		return Property{}, errors.New("type: must be \"string\", or that and \"null\": all properties are text")
	}
	slices.Sort(p.types)
	if _, err := regexp.Compile(p.pattern); err != nil {
		return Property{}, fmt.Errorf("pattern: %w", err)
	}
	for _, v := range raw.Enum {
		if v != nil {
			p.enum = append(p.enum, *v)
		}
	}
	return Property{p}, nil
}

func strictly(text []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something behind the JSON object")
	}
	return nil
}

// shippedProperties are what a Glance says of custom properties if its site
// changed nothing.
func shippedProperties() []Property {
	image := func(name, description string) Property {
		return Property{property{name: name, types: optionalText, custom: true, description: description, pattern: uuidPattern}}
	}
	plain := func(name, description string, choices ...string) Property {
		return Property{property{name: name, types: text, custom: true, description: description, enum: choices}}
	}
	return []Property{
		image("kernel_id", "Image with the kernel that a machine of this AMI boots"),
		image("ramdisk_id", "Image with the initial RAM disk that a machine of this AMI boots"),
		plain("instance_uuid", "Instance that the image was made of or belongs to"),
		plain("architecture", "Architecture of the machines that the operating system is for"),
		plain("os_distro", "Name of the distribution"),
		plain("os_version", "Version of the distribution, as its makers call it"),
		plain("description", "What the image is, for people"),
		plain("cinder_encryption_key_id", "Key that volumes made of the image are encrypted with"),
		plain("cinder_encryption_key_deletion_policy", "Whether that key goes with the image", "on_image_deletion", "do_not_delete"),
	}
}

// nullable says whether a custom property may be null. Without a value it is
// kept as empty text.
func (a *API) nullable(name string) bool {
	return slices.ContainsFunc(a.custom, func(p Property) bool { return p.name == name && p.types[0] == "null" })
}
