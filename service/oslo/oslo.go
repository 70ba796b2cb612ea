// Package oslo reads and writes the configuration files of OpenStack services,
// the format that oslo.config defines.
//
// The service reads its settings with it and the deployment tool writes them
// with it, so that both mean the same by a quote, a continuation line or a
// dollar sign. Paste files (api-paste.ini) have the same shape and are read
// with it too. It knows no option by name: what an option means, which type
// and which default it has, is up to the reader.
//
// The format, as oslo.config reads it:
//
//	# a comment; only where a line begins
//	[section]
//	key = value
//	key: value
//	key = first line
//	  second line, joined with a newline
//	key = "one pair of quotes around the value is taken away"
//	key = a repeated key is a list for those who ask for All
//	key = $other ${section.other} $$
//
// Section names other than DEFAULT ignore case. A blank line ends a value.
package oslo

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrUnset is what Lookup wraps for an option that no file sets.
var ErrUnset = errors.New("not set")

// A Value is one assignment and the place where it stands.
type Value struct {
	Raw  string // as written, without interpolation
	Text string // after interpolation
	File string // "" for a default
	Line int
}

// Pos returns the place as "file:line", or "default".
func (v Value) Pos() string {
	if v.File == "" {
		return "default"
	}
	return fmt.Sprintf("%s:%d", v.File, v.Line)
}

// A Config is what one or several files say. It is safe for use by several
// goroutines as long as none calls Default.
type Config struct {
	sections []*section
	defaults map[option]string
}

// A section keeps the assignments of all files, oldest first.
type section struct {
	name   string
	keys   []string // in the order of their first assignment
	values map[string][]Value
}

// An option is the full name of a key.
type option struct{ section, key string }

// Parse reads one file. The name is used in errors and positions only. Every
// line that is not in the format is reported, as "name:line: what is wrong",
// joined into one error.
func Parse(name string, text []byte) (*Config, error) {
	c := new(Config)
	if err := c.parse(name, text); err != nil {
		return nil, err
	}
	return c, nil
}

// Get returns the value of an option after interpolation; the last assignment
// wins. A reference that leads nowhere stays as it is written: use Lookup
// where that is a mistake.
func (c *Config) Get(section, key string) (string, bool) {
	v, err := c.Lookup(section, key)
	if errors.Is(err, ErrUnset) {
		return "", false
	}
	return v.Text, true
}

// All returns the values of every assignment of an option, oldest first, with
// the same leniency as Get.
func (c *Config) All(section, key string) []string {
	values, _ := c.Values(section, key)
	var texts []string
	for _, v := range values {
		texts = append(texts, v.Text)
	}
	return texts
}

// Lookup returns the value of an option; the last assignment wins. The error
// wraps ErrUnset if there is neither an assignment nor a default. For a
// reference that cannot be resolved it names file, line and option, and the
// value has the reference as it is written.
func (c *Config) Lookup(section, key string) (Value, error) {
	values := c.assignments(section, key)
	if len(values) == 0 {
		return Value{}, fmt.Errorf("[%s] %s: %w", section, key, ErrUnset)
	}
	v := values[len(values)-1]
	return v, c.resolve(&v, section, key)
}

// Values returns every assignment of an option, oldest first; none is no
// error. The error is as that of Lookup.
func (c *Config) Values(section, key string) ([]Value, error) {
	var errs []error
	var values []Value
	for _, v := range c.assignments(section, key) {
		errs = append(errs, c.resolve(&v, section, key))
		values = append(values, v)
	}
	return values, errors.Join(errs...)
}

// Default gives an option a value for those who look it up or refer to it
// while no file sets it.
func (c *Config) Default(section, key, value string) {
	if c.defaults == nil {
		c.defaults = make(map[option]string)
	}
	c.defaults[option{normal(section), key}] = value
}

// Sections returns the names of the sections in the order of the files.
func (c *Config) Sections() []string {
	var names []string
	for _, s := range c.sections {
		names = append(names, s.name)
	}
	return names
}

// Keys returns the keys that the files set in a section, in their order.
func (c *Config) Keys(section string) []string {
	if s := c.section(section); s != nil {
		return append([]string(nil), s.keys...)
	}
	return nil
}

// assignments returns what the files say about an option, or its default.
func (c *Config) assignments(section, key string) []Value {
	if s := c.section(section); s != nil && len(s.values[key]) > 0 {
		return append([]Value(nil), s.values[key]...)
	}
	if text, ok := c.defaults[option{normal(section), key}]; ok {
		return []Value{{Raw: text, Text: text}}
	}
	return nil
}

// section returns the section of that name or nil.
func (c *Config) section(name string) *section {
	for _, s := range c.sections {
		if normal(s.name) == normal(name) {
			return s
		}
	}
	return nil
}

// normal is the form of a section name that is compared.
func normal(section string) string {
	if section == "DEFAULT" {
		return section
	}
	return strings.ToLower(section)
}

// parse adds a file to c.
func (c *Config) parse(name string, text []byte) error {
	p := &parser{config: c, file: name}
	for line := range bytes.Lines(text) {
		p.line++
		p.read(string(line))
	}
	p.flush()
	return errors.Join(p.errs...)
}

// A parser is the state between two lines.
type parser struct {
	config  *Config
	file    string
	line    int
	section *section
	key     string   // of the assignment that may still grow; "" if none
	start   int      // its line
	value   []string // its lines
	broken  bool     // the assignment before was refused: so is its rest
	errs    []error
}

// read takes one line. The order of the cases is that of oslo.config: an
// indented comment below an assignment belongs to the value.
func (p *parser) read(line string) {
	line = strings.TrimRight(line, space)
	switch {
	case line == "":
		p.flush()
	case line[0] == ' ' || line[0] == '\t':
		p.grow(strings.TrimLeft(line, space))
	case line[0] == '[':
		p.flush()
		p.enter(line)
	case line[0] == '#' || line[0] == ';':
		p.flush()
	default:
		p.flush()
		p.assign(line)
	}
}

// space is what is cut off around keys and values. Other white space of
// Unicode is part of the text.
const space = " \t\r\n\v\f"

func (p *parser) grow(text string) {
	switch {
	case p.broken:
	case p.key == "":
		p.fail("indented line continues nothing: %q", text)
	case !utf8.ValidString(text):
		p.fail("not UTF-8: %q", text)
	default:
		p.value = append(p.value, text)
	}
}

func (p *parser) enter(line string) {
	if !strings.HasSuffix(line, "]") {
		p.fail("section without closing bracket: %q", line)
		return
	}
	name := line[1 : len(line)-1]
	if name == "" || !utf8.ValidString(name) {
		p.fail("not a section name: %q", line)
		return
	}
	if p.section = p.config.section(name); p.section == nil {
		p.section = &section{name: name, values: make(map[string][]Value)}
		p.config.sections = append(p.config.sections, p.section)
	}
}

func (p *parser) assign(line string) {
	p.broken = true
	i := strings.IndexAny(line, "=:")
	if i < 0 {
		p.fail(`neither a section, a comment nor "key = value": %q`, line)
		return
	}
	key, value := strings.Trim(line[:i], space), strings.Trim(line[i+1:], space)
	switch {
	case key == "":
		p.fail("value without a key: %q", line)
	case p.section == nil:
		p.fail("%s stands before the first [section]", key)
	case !utf8.ValidString(line):
		p.fail("not UTF-8: %s", key)
	default:
		p.broken = false
		p.key, p.start, p.value = key, p.line, []string{unquote(value)}
	}
}

// flush ends the assignment that p reads, if any.
func (p *parser) flush() {
	p.broken = false
	if p.key == "" {
		return
	}
	text := strings.Join(p.value, "\n")
	s := p.section
	if _, ok := s.values[p.key]; !ok {
		s.keys = append(s.keys, p.key)
	}
	s.values[p.key] = append(s.values[p.key], Value{Raw: text, Text: text, File: p.file, Line: p.start})
	p.key, p.value = "", nil
}

func (p *parser) fail(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %s", p.file, p.line, fmt.Sprintf(format, args...)))
}

// unquote takes one pair of equal quotes away. A lone quote counts as both,
// because it does in oslo.config.
func unquote(s string) string {
	if !quoted(s) {
		return s
	}
	if len(s) == 1 {
		return ""
	}
	return s[1 : len(s)-1]
}

func quoted(s string) bool {
	return s != "" && s[0] == s[len(s)-1] && (s[0] == '"' || s[0] == '\'')
}
