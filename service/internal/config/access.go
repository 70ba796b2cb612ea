package config

import (
	"fmt"

	"glancectl/service/oslo"
)

// Access is who may do what.
type Access struct {
	// Files is where the rules may be; the first that there is counts. Named
	// says that the configuration names it, so that it must be there.
	Files []string
	Named bool
	Dirs  []string // of more files; they need not be there

	Fallback string // the rule that answers for rules which nobody wrote
	// NewDefaults says that nothing is let through for the sake of older
	// releases, Scope that a token must be for a project.
	NewDefaults bool
	Scope       bool

	// PropertyFile says who may do what with which property; "" means that
	// nobody needs to be asked. It names rules if PropertyRules, else roles.
	PropertyFile  string
	PropertyRules bool
}

// access reads who may do what. The releases that knew enforce_secure_rbac
// wanted it to be as enforce_new_defaults is; the defaults here are those of
// the releases after them.
func (r *reader) access(p Program) Access {
	file := []string{"oslo_policy.policy_file", "DEFAULT.policy_file"}
	a := Access{
		Files:    []string{r.beside("policy.yaml"), r.beside("policy.json")},
		Fallback: r.text("default", "oslo_policy.policy_default_rule", "DEFAULT.policy_default_rule"),
	}
	if name := r.text("", file...); name != "" {
		a.Files, a.Named = []string{r.beside(name)}, true
	}
	for _, dir := range r.several([]string{"policy.d"}, "oslo_policy.policy_dirs", "DEFAULT.policy_dirs") {
		a.Dirs = append(a.Dirs, r.beside(dir))
	}
	const secure = "DEFAULT.enforce_secure_rbac"
	on := r.boolean(true, secure)
	a.NewDefaults = r.boolean(on, "oslo_policy.enforce_new_defaults")
	a.Scope = r.boolean(on, "oslo_policy.enforce_scope")
	if v, set, _ := r.lookup([]string{secure}); set && a.NewDefaults != on {
		r.errs = append(r.errs, fmt.Errorf("%s: [DEFAULT] enforce_secure_rbac: %t, and [oslo_policy] enforce_new_defaults is %t; they must be the same",
			v.Pos(), on, a.NewDefaults))
	}
	a.PropertyRules = r.choice("roles", []string{"roles", "policies"}, "DEFAULT.property_protection_rule_format") == "policies"
	const protections = "DEFAULT.property_protection_file"
	if name := r.text("", protections); name != "" {
		a.PropertyFile = r.beside(name)
	}
	if a.PropertyFile != "" && p == Registry {
		r.errs = append(r.errs, fmt.Errorf("%s: [DEFAULT] property_protection_file: not supported: the registry shows all properties", r.pos(protections)))
	}
	return a
}

// several returns the values of an option that may be set more than once.
func (r *reader) several(def []string, names ...string) []string {
	for _, name := range names {
		r.known[name] = true
	}
	for _, name := range names {
		section, key := split(name)
		values, err := r.c.Values(section, key)
		if err != nil {
			r.errs = append(r.errs, err)
		}
		if texts := written(values); len(texts) > 0 {
			return texts
		}
	}
	return def
}

// written returns the values that stand in a file and are not empty.
func written(values []oslo.Value) []string {
	var texts []string
	for _, v := range values {
		if v.File != "" && v.Text != "" {
			texts = append(texts, v.Text)
		}
	}
	return texts
}
