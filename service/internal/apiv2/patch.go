package apiv2

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

// The two forms of a patch: operations with op and path, and the older ones
// where the operation's name holds the path.
const (
	patchV21 = "application/openstack-images-v2.1-json-patch"
	patchV20 = "application/openstack-images-v2.0-json-patch"
)

// readPatch reads the changes in either form. All of them are checked before
// any is made.
func (a *API) readPatch(r *http.Request) ([]glance.Change, error) {
	contentType := mediaType(r)
	if contentType != patchV20 && contentType != patchV21 {
		return nil, unsupported(r, http.Header{"Accept-Patch": {patchV20 + ", " + patchV21}})
	}
	body, err := readJSON(r)
	if err != nil {
		return nil, err
	}
	operations, ok := body.(list)
	if !ok {
		return nil, bad("Request body must be a JSON array of operation objects.")
	}
	changes := make([]glance.Change, 0, len(operations))
	for _, o := range operations {
		raw, ok := o.(map[string]any)
		if !ok {
			return nil, bad("Operations must be JSON objects.")
		}
		change, err := a.parseChange(raw, contentType == patchV20)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

var ops = map[string]glance.Op{"add": glance.Add, "remove": glance.Remove, "replace": glance.Replace}

func (a *API) parseChange(raw map[string]any, old bool) (glance.Change, error) {
	operation := operation21
	if old {
		operation = operation20
	}
	op, pointer, err := operation(raw)
	if err != nil {
		return glance.Change{}, err
	}
	path, err := parsePointer(pointer)
	if err != nil {
		return glance.Change{}, err
	}
	if len(path) != depth(op, path[0]) {
		return glance.Change{}, bad("Invalid JSON pointer for this resource: '/%s'", strings.Join(path, "/"))
	}
	change := glance.Change{Op: ops[op], Attribute: path[0], Strict: old}
	if len(path) > 1 {
		change.Position = path[1]
	}
	value, given := raw["value"]
	if op != "remove" && !given {
		return change, bad(`Operation "%s" requires a member named "value".`, op)
	}
	if err := a.writable(change); err != nil {
		return change, err
	}
	if op == "remove" {
		return change, nil
	}
	if len(path) > 1 {
		value = list{value}
	}
	if err := a.validate(change.Attribute, value); err != nil {
		return change, err
	}
	if value == nil && a.nullable(change.Attribute) {
		value = ""
	}
	change.Value, err = typed(change.Attribute, value)
	return change, err
}

// depth is how many steps a path must have.
func depth(op, root string) int {
	if root == "locations" && op != "replace" {
		return 2
	}
	return 1
}

func operation21(raw map[string]any) (op, path string, err error) {
	const choice = "It must be one of the following: add, remove, replace."
	v, ok := raw["op"]
	if !ok {
		return "", "", bad("Unable to find `op` in JSON Schema change. %s", choice)
	}
	op, _ = v.(string)
	if _, known := ops[op]; !known {
		if op == "" {
			op = repr(v)
		}
		return "", "", bad("Invalid operation: `%s`. %s", op, choice)
	}
	v, ok = raw["path"]
	if !ok {
		return "", "", bad("Unable to find 'path' in JSON Schema change")
	}
	path, err = pointerText(v)
	return op, path, err
}

func operation20(raw map[string]any) (op, path string, err error) {
	for _, name := range []string{"replace", "add", "remove"} {
		if _, ok := raw[name]; !ok {
			continue
		}
		if op != "" {
			return "", "", bad(`Operation objects must contain only one member named "add", "remove", or "replace".`)
		}
		op = name
	}
	if op == "" {
		return "", "", bad(`Operation objects must contain exactly one member named "add", "remove", or "replace".`)
	}
	path, err = pointerText(raw[op])
	return op, path, err
}

func pointerText(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", bad("Invalid JSON pointer for this resource: %s", repr(v))
	}
	return s, nil
}

var (
	adjacentSlashes = regexp.MustCompile(`/\s*/`)
	strayTilde      = regexp.MustCompile(`~([^01]|$)`)
	unescape        = strings.NewReplacer("~1", "/", "~0", "~")
)

// parsePointer returns the steps of a JSON pointer, at least one.
func parsePointer(p string) ([]string, error) {
	switch {
	case !strings.HasPrefix(p, "/"):
		return nil, bad("Pointer `%s` does not start with \"/\".", p)
	case len(p) > 1 && strings.HasSuffix(p, "/"):
		return nil, bad("Pointer `%s` end with \"/\".", p)
	case adjacentSlashes.MatchString(p):
		return nil, bad("Pointer `%s` contains adjacent \"/\".", p)
	case strayTilde.MatchString(p):
		return nil, bad("Pointer `%s` contains \"~\" not part of a recognized escape sequence.", p)
	}
	var steps []string
	for step := range strings.SplitSeq(p[1:], "/") {
		steps = append(steps, strings.TrimSpace(unescape.Replace(step)))
	}
	return steps, nil
}

// writable refuses changes of what clients may not write, before the image is
// looked for.
func (a *API) writable(c glance.Change) error {
	name := c.Attribute
	fixed := slices.Contains(readOnly, name) || name == "id" || name == "os_hash_algo" || name == "os_hash_value"
	// A patch has never known of stores as an attribute; as a property it would
	// stand in the document beside the real one.
	fixed = fixed || slices.Contains(derived, name) && (name != "stores" || c.Op == glance.Add)
	if fixed {
		return forbidden("Attribute '%s' is read-only.", name)
	}
	switch {
	case name == "location", name == "deleted", name == "deleted_at", strings.HasPrefix(name, "os_glance"):
		return forbidden("Attribute '%s' is reserved.", name)
	}
	return nil
}

// typed gives a value that the schema has let through the type that the
// domain wants.
func typed(name string, value any) (any, error) {
	switch v := value.(type) {
	case json.Number:
		return integer(map[string]any{name: v}, name)
	case list:
		switch name {
		case "tags":
			return texts(v), nil
		case "locations":
			return newLocations(v)
		}
		return []any(v), nil
	}
	return value, nil
}

// mediaType returns the request's content type without its parameters.
func mediaType(r *http.Request) string {
	t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// unsupported refuses what the request says its body is. One that says nothing
// counts as text.
func unsupported(r *http.Request, header http.Header) error {
	kind := r.Header.Get("Content-Type")
	if kind == "" {
		kind = "text/plain"
	}
	return &fault.Fault{
		Code:   http.StatusUnsupportedMediaType,
		Text:   fmt.Sprintf("The request media type %s is not supported by this server.", kind),
		Header: header,
	}
}
