package proposals

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
)

// digest returns a hash of what p wants. Secrets do not go into it: it is kept
// on nodes, and a hash would let a short password be guessed. Neither does
// where the proposal and the operator's keys lie, so that two operators with
// a checkout each come to the same digest.
func digest(p *Proposal) string {
	c := *p
	c.File, c.Inventory, c.Digest = "", "", ""
	c.Nodes = make([]*Node, len(p.Nodes))
	for i, n := range p.Nodes {
		node := *n
		node.SSH.PrivateKey, node.SSH.KnownHosts = "", ""
		c.Nodes[i] = &node
	}
	if p.Glance != nil {
		g := *p.Glance
		g.Images = imageNames(p)
		g.Config = maskedConfig(g.Config)
		c.Glance = &g
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // a Proposal holds nothing that JSON cannot
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// imageNames returns the images of p with files named from the proposal's
// directory on.
func imageNames(p *Proposal) []string {
	names := slices.Clone(p.Glance.Images)
	for i, name := range names {
		if strings.Contains(name, "://") {
			continue
		}
		if rel, err := filepath.Rel(filepath.Dir(p.File), name); err == nil {
			names[i] = rel
		}
	}
	return names
}

// maskedConfig returns files without the values of sensitive options.
func maskedConfig(files []ConfigFile) []ConfigFile {
	files = slices.Clone(files)
	for i := range files {
		files[i].Sections = slices.Clone(files[i].Sections)
		for j := range files[i].Sections {
			options := slices.Clone(files[i].Sections[j].Options)
			for k := range options {
				if options[k].Sensitive {
					options[k].Value = mask
				}
			}
			files[i].Sections[j].Options = options
		}
	}
	return files
}
