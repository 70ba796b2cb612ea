package apiv2

import (
	"net/http"
)

// A property is one base attribute of a schema. What is served to clients
// and what their values are checked against is the same table.
type property struct {
	name        string
	types       []string // as JSON schema names them; null first, if it may be
	readOnly    bool
	description string
	pattern     string
	maxLength   int
	enum        []string
	items       *property // of an array
	custom      bool      // no base attribute, but a property that a site knows of
}

const uuidPattern = `^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$`

var (
	text           = []string{"string"}
	optionalText   = []string{"null", "string"}
	optionalNumber = []string{"null", "integer"}
	number         = []string{"integer"}
	truth          = []string{"boolean"}
	array          = []string{"array"}
)

var (
	statuses     = []string{"queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated"}
	visibilities = []string{"community", "public", "private", "shared"}
)

// imageProperties returns the base attributes of an image.
func imageProperties(diskFormats, containerFormats []string) []property {
	return []property{
		{name: "id", types: text, description: "UUID of the image", pattern: uuidPattern},
		{name: "name", types: optionalText, description: "What people call the image", maxLength: 255},
		{name: "status", types: text, readOnly: true, description: "Where the image is in its life", enum: statuses},
		{name: "visibility", types: text, description: "Who can see the image", enum: visibilities},
		{name: "protected", types: truth, description: "Whether the image is safe from deletion"},
		{name: "os_hidden", types: truth, description: "Whether plain lists leave the image out"},
		{name: "checksum", types: optionalText, readOnly: true, description: "MD5 of the data, in hex", maxLength: 32},
		{name: "os_hash_algo", types: optionalText, readOnly: true, description: "How os_hash_value was computed", maxLength: 64},
		{name: "os_hash_value", types: optionalText, readOnly: true, description: "Digest of the data, in hex", maxLength: 128},
		{name: "owner", types: optionalText, description: "Project that the image belongs to", maxLength: 255},
		{name: "size", types: optionalNumber, readOnly: true, description: "Bytes of data"},
		{name: "virtual_size", types: optionalNumber, readOnly: true, description: "Bytes of the disk that the data describes"},
		{name: "container_format", types: optionalText, description: "What the disk is wrapped in", enum: containerFormats},
		{name: "disk_format", types: optionalText, description: "Format of the disk", enum: diskFormats},
		{name: "created_at", types: text, readOnly: true, description: "When the image was registered"},
		{name: "updated_at", types: text, readOnly: true, description: "When the image was last changed"},
		{name: "tags", types: array, description: "Labels to find the image by", items: &property{types: text, maxLength: 255}},
		{name: "direct_url", types: text, readOnly: true, description: "Where the data is kept"},
		{name: "min_ram", types: number, description: "MiB of memory that the image needs to boot"},
		{name: "min_disk", types: number, description: "GiB of disk that the image needs to boot"},
		{name: "self", types: text, readOnly: true, description: "Path of this document"},
		{name: "file", types: text, readOnly: true, description: "Path of the data"},
		{name: "stores", types: text, readOnly: true, description: "Stores that have the data, separated by commas; only with several stores"},
		{name: "schema", types: text, readOnly: true, description: "Path of this schema"},
		{name: "locations", types: array, description: "Where the data is kept"},
	}
}

// document returns the property as the schema shows it.
func (p property) document() object {
	doc := object{{"type", p.types[0]}}
	if len(p.types) > 1 {
		doc[0].value = p.types
	}
	if p.name == "locations" {
		doc = append(doc, member{"items", locationItems()})
	}
	if p.readOnly {
		doc = append(doc, member{"readOnly", true})
	}
	if p.description != "" {
		doc = append(doc, member{"description", p.description})
	}
	if p.pattern != "" {
		doc = append(doc, member{"pattern", p.pattern})
	}
	if p.maxLength > 0 {
		doc = append(doc, member{"maxLength", p.maxLength})
	}
	if p.enum != nil {
		doc = append(doc, member{"enum", p.choices()})
	}
	if p.items != nil {
		doc = append(doc, member{"items", p.items.document()})
	}
	if p.custom {
		doc = append(doc, member{"is_base", false})
	}
	return doc
}

// choices returns the enum, with null in front if the property may be null.
func (p property) choices() list {
	var all list
	if p.types[0] == "null" {
		all = append(all, nil)
	}
	for _, v := range p.enum {
		all = append(all, v)
	}
	return all
}

func locationItems() object {
	return object{
		{"type", "object"},
		{"properties", object{
			{"url", object{{"type", "string"}, {"maxLength", 255}}},
			{"metadata", object{{"type", "object"}}},
			{"validation_data", object{
				{"description", "What the data must be; of an image that has data already, what it is"},
				{"type", "object"},
				{"writeOnly", true},
				{"additionalProperties", false},
				{"properties", object{
					{"checksum", object{{"type", "string"}, {"minLength", 32}, {"maxLength", 32}}},
					{"os_hash_algo", object{{"type", "string"}, {"maxLength", 64}}},
					{"os_hash_value", object{{"type", "string"}, {"maxLength", 128}}},
				}},
				{"required", []string{"os_hash_algo", "os_hash_value"}},
			}},
		}},
		{"required", []string{"url", "metadata"}},
	}
}

func (a *API) imageSchema() object {
	properties := make(object, 0, len(a.properties))
	for _, p := range a.properties {
		properties = append(properties, member{p.name, p.document()})
	}
	for _, p := range a.custom {
		properties = append(properties, member{p.name, p.document()})
	}
	return object{
		{"name", "image"},
		{"properties", properties},
		{"additionalProperties", object{{"type", "string"}}},
		{"links", list{link("self", "{self}"), link("enclosure", "{file}"), link("describedby", "{schema}")}},
	}
}

func (a *API) imagesSchema() object {
	plainText := object{{"type", "string"}}
	return object{
		{"name", "images"},
		{"properties", object{
			{"images", object{{"type", "array"}, {"items", a.imageSchema()}}},
			{"first", plainText},
			{"next", plainText},
			{"schema", plainText},
		}},
		{"links", list{link("first", "{first}"), link("next", "{next}"), link("describedby", "{schema}")}},
	}
}

func memberSchema() object {
	return object{
		{"name", "member"},
		{"properties", object{
			{"member_id", object{{"type", "string"}, {"description", "Project that the image is shared with"}}},
			{"image_id", property{types: text, description: "UUID of the image", pattern: uuidPattern}.document()},
			{"created_at", object{{"type", "string"}, {"description", "When the image was shared"}}},
			{"updated_at", object{{"type", "string"}, {"description", "When this record was last changed"}}},
			{"status", property{types: text, description: "What the project answered", enum: []string{"pending", "accepted", "rejected"}}.document()},
			{"schema", object{{"readOnly", true}, {"type", "string"}}},
		}},
	}
}

func membersSchema() object {
	return object{
		{"name", "members"},
		{"properties", object{
			{"members", object{{"type", "array"}, {"items", memberSchema()}}},
			{"schema", object{{"type", "string"}}},
		}},
		{"links", list{link("describedby", "{schema}")}},
	}
}

func link(rel, href string) object { return object{{"rel", rel}, {"href", href}} }

func (a *API) showSchema(schema func() object) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return reply(w, http.StatusOK, appendJSON(nil, schema()))
	}
}
