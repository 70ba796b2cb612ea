package apiv2

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// An object is a JSON object whose members keep their order: documents look
// the way clients have always seen them.
type object []member

type member struct {
	name  string
	value any // object, list, []string, string, bool, int, int64, json.Number or nil; or what encoding/json makes
}

type list []any

// appendJSON appends v the way Python writes JSON: a space after commas and
// colons, and text beyond ASCII as it is.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case object:
		b = append(b, '{')
		for i, m := range v {
			b = separate(b, i)
			b = appendName(b, m.name)
			b = appendJSON(b, m.value)
		}
		return append(b, '}')
	case list:
		b = append(b, '[')
		for i, e := range v {
			b = appendJSON(separate(b, i), e)
		}
		return append(b, ']')
	case []any:
		return appendJSON(b, list(v))
	case map[string]any:
		b = append(b, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			b = appendName(separate(b, i), name)
			b = appendJSON(b, v[name])
		}
		return append(b, '}')
	case json.Number:
		return append(b, v...)
	case []string:
		b = append(b, '[')
		for i, e := range v {
			b = appendString(separate(b, i), e)
		}
		return append(b, ']')
	case string:
		return appendString(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	}
	return append(b, "null"...)
}

func separate(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ", "...)
	}
	return b
}

func appendName(b []byte, name string) []byte {
	return append(appendString(b, name), ": "...)
}

// plain returns how much of s stands in JSON as it is: ASCII text without what
// has to be escaped.
func plain(s string) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

const hexDigits = "0123456789abcdef"

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		if n := plain(s[i:]); n > 0 {
			b = append(b, s[i:i+n]...)
			i += n
			continue
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\b':
			b = append(b, '\\', 'b')
		case c == '\f':
			b = append(b, '\\', 'f')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
		i++
	}
	return append(b, '"')
}
