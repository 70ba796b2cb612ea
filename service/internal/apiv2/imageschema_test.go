package apiv2

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"glancectl/service/glance"
)

func TestParseImageSchema(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`{"a": {"type": "string", "enum": ["x", "y"]}}`, `"a": {"type": "string", "enum": ["x", "y"], "is_base": false}`},
		{`{"properties": {"a": {"type": ["string", "null"], "maxLength": 3}}}`, `"a": {"type": ["null", "string"], "maxLength": 3, "is_base": false}`},
	} {
		all, err := ParseImageSchema([]byte(test.text))
		if err != nil || len(all) != 1 {
			t.Errorf("ParseImageSchema(%s) = %v, %v", test.text, all, err)
			continue
		}
		if got := string(appendJSON(nil, object{{all[0].name, all[0].document()}})); got != "{"+test.want+"}" {
			t.Errorf("ParseImageSchema(%s): served as %s; want %s", test.text, got, test.want)
		}
	}
	for text, want := range map[string]string{
		`[]`:                                     "cannot unmarshal array",
		`{"a": {"type": "integer"}}`:             "property a: type",
		`{"a": {}}`:                              "property a: type",
		`{"a": {"type": "string", "minimum":1}}`: "minimum",
		`{"a": {"type": "string", "pattern":"("}}`:      "pattern",
		`{"properties": {"a": {"type": "null"}}}`:       "property a: type",
		`{"a": {"type": "string"}} {"b": 1}`:            "behind",
		`{"properties": [], "required": ["kernel_id"]}`: "properties",
	} {
		if _, err := ParseImageSchema([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseImageSchema(%s): %v; want it to say %q", text, err, want)
		}
	}
}

// What may be null is kept as empty text, and is null again on the wire.
func TestNullProperty(t *testing.T) {
	srv := httptest.NewServer(newService(t, Options{}).handler())
	defer srv.Close()
	const send = "Content-Type: application/json\n\n"
	got := exchange(t, srv.Listener.Addr().String(), "POST /v2/images\n"+send+`{"kernel_id": null, "plain": ""}`)
	if !strings.HasPrefix(got, "201") || !strings.Contains(got, `{"kernel_id": null, "plain": "", `) {
		t.Errorf("create: %s", got)
	}
	got = exchange(t, srv.Listener.Addr().String(), "POST /v2/images\n"+send+`{"plain": null}`)
	if !strings.HasPrefix(got, "400") {
		t.Errorf("null where nothing is said of the property: %s", got)
	}
	im := &glance.Image{Properties: map[string]string{"ramdisk_id": ""}}
	a := &API{custom: shippedProperties(), images: newService(t, Options{}).images}
	doc := string(a.appendImage(httptest.NewRequest(http.MethodGet, "/", nil).Context(), nil, im))
	if !strings.Contains(doc, `"ramdisk_id": null`) {
		t.Errorf("document: %s", doc)
	}
}
