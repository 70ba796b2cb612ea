package proposals

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// Severities of a [Diagnostic].
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
)

// A Diagnostic is one mistake in a proposal, or one thing worth a second
// look. Its exported fields are its form in JSON. No secret is in any of them.
type Diagnostic struct {
	Severity string `json:"severity"`         // "error" or "warning"
	Summary  string `json:"summary"`          // what is wrong, on one line
	Detail   string `json:"detail,omitempty"` // what to do about it
	File     string `json:"file,omitempty"`   // "" when it is not in a file
	Line     int    `json:"line,omitempty"`   // from 1
	Column   int    `json:"column,omitempty"` // from 1, in characters
	// Snippet is the source line with secrets masked.
	Snippet string `json:"snippet,omitempty"`

	from, to int // the part of Snippet that is meant, in bytes
}

// Diagnostics are all mistakes of one Load, in the order of their places.
// As JSON they are a list of [Diagnostic].
type Diagnostics []Diagnostic

// HasErrors reports whether one of d is an error.
func (d Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(d, func(d Diagnostic) bool { return d.Severity == SeverityError })
}

// Write writes d for people: summary, place, source line with the part that
// is meant underlined, and the advice. It returns the first error of w.
func (d Diagnostics) Write(w io.Writer, color bool) error {
	var b bytes.Buffer
	for i, one := range d {
		if i > 0 {
			b.WriteByte('\n')
		}
		one.write(&b, color)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (d Diagnostic) write(b *bytes.Buffer, color bool) {
	bold, tint, plain := "", "", ""
	if color {
		bold, tint, plain = "\x1b[1m", "\x1b[1;31m", "\x1b[0m"
		if d.Severity == SeverityWarning {
			tint = "\x1b[1;33m"
		}
	}
	word := "Error"
	if d.Severity == SeverityWarning {
		word = "Warning"
	}
	fmt.Fprintf(b, "%s%s:%s %s%s%s\n", tint, word, plain, bold, d.Summary, plain)
	if d.File != "" {
		fmt.Fprintf(b, "\n  on %s", d.File)
		if d.Line > 0 {
			fmt.Fprintf(b, " line %d, column %d", d.Line, d.Column)
		}
		b.WriteString(":\n")
	}
	if d.Snippet != "" {
		number := fmt.Sprintf("%4d: ", d.Line)
		fmt.Fprintf(b, "  %s%s\n", number, d.Snippet)
		fmt.Fprintf(b, "  %*s%s%s%s%s\n", len(number), "", blank(d.Snippet[:d.from]), tint, underline(d.Snippet[d.from:d.to]), plain)
	}
	if d.Detail != "" {
		b.WriteByte('\n')
		for _, line := range strings.Split(d.Detail, "\n") {
			fmt.Fprintf(b, "  %s\n", line)
		}
	}
}

// blank returns s with everything but its tabs replaced by spaces, so that
// what follows stands in the same column as what follows s.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}

func underline(s string) string {
	return strings.Repeat("^", max(1, utf8.RuneCountInString(s)))
}

// A reporter collects diagnostics. It knows the text of every file that was
// read and every secret that came by, and it is the only maker of a
// Diagnostic, so a secret that it knows cannot leave in one.
type reporter struct {
	files   map[string]source
	secrets map[string]bool
	found   Diagnostics
}

// A source is the text of a file and the ranges in it that nobody may see.
type source struct {
	text   []byte
	hidden []span
}

type span struct{ from, to int }

func newReporter() *reporter {
	return &reporter{files: map[string]source{}, secrets: map[string]bool{}}
}

// add keeps text as the content of the file name for later diagnostics.
func (r *reporter) add(name string, text []byte) {
	r.files[name] = source{text: text, hidden: hiddenSpans(text, name)}
}

// hide makes sure that s is in no diagnostic, including those already found.
func (r *reporter) hide(s string) {
	for _, line := range strings.Split(s, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			r.secrets[line] = true
		}
	}
}

// errorf reports a mistake at rng. Detail is the advice.
func (r *reporter) errorf(rng hcl.Range, detail, format string, args ...any) {
	r.report(SeverityError, rng, fmt.Sprintf(format, args...), detail)
}

// warnf reports something at rng that works but is probably not meant.
func (r *reporter) warnf(rng hcl.Range, detail, format string, args ...any) {
	r.report(SeverityWarning, rng, fmt.Sprintf(format, args...), detail)
}

func (r *reporter) report(severity string, rng hcl.Range, summary, detail string) {
	d := Diagnostic{Severity: severity, Summary: printable(summary), Detail: detail, File: rng.Filename}
	if src, ok := r.files[rng.Filename]; ok && rng.Start.Line > 0 {
		d.Line, d.Column = rng.Start.Line, max(1, rng.Start.Column)
		d.Snippet, d.from, d.to = src.line(rng)
	}
	r.found = append(r.found, d)
}

// diagnostics returns what was found, masked, sorted by place, each once.
func (r *reporter) diagnostics() Diagnostics {
	m := newMasker(r.secrets)
	out := make(Diagnostics, 0, len(r.found))
	for _, d := range r.found {
		d.Summary, d.Detail = m.text(d.Summary), m.text(d.Detail)
		before, meant, after := m.text(d.Snippet[:d.from]), m.text(d.Snippet[d.from:d.to]), m.text(d.Snippet[d.to:])
		d.Snippet, d.from, d.to = before+meant+after, len(before), len(before)+len(meant)
		if whole := m.text(d.Snippet); whole != d.Snippet {
			// A secret lay across the edge of the part that is meant.
			d.Snippet, d.from, d.to = whole, 0, len(whole)
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Summary, b.Summary))
	})
	return slices.CompactFunc(out, func(a, b Diagnostic) bool { return a == b })
}

// line returns the first line of rng with what is hidden masked, and where in
// it the part lies that rng means.
func (s source) line(rng hcl.Range) (text string, from, to int) {
	at := min(max(rng.Start.Byte, 0), len(s.text))
	begin := bytes.LastIndexByte(s.text[:at], '\n') + 1
	end := len(s.text)
	if i := bytes.IndexByte(s.text[at:], '\n'); i >= 0 {
		end = at + i
	}
	stop := min(max(rng.End.Byte, at), end)
	var b strings.Builder
	from, to = -1, -1
	for i := begin; i < end; {
		if from < 0 && i >= at {
			from = b.Len()
		}
		if to < 0 && i >= stop && from >= 0 {
			to = b.Len()
		}
		if h, ok := s.hiddenAt(i); ok {
			b.WriteString(mask)
			i = min(h.to, end)
			continue
		}
		c, n := utf8.DecodeRune(s.text[i:end])
		b.WriteString(printable(string(c)))
		i += n
	}
	text = strings.TrimRight(b.String(), " \t\r")
	if from < 0 {
		from = len(text)
	}
	if to < 0 {
		to = len(text)
	}
	from = min(from, len(text))
	return text, from, max(from, min(to, len(text)))
}

func (s source) hiddenAt(i int) (span, bool) {
	for _, h := range s.hidden {
		if h.from <= i && i < h.to {
			return h, true
		}
	}
	return span{}, false
}

// printable replaces what a terminal would obey instead of show.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || unicode.IsPrint(r) {
			return r
		}
		if r == '\r' {
			return ' '
		}
		return '\uFFFD'
	}, s)
}
