package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

// upstream is the shape of a paste file as Glance ships it today: the health
// check is an application beside the pipeline.
const upstream = `
[composite:glance-api]
paste.composite_factory = glance.api:root_app_factory
/: api
/healthcheck: healthcheck

[pipeline:api]
pipeline = cors http_proxy_to_wsgi versionnegotiation osprofiler unauthenticated-context rootapp

[composite:glance-api-keystone+caching]
paste.composite_factory = glance.api:root_app_factory
/: api-keystone+caching
/healthcheck: healthcheck

[pipeline:api-keystone+caching]
pipeline = cors http_proxy_to_wsgi versionnegotiation osprofiler authtoken
    context cache rootapp

[composite:rootapp]
paste.composite_factory = glance.api:root_app_factory
/: apiversions
/v2: apiv2app

[app:apiversions]
paste.app_factory = glance.api.versions:create_resource

[app:apiv2app]
paste.app_factory = glance.api.v2.router:API.factory

[app:healthcheck]
paste.app_factory = oslo_middleware:Healthcheck.app_factory
backends = disable_by_file
disable_by_file_path = /etc/glance/off

[filter:versionnegotiation]
paste.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory

[filter:cache]
paste.filter_factory = glance.api.middleware.cache:CacheFilter.factory

[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory

[filter:unauthenticated-context]
paste.filter_factory = glance.api.middleware.context:UnauthenticatedContextMiddleware.factory

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
delay_auth_decision = true

[filter:osprofiler]
paste.filter_factory = osprofiler.web:WsgiMiddleware.factory

[filter:cors]
paste.filter_factory = oslo_middleware.cors:filter_factory

[filter:http_proxy_to_wsgi]
paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory
`

const tokens = minimal + "[keystone_authtoken]\nauth_url = http://k/v3\nusername = u\npassword = p\n" +
	"[DEFAULT]\nimage_cache_dir = /c\n[paste_deploy]\n"

func TestPasteFile(t *testing.T) {
	for _, test := range []struct {
		flavor string
		want   config.Pipeline
	}{
		{"", config.Pipeline{"healthcheck", "cors", "http_proxy_to_wsgi", "versionnegotiation", "osprofiler",
			"unauthenticated-context", "rootapp"}},
		{"keystone+caching", config.Pipeline{"healthcheck", "cors", "http_proxy_to_wsgi", "versionnegotiation", "osprofiler",
			"authtoken", "context", "cache", "rootapp"}},
	} {
		// A file of that name beside the configuration is found without being named.
		s, err := load(t, config.API, tokens+"flavor = "+test.flavor+"\n", "glance-api-paste.ini", upstream)
		if err != nil {
			t.Errorf("flavor %q: %v", test.flavor, err)
			continue
		}
		if diff := cmp.Diff(test.want, s.Pipeline); diff != "" {
			t.Errorf("flavor %q (-want +got):\n%s", test.flavor, diff)
		}
		if want := (config.Health{Path: "/healthcheck", Below: true, Checks: []config.HealthCheck{{File: "/etc/glance/off"}}}); !cmp.Equal(s.Health, want) {
			t.Errorf("flavor %q: Health = %+v; want the file of the paste file", test.flavor, s.Health)
		}
	}
}

func TestBuiltInFlavors(t *testing.T) {
	for flavor, want := range map[string]config.Pipeline{
		"":                         {"unauthenticated-context"},
		"caching":                  {"unauthenticated-context", "cache"},
		"cachemanagement":          {"unauthenticated-context", "cache", "cachemanage"},
		"keystone":                 {"authtoken", "context"},
		"keystone+caching":         {"authtoken", "context", "cache"},
		"keystone+cachemanagement": {"authtoken", "context", "cache", "cachemanage"},

		"trusted-auth":                 {"context"},
		"trusted-auth+caching":         {"context", "cache"},
		"trusted-auth+cachemanagement": {"context", "cache", "cachemanage"},
	} {
		s, err := load(t, config.API, tokens+"flavor = "+flavor+"\n")
		if err != nil {
			t.Errorf("flavor %q: %v", flavor, err)
			continue
		}
		want = append(append(config.Pipeline{"cors", "healthcheck", "http_proxy_to_wsgi", "versionnegotiation"}, want...), "rootapp")
		if diff := cmp.Diff(want, s.Pipeline); diff != "" {
			t.Errorf("flavor %q (-want +got):\n%s", flavor, diff)
		}
	}
	s, err := load(t, config.Registry, tokens+"flavor = keystone\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Pipeline{"healthcheck", "authtoken", "context", "registryapp"}, s.Pipeline); diff != "" {
		t.Errorf("registry (-want +got):\n%s", diff)
	}
}

func TestPasteMistakes(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(upstream, old) {
			t.Fatalf("the sample has no %q", old)
		}
		return strings.Replace(upstream, old, new, 1)
	}
	const caching = "keystone+caching"
	for _, test := range []struct{ flavor, paste, want string }{
		{"caching", upstream, "there is no [pipeline:glance-api-caching]"},
		{"", replace("cors http", "corse http"), "PASTE:8: there is no [filter:corse] with a paste.filter_factory"},
		{"", replace("oslo_middleware.cors:filter_factory", "repoze.who:make"),
			"PASTE:55: [filter:cors]: this service has no repoze.who:make"},
		{"", replace("glance.api.v2.router", "glance.api.v4.router"),
			"PASTE:28: [app:apiv2app]: this service has no glance.api.v4.router:API.factory"},
		{"", replace("glance.api.v2.router", "glance.api.v1.router"), "[composite:rootapp]: this combination of applications is not known"},
		{"", replace("context rootapp", "context rotapp"), "PASTE:8: there is no [pipeline:rotapp]"},
		{"", replace("context rootapp", "context api"), "PASTE:8: api is part of itself"},
		{"", replace("pipeline = cors", "pipes = cors"), "[pipeline:api] has no pipeline"},
		{"", replace("/v2: apiv2app", "/v2: apiv2app\n/v1: apiv2app"), "[composite:rootapp]: nothing can be served at /v1"},
		{"", replace("/v2: apiv2app", ""), "glance-api ends in rootapp, not in apiversions"},
		{"", replace("/: apiversions", "/: apiv2app"), "[composite:rootapp]: this combination of applications is not known"},
		{"", replace("osprofiler unauthenticated-context", "osprofiler"), "there must be one of context and unauthenticated-context"},
		{caching, replace("context cache", "cache"), "authtoken needs context after it"},
		{caching, replace("context cache", "unauthenticated-context context cache"), "there must be one of context and unauthenticated-context"},
		{"", replace("disable_by_file\n", "disable_by_magic\n"),
			`PASTE:32: [healthcheck] backends: "disable_by_magic" is not a list of checks that there are: disable_by_file, disable_by_files_ports`},
		{"", replace("glance.api:root_app_factory", "egg:Paste#cascade"), "PASTE:3: [composite:glance-api]: this service has no egg:Paste#cascade"},
		{"", replace("paste.composite_factory = glance.api:root_app_factory\n", ""), "there is no [composite:glance-api] with a paste.composite_factory"},
		{"", replace("backends =", "filter-with = cors\nbackends ="), "PASTE:32: [app:healthcheck] filter-with: filters are named in a pipeline"},
		{"", upstream + "oops", `neither a section, a comment nor "key = value": "oops"`},
	} {
		_, err := load(t, config.API, tokens+"config_file = paste.ini\nflavor = "+test.flavor+"\n", "paste.ini", test.paste)
		if err == nil {
			t.Errorf("no error; want %q", test.want)
			continue
		}
		got := strings.ReplaceAll(err.Error(), "DIR/paste.ini", "PASTE")
		if !strings.HasPrefix(got, "PASTE") || !strings.HasSuffix(got, test.want) || strings.Contains(got, "\n") {
			t.Errorf("Load = %q; want it to say %q about PASTE", got, test.want)
		}
	}
}

// TestRenderedFiles checks that the service knows every option that the
// deployment tool writes: no file has one without effect.
func TestRenderedFiles(t *testing.T) {
	rendered := filepath.Join("..", "..", "..", "templates", "testdata")
	for program, name := range map[config.Program]string{
		config.API: "glance-api", config.Registry: "glance-registry", config.Manage: "glance-manage",
		config.Scrubber: "glance-scrubber", config.Prefetcher: "glance-prefetcher", config.Pruner: "glance-pruner",
		config.Reaper: "glance-reaper",
	} {
		text, err := os.ReadFile(filepath.Join(rendered, name+".conf"))
		if err != nil {
			t.Fatal(err)
		}
		swift, err := os.ReadFile(filepath.Join(rendered, "glance-swift.conf"))
		if err != nil {
			t.Fatal(err)
		}
		more := []string{"glance-swift.conf", string(swift)}
		if paste, err := os.ReadFile(filepath.Join(rendered, name+"-paste.ini")); err == nil {
			more = append(more, name+"-paste.ini", string(paste))
		}
		s, err := load(t, program, strings.ReplaceAll(string(text), "/etc/glance/", ""), more...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if unused := append(s.Ignored, s.Warnings...); len(unused) > 0 {
			t.Errorf("%s: %q", name, unused)
		}
	}
}
