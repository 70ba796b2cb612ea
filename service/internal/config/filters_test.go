package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

// sections has the filters and applications of a paste file in the three ways
// in which code has been named: by its class, by Glance's own factories of the
// first releases, and by a name in a package.
var sections = map[string]string{
	"classes": `
[composite:rootapp]
paste.composite_factory = glance.api:root_app_factory
/: apiversions
/v2: apiv2app
[app:apiversions]
paste.app_factory = glance.api.versions:create_resource
[app:apiv2app]
paste.app_factory = glance.api.v2.router:API.factory
[app:registryapp]
paste.app_factory = glance.registry.api:API.factory
[filter:versionnegotiation]
paste.filter_factory =
 glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory
[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory
[filter:unauthenticated-context]
paste.filter_factory = glance.api.middleware.context:UnauthenticatedContextMiddleware.factory
[filter:authtoken]
paste.filter_factory = keystoneclient.middleware.auth_token:filter_factory
[filter:cache]
paste.filter_factory = glance.api.middleware.cache:CacheFilter.factory
[filter:cachemanage]
paste.filter_factory = glance.api.middleware.cache_manage:CacheManageFilter.factory
[filter:healthcheck]
paste.filter_factory = oslo_middleware:Healthcheck.factory
[filter:cors]
paste.filter_factory = oslo_middleware.cors:filter_factory
[filter:http_proxy_to_wsgi]
paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory
[filter:osprofiler]
paste.filter_factory = osprofiler.web:WsgiMiddleware.factory
[filter:gzip]
paste.filter_factory = glance.api.middleware.gzip:GzipMiddleware.factory
`,
	"own factories": `
[app:rootapp]
paste.app_factory = glance.common.wsgi:app_factory
glance.app_factory = glance.api.v2.router:API
[app:registryapp]
paste.app_factory = glance.common.wsgi:app_factory
glance.app_factory = glance.registry.api.v1:API
[filter:versionnegotiation]
paste.filter_factory = glance.common.wsgi:filter_factory
glance.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter
[filter:context]
paste.filter_factory = glance.common.wsgi:filter_factory
glance.filter_factory = glance.common.context:ContextMiddleware
[filter:auth-context]
paste.filter_factory = glance.common.wsgi:filter_factory
glance.filter_factory = keystone.middleware.glance_auth_token:KeystoneContextMiddleware
[filter:unauthenticated-context]
paste.filter_factory = glance.common.wsgi:filter_factory
glance.filter_factory = glance.common.context:UnauthenticatedContextMiddleware
[filter:authtoken]
paste.filter_factory = keystone.middleware.auth_token:filter_factory
[filter:cache]
paste.filter_factory = glance.common.wsgi:filter_factory
glance.filter_factory = glance.api.middleware.cache:CacheFilter
[filter:cachemanage]
paste.filter_factory = glance.common.wsgi:filter_factory
glance.filter_factory = glance.api.middleware.cache_manage:CacheManageFilter
`,
	"names": `
[composite:rootapp]
use = egg:Paste#urlmap
/: apiversions
/v2: apiv2app
[app:apiversions]
use = call:glance.api.versions:create_resource
[app:apiv2app]
use = call:glance.api.v2.router:API.factory
[filter:versionnegotiation]
use = call:glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory
[filter:context]
use = call:glance.api.middleware.context:ContextMiddleware.factory
[filter:authtoken]
use = egg:keystonemiddleware#auth_token
[filter:healthcheck]
use = egg:oslo.middleware#healthcheck
[filter:cors]
use = egg:oslo.middleware#cors
[filter:http_proxy_to_wsgi]
use = egg:oslo.middleware#http_proxy_to_wsgi
[filter:osprofiler]
use = egg:osprofiler#osprofiler
`,
}

func TestPastePipelines(t *testing.T) {
	for _, test := range []struct{ sections, pipeline, want string }{
		{"classes", "versionnegotiation unauthenticated-context rootapp", ""},
		{"classes", "versionnegotiation authtoken context rootapp", ""},
		{"classes", "healthcheck versionnegotiation osprofiler authtoken context cache rootapp", ""},
		{"classes", "cors healthcheck http_proxy_to_wsgi versionnegotiation osprofiler authtoken context cache cachemanage rootapp", ""},
		{"classes", "cors http_proxy_to_wsgi versionnegotiation context cache cachemanage rootapp", ""}, // trusted
		{"classes", "versionnegotiation gzip unauthenticated-context rootapp", ""},
		{"classes", "healthcheck osprofiler context registryapp", ""}, // trusted
		{"own factories", "versionnegotiation unauthenticated-context cache cachemanage rootapp", ""},
		{"own factories", "versionnegotiation authtoken auth-context cache rootapp", "versionnegotiation authtoken context cache rootapp"},
		{"own factories", "authtoken auth-context context registryapp", "authtoken context registryapp"},
		{"names", "cors healthcheck http_proxy_to_wsgi versionnegotiation osprofiler authtoken context rootapp", ""},
	} {
		program, name := config.API, "glance-api"
		if strings.HasSuffix(test.pipeline, "registryapp") {
			program, name = config.Registry, "glance-registry"
		}
		paste := "[pipeline:" + name + "]\npipeline = " + test.pipeline + "\n" + sections[test.sections]
		s, err := load(t, program, tokens, name+"-paste.ini", paste)
		if err != nil {
			t.Errorf("%s: %v", test.pipeline, err)
			continue
		}
		if test.want == "" {
			test.want = test.pipeline
		}
		var got []string
		for _, stage := range s.Pipeline {
			got = append(got, string(stage))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("pipeline = %v; want %s", got, test.want)
		}
	}
}

// The application behind the filters has had several shapes.
func TestPasteApplications(t *testing.T) {
	const apps = `
[app:apiversionsapp]
paste.app_factory = glance.api.versions:create_resource
[app:oldversions]
paste.app_factory = glance.common.wsgi:app_factory
glance.app_factory = glance.api.versions:Controller
[app:apiv1app]
paste.app_factory = glance.api.v1.router:API.factory
[app:oldv1]
paste.app_factory = glance.common.wsgi:app_factory
glance.app_factory = glance.api.v1:API
[app:apiv2app]
paste.app_factory = glance.api.v2.router:API.factory
[app:apiv3app]
paste.app_factory = glance.api.v3.router:API.factory
`
	const composite = "[composite:rootapp]\npaste.composite_factory = glance.api:root_app_factory\n"
	for name, root := range map[string]string{
		"a pipeline of versions": "[pipeline:apiversions]\npipeline = healthcheck http_proxy_to_wsgi apiversionsapp\n" + composite + "/: apiversions\n/v1: apiv1app\n/v2: apiv2app\n",
		"artifacts":              composite + "/: apiversionsapp\n/v1: apiv1app\n/v2: apiv2app\n/v3: apiv3app\n",
		"factories of old":       composite + "/: oldversions\n/v1: oldv1\n/v2: apiv2app\n",
	} {
		paste := "[pipeline:glance-api]\npipeline = versionnegotiation context rootapp\n" + root + apps
		_, filters, _ := strings.Cut(sections["classes"], "[filter:")
		s, err := load(t, config.API, tokens, "glance-api-paste.ini", paste+"[filter:"+filters)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(config.Pipeline{"versionnegotiation", "context", "rootapp"}, s.Pipeline); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPasteOptions: what stands in the section of a filter wins over the
// configuration.
func TestPasteOptions(t *testing.T) {
	paste := `
[pipeline:glance-api]
pipeline = cors healthcheck http_proxy_to_wsgi versionnegotiation authtoken context rootapp
` + strings.NewReplacer(
		"keystoneclient.middleware.auth_token:filter_factory", `keystone.middleware.auth_token:filter_factory
auth_host = 10.0.0.5
auth_protocol = http
admin_user = essex
admin_password = p$ss
admin_tenant_name = services`,
		"cors:filter_factory", "cors:filter_factory\nallowed_origin = https://a, https://b\nmax_age = 5",
		"HTTPProxyToWSGI.factory", "HTTPProxyToWSGI.factory\nenable_proxy_headers_parsing = true",
		"oslo_middleware:Healthcheck.factory", `oslo_middleware:Healthcheck.factory
path = /alive
detailed = yes
backends = disable_by_files_ports, disable_by_file
disable_by_file_paths = 9292:/off, 9191:/other`,
	).Replace(sections["classes"])
	s, err := load(t, config.API, minimal+`
[keystone_authtoken]
password = other
[cors]
max_age = 7
allow_methods = GET
[cors.dashboard]
allowed_origin = https://c
allow_methods = PUT
allow_credentials = no
[cors.again]
allowed_origin = https://b
[healthcheck]
disable_by_file_path = /from/conf
`, "glance-api-paste.ini", paste)
	if err != nil {
		t.Fatal(err)
	}
	k := s.Keystone
	if k.AuthURL != "http://10.0.0.5:35357" || k.Username != "essex" || k.Password != "p$ss" || k.Project != "services" {
		t.Errorf("Keystone = %+v, password %q; want what the filter says", k, string(k.Password))
	}
	if !k.Immediate {
		t.Error("the decision is delayed; want what the middleware does by itself")
	}
	if !s.Server.ProxyHeaders {
		t.Error("headers of proxies are not believed; want what the filter says")
	}
	health := config.Health{Path: "/alive", Detailed: true, Checks: []config.HealthCheck{{ByPort: true, File: "/off"}, {File: "/from/conf"}}}
	if diff := cmp.Diff(health, s.Health); diff != "" {
		t.Errorf("Health (-want +got):\n%s", diff)
	}
	var got []config.Origin
	for _, o := range s.CORS {
		o.Expose, o.Headers = o.Expose[:1], o.Headers[:1]
		got = append(got, o)
	}
	expose, headers := []string{"X-Image-Meta-Checksum"}, []string{"Content-MD5"}
	if diff := cmp.Diff([]config.Origin{
		{"https://a", true, expose, 5, []string{"GET"}, headers},
		{"https://b", true, expose, 5, []string{"GET"}, headers},
		{"https://c", false, expose, 5, []string{"PUT"}, headers},
	}, got); diff != "" {
		t.Errorf("CORS (-want +got):\n%s", diff)
	}
	if unused := append(s.Warnings, s.Ignored...); len(unused) > 0 {
		t.Errorf("without effect: %q", unused)
	}
}

func TestHealthMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"backends = x":                  `CONF:4: [healthcheck] backends: "x" is not a list of checks that there are: disable_by_file, disable_by_files_ports`,
		"disable_by_file_paths = /x":    `CONF:4: [healthcheck] disable_by_file_paths: "/x" is not a list of ports with files, such as 9292:/etc/glance/off`,
		"disable_by_file_paths = 1:off": `CONF:4: [healthcheck] disable_by_file_paths: "1:off" is not a list of ports with files, such as 9292:/etc/glance/off`,
	} {
		if _, err := load(t, config.API, minimal+"[healthcheck]\n"+text+"\n"); err == nil || err.Error() != want {
			t.Errorf("Load(%q) = %v; want %s", text, err, want)
		}
	}
}

// A health check that is an application is asked for where it is mounted, and
// passes always if its section names no checks.
func TestMountedHealthCheck(t *testing.T) {
	paste := strings.NewReplacer("/healthcheck: healthcheck", "/alive: healthcheck", "backends = disable_by_file\n", "").Replace(upstream)
	s, err := load(t, config.API, tokens, "glance-api-paste.ini", paste)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Health{Path: "/alive", Below: true}, s.Health); diff != "" {
		t.Errorf("Health (-want +got):\n%s", diff)
	}
}
