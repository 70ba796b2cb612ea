package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"glancectl/provision"
)

// A Source says where a proposal was read from.
type Source struct {
	Proposal string `json:"proposal"`
	File     string `json:"file"`
	Revision string `json:"revision,omitempty"` // short; "" outside of a repository
	Modified bool   `json:"modified,omitempty"` // the file differs from the revision
}

func (s Source) String() string {
	text := fmt.Sprintf("Proposal %s from %s", s.Proposal, s.File)
	switch {
	case s.Revision == "":
		return text + ", not in a git repository"
	case s.Modified:
		return text + " at revision " + s.Revision + ", modified since"
	}
	return text + " at revision " + s.Revision
}

// A Plan is what an apply would do.
type Plan struct {
	Source Source
	Plan   *provision.Plan
	Apply  string // the command that makes it so; "" when it follows at once
	Trips  int64  // the most round trips that one node took
	// Nothing is said when there is nothing to do; "" means that everything
	// is as the proposal says.
	Nothing string
}

func (r Plan) talk() bool { return false }

// A change is one planned change in JSON.
type change struct {
	Stage    string           `json:"stage"`
	Target   string           `json:"target"`
	Node     string           `json:"node"`
	ID       string           `json:"id"`
	Action   provision.Action `json:"action"`
	Summary  string           `json:"summary,omitempty"`
	Drifted  bool             `json:"drifted,omitempty"`
	Proposed bool             `json:"proposal_changed,omitempty"`
	Diff     string           `json:"diff,omitempty"`
}

// A failure is a target that could not be observed, in JSON.
type failure struct {
	Target string `json:"target"`
	Node   string `json:"node"`
	Error  string `json:"error"`
}

// A Tally counts what a plan does.
type Tally struct {
	Targets int `json:"targets"` // that have changes
	Add     int `json:"add"`
	Change  int `json:"change"`
	Remove  int `json:"remove"`
	Restart int `json:"restart"`
	Run     int `json:"run"`
	Drifted int `json:"drifted"`
	Failed  int `json:"failed"` // targets that could not be observed
}

// Count counts what p does.
func Count(p *provision.Plan) Tally {
	var t Tally
	seen := map[string]bool{}
	for _, s := range p.Stages {
		for _, target := range s.Targets {
			if target.Err != nil {
				if !seen["failed "+target.Host] {
					t.Failed++
				}
				seen["failed "+target.Host] = true
				continue
			}
			if len(target.Changes) > 0 && !seen[target.Name] {
				t.Targets++
				seen[target.Name] = true
			}
			for _, c := range target.Changes {
				t.add(c)
			}
		}
	}
	return t
}

func (t *Tally) add(c provision.Change) {
	switch c.Action {
	case provision.Create:
		t.Add++
	case provision.Update:
		t.Change++
	case provision.Delete:
		t.Remove++
	case provision.Restart:
		t.Restart++
	case provision.Run:
		t.Run++
	}
	if c.Drifted {
		t.Drifted++
	}
}

// Empty reports whether there is nothing to do.
func (t Tally) Empty() bool { return t.Add+t.Change+t.Remove+t.Restart+t.Run == 0 }

func (t Tally) String() string {
	parts := []string{}
	for _, part := range []struct {
		n    int
		what string
	}{{t.Add, "to add"}, {t.Change, "to change"}, {t.Remove, "to remove"}, {t.Restart, "to restart"}, {t.Run, "to run"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return count(t.Targets, "target") + ": " + strings.Join(parts, ", ")
}

// lines are the JSON lines of a plan.
func (r Plan) lines() []line {
	out := []line{{"source", r.Source}}
	seen := map[string]bool{}
	for _, s := range r.Plan.Stages {
		for _, t := range s.Targets {
			if t.Err != nil {
				if !seen[t.Host] {
					out = append(out, line{"target_failed", failure{t.Name, t.Host, t.Err.Error()}})
				}
				seen[t.Host] = true
				continue
			}
			for _, c := range t.Changes {
				out = append(out, line{"planned_change", change{
					s.Name, t.Name, t.Host, c.ID, c.Action, c.Summary, c.Drifted, c.Proposed, c.Diff,
				}})
			}
		}
	}
	return append(out, line{"change_summary", struct {
		Tally
		Trips int64 `json:"round_trips"`
	}{Count(r.Plan), r.Trips}})
}

func (r Plan) text(p *paper) {
	p.print("%s\n", r.Source)
	failed := r.failures(p)
	for _, b := range r.blocks(p) {
		p.print("\n%s\n%s", p.in(bold, b.title()), b.body)
	}
	t := Count(r.Plan)
	switch {
	case t.Empty() && failed > 0:
		p.print("\nNo changes on what could be reached.\n")
	case t.Empty():
		p.print("\n%s\n", p.in(green, cmp.Or(r.Nothing, "No changes: everything is as the proposal says.")))
	default:
		p.print("\nPlan: %s.\n", t)
	}
	if t.Drifted > 0 {
		p.print("%s\n", p.in(yellow, count(t.Drifted, "change")+" made by hand on the nodes since the last apply will be undone."))
	}
	if failed > 0 {
		p.print("%s\n", p.in(red, count(failed, "target")+" could not be looked at and will be left out."))
	}
	if r.Apply != "" && !t.Empty() {
		p.print("To make it so: %s\n", r.Apply)
	}
}

// failures prints the nodes that could not be observed.
func (r Plan) failures(p *paper) int {
	seen := map[string]bool{}
	for _, s := range r.Plan.Stages {
		for _, t := range s.Targets {
			if t.Err == nil || seen[t.Host] {
				continue
			}
			seen[t.Host] = true
			p.print("\n%s\n", p.in(bold, cmp.Or(t.Host, t.Name))) // what has no node has a name
			p.indented("  ", p.in(red, "cannot look at it: ")+t.Err.Error())
		}
	}
	return len(seen)
}

// A block is what is to be done on some targets, on all of them the same.
type block struct {
	names []string
	body  string
}

func (b *block) title() string {
	if len(b.names) > 6 {
		return fmt.Sprintf("%s … %s (%d targets)", strings.Join(b.names[:3], ", "), b.names[len(b.names)-1], len(b.names))
	}
	return strings.Join(b.names, ", ")
}

// blocks puts together what reads the same, in the order in which it is done.
func (r Plan) blocks(p *paper) []*block {
	var out []*block
	for _, s := range r.Plan.Stages {
		for _, b := range stageBlocks(p, s) {
			if last := len(out) - 1; last >= 0 && slices.Equal(out[last].names, b.names) {
				out[last].body += b.body
				continue
			}
			out = append(out, b)
		}
	}
	return out
}

func stageBlocks(p *paper, s provision.PlannedStage) []*block {
	var out []*block
	for _, t := range s.Targets {
		if t.Err != nil || len(t.Changes) == 0 {
			continue
		}
		var body strings.Builder
		for _, c := range t.Changes {
			writeChange(&paper{w: &body, colour: p.colour}, c)
		}
		i := slices.IndexFunc(out, func(b *block) bool { return b.body == body.String() })
		if i < 0 {
			out = append(out, &block{body: body.String()})
			i = len(out) - 1
		}
		out[i].names = append(out[i].names, t.Name)
	}
	return out
}

// signs are how the actions look.
var signs = map[provision.Action]struct{ sign, colour string }{
	provision.Create:  {"+", green},
	provision.Update:  {"~", yellow},
	provision.Delete:  {"-", red},
	provision.Restart: {"!", cyan},
	provision.Run:     {">", cyan},
}

func writeChange(p *paper, c provision.Change) {
	s := signs[c.Action]
	p.print("  %s %s\n", p.in(s.colour, s.sign), describe(c))
	switch {
	case c.Drifted:
		p.print("      %s\n", p.in(yellow, "changed on the node since the last apply"))
	case c.Proposed && c.Action == provision.Delete:
		p.print("      not in the proposal any more\n")
	case c.Proposed:
		p.print("      changed in the proposal since the last apply\n")
	}
	if c.Diff != "" && c.Action != provision.Create {
		writeDiff(p, c.Diff)
	}
}

// describe is the summary, which names the resource; a change without one is
// described by its ID.
func describe(c provision.Change) string {
	if c.Summary != "" {
		return c.Summary
	}
	return strings.Replace(c.ID, ":", " ", 1)
}

func writeDiff(p *paper, diff string) {
	for _, line := range strings.Split(strings.TrimRight(diff, "\n"), "\n") {
		colour := ""
		switch {
		case strings.HasPrefix(line, "+"):
			colour = green
		case strings.HasPrefix(line, "-"):
			colour = red
		case strings.HasPrefix(line, "@@"):
			colour = cyan
		}
		if colour != "" {
			line = p.in(colour, line)
		}
		p.print("      %s\n", line)
	}
}
