package proposals

import (
	"bytes"
	"fmt"
	"strings"
)

// Reference returns the reference of the language in Markdown, made from the
// table that the decoder works by.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString(referenceHead)
	for _, block := range language {
		writeBlock(&b, block)
	}
	b.WriteString(referenceFunctions)
	writeDepartures(&b)
	return b.Bytes()
}

func writeBlock(b *bytes.Buffer, block BlockSpec) {
	depth := strings.Repeat("#", min(2+strings.Count(block.Path, "."), 4))
	fmt.Fprintf(b, "\n%s `%s`\n\n%s\n", depth, block.Syntax, block.Meaning)
	if parent, _, ok := cutLast(block.Path); ok {
		if p := spec(parent); p != nil {
			fmt.Fprintf(b, "In: `%s`.\n", p.Syntax)
		}
	}
	if len(block.Attrs) == 0 {
		return
	}
	b.WriteString("\n| attribute | type | default | meaning |\n|---|---|---|---|\n")
	for _, a := range block.Attrs {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", a.Name, a.Type, defaultText(a), cell(a.Meaning))
	}
}

func defaultText(a AttrSpec) string {
	switch {
	case a.Required:
		return "required"
	case a.Default != "":
		return "`" + a.Default + "`"
	default:
		return cell(a.Implied)
	}
}

// cell keeps a text inside one cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// cutLast splits a path before its last dot.
func cutLast(path string) (before, after string, found bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

func writeDepartures(b *bytes.Buffer) {
	b.WriteString(referenceDepartures)
	b.WriteString("| here | the barclamp's name | how and why |\n|---|---|---|\n")
	for _, block := range language {
		for _, a := range block.Attrs {
			if a.Departs == "" {
				continue
			}
			old := "none"
			if a.Barclamp != "" {
				old = "`" + a.Barclamp + "`"
			}
			fmt.Fprintf(b, "| `%s`, `%s` | %s | %s |\n", block.Syntax, a.Name, old, cell(a.Departs))
		}
	}
	b.WriteString("\n### Names\n\nThe barclamp's parameters and what they are called here.\n\n| the barclamp's name | here |\n|---|---|\n")
	for _, block := range language {
		for _, a := range block.Attrs {
			if a.Barclamp != "" {
				fmt.Fprintf(b, "| `%s` | `%s` in `%s` |\n", a.Barclamp, a.Name, block.Syntax)
			}
		}
	}
	b.WriteString("| `database` | the label of the block `database` |\n")
}

const referenceHead = `<!-- Made from the table in proposals/language.go by: go test ./proposals -update -->

# The proposal

A proposal says what is wanted: which nodes carry the image service, where image data and metadata are kept, and how the
service is set up. It is written in HCL, in a file that ends in ` + "`.hcl`" + `, or as JSON in one that ends in ` + "`.hcl.json`" + `. Several files
in one directory can be one proposal: name the directory.

` + "`glancectl init`" + ` writes a proposal to start from, ` + "`glancectl validate`" + ` finds all mistakes at once and contacts nobody,
` + "`glancectl fmt`" + ` lays a file out.

` + "```hcl" + `
proposal "small" {
  node "image-1" { address = "10.77.0.21" }

  role "glance-server" {
    nodes = ["image-1"]
  }
}
` + "```" + `

This is a whole proposal: everything else has a default.

## Types

| type | how it is written |
|---|---|
| string | text in quotes |
| number, bool, list | as everywhere in HCL: ` + "`9292`, `true`, `[\"a\", \"b\"]`" + ` |
| duration | a number of seconds, or a string such as ` + "`\"90s\"`, `\"5m\"`, `\"1h30m\"`" + ` |
| size | a number of bytes, or a string with a unit: ` + "`\"10GiB\"`" + `; KiB, MiB, GiB, TiB count in 1024, KB, MB, GB, TB in 1000 |
| path | an absolute path on the node. A directory is the service's own: those of the machine, of people and of other services are refused, and so is one inside another that data would be mixed in. Configuration files are put below ` + "`/etc/glance`" + `, or elsewhere in a directory that is not the machine's. Below a ` + "`root`" + ` nothing is the machine's |
| schedule | the five fields of cron: minute, hour, day of month, month, day of week; lists, ranges, steps and the names of months and days |

` + "`null`" + ` means "left out" everywhere. Any attribute can be given the value of a sensitive variable, and no message about the
proposal shows it then. A plan, and what is told while it is carried out, shows neither that value nor a password, a key or a
sensitive option of ` + "`config`" + ` that has 8 characters or more; a shorter one is hidden only where it is a password, a key or such
an option, because it may be a word of the text as well. Of an option that is gone from a configuration file a plan never shows
the value.

A variable gets its value from the first of these that has one: ` + "`-var NAME=VALUE`, `-var-file FILE`" + ` (the last file first), the
environment variable ` + "`GLANCECTL_VAR_NAME`" + `, its default.
`

const referenceFunctions = `
## Functions

| function | what it gives |
|---|---|
| ` + "`env(name)`, `env(name, default)`" + ` | an environment variable; without a default it must be set |
| ` + "`file(path)`" + ` | the text of a file; a relative path starts at the proposal's directory |
| ` + "`cidrhost(network, n)`" + ` | the n-th address of a network, from its end when n is negative |
| ` + "`upper`, `lower`, `format`, `join`, `split`, `replace`, `trimspace`" + ` | text |
| ` + "`concat`, `length`, `merge`, `lookup`, `keys`, `values`, `contains`, `coalesce`, `range`" + ` | lists and maps |
| ` + "`tonumber`, `tostring`, `base64encode`, `jsonencode`" + ` | other forms of a value |
| ` + "`try(a, b, ...)`, `can(a)`" + ` | the first expression that works; whether one works |
`

const referenceDepartures = `
## Where it departs from the barclamp

The parameters and their defaults are those of the Crowbar Glance barclamp. Where its documentation and its code disagree, or
where following it would repeat a defect, this language decides as follows.

* Booleans are rendered alike in every file; the barclamp wrote some in the notation of Ruby.
* Every file with a password is readable by root and the service's group only; the barclamp's were readable by everybody.
* Turning the cache off, or destroying the proposal, removes the cron files; the barclamp removed some and left the rest.
* A Keystone that cannot be changed is a failure; the barclamp logged it and went on. A changed address changes the endpoints.
* The database schema is brought up to date once for each deployment; the barclamp left that to the packages.
* The element ` + "`cache`" + ` has a file of its own, ` + "`/etc/glance/glance-cache.conf`" + `; a later barclamp gave it the scrubber's by mistake.
* ` + "`glance-manage -A TOKEN -H HOST index`" + ` lists images, as documented; in the barclamp's time only a program ` + "`glance`" + ` did.

`
