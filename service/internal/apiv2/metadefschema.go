package apiv2

// What is served to clients and what their requests are checked against are
// the same schemas.

func textSchema(more ...member) object {
	return append(object{{"type", "string"}}, more...)
}

func about(text string) member { return member{"description", text} }

func reference(definition string) object { return object{{"$ref", "#/definitions/" + definition}} }

func arrayOf(items object, more ...member) object {
	return append(object{{"type", "array"}, {"items", items}}, more...)
}

// shown is an attribute that clients only see.
func shown(more ...member) object {
	return append(object{{"type", "string"}, {"readOnly", true}}, more...)
}

var (
	maxName    = member{"maxLength", 80}
	dateTime   = member{"format", "date-time"}
	path       = object{{"readOnly", true}, {"type", "string"}}
	valueTypes = list{"array", "boolean", "integer", "number", "object", "string", nil}
)

// times are the times of a thing of that name.
func times(thing string) object {
	return object{
		{"created_at", shown(about("When the "+thing+" was made"), dateTime)},
		{"updated_at", shown(about("When the "+thing+" was last changed"), dateTime)},
	}
}

// schemaDefinitions are the parts that schemas refer to. A stringArray has at
// least so many elements.
func schemaDefinitions(least int) object {
	texts := arrayOf(textSchema())
	if least > 0 {
		texts = append(texts, member{"minItems", least})
	}
	return object{
		{"positiveInteger", object{{"type", "integer"}, {"minimum", 0}}},
		{"positiveIntegerDefault0", object{{"allOf", list{reference("positiveInteger"), object{{"default", 0}}}}}},
		{"stringArray", append(texts, member{"uniqueItems", true})},
	}
}

// objectDefinitions are those of schemas in which properties are held.
func objectDefinitions() object {
	return append(schemaDefinitions(0), member{"property", object{
		{"type", "object"},
		{"additionalProperties", object{
			{"type", "object"},
			{"required", []string{"title", "type"}},
			{"properties", propertyKeywords()},
		}},
	}})
}

// propertyKeywords are the keywords that define a property.
func propertyKeywords() object {
	return object{
		{"name", textSchema(maxName)},
		{"title", textSchema()},
		{"description", textSchema()},
		{"operators", arrayOf(textSchema())},
		{"type", textSchema(member{"enum", valueTypes})},
		{"required", reference("stringArray")},
		{"minimum", object{{"type", "number"}}},
		{"maximum", object{{"type", "number"}}},
		{"maxLength", reference("positiveInteger")},
		{"minLength", reference("positiveIntegerDefault0")},
		{"pattern", textSchema(member{"format", "regex"})},
		{"enum", object{{"type", "array"}}},
		{"readonly", object{{"type", "boolean"}}},
		{"default", object{}},
		{"items", object{{"type", "object"}, {"properties", object{
			{"type", textSchema(member{"enum", valueTypes})},
			{"enum", object{{"type", "array"}}},
		}}}},
		{"maxItems", reference("positiveInteger")},
		{"minItems", reference("positiveIntegerDefault0")},
		{"uniqueItems", object{{"type", "boolean"}, {"default", false}}},
		{"additionalItems", object{{"type", "boolean"}}},
	}
}

func objectOf(properties object) object {
	return object{{"type", "object"}, {"properties", properties}}
}

// itemSchema is the schema of one thing. Definitions may be nil.
func itemSchema(name string, properties, definitions object, required ...string) object {
	s := object{{"name", name}, {"properties", properties}, {"additionalProperties", false}}
	if definitions != nil {
		s = append(s, member{"definitions", definitions})
	}
	return append(s, member{"required", required})
}

func namespaceSchema() object {
	properties := object{
		{"namespace", textSchema(about("Name of the namespace, unlike all others"), maxName)},
		{"display_name", textSchema(about("What people call the namespace"), maxName)},
		{"description", textSchema(about("What the namespace is for"), member{"maxLength", 500})},
		{"visibility", textSchema(about("Who can see the namespace"), member{"enum", list{"public", "private"}})},
		{"protected", object{{"type", "boolean"}, about("Whether the namespace and what it holds are safe from deletion")}},
		{"owner", textSchema(about("Project that the namespace belongs to"), member{"maxLength", 255})},
	}
	properties = append(properties, times("namespace")...)
	properties = append(properties, object{
		{"schema", path},
		{"self", path},
		{"resource_type_associations", arrayOf(objectOf(object{{"name", textSchema()}, {"prefix", textSchema()}, {"properties_target", textSchema()}}))},
		{"properties", reference("property")},
		{"objects", arrayOf(objectOf(object{
			{"name", textSchema()},
			{"description", textSchema()},
			{"required", reference("stringArray")},
			{"properties", reference("property")},
		}))},
		{"tags", arrayOf(objectOf(object{{"name", textSchema()}}))},
	}...)
	return itemSchema("namespace", properties, objectDefinitions(), "namespace")
}

func resourceTypeSchema() object {
	properties := object{
		{"name", textSchema(about("Type of resource, by the name that Heat has for it if it has one"), maxName)},
		{"prefix", textSchema(about("What stands before the names of the namespace's properties on such a resource, separator included"), maxName)},
		{"properties_target", textSchema(about("Which of the resource's sets of properties is meant, if it has several"), maxName)},
	}
	return itemSchema("resource_type_association", append(properties, times("association")...), nil, "name")
}

func propertySchema() object {
	return itemSchema("property", propertyKeywords(), schemaDefinitions(1), "type", "title", "name")
}

// namelessSchema is propertySchema where the name stands before the property.
func namelessSchema() object {
	return itemSchema("property", propertyKeywords(), schemaDefinitions(1), "type", "title")
}

func objectSchema() object {
	properties := object{
		{"name", textSchema(maxName)},
		{"description", textSchema()},
		{"required", reference("stringArray")},
		{"properties", reference("property")},
		{"schema", path},
		{"self", path},
	}
	return itemSchema("object", append(properties, times("object")...), objectDefinitions(), "name")
}

func tagSchema() object {
	return itemSchema("tag", append(object{{"name", textSchema(maxName)}}, times("tag")...), nil, "name")
}

// newTagsSchema is what several tags are added with.
func newTagsSchema() object {
	tag := append(objectOf(object{{"name", textSchema(maxName)}}), member{"required", []string{"name"}}, member{"additionalProperties", false})
	return itemSchema("tags", object{{"tags", arrayOf(tag)}}, nil, "tags")
}

// listSchema is the schema of a list of things that item describes. The
// definitions of the item become those of the list.
func listSchema(name string, item func() object) func() object {
	return collection(name, item, func(item object) object { return arrayOf(item) })
}

// mapSchema is listSchema for things that stand under their names.
func mapSchema(name string, item func() object) func() object {
	return collection(name, item, func(item object) object {
		return object{{"type", "object"}, {"additionalProperties", item}}
	})
}

func collection(name string, item func() object, of func(object) object) func() object {
	return func() object {
		var bare object
		var definitions object
		for _, m := range item() {
			if m.name == "definitions" {
				definitions = m.value.(object)
				continue
			}
			bare = append(bare, m)
		}
		s := object{
			{"name", name},
			{"properties", object{
				{name, of(bare)},
				{"first", textSchema()},
				{"next", textSchema()},
				{"schema", textSchema()},
			}},
			{"links", list{link("first", "{first}"), link("next", "{next}"), link("describedby", "{schema}")}},
		}
		if definitions != nil {
			s = append(s, member{"definitions", definitions})
		}
		return s
	}
}
