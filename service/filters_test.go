package service_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service"
)

// filtered is a paste file with the filters before the application.
func filtered(filters, more string) string {
	return "[pipeline:glance-api]\npipeline = " + filters + ` rootapp
[composite:rootapp]
paste.composite_factory = glance.api:root_app_factory
/: apiversions
/v2: apiv2app
[app:apiversions]
paste.app_factory = glance.api.versions:create_resource
[app:apiv2app]
paste.app_factory = glance.api.v2.router:API.factory
[filter:versionnegotiation]
paste.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory
[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory
[filter:unauthenticated-context]
paste.filter_factory = glance.api.middleware.context:UnauthenticatedContextMiddleware.factory
[filter:cache]
paste.filter_factory = glance.api.middleware.cache:CacheFilter.factory
[filter:cachemanage]
paste.filter_factory = glance.api.middleware.cache_manage:CacheManageFilter.factory
[filter:gzip]
paste.filter_factory = glance.api.middleware.gzip:GzipMiddleware.factory
[filter:http_proxy_to_wsgi]
paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory
[filter:cors]
paste.filter_factory = oslo_middleware.cors:filter_factory
oslo_config_project = glance
[filter:healthcheck]
paste.filter_factory = oslo_middleware:Healthcheck.factory
` + more
}

// filters starts an api with a pipeline of its own.
func (s *site) filters(pipeline, more, options string) *daemon {
	s.t.Helper()
	s.write("glance-api-paste.ini", filtered(pipeline, more))
	return start(s.t, service.RunAPI, service.Options{Files: []string{s.conf("api", options)}})
}

func TestCrossOrigin(t *testing.T) {
	s := newSite(t)
	d := s.filters("cors healthcheck versionnegotiation unauthenticated-context", "backends = disable_by_file\n", `
[cors]
allowed_origin = https://a.example,https://b.example
[cors.subdomain]
allowed_origin = https://c.example
allow_methods = GET
allow_headers = X-Color
allow_credentials = False
max_age = 0
expose_headers =
`)
	const ask = "Access-Control-Request-"
	for _, test := range []struct {
		name, method, path string
		code               int
		headers            []string
		want               map[string]string // the headers of the answer that are about origins
	}{
		{"no question", "OPTIONS", "/v2/images", 200, nil, nil},
		{"an unknown path", "OPTIONS", "/nowhere", 200, nil, nil},
		{"a question", "OPTIONS", "/v2/images/x/file", 200, []string{"Origin", "https://a.example", ask + "Method", "PUT", ask + "Headers", "x-auth-token, Content-Type,"}, map[string]string{
			"Access-Control-Allow-Origin": "https://a.example", "Access-Control-Allow-Credentials": "true", "Access-Control-Max-Age": "3600",
			"Access-Control-Allow-Methods": "PUT", "Access-Control-Allow-Headers": "x-auth-token,Content-Type", "Vary": "Origin"}},
		{"a site with settings of its own", "OPTIONS", "/v2/images", 200, []string{"Origin", "https://c.example", ask + "Method", "GET", ask + "Headers", "X-Color"}, map[string]string{
			"Access-Control-Allow-Origin": "https://c.example", "Access-Control-Allow-Methods": "GET", "Access-Control-Allow-Headers": "X-Color", "Vary": "Origin"}},
		{"another method", "OPTIONS", "/v2/images", 200, []string{"Origin", "https://c.example", ask + "Method", "PUT"}, nil},
		{"another header", "OPTIONS", "/v2/images", 200, []string{"Origin", "https://a.example", ask + "Method", "GET", ask + "Headers", "X-Color"}, nil},
		{"a stranger", "OPTIONS", "/v2/images", 200, []string{"Origin", "https://x.example", ask + "Method", "GET"}, nil},
		{"a page", "GET", "/v2/images", 200, []string{"Origin", "https://a.example"}, map[string]string{
			"Access-Control-Allow-Origin": "https://a.example", "Access-Control-Allow-Credentials": "true", "Vary": "Origin",
			"Access-Control-Expose-Headers": "X-Image-Meta-Checksum,X-Auth-Token,X-Subject-Token,X-Service-Token,X-OpenStack-Request-ID"}},
		{"a page, a failure", "GET", "/v2/images/x", 404, []string{"Origin", "https://c.example"}, map[string]string{
			"Access-Control-Allow-Origin": "https://c.example", "Vary": "Origin"}},
		{"a strange page", "GET", "/v2/images", 200, []string{"Origin", "https://a.example.org"}, nil},
		{"no page", "GET", "/v2/images", 200, nil, nil},
	} {
		a := d.want(test.code, "", test.method, test.path, "", test.headers...)
		var got map[string]string
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
				if got == nil {
					got = make(map[string]string)
				}
				got[name] = a.header.Get(name)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if test.method == "OPTIONS" && (a.body != "" || a.header.Get("Allow") != "") {
			t.Errorf("%s: %q, %v; want an empty answer", test.name, a.body, a.header)
		}
	}
	d.want(200, "OK", "OPTIONS", "/healthcheck", "") // what succeeds is left as it is

	plain := s.filters("versionnegotiation unauthenticated-context", "", "[cors]\nallowed_origin = *\n")
	plain.want(405, "", "OPTIONS", "/v2/images", "")
	every := s.filters("cors versionnegotiation unauthenticated-context", "", "[cors]\nallowed_origin = *\n")
	if a := every.want(200, "", "GET", "/v2/images", "", "Origin", "https://x.example"); a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("for every origin: %v", a.header)
	}
}

func TestGzip(t *testing.T) {
	s := newSite(t)
	d := s.filters("versionnegotiation gzip unauthenticated-context", "", "")
	data := strings.Repeat("image data ", 10_000)
	d.create(imageA, data)
	plain := d.want(200, imageA, "GET", "/v2/images", "", "Accept-Encoding", "identity").body
	for _, test := range []struct {
		accept, path, want string
		zipped             bool
	}{
		{"gzip", "/v2/images", plain, true},
		{"deflate, gzip;q=0.5", "/v2/images", plain, true},
		{"x-gzip", "/v2/images", plain, true},
		{"gzip", "/v2/images/" + imageA + "/file", data, true},
		{"identity", "/v2/images/" + imageA + "/file", data, false},
		{"gzip;q=0, identity", "/v2/images", plain, false},
		{"xgzip", "/v2/images", plain, false},
	} {
		a := d.want(200, "", "GET", test.path, "", "Accept-Encoding", test.accept)
		if zipped := a.header.Get("Content-Encoding") == "gzip"; zipped != test.zipped {
			t.Errorf("%s for %q: zipped is %t; want %t", test.path, test.accept, zipped, test.zipped)
			continue
		}
		if strings.HasSuffix(test.path, "/file") && a.header.Get("Content-Md5") == "" {
			t.Errorf("%s for %q has no checksum", test.path, test.accept)
		}
		if !test.zipped {
			if a.body != test.want {
				t.Errorf("%s for %q = %.50q; want %.50q", test.path, test.accept, a.body, test.want)
			}
			continue
		}
		z, err := gzip.NewReader(strings.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || string(got) != test.want || len(a.body) >= len(test.want) {
			t.Errorf("%s for %q: %d bytes hold %.50q, %v; want %.50q", test.path, test.accept, len(a.body), got, err, test.want)
		}
	}
	d.want(404, "", "GET", "/v2/images/"+imageB, "", "Accept-Encoding", "gzip")
	a := d.want(204, "", "DELETE", "/v2/images/"+imageA, "", "Accept-Encoding", "gzip")
	if a.header.Get("Content-Encoding") != "" {
		t.Errorf("an answer without a body is encoded: %v", a.header)
	}
}

func TestProxyHeaders(t *testing.T) {
	s := newSite(t)
	const pipeline = "http_proxy_to_wsgi versionnegotiation unauthenticated-context"
	d := s.filters(pipeline, "", "[oslo_middleware]\nenable_proxy_headers_parsing = True\n")
	for _, test := range []struct {
		headers []string
		links   string // what version links begin with
		created string // what the address of a new image begins with
	}{
		{nil, d.url, d.url},
		{[]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "glance.example"}, "https://glance.example", "https://glance.example"},
		{[]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "glance.example:443"}, "https://glance.example", "https://glance.example"},
		{[]string{"Forwarded", `for=10.0.0.9; proto=https;host="glance.example:8443", proto=http;host=inner`, "X-Forwarded-Host", "not.this"},
			"https://glance.example:8443", "https://glance.example:8443"},
		{[]string{"X-Forwarded-Host", "glance.example", "X-Forwarded-Prefix", "/image/"}, "http://glance.example/image", "http://glance.example"},
		{[]string{"X-Forwarded-Proto", "gopher", "X-Forwarded-Host", "glance.example"}, "http://glance.example", "http://glance.example"},
	} {
		d.want(300, `"href": "`+test.links+`/v2/"`, "GET", "/", "", test.headers...)
		if a := d.want(302, "", "GET", "/v2", "", test.headers...); a.header.Get("Location") != test.links+"/v2/" {
			t.Errorf("with %q /v2 is at %s; want it below %s", test.headers, a.header.Get("Location"), test.links)
		}
		a := d.want(201, "", "POST", "/v2/images", `{}`, test.headers...)
		if got := a.header.Get("Location"); !strings.HasPrefix(got, test.created+"/v2/images/") {
			t.Errorf("with %q Location = %s; want it below %s", test.headers, got, test.created)
		}
	}
	off := s.filters(pipeline, "", "")
	off.want(300, `"href": "`+off.url+`/v2/"`, "GET", "/", "", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "X-Forwarded-Prefix", "/x", "Forwarded", "host=evil.example")
	without := s.filters("versionnegotiation unauthenticated-context", "", "[oslo_middleware]\nenable_proxy_headers_parsing = True\n")
	without.want(300, `"href": "`+without.url+`/v2/"`, "GET", "/", "", "X-Forwarded-Host", "evil.example")
}

// In a pipeline with context and without authtoken, a proxy says who asks.
func TestTrustedAuth(t *testing.T) {
	s := newSite(t)
	d := s.filters("versionnegotiation context", "", "")
	if !strings.Contains(d.log.String(), "only a proxy that validates them may reach this service") {
		t.Error("the log does not warn")
	}
	as := func(project, roles string) []string {
		return []string{"X-Identity-Status", "Confirmed", "X-User-Id", "u", "X-Project-Id", project, "X-Roles", roles}
	}
	d.want(201, `"owner": "p-alice"`, "POST", "/v2/images", `{"id": "`+imageA+`", "visibility": "private"}`, as("p-alice", "Member,Reader")...)
	d.want(404, "", "GET", "/v2/images/"+imageA, "", as("p-bob", "member,reader")...)
	d.want(200, "", "GET", "/v2/images/"+imageA, "", as("p-bob", "admin")...)
	d.want(401, "", "GET", "/v2/images/"+imageA, "", "X-Roles", "admin", "X-Project-Id", "p-alice")
	d.want(300, "versions", "GET", "/", "")
}

// Without that, what a client says about itself counts for nothing.
func TestIdentityHeadersOfClients(t *testing.T) {
	s := newSite(t)
	d := s.api("")
	open := s.api("[DEFAULT]\nallow_anonymous_access = True\n")
	spoof := []string{"X-Identity-Status", "Confirmed", "X-User-Id", "u-admin", "X-Project-Id", "p-alice", "X-Tenant-Id", "p-alice", "X-Roles", "admin",
		"X-Role", "admin", "X_Roles", "admin", "X-Is-Admin-Project", "True", "OpenStack-System-Scope", "all", "X-Service-Roles", "service"}
	d.want(201, `"owner": "p-alice"`, "POST", "/v2/images", `{"id": "`+imageA+`", "visibility": "private"}`, "X-Auth-Token", "alice")
	d.want(404, "", "GET", "/v2/images/"+imageA, "", append(spoof, "X-Auth-Token", "bob")...)
	d.want(403, "", "POST", "/v2/images", `{"visibility": "public"}`, append(spoof, "X-Auth-Token", "bob")...)
	d.want(201, `"owner": "p-bob"`, "POST", "/v2/images", `{"id": "`+imageB+`"}`, append(spoof, "X-Auth-Token", "bob")...)
	d.want(401, "", "GET", "/v2/images", "", spoof...)
	open.want(403, "", "GET", "/v2/images", "", spoof...) // an anonymous caller has no role
}

func TestHealthCheckForms(t *testing.T) {
	s := newSite(t)
	const pipeline = "healthcheck versionnegotiation unauthenticated-context"
	const checks = "path = /alive\nbackends = disable_by_file, disable_by_files_ports\ndisable_by_file_path = DIR/off\ndisable_by_file_paths = 0:DIR/port\n"
	// The bodies are what oslo.middleware's templates make.
	const top = "<HTML>\n<HEAD><TITLE>Healthcheck Status</TITLE></HEAD>\n<BODY>\n\n<H2>Result of 2 checks:</H2>\n<TABLE bgcolor=\"#ffffff\" border=\"1\">\n<TBODY>\n<TR>\n\n<TH>\nReason\n</TH>\n</TR>\n"
	const bottom = "\n</TBODY>\n</TABLE>\n<HR></HR>\n\n</BODY>\n</HTML>"
	d := s.filters(pipeline, checks, "")
	for _, test := range []struct {
		file, accept, kind string
		code               int
		want               string
	}{
		{"", "*/*", "text/plain; charset=UTF-8", 200, "OK\nOK"},
		{"", "text/html", "text/html; charset=UTF-8", 200, top + "<TR>\n\n    <TD>OK</TD>\n\n</TR><TR>\n\n    <TD>OK</TD>\n\n</TR>" + bottom},
		{"", "application/json", "application/json", 200, "{\n    \"detailed\": false,\n    \"reasons\": [\n        \"OK\",\n        \"OK\"\n    ]\n}"},
		{"off", "image/png", "text/plain; charset=UTF-8", 503, "DISABLED BY FILE\nOK"},
		{"port", "text/plain", "text/plain; charset=UTF-8", 503, "OK\nDISABLED BY FILE"},
	} {
		if test.file != "" {
			s.write(test.file, "")
		}
		a := d.call("GET", "/alive", "", "Accept", test.accept)
		if a.code != test.code || a.body != test.want || a.header.Get("Content-Type") != test.kind {
			t.Errorf("for %s with %q: %d %s %q; want %d %s %q", test.accept, test.file, a.code, a.header.Get("Content-Type"), a.body, test.code, test.kind, test.want)
		}
		if test.file != "" {
			if err := os.Remove(s.path(test.file)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a := d.want(204, "", "HEAD", "/alive", ""); a.header.Get("Content-Type") != "" {
		t.Errorf("HEAD: %v", a.header)
	}
	d.want(300, "", "GET", "/healthcheck", "") // it is elsewhere

	detailed := s.filters(pipeline, checks+"detailed = True\n", "")
	a := detailed.want(200, "", "GET", "/alive", "", "Accept", "application/json")
	var doc struct {
		Detailed bool
		Reasons  []struct{ Class, Details, Reason string }
		GC       struct{ Counts, Threshold []int }
		Now      string
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	if !doc.Detailed || len(doc.Reasons) != 2 || doc.Reasons[0].Details != "Path '"+s.path("off")+"' was not found" || doc.Reasons[0].Class != "HealthcheckResult" || doc.Now == "" || len(doc.GC.Counts) == 0 {
		t.Errorf("detailed: %s", a.body)
	}
	detailed.want(200, "<TD>HealthcheckResult</TD>\n    <TD>OK</TD>\n<TD>Path &#39;", "GET", "/alive", "", "Accept", "text/html")
	s.write("glance-api-paste.ini", "[composite:glance-api]\nuse = egg:Paste#urlmap\n/: api\n/alive: check\n[app:check]\nuse = egg:oslo.middleware#healthcheck\nbackends = disable_by_file\n"+
		strings.Replace(filtered("versionnegotiation unauthenticated-context", ""), "[pipeline:glance-api]", "[pipeline:api]", 1))
	mounted := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	mounted.want(200, "OK", "GET", "/alive", "")
	mounted.want(200, "OK", "GET", "/alive/and/well", "")
	mounted.want(300, "versions", "GET", "/alivealive", "")
	none := s.filters(pipeline, "", "")
	if a := none.want(200, "", "GET", "/healthcheck", ""); a.body != "" {
		t.Errorf("without checks: %q", a.body)
	}
}

// Of the versions, the negotiation knows those that are listed.
func TestNegotiation(t *testing.T) {
	s := newSite(t)
	d := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "")}})
	const vendor = "application/vnd.openstack.images-"
	for _, test := range []struct {
		path, accept string
		code         int
	}{
		{"/v2/images", "", 200},
		{"//v2/images", "", 200},
		{"/v2.0/images", "", 200},
		{"/v2.9/images", "", 200},
		{"/v2.19/images", "", 300},
		{"/v3/images", "", 300},
		{"/v1/images", "", 200},
		{"/v1.0/images", "", 200},
		{"/v1.1/images", "", 200},
		{"/v1.2/images", "", 300},
		{"/v1", "", 302},
		{"/images", "", 300},
		{"/", "", 300},
		{"/versions", "", 200},
		{"/versions/x/y", "", 200},
		{"/images", vendor + "v2", 200},
		{"/images", vendor + "v2.3", 200},
		{"/images", vendor + "v2.19", 300},
		{"/versions", vendor + "v2", 200},
		{"/v2", "", 302},
		{"/v2/", "", 404},
	} {
		var headers []string
		if test.accept != "" {
			headers = []string{"Accept", test.accept}
		}
		if a := d.call(http.MethodGet, test.path, "", headers...); a.code != test.code {
			t.Errorf("GET %s with %q = %d; want %d", test.path, test.accept, a.code, test.code)
		}
	}
	d.want(200, `"versions"`, "POST", "/versions", "{}")
	old := fmt.Sprintf(`, {"id": "v1.1", "status": "DEPRECATED", "links": [{"rel": "self", "href": "%[1]s/v1/"}]}, `+
		`{"id": "v1.0", "status": "DEPRECATED", "links": [{"rel": "self", "href": "%[1]s/v1/"}]}]}`, d.url)
	for path, code := range map[string]int{"/": 300, "/versions": 200} {
		if a := d.want(code, old, "GET", path, ""); !strings.HasSuffix(a.body, old) {
			t.Errorf("GET %s: version 1 is not the end of %s", path, a.body)
		}
	}

	off := start(t, service.RunAPI, service.Options{Files: []string{s.conf("api", "[DEFAULT]\nenable_v1_api = False\n")}})
	for _, path := range []string{"/v1/images", "/v1.0/images", "/v1", "/"} {
		if a := off.want(300, "v2.0", "GET", path, ""); strings.Contains(a.body, "v1") {
			t.Errorf("GET %s without version 1: %s", path, a.body)
		}
	}

	root := s.filters("unauthenticated-context", "", "") // without negotiation
	root.want(200, `"images"`, "GET", "/v2/images", "")
	root.want(300, `"versions"`, "GET", "/v2.3/images", "")
	root.want(300, `"versions"`, "GET", "/", "")
}
