package proposals

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// sensitive marks a value that is never printed.
const sensitive = valueMark("sensitive")

type valueMark string

// A scope is what an expression may refer to. A name with an unknown value
// is one that a mistake has been reported for.
type scope struct {
	variables map[string]cty.Value
	locals    map[string]cty.Value
	functions map[string]function.Function
	built     *hcl.EvalContext
}

func newScope(functions map[string]function.Function) *scope {
	return &scope{variables: map[string]cty.Value{}, locals: map[string]cty.Value{}, functions: functions}
}

func (s *scope) setVariable(name string, v cty.Value) { s.variables[name], s.built = v, nil }
func (s *scope) setLocal(name string, v cty.Value)    { s.locals[name], s.built = v, nil }

func (s *scope) context() *hcl.EvalContext {
	if s.built == nil {
		s.built = &hcl.EvalContext{
			Variables: map[string]cty.Value{"var": cty.ObjectVal(s.variables), "local": cty.ObjectVal(s.locals)},
			Functions: s.functions,
		}
	}
	return s.built
}

// given are the values of variables that come from outside the proposal.
type given struct {
	flags map[string]string
	files map[string]*hcl.Attribute
	env   func(string) (string, bool)
	known map[string]bool // names that some unit declares
}

// A variable is a declared one.
type variable struct {
	name      string
	place     hcl.Range
	typ       cty.Type
	kind      string // "list" or "map" for those without an element type
	value     hcl.Expression
	sensitive bool
}

// declare decodes the variable blocks and gives each its value.
func (d *decoder) declare(blocks []*labelled, g *given) {
	for _, b := range blocks {
		if _, ok := d.scope.variables[b.Label]; ok {
			d.errorf(b.LabelRange, "Remove or rename one of them.", "variable %q is declared twice", b.Label)
			continue
		}
		if !hclsyntax.ValidIdentifier(b.Label) {
			d.errorf(b.LabelRange, "Use letters, digits, _ and -, a letter first.", "bad variable name %q", b.Label)
		}
		v := d.variable(b)
		g.known[v.name] = true
		value := d.variableValue(v, g)
		if v.sensitive {
			d.hideValue(value, "")
			value = value.Mark(sensitive)
		}
		d.scope.setVariable(v.name, value)
	}
}

func (d *decoder) variable(b *labelled) variable {
	var raw variableBlock
	for _, diag := range gohcl.DecodeBody(b.Body, nil, &raw) {
		d.blockDiag("variable", diag)
	}
	s := spec("variable")
	v := variable{name: b.Label, place: b.DefRange, typ: cty.DynamicPseudoType}
	d.str(d.attribute(s, s.attr("description"), raw.Description, b.DefRange))
	if raw.Sensitive != nil {
		flag, ok := d.value(d.attribute(s, s.attr("sensitive"), raw.Sensitive, b.DefRange))
		v.sensitive = !ok || flag.True() // when in doubt it is
	}
	if raw.Default != nil {
		v.value = raw.Default.Expr
	}
	if raw.Type != nil {
		v.typ, v.kind = d.variableType(raw.Type.Expr)
	}
	return v
}

func (d *decoder) variableType(expr hcl.Expression) (typ cty.Type, kind string) {
	switch word := hcl.ExprAsKeyword(expr); word {
	case "list", "map":
		return cty.DynamicPseudoType, word
	}
	typ, diags := typeexpr.TypeConstraint(expr)
	if diags.HasErrors() {
		d.errorf(expr.Range(), "Write string, number, bool, list, map, or a type with elements such as list(string).", "unknown type")
		return cty.DynamicPseudoType, ""
	}
	return typ, ""
}

// variableValue returns the value of v from the strongest place that has one.
func (d *decoder) variableValue(v variable, g *given) cty.Value {
	if text, ok := g.flags[v.name]; ok {
		return d.textValue(v, "-var", text)
	}
	if attr, ok := g.files[v.name]; ok {
		value, diags := attr.Expr.Value(nil)
		if diags.HasErrors() {
			d.errorf(attr.Expr.Range(), "A file of values holds constants only.", "the value of variable %q cannot be read", v.name)
			return cty.DynamicVal
		}
		return d.convertVariable(v, value, attr.Expr.Range(), "")
	}
	if text, ok := g.env(variablePrefix + v.name); ok {
		return d.textValue(v, variablePrefix+v.name, text)
	}
	if v.value == nil {
		d.errorf(v.place, fmt.Sprintf("Give it with -var %s=..., in a file with -var-file, or in the environment as %s%s; or write a default.", v.name, variablePrefix, v.name),
			"missing variable: %q has no value", v.name)
		return cty.DynamicVal
	}
	if refs := v.value.Variables(); len(refs) > 0 {
		d.errorf(refs[0].SourceRange(), "Use a local value for what is computed from others.", "the default of variable %q refers to another value", v.name)
		return cty.DynamicVal
	}
	value, diags := v.value.Value(d.scope.context())
	if v.sensitive {
		// The error of a function may quote its arguments.
		for _, diag := range diags {
			d.hclDiag(diag, lowerFirst(diag.Summary), defaultAdvice(diag, v))
		}
	} else {
		d.evalDiags(diags)
	}
	if diags.HasErrors() {
		return cty.DynamicVal
	}
	return d.convertVariable(v, value, v.value.Range(), "")
}

// defaultAdvice keeps the one detail of a sensitive default that is known to
// be harmless and useful: which environment variable is not set.
func defaultAdvice(diag *hcl.Diagnostic, v variable) string {
	if i := strings.Index(diag.Detail, envNotSet); i >= 0 {
		return upperFirst(diag.Detail[i:]) + fmt.Sprintf(" Or give the variable with -var %s=...", v.name)
	}
	return "The variable is sensitive, so the details are left out."
}

// variablePrefix begins the environment variables that give variables.
const variablePrefix = "GLANCECTL_VAR_"

// textValue reads a value that was given as text: a string as it is, anything
// with elements as an expression.
func (d *decoder) textValue(v variable, from, text string) cty.Value {
	if v.sensitive {
		d.hide(text)
	}
	if v.kind == "" && (v.typ == cty.DynamicPseudoType || v.typ.IsPrimitiveType()) {
		return d.convertVariable(v, cty.StringVal(text), v.place, from)
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), from, hcl.InitialPos)
	if !diags.HasErrors() {
		if value, diags := expr.Value(nil); !diags.HasErrors() {
			return d.convertVariable(v, value, v.place, from)
		}
	}
	d.errorf(v.place, `Write it as in a proposal: '["a", "b"]' or '{ a = 1 }'.`, "the value of variable %q from %s cannot be read", v.name, from)
	return cty.DynamicVal
}

func (d *decoder) convertVariable(v variable, value cty.Value, rng hcl.Range, from string) cty.Value {
	ty := value.Type()
	wrong := v.kind == "list" && !(ty.IsListType() || ty.IsTupleType() || ty.IsSetType()) ||
		v.kind == "map" && !(ty.IsMapType() || ty.IsObjectType())
	if value.IsNull() {
		return value
	}
	out, err := convert.Convert(value, v.typ)
	if err == nil && !wrong {
		return out
	}
	want := v.kind
	if want == "" {
		want = typeexpr.TypeString(v.typ)
	}
	if from != "" {
		from = " from " + from
	}
	d.errorf(rng, fmt.Sprintf("The variable has type = %s.", want), "wrong type: variable %q%s must be of type %s, not %s", v.name, from, want, typeWords(ty))
	return cty.DynamicVal
}

// locals evaluates the attributes of the locals blocks, each after those that
// it refers to.
func (d *decoder) evalLocals(blocks []*plain) {
	l := localsEval{decoder: d, attrs: map[string]*hcl.Attribute{}, state: map[string]int{}}
	for _, b := range blocks {
		attrs, diags := b.Body.JustAttributes()
		d.evalDiags(diags)
		for _, a := range sortedAttrs(attrs) {
			if _, ok := l.attrs[a.Name]; ok {
				d.errorf(a.NameRange, "Remove or rename one of them.", "local value %q is defined twice", a.Name)
				continue
			}
			l.attrs[a.Name] = a
			d.scope.setLocal(a.Name, cty.DynamicVal)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.attrs)) {
		l.visit(name, nil)
	}
}

type localsEval struct {
	*decoder
	attrs map[string]*hcl.Attribute
	state map[string]int // 1 while its references are visited, 2 when done
}

func (l *localsEval) visit(name string, path []string) {
	attr := l.attrs[name]
	if attr == nil || l.state[name] == 2 {
		return
	}
	path = append(path, name)
	if l.state[name] == 1 {
		circle := path[slices.Index(path, name):]
		l.errorf(attr.NameRange, "The circle is: "+strings.Join(circle, " -> ")+". One of them must not refer to the next.", "local value %q refers to itself", name)
		return
	}
	l.state[name] = 1
	for _, t := range attr.Expr.Variables() {
		if other, ok := step(t); ok && t.RootName() == "local" {
			l.visit(other, path)
		}
	}
	l.state[name] = 2
	l.scope.setLocal(name, l.eval(attr.Expr))
}

// sortedAttrs returns attrs in the order of the file.
func sortedAttrs(attrs hcl.Attributes) []*hcl.Attribute {
	return slices.SortedFunc(maps.Values(attrs), func(a, b *hcl.Attribute) int {
		return a.Range.Start.Byte - b.Range.Start.Byte
	})
}
