package apiv2

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// Metadefs are the handlers of metadata definitions.
type metadefs struct {
	definitions            *metadef.Definitions
	limitDefault, limitMax int
}

func (m *metadefs) routes() []route {
	all := m.schemaRoutes()
	namespace := namespacesPath + "/{namespace}"
	return append(all, []route{
		{"/v2/metadefs/resource_types", []method{{"GET", false, m.listResourceTypes}}},
		{namespace + "/resource_types", []method{
			{"GET", false, m.listAssociations},
			{"POST", true, m.associate},
		}},
		{namespace + "/resource_types/{name}", []method{{"DELETE", false, removalOf(m.definitions.Dissociate)}}},
		{namespacesPath, []method{
			{"GET", false, m.listNamespaces},
			{"POST", true, m.createNamespace},
		}},
		{namespace, []method{
			{"GET", false, m.showNamespace},
			{"PUT", true, m.updateNamespace},
			{"DELETE", false, removal(m.definitions.Delete)},
		}},
		{namespace + "/properties", []method{
			{"GET", false, m.listProperties},
			{"POST", true, m.addProperty},
			{"DELETE", false, removal(m.definitions.RemoveProperties)},
		}},
		{namespace + "/properties/{name}", []method{
			{"GET", false, m.showProperty},
			{"PUT", true, m.setProperty},
			{"DELETE", false, removalOf(m.definitions.RemoveProperty)},
		}},
		{namespace + "/objects", []method{
			{"GET", false, m.listObjects},
			{"POST", true, m.addObject},
			{"DELETE", false, removal(m.definitions.RemoveObjects)},
		}},
		{namespace + "/objects/{name}", []method{
			{"GET", false, m.showObject},
			{"PUT", true, m.setObject},
			{"DELETE", false, removalOf(m.definitions.RemoveObject)},
		}},
		{namespace + "/tags", []method{
			{"GET", false, m.listTags},
			{"POST", true, m.addTags},
			{"DELETE", false, removal(m.definitions.RemoveTags)},
		}},
		{namespace + "/tags/{name}", []method{
			{"GET", false, m.showTag},
			{"POST", false, m.addTag},
			{"PUT", true, m.setTag},
			{"DELETE", false, removalOf(m.definitions.RemoveTag)},
		}},
	}...)
}

func (m *metadefs) schemaRoutes() []route {
	var all []route
	for _, s := range []struct {
		name   string
		schema func() object
	}{
		{"namespace", namespaceSchema},
		{"namespaces", listSchema("namespaces", namespaceSchema)},
		{"resource_type", resourceTypeSchema},
		{"resource_types", listSchema("resource_type_associations", resourceTypeSchema)},
		{"property", propertySchema},
		{"properties", mapSchema("properties", namelessSchema)},
		{"object", objectSchema},
		{"objects", listSchema("objects", objectSchema)},
		{"tag", tagSchema},
		{"tags", listSchema("tags", tagSchema)},
	} {
		all = append(all, route{metadefSchemaPath + s.name, []method{{"GET", false, func(w http.ResponseWriter, _ *http.Request) error {
			return replyObject(w, http.StatusOK, s.schema())
		}}}})
	}
	return all
}

func replyObject(w http.ResponseWriter, code int, doc object) error {
	return reply(w, code, appendJSON(nil, doc))
}

// removal is the handler of a removal that needs to know the namespace only.
func removal(remove func(ctx context.Context, namespace string) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := remove(r.Context(), r.PathValue("namespace")); err != nil {
			return err
		}
		return done(w)
	}
}

// removalOf is the handler of the removal of something in a namespace.
func removalOf(remove func(ctx context.Context, namespace, name string) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := remove(r.Context(), r.PathValue("namespace"), r.PathValue("name")); err != nil {
			return err
		}
		return done(w)
	}
}

// lastValues returns the parameters of a request. Of one that is there several
// times, the last value counts.
func lastValues(r *http.Request) (params []param, values map[string]string, err error) {
	all, err := parseParams(r.URL.RawQuery)
	if err != nil {
		return nil, nil, err
	}
	values = make(map[string]string, len(all))
	for _, p := range all {
		if _, again := values[p.name]; !again {
			params = append(params, p)
		}
		values[p.name] = p.value
	}
	for i := range params {
		params[i].value = values[params[i].name]
	}
	return params, values, nil
}

// checkVisibility refuses a filter that names no visibility.
func checkVisibility(values map[string]string, choices ...string) error {
	if v := values["visibility"]; v != "" && !slices.Contains(choices, v) {
		return bad("Invalid visibility value: %s", v)
	}
	return nil
}

// parseOrder reads sort_key and sort_dir; the first of keys is the default.
func parseOrder(values map[string]string, keys []metadef.SortKey) (key metadef.SortKey, ascending bool, err error) {
	dir, ok := values["sort_dir"]
	if ok && dir != "asc" && dir != "desc" {
		return "", false, bad("Invalid sort direction: %s", dir)
	}
	key = keys[0]
	if k, ok := values["sort_key"]; ok {
		key = metadef.SortKey(k)
	}
	if !slices.Contains(keys, key) {
		return "", false, bad("Invalid sort key: %s. It must be one of the following: %s.", key, strings.ReplaceAll(strings.Trim(fmt.Sprint(keys), "[]"), " ", ", "))
	}
	return key, dir == "asc", nil
}

func (m *metadefs) listNamespaces(w http.ResponseWriter, r *http.Request) error {
	params, values, err := lastValues(r)
	if err != nil {
		return err
	}
	q := metadef.Query{Marker: values["marker"], Limit: min(m.limitDefault, m.limitMax)}
	if limit, ok := values["limit"]; ok {
		if q.Limit, err = parseCount(limit); err != nil {
			return err
		}
		q.Limit = min(q.Limit, m.limitMax)
	}
	if q.Sort, q.Ascending, err = parseOrder(values, metadef.SortKeys); err != nil {
		return err
	}
	if err := checkVisibility(values, "public", "private"); err != nil {
		return err
	}
	if v, ok := values["visibility"]; ok {
		visibility := glance.Visibility(v)
		q.Visibility = &visibility
	}
	if types, ok := values["resource_types"]; ok {
		q.ResourceTypes = strings.Split(types, ",")
	}
	page, more, err := m.definitions.List(r.Context(), q)
	if err != nil {
		return err
	}
	all := make(list, 0, len(page))
	for _, ns := range page {
		all = append(all, namespaceDocument(ns))
	}
	params = slices.DeleteFunc(params, func(p param) bool { return p.name == "marker" })
	doc := object{{"namespaces", all}}
	if more {
		doc = append(doc, member{"next", pageLink(namespacesPath, params, page[len(page)-1].Name)})
	}
	return replyObject(w, http.StatusOK, append(doc, object{
		{"schema", metadefSchemaPath + "namespaces"},
		{"first", pageLink(namespacesPath, params, "")},
	}...))
}

func (m *metadefs) createNamespace(w http.ResponseWriter, r *http.Request) error {
	ns, err := readNamespace(r)
	if err != nil {
		return err
	}
	if err := m.definitions.Create(r.Context(), ns); err != nil {
		return err
	}
	w.Header().Set("Location", base(r)+escaped(namespacesPath+"/"+ns.Name))
	return replyObject(w, http.StatusCreated, namespaceDocument(ns))
}

func (m *metadefs) showNamespace(w http.ResponseWriter, r *http.Request) error {
	_, values, err := lastValues(r)
	if err != nil {
		return err
	}
	if err := checkVisibility(values, "public", "private"); err != nil {
		return err
	}
	ns, err := m.definitions.Show(r.Context(), r.PathValue("namespace"))
	if err != nil {
		return err
	}
	if resourceType := values["resource_type"]; resourceType != "" {
		ns = ns.For(resourceType)
	}
	shown := *ns
	shown.Tags = ns.SortTags(metadef.TagQuery{})
	return replyObject(w, http.StatusOK, namespaceDocument(&shown))
}

func (m *metadefs) updateNamespace(w http.ResponseWriter, r *http.Request) error {
	to, err := readNamespace(r)
	if err != nil {
		return err
	}
	ns, err := m.definitions.Update(r.Context(), r.PathValue("namespace"), to)
	if err != nil {
		return err
	}
	self := *ns
	self.Associations, self.Properties, self.Objects, self.Tags = nil, nil, nil, nil
	return replyObject(w, http.StatusOK, namespaceDocument(&self))
}

func (m *metadefs) listResourceTypes(w http.ResponseWriter, r *http.Request) error {
	types, err := m.definitions.ResourceTypes(r.Context())
	if err != nil {
		return err
	}
	all := make(list, 0, len(types))
	for i := range types {
		doc := object{{"name", types[i].Name}}
		doc.addTimes(&types[i].Entry)
		all = append(all, doc)
	}
	return replyObject(w, http.StatusOK, object{{"resource_types", all}})
}

func (m *metadefs) listAssociations(w http.ResponseWriter, r *http.Request) error {
	associations, err := m.definitions.Associations(r.Context(), r.PathValue("namespace"))
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusOK, object{{"resource_type_associations", associationDocuments(associations)}})
}

func (m *metadefs) associate(w http.ResponseWriter, r *http.Request) error {
	doc, err := readDefinition(r, resourceTypeSchema(), "created_at", "updated_at")
	if err != nil {
		return err
	}
	a, err := m.definitions.Associate(r.Context(), r.PathValue("namespace"), parseAssociation(doc))
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusCreated, associationDocument(a))
}

func (m *metadefs) listProperties(w http.ResponseWriter, r *http.Request) error {
	properties, err := m.definitions.Properties(r.Context(), r.PathValue("namespace"))
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusOK, object{{"properties", propertyDocuments(properties)}})
}

func (m *metadefs) showProperty(w http.ResponseWriter, r *http.Request) error {
	_, values, err := lastValues(r)
	if err != nil {
		return err
	}
	p, err := m.definitions.Property(r.Context(), r.PathValue("namespace"), r.PathValue("name"), values["resource_type"])
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusOK, propertyDocument(p))
}

func (m *metadefs) addProperty(w http.ResponseWriter, r *http.Request) error {
	p, err := readProperty(r)
	if err != nil {
		return err
	}
	p, err = m.definitions.AddProperty(r.Context(), r.PathValue("namespace"), p)
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusCreated, propertyDocument(p))
}

func (m *metadefs) setProperty(w http.ResponseWriter, r *http.Request) error {
	p, err := readProperty(r)
	if err != nil {
		return err
	}
	p, err = m.definitions.SetProperty(r.Context(), r.PathValue("namespace"), r.PathValue("name"), p)
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusOK, propertyDocument(p))
}

// listObjects lists all objects. Like OpenStack Glance it checks the parameters
// of a page and makes none.
func (m *metadefs) listObjects(w http.ResponseWriter, r *http.Request) error {
	_, values, err := lastValues(r)
	if err != nil {
		return err
	}
	if limit, ok := values["limit"]; ok {
		if n, err := parseCount(limit); err != nil {
			return err
		} else if n == 0 {
			return bad("limit param must be positive")
		}
	}
	if dir, ok := values["sort_dir"]; ok && dir != "asc" && dir != "desc" {
		return bad("Invalid sort direction: %s", dir)
	}
	if err := checkVisibility(values, "public", "private", "shared"); err != nil {
		return err
	}
	namespace := r.PathValue("namespace")
	objects, err := m.definitions.Objects(r.Context(), namespace)
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusOK, object{
		{"objects", objectDocuments(namespace, objects)},
		{"schema", strings.TrimPrefix(metadefSchemaPath+"objects", "/")}, // as clients have always seen it
	})
}

func (m *metadefs) showObject(w http.ResponseWriter, r *http.Request) error {
	namespace := r.PathValue("namespace")
	o, err := m.definitions.Object(r.Context(), namespace, r.PathValue("name"))
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusOK, objectDocument(namespace, o))
}

func (m *metadefs) addObject(w http.ResponseWriter, r *http.Request) error {
	o, err := readObject(r)
	if err != nil {
		return err
	}
	namespace := r.PathValue("namespace")
	if err := m.definitions.AddObject(r.Context(), namespace, o); err != nil {
		return err
	}
	return replyObject(w, http.StatusCreated, objectDocument(namespace, o))
}

func (m *metadefs) setObject(w http.ResponseWriter, r *http.Request) error {
	o, err := readObject(r)
	if err != nil {
		return err
	}
	namespace := r.PathValue("namespace")
	if err := m.definitions.SetObject(r.Context(), namespace, r.PathValue("name"), o); err != nil {
		return err
	}
	return replyObject(w, http.StatusOK, objectDocument(namespace, o))
}

func (m *metadefs) listTags(w http.ResponseWriter, r *http.Request) error {
	_, values, err := lastValues(r)
	if err != nil {
		return err
	}
	q := metadef.TagQuery{Marker: values["marker"]}
	if limit := values["limit"]; limit != "" {
		n, err := parseCount(limit)
		if err != nil {
			return err
		}
		q.Limit = &n
	}
	if q.Sort, q.Ascending, err = parseOrder(values, metadef.TagSortKeys); err != nil {
		return err
	}
	if err := checkVisibility(values, "public", "private", "shared"); err != nil {
		return err
	}
	tags, err := m.definitions.Tags(r.Context(), r.PathValue("namespace"), q)
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusOK, object{{"tags", tagDocuments(tags)}})
}

func (m *metadefs) showTag(w http.ResponseWriter, r *http.Request) error {
	t, err := m.definitions.Tag(r.Context(), r.PathValue("namespace"), r.PathValue("name"))
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusOK, tagDocument(t))
}

func (m *metadefs) addTag(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if _, err := validateBody(tagSchema(), map[string]any{"name": name}); err != nil {
		return err
	}
	t, err := m.definitions.AddTag(r.Context(), r.PathValue("namespace"), name)
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusCreated, tagDocument(t))
}

// addTags adds tags or, unless the request says otherwise, puts them in the
// place of those that are there.
func (m *metadefs) addTags(w http.ResponseWriter, r *http.Request) error {
	doc, err := readDefinition(r, newTagsSchema(), "created_at", "updated_at")
	if err != nil {
		return err
	}
	tags, _ := doc["tags"].(list)
	names := make([]string, 0, len(tags))
	shown := make(list, 0, len(tags))
	for _, t := range tags {
		name := str(t.(map[string]any), "name")
		names = append(names, name)
		shown = append(shown, object{{"name", name}})
	}
	keep := slices.Contains([]string{"1", "t", "true", "on", "y", "yes"}, strings.ToLower(strings.TrimSpace(r.Header.Get("X-Openstack-Append"))))
	if err := m.definitions.AddTags(r.Context(), r.PathValue("namespace"), names, keep); err != nil {
		return err
	}
	return replyObject(w, http.StatusCreated, object{{"tags", shown}})
}

func (m *metadefs) setTag(w http.ResponseWriter, r *http.Request) error {
	doc, err := readDefinition(r, tagSchema(), "created_at", "updated_at")
	if err != nil {
		return err
	}
	t, err := m.definitions.SetTag(r.Context(), r.PathValue("namespace"), r.PathValue("name"), str(doc, "name"))
	if err != nil {
		return err
	}
	return replyObject(w, http.StatusOK, tagDocument(t))
}

func sortedNames[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
