package apiv2

import (
	"net/http"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// readDefinition reads a body that must match schema and say nothing of what
// only the service sets.
func readDefinition(r *http.Request, schema object, readOnly ...string) (map[string]any, error) {
	body, err := readJSON(r)
	if err != nil {
		return nil, err
	}
	if doc, ok := body.(map[string]any); ok {
		if err := refuseAny(doc, readOnly, "Attribute '%s' is read-only."); err != nil {
			return nil, err
		}
	}
	return validateBody(schema, body)
}

// readNamespace reads a namespace with what it holds.
func readNamespace(r *http.Request) (*metadef.Namespace, error) {
	doc, err := readDefinition(r, namespaceSchema(), "self", "schema", "created_at", "updated_at")
	if err != nil {
		return nil, err
	}
	ns := &metadef.Namespace{
		Entry:       metadef.Entry{Name: str(doc, "namespace")},
		DisplayName: pointer(doc, "display_name"),
		Description: pointer(doc, "description"),
		Visibility:  glance.Visibility(str(doc, "visibility")),
		Owner:       str(doc, "owner"),
	}
	ns.Protected, _ = doc["protected"].(bool)
	for _, a := range members(doc, "resource_type_associations") {
		ns.Associations = append(ns.Associations, parseAssociation(a))
	}
	schemas, err := parseSchemas(doc)
	if err != nil {
		return nil, err
	}
	for _, name := range sortedNames(schemas) {
		ns.Properties = append(ns.Properties, &metadef.Property{Entry: metadef.Entry{Name: name}, Schema: schemas[name]})
	}
	for _, o := range members(doc, "objects") {
		object, err := parseObject(o)
		if err != nil {
			return nil, err
		}
		ns.Objects = append(ns.Objects, object)
	}
	for _, t := range members(doc, "tags") {
		ns.Tags = append(ns.Tags, &metadef.Tag{Entry: metadef.Entry{Name: str(t, "name")}})
	}
	return ns, nil
}

// members returns the objects in an array, which the schema has let through.
func members(doc map[string]any, name string) []map[string]any {
	array, _ := doc[name].(list)
	all := make([]map[string]any, 0, len(array))
	for _, e := range array {
		if m, ok := e.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

func parseAssociation(doc map[string]any) *metadef.Association {
	return &metadef.Association{
		Entry:            metadef.Entry{Name: str(doc, "name")},
		Prefix:           pointer(doc, "prefix"),
		PropertiesTarget: pointer(doc, "properties_target"),
	}
}

// readObject reads an object.
func readObject(r *http.Request) (*metadef.Object, error) {
	doc, err := readDefinition(r, objectSchema(), "self", "schema", "created_at", "updated_at")
	if err != nil {
		return nil, err
	}
	properties, _ := doc["properties"].(map[string]any)
	for _, name := range sortedNames(properties) {
		if _, err := validateBody(namelessSchema(), properties[name]); err != nil {
			return nil, err
		}
	}
	return parseObject(doc)
}

func parseObject(doc map[string]any) (*metadef.Object, error) {
	o := &metadef.Object{Entry: metadef.Entry{Name: str(doc, "name")}, Description: pointer(doc, "description")}
	if required, ok := doc["required"].(list); ok {
		o.Required = texts(required)
	}
	var err error
	o.Properties, err = parseSchemas(doc)
	return o, err
}

// parseSchemas reads the properties in doc; nil if it has no such member.
func parseSchemas(doc map[string]any) (map[string]metadef.Schema, error) {
	properties, ok := doc["properties"].(map[string]any)
	if !ok {
		return nil, nil
	}
	schemas := make(map[string]metadef.Schema, len(properties))
	for _, name := range sortedNames(properties) {
		property, _ := properties[name].(map[string]any)
		s, err := parseSchema(name, property)
		if err != nil {
			return nil, err
		}
		schemas[name] = s
	}
	return schemas, nil
}

func parseSchema(name string, doc map[string]any) (metadef.Schema, error) {
	plain, _ := unlist(doc).(map[string]any)
	s, err := metadef.ParseSchema(plain)
	if err != nil {
		return nil, bad("Invalid definition of property %s: %v", name, err)
	}
	return s, nil
}

// readProperty reads a property with its name.
func readProperty(r *http.Request) (*metadef.Property, error) {
	doc, err := readDefinition(r, propertySchema(), "created_at", "updated_at")
	if err != nil {
		return nil, err
	}
	name := str(doc, "name")
	s, err := parseSchema(name, doc)
	return &metadef.Property{Entry: metadef.Entry{Name: name}, Schema: s}, err
}

// unlist gives arrays back the type that encoding/json makes.
func unlist(v any) any {
	switch v := v.(type) {
	case list:
		plain := make([]any, len(v))
		for i, e := range v {
			plain[i] = unlist(e)
		}
		return plain
	case map[string]any:
		plain := make(map[string]any, len(v))
		for name, e := range v {
			plain[name] = unlist(e)
		}
		return plain
	}
	return v
}
