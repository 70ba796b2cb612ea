package registry

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// Definitions are kept by package metadef, which has the rules; here are the
// names, the rows and the exceptions that the original's database has for them.

// addMetadefs adds the commands about definitions to all.
func (h *Handler) addMetadefs(all map[string]command) {
	all["metadef_namespace_get_all"] = h.rpcNamespaces
	all["metadef_namespace_get"] = h.within("Namespace", func(_ context.Context, ns *metadef.Namespace, _ values) (any, error) {
		return namespaceRowOf(ns), nil
	})
	all["metadef_namespace_create"] = h.rpcNamespaceCreate
	all["metadef_namespace_update"] = h.rpcNamespaceUpdate
	all["metadef_namespace_delete"] = h.within("Namespace", func(ctx context.Context, ns *metadef.Namespace, _ values) (any, error) {
		return namespaceRowOf(ns), h.o.Definitions.Delete(ctx, ns.Name)
	})
	all["metadef_resource_type_get"] = h.rpcResourceType
	all["metadef_resource_type_get_all"] = h.rpcResourceTypes
	all["metadef_resource_type_create"] = h.rpcResourceTypeCreate
	all["metadef_resource_type_delete"] = h.rpcResourceTypeDelete
	const association = "ResourceTypeAssociation"
	all["metadef_resource_type_association_get"] = h.within(association, associated)
	all["metadef_resource_type_association_get_all_by_namespace"] = h.within(association, associations)
	all["metadef_resource_type_association_create"] = h.within(association, h.associate)
	all["metadef_resource_type_association_delete"] = h.within(association, h.dissociate)
	for _, k := range h.contents() {
		name := "metadef_" + k.name
		all[name+"_get_all"] = h.within(k.class, k.getAll)
		all[name+"_get"] = h.within(k.class, k.get)
		all[name+"_count"] = h.within(k.class, k.count)
		all[name+"_create"] = h.within(k.class, k.create)
		all[name+"_update"] = h.within(k.class, k.update)
		all[name+"_delete"] = h.within(k.class, k.delete)
		all[name+"_delete_namespace_content"] = h.within(k.class, k.deleteAll)
	}
	all["metadef_tag_create_tags"] = h.within("Tag", h.addTags)
}

// inNamespace is a command in a namespace that the caller can see.
type inNamespace func(ctx context.Context, ns *metadef.Namespace, args values) (any, error)

// within returns f as a command. Class is of what f is about, in exceptions.
func (h *Handler) within(class string, f inNamespace) command {
	return func(ctx context.Context, args values) (any, error) {
		name, err := args.needed("namespace_name")
		if err != nil {
			return nil, err
		}
		ns, err := h.o.Definitions.Show(ctx, name)
		if err != nil {
			return nil, undefined("Namespace", err)
		}
		result, err := f(ctx, ns, args)
		return result, undefined(class, err)
	}
}

// undefined tells an error of package metadef as the original does.
func undefined(class string, err error) error {
	r, ok := errors.AsType[*glance.Refusal](err)
	switch {
	case !ok:
		return err
	case errors.Is(err, glance.ErrNotFound):
		return raise("Metadef"+class+"NotFound", "%s", r.Message)
	case errors.Is(err, glance.ErrExists):
		return raise("MetadefDuplicate"+class, "%s", r.Message)
	case errors.Is(err, glance.ErrForbidden):
		return raise("MetadefForbidden", "%s", r.Message)
	}
	return raise("Invalid", "%s", r.Message)
}

// changed is when an entry was changed last.
func changed(e metadef.Entry) moment {
	if e.UpdatedAt.IsZero() {
		return moment(e.CreatedAt)
	}
	return moment(e.UpdatedAt)
}

type namespaceRow struct {
	ID          int64             `json:"id"`
	Namespace   string            `json:"namespace"`
	DisplayName *string           `json:"display_name"`
	Description *string           `json:"description"`
	Visibility  glance.Visibility `json:"visibility"`
	Protected   bool              `json:"protected"`
	Owner       string            `json:"owner"`
	CreatedAt   moment            `json:"created_at"`
	UpdatedAt   moment            `json:"updated_at"`
}

func namespaceRowOf(ns *metadef.Namespace) namespaceRow {
	return namespaceRow{
		ID: ns.ID, Namespace: ns.Name, DisplayName: ns.DisplayName, Description: ns.Description, Visibility: ns.Visibility,
		Protected: ns.Protected, Owner: ns.Owner, CreatedAt: moment(ns.CreatedAt), UpdatedAt: changed(ns.Entry),
	}
}

// number returns an argument by which a row is meant; 0 is no row's.
func (v values) number(name string) int64 {
	n, _, _ := integer(name, v[name], math.MaxInt64)
	return n
}

// numbered returns the namespace that a number is of.
func (h *Handler) numbered(ctx context.Context, number int64) (*metadef.Namespace, error) {
	page, _, err := h.o.Definitions.List(ctx, metadef.Query{Sort: "id", Limit: math.MaxInt32})
	if err != nil {
		return nil, undefined("Namespace", err)
	}
	at := slices.IndexFunc(page, func(ns *metadef.Namespace) bool { return ns.ID == number })
	if at < 0 {
		return nil, raise("MetadefNamespaceNotFound", "Metadata definition namespace not found for id=%d", number)
	}
	return page[at], nil
}

func (h *Handler) rpcNamespaces(ctx context.Context, args values) (any, error) {
	q := metadef.Query{
		Sort: metadef.SortKey(args.text("sort_key")), Ascending: args.text("sort_dir") == "asc",
		Limit: int(min(args.number("limit"), math.MaxInt32)),
	}
	if q.Sort != "" && !slices.Contains(metadef.SortKeys, q.Sort) {
		return nil, raise("InvalidSortKey", "Sort key supplied was not valid.")
	}
	if q.Limit == 0 {
		q.Limit = math.MaxInt32
	}
	if n := args.number("marker"); n != 0 {
		ns, err := h.numbered(ctx, n)
		if err != nil {
			return nil, err
		}
		q.Marker = ns.Name
	}
	if filters, err := args.object("filters"); err == nil {
		if v := glance.Visibility(filters.text("visibility")); v != "" {
			q.Visibility = &v
		}
		if types := filters.text("resource_types"); types != "" {
			q.ResourceTypes = strings.Split(types, ",")
		}
	}
	page, _, err := h.o.Definitions.List(ctx, q)
	if err != nil {
		return nil, undefined("Namespace", err)
	}
	rows := make([]namespaceRow, len(page))
	for i, ns := range page {
		rows[i] = namespaceRowOf(ns)
	}
	return rows, nil
}

// describe gives a namespace what v has of it.
func (v values) describe(ns *metadef.Namespace) {
	if v.has("namespace") {
		ns.Name = v.text("namespace")
	}
	for name, field := range map[string]**string{"display_name": &ns.DisplayName, "description": &ns.Description} {
		if v.has(name) {
			*field = v.nullable(name)
		}
	}
	if v.has("visibility") {
		ns.Visibility = glance.Visibility(v.text("visibility"))
	}
	if v.has("protected") {
		ns.Protected = v.truth("protected")
	}
	if v.has("owner") {
		ns.Owner = v.text("owner")
	}
}

// nullable returns an argument that is text or null.
func (v values) nullable(name string) *string {
	if s, null := plain(v[name]); !null && v.has(name) {
		return &s
	}
	return nil
}

// owned leaves it to admins to say whose a namespace is, and knows no other
// visibilities than the two that there are.
func owned(ctx context.Context, ns *metadef.Namespace, owner string) error {
	if c := glance.CallerFrom(ctx); !c.Admin {
		ns.Owner = owner
	}
	if v := ns.Visibility; v != "" && v != glance.Public && v != glance.Private {
		return raise("Invalid", "Invalid visibility value: %s", v)
	}
	return nil
}

func (h *Handler) rpcNamespaceCreate(ctx context.Context, args values) (any, error) {
	v, err := args.object("values")
	if err != nil {
		return nil, err
	}
	var ns metadef.Namespace
	v.describe(&ns)
	if err := owned(ctx, &ns, ""); err != nil {
		return nil, err
	}
	if err := h.o.Definitions.Create(ctx, &ns); err != nil {
		return nil, undefined("Namespace", err)
	}
	return namespaceRowOf(&ns), nil
}

func (h *Handler) rpcNamespaceUpdate(ctx context.Context, args values) (any, error) {
	v, err := args.object("namespace_dict")
	if err != nil {
		return nil, err
	}
	before, err := h.numbered(ctx, args.number("namespace_id"))
	if err != nil {
		return nil, err
	}
	to := before.Clone()
	v.describe(to)
	if err := owned(ctx, to, before.Owner); err != nil {
		return nil, err
	}
	after, err := h.o.Definitions.Update(ctx, before.Name, to)
	if err != nil {
		return nil, undefined("Namespace", err)
	}
	return namespaceRowOf(after), nil
}

type resourceTypeRow struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	Protected bool   `json:"protected"`
	CreatedAt moment `json:"created_at"`
	UpdatedAt moment `json:"updated_at"`
}

func (h *Handler) resourceTypes(ctx context.Context) ([]resourceTypeRow, error) {
	types, err := h.o.Definitions.ResourceTypes(ctx)
	if err != nil {
		return nil, undefined("ResourceType", err)
	}
	rows := make([]resourceTypeRow, len(types))
	for i, t := range types {
		rows[i] = resourceTypeRowOf(t)
	}
	return rows, nil
}

func resourceTypeRowOf(t metadef.ResourceType) resourceTypeRow {
	return resourceTypeRow{t.ID, t.Name, t.Protected, moment(t.CreatedAt), changed(t.Entry)}
}

func (h *Handler) rpcResourceTypeCreate(ctx context.Context, args values) (any, error) {
	v, err := args.object("values")
	if err != nil {
		return nil, err
	}
	t, err := h.o.Definitions.AddResourceType(ctx, v.text("name"), v.truth("protected"))
	if err != nil {
		return nil, undefined("ResourceType", err)
	}
	return resourceTypeRowOf(t), nil
}

func (h *Handler) rpcResourceTypeDelete(ctx context.Context, args values) (any, error) {
	name, err := args.needed("resource_type_name")
	if err != nil {
		return nil, err
	}
	t, err := h.o.Definitions.RemoveResourceType(ctx, name)
	r, refused := errors.AsType[*glance.Refusal](err)
	switch {
	case refused && t.Protected && errors.Is(err, glance.ErrForbidden):
		return nil, raise("ProtectedMetadefResourceTypeSystemDelete", "%s", r.Message)
	case refused && errors.Is(err, glance.ErrConflict):
		return nil, raise("MetadefIntegrityError", "%s", r.Message)
	case err != nil:
		return nil, undefined("ResourceType", err)
	}
	return resourceTypeRowOf(t), nil
}

func (h *Handler) rpcResourceTypes(ctx context.Context, _ values) (any, error) {
	return h.resourceTypes(ctx)
}

func (h *Handler) rpcResourceType(ctx context.Context, args values) (any, error) {
	name, err := args.needed("resource_type_name")
	if err != nil {
		return nil, err
	}
	rows, err := h.resourceTypes(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(rows, func(r resourceTypeRow) bool { return r.Name == name })
	if at < 0 {
		return nil, raise("MetadefResourceTypeNotFound", "The metadata definition resource-type with name=%s, was not found.", name)
	}
	return rows[at], nil
}

type associationRow struct {
	Name             string  `json:"name"`
	PropertiesTarget *string `json:"properties_target"`
	Prefix           *string `json:"prefix"`
	CreatedAt        moment  `json:"created_at"`
	UpdatedAt        moment  `json:"updated_at"`
}

func associationRowOf(a *metadef.Association) associationRow {
	return associationRow{a.Name, a.PropertiesTarget, a.Prefix, moment(a.CreatedAt), changed(a.Entry)}
}

func associations(_ context.Context, ns *metadef.Namespace, _ values) (any, error) {
	rows := make([]associationRow, len(ns.Associations))
	for i, a := range ns.Associations {
		rows[i] = associationRowOf(a)
	}
	return rows, nil
}

func associated(_ context.Context, ns *metadef.Namespace, args values) (any, error) {
	name := args.text("resource_type_name")
	at := slices.IndexFunc(ns.Associations, func(a *metadef.Association) bool { return a.Name == name })
	if at < 0 {
		return nil, raise("MetadefResourceTypeAssociationNotFound",
			"The metadata definition resource-type association of resource-type=%s to namespace=%s, was not found.", name, ns.Name)
	}
	return associationRowOf(ns.Associations[at]), nil
}

func (h *Handler) associate(ctx context.Context, ns *metadef.Namespace, args values) (any, error) {
	v, err := args.object("values")
	if err != nil {
		return nil, err
	}
	a := &metadef.Association{Prefix: v.nullable("prefix"), PropertiesTarget: v.nullable("properties_target")}
	a.Name = v.text("name")
	added, err := h.o.Definitions.Associate(ctx, ns.Name, a)
	if err != nil {
		return nil, err
	}
	return associationRowOf(added), nil
}

func (h *Handler) dissociate(ctx context.Context, ns *metadef.Namespace, args values) (any, error) {
	old, err := associated(ctx, ns, args)
	if err != nil {
		return nil, err
	}
	return old, h.o.Definitions.Dissociate(ctx, ns.Name, args.text("resource_type_name"))
}

// rawOf returns v as JSON.
func rawOf(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // v is made of texts, numbers and lists of them
	}
	return raw
}
