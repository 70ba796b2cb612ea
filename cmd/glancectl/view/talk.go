package view

import (
	"bytes"

	"glancectl/proposals"
)

// Mistakes are what is wrong with a proposal.
type Mistakes struct {
	Diagnostics proposals.Diagnostics
}

func (r Mistakes) talk() bool { return true }

func (r Mistakes) text(p *paper) {
	var b bytes.Buffer
	_ = r.Diagnostics.Write(&b, p.colour) // a Buffer takes everything
	p.print("%s", b.String())
}

func (r Mistakes) lines() []line {
	out := make([]line, len(r.Diagnostics))
	for i, d := range r.Diagnostics {
		out[i] = line{"diagnostic", d}
	}
	return out
}

// A Notice is one sentence of talk.
type Notice struct {
	Text string `json:"text"`
}

func (r Notice) talk() bool    { return true }
func (r Notice) lines() []line { return []line{{"notice", r}} }
func (r Notice) text(p *paper) { p.print("%s\n", r.Text) }

// An Answer is one sentence that the verb was asked for.
type Answer struct {
	Text string `json:"text"`
}

func (r Answer) talk() bool    { return false }
func (r Answer) lines() []line { return []line{{"answer", r}} }
func (r Answer) text(p *paper) { p.print("%s\n", r.Text) }

// A Problem is why glancectl ends without having done what it was asked to.
type Problem struct {
	Err    error
	Advice string // what to do about it; "" when the error says so
	Code   int    // the exit code
}

func (r Problem) talk() bool { return true }

func (r Problem) lines() []line {
	return []line{{"error", struct {
		Error  string `json:"error"`
		Advice string `json:"advice,omitempty"`
		Code   int    `json:"code"`
	}{r.Err.Error(), r.Advice, r.Code}}}
}

func (r Problem) text(p *paper) {
	p.print("%s %s\n", p.in(red, "glancectl:"), r.Err)
	if r.Advice != "" {
		p.indented("  ", r.Advice)
	}
}
