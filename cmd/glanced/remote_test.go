package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// front is a server before an api that lets through whoever has the token
// "right", and knows one more, who may nothing.
func front(t *testing.T, address string, secure bool) *url.URL {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Auth-Token") {
		case "right":
			proxy.ServeHTTP(w, r)
		case "member":
			w.WriteHeader(http.StatusForbidden)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// identity is a Keystone that gives the token "right" to one user in one
// project, and has an image service in its catalog.
func identity(t *testing.T, image string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", func(w http.ResponseWriter, r *http.Request) {
		var login struct {
			Auth struct {
				Identity struct {
					Password struct {
						User struct{ Name, Password string }
					}
				}
				Scope struct{ Project struct{ Name string } }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&login); err != nil {
			t.Errorf("log in: %v", err)
		}
		if u := login.Auth.Identity.Password.User; u.Name != "ann" || u.Password != "Planted" || login.Auth.Scope.Project.Name != "ops" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Subject-Token", "right")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token": {"expires_at": %q, "user": {"id": "u"}}}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	mux.HandleFunc("GET /v3/auth/catalog", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"catalog": [{"type": "image", "endpoints": [{"interface": "public", "region": "here", "url": %q}]}]}`, image)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// TestRemoteTools calls glance-cache-manage and glance-manage index with the
// options they have always had, on a service that asks for a token.
func TestRemoteTools(t *testing.T) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OS_") {
			t.Setenv(name, "")
		}
	}
	program := build(t)
	conf, address := configure(t, program)
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	touch(t, conf, string(text)+"[DEFAULT]\nimage_cache_dir = "+filepath.Dir(conf)+"/cache\n[paste_deploy]\nflavor = cachemanagement\n")
	api := launch(t, program, conf, address)
	defer end(t, api)
	const id, other = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"
	for _, id := range []string{id, other} {
		send(t, "POST", "http://"+address+"/v2/images", "application/json", []byte(`{"id": "`+id+`", "name": "n", "disk_format": "raw", "container_format": "bare"}`))
		send(t, "PUT", "http://"+address+"/v2/images/"+id+"/file", "application/octet-stream", []byte("data"))
	}

	plain, secure := front(t, address, false), front(t, address, true)
	keystone := identity(t, plain.String()+"/v2")
	host, port, _ := net.SplitHostPort(plain.Host)
	names := strings.NewReplacer("HOST", "-H "+host+" -p "+port, "SECURE", secure.String(), "LONG", "--host "+host+" --port "+port,
		"KEYSTONE", keystone.URL+"/v3", "SECOND", other, "FIRST", id)
	call := func(code int, says string, env map[string]string, line string) {
		t.Helper()
		for name, value := range env {
			t.Setenv(name, names.Replace(value))
		}
		var stdout, stderr bytes.Buffer
		got := run(t.Context(), strings.Fields(names.Replace(line)), &stdout, &stderr)
		all := stdout.String() + stderr.String()
		if got != code || !strings.Contains(all, names.Replace(says)) || says == "" && all != "" || strings.Contains(all, "Planted") {
			t.Errorf("%v %s = %d,\n%s\nwant %d and %q", env, line, got, all, code, says)
		}
		for name := range env {
			t.Setenv(name, "")
		}
	}

	const tool = "glance-cache-manage "
	for _, test := range []struct {
		code int
		says string
		line string
	}{
		// What it does.
		{0, "No cached images.\n", "HOST -A right list-cached"},
		{0, "No queued images.\n", "HOST -A right list-queued"},
		{0, "Queued image FIRST for caching\n", "HOST -A right -f -v queue-image FIRST"},
		{0, "", "HOST -A right --force queue-image SECOND"},
		{0, "Found 2 queued images...\n", "HOST -A right list-queued"},
		{0, "Deleted queued image SECOND\n", "HOST -A right -f --verbose delete-queued-image SECOND"},
		{0, "Found 1 queued images...\n", "HOST -A right list-queued"},
		{0, "Deleted 1 queued images\n", "HOST -A right -f -v delete-all-queued-images"},
		{0, "No queued images.\n", "HOST -A right list-queued"},
		// Who asks, and where; flags may stand anywhere.
		{0, "No cached images.\n", "list-cached LONG --auth_token right"},
		{0, "No cached images.\n", "HOST list-cached --os_auth_token right"},
		{0, "No cached images.\n", "list-cached HOST --os-auth-token right"},
		{1, "Not authorized to make this request.\n", "HOST -A member list-cached"},
		{1, "Failed to show cached images. Got error:\n", "HOST list-cached"},
		{1, "401", "HOST -A wrong -f delete-all-cached-images"},
		{1, "Failed to show queued images. Got error:\n", "-H SECURE -A right list-queued"},
		{1, "certificate", "-H SECURE -A right list-queued"},
		{0, "No queued images.\n", "-H SECURE -A right -k list-queued"},
		{0, "No queued images.\n", "-H SECURE -A right --insecure list-queued"},
		{0, "No queued images.\n", "HOST -N KEYSTONE -I ann -K Planted -T ops list-queued"},
		{0, "No queued images.\n", "HOST --os_auth_url KEYSTONE --os_username ann --os_password Planted --os_tenant_name ops list-queued"},
		{0, "No queued images.\n", "HOST --os-auth-url KEYSTONE --os-username ann --os-password Planted --os-tenant-name ops list-queued"},
		{1, "401", "HOST -N KEYSTONE -I ann -K Planted2 -T ops list-queued"},
		{1, "401", "HOST -N KEYSTONE -I ann -K Planted -T ops -S noauth list-queued"},
		// What cannot be.
		{1, "Please specify one and only ID of the image as the first argument\n", "HOST -A right -f queue-image"},
		{1, "Please specify one and only ID of the image as the first argument\n", "HOST -A right -f delete-cached-image FIRST SECOND"},
		{1, "Image ID 'nonsense' is not a valid UUID.\n", "HOST -A right -f delete-queued-image nonsense"},
		{1, `unexpected argument "FIRST"`, "HOST -A right list-cached FIRST"},
		{2, "flag provided but not defined: -nonsense", "HOST --nonsense list-cached"},
		{2, "invalid value", "-H 127.0.0.1 -p many list-cached"},
	} {
		call(test.code, test.says, nil, tool+test.line)
	}
	for _, variable := range []string{"OS_AUTH_TOKEN", "OS_TOKEN"} {
		call(0, "No cached images.\n", map[string]string{variable: "right"}, tool+"HOST list-cached")
	}
	asAnn := map[string]string{"OS_AUTH_URL": "KEYSTONE", "OS_USERNAME": "ann", "OS_PASSWORD": "Planted", "OS_PROJECT_NAME": "ops"}
	wrong := map[string]string{"OS_AUTH_URL": "KEYSTONE", "OS_USERNAME": "ann", "OS_PASSWORD": "Planted2", "OS_TENANT_NAME": "ops"}
	call(0, "No cached images.\n", asAnn, tool+"HOST list-cached")
	call(1, "401", wrong, tool+"HOST list-cached")
	call(1, "401", map[string]string{"OS_AUTH_STRATEGY": "noauth", "OS_AUTH_URL": "KEYSTONE", "OS_USERNAME": "ann", "OS_PASSWORD": "Planted", "OS_PROJECT_NAME": "ops"}, tool+"HOST list-cached")

	// What is cached can be taken out, one or all.
	for _, id := range []string{id, other} {
		if got := get(t, "http://"+address+"/v2/images/"+id+"/file"); got != "data" {
			t.Errorf("the data is %q", got)
		}
		awaits(t, "the cache", func() bool { return exists(filepath.Join(filepath.Dir(conf), "cache", id)) })
	}
	call(0, "Found 2 cached images...\nID ", nil, tool+"HOST -A right list-cached")
	call(1, "Not authorized to make this request.\n", nil, tool+"HOST -A member -f delete-all-cached-images")
	for _, test := range []struct{ answer, says string }{{"n\n", ""}, {"", ""}, {"y\n", "Deleted cached image " + id + "\n"}} {
		c := exec.Command(program, strings.Fields(names.Replace("cache-manage HOST -v delete-cached-image FIRST"))...)
		c.Env, c.Stdin = append(os.Environ(), "OS_AUTH_TOKEN=right"), strings.NewReader(test.answer)
		out, err := c.CombinedOutput()
		if want := "Delete cached image " + id + "? [y/N] " + test.says; err != nil || string(out) != want {
			t.Errorf("delete-cached-image, answered %q: %v, %q; want %q", test.answer, err, out, want)
		}
		if exists(filepath.Join(filepath.Dir(conf), "cache", id)) != (test.says == "") {
			t.Errorf("after the answer %q the image is cached: %t", test.answer, test.says != "")
		}
	}
	call(0, "Found 1 cached images...\n", nil, tool+"HOST -A right list-cached")
	call(0, "Deleted 1 cached images\n", nil, tool+"HOST -A right -f -v delete-all-cached-images")
	call(0, "No cached images.\n", nil, tool+"HOST -A right list-cached")

	// The index, as the documents have it, and of whoever logs in.
	const index = "ID                                   Name                           Disk Format          Container Format     Size          \n"
	for _, line := range []string{"glance-manage -A right HOST index", "glance-manage LONG --os-auth-token right index", "glance-manage -A right -k -H SECURE index",
		"glance-manage -N KEYSTONE -I ann -K Planted -T ops index", "glance-manage -N KEYSTONE -I ann -K Planted -T ops -R here index"} {
		call(0, index, nil, line)
	}
	call(0, index, asAnn, "glance-manage index")
	call(1, "401", wrong, "glance-manage index")
	call(1, "elsewhere", asAnn, "glance-manage -R elsewhere index")
	call(1, "401", nil, "glance-manage HOST index")
	call(1, "403", nil, "glance-manage -A member HOST index")
	call(1, "certificate", nil, "glance-manage -A right -H SECURE index")
}
