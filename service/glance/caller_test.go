package glance

import (
	"reflect"
	"strings"
	"testing"
)

// Whatever is another in a caller makes it another one, but for what says
// nothing about who it is.
func TestCallerKey(t *testing.T) {
	same := map[string]bool{"RequestID": true, "Token": true}
	kind := reflect.TypeFor[Caller]()
	seen := map[string]string{Caller{}.Key(): "nothing"}
	for i := range kind.NumField() {
		var c Caller
		switch f := reflect.ValueOf(&c).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"x"}))
		default:
			t.Fatalf("what is a %s?", kind.Field(i).Name)
		}
		name, key := kind.Field(i).Name, c.Key()
		if other, again := seen[key]; again != same[name] {
			t.Errorf("a caller with %s has the key of one with %s: %t", name, other, again)
		}
		seen[key] = name
	}
	if (Caller{Roles: []string{"ab"}}).Key() == (Caller{Roles: []string{"a", "b"}}).Key() {
		t.Error("roles run into each other")
	}
	if strings.HasPrefix(Caller{Roles: []string{"a", "b"}}.Key(), Caller{Roles: []string{"a"}}.Key()) {
		t.Error("what follows a key runs into the roles")
	}
	if (Caller{UserID: "ab"}).Key() == (Caller{UserID: "a", ProjectID: "b"}).Key() {
		t.Error("user and project run into each other")
	}
}
