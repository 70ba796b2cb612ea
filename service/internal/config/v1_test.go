package config_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

func TestV1(t *testing.T) {
	s, err := load(t, config.API, minimal+`[DEFAULT]
registry_host = reg.example
registry_port = 9999
registry_client_protocol = HTTPS
registry_client_key_file = /k
registry_client_cert_file = /c
registry_client_ca_file = /ca
registry_client_insecure = yes
registry_client_timeout = 7
use_user_token = no
send_identity_headers = 1
admin_user = glance
admin_password = pw
admin_tenant_name = service
auth_url = http://auth:5000/v3
auth_strategy = keystone
auth_region = R1
enable_v2_registry = False
`)
	if err != nil {
		t.Fatal(err)
	}
	want := config.V1{
		Enabled: true, REST: true,
		Registry: config.RegistryAccess{
			Host: "reg.example", Port: 9999, TLS: true, KeyFile: "/k", CertFile: "/c", CAFile: "/ca", Insecure: true, Timeout: 7 * time.Second,
			SendIdentity: true, AdminUser: "glance", AdminPassword: "pw", AdminProject: "service", AuthURL: "http://auth:5000/v3",
		},
	}
	if diff := cmp.Diff(want, s.V1); diff != "" {
		t.Errorf("V1 (-want +got):\n%s", diff)
	}
	if len(s.Warnings)+len(s.Ignored) > 0 {
		t.Errorf("options without effect: %q, %q", s.Warnings, s.Ignored)
	}
	for text, want := range map[string]string{
		"registry_client_key_file = /k":                    "registry_client_cert_file: it needs registry_client_key_file",
		"registry_client_protocol = ftp":                   "one of http, https",
		"auth_strategy = magic":                            "one of noauth, keystone",
		"use_user_token = no\nauth_strategy = keystone":    "not all of them are set",
		"use_user_token = no\nauth_url = http://auth:5000": "not all of them are set",
	} {
		if _, err := load(t, config.API, minimal+"[DEFAULT]\n"+text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load with %q: %v; want it to say %q", text, err, want)
		}
	}
	if _, err := load(t, config.API, minimal+"[DEFAULT]\nuse_user_token = no"); err != nil {
		t.Errorf("a registry that is asked without a token: %v", err)
	}
}

// TestV1Enabled checks that version 1 is served if the option and the paste
// file agree about it.
func TestV1Enabled(t *testing.T) {
	for _, test := range []struct {
		name, option, paste string
		want                bool
	}{
		{"by default", "", "", true},
		{"switched off", "enable_v1_api = false", "", false},
		{"not in the paste file", "", upstream, false},
		{"in the paste file", "", strings.Replace(upstream, "/v2: apiv2app", "/v1: v1\n/v2: apiv2app\n[app:v1]\npaste.app_factory = glance.api.v1.router:API.factory", 1), true},
		{"in the paste file and switched off", "enable_v1_api = false", strings.Replace(upstream, "/v2: apiv2app", "/v1: v1\n/v2: apiv2app\n[app:v1]\npaste.app_factory = glance.api.v1.router:API.factory", 1), false},
		{"alone in the paste file", "", "[pipeline:glance-api]\npipeline = u v1\n[filter:u]\npaste.filter_factory = glance.api.middleware.context:UnauthenticatedContextMiddleware.factory\n" +
			"[app:v1]\npaste.app_factory = glance.api.v1.router:API.factory", true},
	} {
		dir := t.TempDir()
		conf := filepath.Join(dir, "glance-api.conf")
		write(t, conf, minimal+"[DEFAULT]\n"+test.option)
		if test.paste != "" {
			write(t, filepath.Join(dir, "glance-api-paste.ini"), test.paste)
		}
		s, err := config.Load(config.API, config.Source{Files: []string{conf}})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if s.V1.Enabled != test.want {
			t.Errorf("%s: version 1 is served: %t; want %t", test.name, s.V1.Enabled, test.want)
		}
	}
}
