package proposals

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestSensitive(t *testing.T) {
	p := loadText(t, `
variable "list"   { sensitive = true }
variable "map"    { sensitive = true }
variable "unused" { sensitive = true }
variable "number" { sensitive = true }
variable "public" { default = "not-a-secret" }
`+`variable "lines" {
  type      = string
  sensitive = true
  default   = "first-line\nsecond-line\n"
}
locals { made = "<${var.number}>" }
proposal "p" {
  description = "${local.made} ${var.public}"
  node "a" { address = "10.0.0.1" }
  node "db" { address = "10.0.0.2" }
  mysql "m" {
    node = "db"
    admin {
      user     = "root"
      password = "admin-literal"
    }
  }
  keystone "k" { auth_url = "http://10.0.0.3:5000/v3" }
  role "glance-server" {
    nodes = ["a"]
    backing "swift" { key = "swift-literal" }
    database "mysql" { password = var.list }
    keystone { service_password = var.map }
    config "glance-api" {
      section "a" {
        my_token   = "token-literal"
        connection = "mysql://u:url-literal@h/d"
        plain      = "plain-literal"
      }
    }
  }
}`, Options{
		Vars: map[string]string{"list": "list-value", "map": "map-value", "unused": "unused-value", "number": "73973973"},
		Env:  environment("OS_USERNAME", "admin", "OS_PASSWORD", "environment-value"),
	})
	got := p.Sensitive()
	for _, want := range []string{
		"list-value", "map-value", "unused-value", "73973973", "<73973973>", "first-line", "second-line",
		"admin-literal", "swift-literal", "token-literal", "mysql://u:url-literal@h/d", "environment-value",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("Sensitive() = %q; %q is missing", got, want)
		}
	}
	for _, public := range []string{"", "not-a-secret", "plain-literal", "root", "p"} {
		if slices.Contains(got, public) {
			t.Errorf("Sensitive() = %q; %q is no secret", got, public)
		}
	}
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v", p, p, p), fmt.Sprintf("%+v", *p)} {
		if strings.Contains(printed, "unused-value") {
			t.Errorf("a secret printed itself: %s", printed)
		}
	}
}

func TestSensitiveInsideListsAndMaps(t *testing.T) {
	file := write(t, t.TempDir(), "p.hcl", `
variable "hosts" {
  type      = list
  sensitive = true
}
variable "keys" {
  type      = map
  sensitive = true
}
proposal "p" {}`)
	ps, diags := Load([]string{file}, Options{
		Vars: map[string]string{"hosts": `["list-one", ["list-two"]]`, "keys": `{ a = "map-one", b = { c = 12345678 } }`},
		Env:  environment(),
	})
	if diags.HasErrors() {
		t.Fatal(text(t, diags))
	}
	got := ps[0].Sensitive()
	for _, want := range []string{"list-one", "list-two", "map-one", "12345678"} {
		if !slices.Contains(got, want) {
			t.Errorf("Sensitive() = %q; %q is missing", got, want)
		}
	}
}

// A proposal that was put together by hand has no variables; its secrets are
// those of its fields, and no field of that type is forgotten.
func TestSensitiveFields(t *testing.T) {
	p := &Proposal{
		MySQL: make([]*MySQL, 1), Keystone: make([]*Keystone, 1),
		Glance: &GlanceServer{
			Backings: make([]Backing, 1),
			Config: []ConfigFile{{Name: "glance-api", Sections: []ConfigSection{{Name: "a", Options: []ConfigOption{
				{Key: "x", Value: "option-value", Sensitive: true}, {Key: "y", Value: "public"},
			}}}}},
		},
	}
	want := []string{"option-value"}
	fillSecrets(reflect.ValueOf(p), &want)
	if len(want) < 5 {
		t.Fatalf("only %q are filled in", want)
	}
	slices.Sort(want)
	if got := p.Sensitive(); !slices.Equal(got, want) {
		t.Errorf("Sensitive() = %q; want %q", got, want)
	}
}

// fillSecrets gives every Secret in v a value of its own and adds it to all.
func fillSecrets(v reflect.Value, all *[]string) {
	switch {
	case !v.CanSet() && v.Kind() == reflect.Struct: // unexported
	case v.Type() == reflect.TypeFor[Secret]():
		*all = append(*all, fmt.Sprintf("secret-%d", len(*all)))
		v.Set(reflect.ValueOf(NewSecret((*all)[len(*all)-1])))
	case v.Kind() == reflect.Pointer:
		if v.IsNil() && v.CanSet() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		if !v.IsNil() {
			fillSecrets(v.Elem(), all)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fillSecrets(v.Field(i), all)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			fillSecrets(v.Index(i), all)
		}
	}
}
