package roles

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"glancectl/proposals"
	"glancectl/provision"
)

// notExpanded are fields that change nothing on a node, and who reads them.
var notExpanded = map[string]string{
	"Description":             "shown to people",
	"File":                    "shown to people",
	"Inventory":               "its nodes are in Nodes; cmd/glancectl asks for its revision",
	"Digest":                  "part of the receipt",
	"Glance.Backings.Default": "loading makes DefaultBacking of it",
}

// expandAndReach dumps all that is made of a proposal for those who work on nodes.
func expandAndReach(p *proposals.Proposal) string {
	text := dump(Expand(p, options()))
	for _, n := range p.Nodes {
		text += fmt.Sprintf("%+v\n", Reach(n))
	}
	return text
}

// Every field of a proposal is read: changing it changes what Expand gives
// for one of the samples, or how a node is reached.
func TestEveryAttributeHasAnEffect(t *testing.T) {
	effect := make(map[string]bool)
	for _, sample := range samples() {
		before := expandAndReach(sample())
		for i := 0; ; i++ {
			p := sample()
			w := walker{target: i}
			w.walk(reflect.ValueOf(p).Elem(), "")
			if w.changed == "" {
				break
			}
			effect[w.changed] = effect[w.changed] || expandAndReach(p) != before
		}
	}
	if len(effect) < 100 {
		t.Fatalf("found %d attributes; want all of a proposal", len(effect))
	}
	for name, ok := range effect {
		_, excused := notExpanded[name]
		for prefix := range notExpanded {
			excused = excused || strings.HasPrefix(name, prefix+".")
		}
		if !ok && !excused {
			t.Errorf("nothing reads %s", name)
		}
		if ok && excused {
			t.Errorf("%s is read, but stands in notExpanded", name)
		}
	}
}

// A walker changes the target-th leaf of a value.
type walker struct {
	target  int
	at      int
	changed string // the name of that leaf, "" when there is none
}

func (w *walker) walk(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.walk(v.Elem(), name)
		}
		return
	case reflect.Slice:
		for i := range v.Len() {
			w.walk(v.Index(i), name)
		}
		if v.Type().Elem().Kind() == reflect.String {
			w.leaf(name, func() { v.Set(reflect.Append(v, reflect.ValueOf("/more.qcow2"))) })
		}
		return
	case reflect.Map: // of secrets
		w.leaf(name, func() {
			v.Set(reflect.ValueOf(map[string]proposals.Secret{"OS_PASSWORD": proposals.NewSecret("another one")}))
		})
		return
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[proposals.Secret]() {
			w.leaf(name, func() { v.Set(reflect.ValueOf(proposals.NewSecret("another one"))) })
			return
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			next := field.Name
			if field.Anonymous {
				next = ""
			}
			w.walk(v.Field(i), strings.TrimPrefix(strings.TrimSuffix(name+"."+next, "."), "."))
		}
		return
	}
	w.leaf(name, func() { alter(v) })
}

func (w *walker) leaf(name string, change func()) {
	if w.at == w.target {
		w.changed = name
		change()
	}
	w.at++
}

func alter(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(v.Int() + int64(time.Second))
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "x")
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.Kind() == reflect.Float64:
		v.SetFloat(v.Float() + 0.1)
	default:
		v.SetInt(v.Int() + 1)
	}
}

// dump writes everything that Expand returned, without functions.
func dump(stages []provision.Stage, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	dumpValue(&b, reflect.ValueOf(stages))
	return b.String()
}

func dumpValue(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Func:
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			fmt.Fprintf(b, "%s", v.Elem().Type())
			dumpValue(b, v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(b, "%q\n", v.Bytes())
			return
		}
		for i := range v.Len() {
			dumpValue(b, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fmt.Fprintf(b, "%s: ", v.Type().Field(i).Name)
			dumpValue(b, v.Field(i))
		}
	default:
		fmt.Fprintf(b, "%v\n", v)
	}
}
