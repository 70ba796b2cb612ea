package apiv2

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// validateBody checks a request's body against a schema as it is served, and
// answers in the words that clients know: those of the validator that Glance
// uses. Of several mistakes it names the one nearest to the top, then rather a
// value of another type than one that is wrong otherwise, and of those the
// first in the order of the schema.
func validateBody(schema object, body any) (map[string]any, error) {
	c := &schemaCheck{name: str(schema.members(), "name"), definitions: schema.object("definitions")}
	doc, ok := body.(map[string]any)
	if !ok {
		c.mismatch(spot{where: "schema"}, "type", "%s is not of type 'object'", repr(body))
		return nil, c.worst
	}
	c.check(schema, doc, spot{where: "schema"})
	return doc, c.worst
}

// members returns o as a map.
func (o object) members() map[string]any {
	m := make(map[string]any, len(o))
	for _, e := range o {
		m[e.name] = e.value
	}
	return m
}

// object returns a member that is an object; nil if it is none.
func (o object) object(name string) object {
	v, _ := o.members()[name].(object)
	return v
}

// A schemaCheck compares values with one schema.
type schemaCheck struct {
	name        string
	definitions object
	worst       error // nil as long as nothing is wrong
	rank        int   // of worst
}

// A spot is a part of the schema, how deep in the body the value is that it is
// about, and whether the value has the type that it asks for.
type spot struct {
	where string
	depth int
	typed bool
}

// rank orders mistakes: the lowest is named.
func (s spot) rank() int {
	if s.typed {
		return 2*s.depth + 1
	}
	return 2 * s.depth
}

// below is a spot of the same value.
func (s spot) below(format string, args ...any) spot {
	return spot{where: s.where + fmt.Sprintf(format, args...), depth: s.depth}
}

// inside is a spot of something in the value.
func (s spot) inside(format string, args ...any) spot {
	return spot{where: s.where + fmt.Sprintf(format, args...), depth: s.depth + 1}
}

func (c *schemaCheck) mismatch(at spot, keyword, format string, args ...any) {
	if c.worst != nil && c.rank <= at.rank() {
		return
	}
	c.rank = at.rank()
	c.worst = bad("Provided object does not match schema '%s': %s\n\nFailed validating %s in %s",
		c.name, fmt.Sprintf(format, args...), repr(keyword), at.where)
}

// check looks for what is wrong with v.
func (c *schemaCheck) check(s object, v any, at spot) {
	keywords := s.members()
	if ref, ok := keywords["$ref"].(string); ok {
		c.check(c.definitions.object(strings.TrimPrefix(ref, "#/definitions/")), v, at)
		return
	}
	want, ok := keywords["type"].(string)
	at.typed = ok && isSchemaType(v, want)
	if ok && !at.typed {
		c.mismatch(at, "type", "%s is not of type %s", repr(v), repr(want))
	}
	c.checkValue(keywords, v, at)
	if all, ok := keywords["allOf"].(list); ok {
		for i, part := range all {
			c.check(part.(object), v, at.below("['allOf'][%d]", i))
		}
	}
	switch v := v.(type) {
	case list:
		c.checkList(keywords, v, at)
	case map[string]any:
		c.checkMembers(s, v, at)
	}
}

// checkValue checks what can be said of a value without what it holds.
func (c *schemaCheck) checkValue(keywords map[string]any, v any, at spot) {
	if enum, ok := keywords["enum"].(list); ok && !slices.Contains(enum, v) {
		c.mismatch(at, "enum", "%s is not one of %s", repr(v), repr(enum))
	}
	if least, ok := keywords["minLength"].(int); ok {
		if s, ok := v.(string); ok && utf8.RuneCountInString(s) < least {
			c.mismatch(at, "minLength", "%s is too short", repr(s))
		}
	}
	if limit, ok := keywords["maxLength"].(int); ok {
		if s, ok := v.(string); ok && utf8.RuneCountInString(s) > limit {
			c.mismatch(at, "maxLength", "%s is too long", repr(s))
		}
	}
	if least, ok := keywords["minimum"].(int); ok {
		if n, ok := v.(json.Number); ok && value(n) < float64(least) {
			c.mismatch(at, "minimum", "%s is less than the minimum of %d", n, least)
		}
	}
}

func value(n json.Number) float64 {
	f, err := n.Float64()
	if err != nil && !strings.HasPrefix(n.String(), "-") {
		return math.MaxFloat64
	}
	return f
}

// isSchemaType is isType for all types that a schema can name.
func isSchemaType(v any, name string) bool {
	n, ok := v.(json.Number)
	if !ok {
		return isType(v, name)
	}
	f := value(n)
	return name == "number" || name == "integer" && f == math.Trunc(f)
}

func (c *schemaCheck) checkList(keywords map[string]any, v list, at spot) {
	if least, ok := keywords["minItems"].(int); ok && len(v) < least {
		c.mismatch(at, "minItems", "%s is too short", repr(v))
	}
	if keywords["uniqueItems"] == true && repeats(v) {
		c.mismatch(at, "uniqueItems", "%s has non-unique elements", repr(v))
	}
	if items, ok := keywords["items"].(object); ok {
		for _, e := range v {
			c.check(items, e, at.inside("['items']"))
		}
	}
}

func repeats(v list) bool {
	seen := make(map[string]bool, len(v))
	for _, e := range v {
		text := repr(e)
		if seen[text] {
			return true
		}
		seen[text] = true
	}
	return false
}

func (c *schemaCheck) checkMembers(s object, v map[string]any, at spot) {
	keywords, properties := s.members(), s.object("properties")
	known := properties.members()
	var more []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if _, ok := known[name]; !ok {
			more = append(more, name)
		}
	}
	if keywords["additionalProperties"] == false && len(more) > 0 {
		c.mismatch(at, "additionalProperties", "Additional properties are not allowed (%s unexpected)", were(more))
	}
	required, _ := keywords["required"].([]string)
	for _, name := range required {
		if _, ok := v[name]; !ok {
			c.mismatch(at, "required", "%s is a required property", repr(name))
		}
	}
	for _, d := range s.object("dependentRequired") {
		needs, _ := d.value.([]string)
		for _, name := range needs {
			_, given := v[d.name]
			if _, ok := v[name]; given && !ok {
				c.mismatch(at, "dependentRequired", "%s is a dependency of %s", repr(name), repr(d.name))
			}
		}
	}
	for _, p := range properties {
		if value, ok := v[p.name]; ok {
			c.check(p.value.(object), value, at.inside("['properties'][%s]", repr(p.name)))
		}
	}
	if rest, ok := keywords["additionalProperties"].(object); ok {
		for _, name := range more {
			c.check(rest, v[name], at.inside("['additionalProperties']"))
		}
	}
}

// were returns names with the verb that belongs to their number.
func were(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = repr(name)
	}
	return strings.Join(quoted, ", ") + " " + map[bool]string{true: "was", false: "were"}[len(names) == 1]
}
