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
// uses. Of several mistakes it names the one nearest to the top.
func validateBody(schema object, body any) (map[string]any, error) {
	doc, ok := body.(map[string]any)
	c := schemaCheck{name: str(schema.members(), "name"), definitions: schema.object("definitions")}
	if !ok {
		return nil, c.mismatch("type", "schema", "%s is not of type 'object'", repr(body))
	}
	return doc, c.check(schema, doc, "schema")
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
}

func (c schemaCheck) mismatch(keyword, where, format string, args ...any) error {
	return bad("Provided object does not match schema '%s': %s\n\nFailed validating %s in %s",
		c.name, fmt.Sprintf(format, args...), repr(keyword), where)
}

// check returns what is wrong with v. Where says which part of the whole
// schema s is.
func (c schemaCheck) check(s object, v any, where string) error {
	keywords := s.members()
	if ref, ok := keywords["$ref"].(string); ok {
		return c.check(c.definitions.object(strings.TrimPrefix(ref, "#/definitions/")), v, where)
	}
	if err := c.checkValue(keywords, v, where); err != nil {
		return err
	}
	if all, ok := keywords["allOf"].(list); ok {
		for i, part := range all {
			if err := c.check(part.(object), v, fmt.Sprintf("%s['allOf'][%d]", where, i)); err != nil {
				return err
			}
		}
	}
	switch v := v.(type) {
	case list:
		return c.checkList(s, v, where)
	case map[string]any:
		return c.checkMembers(s, v, where)
	}
	return nil
}

// checkValue checks what can be said of a value without what it holds.
func (c schemaCheck) checkValue(keywords map[string]any, v any, where string) error {
	if want, ok := keywords["type"].(string); ok && !isSchemaType(v, want) {
		return c.mismatch("type", where, "%s is not of type %s", repr(v), repr(want))
	}
	if enum, ok := keywords["enum"].(list); ok && !slices.Contains(enum, v) {
		return c.mismatch("enum", where, "%s is not one of %s", repr(v), repr(enum))
	}
	if limit, ok := keywords["maxLength"].(int); ok {
		if s, ok := v.(string); ok && utf8.RuneCountInString(s) > limit {
			return c.mismatch("maxLength", where, "%s is too long", repr(s))
		}
	}
	if least, ok := keywords["minimum"].(int); ok {
		if n, ok := v.(json.Number); ok && value(n) < float64(least) {
			return c.mismatch("minimum", where, "%s is less than the minimum of %d", n, least)
		}
	}
	return nil
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

func (c schemaCheck) checkList(s object, v list, where string) error {
	keywords := s.members()
	if least, ok := keywords["minItems"].(int); ok && len(v) < least {
		return c.mismatch("minItems", where, "%s is too short", repr(v))
	}
	if keywords["uniqueItems"] == true {
		seen := make(map[string]bool, len(v))
		for _, e := range v {
			text := repr(e)
			if seen[text] {
				return c.mismatch("uniqueItems", where, "%s has non-unique elements", repr(v))
			}
			seen[text] = true
		}
	}
	items, ok := keywords["items"].(object)
	if !ok {
		return nil
	}
	for _, e := range v {
		if err := c.check(items, e, where+"['items']"); err != nil {
			return err
		}
	}
	return nil
}

func (c schemaCheck) checkMembers(s object, v map[string]any, where string) error {
	keywords := s.members()
	properties := s.object("properties").members()
	var known, more []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if _, ok := properties[name]; ok {
			known = append(known, name)
		} else {
			more = append(more, name)
		}
	}
	if keywords["additionalProperties"] == false && len(more) > 0 {
		return c.mismatch("additionalProperties", where, "Additional properties are not allowed (%s unexpected)", were(more))
	}
	required, _ := keywords["required"].([]string)
	for _, name := range required {
		if _, ok := v[name]; !ok {
			return c.mismatch("required", where, "%s is a required property", repr(name))
		}
	}
	for _, name := range known {
		if err := c.check(properties[name].(object), v[name], where+"['properties']["+repr(name)+"]"); err != nil {
			return err
		}
	}
	if rest, ok := keywords["additionalProperties"].(object); ok {
		for _, name := range more {
			if err := c.check(rest, v[name], where+"['additionalProperties']"); err != nil {
				return err
			}
		}
	}
	return nil
}

// were returns names with the verb that belongs to their number.
func were(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = repr(name)
	}
	return strings.Join(quoted, ", ") + " " + map[bool]string{true: "was", false: "were"}[len(names) == 1]
}
