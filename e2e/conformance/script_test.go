package conformance

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	all, err := Parse(`# a comment
== one
for m in GET PUT do for p in a b do member $m /v2/$p
admin POST /v2/images A:b 'C: d e' chunked {"name":"$(3*x)",
  "x":"$$"} -> id=.id loc=header:Location
until .status=active member GET /v2/images/$id
member PUT /v2/x <hex 4 4142
`)
	if err != nil || len(all) != 1 || len(all[0].Steps) != 7 {
		t.Fatalf("Parse = %+v, %v", all, err)
	}
	var targets []string
	for _, s := range all[0].Steps[:4] {
		targets = append(targets, s.Method+" "+s.Target)
	}
	if got := strings.Join(targets, ", "); got != "GET /v2/a, GET /v2/b, PUT /v2/a, PUT /v2/b" {
		t.Errorf("loops: %s", got)
	}
	post := all[0].Steps[4]
	if diff := cmp.Diff([]string{"A: b", "C: d e"}, post.Headers); diff != "" || !post.Chunked || len(post.Capture) != 2 {
		t.Errorf("POST: %+v\n%s", post, diff)
	}
	if body, err := finish(string(post.Body), nil); err != nil || body != `{"name":"xxx", "x":"$"}` {
		t.Errorf("body: %s, %v", body, err)
	}
	if s := all[0].Steps[5]; s.Until != ".status=active" || s.Who != "member" {
		t.Errorf("until: %+v", s)
	}
	if s := all[0].Steps[6]; string(s.Body) != "AB\x00\x00" {
		t.Errorf("hex: %q", s.Body)
	}
	for text, want := range map[string]string{
		"member GET /":                 "before the first",
		"== a\nmember GET":             "no target",
		"== a\nfor x in 1 2 member":    "want: for",
		"== a\nfor x in 1 do m GET /":  "not in the loop",
		"== a\nuntil x member GET /":   "want: until",
		"== a\nmember GET / 'a: b":     "closing quote",
		"== a\nmember GET / word":      "no header",
		"== a\nmember GET / {} -> a b": "NAME=.PATH",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v; want it to say %q", text, err, want)
		}
	}
	if _, err := finish("$nothing", nil); err == nil {
		t.Error("an unknown variable is no error")
	}
}

func TestDifferences(t *testing.T) {
	none := newNormal(&Server{}, nil)
	answer := func(code int, body string, headers ...string) Answer {
		h := http.Header{"Date": {"now"}}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return Answer{code, h, []byte(body)}
	}
	for _, test := range []struct {
		a, b Answer
		want []string
	}{
		{answer(200, `{"a": 1, "b": [1]}`), answer(200, `{"b":[1],"a":1}`), nil},
		{answer(200, "x"), answer(404, "y"), []string{"status: original 200, glanced 404"}},
		{answer(200, `{"a": "2020-01-01T00:00:00Z"}`), answer(200, `{"a": "2021-02-03T04:05:06Z"}`), nil},
		{answer(200, `{"a": "2020-01-01T00:00:00Z"}`), answer(200, `{"a": "2021-02-03T04:05:06"}`),
			[]string{`body .a: original "<dateTtime>Z", glanced "<dateTtime>"`}},
		{answer(200, `{"id": "6f1a3c20-0000-4000-8000-00000000ab01"}`), answer(200, `{"id": "6f1a3c20-0000-4000-8000-00000000ab02"}`), nil},
		{answer(200, `{"tags": ["a", "b"]}`), answer(200, `{"tags": ["b", "a"]}`), nil},
		{answer(200, `{"list": ["a", "b"]}`), answer(200, `{"list": ["b"], "x": null}`),
			[]string{"body .list: original has 2 elements, glanced 1", `body .list.0: original "a", glanced "b"`, "body .x: original has none, glanced null"}},
		{answer(200, "", "Allow", "GET"), answer(200, ""), []string{`header Allow: original "GET", glanced ""`}},
		{answer(200, "x", "Content-Length", "1"), answer(200, "x", "Content-Length", "7"), nil},
		{answer(200, `{"versions": [{"id": "v2.1"}]}`), answer(200, `{"versions": [{"id": "v2.2"}, {"id": "v2.1"}]}`),
			[]string{`body .versions.v2.2: original has none, glanced {"id":"v2.2"}`}},
	} {
		got := Differences(test.a, test.b, none, none)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("Differences(%s, %s) = %q (-want +got):\n%s", test.a.Body, test.b.Body, got, diff)
		}
	}
}

func TestParseMeant(t *testing.T) {
	list, err := ParseMeant("# all\n\nwhere: a/.*\nwhat: status: .*\nwhy: so\n\n")
	if err != nil || len(list) != 1 {
		t.Fatalf("ParseMeant = %v, %v", list, err)
	}
	if wanted(list, "b/c", "status: x") || wanted(list, "a/c", "header x") || list[0].used {
		t.Error("an entry fits what it does not name")
	}
	if !wanted(list, "a/c", "status: x") || !list[0].used {
		t.Error("an entry does not fit what it names")
	}
	for _, text := range []string{"where: a\nwhat: b", "where: a\nwhere: b\nwhat: c\nwhy: d", "where: (\nwhat: b\nwhy: c", "nonsense"} {
		if _, err := ParseMeant(text); err == nil {
			t.Errorf("ParseMeant(%q) succeeded", text)
		}
	}
}
