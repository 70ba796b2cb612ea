package proposals

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// A decoder turns the blocks of one unit into proposals. Its methods report
// what is wrong and go on with a value that causes no further mistakes.
type decoder struct {
	*reporter
	scope   *scope
	dir     string // what relative names start at
	home    string
	lookup  func(string) (string, bool)
	origins map[*hcl.Attribute]hcl.Expression // as written, before evaluation
}

// block decodes b into the struct that into points to, and evaluates its
// attributes: afterwards each is nil (left out, no default) or a constant of
// the type that the language table gives it, which may be marked sensitive,
// or be unknown when a mistake in it has been reported.
func (d *decoder) block(path string, b *plain, into any) { d.decode(path, b, into, true) }

// given is block without defaults: what is left out is nil.
func (d *decoder) given(path string, b *plain, into any) { d.decode(path, b, into, false) }

func (d *decoder) decode(path string, b *plain, into any, defaults bool) {
	for _, diag := range gohcl.DecodeBody(b.Body, nil, into) {
		d.blockDiag(path, diag)
	}
	s := spec(path)
	v := reflect.ValueOf(into).Elem()
	for i := range v.NumField() {
		field, ok := v.Field(i).Addr().Interface().(**hcl.Attribute)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("hcl"), ",")
		a := *s.attr(name)
		if !defaults {
			a.Default, a.Required = "", false
		}
		*field = d.attribute(s, &a, *field, b.DefRange)
	}
}

// attribute returns attr evaluated, its default when it is left out or null,
// or nil when there is none.
func (d *decoder) attribute(b *BlockSpec, a *AttrSpec, attr *hcl.Attribute, def hcl.Range) *hcl.Attribute {
	if attr != nil {
		v := d.typed(a, attr)
		if a.Secret && v.IsKnown() {
			d.hideValue(v, a.Default)
		}
		if !v.IsNull() {
			out := &hcl.Attribute{Name: attr.Name, Range: attr.Range, NameRange: attr.NameRange, Expr: hcl.StaticExpr(v, attr.Expr.Range())}
			d.origins[out] = attr.Expr
			return out
		}
		def = attr.Range
	}
	if a.Required {
		d.errorf(def, fmt.Sprintf("Write %s = ... in the block. Meaning: %s", a.Name, plainText(a.Meaning)), "missing attribute %q in %s", a.Name, b.Syntax)
	}
	if a.Default == "" {
		return nil
	}
	return &hcl.Attribute{Name: a.Name, Range: def, NameRange: def, Expr: hcl.StaticExpr(constant(a.Default), def)}
}

// single returns the one block called name, or nil. Every further one is
// reported.
func (d *decoder) single(name string, blocks []*plain) *plain {
	if len(blocks) == 0 {
		return nil
	}
	for _, b := range blocks[1:] {
		d.errorf(b.DefRange, fmt.Sprintf("Write everything in one block. The other one is at %s.", placeText(blocks[0].DefRange)), "a second block %s", name)
	}
	return blocks[0]
}

// constant returns the value of an expression of the language table.
func constant(src string) cty.Value {
	expr, diags := hclsyntax.ParseExpression([]byte(src), "default", hcl.InitialPos)
	if diags.HasErrors() {
		panic(diags) // the table is wrong, not the proposal
	}
	v, diags := expr.Value(nil)
	if diags.HasErrors() {
		panic(diags)
	}
	return v
}

// typed evaluates attr and converts the result to the type that a asks for.
// It returns an unknown value when that is not possible.
func (d *decoder) typed(a *AttrSpec, attr *hcl.Attribute) cty.Value {
	v := d.eval(attr.Expr)
	if v.IsNull() || !v.IsKnown() {
		return v
	}
	want, words := wanted(a.Type)
	ty := v.Type()
	wrong := ty != cty.Number && ty != cty.String // for what is written either way
	if want != cty.DynamicPseudoType {
		var err error
		v, err = convert.Convert(v, want)
		wrong = err != nil
	}
	if wrong {
		d.errorf(attr.Expr.Range(), adviseType(a, words), "wrong type: %s must be %s, not %s", a.Name, words, typeWords(ty))
		return cty.DynamicVal
	}
	return v
}

// wanted returns the cty type of a type of the language table, and its words.
func wanted(t string) (cty.Type, string) {
	switch t {
	case "number":
		return cty.Number, "a number"
	case "bool":
		return cty.Bool, "true or false"
	case "list":
		return cty.List(cty.String), "a list of strings"
	case "duration":
		return cty.DynamicPseudoType, `a number of seconds or a string such as "90s", "5m" or "1h30m"`
	case "size":
		return cty.DynamicPseudoType, `a number of bytes or a string such as "512MiB" or "10GiB"`
	default:
		return cty.String, "a string"
	}
}

func adviseType(a *AttrSpec, words string) string {
	if a.Default == "" || a.Default == "[]" {
		return "Write " + words + "."
	}
	return fmt.Sprintf("Write %s, for example %s = %s.", words, a.Name, a.Default)
}

func typeWords(ty cty.Type) string {
	switch {
	case ty == cty.String:
		return "this string"
	case ty == cty.Number:
		return "a number"
	case ty == cty.Bool:
		return "a boolean"
	case ty.IsListType(), ty.IsTupleType(), ty.IsSetType():
		return "this list"
	case ty.IsMapType(), ty.IsObjectType():
		return "a map"
	}
	return "a value of another type"
}

// eval returns the value of expr, or an unknown value after reporting why
// there is none.
func (d *decoder) eval(expr hcl.Expression) cty.Value {
	if !d.references(expr) {
		return cty.DynamicVal
	}
	v, diags := expr.Value(d.scope.context())
	d.evalDiags(diags)
	if diags.HasErrors() {
		return cty.DynamicVal
	}
	if v.ContainsMarked() {
		d.hideValue(v, "")
	}
	if v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
		if plain, _ := v.Unmark(); credentialURL.MatchString(plain.AsString()) {
			d.hide(plain.AsString())
		}
	}
	return v
}

// hideValue hides every string in v, except a default that is public anyway.
func (d *decoder) hideValue(v cty.Value, public string) {
	plain, _ := v.UnmarkDeep()
	_ = cty.Walk(plain, func(_ cty.Path, v cty.Value) (bool, error) {
		// A boolean is no secret: to mask "true" everywhere would tell it.
		if v.IsKnown() && !v.IsNull() && (v.Type() == cty.String || v.Type() == cty.Number) {
			if s, err := convert.Convert(v, cty.String); err == nil && fmt.Sprintf("%q", s.AsString()) != public {
				d.hide(s.AsString())
			}
		}
		return true, nil
	})
}

// references checks that expr names only what there is, and reports whether
// it does.
func (d *decoder) references(expr hcl.Expression) bool {
	good := true
	for _, t := range expr.Variables() {
		names, kind := d.scope.variables, "variable"
		switch t.RootName() {
		case "var":
		case "local":
			names, kind = d.scope.locals, "local value"
		default:
			good = false
			d.errorf(t.SourceRange(), "Text stands in quotes; a variable is var.NAME and a local value is local.NAME.", "unknown name %q", t.RootName())
			continue
		}
		name, ok := step(t)
		if !ok {
			good = false
			d.errorf(t.SourceRange(), fmt.Sprintf("Write %s.NAME.", t.RootName()), "%s without a name is not a value", t.RootName())
			continue
		}
		if _, ok := names[name]; !ok {
			good = false
			advice := fmt.Sprintf("Declare it: %s.", map[string]string{"variable": fmt.Sprintf("variable %q {}", name), "local value": "locals { " + name + " = ... }"}[kind])
			if near := nearest(name, keysOf(names)); near != "" {
				advice = fmt.Sprintf("Did you mean %s.%s?", t.RootName(), near)
			}
			d.errorf(t.SourceRange(), advice, "undefined %s %q", kind, name)
		}
	}
	return good
}

// step returns the name behind the root of t, as in var.name or var["name"].
func step(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	switch s := t[1].(type) {
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		if s.Key.Type() == cty.String && s.Key.IsKnown() && !s.Key.IsNull() {
			return s.Key.AsString(), true
		}
	}
	return "", false
}

// evalDiags reports what hcl found while evaluating. What it says about a
// sensitive value may quote it in any form, so then only the kind is told.
func (d *decoder) evalDiags(diags hcl.Diagnostics) {
	for _, diag := range diags {
		detail := diag.Detail
		if usesSensitive(diag) {
			detail = "The expression uses a sensitive value, so the details are left out."
		}
		d.hclDiag(diag, lowerFirst(strings.TrimSuffix(diag.Summary, ".")), detail)
	}
}

func usesSensitive(diag *hcl.Diagnostic) bool {
	if diag.Expression == nil || diag.EvalContext == nil {
		return false
	}
	for _, t := range diag.Expression.Variables() {
		v, diags := t.TraverseAbs(diag.EvalContext)
		if diags.HasErrors() || v.ContainsMarked() {
			return true
		}
	}
	return false
}

func (r *reporter) hclDiag(diag *hcl.Diagnostic, summary, detail string) {
	var rng hcl.Range
	if diag.Subject != nil {
		rng = *diag.Subject
	}
	severity := SeverityError
	if diag.Severity == hcl.DiagWarning {
		severity = SeverityWarning
	}
	r.report(severity, rng, summary, detail)
}

// blockDiag reports what hcl found wrong with the names of the block at path.
func (d *decoder) blockDiag(path string, diag *hcl.Diagnostic) {
	if diag.Subject == nil {
		d.evalDiags(hcl.Diagnostics{diag})
		return
	}
	name := d.textAt(*diag.Subject)
	missing, isMissing := strings.CutPrefix(diag.Summary, "Missing name for ")
	extra, isExtra := strings.CutPrefix(diag.Summary, "Extraneous label for ")
	switch {
	case diag.Summary == "Unsupported argument":
		d.errorf(*diag.Subject, adviseName(path, name, false), "unknown attribute %q", name)
	case diag.Summary == "Unsupported block type":
		d.errorf(*diag.Subject, adviseName(path, name, true), "unknown block %q", name)
	case diag.Summary == "Extraneous JSON object property":
		d.errorf(*diag.Subject, adviseName(path, name, false), "unknown attribute or block %q", name)
	case isMissing:
		d.errorf(*diag.Subject, "Write "+syntaxOf(path, missing)+" { ... }.", "a block %s needs a label", missing)
	case isExtra:
		d.errorf(*diag.Subject, "Write "+syntaxOf(path, extra)+" { ... }.", "too many labels for a block %s", extra)
	default:
		d.hclDiag(diag, lowerFirst(diag.Summary), diag.Detail)
	}
}

// textAt returns the source at rng without the quotes around it.
func (d *decoder) textAt(rng hcl.Range) string {
	text := d.files[rng.Filename].text
	if !rng.CanSliceBytes(text) {
		return ""
	}
	return strings.Trim(string(rng.SliceBytes(text)), `"`)
}
