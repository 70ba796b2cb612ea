package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"glancectl/service/glance"
)

func p[T any](v T) *T { return &v }

// alice is a member of project p1, and anImage belongs to it.
var alice = glance.Caller{
	UserID: "alice", ProjectID: "p1", UserDomainID: "d1", ProjectDomainID: "d2", Roles: []string{"member", "reader"},
}

func anImage() *glance.Image {
	return &glance.Image{
		ID: "71c675ab-d94f-49cd-a114-e12490b328d9", Owner: p("p1"), Name: p("cirros"), Visibility: glance.Private,
		Status: glance.Active, Size: p(int64(7)), MinDisk: 3, Protected: true, DiskFormat: p("raw"),
		Properties: map[string]string{"licence": "p1", "os_distro": "debian"},
	}
}

// ask answers one rule for alice and anImage. The rules yes and no are there
// to be referred to.
func ask(t *testing.T, written any, change ...func(*glance.Caller, *glance.Target)) (bool, error) {
	t.Helper()
	s, err := build([]definition{{name: "asked", rule: written}, {name: "yes", rule: "@"}, {name: "no", rule: "!"}}, Options{}, nil)
	if err != nil {
		return false, err
	}
	c, target := alice, glance.Target{Image: anImage()}
	for _, f := range change {
		f(&c, &target)
	}
	return s.allows("asked", &query{caller: c, target: target}), nil
}

func TestLanguage(t *testing.T) {
	for rule, want := range map[string]bool{
		"":                   true,
		"@":                  true,
		"!":                  false,
		"role:member":        true,
		"role:Member":        true,
		"role:admin":         false,
		"roles:reader":       true,
		"rule:yes":           true,
		"rule:no":            false,
		"not rule:no":        true,
		"NOT rule:no":        true,
		"not not rule:no":    false,
		"not (not (@))":      true,
		"rule:yes and @":     true,
		"rule:yes AND !":     false,
		"! or rule:yes":      true,
		"! or !":             false,
		"  ( @  )  ":         true,
		"((@ and @) and @)":  true,
		"not @ or @":         true,
		"not (@ or @)":       false,
		"@ or ! and !":       true, // and binds more tightly
		"! and ! or @":       true,
		"(@ or !) and !":     false,
		"not ! and not !":    true,
		"@ and not ! or !":   true,
		"! and @ or @ and @": true,

		"project_id:%(project_id)s":               true,
		"project_id:%(owner)s":                    true,
		"tenant:%(tenant)s":                       true,
		"project_id:p1":                           true,
		"project_id:p2":                           false,
		"user_id:alice":                           true,
		"user_id:%(owner)s":                       false,
		"user_domain_id:d1":                       true,
		"project_domain_id:d1":                    false,
		"domain_id:d1":                            false, // the token is for a project
		"system_scope:all":                        false,
		"is_admin:False":                          true,
		"project_id:%(licence)s":                  true, // a custom property
		"project_id:%(nothing)s":                  false,
		"not project_id:%(nothing)s":              true,
		"project_id:%(member_id)s":                false, // it is about no member
		"project_id:p%(min_disk)s":                false,
		"project_id:%(owner)s%%":                  false,
		"'private':%(visibility)s":                true,
		`"private":%(visibility)s`:                true,
		"'public':%(visibility)s":                 false,
		"'':%(visibility)s":                       false,
		"'active-raw':%(status)s-%(disk_format)s": true,
		"'100%':100%%":                            true,
		"7:%(size)s":                              true,
		"8:%(size)s":                              false,
		"None:%(virtual_size)s":                   true,
		"None:%(size)s":                           false,
		"None:%(nothing)s":                        false,
		"True:%(protected)s":                      true,
		"True:%(os_hidden)s":                      false,
		"'debian':%(os_distro)s":                  true,
		"(role:x or project_id:%(owner)s)":        true,
	} {
		if got, err := ask(t, rule); err != nil || got != want {
			t.Errorf("rule %q = %t, %v; want %t", rule, got, err, want)
		}
	}
}

func TestListsOfLists(t *testing.T) {
	for _, test := range []struct {
		rule any
		want bool
	}{
		{[]any{}, true},
		{[]any{[]any{}}, false},
		{[]any{"role:member"}, true},
		{[]any{[]any{"role:member", "role:admin"}}, false},
		{[]any{[]any{"role:admin"}, []any{"project_id:%(owner)s", "role:reader"}}, true},
		{[]any{"role:admin", []any{}, "rule:yes"}, true},
	} {
		if got, err := ask(t, test.rule); err != nil || got != test.want {
			t.Errorf("rule %v = %t, %v; want %t", test.rule, got, err, test.want)
		}
	}
}

// Nothing is equal to nothing, least of all for callers without a project.
func TestNothingMatchesNothing(t *testing.T) {
	noProject := func(c *glance.Caller, _ *glance.Target) { c.ProjectID = "" }
	noOwner := func(_ *glance.Caller, t *glance.Target) { t.Image.Owner = nil }
	for _, rule := range []string{"project_id:%(owner)s", "project_id:%(project_id)s", "tenant:%(owner)s", "domain_id:%(owner)s"} {
		for name, change := range map[string][]func(*glance.Caller, *glance.Target){
			"no project": {noProject}, "no owner": {noOwner}, "neither": {noProject, noOwner},
		} {
			if got, err := ask(t, rule, change...); err != nil || got {
				t.Errorf("%s with %s = %t, %v; want false", rule, name, got, err)
			}
		}
	}
	named := func(c *glance.Caller, _ *glance.Target) { c.ProjectID = "None" }
	if got, err := ask(t, "project_id:%(owner)s", named, noOwner); err != nil || got {
		t.Errorf("a project called None owns an image without an owner: %t, %v", got, err)
	}
	if got, err := ask(t, "None:%(owner)s", noOwner); err != nil || !got {
		t.Errorf("None:%%(owner)s without an owner = %t, %v; want true", got, err)
	}
}

// What a rule is about when it is about no image.
func TestOtherTargets(t *testing.T) {
	about := func(to glance.Target) func(*glance.Caller, *glance.Target) {
		return func(_ *glance.Caller, t *glance.Target) { *t = to }
	}
	for _, test := range []struct {
		rule   string
		target glance.Target
		want   bool
	}{
		{"project_id:%(project_id)s", glance.Target{}, true}, // the caller's own
		{"project_id:%(project_id)s", glance.Target{Owner: "p2"}, false},
		{"project_id:%(owner)s", glance.Target{Owner: "p1"}, true},
		{"'public':%(visibility)s", glance.Target{Owner: "p2", Visibility: glance.Public}, true},
		{"'public':%(visibility)s", glance.Target{}, false},
		{"project_id:%(member_id)s", glance.Target{Image: anImage(), Member: "p1"}, true},
		{"project_id:%(member)s", glance.Target{Image: anImage(), Member: "p2"}, false},
		{"'x':%(name)s", glance.Target{}, false},
	} {
		if got, err := ask(t, test.rule, about(test.target)); err != nil || got != test.want {
			t.Errorf("%s about %+v = %t, %v; want %t", test.rule, test.target, got, err, test.want)
		}
	}
}

func TestScopes(t *testing.T) {
	system := func(c *glance.Caller, _ *glance.Target) { c.ProjectID, c.System = "", true }
	domain := func(c *glance.Caller, _ *glance.Target) { c.ProjectID, c.DomainID = "", "d1" }
	if got, err := ask(t, "system_scope:all", system); err != nil || !got {
		t.Errorf("system_scope:all = %t, %v; want true", got, err)
	}
	if got, err := ask(t, "domain_id:d1", domain); err != nil || !got {
		t.Errorf("domain_id:d1 = %t, %v; want true", got, err)
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		rule any
		want string
	}{
		{"admin", `"admin" is no check; one is written kind:match, as in role:admin`},
		{"role: admin", `"role:" is no check`},
		{":admin", `":admin" is no check`},
		{"role:admin role:member", `"role:member": expected and, or, or the end`},
		{"role:admin or", "something is missing at the end"},
		{"or role:admin", `a check is missing before "or"`},
		{"not", "something is missing at the end"},
		{"@ and or @", `a check is missing before "or"`},
		{"()", `a check is missing before ")"`},
		{"(@", "a parenthesis is not closed"},
		{"@)", `")": expected and, or, or the end`},
		{"   ", "something is missing at the end"},
		{"http://policy.example.com/%(x)s", "http checks are not supported"},
		{"https://policy.example.com/", "https checks are not supported"},
		{"project:%(owner)s", "a caller has no project; it has role, rule, domain_id, is_admin,"},
		{"user.id:x", "a caller has no user.id"},
		{"'public:%(visibility)s", "a caller has no 'public"},
		{"project_id:%(owner)", "after % stands an attribute, as in %(owner)s, or another %"},
		{"project_id:%(owner)d", "after % stands an attribute"},
		{"project_id:%s", "after % stands an attribute"},
		{"project_id:%()s", "after % stands an attribute"},
		{"project_id:100%", "after % stands an attribute"},
		{"rule:nobody", `rule "asked": there is no rule "nobody"`},
		{"rule:asked", `it refers to itself: asked -> asked`},
		{nil, `no rule; write "" for everybody or "!" for nobody`},
		{true, "true is no text"},
		{7, "7 is no text"},
		{[]any{7}, "7 is no text"},
		{[]any{[]any{[]any{"@"}}}, "[@] is no text"},
		{[]any{"@ or !"}, `"@ or !" is no check`},
		{strings.Repeat("(", 200) + "@" + strings.Repeat(")", 200), "more than 100 levels deep"},
		{strings.Repeat("not ", 200) + "@", "more than 100 levels deep"},
		{strings.Repeat("@ and ", 20_000) + "@", "more than 10000 checks"},
	} {
		if _, err := ask(t, test.rule); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `rule "asked"`) {
			t.Errorf("rule %.60v: error %v; want the rule's name and %q", test.rule, err, test.want)
		}
	}
}

// Rules that refer to each other are bounded as one rule is: a chain may not
// be too long, and one that doubles at every step may not take for ever.
func TestReferencesAreBounded(t *testing.T) {
	chain := func(n int, format string) []definition {
		list := []definition{{name: "r0", rule: "role:member"}}
		for i := range n {
			list = append(list, definition{name: fmt.Sprintf("r%d", i+1), rule: strings.ReplaceAll(format, "*", fmt.Sprintf("rule:r%d", i))})
		}
		return list
	}
	for _, test := range []struct {
		n            int
		format, want string
	}{
		{90, "*", ""},
		{110, "*", "more than 100 levels deep"},
		{10, "* and *", ""},
		{40, "* and *", "more than 10000 checks"},
		{2, "* or rule:r2", "it refers to itself: r1 -> r2 -> r1"},
	} {
		_, err := build(chain(test.n, test.format), Options{}, nil)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%d rules %q: %v; want %q", test.n, test.format, err, test.want)
		}
	}
	_, err := build([]definition{{name: "a", rule: "rule:b"}, {name: "b", rule: "rule:c"}, {name: "c", rule: "@ and rule:a"}}, Options{}, nil)
	if err == nil || !strings.Contains(err.Error(), `rule "a": it refers to itself: a -> b -> c -> a`) {
		t.Errorf("a circle of three: %v", err)
	}
}

// randomRule writes a rule of about so many checks, with no more parentheses
// than it needs, and says what it comes to. Level says what stands around it:
// 0 nothing or "or", 1 "and", 2 "not".
func randomRule(r *rand.Rand, size, level int) (rule string, want bool) {
	if size <= 1 {
		if r.IntN(2) == 0 {
			return "@", true
		}
		return "rule:no", false
	}
	own := r.IntN(3)
	switch own {
	case 0, 1:
		left := 1 + r.IntN(size-1)
		a, x := randomRule(r, left, own)
		b, y := randomRule(r, size-left, own)
		if own == 0 {
			rule, want = a+" or "+b, x || y
		} else {
			rule, want = a+" and "+b, x && y
		}
	case 2:
		a, x := randomRule(r, size-1, 2)
		rule, want = "not "+a, !x
	}
	if own < level {
		rule = "(" + rule + ")"
	}
	return rule, want
}

// Rules made at random come to what they were made to come to: the precedence
// of the operators is right, however they are mixed.
func TestPrecedence(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	answers := make(map[bool]int)
	for range 2000 {
		rule, want := randomRule(r, 1+r.IntN(12), 0)
		if got, err := ask(t, rule); err != nil || got != want {
			t.Errorf("rule %q = %t, %v; want %t", rule, got, err, want)
		}
		answers[want]++
	}
	if answers[true] < 500 || answers[false] < 500 {
		t.Errorf("the rules come to %v; want both often", answers)
	}
}

// FuzzRule: whatever is written, it is refused or it answers, and saying the
// same in parentheses or as not not changes nothing.
func FuzzRule(f *testing.F) {
	for _, seed := range []string{
		"", "@", "role:member and not (rule:no or 'public':%(visibility)s)", "((", "not not", "rule:asked", "a:%(b)s%%", "'x':%(os_distro)s", "(role:a)or(role:b)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		got, err := ask(t, rule)
		if err != nil || rule == "" {
			return
		}
		again, err := ask(t, "( "+rule+" )")
		if err == nil && again != got {
			t.Errorf("%q = %t, and in parentheses %t", rule, got, again)
		}
		turned, err := ask(t, "not ( "+rule+" )")
		if err == nil && turned == got {
			t.Errorf("%q = %t, and not of it as well", rule, got)
		}
	})
}
