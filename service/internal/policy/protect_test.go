package policy

import (
	"slices"
	"strings"
	"testing"

	"glancectl/service/glance"
)

const byRoles = `# licences are for billing
[^license_]
create = admin, Billing
read = @
update: admin
delete = !

; a class of letters in the name of a section
[^x_[a-c]$]
create =
READ = billing
update = billing,reader
delete = member

[shadowed|^license_key$]
create = @
read = @
update = @
delete = @
`

// letters returns what c may do with a property, as the first letters of the
// actions.
func letters(p *Protections, c glance.Caller, property string) string {
	var may []byte
	for _, a := range actions {
		if p.Permits(c, a, property) {
			may = append(may, a[0])
		}
	}
	return string(may)
}

func TestProtections(t *testing.T) {
	s := newSite(t)
	s.write(t, "protect.conf", byRoles)
	p, err := OpenProtections(s.path("protect.conf"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ roles, property, want string }{
		{"admin", "license_key", "cru"},
		{"billing", "license_key", "cr"},
		{"member reader", "license_key", "r"}, // the first section that fits
		{"", "license_key", "r"},
		{"billing", "x_a", "ru"},
		{"member reader", "x_b", "ud"},
		{"member", "x_d", ""}, // fits none
		{"admin", "other", ""},
		{"member", "is_shadowed_by", "crud"}, // anywhere in the name
		{"", "shadowed", "crud"},
	} {
		if got := letters(p, glance.Caller{Roles: strings.Fields(test.roles)}, test.property); got != test.want {
			t.Errorf("%q may %q with %s; want %q", test.roles, got, test.property, test.want)
		}
	}
}

func TestProtectionsByRules(t *testing.T) {
	s := newSite(t)
	s.write(t, "policy.yaml", "billing: role:billing and not role:reader\n")
	s.write(t, "protect.conf", "[^license_]\ncreate = billing\nread = @\nupdate = context_is_admin\ndelete = !\n")
	e := s.open(t)
	p, err := OpenProtections(s.path("protect.conf"), e)
	if err != nil {
		t.Fatal(err)
	}
	for roles, want := range map[string]string{"billing": "cr", "billing reader": "r", "admin": "ru", "": "r"} {
		if got := letters(p, glance.Caller{Roles: strings.Fields(roles)}, "license_key"); got != want {
			t.Errorf("%q may %q; want %q", roles, got, want)
		}
	}
	s.write(t, "policy.yaml", "billing: role:reader\n")
	if got := letters(p, glance.Caller{Roles: []string{"reader"}}, "license_key"); got != "cr" {
		t.Errorf("after the rule changed a reader may %q; want cr", got)
	}
}

func TestProtectionMistakes(t *testing.T) {
	const rest = "read = @\nupdate = @\ndelete = @\n"
	for _, test := range []struct {
		text   string
		engine bool
		want   []string
	}{
		{"[a]\n" + rest, false, []string{"protect.conf:1: who may create is not said"}},
		{"[a]\n[b]\ncreate = x\n" + rest, false, []string{"conf:1: who may create", "conf:1: who may read", "conf:1: who may update", "conf:1: who may delete"}},
		{"[(]\ncreate = x\n" + rest, false, []string{"protect.conf:1: error parsing regexp"}},
		{"[(?!a)]\ncreate = x\n" + rest, false, []string{"protect.conf:1: error parsing regexp"}},
		{"\n\n[a\n", false, []string{`protect.conf:3: "[a" is no [section]`}},
		{"[]\n", false, []string{`protect.conf:1: "[]" is no [section]`}},
		{"create = x\n", false, []string{`protect.conf:1: "create = x" stands before the first [section]`}},
		{"[a]\ncreate\n" + rest, false, []string{`protect.conf:2: "create" is no line`}},
		{"[a]\nwrite = x\n" + rest, false, []string{`protect.conf:2: "write": an action is create, read, update or delete`}},
		{"[a]\ncreate = x\ncreate = y\n" + rest, false, []string{"protect.conf:3: create is there twice"}},
		{"[a]\ncreate = x\n" + rest + "[a]\ncreate = x\n" + rest, false, []string{"protect.conf:6: [a] is there twice"}},
		{"[a]\ncreate = @, !\n" + rest, false, []string{"protect.conf:2: @ is everybody and ! is nobody"}},
		{"[a]\ncreate = context_is_admin, default\n" + rest, true, []string{"protect.conf:2: only one rule"}},
		{"[a]\ncreate = nobody_wrote_it\n" + rest, true, []string{`protect.conf:1: there is no rule "nobody_wrote_it"`}},
		{"# nothing\n", false, []string{"protect.conf: it has no [section]"}},
	} {
		s := newSite(t)
		s.write(t, "protect.conf", test.text)
		var e *Engine
		if test.engine {
			e = s.open(t)
		}
		_, err := OpenProtections(s.path("protect.conf"), e)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("OpenProtections of %q: %v; want %q", test.text, err, want)
			}
		}
	}
	s := newSite(t)
	if _, err := OpenProtections(s.path("protect.conf"), nil); err == nil || !strings.Contains(err.Error(), s.path("protect.conf")) {
		t.Errorf("OpenProtections of no file: %v; want its name", err)
	}
}

// FuzzProtections: a file is refused or it answers, and nobody may do less for
// having a role.
func FuzzProtections(f *testing.F) {
	f.Add(byRoles, "license_key")
	f.Add("[a]\ncreate=@\nread=!\nupdate=\ndelete=x", "b")
	f.Add("[[]\n= [\n", "")
	f.Fuzz(func(t *testing.T, text, property string) {
		p, err := parseProtections("f", []byte(text), nil)
		if err != nil {
			return
		}
		var roles []string
		for _, section := range p.sections {
			for _, a := range actions {
				roles = append(roles, section.who[a]...)
			}
		}
		none, every := letters(p, glance.Caller{}, property), letters(p, glance.Caller{Roles: roles}, property)
		for _, letter := range none {
			if !slices.Contains([]rune(every), letter) {
				t.Errorf("%q: without a role one may %q with %q, with all of them %q", text, none, property, every)
			}
		}
	})
}
