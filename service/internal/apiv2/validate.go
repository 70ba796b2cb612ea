package apiv2

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// validate checks the value of one attribute of an image against the schema.
// Attributes that the schema does not know are text.
func (a *API) validate(name string, value any) error {
	if name == "locations" {
		return validateLocations(value)
	}
	for _, p := range a.properties {
		if p.name == name {
			return p.check(value, "schema['properties']["+repr(name)+"]")
		}
	}
	for _, p := range a.custom {
		if p.name == name {
			return p.check(value, "schema['properties']["+repr(name)+"]")
		}
	}
	return property{types: text}.check(value, "schema['additionalProperties']")
}

// validateAll checks a whole document.
func (a *API) validateAll(doc map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		if err := a.validate(name, doc[name]); err != nil {
			return err
		}
	}
	return nil
}

// check returns what is wrong with v, in the words that clients know: those of
// the validator that Glance uses. Where says which part of the schema p is.
func (p property) check(v any, where string) error {
	if !slices.ContainsFunc(p.types, func(t string) bool { return isType(v, t) }) {
		var names []string
		for _, t := range p.types {
			names = append(names, repr(t))
		}
		return mismatch("type", where, "%s is not of type %s", repr(v), strings.Join(names, ", "))
	}
	if s, ok := v.(string); ok {
		if p.maxLength > 0 && utf8.RuneCountInString(s) > p.maxLength {
			return mismatch("maxLength", where, "%s is too long", repr(s))
		}
		if p.pattern != "" && !regexp.MustCompile(p.pattern).MatchString(s) {
			return mismatch("pattern", where, "%s does not match %s", repr(s), repr(p.pattern))
		}
		if p.enum != nil && !slices.Contains(p.enum, s) {
			return mismatch("enum", where, "%s is not one of %s", repr(s), repr(p.choices()))
		}
	}
	if elements, ok := v.(list); ok && p.items != nil {
		for _, e := range elements {
			if err := p.items.check(e, where+"['items']"); err != nil {
				return err
			}
		}
	}
	return nil
}

func mismatch(keyword, where, format string, args ...any) error {
	return bad("Provided object does not match schema 'image': %s\n\nFailed validating %s in %s",
		fmt.Sprintf(format, args...), repr(keyword), where)
}

func isType(v any, name string) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case json.Number:
		return name == "integer" && whole(v)
	case list:
		return name == "array"
	case map[string]any:
		return name == "object"
	}
	return false
}

// whole says whether a number has no fraction, however it is written.
func whole(n json.Number) bool {
	if !strings.ContainsAny(n.String(), ".eE") {
		return true
	}
	f, err := n.Float64()
	return err == nil && f == math.Trunc(f)
}

// repr writes a JSON value as Python shows it, which is how the messages of
// the API quote values.
func repr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case json.Number:
		return v.String()
	case string:
		return reprString(v)
	case list:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = repr(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, reprString(name)+": "+repr(v[name]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// asText is repr, but text stands for itself.
func asText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return repr(v)
}

func reprString(s string) string {
	quote := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case !unicode.IsPrint(r) && r < 0x100:
			b.WriteString(`\x` + string(hexDigits[r>>4]) + string(hexDigits[r&0xf]))
		case !unicode.IsPrint(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteRune(quote)
	return b.String()
}
