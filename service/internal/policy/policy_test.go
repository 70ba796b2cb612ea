package policy

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
)

// A site is a directory of policy files, a clock that stands still, and a log.
type site struct {
	dir string
	log bytes.Buffer
	now time.Time
}

func newSite(t *testing.T) *site {
	return &site{dir: t.TempDir(), now: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write makes a file, and lets a second pass.
func (s *site) write(t *testing.T, name, text string) {
	t.Helper()
	defer func() { s.now = s.now.Add(patience) }()
	name = s.path(name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, s.now, s.now); err != nil {
		t.Fatal(err)
	}
}

func (s *site) options() Options {
	return Options{
		Files: []string{s.path("policy.yaml"), s.path("policy.json")},
		Dirs:  []string{s.path("policy.d")},
		Log:   slog.New(slog.NewTextHandler(&s.log, nil)),
		Now:   func() time.Time { return s.now },
	}
}

func (s *site) open(t *testing.T, change ...func(*Options)) *Engine {
	t.Helper()
	o := s.options()
	for _, f := range change {
		f(&o)
	}
	e, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// may asks for a rule on anImage as alice.
func may(e *Engine, rule glance.Rule) bool {
	return e.Allows(alice, rule, glance.Target{Image: anImage()})
}

func want(t *testing.T, e *Engine, rule glance.Rule, answer bool) {
	t.Helper()
	if got := may(e, rule); got != answer {
		t.Errorf("%s = %t; want %t", rule, got, answer)
	}
}

func TestFiles(t *testing.T) {
	const delete, modify = glance.DeleteImage, glance.ModifyImage
	for _, test := range []struct {
		name           string
		files          map[string]string
		delete, modify bool
	}{
		{"none", nil, true, true},
		{"yaml", map[string]string{"policy.yaml": "# a comment\n\"delete_image\": \"!\"\n"}, false, true},
		{"plain yaml", map[string]string{"policy.yaml": "delete_image: role:admin\nmodify_image: 'role:member and\n  not role:reader'\n"}, false, false},
		{"folded yaml", map[string]string{"policy.yaml": "delete_image: >-\n  role:member and\n  role:admin\n"}, false, true},
		{"empty yaml", map[string]string{"policy.yaml": "# nothing\n"}, true, true},
		{"yaml in braces", map[string]string{"policy.yaml": "{delete_image: '!', modify_image: '', # x\n  x: '@', }"}, false, true},
		{"json", map[string]string{"policy.json": "{\n\t\"delete_image\": \"!\",\n\t\"modify_image\": [[\"role:admin\"], [\"role:member\"]]\n}\n"}, false, true},
		{"json called yaml", map[string]string{"policy.yaml": "{\t\"delete_image\":\t\"!\" }"}, false, true},
		{"yaml first", map[string]string{"policy.yaml": "delete_image: '!'", "policy.json": `{"modify_image": "!"}`}, false, true},
		{"a directory", map[string]string{"policy.d/10": "delete_image: '!'\nmodify_image: '!'", "policy.d/20.json": `{"modify_image": ""}`, "policy.d/.hidden": "modify_image: ["}, false, true},
		{"a file and a directory", map[string]string{"policy.yaml": "delete_image: '!'\nmodify_image: '!'", "policy.d/a.yaml": "modify_image: '@'"}, false, true},
		{"references", map[string]string{"policy.yaml": "modify_image: rule:mine\nmine: role:admin and project_id:%(owner)s"}, true, false},
		{"a default that others use", map[string]string{"policy.yaml": "default: '!'\nmodify_image: rule:default"}, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			for name, text := range test.files {
				s.write(t, name, text)
			}
			e := s.open(t)
			want(t, e, delete, test.delete)
			want(t, e, modify, test.modify)
		})
	}
}

// What nobody wrote a rule for is answered by the fallback.
func TestFallback(t *testing.T) {
	s := newSite(t)
	s.write(t, "policy.yaml", "closed: '!'\n")
	want(t, s.open(t), "unheard_of", true)
	want(t, s.open(t, func(o *Options) { o.Fallback = "closed" }), "unheard_of", false)
	o := s.options()
	o.Fallback = "nowhere"
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), `policy_default_rule: there is no rule "nowhere"`) {
		t.Errorf("Open with a fallback that is not there: %v", err)
	}
}

func TestOpenMistakes(t *testing.T) {
	for _, test := range []struct {
		file, text string
		want       []string // what the error says; DIR stands for the directory
	}{
		{"policy.yaml", "\n# x\nget_image: \"role:\"\nget_images: rule:nowhere\n", []string{`DIR/policy.yaml:3: rule "get_image": "role:" is no check`}},
		{"policy.yaml", "a: '@'\nget_images: rule:nowhere\n", []string{`DIR/policy.yaml:2: rule "get_images": there is no rule "nowhere"`}},
		{"policy.yaml", "a: x\nb: y\n", []string{`policy.yaml:1: rule "a": "x" is`, `policy.yaml:2: rule "b": true is no text`}},
		{"policy.yaml", "a: rule:b\nb: rule:a\n", []string{`policy.yaml:1: rule "a": it refers to itself: a -> b -> a`}},
		{"policy.yaml", "default: rule:get_image\nget_image: rule:default\n", []string{"default -> get_image -> default"}},
		{"policy.yaml", "delete_image: !\n", []string{`DIR/policy.yaml:1: rule "delete_image": put it in quotes: "" for everybody, "!" for nobody`}},
		{"policy.yaml", "delete_image: ! # nobody\n", []string{"put it in quotes"}},
		{"policy.yaml", "delete_image: !role:admin\n", []string{"put it in quotes"}},
		{"policy.yaml", "delete_image:\n", []string{`policy.yaml:1: rule "delete_image": no rule; write ""`}},
		{"policy.yaml", "delete_image: &x\nget_image: *x\n", []string{"DIR/policy.yaml"}},
		{"policy.yaml", "a: '@'\na: '!'\n", []string{`rule "a" is there twice, first at DIR/policy.yaml:1`}},
		{"policy.yaml", "- a\n", []string{"DIR/policy.yaml: want one map of rules by their names"}},
		{"policy.yaml", "1: '@'\n", []string{"1 is not the name of a rule"}},
		{"policy.yaml", "a: @\n", []string{"DIR/policy.yaml: yaml: "}},
		{"policy.yaml", "a: {b: c}\n", []string{`policy.yaml:1: rule "a": `, "is no text"}},
		{"policy.yaml", "a: http://x/\n", []string{"http checks are not supported"}},
		{"policy.yaml", strings.Repeat("#", maxFile+1), []string{"larger than 1048576 bytes"}},
		{"policy.json", "{\n\"a\": \"@\",\n\"a\": \"!\"}", []string{`DIR/policy.json:3: rule "a" is there twice, first at DIR/policy.json:2`}},
		{"policy.json", "{\n\"a\": \"@\",\n}", []string{"DIR/policy.json:3: invalid character '}'"}},
		{"policy.json", "{\"a\": \"@\"} x", []string{"DIR/policy.json:1: "}},
		{"policy.json", "[]", []string{"want one map of rules"}},
		{"policy.json", "{\"a\":", []string{"DIR/policy.json:1: unexpected EOF"}},
		{"policy.json", "", []string{"DIR/policy.json:1: unexpected EOF"}},
		{"policy.json", `{"a": 7}`, []string{`DIR/policy.json:1: rule "a": 7 is no text`}},
		{"policy.d/x.yaml", "a: (@", []string{`DIR/policy.d/x.yaml:1: rule "a": a parenthesis is not closed`}},
	} {
		s := newSite(t)
		s.write(t, test.file, test.text)
		_, err := Open(s.options())
		for _, text := range test.want {
			text = strings.ReplaceAll(text, "DIR", s.dir)
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("Open with %s %.40q: %v; want %q", test.file, test.text, err, text)
			}
		}
	}
}

func TestRequired(t *testing.T) {
	s := newSite(t)
	o := s.options()
	o.Required = true
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), s.path("policy.yaml")) {
		t.Errorf("Open without a file that must be there: %v; want its name", err)
	}
	s.write(t, "policy.d", "a file")
	if _, err := Open(s.options()); err == nil || !strings.Contains(err.Error(), "policy.d") {
		t.Errorf("Open with a directory that is none: %v; want its name", err)
	}
}

func TestWarnings(t *testing.T) {
	const file = "get_imge: role:admin\nhelper: role:x\nget_image: rule:helper\nmodify_image: ''\nget_images: ''\nlicensed: role:y\n"
	s := newSite(t)
	s.write(t, "policy.yaml", file)
	e := s.open(t)
	text := s.log.String()
	for _, want := range []string{
		`policy.yaml:1: rule \"get_imge\" has no effect`,
		`policy.yaml:4: rule \"modify_image\" lets everybody do this`,
		`rule \"licensed\" has no effect`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %q:\n%s", want, text)
		}
	}
	if strings.Count(text, "level=WARN") != 3 {
		t.Errorf("the log has other warnings than three:\n%s", text)
	}
	// What a protection file names has an effect, and must stay.
	if err := e.need([]reference{{"protect.conf:1", "licensed"}}); err != nil {
		t.Fatal(err)
	}
	s.log.Reset()
	s.write(t, "policy.yaml", "licensed: role:z\n")
	want(t, e, "licensed", false)
	if text := s.log.String(); strings.Contains(text, "no effect") {
		t.Errorf("log: %s", text)
	}
	s.write(t, "policy.yaml", "other: ''\n")
	want(t, e, "licensed", false)
	if text := s.log.String(); !strings.Contains(text, `protect.conf:1: there is no rule \"licensed\"`) {
		t.Errorf("log: %s; want what is missing", text)
	}
	if err := e.need([]reference{{"protect.conf:2", "nothing"}}); err == nil || !strings.Contains(err.Error(), `protect.conf:2: there is no rule "nothing"`) {
		t.Errorf("need of a rule that is not there: %v", err)
	}
}

// TestReload changes the files under a running engine.
func TestReload(t *testing.T) {
	s := newSite(t)
	e := s.open(t)
	const asked = glance.DeleteImage
	want(t, e, asked, true)
	for _, step := range []struct {
		what   string
		do     func()
		answer bool
		log    string // one new line of the log has it; empty: there is none
	}{
		{"a file comes", func() { s.write(t, "policy.yaml", "delete_image: '!'") }, false, "read the policy rules again"},
		{"nothing", func() {}, false, ""},
		{"a file becomes wrong", func() { s.write(t, "policy.yaml", "delete_image: (") }, false, "level=ERROR"},
		{"nothing", func() {}, false, ""},
		{"it is wrong in another way", func() { s.write(t, "policy.yaml", "delete_image: @@") }, false, "level=ERROR"},
		{"it is right again", func() { s.write(t, "policy.yaml", "delete_image: role:member") }, true, "read the policy rules again"},
		{"a directory comes", func() { s.write(t, "policy.d/a.yaml", "delete_image: '!'") }, false, "read the policy rules again"},
		{"its file goes", func() { s.remove(t, "policy.d/a.yaml") }, true, "read the policy rules again"},
		{"the rule closes", func() { s.write(t, "policy.yaml", "delete_image: '!'") }, false, "read the policy rules again"},
		{"the file goes", func() { s.remove(t, "policy.yaml") }, false, "the file is gone"},
		{"nothing", func() {}, false, ""},
		{"it is back", func() { s.write(t, "policy.yaml", "") }, true, "read the policy rules again"},
	} {
		s.log.Reset()
		step.do()
		s.now = s.now.Add(patience)
		if got := may(e, asked); got != step.answer {
			t.Errorf("%s: %s = %t; want %t", step.what, asked, got, step.answer)
		}
		may(e, asked)
		if log := s.log.String(); strings.Count(log, "\n") > 1 || !strings.Contains(log, step.log) || step.log == "" && log != "" {
			t.Errorf("%s: log is\n%swant one line with %q", step.what, log, step.log)
		}
	}
}

func (s *site) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(s.path(name)); err != nil {
		t.Fatal(err)
	}
}

// The files are looked at once a second and not for every question, and not
// read while somebody may still be writing them.
func TestPatience(t *testing.T) {
	s := newSite(t)
	e := s.open(t)
	opened := s.now
	s.now = opened.Add(patience)
	s.write(t, "policy.yaml", "delete_image: '!'")
	s.now = opened.Add(patience - 1)
	want(t, e, glance.DeleteImage, true)
	s.now = opened.Add(patience)
	want(t, e, glance.DeleteImage, true) // the file is of this very moment
	s.now = s.now.Add(settled - 1)
	want(t, e, glance.DeleteImage, true)
	s.now = s.now.Add(1)
	want(t, e, glance.DeleteImage, false)
}

// Many ask while the rules change: every answer is that of the old rules or
// of the new.
func TestConcurrentReload(t *testing.T) {
	s := newSite(t)
	s.write(t, "policy.yaml", "a: '@'\nb: '!'")
	start := time.Now()
	e := s.open(t, func(o *Options) {
		o.Now = func() time.Time { return s.now.Add(time.Since(start) * 1e6) } // always time to look
		o.Log = nil
	})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 500 {
				if !may(e, "a") || may(e, "b") {
					t.Error("an answer is that of no rules")
					return
				}
			}
		})
	}
	for i := range 50 {
		name := s.path("policy.new")
		if err := os.WriteFile(name, fmt.Appendf(nil, "a: '@'\nb: '!'\nc%d: '@'\n", i), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name, s.path("policy.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
}

// Old rules let through what they let through, and the owner was looked at
// whatever the files said.
func TestLegacy(t *testing.T) {
	bob := glance.Caller{ProjectID: "p2", Roles: []string{"_member_"}}
	root := glance.Caller{ProjectID: "p9", Roles: []string{"admin"}, Admin: true}
	public := anImage()
	public.Visibility = glance.Public
	for _, test := range []struct {
		name   string
		file   string
		legacy bool
		caller glance.Caller
		rule   glance.Rule
		want   bool
	}{
		{"new: a role of one's own is none", "", false, bob, glance.GetImage, false},
		{"old: every role will do", "", true, bob, glance.GetImage, true},
		{"old: not for others' images", "", true, bob, glance.ModifyImage, false},
		{"old: not for others' images, open file", "modify_image: ''", true, bob, glance.ModifyImage, false},
		{"new: an open file is open", "modify_image: ''", false, bob, glance.ModifyImage, true},
		{"old: an admin may", "modify_image: ''", true, root, glance.ModifyImage, true},
		{"old: the file counts", "modify_image: '!'", true, root, glance.ModifyImage, false},
		{"old: the file closes what was open", "get_image: role:reader", true, bob, glance.GetImage, false},
		{"old: the default of the file", "default: '!'", true, bob, glance.GetImage, false},
		{"old: publishing was never open", "", true, alice, glance.PublicizeImage, false},
		{"old: not the owner answers for a member", "", true, alice, glance.ModifyMember, false},
		{"old: the cache", "manage_image_cache: role:_member_", true, bob, "cache_list", true},
		{"new: the cache", "manage_image_cache: role:_member_", false, bob, "cache_list", false},
	} {
		s := newSite(t)
		s.write(t, "policy.yaml", test.file)
		e := s.open(t, func(o *Options) { o.Legacy = test.legacy })
		if got := e.Allows(test.caller, test.rule, glance.Target{Image: public, Member: "p2"}); got != test.want {
			t.Errorf("%s: %s = %t; want %t", test.name, test.rule, got, test.want)
		}
	}
}

// A token that is for no project is for no image, unless nobody looks.
func TestEnforceScope(t *testing.T) {
	system := glance.Caller{System: true, Roles: []string{"admin"}, Admin: true}
	domain := glance.Caller{DomainID: "d1", Roles: []string{"admin"}, Admin: true}
	s := newSite(t)
	s.write(t, "policy.yaml", "mine: system_scope:all or domain_id:d1")
	for _, c := range []glance.Caller{system, domain} {
		for _, any := range []bool{false, true} {
			e := s.open(t, func(o *Options) { o.AnyScope = any })
			if got := e.Allows(c, glance.GetImages, glance.Target{}); got != any {
				t.Errorf("get_images by %+v, any scope %t: %t", c, any, got)
			}
			if !e.Allows(c, "mine", glance.Target{}) || !e.Admin(c) {
				t.Errorf("a rule of the site's own, or context_is_admin, refuses %+v", c)
			}
		}
	}
}

func TestAdmin(t *testing.T) {
	s := newSite(t)
	s.write(t, "policy.yaml", "context_is_admin: role:cloud_admin or project_id:p9\nopen: ''\n")
	e := s.open(t)
	for _, test := range []struct {
		caller glance.Caller
		want   bool
	}{
		{glance.Caller{Roles: []string{"admin"}}, false},
		{glance.Caller{Roles: []string{"admin"}, Admin: true}, false}, // says itself
		{glance.Caller{Roles: []string{"cloud_admin"}}, true},
		{glance.Caller{ProjectID: "p9"}, true},
		{glance.Caller{Anonymous: true, ProjectID: "p9"}, false},
	} {
		if got := e.Admin(test.caller); got != test.want {
			t.Errorf("Admin(%+v) = %t; want %t", test.caller, got, test.want)
		}
	}
	// Who is an admin already, as everybody is without Keystone, stays one.
	if !e.Allows(glance.Caller{Admin: true}, glance.DeleteImage, glance.Target{Image: anImage()}) {
		t.Error("an admin may not delete an image")
	}
}

// Whatever the rules say, nobody without an identity changes anything.
func TestAnonymous(t *testing.T) {
	s := newSite(t)
	var open strings.Builder
	for name := range defaults {
		fmt.Fprintf(&open, "%s: ''\n", name)
	}
	s.write(t, "policy.yaml", open.String())
	e := s.open(t)
	for rule, want := range map[glance.Rule]bool{
		glance.GetImages: true, glance.GetImage: true, glance.DownloadImage: true, "get_metadef_objects": true,
		glance.AddImage: false, glance.DeleteImage: false, glance.ModifyImage: false, glance.UploadImage: false,
		glance.AddMember: false, glance.DeactivateImage: false, "add_task": false, "manage_image_cache": false, "cache_list": true,
	} {
		if got := e.Allows(glance.Caller{Anonymous: true}, rule, glance.Target{Image: anImage()}); got != want {
			t.Errorf("%s by nobody = %t; want %t", rule, got, want)
		}
	}
}

// FuzzFile: whatever a file has in it, it is refused or its rules can be asked.
func FuzzFile(f *testing.F) {
	f.Add("policy.yaml", "a: role:x\n'b': [[rule:a]]\nc: !\n")
	f.Add("policy.json", `{"a": "role:x", "b": [["rule:a"], "@"]}`)
	f.Add("policy.yaml", "? a\n: *x\n--- &x\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		list, err := parseFile(name, []byte(text))
		if err != nil {
			return
		}
		rules, err := build(list, Options{}, nil)
		if err != nil {
			return
		}
		for _, d := range list {
			if d.rule == "!" && rules.allows(d.name, &query{caller: alice, target: glance.Target{Image: anImage()}}) {
				t.Errorf("rule %q is for nobody and lets alice through", d.name)
			}
		}
	})
}

func BenchmarkAllows(b *testing.B) {
	e, err := Open(Options{})
	if err != nil {
		b.Fatal(err)
	}
	target := glance.Target{Image: anImage()}
	b.ReportAllocs()
	for b.Loop() {
		if !e.Allows(alice, glance.GetImage, target) {
			b.Fatal("refused")
		}
	}
}
