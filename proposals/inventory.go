package proposals

import (
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// inventoryFile is the shape of an inventory. Values are of any type, so that
// a wrong one is reported with the others and not alone.
type inventoryFile struct {
	Nodes map[string]inventoryNode `toml:"nodes"`
}

type inventoryNode struct {
	Address    any          `toml:"address"`
	Connection any          `toml:"connection"`
	Init       any          `toml:"init"`
	Root       any          `toml:"root"`
	SSH        inventorySSH `toml:"ssh"`
}

type inventorySSH struct {
	User           any `toml:"user"`
	Port           any `toml:"port"`
	PrivateKey     any `toml:"private_key"`
	KnownHosts     any `toml:"known_hosts"`
	HostKeys       any `toml:"host_keys"`
	ConnectTimeout any `toml:"connect_timeout"`
	CommandTimeout any `toml:"command_timeout"`
}

// inventory adds the nodes of a TOML file, through the same checks as those
// of blocks. The attribute a names the file.
func (n *nodeReader) inventory(file string, a *hcl.Attribute) {
	text, err := readSmall(file)
	if err != nil {
		n.errorf(a.Expr.Range(), n.startsAt(), "the inventory cannot be read: %v", err)
		return
	}
	n.add(file, text)
	r := inventoryReader{nodeReader: n, file: file, lines: tomlLines(text)}
	var inv inventoryFile
	r.meta, err = toml.Decode(string(text), &inv)
	if err != nil {
		n.tomlError(file, err)
		return
	}
	var last string
	for _, key := range r.meta.Undecoded() {
		// What is in a table that should not be there is no mistake of its own.
		if last != "" && strings.HasPrefix(key.String(), last+".") {
			continue
		}
		last = key.String()
		n.errorf(r.place(key), adviseTOML(key), "unknown key %q in the inventory", key.String())
	}
	seen := map[string]bool{}
	for _, key := range r.meta.Keys() { // in the order of the file
		if len(key) < 2 || key[0] != "nodes" || seen[key[1]] {
			continue
		}
		seen[key[1]] = true
		r.entry(key[1], inv.Nodes[key[1]])
	}
}

// An inventoryReader adds the nodes of one inventory.
type inventoryReader struct {
	*nodeReader
	file  string
	lines tomlPlaces
	meta  toml.MetaData
}

func (r *inventoryReader) entry(name string, node inventoryNode) {
	key := toml.Key{"nodes", name}
	if !ident.MatchString(name) {
		r.errorf(r.place(key), "Use letters, digits and . _ -, at most 63, a letter or digit first.", "bad name of a node: %q", name)
	}
	raw, over := new(nodeBlock), new(sshBlock)
	for field, value := range tomlFields(node) {
		r.set(raw, field, r.attribute(spec("node"), spec("node").attr(field), r.written(key, field, value), r.place(key)))
	}
	for field, value := range tomlFields(node.SSH) {
		if attr := r.written(append(key, "ssh"), field, value); attr != nil {
			r.set(over, field, r.attribute(spec("ssh"), spec("ssh").attr(field), attr, r.place(key)))
		}
	}
	r.node(name, r.place(key), raw, over)
}

// written returns a value of the inventory as an attribute, or nil if it is
// not there.
func (r *inventoryReader) written(table toml.Key, field string, value any) *hcl.Attribute {
	key := append(slices.Clone(table), field)
	if !r.meta.IsDefined(key...) {
		return nil
	}
	at := r.place(key)
	return &hcl.Attribute{Name: field, Range: at, NameRange: at, Expr: hcl.StaticExpr(tomlValue(value), at)}
}

// set puts attr into the field of block that has the tag name.
func (r *inventoryReader) set(block any, name string, attr *hcl.Attribute) {
	v := reflect.ValueOf(block).Elem()
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("hcl"), ","); tag == name {
			v.Field(i).Set(reflect.ValueOf(attr))
		}
	}
}

// tomlFields yields the plain values of a struct by their names in TOML.
func tomlFields(from any) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		v := reflect.ValueOf(from)
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.Interface && !yield(v.Type().Field(i).Tag.Get("toml"), v.Field(i).Interface()) {
				return
			}
		}
	}
}

// tomlValue returns a value of TOML for the checks of HCL's types. What is
// neither text, number nor boolean becomes a list, which nothing here takes.
func tomlValue(v any) cty.Value {
	switch v := v.(type) {
	case string:
		return cty.StringVal(v)
	case int64:
		return cty.NumberIntVal(v)
	case bool:
		return cty.BoolVal(v)
	case float64:
		if v-v == 0 { // neither infinite nor not a number
			return cty.NumberFloatVal(v)
		}
	}
	return cty.EmptyTupleVal
}

func (n *nodeReader) tomlError(file string, err error) {
	var parse toml.ParseError
	rng := hcl.Range{Filename: file}
	text := err.Error()
	if errors.As(err, &parse) {
		text = parse.Message
		if text == "" {
			text = strings.TrimPrefix(err.Error(), "toml: ")
		}
		start := parse.Position.Start
		rng.Start = hcl.Pos{Line: parse.Position.Line, Column: max(1, parse.Position.Col), Byte: start}
		rng.End = hcl.Pos{Line: parse.Position.Line, Column: rng.Start.Column + parse.Position.Len, Byte: start + parse.Position.Len}
	}
	n.errorf(rng, "An inventory is a TOML file with a table [nodes.NAME] for each node.", "bad inventory: %s", text)
}

func adviseTOML(key toml.Key) string {
	switch {
	case len(key) == 1:
		return "An inventory has tables [nodes.NAME] and nothing else."
	case len(key) >= 4 && key[2] == "ssh":
		return adviseName("ssh", key[3], false)
	default:
		return adviseName("node", key[len(key)-1], false)
	}
}

// tomlPlaces finds keys in the text of a TOML file. The library does not say
// where a key stands, so this reads table headers and keys line by line; a
// key written in another way has the place of its table, or none.
type tomlPlaces map[string]hcl.Range

func tomlLines(text []byte) tomlPlaces {
	places := tomlPlaces{}
	table, offset := "", 0
	for number, line := range strings.SplitAfter(string(text), "\n") {
		code := strings.TrimSpace(line)
		indent := offset + len(line) - len(strings.TrimLeft(line, " \t"))
		if inner, ok := strings.CutPrefix(code, "["); ok {
			inner, _, _ = strings.Cut(inner, "]")
			table = tomlName(inner)
			places.set(table, hcl.Pos{Line: number + 1, Column: indent - offset + 1, Byte: indent}, len(code))
		} else if key, _, ok := strings.Cut(code, "="); ok && !strings.HasPrefix(code, "#") {
			name := strings.TrimPrefix(table+"."+tomlName(key), ".")
			places.set(name, hcl.Pos{Line: number + 1, Column: indent - offset + 1, Byte: indent}, len(strings.TrimSpace(key)))
		}
		offset += len(line)
	}
	return places
}

// tomlName returns a dotted key without spaces and quotes.
func tomlName(s string) string {
	return strings.NewReplacer(" ", "", "\t", "", `"`, "", "'", "").Replace(s)
}

func (p tomlPlaces) set(key string, at hcl.Pos, length int) {
	if _, ok := p[key]; ok {
		return
	}
	p[key] = hcl.Range{Start: at, End: hcl.Pos{Line: at.Line, Column: at.Column + length, Byte: at.Byte + length}}
}

// place returns where key stands, or the table that it is in.
func (r *inventoryReader) place(key toml.Key) hcl.Range {
	for n := len(key); n > 0; n-- {
		if rng, ok := r.lines[strings.Join(key[:n], ".")]; ok {
			rng.Filename = r.file
			return rng
		}
	}
	return hcl.Range{Filename: r.file}
}
