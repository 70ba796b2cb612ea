package service_test

import (
	"fmt"
	"strings"
	"testing"

	"glancectl/service"
)

// api starts the Images API of a site whose callers are those of tokens, with
// more options.
func (s *site) api(options string) *daemon {
	s.t.Helper()
	return start(s.t, service.RunAPI, service.Options{Files: []string{s.conf("api", tokenOptions(fakeKeystone(s.t, false).URL)+options)}})
}

// patch changes one attribute of an image as somebody.
func (d *daemon) patch(code int, text, who, id, op, attribute, value string) answer {
	d.t.Helper()
	body := fmt.Sprintf(`[{"op": %q, "path": "/%s", "value": %q}]`, op, attribute, value)
	return d.want(code, text, "PATCH", "/v2/images/"+id, body, "Content-Type", "application/openstack-images-v2.1-json-patch", "X-Auth-Token", who)
}

// TestRoles: what everybody may do with a private and a public image of
// alice's. An image that somebody cannot see does not exist; one that can be
// seen and not be changed is forbidden.
func TestRoles(t *testing.T) {
	for _, test := range []struct {
		name, options, policy string
		who                   string
		private, public       string // codes of show, download, rename and delete
	}{
		{"the owner", "", "", "alice", "200 200 200 204", "200 200 200 204"},
		{"an admin", "", "", "admin", "200 200 200 204", "200 200 200 204"},
		{"a reader of the project", "", "", "rita", "200 403 403 403", "200 403 403 403"},
		{"another project", "", "", "bob", "404 404 404 404", "200 200 403 403"},
		{"a service", "", "", "nova", "404 404 404 404", "404 404 404 404"}, // needs a role of its own to look
		{"a role of old", "", "", "old", "404 404 404 404", "404 404 404 404"},
		{"a role of old, old defaults", "enforce_new_defaults = False\n", "", "old", "200 200 200 204", "200 200 200 204"},
		{"another project, old defaults", "enforce_new_defaults = False\n", "", "bob", "404 404 404 404", "200 200 403 403"},
		{"another project, old defaults, open file", "enforce_new_defaults = False\n", "modify_image: ''\ndelete_image: ''\n", "bob", "404 404 404 404", "200 200 403 403"},
		{"the whole deployment", "", "", "root", "404 404 404 404", "404 404 404 404"},
		{"the whole deployment, scope not enforced", "enforce_scope = False\n", "", "root", "200 200 200 204", "200 200 200 204"},
		{"a file that hides", "", "get_image: project_id:%(owner)s or rule:context_is_admin\n", "bob", "404 404 404 404", "404 404 404 404"},
		{"a file that forbids", "", "download_image: '!'\ndelete_image: '!'\n", "alice", "200 403 200 403", "200 403 200 403"},
		{"a file that forbids an admin", "", "download_image: '!'\ndelete_image: '!'\n", "admin", "200 403 200 403", "200 403 200 403"},
		{"a file that allows", "", "modify_image: role:member\n", "bob", "404 404 404 404", "200 200 200 403"},
		{"a file that looks at the image", "", "download_image: \"'test':%(name)s and role:reader\"\n", "bob", "404 404 404 404", "200 200 403 403"},
		{"another admin", "", "context_is_admin: role:billing\n", "billing", "200 200 200 204", "200 200 200 204"},
		{"no admin any more", "", "context_is_admin: role:billing\npublicize_image: role:member\n", "admin", "404 404 404 404", "200 200 403 403"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			policy := test.policy
			if !strings.Contains(policy, "publicize_image") {
				policy += "publicize_image: role:member and role:reader\n"
			}
			s.write("policy.yaml", policy)
			d := s.api("[oslo_policy]\n" + test.options)
			for _, id := range []string{imageA, imageB} {
				d.create(id, "data", "X-Auth-Token", "alice")
			}
			d.patch(200, "", "alice", imageA, "replace", "visibility", "private")
			d.patch(200, "", "alice", imageB, "replace", "visibility", "public")
			for id, want := range map[string]string{imageA: test.private, imageB: test.public} {
				var codes []string
				for _, call := range []struct{ method, path, body string }{
					{"GET", "", ""}, {"GET", "/file", ""}, {"PATCH", "", `[{"op": "replace", "path": "/min_ram", "value": 7}]`}, {"DELETE", "", ""},
				} {
					a := d.call(call.method, "/v2/images/"+id+call.path, call.body,
						"Content-Type", "application/openstack-images-v2.1-json-patch", "X-Auth-Token", test.who)
					codes = append(codes, fmt.Sprint(a.code))
				}
				if got := strings.Join(codes, " "); got != want {
					t.Errorf("show, download, change and delete of %s = %s; want %s", id, got, want)
				}
			}
		})
	}
}

// What a list shows is what get_image lets through, one image at a time.
func TestPolicyOfLists(t *testing.T) {
	s := newSite(t)
	s.write("policy.json", `{"get_image": [["rule:context_is_admin"], ["role:reader", "'shown':%(name)s"]]}`)
	d := s.api("")
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`", "name": "shown"}`, "X-Auth-Token", "alice")
	d.want(201, "", "POST", "/v2/images", `{"id": "`+imageB+`", "name": "hidden"}`, "X-Auth-Token", "alice")
	if a := d.want(200, imageA, "GET", "/v2/images", "", "X-Auth-Token", "alice"); strings.Contains(a.body, imageB) {
		t.Errorf("the list has an image that get_image hides: %s", a.body)
	}
	d.want(200, imageB, "GET", "/v2/images", "", "X-Auth-Token", "admin")
	d.want(403, "You are not authorized to complete get_images action.", "GET", "/v2/images", "", "X-Auth-Token", "nova")
	d.want(403, "You are not permitted to create images owned by 'p-bob'", "POST", "/v2/images", `{"owner": "p-bob"}`, "X-Auth-Token", "alice")
	d.want(403, "You are not authorized to complete add_image action.", "POST", "/v2/images", `{}`, "X-Auth-Token", "rita")
}

// The rules on members: who lists them, sees one, and answers.
func TestPolicyOfMembers(t *testing.T) {
	for policy, want := range map[string]string{ // codes of list and show by alice, the owner, and list, show and answer by bob, the member
		"":                   "200 200 200 200 200",
		"get_members: '!'\n": "403 200 403 200 200",
		"get_member: '!'\n":  "200 404 200 404 404",
		"get_members: project_id:%(owner)s\nmodify_member: '!'\n": "200 200 403 200 403",
	} {
		s := newSite(t)
		s.write("policy.yaml", policy)
		d := s.api("")
		d.want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`"}`, "X-Auth-Token", "alice")
		d.want(200, "", "POST", "/v2/images/"+imageA+"/members", `{"member": "p-bob"}`, "X-Auth-Token", "alice")
		var codes []string
		for _, call := range []struct{ who, method, path, body string }{
			{"alice", "GET", "", ""}, {"alice", "GET", "/p-bob", ""},
			{"bob", "GET", "", ""}, {"bob", "GET", "/p-bob", ""}, {"bob", "PUT", "/p-bob", `{"status": "accepted"}`},
		} {
			a := d.call(call.method, "/v2/images/"+imageA+"/members"+call.path, call.body, "X-Auth-Token", call.who)
			codes = append(codes, fmt.Sprint(a.code))
		}
		if got := strings.Join(codes, " "); got != want {
			t.Errorf("with %q: %s; want %s", policy, got, want)
		}
	}
}

// A file that changes takes effect while the service runs, and one that is
// wrong does not.
func TestPolicyReload(t *testing.T) {
	s := newSite(t)
	d := s.api("")
	status := func() int { return d.call("GET", "/v2/images", "", "X-Auth-Token", "alice").code }
	if got := status(); got != 200 {
		t.Fatalf("list = %d; want 200", got)
	}
	s.write("policy.yaml", "get_images: role:admin\n")
	eventually(t, "the file to be read", func() bool { return status() == 403 })
	s.write("policy.yaml", "get_images: (role:reader\n")
	eventually(t, "an error in the log", func() bool {
		return status() == 403 && strings.Contains(d.log.String(), "a parenthesis is not closed")
	})
	s.write("policy.yaml", "get_images: role:reader\n")
	eventually(t, "the file to be read", func() bool { return status() == 200 })
}

// Without Keystone the rules are asked too, and everybody is an admin.
func TestPolicyWithoutKeystone(t *testing.T) {
	s := newSite(t)
	s.write("policy.yaml", "context_is_admin: role:nobody_has_it\nget_images: role:reader\ndelete_image: '!'\n")
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	d.create(imageA, "data")
	d.want(200, imageA, "GET", "/v2/images", "")
	d.want(403, "", "DELETE", "/v2/images/"+imageA, "")
}

// The registry shows an admin more than others, and the rules say who is one.
func TestPolicyOfRegistry(t *testing.T) {
	s := newSite(t)
	s.api("").want(201, "", "POST", "/v2/images", `{"id": "`+imageA+`", "visibility": "private"}`, "X-Auth-Token", "alice")
	s.write("policy.yaml", "context_is_admin: role:service\n")
	registry := start(t, service.RunRegistry, service.Options{Files: []string{s.conf("registry", tokenOptions(fakeKeystone(t, false).URL))}})
	registry.want(200, imageA, "GET", "/images/"+imageA, "", "X-Auth-Token", "nova")
	registry.want(404, "", "GET", "/images/"+imageA, "", "X-Auth-Token", "admin")
}

const (
	protectedByRoles = `[^license_]
create = billing,admin
read = billing,admin,member
update = billing
delete = admin
[^note$]
create = @
read = !
update = @
delete = @
[.*]
create = @
read = @
update = @
delete = @
`
	protectedByRules = `[^license_]
create = licensing
read = sees_licences
update = billing
delete = context_is_admin
[^note$]
create = @
read = !
update = @
delete = @
[.*]
create = @
read = @
update = @
delete = @
`
	licenceRules = "billing: role:billing\nlicensing: rule:billing or rule:context_is_admin\nsees_licences: rule:licensing or role:member\n"
)

// TestPropertyProtections: both kinds of file, with the same effect.
func TestPropertyProtections(t *testing.T) {
	for format, file := range map[string]string{"roles": protectedByRoles, "policies": protectedByRules} {
		t.Run(format, func(t *testing.T) {
			s := newSite(t)
			s.write("protect.conf", file)
			s.write("policy.yaml", licenceRules)
			d := s.api("[DEFAULT]\nproperty_protection_file = protect.conf\nproperty_protection_rule_format = " + format + "\n")
			const reserved = "Attribute 'license_key' is reserved."
			d.want(403, reserved, "POST", "/v2/images", `{"license_key": "x"}`, "X-Auth-Token", "alice")
			a := d.want(201, `"license_key": "x"`, "POST", "/v2/images", `{"id": "`+imageA+`", "license_key": "x", "note": "secret", "os": "z"}`, "X-Auth-Token", "billing")
			if strings.Contains(a.body, "secret") {
				t.Errorf("the answer to a create shows what nobody may read: %s", a.body)
			}
			for who, sees := range map[string]bool{"alice": true, "billing": true, "admin": true, "rita": false} {
				for _, path := range []string{"/v2/images", "/v2/images/" + imageA} {
					a := d.want(200, `"os": "z"`, "GET", path, "", "X-Auth-Token", who)
					if strings.Contains(a.body, "license_key") != sees || strings.Contains(a.body, "secret") {
						t.Errorf("GET %s by %s = %s; want the licence: %t, and no note", path, who, a.body, sees)
					}
				}
				found := strings.Contains(d.want(200, "", "GET", "/v2/images?license_key=x", "", "X-Auth-Token", who).body, imageA)
				if found != sees {
					t.Errorf("%s finds it by the licence: %t; want %t", who, found, sees)
				}
			}
			d.patch(403, reserved, "alice", imageA, "replace", "license_key", "y")
			d.patch(403, reserved, "alice", imageA, "add", "license_key", "y")
			d.patch(403, reserved, "alice", imageA, "remove", "license_key", "")
			d.patch(403, "Attribute 'license_new' is reserved.", "alice", imageA, "add", "license_new", "y")
			d.patch(409, "Property note does not exist.", "alice", imageA, "replace", "note", "y") // as who cannot read it is told
			d.patch(200, `"os": "y"`, "alice", imageA, "replace", "os", "y")
			d.patch(404, "", "bob", imageA, "add", "os", "w") // cannot see the image at all
			d.patch(200, `"license_key": "y"`, "billing", imageA, "replace", "license_key", "y")
			d.patch(403, reserved, "billing", imageA, "remove", "license_key", "")
			a = d.patch(200, `"os": "y"`, "admin", imageA, "remove", "license_key", "")
			if strings.Contains(a.body, "license") || strings.Contains(a.body, "secret") {
				t.Errorf("after the licence was removed: %s", a.body)
			}
		})
	}
}
