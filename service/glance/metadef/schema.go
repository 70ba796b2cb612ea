package metadef

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// A Schema says what the values of a property may be, in keywords of JSON
// Schema. Values are as encoding/json makes them, but whole numbers are int64
// and other numbers json.Number. Every Schema has been through ParseSchema or
// ReadSchema; it is not changed afterwards.
type Schema map[string]any

// A form is what the value of a keyword may be.
type form int

const (
	formText form = iota
	formTexts
	formNumber
	formTruth
	formItems
	formDefault
)

// Keywords are the keywords there are, in the order in which schemas are
// shown. OpenStack Glance, which may share the database, fails on others.
var Keywords = []string{
	"name", "type", "title", "description", "operators", "default", "readonly", "minimum", "maximum", "enum", "pattern",
	"minLength", "maxLength", "confidential", "items", "uniqueItems", "minItems", "maxItems", "additionalItems",
}

var forms = map[string]form{
	"name": formText, "type": formText, "title": formText, "description": formText, "pattern": formText,
	"operators": formTexts, "enum": formTexts,
	"minimum": formNumber, "maximum": formNumber, "minLength": formNumber, "maxLength": formNumber,
	"minItems": formNumber, "maxItems": formNumber,
	"readonly": formTruth, "confidential": formTruth, "uniqueItems": formTruth, "additionalItems": formTruth,
	"items": formItems, "default": formDefault,
}

// ItemKeywords are the keywords of items, likewise.
var ItemKeywords = []string{"type", "enum"}

// ParseSchema returns a schema as it is kept. Numbers in v are float64 or
// json.Number. A default that is a number or a truth becomes text, as in
// OpenStack Glance. It is an error if there is an unknown keyword or a value
// of the wrong form, or type and title are not there.
func ParseSchema(v map[string]any) (Schema, error) {
	for keyword := range v {
		if _, known := forms[keyword]; !known {
			return nil, fmt.Errorf("keyword %q is not supported", keyword)
		}
	}
	s := make(Schema, len(v))
	for _, keyword := range Keywords {
		value, ok := v[keyword]
		if !ok {
			continue
		}
		parsed, err := forms[keyword].parse(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", keyword, err)
		}
		s[keyword] = parsed
	}
	for _, keyword := range []string{"title", "type"} {
		if _, ok := s[keyword]; !ok {
			return nil, fmt.Errorf("%s is missing", keyword)
		}
	}
	return s, nil
}

// ReadSchema returns the schema in v, from a file or a database, without what
// ParseSchema would refuse.
func ReadSchema(v map[string]any) Schema {
	s := make(Schema, len(v))
	for _, keyword := range Keywords {
		value, ok := v[keyword]
		if !ok {
			continue
		}
		if list, ok := value.([]any); ok && forms[keyword] == formTexts {
			value = textsOf(list)
		}
		if items, ok := value.(map[string]any); ok && keyword == "items" {
			value = readItems(items)
		}
		if parsed, err := forms[keyword].parse(value); err == nil {
			s[keyword] = parsed
		}
	}
	return s
}

// readItems is ReadSchema for items.
func readItems(v map[string]any) map[string]any {
	kept := make(map[string]any)
	for _, keyword := range ItemKeywords {
		if list, ok := v[keyword].([]any); ok {
			kept[keyword] = textsOf(list)
		} else if v[keyword] != nil {
			kept[keyword] = v[keyword]
		}
	}
	return kept
}

// textsOf spells out the numbers and truths among choices, which files have.
func textsOf(list []any) []any {
	texts := make([]any, 0, len(list))
	for _, v := range list {
		if s, ok := spelled(v).(string); ok {
			texts = append(texts, s)
		}
	}
	return texts
}

var errForm = errors.New("not of a form that is supported")

func (f form) parse(v any) (any, error) {
	switch f {
	case formText:
		if s, ok := v.(string); ok {
			return s, nil
		}
	case formTruth:
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case formNumber:
		return parseNumber(v)
	case formTexts:
		return parseTexts(v)
	case formItems:
		return parseItems(v)
	case formDefault:
		return spelled(v), nil
	}
	return nil, errForm
}

func parseTexts(v any) (any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errForm
	}
	for _, e := range list {
		if _, ok := e.(string); !ok {
			return nil, errors.New("choices other than text are not supported")
		}
	}
	return list, nil
}

func parseItems(v any) (any, error) {
	items, ok := v.(map[string]any)
	if !ok {
		return nil, errForm
	}
	for keyword := range items {
		if !slices.Contains(ItemKeywords, keyword) {
			return nil, fmt.Errorf("keyword %q is not supported", keyword)
		}
	}
	if _, ok := items["type"].(string); !ok {
		return nil, errors.New("type is missing")
	}
	if enum, ok := items["enum"]; ok {
		if _, err := parseTexts(enum); err != nil {
			return nil, fmt.Errorf("enum: %w", err)
		}
	}
	return items, nil
}

// whole is the range in which a float is exact.
const whole = 1 << 53

// parseNumber returns whole numbers as int64 and others as they are spelled.
func parseNumber(v any) (any, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case float64:
		return parseNumber(json.Number(strconv.FormatFloat(v, 'g', -1, 64)))
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, fmt.Errorf("number %s is out of range", v)
		}
		if f == math.Trunc(f) && math.Abs(f) < whole {
			return int64(f), nil
		}
		return v, nil
	}
	return nil, errForm
}

// spelled returns numbers and truths as text, as Python writes them.
func spelled(v any) any {
	switch v := v.(type) {
	case bool:
		if v {
			return "True"
		}
		return "False"
	case json.Number:
		return v.String()
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return v
}

// Encode returns s as JSON, all of it ASCII: a database whose text ends at the
// first 65,536 characters takes it.
func (s Schema) Encode() string { return encode(s) }

// EncodeSchemas is Encode for the properties of an object.
func EncodeSchemas(m map[string]Schema) string {
	if m == nil {
		m = map[string]Schema{}
	}
	return encode(m)
}

func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // a Schema holds nothing that JSON cannot
	}
	var ascii bytes.Buffer
	for _, r := range string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))) {
		switch {
		case r < 0x80:
			ascii.WriteRune(r)
		case r > 0xFFFF:
			r -= 0x10000
			fmt.Fprintf(&ascii, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		default:
			fmt.Fprintf(&ascii, `\u%04x`, r)
		}
	}
	return ascii.String()
}

// DecodeSchema reads what Encode, or OpenStack Glance, has written.
func DecodeSchema(text string) (Schema, error) {
	var v map[string]any
	if err := unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("read property schema: %w", err)
	}
	return ReadSchema(v), nil
}

// DecodeSchemas reads the properties of an object. It returns a map also if
// there are none.
func DecodeSchemas(text string) (map[string]Schema, error) {
	var v map[string]map[string]any
	if err := unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("read property schemas: %w", err)
	}
	schemas := make(map[string]Schema, len(v))
	for name, s := range v {
		schemas[name] = ReadSchema(s)
	}
	return schemas, nil
}

// unmarshal keeps numbers as they are spelled.
func unmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}
