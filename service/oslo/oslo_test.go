package oslo_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/oslo"
)

const sample = `# comment
; another
[DEFAULT]
debug = True
bind_host: 0.0.0.0
url = http://a:b@c/d?e=f
empty =
quoted = " two words "
half = "open
apostrophe = 'x'
stores = file
stores = swift
text = one
  two
	three
  # not a comment
# a comment ends the value
after=1

[pipeline:glance-api]
pipeline = cors healthcheck
    rootapp

[filter:cors]
paste.filter_factory = oslo_middleware.cors:filter_factory
`

func TestParse(t *testing.T) {
	c, err := oslo.Parse("a.conf", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		section, key string
		want         string
		line         int
	}{
		{"DEFAULT", "debug", "True", 4},
		{"DEFAULT", "bind_host", "0.0.0.0", 5},
		{"DEFAULT", "url", "http://a:b@c/d?e=f", 6},
		{"DEFAULT", "empty", "", 7},
		{"DEFAULT", "quoted", " two words ", 8},
		{"DEFAULT", "half", `"open`, 9},
		{"DEFAULT", "apostrophe", "x", 10},
		{"DEFAULT", "stores", "swift", 12},
		{"DEFAULT", "text", "one\ntwo\nthree\n# not a comment", 13},
		{"DEFAULT", "after", "1", 18},
		{"pipeline:glance-api", "pipeline", "cors healthcheck\nrootapp", 21},
		{"Filter:CORS", "paste.filter_factory", "oslo_middleware.cors:filter_factory", 25},
	} {
		v, err := c.Lookup(test.section, test.key)
		if err != nil || v.Text != test.want || v.Line != test.line || v.File != "a.conf" {
			t.Errorf("Lookup(%s, %s) = %+v, %v; want %q at a.conf:%d", test.section, test.key, v, err, test.want, test.line)
		}
	}
	if _, ok := c.Get("default", "debug"); ok {
		t.Error("Get(default, debug) found something; DEFAULT is the one name that minds case")
	}
	if _, err := c.Lookup("DEFAULT", "Debug"); !errors.Is(err, oslo.ErrUnset) {
		t.Errorf("Lookup(DEFAULT, Debug) = %v; want ErrUnset", err)
	}
	if diff := cmp.Diff([]string{"file", "swift"}, c.All("DEFAULT", "stores")); diff != "" {
		t.Errorf("All(DEFAULT, stores) (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"DEFAULT", "pipeline:glance-api", "filter:cors"}, c.Sections()); diff != "" {
		t.Errorf("Sections() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"paste.filter_factory"}, c.Keys("filter:cors")); diff != "" {
		t.Errorf("Keys(filter:cors) (-want +got):\n%s", diff)
	}
}

func TestParseReportsEveryBadLine(t *testing.T) {
	_, err := oslo.Parse("bad.conf", []byte(strings.Join([]string{
		"early = 1",  // 1
		"  and more", // belongs to the line above: one mistake, one report
		"[DEFAULT",   // 3
		"[]",         // 4
		"",
		"  lost", // 6
		"[a]",
		"nothing",     // 8
		"= 5",         // 9
		"k = caf\xe9", // 10
		"# caf\xe9: old file, harmless",
		"good = 1",
		"  b\xe9", // 13
	}, "\n")))
	want := `bad.conf:1: early stands before the first [section]
bad.conf:3: section without closing bracket: "[DEFAULT"
bad.conf:4: not a section name: "[]"
bad.conf:6: indented line continues nothing: "lost"
bad.conf:8: neither a section, a comment nor "key = value": "nothing"
bad.conf:9: value without a key: "= 5"
bad.conf:10: not UTF-8: k
bad.conf:13: not UTF-8: "b\xe9"`
	if err == nil {
		t.Fatal("Parse: no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestInterpolation(t *testing.T) {
	c, err := oslo.Parse("i.conf", []byte(`[DEFAULT]
state = /var/lib/glance
name = default
url = http://$host:${port}/
cost = 5$$ \$name
sentence = $state.
odd = $5 $ ${} $-
[cache]
name = cache
dir = $state/$name
other = ${DEFAULT.name} $DEFAULT.name
a = $b
b = x${c}
c = $a
lost = a $nowhere b
`))
	if err != nil {
		t.Fatal(err)
	}
	c.Default("DEFAULT", "host", "localhost")
	c.Default("DEFAULT", "port", "9292")
	c.Default("DEFAULT", "state", "/never: the file sets it")
	for _, test := range []struct{ section, key, want, err string }{
		{"DEFAULT", "url", "http://localhost:9292/", ""},
		{"DEFAULT", "cost", "5$ $name", ""},
		{"DEFAULT", "sentence", "/var/lib/glance.", ""},
		{"DEFAULT", "odd", "$5 $ ${} $-", ""},
		{"DEFAULT", "port", "9292", ""},
		{"cache", "dir", "/var/lib/glance/cache", ""},
		{"cache", "other", "default default", ""},
		{"cache", "a", "$b", "i.conf:12: [cache] a: $a refers to itself"},
		{"cache", "lost", "a $nowhere b", "i.conf:15: [cache] lost: $nowhere: no such option; write $$ for a dollar sign"},
	} {
		v, err := c.Lookup(test.section, test.key)
		if v.Text != test.want || text(err) != test.err {
			t.Errorf("Lookup(%s, %s) = %q, %q; want %q, %q", test.section, test.key, v.Text, text(err), test.want, test.err)
		}
		if got, ok := c.Get(test.section, test.key); got != test.want || !ok {
			t.Errorf("Get(%s, %s) = %q, %v; want %q, true", test.section, test.key, got, ok, test.want)
		}
	}
}

func TestValuePos(t *testing.T) {
	c, err := oslo.Parse("p.conf", []byte("[a]\nb = 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	c.Default("a", "c", "2")
	for key, want := range map[string]string{"b": "p.conf:2", "c": "default"} {
		if v, err := c.Lookup("a", key); err != nil || v.Pos() != want {
			t.Errorf("Lookup(a, %s).Pos() = %q, %v; want %q", key, v.Pos(), err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	one := write("one.conf", "[DEFAULT]\na = one\nb = one\nc = one\nlist = 1\n")
	two := write("two.conf", "[DEFAULT]\nb = two\nc = two\nlist = 2\n")
	write("d/20.conf", "[DEFAULT]\nlist = 20\n")
	ten := write("d/10.conf", "[DEFAULT]\nc = ten\nlist = 10\n")
	write("d/30.conf.bak", "[DEFAULT]\nc = backup\n")
	write("d/.40.conf", "[DEFAULT]\nc = hidden\n")

	c, err := oslo.Load([]string{one, two}, []string{filepath.Join(dir, "d")})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"a": one + ":2", "b": two + ":2", "c": ten + ":2"} {
		if v, err := c.Lookup("DEFAULT", key); err != nil || v.Pos() != want {
			t.Errorf("Lookup(DEFAULT, %s) comes from %s, %v; want %s", key, v.Pos(), err, want)
		}
	}
	if diff := cmp.Diff([]string{"1", "2", "10", "20"}, c.All("DEFAULT", "list")); diff != "" {
		t.Errorf("All(DEFAULT, list) (-want +got):\n%s", diff)
	}

	bad := write("bad.conf", "oops\n")
	_, err = oslo.Load([]string{filepath.Join(dir, "none.conf"), bad}, nil)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), bad+":1: ") {
		t.Errorf("Load = %v; want both the missing and the bad file", err)
	}
	if _, err := oslo.Load(nil, []string{filepath.Join(dir, "nodir")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of a missing directory = %v; want ErrNotExist", err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
