package oslo

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// reference matches what a dollar sign can begin: an escape or a name, with or
// without braces. oslo.config takes a backslash before a dollar sign for the
// escape as well.
var reference = regexp.MustCompile(`\\\$|\$\$|\$(?:(` + name + `)|\{(` + name + `)\})`)

const name = `[_a-zA-Z][_a-zA-Z0-9]*(?:\.[_a-zA-Z0-9]+)*`

// Literal returns s with every dollar sign escaped, so that it is read back as
// it is. Use it for values, such as passwords, that must not be interpolated.
func Literal(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch {
		case s[i] != '$':
			b.WriteByte(s[i])
		case i > 0 && s[i-1] == '\\':
			b.WriteString(`\$`) // "\$$" would be an escape and a bare dollar
		default:
			b.WriteString("$$")
		}
	}
	return b.String()
}

// resolve sets v.Text to the raw value with its references replaced.
func (c *Config) resolve(v *Value, section, key string) error {
	text, err := c.expand(v.Raw, option{normal(section), key}, nil)
	v.Text = text
	if err != nil {
		return fmt.Errorf("%s: [%s] %s: %w", v.Pos(), section, key, err)
	}
	return nil
}

// expand replaces the references in raw, the value of at. The path holds the
// options that led here. With an error, the references that cannot be resolved
// are still in the text.
func (c *Config) expand(raw string, at option, path []option) (string, error) {
	if !strings.Contains(raw, "$") {
		return raw, nil
	}
	path = append(slices.Clip(path), at)
	var first error
	text := reference.ReplaceAllStringFunc(raw, func(ref string) string {
		if ref == "$$" || ref == `\$` {
			return "$"
		}
		text, err := c.follow(strings.Trim(ref, "${}"), at.section, path)
		if err == nil {
			return text
		}
		if first == nil {
			first = err
		}
		return ref
	})
	return text, first
}

// follow returns the value that a reference in a section means: "name" is
// looked for in that section and then in DEFAULT, "group.name" in group.
func (c *Config) follow(ref, section string, path []option) (string, error) {
	candidates := []option{{section, ref}, {"DEFAULT", ref}}
	if group, key, ok := strings.Cut(ref, "."); ok {
		candidates = []option{{normal(group), key}}
	}
	for _, o := range candidates {
		values := c.assignments(o.section, o.key)
		if len(values) == 0 {
			continue
		}
		if slices.Contains(path, o) {
			return "", fmt.Errorf("$%s refers to itself", ref)
		}
		return c.expand(values[len(values)-1].Raw, o, path)
	}
	return "", fmt.Errorf("$%s: no such option; write $$ for a dollar sign", ref)
}
