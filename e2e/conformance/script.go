// Package conformance compares glanced with the original OpenStack Glance.
//
// The same requests go to both and the answers have to be the same: status,
// headers and bodies, after ids, times and names of machines were replaced. The
// requests are scripts in testdata, one folder for each configuration that both
// run with, a line a request; [Parse] says how they are written. Differences
// that are meant stand in testdata/meant.txt with a reason each, see
// [ParseMeant]. Every other difference fails the test, and so does an entry of
// that list that no difference needs any more.
//
//	make conformance                                     all of it
//	GLANCECTL_E2E=1 go test ./e2e/conformance -run Conformance/plain/members
//	GLANCECTL_E2E=1 go test ./e2e/conformance -run Conformance/plain/members/one_who_rejects -v
//
// run a folder's script or one of its sequences; -v shows every exchange.
// Needs root on Debian and bin/glanced (make build-host). The real clients are
// tried here too, against the same glanced.
package conformance

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// A Sequence is requests that belong together: they are sent in order, to
// servers that hold nothing from before.
type Sequence struct {
	Name  string
	Steps []Step
}

// A Step is one line of a sequence.
type Step struct {
	Line    int    // where it begins in its file
	Text    string // as it is shown
	Who     string
	Method  string
	Target  string
	Headers []string // "Name: value"
	Body    []byte   // variables are replaced in it when it is sent
	HasBody bool     // an empty body is one too
	Chunked bool
	Capture []Capture
	Until   string // ".path=value": ask again until it is so
}

// A Capture keeps a part of an answer for later requests.
type Capture struct{ Name, From string }

// Parse reads a script. Its lines are
//
//	# a comment
//	== name of the sequence that begins
//	WHO METHOD TARGET [HEADER]... [BODY] [-> name=.path ...]
//	until .path=value WHO METHOD TARGET ...
//	for name in a b c do any other line, with $name in it
//
// and a line that begins with a space goes on where the line before ended. WHO
// is a persona, see people; "nobody" sends no token. A HEADER is Name:value or,
// with spaces in it, 'Name: value'; the word chunked sends the body without
// saying its length. A BODY goes to the end of the line: it is JSON if it
// begins with { or [, plain text after a <, n zeros after <zeros, and bytes in
// hexadecimal, filled up to n, after <hex n. What comes after -> is kept from
// the JSON answer under a name: .id, .images.0.id, or header:Location.
//
// $name stands for what was kept, or for what the runner defines; $(255*x)
// for 255 times x; $$ for a dollar.
func Parse(text string) ([]Sequence, error) {
	var all []Sequence
	for _, l := range logicalLines(text) {
		if name, ok := strings.CutPrefix(l.text, "== "); ok {
			all = append(all, Sequence{Name: name})
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("line %d: a request before the first sequence", l.number)
		}
		lines, err := expandLoops(l.text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
		s := &all[len(all)-1]
		for _, text := range lines {
			step, err := parseStep(text)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", l.number, err)
			}
			step.Line = l.number
			s.Steps = append(s.Steps, step)
		}
	}
	return all, nil
}

type logicalLine struct {
	number int
	text   string
}

func logicalLines(text string) []logicalLine {
	var all []logicalLine
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case line[0] == ' ' && len(all) > 0:
			all[len(all)-1].text += " " + strings.TrimSpace(line)
		default:
			all = append(all, logicalLine{i + 1, strings.TrimRight(line, " ")})
		}
	}
	return all
}

// expandLoops returns the lines that a line with a loop stands for.
func expandLoops(line string) ([]string, error) {
	loop, ok := strings.CutPrefix(line, "for ")
	if !ok {
		return []string{line}, nil
	}
	head, rest, ok := strings.Cut(loop, " do ")
	name, values, ok2 := strings.Cut(head, " in ")
	if !ok || !ok2 {
		return nil, errors.New("want: for NAME in VALUES do LINE")
	}
	if !strings.Contains(rest, "$"+name) {
		return nil, fmt.Errorf("$%s is not in the loop's line", name)
	}
	var all []string
	for _, v := range strings.Fields(values) {
		lines, err := expandLoops(replace(rest, map[string]string{name: v}))
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	return all, nil
}

func parseStep(line string) (Step, error) {
	s := Step{Text: line}
	if rest, ok := strings.CutPrefix(line, "until "); ok {
		s.Until, line, _ = strings.Cut(rest, " ")
		if !strings.HasPrefix(s.Until, ".") && !strings.HasPrefix(s.Until, "code=") || !strings.Contains(s.Until, "=") {
			return s, errors.New("want: until .PATH=VALUE REQUEST")
		}
	}
	if i := strings.LastIndex(line, " -> "); i >= 0 {
		for _, f := range strings.Fields(line[i+4:]) {
			name, from, ok := strings.Cut(f, "=")
			if !ok {
				return s, fmt.Errorf("%q: want NAME=.PATH", f)
			}
			s.Capture = append(s.Capture, Capture{name, from})
		}
		line = line[:i]
	}
	var words [3]string
	for i := range words {
		words[i], line, _ = strings.Cut(strings.TrimLeft(line, " "), " ")
	}
	s.Who, s.Method, s.Target = words[0], words[1], words[2]
	if !strings.HasPrefix(s.Target, "/") && !strings.HasPrefix(s.Target, "$") {
		return s, fmt.Errorf("%q is no target", s.Target)
	}
	rest, err := s.headers(line)
	if err != nil {
		return s, err
	}
	return s, s.body(rest)
}

// headers takes the headers from the beginning of text and returns the rest.
func (s *Step) headers(text string) (string, error) {
	for {
		text = strings.TrimLeft(text, " ")
		var word, rest string
		switch {
		case text == "" || strings.ContainsRune("{[<", rune(text[0])):
			return text, nil
		case text[0] == '\'':
			end := strings.Index(text[1:], "'")
			if end < 0 {
				return "", errors.New("a header without its closing quote")
			}
			word, rest = text[1:1+end], text[2+end:]
		default:
			word, rest, _ = strings.Cut(text, " ")
		}
		name, value, ok := strings.Cut(word, ":")
		switch {
		case word == "chunked":
			s.Chunked = true
		case !ok:
			return "", fmt.Errorf("%q is no header", word)
		default:
			s.Headers = append(s.Headers, name+": "+strings.TrimLeft(value, " "))
		}
		text = rest
	}
}

// body reads what is left of a line.
func (s *Step) body(text string) error {
	switch {
	case text == "":
		return nil
	case strings.HasPrefix(text, "<zeros "):
		n, err := strconv.Atoi(text[len("<zeros "):])
		if err != nil {
			return err
		}
		s.Body = make([]byte, n)
	case strings.HasPrefix(text, "<hex "):
		fields := strings.Fields(text)
		n, err := strconv.Atoi(fields[1])
		if err != nil {
			return err
		}
		b, err := hex.DecodeString(strings.Join(fields[2:], ""))
		if err != nil {
			return err
		}
		s.Body = append(b, make([]byte, max(0, n-len(b)))...)
	case text[0] == '<':
		s.Body = []byte(text[1:])
	default:
		s.Body = []byte(text)
	}
	s.HasBody = true
	return nil
}

var variable = regexp.MustCompile(`\$(?:\$|\((\d+)\*([^)]+)\)|([a-z][a-z0-9_]*))`)

// replace puts in the variables that it knows and leaves the others.
func replace(text string, known map[string]string) string {
	if !strings.Contains(text, "$") {
		return text
	}
	return variable.ReplaceAllStringFunc(text, func(m string) string {
		if v, ok := known[strings.TrimPrefix(m, "$")]; ok {
			return v
		}
		return m
	})
}

// finish is replace, after which nothing may be left to replace.
func finish(text string, known map[string]string) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	var missing error
	out := variable.ReplaceAllStringFunc(text, func(m string) string {
		parts := variable.FindStringSubmatch(m)
		switch {
		case m == "$$":
			return "$"
		case parts[1] != "":
			n, err := strconv.Atoi(parts[1])
			missing = errors.Join(missing, err)
			return strings.Repeat(parts[2], n)
		}
		v, ok := known[parts[3]]
		if !ok {
			missing = errors.Join(missing, fmt.Errorf("nothing is known as %s", m))
		}
		return v
	})
	return out, missing
}

// Requests counts the requests of sequences.
func Requests(all []Sequence) (n int) {
	for _, s := range all {
		n += len(s.Steps)
	}
	return n
}

// with is a copy of vars with more.
func with(vars, more map[string]string) map[string]string {
	all := maps.Clone(vars)
	maps.Copy(all, more)
	return all
}
