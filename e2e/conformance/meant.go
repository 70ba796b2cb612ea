package conformance

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A Meant is a kind of difference that is wanted.
type Meant struct {
	Why   string
	where *regexp.Regexp // "folder/script/sequence: step"
	what  *regexp.Regexp // a line of Differences
	used  bool
}

// ParseMeant reads the list of wanted differences: paragraphs of three lines,
//
//	where: a regular expression for "folder/script/sequence: the step's line"
//	what: a regular expression for the difference, as the test prints it
//	why: the reason
//
// with comments (#) between them. Both expressions have to fit as a whole.
func ParseMeant(text string) ([]*Meant, error) {
	var all []*Meant
	for i, paragraph := range strings.Split(text, "\n\n") {
		m := new(Meant)
		fields := map[string]*string{"where": new(string), "what": new(string), "why": &m.Why}
		for _, line := range strings.Split(paragraph, "\n") {
			if strings.HasPrefix(line, "#") || line == "" {
				continue
			}
			name, value, _ := strings.Cut(line, ": ")
			field, ok := fields[name]
			if !ok || value == "" || *field != "" {
				return nil, fmt.Errorf("paragraph %d: %q: want where, what and why, once each", i+1, line)
			}
			*field = value
		}
		where, what := *fields["where"], *fields["what"]
		if where == "" && what == "" && m.Why == "" {
			continue
		}
		if where == "" || what == "" || m.Why == "" {
			return nil, fmt.Errorf("paragraph %d: want where, what and why", i+1)
		}
		var err1, err2 error
		m.where, err1 = regexp.Compile(`^(?s:` + where + `)$`)
		m.what, err2 = regexp.Compile(`^(?s:` + what + `)$`)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("paragraph %d: %w", i+1, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// wanted reports whether the list has the difference, and notes that it was
// needed.
func wanted(list []*Meant, where, what string) bool {
	for _, m := range list {
		if m.where.MatchString(where) && m.what.MatchString(what) {
			m.used = true
			return true
		}
	}
	return false
}

// String is the entry as it stands in the list.
func (m *Meant) String() string {
	cut := func(r *regexp.Regexp) string {
		return strings.TrimSuffix(strings.TrimPrefix(r.String(), `^(?s:`), `)$`)
	}
	return fmt.Sprintf("where: %s\nwhat: %s\nwhy: %s", cut(m.where), cut(m.what), m.Why)
}
