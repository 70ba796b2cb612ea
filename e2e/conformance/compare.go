package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// ignoredHeaders are not compared, for the reason that stands beside them.
var ignoredHeaders = map[string]string{
	"Date":           "the time",
	"Connection":     "about the connection, which is the HTTP server's matter",
	"Keep-Alive":     "about the connection, which is the HTTP server's matter",
	"Content-Length": "follows from the body; compared where the body is image data",
}

// normal replaces what two servers that do the same say differently.
type normal struct{ pairs *strings.Replacer }

var patterns = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`\breq-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<request>"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	// How a time is written is compared: with a Z or without, with or without
	// microseconds.
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d\.\d{6}`), "<date${1}time.micro>"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d`), "<date${1}time>"},
	// What fails a schema is quoted with that part of the schema, and that has
	// descriptions; what fails, and where, is compared.
	{regexp.MustCompile(`(?s)(Failed validating (?:'|&#x27;)\w+(?:'|&#x27;) in schema(?:\[[^]]*\])*)(:.*?)?(<br />|\\n\\n\\n|\n\n   $|$)`), "$1$3"},
	{regexp.MustCompile(`"(last_accessed|last_modified)": ?\d+\.\d+`), `"$1": "<seconds>"`},
}

// newNormal knows the names that were kept, whose values differ.
func newNormal(s *Server, kept map[string]string) normal {
	var pairs []string
	names := slices.Sorted(maps.Keys(kept))
	for _, name := range names {
		if len(kept[name]) >= 8 {
			pairs = append(pairs, kept[name], "<"+name+">")
		}
	}
	for _, from := range slices.Sorted(maps.Keys(s.Hide)) {
		pairs = append(pairs, from, s.Hide[from])
	}
	return normal{strings.NewReplacer(pairs...)}
}

func (n normal) text(s string) string {
	s = n.pairs.Replace(s)
	for _, p := range patterns {
		s = p.from.ReplaceAllString(s, p.to)
	}
	return s
}

// Differences returns in what way two answers to a step differ, a line each.
// If the status does, that is all that is said: the rest follows from it.
func Differences(original, ours Answer, n, m normal) []string {
	if original.Status != ours.Status {
		return []string{fmt.Sprintf("status: original %d, glanced %d", original.Status, ours.Status)}
	}
	all := headerDifferences(original, ours, n, m)
	a, b := n.text(string(original.Body)), m.text(string(ours.Body))
	if a == b {
		return all
	}
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return append(all, fmt.Sprintf("body: original %q, glanced %q", a, b))
	}
	return append(all, treeDifferences("", x, y)...)
}

func headerDifferences(original, ours Answer, n, m normal) []string {
	var all []string
	names := slices.Collect(maps.Keys(original.Header))
	for name := range ours.Header {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	data := strings.HasPrefix(original.Header.Get("Content-Type"), "application/octet-stream")
	for _, name := range names {
		if _, ignored := ignoredHeaders[name]; ignored && !(name == "Content-Length" && data) {
			continue
		}
		a := n.text(strings.Join(original.Header.Values(name), " | "))
		b := m.text(strings.Join(ours.Header.Values(name), " | "))
		if a != b {
			all = append(all, fmt.Sprintf("header %s: original %q, glanced %q", name, a, b))
		}
	}
	return all
}

// sets are lists whose order means nothing.
var sets = []string{"tags", "enum", "required", "resource_type_associations", "resource_types"}

// treeDifferences compares decoded JSON. The order of the members of an object
// means nothing.
func treeDifferences(path string, x, y any) []string {
	switch x := x.(type) {
	case map[string]any:
		y, ok := y.(map[string]any)
		if !ok {
			break
		}
		var all []string
		keys := slices.Collect(maps.Keys(with(names(x), names(y))))
		slices.Sort(keys)
		for _, k := range keys {
			a, inX := x[k]
			b, inY := y[k]
			switch at := path + "." + k; {
			case !inX:
				all = append(all, fmt.Sprintf("body %s: original has none, glanced %s", at, short(b)))
			case !inY:
				all = append(all, fmt.Sprintf("body %s: original %s, glanced has none", at, short(a)))
			default:
				all = append(all, treeDifferences(at, a, b)...)
			}
		}
		return all
	case []any:
		y, ok := y.([]any)
		if !ok {
			break
		}
		last := path[strings.LastIndex(path, ".")+1:]
		if last == "versions" { // one more is one difference
			return treeDifferences(path, byID(x), byID(y))
		}
		if slices.Contains(sets, last) {
			x, y = sorted(x), sorted(y)
		}
		var all []string
		if len(x) != len(y) {
			all = append(all, fmt.Sprintf("body %s: original has %d elements, glanced %d", path, len(x), len(y)))
		}
		for i := range min(len(x), len(y)) {
			all = append(all, treeDifferences(fmt.Sprintf("%s.%d", path, i), x[i], y[i])...)
		}
		return all
	}
	if reflect.DeepEqual(x, y) {
		return nil
	}
	return []string{fmt.Sprintf("body %s: original %s, glanced %s", path, short(x), short(y))}
}

// byID makes an object of a list of objects that have an ID.
func byID(list []any) map[string]any {
	all := make(map[string]any, len(list))
	for _, e := range list {
		o, _ := e.(map[string]any)
		all[fmt.Sprint(o["id"])] = e
	}
	return all
}

func names(o map[string]any) map[string]string {
	all := make(map[string]string, len(o))
	for k := range o {
		all[k] = k
	}
	return all
}

func sorted(list []any) []any {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return list
}

func short(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if len(text) > 400 {
		return text[:400] + "..."
	}
	return text
}
