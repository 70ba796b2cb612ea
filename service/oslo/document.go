package oslo

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Document is a file to be written.
type Document struct {
	Header   string // comment at the top; may have several lines
	Sections []Section
}

// A Section is one [name] and what stands below it.
type Section struct {
	Name    string
	Comment string // above the section; may have several lines
	Options []Option
}

// An Option is one assignment. The value is written so that Parse returns it
// as Raw; dollar signs in it are references unless Literal escaped them.
type Option struct {
	Key     string
	Value   string
	Comment string // above the assignment; may have several lines
}

// Set makes values the only assignments of a key: in place of the first one
// there is, or at the end of the section, or in a new section at the end.
// Without values the key is removed.
func (d *Document) Set(section, key string, values ...string) {
	s := d.section(section)
	if s == nil {
		if len(values) == 0 {
			return
		}
		d.Sections = append(d.Sections, Section{Name: section})
		s = &d.Sections[len(d.Sections)-1]
	}
	at := slices.IndexFunc(s.Options, func(o Option) bool { return o.Key == key })
	var comment string
	if at < 0 {
		at = len(s.Options)
	} else {
		comment = s.Options[at].Comment
	}
	s.Options = slices.DeleteFunc(s.Options, func(o Option) bool { return o.Key == key })
	var options []Option
	for _, v := range values {
		options = append(options, Option{Key: key, Value: v, Comment: comment})
		comment = ""
	}
	s.Options = slices.Insert(s.Options, at, options...)
}

// section returns the first section of that name or nil.
func (d *Document) section(name string) *Section {
	for i := range d.Sections {
		if normal(d.Sections[i].Name) == normal(name) {
			return &d.Sections[i]
		}
	}
	return nil
}

// Marshal returns the text of a file. What the format has no way to say is an
// error that names the option: an empty or indented line within a value, a
// carriage return, a key with "=" or ":" in it. All of them are reported.
func Marshal(d *Document) ([]byte, error) {
	var b bytes.Buffer
	var errs []error
	comment(&b, d.Header)
	for _, s := range d.Sections {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		if s.Name == "" || strings.ContainsAny(s.Name, "\r\n") || !utf8.ValidString(s.Name) {
			errs = append(errs, fmt.Errorf("section %q: not a section name", s.Name))
		}
		comment(&b, s.Comment)
		fmt.Fprintf(&b, "[%s]\n", s.Name)
		for _, o := range s.Options {
			text, err := assignment(o)
			if err != nil {
				errs = append(errs, fmt.Errorf("[%s] %s: %w", s.Name, o.Key, err))
				continue
			}
			comment(&b, o.Comment)
			b.WriteString(text)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// assignment returns the lines of an option. Errors do not quote the value: it
// may be a password.
func assignment(o Option) (string, error) {
	if !isKey(o.Key) {
		return "", errors.New("not a key")
	}
	if !utf8.ValidString(o.Value) || strings.Contains(o.Value, "\r") {
		return "", errors.New("value has a carriage return or is not UTF-8")
	}
	lines := strings.Split(o.Value, "\n")
	first := lines[0]
	if first != strings.Trim(first, space) || quoted(first) {
		first = `"` + first + `"`
	}
	text := strings.TrimRight(o.Key+" = "+first, " ") + "\n"
	for _, line := range lines[1:] {
		if line == "" || line != strings.Trim(line, space) {
			return "", errors.New("value has a line that is empty, or begins or ends with a space")
		}
		text += "    " + line + "\n"
	}
	return text, nil
}

func isKey(s string) bool {
	return s != "" && s == strings.Trim(s, space) && utf8.ValidString(s) &&
		!strings.ContainsAny(s, "=:\r\n") && !strings.ContainsAny(s[:1], "[#;")
}

// comment writes text as comment lines. A carriage return ends a line for
// oslo.config, so it must not end a comment.
func comment(b *bytes.Buffer, text string) {
	text = strings.ReplaceAll(text, "\r", " ")
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("# "+strings.TrimRight(line, space), " ") + "\n")
	}
}
