package apiv2

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever the body is, the answer is JSON and no fault of the service, and
// what was taken can be shown and listed.
func FuzzDefinitions(f *testing.F) {
	for _, body := range []string{
		`{"namespace":"a","properties":{"p":{"title":"P","type":"string","default":1e400,"minimum":-1e3}},"objects":[{"name":"o","required":["a"]}],"tags":[{"name":"t"}]}`,
		`{"name":"p","title":"P","type":"array","items":{"type":"string","enum":["a"]},"enum":[null],"minimum":1e999,"maxLength":2.50}`,
		`{"name":"R","prefix":"r_","properties_target":"image"}`,
		`{"tags":[{"name":"\ud800"},{"name":"😀"}]}`,
		`{"namespace":null}`, `[]`, `"x"`, `{}`, `{"name":{"name":[]}}`, `{"properties":{"p":{"items":{"type":[]}}}}`,
	} {
		for route := range byte(8) {
			f.Add(route, body)
		}
	}
	f.Fuzz(func(t *testing.T, route byte, body string) {
		h := newService(t, Options{}).handler()
		ask(t, h, "POST", "/v2/metadefs/namespaces", `{"namespace":"ns","properties":{"p":{"title":"P","type":"string"}},"objects":[{"name":"o"}],"tags":[{"name":"t"}]}`)
		routes := []string{
			"POST /v2/metadefs/namespaces", "PUT /v2/metadefs/namespaces/ns",
			"POST /v2/metadefs/namespaces/ns/resource_types",
			"POST /v2/metadefs/namespaces/ns/properties", "PUT /v2/metadefs/namespaces/ns/properties/p",
			"POST /v2/metadefs/namespaces/ns/objects", "PUT /v2/metadefs/namespaces/ns/objects/o",
			"POST /v2/metadefs/namespaces/ns/tags", "PUT /v2/metadefs/namespaces/ns/tags/t",
		}
		method, path, _ := strings.Cut(routes[int(route)%len(routes)], " ")
		ask(t, h, method, path, body)
		var list struct {
			Namespaces []struct {
				Self string
			}
		}
		if err := json.Unmarshal(ask(t, h, "GET", "/v2/metadefs/namespaces", ""), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Namespaces) == 0 {
			t.Errorf("nothing is listed after %s %s %s", method, path, body)
		}
		for _, path := range []string{"", "/properties", "/objects", "/tags", "/resource_types"} {
			ask(t, h, "GET", "/v2/metadefs/namespaces/ns"+path, "")
		}
	})
}

// ask returns the answer to an admin's request; it must be JSON and no fault.
func ask(t *testing.T, h http.Handler, method, path, body string) []byte {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("As", "t1 admin")
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s %s %s is answered with %d %s", method, path, body, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// Without definitions there is nothing below /v2/metadefs.
func TestNoDefinitions(t *testing.T) {
	s := newService(t, Options{})
	s.api = New(s.images, Options{})
	h := s.handler()
	for _, path := range []string{"/v2/metadefs/namespaces", "/v2/metadefs/resource_types", "/v2/schemas/metadefs/tag"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("GET %s without definitions is answered with %d; want 404", path, w.Code)
		}
	}
}

func TestValidateBody(t *testing.T) {
	schema := itemSchema("thing", object{
		{"text", textSchema(maxName)},
		{"few", arrayOf(textSchema(), member{"minItems", 1}, member{"uniqueItems", true})},
		{"count", reference("positiveIntegerDefault0")},
		{"more", object{{"type", "object"}, {"additionalProperties", object{{"type", "number"}}}}},
		{"choice", object{{"enum", list{"a", nil}}}},
		{"free", object{}},
	}, schemaDefinitions(1), "text")
	for _, test := range []struct{ body, want string }{
		{`{"text":"x","few":["a","b"],"count":0,"more":{"a":1,"b":2.5},"choice":null,"free":[{}]}`, ""},
		{`{"text":"x","count":3.0}`, ""},
		{`[]`, "[] is not of type 'object'"},
		{`{}`, "'text' is a required property"},
		{`{"nope":1}`, "Additional properties are not allowed ('nope' was unexpected)"},
		{`{"text":"x","b":1,"a":1}`, "Additional properties are not allowed ('a', 'b' were unexpected)"},
		{`{"text":1}`, "1 is not of type 'string'"},
		{`{"text":"` + strings.Repeat("é", 80) + `"}`, ""},
		{`{"text":"` + strings.Repeat("x", 81) + `"}`, "' is too long"},
		{`{"text":"x","few":[]}`, "[] is too short"},
		{`{"text":"x","few":["a","a"]}`, "['a', 'a'] has non-unique elements"},
		{`{"text":"x","few":["a",1]}`, "1 is not of type 'string'\n\nFailed validating 'type' in schema['properties']['few']['items']"},
		{`{"text":"x","count":-1}`, "-1 is less than the minimum of 0\n\nFailed validating 'minimum' in schema['properties']['count']['allOf'][0]"},
		{`{"text":"x","count":-1e999}`, "-1e999 is less than the minimum of 0"},
		{`{"text":"x","count":1.5}`, "1.5 is not of type 'integer'"},
		{`{"text":"x","count":true}`, "True is not of type 'integer'"},
		{`{"text":"x","more":{"a":"b"}}`, "'b' is not of type 'number'\n\nFailed validating 'type' in schema['properties']['more']['additionalProperties']"},
		{`{"text":1,"few":[1],"more":{"a":"b"}}`, "1 is not of type 'string'\n\nFailed validating 'type' in schema['properties']['text']"},
		{`{"few":[1],"more":{"a":"b"}}`, "'text' is a required property"},
		{`{"text":"x","few":[1],"count":-1}`, "-1 is less than the minimum of 0"},
		{`{"text":"x","choice":"b","few":[]}`, "'b' is not one of ['a', None]"},
		{`{"text":"x","few":[],"more":1}`, "1 is not of type 'object'"},
		{`{"text":"x","choice":"b"}`, "'b' is not one of ['a', None]"},
		{`{"text":"x","choice":["a"]}`, "['a'] is not one of ['a', None]"},
	} {
		d := json.NewDecoder(strings.NewReader(test.body))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		_, err := validateBody(schema, lists(v))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("validateBody(%s) = %v; want %q", test.body, err, test.want)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "Provided object does not match schema 'thing': ") {
			t.Errorf("validateBody(%s) = %v; want the schema's name", test.body, err)
		}
	}
}
