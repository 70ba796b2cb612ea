package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

func TestAccess(t *testing.T) {
	plain := config.Access{
		Files: []string{"DIR/policy.yaml", "DIR/policy.json"}, Dirs: []string{"DIR/policy.d"}, Fallback: "default", NewDefaults: true, Scope: true,
	}
	for _, test := range []struct {
		text   string
		change func(*config.Access)
	}{
		{"", func(*config.Access) {}},
		{"[oslo_policy]\npolicy_file = rules.yaml\n", func(a *config.Access) { a.Files, a.Named = []string{"DIR/rules.yaml"}, true }},
		{"[DEFAULT]\npolicy_file = /etc/policy.json\n", func(a *config.Access) { a.Files, a.Named = []string{"/etc/policy.json"}, true }},
		{"[oslo_policy]\npolicy_file =\n", func(*config.Access) {}},
		{"[oslo_policy]\npolicy_dirs = a\npolicy_dirs = /b\n", func(a *config.Access) { a.Dirs = []string{"DIR/a", "/b"} }},
		{"[DEFAULT]\nenforce_secure_rbac = false\n", func(a *config.Access) { a.NewDefaults, a.Scope = false, false }},
		{"[DEFAULT]\nenforce_secure_rbac = true\n", func(*config.Access) {}},
		{"[oslo_policy]\nenforce_new_defaults = false\n", func(a *config.Access) { a.NewDefaults = false }},
		{"[DEFAULT]\nenforce_secure_rbac = false\n[oslo_policy]\nenforce_scope = true\n", func(a *config.Access) { a.NewDefaults = false }},
		{"[DEFAULT]\nproperty_protection_file = p.conf\n", func(a *config.Access) { a.PropertyFile = "DIR/p.conf" }},
		{"[DEFAULT]\nproperty_protection_file = /p.conf\nproperty_protection_rule_format = Policies\n", func(a *config.Access) { a.PropertyFile, a.PropertyRules = "/p.conf", true }},
	} {
		want := plain
		test.change(&want)
		s, err := load(t, config.API, minimal+test.text)
		if err != nil {
			t.Errorf("Load of %q: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff(want, s.Access); diff != "" {
			t.Errorf("Load of %q (-want +got):\n%s", test.text, diff)
		}
		if len(s.Ignored)+len(s.Warnings) > 0 {
			t.Errorf("Load of %q: %q %q", test.text, s.Ignored, s.Warnings)
		}
	}
}

func TestAccessMistakes(t *testing.T) {
	for _, test := range []struct {
		program    config.Program
		text, want string
	}{
		{config.API, "[DEFAULT]\nenforce_secure_rbac = true\n[oslo_policy]\nenforce_new_defaults = false\n",
			"CONF:4: [DEFAULT] enforce_secure_rbac: true, and [oslo_policy] enforce_new_defaults is false; they must be the same"},
		{config.API, "[DEFAULT]\nenforce_secure_rbac = false\n[oslo_policy]\nenforce_new_defaults = true\n",
			"CONF:4: [DEFAULT] enforce_secure_rbac: false, and [oslo_policy] enforce_new_defaults is true; they must be the same"},
		{config.API, "[DEFAULT]\nproperty_protection_rule_format = rules\n",
			`CONF:4: [DEFAULT] property_protection_rule_format: "rules" is not one of roles, policies`},
		{config.Registry, "[DEFAULT]\nproperty_protection_file = p.conf\n",
			"CONF:4: [DEFAULT] property_protection_file: not supported: the registry shows all properties"},
		{config.API, "[oslo_policy]\npolicy_dirs = $nowhere\n", "CONF:4: [oslo_policy] policy_dirs: $nowhere: no such option; write $$ for a dollar sign"},
	} {
		_, err := load(t, test.program, minimal+test.text)
		if err == nil || err.Error() != test.want {
			t.Errorf("Load of %q: %v; want %s", test.text, err, test.want)
		}
	}
}
