package policy

import (
	"slices"
	"strconv"
	"strings"

	"glancectl/service/glance"
)

// A query is what a rule is asked.
type query struct {
	caller glance.Caller
	target glance.Target
}

// A check is one node of a rule.
type check interface {
	allows(q *query) bool
}

type (
	// always is "@", or an empty rule.
	always struct{}
	// never is "!".
	never struct{}
	// not turns a check around.
	not struct{ of check }
	// all is checks joined by "and", anyOf by "or".
	all   []check
	anyOf []check
	// role is "role:member": the caller has the role.
	role struct{ name template }
	// attribute is "project_id:%(owner)s": something of the caller's is equal
	// to something of the target's.
	attribute struct {
		of    func(*glance.Caller) string
		match template
	}
	// literal is "'public':%(visibility)s": something of the target's is equal
	// to a constant.
	literal struct {
		text  string
		null  bool // the constant None
		match template
	}
	// ref is "rule:admin_api": another rule.
	ref struct {
		name string
		to   *rule // set when the rules are linked
	}
)

func (always) allows(*query) bool  { return true }
func (never) allows(*query) bool   { return false }
func (n not) allows(q *query) bool { return !n.of.allows(q) }

func (a all) allows(q *query) bool {
	for _, c := range a {
		if !c.allows(q) {
			return false
		}
	}
	return true
}

func (a anyOf) allows(q *query) bool {
	for _, c := range a {
		if c.allows(q) {
			return true
		}
	}
	return false
}

func (r role) allows(q *query) bool {
	want, ok := r.name.fill(q)
	return ok && slices.ContainsFunc(q.caller.Roles, func(has string) bool { return strings.EqualFold(has, want.text) })
}

// What a caller does not have is equal to nothing, not even to what the target
// does not have: images without an owner are not those of callers without a
// project.
func (a attribute) allows(q *query) bool {
	has := a.of(&q.caller)
	if has == "" {
		return false
	}
	want, ok := a.match.fill(q)
	return ok && !want.null && has == want.text
}

func (l literal) allows(q *query) bool {
	got, ok := l.match.fill(q)
	return ok && l.null == got.null && (l.null || l.text == got.text)
}

// Who was found to be an admin before is one, without being asked again.
func (r *ref) allows(q *query) bool {
	return q.caller.Admin && r.name == contextIsAdmin || r.to.check.allows(q)
}

// callerAttributes are the kinds of check that look at the caller, by every
// name that they have had. An empty value is none.
var callerAttributes = map[string]func(*glance.Caller) string{
	"user_id":           func(c *glance.Caller) string { return c.UserID },
	"user":              func(c *glance.Caller) string { return c.UserID },
	"user_domain_id":    func(c *glance.Caller) string { return c.UserDomainID },
	"user_domain":       func(c *glance.Caller) string { return c.UserDomainID },
	"project_id":        func(c *glance.Caller) string { return c.ProjectID },
	"tenant":            func(c *glance.Caller) string { return c.ProjectID },
	"tenant_id":         func(c *glance.Caller) string { return c.ProjectID },
	"project_domain_id": func(c *glance.Caller) string { return c.ProjectDomainID },
	"project_domain":    func(c *glance.Caller) string { return c.ProjectDomainID },
	"domain_id":         func(c *glance.Caller) string { return c.DomainID },
	"system_scope":      systemScope,
	"is_admin":          func(c *glance.Caller) string { return truth(c.Admin) },
}

func systemScope(c *glance.Caller) string {
	if c.System {
		return "all"
	}
	return ""
}

// truth writes a boolean as rules do.
func truth(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// A value is an attribute of a target. A null matches the constant None only.
type value struct {
	text string
	null bool
}

func optional(s *string) value {
	if s == nil {
		return value{text: "None", null: true}
	}
	return value{text: *s}
}

func number(n *int64) value {
	if n == nil {
		return optional(nil)
	}
	return value{text: strconv.FormatInt(*n, 10)}
}

// attribute returns an attribute of what q is about; ok is false if it has
// none of that name.
func (q *query) attribute(name string) (v value, ok bool) {
	t := &q.target
	switch name {
	case "project_id", "tenant", "tenant_id", "owner":
		switch {
		case t.Image != nil:
			return optional(t.Image.Owner), true
		case t.Owner != "":
			return value{text: t.Owner}, true
		}
		return value{text: q.caller.ProjectID}, q.caller.ProjectID != ""
	case "member_id", "member":
		return value{text: t.Member}, t.Member != ""
	case "visibility":
		if t.Image != nil {
			return value{text: string(t.Image.Visibility)}, true
		}
		return value{text: string(t.Visibility)}, t.Visibility != ""
	}
	if t.Image == nil {
		return value{}, false
	}
	if of, known := imageAttributes[name]; known {
		return of(t.Image), true
	}
	text, ok := t.Image.Properties[name]
	return value{text: text}, ok
}

// imageAttributes are the attributes of an image that are always there; other
// names are those of its custom properties.
var imageAttributes = map[string]func(*glance.Image) value{
	"id":               func(im *glance.Image) value { return value{text: string(im.ID)} },
	"image_id":         func(im *glance.Image) value { return value{text: string(im.ID)} },
	"name":             func(im *glance.Image) value { return optional(im.Name) },
	"status":           func(im *glance.Image) value { return value{text: string(im.Status)} },
	"disk_format":      func(im *glance.Image) value { return optional(im.DiskFormat) },
	"container_format": func(im *glance.Image) value { return optional(im.ContainerFormat) },
	"size":             func(im *glance.Image) value { return number(im.Size) },
	"virtual_size":     func(im *glance.Image) value { return number(im.VirtualSize) },
	"min_disk":         func(im *glance.Image) value { return number(&im.MinDisk) },
	"min_ram":          func(im *glance.Image) value { return number(&im.MinRAM) },
	"checksum":         func(im *glance.Image) value { return optional(im.Checksum) },
	"os_hash_algo":     func(im *glance.Image) value { return optional(im.HashAlgo) },
	"os_hash_value":    func(im *glance.Image) value { return optional(im.HashValue) },
	"protected":        func(im *glance.Image) value { return value{text: truth(im.Protected)} },
	"os_hidden":        func(im *glance.Image) value { return value{text: truth(im.Hidden)} },
}

// A template is text with names of attributes in it.
type template []part

// A part is text, or the name of an attribute.
type part struct {
	text string
	name bool
}

// fill puts the values of the attributes in; ok is false if one is missing.
func (t template) fill(q *query) (v value, ok bool) {
	if len(t) == 1 && !t[0].name {
		return value{text: t[0].text}, true
	}
	if len(t) == 1 {
		return q.attribute(t[0].text)
	}
	var b strings.Builder
	for _, p := range t {
		if !p.name {
			b.WriteString(p.text)
			continue
		}
		v, ok := q.attribute(p.text)
		if !ok {
			return v, false
		}
		b.WriteString(v.text)
	}
	return value{text: b.String()}, true
}
