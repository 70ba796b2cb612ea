package dbserver

import (
	"slices"
	"strings"
)

// Privileges are what an Account's user holds on its database: what the
// service and its schema changes need.
func Privileges() []string {
	return []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "INDEX", "ALTER", "REFERENCES"}
}

const allPrivileges = "ALL PRIVILEGES"

// A grant is one line of SHOW GRANTS, taken apart.
type grant struct {
	privileges []string
	on         string // such as `glance`.* or *.*; "" when roles are granted
	option     bool   // the user may pass it on
}

// parseGrant reads a line of SHOW GRANTS. Lines that grant nothing are not ok.
func parseGrant(line string) (g grant, ok bool) {
	rest, ok := strings.CutPrefix(line, "GRANT ")
	if !ok {
		return g, false
	}
	what, rest, ok := cutOutside(rest, " TO ")
	if !ok {
		return g, false
	}
	if privileges, on, found := cutOutside(what, " ON "); found {
		what, g.on = privileges, on
	}
	for {
		p, more, found := cutOutside(what, ",")
		if p = strings.TrimSpace(p); p != "USAGE" {
			g.privileges = append(g.privileges, p)
		}
		if !found {
			break
		}
		what = more
	}
	_, tail, _ := cutOutside(rest, " WITH ")
	g.option = strings.Contains(tail, "GRANT OPTION") || strings.Contains(tail, "ADMIN OPTION")
	return g, len(g.privileges) > 0 || g.option
}

// cutOutside cuts s around the first sep that is not inside quotes or
// parentheses.
func cutOutside(s, sep string) (before, after string, found bool) {
	var quote byte
	depth := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0 && c == '\\' && quote != '`':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case strings.HasPrefix(s[i:], sep) && depth == 0:
			return s[:i], s[i+len(sep):], true
		case c == '`' || c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
	}
	return s, "", false
}

// A grantDiff is what is to be done about a user's privileges.
type grantDiff struct {
	scope   string
	renew   bool     // ALL PRIVILEGES on the scope: take them all, give ours
	missing []string // on the scope
	extra   []grant  // anywhere
}

// compareGrants compares what a user holds with Privileges on one database.
func compareGrants(have []grant, database string) grantDiff {
	d := grantDiff{scope: scope(database)}
	var held []string
	for _, g := range have {
		if g.on != d.scope {
			d.extra = append(d.extra, g)
			continue
		}
		extra := grant{on: g.on, option: g.option}
		for _, p := range g.privileges {
			switch {
			case p == allPrivileges:
				d.renew = true
			case slices.Contains(Privileges(), p):
				held = append(held, p)
			default:
				extra.privileges = append(extra.privileges, p)
			}
		}
		if len(extra.privileges) > 0 || extra.option {
			d.extra = append(d.extra, extra)
		}
	}
	for _, p := range Privileges() {
		if !slices.Contains(held, p) {
			d.missing = append(d.missing, p)
		}
	}
	return d
}

func (d grantDiff) any() bool { return len(d.missing) > 0 || len(d.extra) > 0 }

// String says it in words.
func (d grantDiff) String() string {
	var parts []string
	if len(d.missing) > 0 && !d.renew {
		parts = append(parts, "grant "+strings.Join(d.missing, ", "))
	}
	if d.renew {
		parts = append(parts, "revoke ALL PRIVILEGES, grant "+strings.Join(d.missing, ", "))
	}
	for _, g := range d.extra {
		parts = append(parts, "revoke "+g.text())
	}
	return strings.Join(parts, "; ")
}

func (g grant) text() string {
	what := slices.Clone(g.privileges)
	if g.option {
		what = append(what, "GRANT OPTION")
	}
	text := strings.Join(what, ", ")
	if g.on != "" {
		text += " ON " + g.on
	}
	return text
}

// statements are the way there. Missing privileges come first, so that a
// running service is never without those that it had.
func (d grantDiff) statements(user string) []string {
	var all []string
	if d.renew {
		all = append(all, "REVOKE ALL PRIVILEGES ON "+d.scope+" FROM "+grantee(user))
	}
	if len(d.missing) > 0 {
		all = append(all, "GRANT "+strings.Join(d.missing, ", ")+" ON "+d.scope+" TO "+grantee(user))
	}
	for _, g := range d.extra {
		from := " FROM " + grantee(user)
		switch {
		case g.on == "": // a role; an option to pass it on goes with it
			all = append(all, "REVOKE "+strings.Join(g.privileges, ", ")+from)
			continue
		case len(g.privileges) > 0:
			all = append(all, "REVOKE "+strings.Join(g.privileges, ", ")+" ON "+g.on+from)
		}
		if g.option {
			all = append(all, "REVOKE GRANT OPTION ON "+g.on+from)
		}
	}
	return all
}
