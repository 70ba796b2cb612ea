// Package view is the only part of glancectl that prints.
//
// There are two views of every record: text for people and JSON lines for
// programs. The answer goes to standard output, the talk (progress,
// mistakes, questions) to standard error; with JSON all of it is the answer.
// The package decides nothing: it is told what happened and shows it.
package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Schema is the version of the JSON lines. It changes when a field changes
// its meaning or goes, not when one comes.
const Schema = 1

// A Record is one thing that glancectl has to say.
type Record interface {
	// lines are the record's JSON lines.
	lines() []line
	// talk reports whether people get the record on standard error.
	talk() bool
	// text writes the record for people.
	text(p *paper)
}

// A line is one JSON object: its "type" and the fields of body.
type line struct {
	kind string
	body any
}

// Options say where a View prints and how.
type Options struct {
	Out, Err io.Writer
	JSON     bool
	Colour   bool
	Terminal bool // progress may be drawn over on Err
	Version  string
	Now      func() time.Time // nil means time.Now
}

// A View prints records. It may be used by several goroutines.
type View struct {
	o      Options
	mu     sync.Mutex
	live   live
	opened bool
	lost   error             // why an answer could not be written
	hidden *strings.Replacer // nil while nothing is hidden
}

// New returns a View.
func New(o Options) *View {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &View{o: o, live: live{w: o.Err, on: o.Terminal && !o.JSON, now: o.Now}}
}

// Show prints r.
func (v *View) Show(r Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.o.JSON {
		v.json(r)
		return
	}
	v.live.clear()
	w, colour := v.o.Out, v.o.Colour
	if r.talk() {
		w, colour = v.o.Err, v.o.Colour && v.o.Terminal
	}
	var text bytes.Buffer
	r.text(&paper{w: &text, colour: colour})
	v.write(w, text.String())
	v.live.draw()
}

// maskLength is the length from which on a secret is hidden wherever it
// stands. A shorter one is too likely to be part of an ordinary word.
const maskLength = 8

// Hide masks secrets in all that is shown from now on. Nothing that is shown
// should have one in it; this is the second net, for the output of foreign
// programs.
func (v *View) Hide(secrets ...string) {
	// One that is part of another must not uncover the rest of it.
	secrets = slices.Clone(secrets)
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range secrets {
		if len(s) < maskLength {
			continue
		}
		inJSON, err := json.Marshal(s)
		if err == nil {
			pairs = append(pairs, strings.Trim(string(inJSON), `"`), mask)
		}
		pairs = append(pairs, s, mask, url.QueryEscape(s), mask, url.PathEscape(s), mask)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hidden = strings.NewReplacer(pairs...)
}

const mask = "(sensitive)"

// write writes text with secrets masked. What goes wrong is told at the end,
// by Complete: no work is given up in the middle for it.
func (v *View) write(w io.Writer, text string) {
	if v.hidden != nil {
		text = v.hidden.Replace(text)
	}
	if _, err := io.WriteString(w, text); err != nil && w == v.o.Out && v.lost == nil {
		v.lost = err
	}
}

// Complete reports whether all of the answer could be written, and says on
// standard error what it was if not. Somebody who stopped reading, as head
// does, has all that was wanted.
func (v *View) Complete() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.lost == nil || errors.Is(v.lost, syscall.EPIPE) {
		return true
	}
	v.write(v.o.Err, fmt.Sprintf("glancectl: the answer is not complete: %v\n", v.lost))
	return false
}

// json prints the record as one line, after a first line that names the schema.
func (v *View) json(r Record) {
	lines := r.lines()
	if !v.opened {
		v.opened = true
		lines = append([]line{{"version", struct {
			Schema    int    `json:"schema"`
			Glancectl string `json:"glancectl"`
		}{Schema, v.o.Version}}}, lines...)
	}
	for _, l := range lines {
		v.write(v.o.Out, string(l.marshal()))
	}
}

// marshal returns the line as one JSON object that begins with its type.
func (l line) marshal() []byte {
	b, err := json.Marshal(l.body)
	if err != nil {
		b, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	out := []byte(`{"type":"` + l.kind + `"`)
	if len(b) > 2 {
		out = append(out, ',')
	}
	return append(append(out, b[1:]...), '\n')
}
