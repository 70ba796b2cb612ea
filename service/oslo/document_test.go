package oslo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/oslo"
)

func TestMarshal(t *testing.T) {
	d := &oslo.Document{
		Header: "Written by glancectl.\n\nEdit the proposal instead.",
		Sections: []oslo.Section{
			{Name: "DEFAULT", Options: []oslo.Option{
				{Key: "debug", Value: "false", Comment: "How much is logged."},
				{Key: "empty"},
			}},
			{Name: "pipeline:glance-api", Comment: "Without Keystone.", Options: []oslo.Option{
				{Key: "pipeline", Value: "healthcheck\nrootapp"},
			}},
		},
	}
	want := `# Written by glancectl.
#
# Edit the proposal instead.

[DEFAULT]
# How much is logged.
debug = false
empty =

# Without Keystone.
[pipeline:glance-api]
pipeline = healthcheck
    rootapp
`
	got, err := oslo.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("Marshal (-want +got):\n%s", diff)
	}
}

func TestMarshalRoundTrip(t *testing.T) {
	for _, value := range []string{
		"", "x", " x", "x ", "\tx\v", `"`, `""`, `"x"`, `'x'`, `'x"`, `"x`, "# x", "; x", "[x]", "a = b", "a: b",
		"one\ntwo", "\ntwo", " one \ntwo\n# three", `"one` + "\n" + `two"`, `"one"` + "\n" + `'two'`,
		"$name ${a.b} $$", "grüezi \u00a0", "a\x00b",
	} {
		d := &oslo.Document{Sections: []oslo.Section{{Name: "s", Options: []oslo.Option{{Key: "k", Value: value}}}}}
		text, err := oslo.Marshal(d)
		if err != nil {
			t.Errorf("Marshal of %q: %v", value, err)
			continue
		}
		c, err := oslo.Parse("x", text)
		if err != nil {
			t.Errorf("Parse(%q) for value %q: %v", text, value, err)
			continue
		}
		if v, _ := c.Lookup("s", "k"); v.Raw != value {
			t.Errorf("value %q comes back as %q from %q", value, v.Raw, text)
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	for _, test := range []struct{ section, key, value, want string }{
		{"", "k", "v", `section "": not a section name`},
		{"a\nb", "k", "v", `section "a\nb": not a section name`},
		{"s", "", "v", "[s] : not a key"},
		{"s", "a=b", "v", "[s] a=b: not a key"},
		{"s", "#a", "v", "[s] #a: not a key"},
		{"s", " a", "v", "[s]  a: not a key"},
		{"s", "k", "secret\n\nsecret", "[s] k: value has a line that is empty, or begins or ends with a space"},
		{"s", "k", "secret\n secret", "[s] k: value has a line that is empty, or begins or ends with a space"},
		{"s", "k", "secret\rdebug = true", "[s] k: value has a carriage return or is not UTF-8"},
		{"s", "k", "\xff", "[s] k: value has a carriage return or is not UTF-8"},
	} {
		d := &oslo.Document{Sections: []oslo.Section{{Name: test.section, Options: []oslo.Option{{Key: test.key, Value: test.value}}}}}
		if got, err := oslo.Marshal(d); text(err) != test.want {
			t.Errorf("Marshal([%s] %s = %q) = %q, %v; want error %q", test.section, test.key, test.value, got, err, test.want)
		}
	}
}

func TestMarshalCommentStaysComment(t *testing.T) {
	got, err := oslo.Marshal(&oslo.Document{Header: "a\rdebug = true\nb"})
	if want := "# a debug = true\n# b\n"; err != nil || string(got) != want {
		t.Errorf("Marshal = %q, %v; want %q", got, err, want)
	}
}

func TestSet(t *testing.T) {
	d := &oslo.Document{Sections: []oslo.Section{{Name: "DEFAULT", Options: []oslo.Option{
		{Key: "a", Value: "1"},
		{Key: "b", Value: "2", Comment: "about b"},
		{Key: "c", Value: "3"},
		{Key: "b", Value: "4"},
	}}}}
	d.Set("DEFAULT", "b", "5")
	d.Set("DEFAULT", "c")
	d.Set("DEFAULT", "d", "6")
	d.Set("cache", "dirs", "x", "y")
	d.Set("Cache", "size", "1")
	d.Set("none", "x")
	want := []oslo.Section{
		{Name: "DEFAULT", Options: []oslo.Option{{Key: "a", Value: "1"}, {Key: "b", Value: "5", Comment: "about b"}, {Key: "d", Value: "6"}}},
		{Name: "cache", Options: []oslo.Option{{Key: "dirs", Value: "x"}, {Key: "dirs", Value: "y"}, {Key: "size", Value: "1"}}},
	}
	if diff := cmp.Diff(want, d.Sections); diff != "" {
		t.Errorf("after Set (-want +got):\n%s", diff)
	}
}

func TestLiteral(t *testing.T) {
	for _, want := range []string{"plain", "pa$$word", "$", "$name", "${a.b}", `a\$b`, `\$$`, `$\`, `\\$x`} {
		d := &oslo.Document{Sections: []oslo.Section{{Name: "s", Options: []oslo.Option{{Key: "k", Value: oslo.Literal(want)}}}}}
		text, err := oslo.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		c, err := oslo.Parse("x", text)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := c.Lookup("s", "k"); v.Text != want || err != nil {
			t.Errorf("Literal(%q) = %q comes back as %q, %v", want, oslo.Literal(want), v.Text, err)
		}
	}
}

// FuzzParse checks that no input makes Parse panic, and that what Parse
// understood survives being written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("[a]\nk = \"x\"\n  \"\n[A]\nk: '\n"))
	f.Add([]byte("[DEFAULT]\r\na = $b\r\n\tc\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		first, err := oslo.Parse("in", in)
		if err != nil {
			return
		}
		out, err := oslo.Marshal(document(first))
		if err != nil {
			return // white space and carriage returns that Marshal refuses
		}
		second, err := oslo.Parse("out", out)
		if err != nil {
			t.Fatalf("Parse refuses what Marshal wrote: %v\n%s", err, out)
		}
		if diff := cmp.Diff(document(first), document(second)); diff != "" {
			t.Errorf("round trip (-first +second):\n%s", diff)
		}
	})
}

// document returns what c says as something to write.
func document(c *oslo.Config) *oslo.Document {
	d := new(oslo.Document)
	for _, name := range c.Sections() {
		s := oslo.Section{Name: name}
		for _, key := range c.Keys(name) {
			values, _ := c.Values(name, key) // references may lead nowhere here
			for _, v := range values {
				s.Options = append(s.Options, oslo.Option{Key: key, Value: v.Raw})
			}
		}
		d.Sections = append(d.Sections, s)
	}
	return d
}
