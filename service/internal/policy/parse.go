package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// parseRule returns what a file has for a rule as a check: text in the rule
// language or, as in the first files there were, a list of lists of checks,
// the inner ones joined by "and" and the outer by "or".
func parseRule(written any) (check, error) {
	switch v := written.(type) {
	case string:
		return parseText(v)
	case []any:
		return parseList(v)
	case nil:
		return nil, errors.New(`no rule; write "" for everybody or "!" for nobody`)
	}
	return nil, fmt.Errorf("%v is no text", written)
}

func parseList(list []any) (check, error) {
	if len(list) == 0 {
		return always{}, nil
	}
	var choices anyOf
	for _, item := range list {
		inner, ok := item.([]any)
		if !ok {
			inner = []any{item}
		}
		var conditions all
		for _, text := range inner {
			s, ok := text.(string)
			if !ok {
				return nil, fmt.Errorf("%v is no text", text)
			}
			c, err := parseCheck(s)
			if err != nil {
				return nil, err
			}
			conditions = append(conditions, c)
		}
		if len(conditions) > 0 {
			choices = append(choices, conditions)
		}
	}
	return choices, nil // none of them: nobody
}

// A parser reads the tokens of a rule from left to right.
type parser struct {
	tokens []string
	depth  int
}

// maxDepth is how deep a rule may be nested, with the rules that it refers to.
const maxDepth = 100

// parseText reads the rule language:
//
//	or   = and { "or" and }
//	and  = not { "and" not }
//	not  = "not" not | "(" or ")" | check
//
// An empty text is a rule that lets everybody through.
func parseText(text string) (check, error) {
	if text == "" {
		return always{}, nil
	}
	p := &parser{tokens: tokens(text)}
	c, err := p.or()
	if err != nil {
		return nil, err
	}
	if next := p.peek(); next != "" {
		return nil, fmt.Errorf("%q: expected and, or, or the end", next)
	}
	return c, nil
}

// tokens splits a rule at white space. Parentheses are tokens at the ends of a
// word only: inside they belong to %(name)s.
func tokens(text string) []string {
	var list []string
	for word := range strings.FieldsSeq(text) {
		for strings.HasPrefix(word, "(") {
			list, word = append(list, "("), word[1:]
		}
		inner := strings.TrimRight(word, ")")
		if inner != "" {
			list = append(list, inner)
		}
		for range len(word) - len(inner) {
			list = append(list, ")")
		}
	}
	return list
}

// peek returns the next token, a keyword in lower case; at the end it is
// empty.
func (p *parser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	if lower := strings.ToLower(p.tokens[0]); lower == "and" || lower == "or" || lower == "not" {
		return lower
	}
	return p.tokens[0]
}

// take goes past the next token if it is want.
func (p *parser) take(want string) bool {
	if p.peek() != want || want == "" {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *parser) or() (check, error) {
	first, err := p.and()
	if err != nil || p.peek() != "or" {
		return first, err
	}
	choices := anyOf{first}
	for p.take("or") {
		c, err := p.and()
		if err != nil {
			return nil, err
		}
		choices = append(choices, c)
	}
	return choices, nil
}

func (p *parser) and() (check, error) {
	first, err := p.not()
	if err != nil || p.peek() != "and" {
		return first, err
	}
	conditions := all{first}
	for p.take("and") {
		c, err := p.not()
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, c)
	}
	return conditions, nil
}

func (p *parser) not() (check, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels deep", maxDepth)
	}
	defer func() { p.depth-- }()
	switch token := p.peek(); token {
	case "":
		return nil, errors.New("something is missing at the end")
	case "and", "or", ")":
		return nil, fmt.Errorf("a check is missing before %q", token)
	case "not":
		p.take("not")
		c, err := p.not()
		return not{c}, err
	case "(":
		p.take("(")
		c, err := p.or()
		if err == nil && !p.take(")") {
			err = errors.New("a parenthesis is not closed")
		}
		return c, err
	default:
		p.tokens = p.tokens[1:]
		return parseCheck(token)
	}
}

func parseCheck(text string) (check, error) {
	switch text {
	case "@":
		return always{}, nil
	case "!":
		return never{}, nil
	}
	kind, rest, ok := strings.Cut(text, ":")
	if !ok || kind == "" || rest == "" {
		return nil, fmt.Errorf("%q is no check; one is written kind:match, as in role:admin", text)
	}
	switch kind {
	case "rule":
		return &ref{name: rest}, nil
	case "http", "https":
		return nil, fmt.Errorf("%q: %s checks are not supported: no other server is asked", text, kind)
	}
	match, err := parseTemplate(rest)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	if kind == "role" || kind == "roles" {
		return role{match}, nil
	}
	if constant, ok := parseConstant(kind); ok {
		return literal{text: constant, null: constant == "None" && kind == "None", match: match}, nil
	}
	of, ok := callerAttributes[kind]
	if !ok {
		return nil, fmt.Errorf("%q: a caller has no %s; it has role, rule, %s, or a constant in quotes",
			text, kind, strings.Join(slices.Sorted(maps.Keys(callerAttributes)), ", "))
	}
	return attribute{of: of, match: match}, nil
}

// parseConstant returns the text of a constant: a quoted string, a number,
// True, False or None.
func parseConstant(s string) (text string, ok bool) {
	switch s {
	case "True", "False", "None":
		return s, true
	}
	if n := len(s); n >= 2 && (s[0] == '\'' || s[0] == '"') {
		inner := s[1 : n-1]
		return inner, s[0] == s[n-1] && !strings.ContainsAny(inner, `'"\`)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return strconv.FormatInt(n, 10), err == nil
}

// parseTemplate splits text at the names of attributes, which are written
// %(name)s.
func parseTemplate(text string) (template, error) {
	var t template
	add := func(s string) {
		if n := len(t); n > 0 && !t[n-1].name {
			t[n-1].text += s
		} else if s != "" {
			t = append(t, part{text: s})
		}
	}
	for {
		before, after, found := strings.Cut(text, "%")
		add(before)
		if !found {
			return t, nil
		}
		if rest, ok := strings.CutPrefix(after, "%"); ok {
			add("%")
			text = rest
			continue
		}
		name, rest, ok := strings.Cut(strings.TrimPrefix(after, "("), ")s")
		if !ok || !strings.HasPrefix(after, "(") || name == "" || strings.ContainsAny(name, "()%") {
			return nil, errors.New("after % stands an attribute, as in %(owner)s, or another %")
		}
		t = append(t, part{text: name, name: true})
		text = rest
	}
}
