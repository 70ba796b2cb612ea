package proposals

import (
	"errors"
	"reflect"
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
	lines := tomlLines(text)
	var inv inventoryFile
	meta, err := toml.Decode(string(text), &inv)
	if err != nil {
		n.tomlError(file, err)
		return
	}
	for _, key := range meta.Undecoded() {
		n.errorf(lines.place(file, key), adviseTOML(key), "unknown key %q in the inventory", key.String())
	}
	seen := map[string]bool{}
	for _, key := range meta.Keys() { // in the order of the file
		if len(key) < 2 || key[0] != "nodes" || seen[key[1]] {
			continue
		}
		seen[key[1]] = true
		n.inventoryNode(file, lines, meta, key[1], inv.Nodes[key[1]])
	}
}

func (n *nodeReader) inventoryNode(file string, lines tomlPlaces, meta toml.MetaData, name string, node inventoryNode) {
	place := lines.place(file, toml.Key{"nodes", name})
	if !ident.MatchString(name) {
		n.errorf(place, "Use letters, digits and . _ -, at most 63, a letter or digit first.", "bad name of a node: %q", name)
	}
	read := func(path string, from, into any, defaults bool, prefix ...string) {
		s := spec(path)
		v, out := reflect.ValueOf(from), reflect.ValueOf(into).Elem()
		for i := range v.NumField() {
			key := v.Type().Field(i).Tag.Get("toml")
			if key == "ssh" {
				continue
			}
			whole := append(append(toml.Key{"nodes", name}, prefix...), key)
			var attr *hcl.Attribute
			if meta.IsDefined(whole...) {
				at := lines.place(file, whole)
				attr = &hcl.Attribute{Name: key, Range: at, NameRange: at, Expr: hcl.StaticExpr(tomlValue(v.Field(i).Interface()), at)}
			}
			if attr != nil || defaults {
				out.FieldByName(v.Type().Field(i).Name).Set(reflect.ValueOf(n.attribute(s, s.attr(key), attr, place)))
			}
		}
	}
	var raw nodeBlock
	var over sshBlock
	read("node", node, &raw, true)
	read("ssh", node.SSH, &over, false, "ssh")
	n.node(name, place, &raw, &over)
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
			places.set(table, number+1, indent, offset, code)
		} else if key, _, ok := strings.Cut(code, "="); ok && !strings.HasPrefix(code, "#") {
			places.set(strings.TrimPrefix(table+"."+tomlName(key), "."), number+1, indent, offset, strings.TrimSpace(key))
		}
		offset += len(line)
	}
	return places
}

// tomlName returns a dotted key without spaces and quotes.
func tomlName(s string) string {
	return strings.NewReplacer(" ", "", "\t", "", `"`, "", "'", "").Replace(s)
}

func (p tomlPlaces) set(key string, line, at, lineStart int, text string) {
	if _, ok := p[key]; ok {
		return
	}
	p[key] = hcl.Range{
		Start: hcl.Pos{Line: line, Column: at - lineStart + 1, Byte: at},
		End:   hcl.Pos{Line: line, Column: at - lineStart + 1 + len(text), Byte: at + len(text)},
	}
}

// place returns where key stands, or the table that it is in.
func (p tomlPlaces) place(file string, key toml.Key) hcl.Range {
	for n := len(key); n > 0; n-- {
		if rng, ok := p[strings.Join(key[:n], ".")]; ok {
			rng.Filename = file
			return rng
		}
	}
	return hcl.Range{Filename: file}
}
