package proposals

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// adviseName says what to write instead of name, which the block at path
// does not have: a similar name, the block that has it, or what the barclamp's
// name of it is here. Block says that it was written as a block.
func adviseName(path, name string, block bool) string {
	inside := blockNames(path)
	if slices.Contains(children[path], name) {
		return fmt.Sprintf("It is a block: write %s { ... }.", syntaxOf(path, name))
	}
	if slices.Contains(inside, name) {
		return fmt.Sprintf("It is an attribute: write %s = ... instead.", name)
	}
	if block {
		for _, parent := range keysOf(children) {
			if slices.Contains(children[parent], name) && parent != "" {
				return fmt.Sprintf("A block %s belongs in the block %s.", syntaxOf(parent, name), spec(parent).Syntax)
			}
		}
	}
	if near := nearest(name, inside); near != "" {
		return fmt.Sprintf("Did you mean %q?", near)
	}
	for _, b := range language {
		for _, a := range b.Attrs {
			if a.Barclamp == name || strings.HasSuffix(a.Barclamp, "."+name) && strings.HasPrefix(a.Barclamp, lastOf(path)+".") {
				return fmt.Sprintf("The barclamp's %s is the attribute %q of the block %s.", name, a.Name, b.Syntax)
			}
		}
	}
	var homes []string
	for _, b := range language {
		if b.Path != path && b.attr(name) != nil && strings.HasPrefix(b.Path, path+".") {
			homes = append(homes, b.Syntax)
		}
	}
	if len(homes) > 0 {
		return fmt.Sprintf("It belongs in the block %s.", strings.Join(homes, " or "))
	}
	if len(inside) == 0 {
		return "Nothing can be written here."
	}
	return "What can be written here: " + strings.Join(inside, ", ") + "."
}

// children lists the blocks that each block may hold.
var children = map[string][]string{
	"":            {"variable", "locals", "proposal"},
	"proposal":    {"ssh", "node", "mysql", "keystone", "rabbitmq", "role"},
	"node":        {"ssh"},
	"mysql":       {"admin"},
	"keystone":    {"admin"},
	"role":        {"backing", "cache", "database", "keystone", "rabbitmq", "api", "registry", "scrubber", "reaper", "prefetcher", "pruner", "config"},
	"role.config": {"section"},
}

// syntaxOf returns how the block called name in the block at path is written.
func syntaxOf(path, name string) string {
	for _, b := range language {
		if b.Path == name || b.Path == path+"."+name || strings.HasPrefix(b.Path, path+"."+name+".") {
			return b.Syntax
		}
	}
	return name
}

// blockNames returns the names of everything that the block at path may hold.
func blockNames(path string) []string {
	var names []string
	if s := spec(path); s != nil {
		for _, a := range s.Attrs {
			names = append(names, a.Name)
		}
	}
	return append(names, children[path]...)
}

func lastOf(path string) string {
	return path[strings.LastIndexByte(path, '.')+1:]
}

// nearest returns the one of names that name is most likely a misspelling
// of, or "".
func nearest(name string, names []string) string {
	best, found := 1+len(name)/3, ""
	for _, n := range names {
		if d := distance(strings.ToLower(name), n); d <= best && (found == "" || d < best) {
			best, found = d, n
		}
	}
	return found
}

// Nearest returns the one of names that name is most likely a misspelling of,
// or "".
func Nearest(name string, names []string) string { return nearest(name, names) }

// distance counts the letters to insert, remove, replace or swap with their
// neighbour to make b out of a.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return len(a) + len(b) // nobody misspells that
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// advise returns "did you mean" for a value that is not one of names, and
// the list of them.
func advise(value string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	list := "Known: " + strings.Join(names, ", ") + "."
	if near := nearest(value, names); near != "" {
		return fmt.Sprintf("Did you mean %q? %s", near, list)
	}
	return list
}

func keysOf[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// plainText returns Markdown of the language table as text.
func plainText(s string) string { return strings.ReplaceAll(s, "`", "") }
