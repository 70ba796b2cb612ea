package proposals

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"
)

// Options are the optional settings of Load.
type Options struct {
	Vars     map[string]string           // values of variables; the strongest
	VarFiles []string                    // files of values, the last one the strongest
	Env      func(string) (string, bool) // the environment; nil means os.LookupEnv
}

// Load reads the proposals at paths: files of HCL (.hcl) or of HCL in JSON
// (.hcl.json), or directories of them. The files of a directory share their
// variables and local values; files named one by one do not.
//
// Every mistake is found in one go. If one is an error there are no
// proposals; what is returned without an error has every default filled in
// and every rule checked. Load contacts nobody.
func Load(paths []string, o Options) ([]*Proposal, Diagnostics) {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	r := newReporter()
	g := &given{flags: o.Vars, files: map[string]*hcl.Attribute{}, env: o.Env, known: map[string]bool{}}
	for _, file := range o.VarFiles {
		r.varFile(file, g)
	}
	if len(paths) == 0 {
		r.errorf(hcl.Range{}, "Name a file or a directory of proposals.", "no proposal given")
	}
	var found []placed
	parsed := true
	for _, path := range paths {
		more, ok := r.unit(path, g)
		found = append(found, more...)
		parsed = parsed && ok
	}
	if parsed && len(paths) > 0 {
		r.unknownVariables(g)
	}
	r.sameNames(found)
	diags := r.diagnostics()
	if diags.HasErrors() {
		return nil, diags
	}
	for _, f := range found {
		if f.Glance == nil {
			r.warnf(f.name, `Nothing is done on its nodes. Write role "glance-server" { nodes = [...] } in it.`, "proposal %q has no role", f.Name)
		}
	}
	diags = r.diagnostics()
	var all []*Proposal
	hidden := &hiddenText{keysOf(r.secrets)}
	for _, f := range found {
		f.hidden = hidden
		f.Digest = digest(f.Proposal)
		all = append(all, f.Proposal)
	}
	return all, diags
}

// placed is a proposal and where its name stands.
type placed struct {
	*Proposal
	name hcl.Range
}

// varFile reads a file of values of variables.
func (r *reporter) varFile(name string, g *given) {
	text, ok := r.read(name)
	if !ok {
		return
	}
	r.files[name] = source{text: text, hidden: hideLiterals(text, name)}
	body := r.parseText(name, text)
	if body == nil {
		return
	}
	attrs, diags := body.JustAttributes()
	for _, diag := range diags {
		r.hclDiag(diag, lowerFirst(diag.Summary), "A file of values holds lines of NAME = VALUE and nothing else.")
	}
	for name, attr := range attrs {
		g.files[name] = attr
	}
}

// unknownVariables reports values for variables that nobody declares.
func (r *reporter) unknownVariables(g *given) {
	names := keysOf(g.known)
	for name := range g.flags {
		if !g.known[name] {
			r.errorf(hcl.Range{}, adviseVariable(name, names), "-var gives a value for %q, but no such variable is declared", name)
		}
	}
	for name, attr := range g.files {
		if !g.known[name] {
			r.errorf(attr.NameRange, adviseVariable(name, names), "a value for %q, but no such variable is declared", name)
		}
	}
}

func adviseVariable(name string, names []string) string {
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("Did you mean %q?", near)
	}
	return fmt.Sprintf("Declare it in the proposal: variable %q {}", name)
}

// unit reads one path: a file, or a directory as if it were one file. It
// also reports whether everything could be parsed.
func (r *reporter) unit(path string, g *given) ([]placed, bool) {
	files, dir, ok := r.unitFiles(path)
	if !ok {
		return nil, false
	}
	home, _ := g.env("HOME")
	d := decoder{reporter: r, dir: dir, home: home, lookup: g.env, origins: map[*hcl.Attribute]hcl.Expression{},
		scope: newScope(functions(dir, g.env))}
	var all fileBlock
	parsed := true
	for _, name := range files {
		body := d.parse(name)
		if body == nil {
			parsed = false
			continue
		}
		var one fileBlock
		for _, diag := range gohcl.DecodeBody(body, nil, &one) {
			d.blockDiag("", diag)
		}
		all.Variables = append(all.Variables, one.Variables...)
		all.Locals = append(all.Locals, one.Locals...)
		all.Proposals = append(all.Proposals, one.Proposals...)
	}
	if !parsed {
		return nil, false // what refers to the missing parts would be reported too
	}
	if len(all.Proposals) == 0 {
		r.errorf(hcl.Range{Filename: path}, "Write proposal \"NAME\" { ... }, or let glancectl init write one.", "no proposal block")
	}
	d.declare(all.Variables, g)
	d.evalLocals(all.Locals)
	var out []placed
	for _, b := range all.Proposals {
		out = append(out, placed{d.proposal(b), b.LabelRange})
	}
	return out, true
}

// unitFiles returns the files of path and the directory that relative names
// in them start at.
func (r *reporter) unitFiles(path string) (files []string, dir string, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		r.fileError(path, err)
		return nil, "", false
	}
	if !info.IsDir() {
		return []string{path}, filepath.Dir(path), true
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		r.fileError(path, err)
		return nil, "", false
	}
	for _, e := range entries {
		if isProposal(e.Name()) && !e.IsDir() {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		r.errorf(hcl.Range{Filename: path}, "Its proposals are the files that end in .hcl or .hcl.json.", "no proposal in the directory")
		return nil, "", false
	}
	return files, path, true
}

// isProposal reports whether a file of a directory belongs to its proposals.
func isProposal(name string) bool {
	return !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json"))
}

// parse returns the body of a file, or nil after reporting why there is none.
func (d *decoder) parse(name string) hcl.Body {
	text, ok := d.read(name)
	if !ok {
		return nil
	}
	d.add(name, text)
	return d.parseText(name, text)
}

// parseText parses what is known to the reporter as the file name.
func (r *reporter) parseText(name string, text []byte) hcl.Body {
	if rng, limit := overLimit(text, name); limit != "" {
		r.errorf(rng, "Write it in a simpler way.", "%s", limit)
		return nil
	}
	parse := hclparse.NewParser().ParseHCL
	if strings.HasSuffix(name, ".json") {
		parse = hclparse.NewParser().ParseJSON
	}
	file, diags := parse(text, name)
	for _, diag := range diags {
		r.hclDiag(diag, lowerFirst(diag.Summary), diag.Detail)
	}
	if diags.HasErrors() {
		return nil
	}
	return file.Body
}

func (r *reporter) read(name string) ([]byte, bool) {
	text, err := readSmall(name)
	if err != nil {
		r.fileError(name, err)
		return nil, false
	}
	return text, true
}

// fileError reports a file that cannot be read.
func (r *reporter) fileError(name string, err error) {
	cause := err
	var path *fs.PathError
	if errors.As(err, &path) {
		cause = path.Err
	}
	r.errorf(hcl.Range{Filename: name}, strings.TrimPrefix(cause.Error(), name+": "), "the file cannot be read")
}

func (r *reporter) sameNames(all []placed) {
	seen := map[string]placed{}
	for _, p := range all {
		if first, ok := seen[p.Name]; ok {
			r.errorf(p.name, "The other one is at "+placeText(first.name)+". A name stands for one deployment: rename one of them.", "two proposals are called %q", p.Name)
		}
		seen[p.Name] = p
	}
}
