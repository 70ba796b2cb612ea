package view

import (
	"fmt"
	"strings"
	"time"
)

// Status is how a deployment is.
type Status struct {
	Source Source
	Nodes  []*NodeState
}

// A NodeState is how one machine is.
type NodeState struct {
	Node      string       `json:"node"`
	Error     string       `json:"error,omitempty"`  // why it could not be looked at
	ImageNode bool         `json:"image_node"`       // the proposal gives it the role
	Applied   time.Time    `json:"applied,omitzero"` // zero: never
	Destroyed bool         `json:"destroyed,omitempty"`
	Revision  string       `json:"revision,omitempty"` // of the last apply
	Modified  bool         `json:"modified,omitempty"`
	Glancectl string       `json:"glancectl,omitempty"` // the version that applied
	Pending   int          `json:"pending"`             // changes that an apply would make
	Drifted   int          `json:"drifted"`             // of them, made by hand on the node
	Checks    []CheckState `json:"checks,omitempty"`
	Jobs      []JobState   `json:"jobs,omitempty"`
}

// A CheckState is the answer to one check.
type CheckState struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func (r Status) talk() bool { return false }

func (r Status) lines() []line {
	out := []line{{"source", r.Source}}
	for _, n := range r.Nodes {
		out = append(out, line{"node_status", n})
	}
	return out
}

func (r Status) text(p *paper) {
	p.print("%s\n", r.Source)
	for _, n := range r.Nodes {
		name := n.Node
		if name == "" {
			name = "this machine"
		}
		p.print("\n%s\n", p.in(bold, name))
		if n.Error != "" {
			p.indented("  ", p.in(red, "cannot look at it: ")+n.Error)
			continue
		}
		switch {
		case n.Destroyed:
			p.print("  destroyed  %s; its data is still there\n", n.applied())
		case !n.Applied.IsZero():
			p.print("  applied    %s\n", n.applied())
		case n.ImageNode:
			p.print("  applied    never\n")
		}
		p.print("  changes    %s\n", n.pending(p))
		for _, c := range n.Checks {
			if c.OK {
				p.print("  %s         %s\n", p.in(green, "ok"), c.Check)
				continue
			}
			p.print("  %s       %s: %s\n", p.in(red, "FAIL"), c.Check, c.Error)
		}
		for _, j := range n.Jobs {
			if j.Warning != "" {
				p.print("  %s    %s: %s\n", p.in(yellow, "warning"), j.Job, j.Warning)
			}
		}
	}
}

func (n *NodeState) applied() string {
	parts := []string{n.Applied.UTC().Format("2006-01-02 15:04:05 UTC")}
	if n.Revision != "" {
		revision := "revision " + n.Revision[:min(10, len(n.Revision))]
		if n.Modified {
			revision += ", modified"
		}
		parts = append(parts, revision)
	}
	return strings.Join(append(parts, "by glancectl "+n.Glancectl), ", ")
}

func (n *NodeState) pending(p *paper) string {
	switch {
	case n.Pending == 0:
		return "none: it is as the proposal says"
	case n.Drifted > 0:
		return p.in(yellow, fmt.Sprintf("%d pending, %d of them made by hand on the node", n.Pending, n.Drifted))
	}
	return p.in(yellow, fmt.Sprintf("%d pending", n.Pending))
}

// Version is which glancectl this is.
type Version struct {
	Glancectl string   `json:"glancectl"`
	Go        string   `json:"go"`
	Services  []string `json:"services"` // architectures whose image service is inside
}

func (r Version) talk() bool    { return false }
func (r Version) lines() []line { return []line{{"program", r}} }

func (r Version) text(p *paper) {
	p.print("glancectl %s (%s)\n", r.Glancectl, r.Go)
	if len(r.Services) == 0 {
		p.print("no image service inside; `make build` puts it there\n")
		return
	}
	p.print("image service for linux/%s inside\n", strings.Join(r.Services, ", linux/"))
}

// A File is a rendered file.
type File struct {
	Node    string `json:"node"`
	Path    string `json:"path"`
	Mode    string `json:"mode"`
	Owner   string `json:"owner,omitempty"`
	Group   string `json:"group,omitempty"`
	Content string `json:"content"`
}

func (r File) talk() bool    { return false }
func (r File) lines() []line { return []line{{"file", r}} }

func (r File) text(p *paper) {
	owner := ""
	if r.Owner != "" {
		owner = " " + r.Owner + ":" + r.Group
	}
	p.print("%s\n%s\n", p.in(bold, fmt.Sprintf("==> %s %s (%s%s) <==", r.Node, r.Path, r.Mode, owner)), r.Content)
}
