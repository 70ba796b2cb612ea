package policy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"glancectl/service/glance"
)

// actions are what a section of a protection file must speak of.
var actions = []glance.PropertyAction{glance.CreateProperty, glance.ReadProperty, glance.UpdateProperty, glance.DeleteProperty}

// Protections say who may do what with which custom property, by a file of
// sections: each is a regular expression for names of properties, and has a
// line for each action.
//
//	[^license_]
//	create = admin, billing
//	read = @
//	update = admin
//	delete = !
//
// The first section that fits a name counts, and what fits none is for nobody.
// It is safe for concurrent use.
type Protections struct {
	engine   *Engine // nil: who is named are roles
	sections []section
}

type section struct {
	place string
	name  *regexp.Regexp
	who   map[glance.PropertyAction][]string
}

// OpenProtections reads a protection file. With an engine the file names rules
// of it, one for each action; without, it names roles. All mistakes are
// reported at once, with file and line.
func OpenProtections(file string, e *Engine) (*Protections, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	return parseProtections(file, text, e)
}

func parseProtections(file string, text []byte, e *Engine) (*Protections, error) {
	p := &Protections{engine: e}
	var errs []error
	for n, line := range numbered(text) {
		if err := p.add(fmt.Sprintf("%s:%d", file, n), line); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", file, n, err))
		}
	}
	if len(p.sections) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s: it has no [section]; what fits no section is for nobody", file))
	}
	errs = append(errs, p.complete()...)
	if err := errors.Join(errs...); err != nil || e == nil {
		return p, err
	}
	return p, e.need(p.references())
}

// numbered yields the lines that say something, with their numbers.
func numbered(text []byte) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, maxFile+1)
		for n := 1; lines.Scan(); n++ {
			line := strings.TrimSpace(lines.Text())
			if line != "" && line[0] != '#' && line[0] != ';' && !yield(n, line) {
				return
			}
		}
	}
}

// add takes one line.
func (p *Protections) add(place, line string) error {
	if strings.HasPrefix(line, "[") {
		return p.begin(place, line)
	}
	if len(p.sections) == 0 {
		return fmt.Errorf("%q stands before the first [section]", line)
	}
	s := p.sections[len(p.sections)-1]
	at := strings.IndexAny(line, "=:")
	if at < 0 {
		return fmt.Errorf("%q is no line of the form action = who", line)
	}
	action := glance.PropertyAction(strings.ToLower(strings.TrimSpace(line[:at])))
	if !slices.Contains(actions, action) {
		return fmt.Errorf("%q: an action is create, read, update or delete", action)
	}
	if _, again := s.who[action]; again {
		return fmt.Errorf("%s is there twice in this section", action)
	}
	who, err := p.parseWho(line[at+1:])
	s.who[action] = who
	return err
}

// begin takes the line that begins a section. Its name may have brackets in
// it, as regular expressions have.
func (p *Protections) begin(place, line string) error {
	if !strings.HasSuffix(line, "]") || len(line) == 2 {
		return fmt.Errorf("%q is no [section]", line)
	}
	name, err := regexp.Compile(line[1 : len(line)-1])
	s := section{place: place, name: name, who: make(map[glance.PropertyAction][]string)}
	again := slices.ContainsFunc(p.sections, func(other section) bool {
		return name != nil && other.name != nil && other.name.String() == name.String()
	})
	p.sections = append(p.sections, s)
	if again {
		return fmt.Errorf("%s is there twice", line)
	}
	return err
}

func (p *Protections) parseWho(text string) ([]string, error) {
	var who []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			who = append(who, word)
		}
	}
	switch {
	case slices.Contains(who, "@") && slices.Contains(who, "!"):
		return who, errors.New("@ is everybody and ! is nobody; only one of them can be")
	case p.engine != nil && len(who) > 1:
		return who, errors.New("only one rule can be named for an action; combine several in the policy file")
	}
	return who, nil
}

// complete reports what the sections do not say.
func (p *Protections) complete() []error {
	var errs []error
	for _, s := range p.sections {
		for _, a := range actions {
			if _, ok := s.who[a]; !ok {
				errs = append(errs, fmt.Errorf("%s: who may %s is not said; write %s = and roles, @ for everybody or ! for nobody", s.place, a, a))
			}
		}
	}
	return errs
}

// references are the rules that the file names.
func (p *Protections) references() []reference {
	var list []reference
	for _, s := range p.sections {
		for _, a := range actions {
			for _, name := range s.who[a] {
				if name != "@" && name != "!" {
					list = append(list, reference{place: s.place, rule: name})
				}
			}
		}
	}
	return list
}

// Permits implements glance.PropertyPolicy.
func (p *Protections) Permits(c glance.Caller, a glance.PropertyAction, property string) bool {
	for _, s := range p.sections {
		if s.name.MatchString(property) {
			return slices.ContainsFunc(s.who[a], func(who string) bool { return p.is(c, who) })
		}
	}
	return false
}

// is says whether c is meant by an entry of the file.
func (p *Protections) is(c glance.Caller, who string) bool {
	switch {
	case who == "@":
		return true
	case who == "!":
		return false
	case p.engine != nil:
		return p.engine.Allows(c, glance.Rule(who), glance.Target{})
	}
	return slices.ContainsFunc(c.Roles, func(role string) bool { return strings.EqualFold(role, who) })
}
