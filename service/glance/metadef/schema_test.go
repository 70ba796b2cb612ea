package metadef_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance/metadef"
)

// object reads JSON as the API does.
func object(t testing.TB, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParseSchema(t *testing.T) {
	for _, test := range []struct{ schema, want, problem string }{
		{schema: `{"title":"T","type":"string"}`, want: `{"title":"T","type":"string"}`},
		{schema: `{"title":"T","type":"x","default":2,"minimum":2.0,"maximum":0.5}`, want: `{"default":"2","maximum":0.5,"minimum":2,"title":"T","type":"x"}`},
		{schema: `{"title":"T","type":"x","default":true}`, want: `{"default":"True","title":"T","type":"x"}`},
		{schema: `{"title":"T","type":"x","default":false,"readonly":false}`, want: `{"default":"False","readonly":false,"title":"T","type":"x"}`},
		{schema: `{"title":"T","type":"x","default":null}`, want: `{"default":null,"title":"T","type":"x"}`},
		{schema: `{"title":"T","type":"x","default":["a",1]}`, want: `{"default":["a",1],"title":"T","type":"x"}`},
		{schema: `{"title":"T","type":"array","items":{"type":"string","enum":["a"]},"operators":["<in>"],"uniqueItems":true,"minItems":0}`,
			want: `{"items":{"enum":["a"],"type":"string"},"minItems":0,"operators":["<in>"],"title":"T","type":"array","uniqueItems":true}`},
		{schema: `{"title":"T","type":"x","minimum":9007199254740993,"maximum":1e300}`, want: `{"maximum":1e300,"minimum":9007199254740993,"title":"T","type":"x"}`},
		{schema: `{"title":"T"}`, problem: "type is missing"},
		{schema: `{"type":"string"}`, problem: "title is missing"},
		{schema: `{"title":"T","type":"string","color":"red"}`, problem: `keyword "color" is not supported`},
		{schema: `{"title":"T","type":"string","required":["a"]}`, problem: `keyword "required" is not supported`},
		{schema: `{"title":1,"type":"string"}`, problem: "title: not of a form that is supported"},
		{schema: `{"title":"T","type":"string","enum":[1]}`, problem: "enum: choices other than text are not supported"},
		{schema: `{"title":"T","type":"string","enum":"a"}`, problem: "enum: not of a form"},
		{schema: `{"title":"T","type":"string","items":[]}`, problem: "items: not of a form"},
		{schema: `{"title":"T","type":"string","items":{}}`, problem: "items: type is missing"},
		{schema: `{"title":"T","type":"string","items":{"type":"a","x":1}}`, problem: `items: keyword "x" is not supported`},
		{schema: `{"title":"T","type":"string","items":{"type":"a","enum":[null]}}`, problem: "items: enum: choices other than text"},
		{schema: `{"title":"T","type":"string","readonly":"yes"}`, problem: "readonly: not of a form"},
		{schema: `{"title":"T","type":"string","minimum":"1"}`, problem: "minimum: not of a form"},
		{schema: `{"title":"T","type":"string","minimum":1e999}`, problem: "minimum: number 1e999 is out of range"},
	} {
		s, err := metadef.ParseSchema(object(t, test.schema))
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("ParseSchema(%s) = %v, %v; want %q", test.schema, s, err, test.problem)
			}
			continue
		}
		if err != nil || s.Encode() != test.want {
			t.Errorf("ParseSchema(%s) = %s, %v; want %s", test.schema, s.Encode(), err, test.want)
		}
	}
}

func TestReadSchema(t *testing.T) {
	for schema, want := range map[string]string{
		`{}`: `{}`,
		`{"color":"red","required":["a"],"title":5,"pattern":null}`:  `{}`,
		`{"enum":["a",1,2.5,false,null,[]],"minimum":1e999}`:         `{"enum":["a","1","2.5","False"]}`,
		`{"items":{"type":"string","enum":[1],"x":{}},"default":10}`: `{"default":"10","items":{"enum":["1"],"type":"string"}}`,
		`{"items":{"enum":["a"]}}`:                                   `{}`,
	} {
		if got := metadef.ReadSchema(object(t, schema)).Encode(); got != want {
			t.Errorf("ReadSchema(%s) = %s; want %s", schema, got, want)
		}
	}
}

// A schema is the same after it was kept, and has a text that any database
// takes.
func FuzzSchema(f *testing.F) {
	f.Add(`{"title":"é😀\u2028","type":"string","default":{"a":[1,2.5,null,true]},"minimum":1.5,"enum":["<&>"]}`)
	f.Add(`{"title":"T","type":"array","items":{"type":"string","enum":[]},"maximum":123456789012345678901234567890}`)
	f.Fuzz(func(t *testing.T, text string) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v map[string]any
		if d.Decode(&v) != nil {
			return
		}
		s, err := metadef.ParseSchema(v)
		if err != nil {
			s = metadef.ReadSchema(v)
		}
		encoded := s.Encode()
		if strings.ContainsFunc(encoded, func(r rune) bool { return r > unicode.MaxASCII }) {
			t.Errorf("Encode() = %s; want ASCII", encoded)
		}
		again, err := metadef.DecodeSchema(encoded)
		if err != nil {
			t.Fatalf("DecodeSchema(%s): %v", encoded, err)
		}
		if diff := cmp.Diff(s.Encode(), again.Encode()); diff != "" {
			t.Errorf("kept and read again (-before +after):\n%s", diff)
		}
	})
}
