package replica

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glancectl/service/client"
)

// A field is something that an image can have otherwise than another.
type field struct {
	name     string
	text     string // as it is shown
	value    any    // as it is changed to, nil if the service alone knows it
	property bool
}

const (
	membersName = "members"
	undefined   = "undefined"
)

// A difference is a field that the target has not as the source has it.
type difference struct {
	field
	from, to string
}

// shown is how text that may be null is shown.
func shown(s string) string {
	if s == "" {
		return "None"
	}
	return s
}

// nullable is text as it is sent.
func nullable(s string) any {
	if s == "" {
		return null{}
	}
	return s
}

// null is sent for an attribute that is to have no value.
type null struct{}

// MarshalJSON implements json.Marshaler.
func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// truth is how version 1 shows whether something is so.
func truth(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// fields returns what im is like, in the order in which it is shown.
func (im *image) fields() []field {
	text := func(name, s string) field { return field{name: name, text: shown(s), value: nullable(s)} }
	number := func(name string, n int64) field { return field{name: name, text: fmt.Sprint(n), value: n} }
	list := []field{
		text("name", im.Name),
		{name: "status", text: im.Status},
		text("visibility", im.Visibility),
		text("owner", im.Owner),
		text("disk_format", im.DiskFormat),
		text("container_format", im.ContainerFormat),
		number("min_disk", im.MinDisk),
		number("min_ram", im.MinRAM),
		{name: "protected", text: truth(im.Protected), value: im.Protected},
		{name: "os_hidden", text: truth(im.Hidden), value: im.Hidden},
		{name: "tags", text: shown(strings.Join(im.Tags, ",")), value: append([]string{}, im.Tags...)},
	}
	for _, name := range slices.Sorted(maps.Keys(im.Properties)) {
		value := im.Properties[name]
		list = append(list, field{name: name, text: value, value: value, property: true})
	}
	if im.Status == active || im.Status == deactivated {
		list = append(list, field{name: "size", text: fmt.Sprint(im.Size)}, field{name: "checksum", text: shown(im.Checksum)},
			field{name: "os_hash_value", text: shown(im.HashValue)})
	}
	if im.shared {
		list = append(list, field{name: membersName, text: shown(memberText(im.members, true))})
	}
	return list
}

func memberText(members []client.Member, status bool) string {
	words := make([]string, len(members))
	for i, m := range members {
		if words[i] = m.ID; status {
			words[i] += ":" + m.Status
		}
	}
	return strings.Join(words, ",")
}

// diff returns what to has otherwise than from. What is known of one of them
// alone is no difference, but a property is.
func (c *Copier) diff(from, to *image) []difference {
	var list []difference
	there := make(map[string]field)
	for _, f := range to.fields() {
		there[key(f)] = f
	}
	for _, f := range from.fields() {
		other, ok := there[key(f)]
		delete(there, key(f))
		switch {
		case c.left(f.name, f.property), ok && other.text == f.text, !ok && !f.property, c.unlike(from, to, f.name):
		case ok:
			list = append(list, difference{f, f.text, other.text})
		default:
			list = append(list, difference{f, f.text, undefined})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(there)) {
		if f := there[k]; f.property && !c.left(f.name, true) {
			f.value = nil
			list = append(list, difference{f, undefined, f.text})
		}
	}
	return list
}

// key tells a property from an attribute of its name.
func key(f field) string { return fmt.Sprint(f.property, " ", f.name) }

// unlike says whether two images have values of a field that cannot be
// compared: checksums that one service does not make, or makes in another way,
// and what version 1 could not tell of the first.
func (c *Copier) unlike(from, to *image, name string) bool {
	switch name {
	case "tags", "os_hidden":
		return from.Version1
	case "visibility":
		return from.Version1 && from.Visibility != wordPublic && to.Visibility != wordPublic
	case membersName:
		return from.Version1 && memberText(from.members, false) == memberText(to.members, false)
	case "checksum":
		return from.Checksum == "" || to.Checksum == ""
	case "os_hash_value":
		return from.HashValue == "" || to.HashValue == "" || from.HashAlgo != to.HashAlgo
	}
	return false
}

// steps returns the changes that make differences go, as far as changes can.
func steps(differences []difference) []client.Change {
	var list []client.Change
	for _, d := range differences {
		switch {
		case d.property && d.from == undefined && d.value == nil:
			list = append(list, client.Change{Op: "remove", Name: d.name})
		case d.property:
			list = append(list, client.Change{Op: "add", Name: d.name, Value: d.value})
		case d.value != nil:
			list = append(list, client.Change{Op: "replace", Name: d.name, Value: d.value})
		}
	}
	return list
}

// has returns the difference of a name, if there is one.
func has(differences []difference, names ...string) *difference {
	for i, d := range differences {
		if !d.property && slices.Contains(names, d.name) {
			return &differences[i]
		}
	}
	return nil
}
