package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A rule is a check with a name.
type rule struct {
	name  string
	place string // file and line; empty for a default
	check check

	mark        mark // of the walk that links rules
	size, depth int  // of check, with what it refers to
}

// A mark says how far the walk has come with a rule.
type mark int

const (
	fresh mark = iota
	open
	done
)

// String is how errors name a rule.
func (r *rule) String() string {
	if r.place == "" {
		return "rule " + quoted(r.name)
	}
	return r.place + ": rule " + quoted(r.name)
}

func quoted(s string) string { return `"` + s + `"` }

// A reference is a rule that something outside of the rules relies on.
type reference struct {
	place string // where it is named
	rule  string
}

// A ruleset is all rules of one moment, linked and checked. Nobody changes it.
type ruleset struct {
	rules    map[string]*rule
	fallback *rule // nil: what has no rule is denied
	warnings []string
}

// allows asks the rule of that name, or the one that answers for rules which
// nobody wrote.
func (s *ruleset) allows(name string, q *query) bool {
	r, ok := s.rules[name]
	if !ok {
		r = s.fallback
	}
	return r != nil && r.check.allows(q)
}

func (s *ruleset) have(refs []reference) error {
	var errs []error
	for _, ref := range refs {
		if s.rules[ref.rule] == nil {
			errs = append(errs, fmt.Errorf("%s: there is no rule %s", ref.place, quoted(ref.rule)))
		}
	}
	return errors.Join(errs...)
}

// defaultFallback is the rule that answers for rules which nobody wrote,
// unless the options name another.
const defaultFallback = "default"

// build makes a ruleset of the defaults and what files say in their place.
// Later definitions win.
func build(written []definition, o Options, needed []reference) (*ruleset, error) {
	s := &ruleset{rules: make(map[string]*rule)}
	var errs []error
	for _, d := range written {
		r := &rule{name: d.name, place: d.place()}
		var err error
		if r.check, err = parseRule(d.rule); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r, err))
		}
		s.rules[d.name] = r
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for name, d := range defaults {
		if s.rules[name] != nil {
			continue
		}
		c, err := d.parse(o.Legacy)
		if err != nil {
			return nil, fmt.Errorf("default of rule %q: %w", name, err)
		}
		s.rules[name] = &rule{name: name, check: c}
	}
	if err := s.link(); err != nil {
		return nil, err
	}
	fallback := o.Fallback
	if fallback == "" {
		fallback = defaultFallback
	}
	s.fallback = s.rules[fallback]
	if s.fallback == nil {
		return nil, fmt.Errorf("[oslo_policy] policy_default_rule: there is no rule %s", quoted(fallback))
	}
	s.warn(o, needed)
	return s, s.have(needed)
}

// sorted returns the rules by name, so that what is said about them is the
// same every time.
func (s *ruleset) sorted() []*rule {
	var list []*rule
	for _, r := range s.rules {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *rule) int { return strings.Compare(a.name, b.name) })
	return list
}

// link connects references with the rules that they name.
func (s *ruleset) link() error {
	var errs []error
	for _, r := range s.sorted() {
		if err := s.visit(r, nil); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// maxSize is how many checks a rule may take, with the rules it refers to.
const maxSize = 10_000

// visit links one rule and all that it refers to; path is the rules that lead
// there.
func (s *ruleset) visit(r *rule, path []string) error {
	path = append(path, r.name)
	switch r.mark {
	case done:
		return nil
	case open:
		return fmt.Errorf("%s: it refers to itself: %s", r, strings.Join(path[slices.Index(path, r.name):], " -> "))
	}
	r.mark = open
	size, depth, err := s.walk(r, r.check, path)
	r.size, r.depth, r.mark = size, depth, done
	switch {
	case err != nil:
		return err
	case depth > maxDepth:
		return fmt.Errorf("%s: more than %d levels deep, with the rules that it refers to", r, maxDepth)
	case size > maxSize:
		return fmt.Errorf("%s: more than %d checks, with the rules that it refers to", r, maxSize)
	}
	return nil
}

// walk links a check of r and returns how large and how deep it is.
func (s *ruleset) walk(r *rule, c check, path []string) (size, depth int, err error) {
	var parts []check
	switch c := c.(type) {
	case not:
		parts = []check{c.of}
	case all:
		parts = c
	case anyOf:
		parts = c
	case *ref:
		c.to = s.rules[c.name]
		if c.to == nil {
			return 0, 0, fmt.Errorf("%s: there is no rule %s", r, quoted(c.name))
		}
		err := s.visit(c.to, path)
		return c.to.size + 1, c.to.depth + 1, err
	}
	size = 1
	for _, p := range parts {
		n, d, err := s.walk(r, p, path)
		if err != nil {
			return 0, 0, err
		}
		size, depth = min(size+n, maxSize+1), max(depth, d)
	}
	return size, depth + 1, nil
}

// warn notes rules of a file that are most likely not what was meant.
func (s *ruleset) warn(o Options, needed []reference) {
	used := map[string]bool{s.fallback.name: true}
	for _, ref := range needed {
		used[ref.rule] = true
	}
	for _, r := range s.rules {
		for name := range references(r.check) {
			used[name] = true
		}
	}
	for _, r := range s.sorted() {
		d, known := defaults[r.name]
		_, everybody := r.check.(always)
		switch {
		case r.place == "":
		case !known && !used[r.name]:
			s.warnings = append(s.warnings, fmt.Sprintf("%s has no effect: nothing asks for it", r))
		case everybody && d.guard != anybody && d.writes() && !o.Legacy:
			s.warnings = append(s.warnings, fmt.Sprintf("%s lets everybody do this to every image that they can see; "+
				"with [oslo_policy] enforce_new_defaults = False only owners can", r))
		}
	}
}

// references yields the names of the rules that c refers to.
func references(c check) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var walk func(c check) bool
		walk = func(c check) bool {
			var parts []check
			switch c := c.(type) {
			case not:
				parts = []check{c.of}
			case all:
				parts = c
			case anyOf:
				parts = c
			case *ref:
				return yield(c.name)
			}
			for _, p := range parts {
				if !walk(p) {
					return false
				}
			}
			return true
		}
		walk(c)
	}
}
