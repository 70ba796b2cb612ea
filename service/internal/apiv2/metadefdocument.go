package apiv2

import (
	"net/url"
	"time"

	"glancectl/service/glance/metadef"
)

const (
	namespacesPath    = "/v2/metadefs/namespaces"
	metadefSchemaPath = "/v2/schemas/metadefs/"
)

// add appends a member unless it was never set. Metadata definitions, other
// than images, are shown without their nulls.
func (o *object) add(name string, value *string) {
	if value != nil {
		*o = append(*o, member{name, *value})
	}
}

// addTimes appends the times of an entry; one that has just been sent has none.
func (o *object) addTimes(e *metadef.Entry) {
	for _, t := range []struct {
		name string
		time time.Time
	}{{"created_at", e.CreatedAt}, {"updated_at", e.UpdatedAt}} {
		if !t.time.IsZero() {
			*o = append(*o, member{t.name, timestamp(t.time)})
		}
	}
}

// namespaceDocument returns ns with what it holds.
func namespaceDocument(ns *metadef.Namespace) object {
	doc := object{{"namespace", ns.Name}}
	doc.add("display_name", ns.DisplayName)
	doc.add("description", ns.Description)
	doc = append(doc, object{{"visibility", string(ns.Visibility)}, {"protected", ns.Protected}, {"owner", ns.Owner}}...)
	doc.addTimes(&ns.Entry)
	if len(ns.Associations) > 0 {
		doc = append(doc, member{"resource_type_associations", associationDocuments(ns.Associations)})
	}
	if len(ns.Properties) > 0 {
		doc = append(doc, member{"properties", propertyDocuments(ns.Properties)})
	}
	if len(ns.Objects) > 0 {
		doc = append(doc, member{"objects", objectDocuments(ns.Name, ns.Objects)})
	}
	if len(ns.Tags) > 0 {
		doc = append(doc, member{"tags", tagDocuments(ns.Tags)})
	}
	return append(doc, object{{"self", namespacesPath + "/" + ns.Name}, {"schema", metadefSchemaPath + "namespace"}}...)
}

func associationDocuments(associations []*metadef.Association) list {
	all := make(list, 0, len(associations))
	for _, a := range associations {
		all = append(all, associationDocument(a))
	}
	return all
}

func associationDocument(a *metadef.Association) object {
	doc := object{{"name", a.Name}}
	doc.add("prefix", a.Prefix)
	doc.add("properties_target", a.PropertiesTarget)
	doc.addTimes(&a.Entry)
	return doc
}

func propertyDocuments(properties []*metadef.Property) object {
	all := make(object, 0, len(properties))
	for _, p := range properties {
		all = append(all, member{p.Name, schemaDocument(p.Schema)})
	}
	return all
}

// propertyDocument is a property by itself, which has its name in it.
func propertyDocument(p *metadef.Property) object {
	doc := object{{"name", p.Name}}
	for _, m := range schemaDocument(p.Schema) {
		if m.name != "name" {
			doc = append(doc, m)
		}
	}
	return doc
}

func schemaDocument(s metadef.Schema) object {
	doc := make(object, 0, len(s))
	for _, keyword := range metadef.Keywords {
		v, ok := s[keyword]
		if items, isMap := v.(map[string]any); isMap && keyword == "items" {
			v = itemsDocument(items)
		}
		if ok {
			doc = append(doc, member{keyword, v})
		}
	}
	return doc
}

func itemsDocument(items map[string]any) object {
	var doc object
	for _, keyword := range metadef.ItemKeywords {
		if v, ok := items[keyword]; ok {
			doc = append(doc, member{keyword, v})
		}
	}
	return doc
}

func objectDocuments(namespace string, objects []*metadef.Object) list {
	all := make(list, 0, len(objects))
	for _, o := range objects {
		all = append(all, objectDocument(namespace, o))
	}
	return all
}

// objectDocument returns an object; one that has just been sent shows what was
// sent and no more.
func objectDocument(namespace string, o *metadef.Object) object {
	doc := object{{"name", o.Name}}
	if o.Required != nil {
		doc = append(doc, member{"required", o.Required})
	}
	doc.add("description", o.Description)
	if o.Properties != nil {
		properties := make(object, 0, len(o.Properties))
		for _, name := range sortedNames(o.Properties) {
			properties = append(properties, member{name, schemaDocument(o.Properties[name])})
		}
		doc = append(doc, member{"properties", properties})
	}
	if o.CreatedAt.IsZero() {
		return doc
	}
	doc.addTimes(&o.Entry)
	return append(doc, object{{"self", namespacesPath + "/" + namespace + "/objects/" + o.Name}, {"schema", metadefSchemaPath + "object"}}...)
}

func tagDocuments(tags []*metadef.Tag) list {
	all := make(list, 0, len(tags))
	for _, t := range tags {
		all = append(all, object{{"name", t.Name}})
	}
	return all
}

func tagDocument(t *metadef.Tag) object {
	doc := object{{"name", t.Name}}
	doc.addTimes(&t.Entry)
	return doc
}

// escaped returns a path as it stands in a header: names may have any
// character in them.
func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }
