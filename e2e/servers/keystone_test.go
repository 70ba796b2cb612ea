package servers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"glancectl/e2e/lab"
)

// A keystone is the Identity API as an administrator uses it by hand. The
// command-line client does the same in seconds instead of milliseconds.
type keystone struct {
	t     *testing.T
	token string
}

type object = map[string]any

func newKeystone(t *testing.T, password string) *keystone {
	k := &keystone{t: t}
	_, header := k.call("POST", "/auth/tokens", loginAs("admin", password, "admin"), 201)
	k.token = header.Get("X-Subject-Token")
	return k
}

// as is the same administrator for a subtest.
func (k *keystone) as(t *testing.T) *keystone { return &keystone{t: t, token: k.token} }

func loginAs(user, password, project string) object {
	domain := object{"name": "Default"}
	return object{"auth": object{
		"identity": object{"methods": []string{"password"},
			"password": object{"user": object{"name": user, "password": password, "domain": domain}}},
		"scope": object{"project": object{"name": project, "domain": domain}},
	}}
}

// call requires a status and returns the answer.
func (k *keystone) call(method, path string, body object, status int) (object, http.Header) {
	k.t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			k.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(k.t.Context(), method, lab.AuthURL+path, bytes.NewReader(text))
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Auth-Token", k.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	if resp.StatusCode != status {
		k.t.Fatalf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, status, answer)
	}
	var o object
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &o); err != nil {
			k.t.Fatal(err)
		}
	}
	return o, resp.Header
}

// list returns the members of a collection that fit, such as
// list("endpoints", "interface", "public").
func (k *keystone) list(collection string, filter ...string) []object {
	k.t.Helper()
	q := url.Values{}
	for i := 0; i < len(filter); i += 2 {
		q.Set(filter[i], filter[i+1])
	}
	o, _ := k.call("GET", "/"+collection+"?"+q.Encode(), nil, 200)
	var all []object
	for _, v := range o[collection].([]any) {
		all = append(all, v.(object))
	}
	return all
}

// path is that of the one member that fits.
func (k *keystone) path(collection string, filter ...string) string {
	k.t.Helper()
	found := k.list(collection, filter...)
	if len(found) != 1 {
		k.t.Fatalf("%s with %q: found %d; want 1", collection, filter, len(found))
	}
	return fmt.Sprintf("/%s/%s", collection, found[0]["id"])
}

func (k *keystone) create(collection, kind string, o object) {
	k.t.Helper()
	k.call("POST", "/"+collection, object{kind: o}, 201)
}

func (k *keystone) patch(path, kind string, o object) {
	k.t.Helper()
	k.call("PATCH", path, object{kind: o}, 200)
}

func (k *keystone) remove(path string) {
	k.t.Helper()
	k.call("DELETE", path, nil, 204)
}

// assignment is the path of glance's role on the project service.
func (k *keystone) assignment() string {
	return k.path("projects", "name", "service") + k.path("users", "name", "glance") + k.path("roles", "name", "admin")
}
