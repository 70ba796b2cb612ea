package metadef

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"glancectl/service/glance"
)

// Definitions is what may be done with namespaces and what they hold. Every
// method asks the context for the caller and answers according to what that
// caller can see and may do: a namespace that it cannot see does not exist
// (ErrNotFound). Errors that a caller should read are a *glance.Refusal.
// Definitions is safe for concurrent use.
type Definitions struct {
	catalog  Catalog
	policy   glance.Policy
	notifier Notifier
}

// Options are the optional settings of New. The zero value is ready to use.
type Options struct {
	Policy glance.Policy // nil means glance.DefaultPolicy
	Notify Notifier      // nil means nobody is told
}

// New returns the definitions in a catalog.
func New(catalog Catalog, o Options) *Definitions {
	if o.Policy == nil {
		o.Policy = glance.DefaultPolicy{}
	}
	return &Definitions{catalog: catalog, policy: o.Policy, notifier: o.Notify}
}

func refuse(kind error, format string, args ...any) error {
	return &glance.Refusal{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// The two ways of saying that there is no such namespace.
const (
	noNamespace    = "Namespace %s not found"
	noSuchMetadata = "Metadata definition namespace=%s was not found."
)

// get returns a namespace that the caller can see; missing says what to
// answer when there is none. One that is not visible is answered like one that
// is not there, so that nobody can find out its name.
func (d *Definitions) get(ctx context.Context, name, missing string) (*Namespace, error) {
	ns, err := d.catalog.Namespace(ctx, name)
	if errors.Is(err, glance.ErrNotFound) {
		return nil, refuse(glance.ErrNotFound, missing, name)
	}
	if err != nil {
		return nil, fmt.Errorf("get namespace %s: %w", name, err)
	}
	if !ns.visibleTo(glance.CallerFrom(ctx)) {
		return nil, refuse(glance.ErrNotFound, missing, name)
	}
	return ns, nil
}

func (ns *Namespace) visibleTo(c glance.Caller) bool {
	return c.Admin || ns.Visibility == glance.Public || c.ProjectID != "" && ns.Owner == c.ProjectID
}

func (ns *Namespace) target() glance.Target {
	return glance.Target{Owner: ns.Owner, Visibility: ns.Visibility}
}

// allow returns nil if the caller may do r in ns; nil for ns means that it is
// about no certain one. Who may not even look at it, or at none at all, is told
// that it does not exist.
func (d *Definitions) allow(ctx context.Context, r glance.Rule, ns *Namespace) error {
	c := glance.CallerFrom(ctx)
	var t glance.Target
	if ns != nil {
		t = ns.target()
	}
	if d.policy.Allows(c, r, t) {
		return nil
	}
	if !d.policy.Allows(c, glance.GetMetadefNamespace, t) {
		return refuse(glance.ErrNotFound, "The resource could not be found.")
	}
	return refuse(glance.ErrForbidden, "You are not authorized to complete %s action.", r)
}

// read returns a namespace for a rule about it, or about what it holds.
func (d *Definitions) read(ctx context.Context, name, missing string, r glance.Rule) (*Namespace, error) {
	ns, err := d.get(ctx, name, missing)
	if err != nil {
		return nil, err
	}
	if err := d.allow(ctx, r, ns); err != nil {
		return nil, err
	}
	return ns, nil
}

// List returns one page of the namespaces that the caller can see and q
// selects; the caller's identity replaces what q says about who asks. More
// says that the page is full and another may follow.
func (d *Definitions) List(ctx context.Context, q Query) (page []*Namespace, more bool, err error) {
	for _, r := range []glance.Rule{glance.GetMetadefNamespaces, glance.ListMetadefResourceTypes} {
		if err := d.allow(ctx, r, nil); err != nil {
			return nil, false, err
		}
	}
	c := glance.CallerFrom(ctx)
	q.ProjectID, q.Admin = c.ProjectID, c.Admin
	page, err = d.catalog.Namespaces(ctx, q)
	if errors.Is(err, glance.ErrNotFound) && q.Marker != "" {
		return nil, false, refuse(glance.ErrNotFound, noSuchMetadata, q.Marker)
	}
	if err != nil {
		return nil, false, fmt.Errorf("list namespaces: %w", err)
	}
	more = q.Limit > 0 && len(page) == q.Limit
	page = slices.DeleteFunc(page, func(ns *Namespace) bool {
		return !d.policy.Allows(c, glance.GetMetadefNamespace, ns.target())
	})
	return page, more && len(page) > 0, nil
}

// Show returns a namespace with all that it holds.
func (d *Definitions) Show(ctx context.Context, name string) (*Namespace, error) {
	ns, err := d.read(ctx, name, noSuchMetadata, glance.GetMetadefNamespace)
	if err != nil {
		return nil, err
	}
	for _, r := range []glance.Rule{
		glance.ListMetadefResourceTypes, glance.GetMetadefObjects, glance.GetMetadefProperties, glance.GetMetadefTags,
	} {
		if err := d.allow(ctx, r, ns); err != nil {
			return nil, err
		}
	}
	return ns, nil
}

// association returns where the association with a type of resource is, whose
// case always counts; -1 if there is none.
func (ns *Namespace) association(resourceType string) int {
	return slices.IndexFunc(ns.Associations, func(a *Association) bool { return a.Name == resourceType })
}

// For returns ns as it is for a type of resource: its properties, and those of
// its objects, with the prefix of the association.
func (ns *Namespace) For(resourceType string) *Namespace {
	at := ns.association(resourceType)
	if at < 0 || ns.Associations[at].Prefix == nil {
		return ns
	}
	prefix := *ns.Associations[at].Prefix
	prefixed := *ns
	prefixed.Properties = make([]*Property, len(ns.Properties))
	for i, p := range ns.Properties {
		q := *p
		q.Name = prefix + p.Name
		prefixed.Properties[i] = &q
	}
	prefixed.Objects = make([]*Object, len(ns.Objects))
	for i, o := range ns.Objects {
		q := *o
		q.Properties = make(map[string]Schema, len(o.Properties))
		for name, s := range o.Properties {
			q.Properties[prefix+name] = s
		}
		q.Required = make([]string, len(o.Required))
		for j, name := range o.Required {
			q.Required[j] = prefix + name
		}
		prefixed.Objects[i] = &q
	}
	return &prefixed
}

// Create adds ns with all that it holds and sets its times. What ns does not
// say is private, not protected and the caller's.
func (d *Definitions) Create(ctx context.Context, ns *Namespace) error {
	c := glance.CallerFrom(ctx)
	if c.Anonymous {
		return &glance.Refusal{Kind: glance.ErrForbidden, Message: "Read-only access", Remark: true}
	}
	for _, needed := range []struct {
		rule glance.Rule
		used bool
	}{
		{glance.AddMetadefNamespace, true},
		{glance.AddMetadefResourceTypeAssociation, len(ns.Associations) > 0},
		{glance.AddMetadefObject, len(ns.Objects) > 0},
		{glance.AddMetadefProperty, len(ns.Properties) > 0},
		{glance.AddMetadefTag, len(ns.Tags) > 0},
	} {
		if !needed.used {
			continue
		}
		if err := d.allow(ctx, needed.rule, nil); err != nil {
			return err
		}
	}
	ns.complete(c, adminOwner)
	if err := ns.check(); err != nil {
		return refuse(glance.ErrInvalid, "Couldn't create metadata namespace: %v", err)
	}
	err := d.catalog.Create(ctx, ns)
	if errors.Is(err, glance.ErrExists) {
		return d.refused(ctx, ns)
	}
	if err != nil {
		return fmt.Errorf("create namespace %s: %w", ns.Name, err)
	}
	d.notifyCreated(ctx, ns)
	return nil
}

// refused says which name of a new namespace the catalog did not take.
func (d *Definitions) refused(ctx context.Context, ns *Namespace) error {
	if _, err := d.catalog.Namespace(ctx, ns.Name); err == nil {
		return refuse(glance.ErrExists, "The metadata definition namespace=%s already exists.", ns.Name)
	}
	folded := *ns
	folded.FoldCase = true
	if err := folded.repeated(); err != nil {
		return err
	}
	return refuse(glance.ErrExists, "Two names in namespace=%s are the same to the database.", ns.Name)
}

// adminOwner owns what an admin without a project makes, and what is loaded
// from files that do not name an owner.
const adminOwner = "admin"

// complete sets what a request for a namespace left out. An admin without a
// project leaves the owner that there is.
func (ns *Namespace) complete(c glance.Caller, owner string) {
	if ns.Visibility == "" {
		ns.Visibility = glance.Private
	}
	if ns.Owner == "" {
		ns.Owner = c.ProjectID
	}
	if ns.Owner == "" {
		ns.Owner = owner
	}
}

// Update replaces what a namespace says of itself, its name included, by what
// to says, with the same defaults as Create. What the namespace holds stays.
func (d *Definitions) Update(ctx context.Context, name string, to *Namespace) (*Namespace, error) {
	if _, err := d.read(ctx, name, noNamespace, glance.ModifyMetadefNamespace); err != nil {
		return nil, err
	}
	changed, err := d.catalog.Update(ctx, name, func(ns *Namespace) error {
		next := *to
		next.complete(glance.CallerFrom(ctx), ns.Owner)
		ns.Name, ns.DisplayName, ns.Description = next.Name, next.DisplayName, next.Description
		ns.Visibility, ns.Protected, ns.Owner = next.Visibility, next.Protected, next.Owner
		if err := ns.checkSelf(); err != nil {
			return refuse(glance.ErrInvalid, "Couldn't update metadata namespace: %v", err)
		}
		return nil
	})
	if errors.Is(err, glance.ErrExists) {
		return nil, refuse(glance.ErrExists, "Invalid update. It would result in a duplicate metadata definition namespace with the same name of %s", to.Name)
	}
	if err != nil {
		return nil, d.failed(err, name)
	}
	d.notify(ctx, Event{Type: "metadef_namespace.update", Namespace: changed, Old: name})
	return changed, nil
}

// failed returns the error of a change in a namespace.
func (d *Definitions) failed(err error, name string) error {
	var r *glance.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &r):
		return r
	case errors.Is(err, glance.ErrNotFound):
		return refuse(glance.ErrNotFound, noNamespace, name)
	}
	return fmt.Errorf("change namespace %s: %w", name, err)
}

// Delete removes a namespace with all that it holds.
func (d *Definitions) Delete(ctx context.Context, name string) error {
	ns, err := d.read(ctx, name, noNamespace, glance.DeleteMetadefNamespace)
	if err != nil {
		return err
	}
	if err := d.catalog.Remove(ctx, name, (*Namespace).unprotected); err != nil {
		return d.failed(err, name)
	}
	d.notify(ctx, Event{Type: "metadef_namespace.delete", Namespace: ns})
	return nil
}

// unprotected returns nil if things can be deleted in ns.
func (ns *Namespace) unprotected() error { return ns.keeps("namespace", ns.Name) }

// keeps returns an error if what is named is safe from deletion.
func (ns *Namespace) keeps(what, name string) error {
	if !ns.Protected {
		return nil
	}
	return refuse(glance.ErrForbidden, "Metadata definition %s %s is protected and cannot be deleted.", what, name)
}

// ResourceTypes returns all types of resource that namespaces are, or were,
// associated with.
func (d *Definitions) ResourceTypes(ctx context.Context) ([]ResourceType, error) {
	if err := d.allow(ctx, glance.ListMetadefResourceTypes, nil); err != nil {
		return nil, err
	}
	types, err := d.catalog.ResourceTypes(ctx)
	if err != nil {
		return nil, fmt.Errorf("list resource types: %w", err)
	}
	return types, nil
}

// The registry's callers alone make and remove types of resource by
// themselves; for the others they come with what is associated with them.

const noResourceType = "The metadata definition resource-type with name=%s, was not found."

// AddResourceType makes a type of resource known. Who may associate namespaces
// with types may do it, and ErrExists is that it is known.
func (d *Definitions) AddResourceType(ctx context.Context, name string, protected bool) (ResourceType, error) {
	t := ResourceType{Entry: Entry{Name: name}, Protected: protected}
	if err := d.allow(ctx, glance.AddMetadefResourceTypeAssociation, nil); err != nil {
		return t, err
	}
	if err := checkName("name", name); err != nil {
		return t, refuse(glance.ErrInvalid, "Couldn't create metadata resource type: %v", err)
	}
	err := d.catalog.AddResourceType(ctx, &t)
	if errors.Is(err, glance.ErrExists) {
		err = refuse(glance.ErrExists, "A metadata definition resource-type with name=%s already exists.", name)
	}
	return t, err
}

// RemoveResourceType forgets a type of resource and returns it. One that is
// protected is ErrForbidden, one that namespaces are associated with
// ErrConflict.
func (d *Definitions) RemoveResourceType(ctx context.Context, name string) (ResourceType, error) {
	if err := d.allow(ctx, glance.RemoveMetadefResourceTypeAssociation, nil); err != nil {
		return ResourceType{}, err
	}
	t, err := d.catalog.RemoveResourceType(ctx, name, func(t ResourceType) error {
		if t.Protected {
			return refuse(glance.ErrForbidden, "Metadata definition resource-type %s is a seeded-system type and cannot be deleted.", t.Name)
		}
		return nil
	})
	switch {
	case errors.Is(err, glance.ErrNotFound):
		err = refuse(glance.ErrNotFound, noResourceType, name)
	case errors.Is(err, glance.ErrConflict):
		err = refuse(glance.ErrConflict, "Metadata definition resource-type: %s not deleted. Other records still refer to it.", name)
	}
	if r, ok := errors.AsType[*glance.Refusal](err); ok {
		err = r
	}
	return t, err
}
