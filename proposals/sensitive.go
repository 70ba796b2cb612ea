package proposals

import (
	"maps"
	"slices"
)

// hiddenText are the texts that Load met and nobody may see. A Proposal
// points to it, so that printing one does not print them.
type hiddenText struct{ lines []string }

// Sensitive returns every text that nobody may see, sorted and each once:
// the passwords and keys of p, the values of its sensitive options, and, line
// by line, whatever came from a sensitive variable where it was loaded from,
// also when no attribute was given it. Short words are among them: it is the
// caller's to say what is too short to be masked wherever it stands.
func (p *Proposal) Sensitive() []string {
	all := map[string]bool{}
	if p.hidden != nil {
		for _, line := range p.hidden.lines {
			all[line] = true
		}
	}
	for _, s := range p.secrets() {
		all[s.Reveal()] = true
	}
	if p.Glance != nil {
		for _, o := range p.Glance.sensitiveOptions() {
			all[o.Value] = true
		}
	}
	delete(all, "")
	return slices.Sorted(maps.Keys(all))
}

// secrets are the passwords and keys of p, those that were not given too.
func (p *Proposal) secrets() []Secret {
	var all []Secret
	for _, m := range p.MySQL {
		all = append(all, m.AdminPassword)
	}
	for _, k := range p.Keystone {
		all = append(all, k.Admin.Password, k.Admin.Environment[adminPassword], k.Admin.Environment[applicationSecret])
	}
	g := p.Glance
	if g == nil {
		return all
	}
	all = append(all, g.Database.Password)
	if g.Keystone != nil {
		all = append(all, g.Keystone.ServicePassword)
	}
	if g.RabbitMQ != nil {
		all = append(all, g.RabbitMQ.Password)
	}
	for _, b := range g.Backings {
		all = append(all, b.Key)
	}
	return all
}

func (g *GlanceServer) sensitiveOptions() []ConfigOption {
	var all []ConfigOption
	for _, f := range g.Config {
		for _, s := range f.Sections {
			for _, o := range s.Options {
				if o.Sensitive {
					all = append(all, o)
				}
			}
		}
	}
	return all
}
