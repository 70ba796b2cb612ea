package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"

	"glancectl/provision"
)

const secret = "s3cret-value"

// registration is a whole one, at an httptest server.
func registration(url string) Registration {
	return Registration{
		Keystone: Keystone{
			Name: "main", AuthURL: url + "/v3", Region: "RegionOne", Wait: 5 * time.Second,
			Admin: Credentials{Username: "admin", Password: secret, Project: "admin"},
		},
		User: "glance", Password: secret, ServiceName: "glance", ServiceType: "image",
		PublicURL: "http://p:9292", InternalURL: "http://i:9292", AdminURL: "http://a:9292",
	}
}

// keystone is an Identity service with nothing in it but a domain, and with
// faults. What a full one answers is tested against the real thing.
type keystone struct {
	t     *testing.T
	mu    sync.Mutex
	asked []string
	fault func(w http.ResponseWriter, r *http.Request) (done bool)
}

func (k *keystone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, r.Method+" "+r.URL.Path)
	if k.fault != nil && k.fault(w, r) {
		return
	}
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			k.t.Error(err)
		}
	}
	type m = map[string]any
	switch r.Method + " " + strings.TrimSuffix(r.URL.Path, "/") {
	case "GET /v3":
		answer(200, m{"version": m{"id": "v3.14"}})
	case "POST /v3/auth/tokens":
		w.Header().Set("X-Subject-Token", "token")
		answer(201, m{"token": m{"expires_at": "2099-01-01T00:00:00.000000Z", "catalog": []any{}}})
	case "GET /v3/domains":
		answer(200, m{"domains": []any{m{"id": "default", "name": "Default"}}, "links": m{}})
	case "GET /v3/projects", "GET /v3/users", "GET /v3/roles", "GET /v3/services":
		answer(200, m{strings.TrimPrefix(r.URL.Path, "/v3/"): []any{}, "links": m{}})
	default:
		k.t.Errorf("unexpected request %s %s", r.Method, r.URL)
		answer(404, m{})
	}
}

// say answers as Keystone reports faults.
func say(w http.ResponseWriter, status int, message string) bool {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error": {"code": %d, "message": %q}}`, status, message)
	return true
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(w http.ResponseWriter, r *http.Request) bool
		kind  error // nil: none of ours
		text  string
	}{
		{
			name:  "not a Keystone",
			fault: func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true },
			text:  "no Identity v3 there (status 404): auth_url must be the address that ends in /v3",
		},
		{
			name: "an older Keystone",
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				fmt.Fprint(w, `{"version": {"id": "v2.0"}}`)
				return true
			},
			text: "no Identity v3 there",
		},
		{
			name: "wrong password",
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				return r.Method == "POST" && say(w, 401, "The request you have made requires authentication.")
			},
			kind: ErrRefused,
			text: "log in to keystone main as admin: refused: wrong user name, password, project or domain (The request",
		},
		{
			name: "not an administrator",
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				return r.URL.Path == "/v3/users" && say(w, 403, "You are not authorized: identity:list_users")
			},
			kind: ErrRefused,
			text: "look for user glance in keystone main: refused: the account lacks the administrator's role (You are not authorized: identity:list_users)",
		},
		{
			name: "an error that repeats what it was sent",
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				return r.URL.Path == "/v3/users" && say(w, 400, "odd\npassword "+secret)
			},
			text: "status 400: odd password (sensitive)",
		},
		{
			name: "no such domain",
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/v3/domains" {
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprint(w, `{"domains": [], "links": {}}`)
					return true
				}
				return false
			},
			text: "domain Default in keystone main: there is none",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(&keystone{t: t, fault: test.fault})
			defer server.Close()
			changes, err := registration(server.URL).Observe(t.Context(), direct{}, new(provision.Facts))
			if err == nil || changes != nil {
				t.Fatalf("Observe = %v, %v; want an error", changes, err)
			}
			for _, kind := range []error{ErrConnect, ErrRefused, ErrCredentials} {
				if errors.Is(err, kind) != (kind == test.kind) {
					t.Errorf("Observe: %v: errors.Is(%v) is %v", err, kind, errors.Is(err, kind))
				}
			}
			if !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), secret) {
				t.Errorf("Observe: %v; want it to contain %q and no secret", err, test.text)
			}
		})
	}
}

// A Keystone that has just been started may forbid what it allows.
func TestForbiddenAtFirst(t *testing.T) {
	var mu sync.Mutex
	asked := make(map[string]int)
	server := httptest.NewServer(&keystone{t: t, fault: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Auth-Token") == "" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path]++
		return asked[r.URL.Path] == 1 && say(w, 403, "You are not authorized")
	}})
	defer server.Close()
	changes, err := registration(server.URL).Observe(t.Context(), direct{}, new(provision.Facts))
	if err != nil || len(changes) == 0 || asked["/v3/services"] != 2 {
		t.Errorf("Observe = %v, %v after %v; want changes, with everything asked for twice", changes, err, asked)
	}
}

// Who only asks is not put off by a connection that is lost now and then; who
// changes something is, because it may have happened.
func TestLostConnections(t *testing.T) {
	for _, test := range []struct {
		name string
		lose func(r *http.Request, nth int) bool
		lost string // the request that is given up
	}{
		{name: "every first and second", lose: func(_ *http.Request, nth int) bool { return nth <= 2 }},
		{
			name: "one for good", lost: "GET /v3/services",
			lose: func(r *http.Request, _ int) bool { return r.URL.Path == "/v3/services" },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			asked := make(map[string]int)
			k := &keystone{t: t, fault: func(_ http.ResponseWriter, r *http.Request) bool {
				what := r.Method + " " + r.URL.Path
				if asked[what]++; r.URL.Path == "/v3" || !test.lose(r, asked[what]) {
					return false
				}
				panic(http.ErrAbortHandler)
			}}
			server := httptest.NewServer(k)
			defer server.Close()
			changes, err := registration(server.URL).Observe(t.Context(), direct{}, new(provision.Facts))
			k.mu.Lock()
			defer k.mu.Unlock()
			if test.lost == "" && (err != nil || len(changes) == 0 || asked["POST /v3/auth/tokens"] < 3) {
				t.Errorf("Observe = %v, %v after %v; want changes", changes, err, asked)
			}
			// A connection that was used before is replaced without being told of.
			if n := asked[test.lost]; test.lost != "" && (!errors.Is(err, ErrConnect) || n <= askedAgain || n > 2*(1+askedAgain)) {
				t.Errorf("Observe: %v after %v; want ErrConnect after %d tries", err, asked, 1+askedAgain)
			}
		})
	}
}

// What changes a Keystone is not sent twice: the first may have arrived.
func TestLostChange(t *testing.T) {
	sent := 0
	k := &keystone{t: t, fault: func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == "POST" && r.URL.Path == "/v3/services" {
			sent++
			panic(http.ErrAbortHandler)
		}
		return false
	}}
	server := httptest.NewServer(k)
	defer server.Close()
	changes, err := registration(server.URL).Observe(t.Context(), direct{}, new(provision.Facts))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if strings.HasSuffix(c.ID, "/service") {
			err = c.Do(t.Context(), direct{})
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !errors.Is(err, ErrConnect) || sent != 1 {
		t.Errorf("making a service: %v, sent %d times; want ErrConnect, once", err, sent)
	}
}

// What the administrator's token says is not asked for.
func TestTokenTells(t *testing.T) {
	for _, test := range []struct {
		name, role, domain string
		asked              []string // of domains and roles
	}{
		{name: "the same", role: "admin", domain: "Default"},
		{name: "others", role: "service", domain: "Services", asked: []string{"GET /v3/domains", "GET /v3/roles"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &keystone{t: t, fault: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != "POST" {
					return false
				}
				w.Header().Set("X-Subject-Token", "token")
				w.WriteHeader(201)
				fmt.Fprint(w, `{"token": {"expires_at": "2099-01-01T00:00:00.000000Z", "roles": [{"id": "r1", "name": "admin"}],
					"user": {"id": "u1", "name": "admin", "domain": {"id": "default", "name": "Default"}},
					"project": {"id": "p1", "name": "admin", "domain": {"id": "default", "name": "Default"}}}}`)
				return true
			}}
			server := httptest.NewServer(k)
			defer server.Close()
			g := registration(server.URL)
			g.Role, g.Domain = test.role, test.domain
			g.Untried = new(atomic.Bool)
			g.Untried.Store(true)
			changes, err := g.Observe(t.Context(), direct{}, new(provision.Facts))
			if err != nil {
				t.Fatal(err)
			}
			var asked []string
			for _, what := range slices.Sorted(slices.Values(k.asked)) {
				if what == "GET /v3/domains" || what == "GET /v3/roles" {
					asked = append(asked, what)
				}
			}
			if !slices.Equal(asked, test.asked) {
				t.Errorf("asked for %q; want %q", asked, test.asked)
			}
			missing := slices.ContainsFunc(changes, func(c provision.Change) bool { return strings.HasSuffix(c.ID, "/role") })
			if missing != (test.role != "admin") {
				t.Errorf("the role is to be made: %t", missing)
			}
		})
	}
}

// A Keystone that is being restarted is waited for, and whoever watches is
// told once.
func TestWaits(t *testing.T) {
	tries := 0
	server := httptest.NewServer(&keystone{t: t, fault: func(w http.ResponseWriter, r *http.Request) bool {
		tries++
		return tries <= 2 && say(w, 503, "starting")
	}})
	defer server.Close()
	g := registration(server.URL)
	var told []string
	g.Keystone.Progress = func(text string) { told = append(told, text) }
	changes, err := g.Observe(t.Context(), direct{}, new(provision.Facts))
	if err != nil || len(changes) == 0 {
		t.Fatalf("Observe = %v, %v; want changes", changes, err)
	}
	if len(told) != 1 || !strings.Contains(told[0], "waiting for keystone main") || !strings.Contains(told[0], "status 503") {
		t.Errorf("progress = %q; want one line", told)
	}
}

func TestWaitEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil { // now nobody listens there
		t.Fatal(err)
	}
	g := registration("http://" + address)
	g.Keystone.Wait = time.Millisecond
	_, err = g.Observe(t.Context(), direct{}, new(provision.Facts))
	if !errors.Is(err, ErrConnect) || !strings.Contains(fmt.Sprint(err), "wait for keystone main at http://"+address) {
		t.Errorf("Observe = %v; want ErrConnect with the address", err)
	}

	g.Keystone.Wait = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	g.Keystone.Progress = func(string) { cancel() }
	if _, err := g.Observe(ctx, direct{}, new(provision.Facts)); !errors.Is(err, context.Canceled) {
		t.Errorf("Observe with a cancelled context = %v; want context.Canceled", err)
	}
}

// Looking at an empty Keystone changes nothing and finds everything missing,
// in an order in which it can be made.
func TestObserveEmpty(t *testing.T) {
	k := &keystone{t: t}
	server := httptest.NewServer(k)
	defer server.Close()
	changes, err := registration(server.URL).Observe(t.Context(), direct{}, new(provision.Facts))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		got = append(got, string(c.Action)+" "+c.Summary)
		if strings.Contains(fmt.Sprintf("%+v", c), secret) {
			t.Errorf("change %s shows a secret", c.ID)
		}
	}
	want := []string{
		"create project service", "create user glance", "create role admin", "create service glance (image)",
		"create role admin for user glance on project service",
		"create public endpoint in RegionOne: http://p:9292",
		"create internal endpoint in RegionOne: http://i:9292",
		"create admin endpoint in RegionOne: http://a:9292",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	for _, request := range k.asked {
		if !strings.HasPrefix(request, "GET ") && request != "POST /v3/auth/tokens" {
			t.Errorf("observing did %s", request)
		}
	}
}

// A password that was made a moment ago is not tried, the first time.
func TestUntried(t *testing.T) {
	k := &keystone{t: t}
	server := httptest.NewServer(k)
	defer server.Close()
	g := registration(server.URL)
	g.Untried = new(atomic.Bool)
	g.Untried.Store(true)
	for _, logins := range []int{1, 2} { // the administrator's; before it the user's
		k.asked = nil
		if _, err := g.Observe(t.Context(), direct{}, new(provision.Facts)); err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(slices.Clone(k.asked), func(r string) bool { return r != "POST /v3/auth/tokens" })
		if len(got) != logins {
			t.Errorf("%d log-ins; want %d", len(got), logins)
		}
	}
}

func TestCompare(t *testing.T) {
	g := registration("http://keystone").withDefaults()
	type e = endpoints.Endpoint
	whole := func() registry {
		return registry{
			project: &projects.Project{ID: "p", Enabled: true}, user: &users.User{ID: "u", Enabled: true}, logsIn: true,
			role: &roles.Role{ID: "r"}, assigned: true,
			service: &services.Service{ID: "s", Name: "glance", Enabled: true},
			endpoints: []e{
				{ID: "1", Availability: "public", RegionID: "RegionOne", URL: "http://p:9292", Enabled: true},
				{ID: "2", Availability: "internal", RegionID: "RegionOne", URL: "http://i:9292", Enabled: true},
				{ID: "3", Availability: "admin", RegionID: "RegionOne", URL: "http://a:9292", Enabled: true},
				{ID: "4", Availability: "admin", RegionID: "RegionTwo", URL: "http://b:9292", Enabled: true},
			},
		}
	}
	for _, test := range []struct {
		name  string
		spoil func(*registry)
		want  []string
	}{
		{"as wanted", func(*registry) {}, nil},
		{"project disabled", func(r *registry) { r.project.Enabled = false }, []string{"project service: enable"}},
		{"user disabled", func(r *registry) { r.user.Enabled, r.logsIn = false, false }, []string{"user glance: enable"}},
		{"password", func(r *registry) { r.logsIn = false }, []string{"user glance: log-in fails, set the password"}},
		{"assignment", func(r *registry) { r.assigned = false }, []string{"role admin for user glance on project service"}},
		{"service renamed", func(r *registry) { r.service.Name = "pictures" }, []string{"service glance (image): name pictures -> glance"}},
		{"service disabled", func(r *registry) { r.service.Enabled = false }, []string{"service glance (image): enable"}},
		{"endpoint moved", func(r *registry) { r.endpoints[1].URL = "http://x" }, []string{"internal endpoint in RegionOne: http://x -> http://i:9292"}},
		{"endpoint disabled", func(r *registry) { r.endpoints[0].Enabled = false }, []string{"public endpoint in RegionOne: enable"}},
		{"endpoint in another region", func(r *registry) { r.endpoints[2].RegionID = "RegionTwo" }, []string{"admin endpoint in RegionOne: http://a:9292"}},
		{
			"duplicate", func(r *registry) {
				r.endpoints = append([]e{{ID: "5", Availability: "public", RegionID: "RegionOne", URL: "http://old"}}, r.endpoints...)
			},
			[]string{"public endpoint in RegionOne: remove duplicates (1)"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := whole()
			test.spoil(&found)
			var got []string
			for _, s := range g.compare(found) {
				got = append(got, s.summary)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("compare (-want +got):\n%s", diff)
			}
		})
	}
}

// Of several endpoints the one that is right stays.
func TestPick(t *testing.T) {
	w := wantedEndpoint{"public", "R", "http://new"}
	at := func(id, url string) endpoints.Endpoint {
		return endpoints.Endpoint{ID: id, Availability: "public", RegionID: "R", URL: url}
	}
	keep, rest := w.pick([]endpoints.Endpoint{at("1", "http://old"), at("2", "http://new"), at("3", "http://new"),
		{ID: "4", Availability: "public", RegionID: "S"}, {ID: "5", Availability: "admin", RegionID: "R"}})
	var others []string
	for _, e := range rest {
		others = append(others, e.ID)
	}
	if keep == nil || keep.ID != "2" || !cmp.Equal(others, []string{"1", "3"}) {
		t.Errorf("pick = %v, %v; want 2, [1 3]", keep, others)
	}
}

// No verb of fmt shows a password, however deep it is.
func TestNothingPrintsAPassword(t *testing.T) {
	g := registration("http://keystone")
	for _, v := range []any{g, &g, g.Keystone, g.Keystone.Admin, []any{g}, map[string]provision.Resource{"g": g}, Removal{Keystone: g.Keystone}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, secret) {
				t.Errorf("Sprintf(%q, %T) = %s", verb, v, text)
			}
		}
	}
}

// A registration that starts from nothing asks for nothing twice; what
// somebody else has made since it looked is used. What can be made at the
// same time is, and all of it before what belongs to it.
func TestMake(t *testing.T) {
	for _, test := range []struct {
		name  string
		taken string     // the collection in which there is something since
		want  [][]string // the requests for what is made at the same time, sorted
	}{
		{"from nothing", "", [][]string{
			{"POST /v3/projects", "POST /v3/roles", "POST /v3/services", "POST /v3/users"},
			{"POST /v3/endpoints", "POST /v3/endpoints", "POST /v3/endpoints", "PUT /v3/projects/new/users/new/roles/new"},
		}},
		{"the project is there", "projects", [][]string{
			{"GET /v3/projects", "PATCH /v3/projects/theirs", "POST /v3/projects", "POST /v3/roles", "POST /v3/services", "POST /v3/users"},
			{"POST /v3/endpoints", "POST /v3/endpoints", "POST /v3/endpoints", "PUT /v3/projects/theirs/users/new/roles/new"},
		}},
		{"the user is there", "users", [][]string{
			{"GET /v3/users", "PATCH /v3/users/theirs", "POST /v3/auth/tokens", "POST /v3/projects", "POST /v3/roles", "POST /v3/services", "POST /v3/users"},
			{"POST /v3/endpoints", "POST /v3/endpoints", "POST /v3/endpoints", "PUT /v3/projects/new/users/theirs/roles/new"},
		}},
		{"the role is there", "roles", [][]string{
			{"GET /v3/roles", "POST /v3/projects", "POST /v3/roles", "POST /v3/services", "POST /v3/users"},
			{"POST /v3/endpoints", "POST /v3/endpoints", "POST /v3/endpoints", "PUT /v3/projects/new/users/new/roles/theirs"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			applying := false
			k := &keystone{t: t}
			k.fault = func(w http.ResponseWriter, r *http.Request) bool {
				return applying && makes(w, r, test.taken)
			}
			server := httptest.NewServer(k)
			defer server.Close()
			changes, err := registration(server.URL).Observe(t.Context(), direct{}, new(provision.Facts))
			if err != nil {
				t.Fatal(err)
			}
			k.mu.Lock()
			applying = true
			k.mu.Unlock()
			var got [][]string
			for len(changes) > 0 {
				n := 1
				for n < len(changes) && changes[n].Beside {
					n++
				}
				got = append(got, k.during(func() { doAll(t, changes[:n]) }))
				changes = changes[n:]
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// during returns the requests that do makes, sorted.
func (k *keystone) during(do func()) []string {
	k.mu.Lock()
	k.asked = nil
	k.mu.Unlock()
	do()
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(slices.Values(k.asked))
}

// doAll makes changes, all at the same time.
func doAll(t *testing.T, changes []provision.Change) {
	var wg sync.WaitGroup
	for _, c := range changes {
		wg.Go(func() {
			if err := c.Do(t.Context(), direct{}); err != nil {
				t.Errorf("%s: %v", c.ID, err)
			}
		})
	}
	wg.Wait()
}

// makes answers as a Keystone that creates what it is told, and in one
// collection has something of that name already.
func makes(w http.ResponseWriter, r *http.Request, taken string) bool {
	collection := strings.Split(r.URL.Path, "/")[2]
	say := func(status int, format string, args ...any) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, format, args...)
		return true
	}
	singular := strings.TrimSuffix(collection, "s")
	switch {
	case r.URL.Path == "/v3/auth/tokens":
		return false
	case r.Method == "POST" && collection == taken:
		return say(409, `{"error": {"message": "it exists"}}`)
	case r.Method == "POST":
		return say(201, `{%q: {"id": "new", "enabled": true}}`, singular)
	case r.Method == "GET":
		return say(200, `{%q: [{"id": "theirs", "enabled": false}], "links": {}}`, collection)
	case r.Method == "PATCH":
		return say(200, `{%q: {"id": "theirs", "enabled": true}}`, singular)
	case r.Method == "PUT":
		w.WriteHeader(204)
		return true
	}
	return false
}

// What was found a while ago is looked at again before anything is made.
func TestMakeLater(t *testing.T) {
	k := &keystone{t: t}
	looked := false
	k.fault = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == "POST" && r.URL.Path != "/v3/auth/tokens":
			t.Errorf("%s %s, though it is there", r.Method, r.URL.Path)
		case r.Method == "GET" && r.URL.Path == "/v3/projects":
			looked = true
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"projects": [{"id": "theirs", "enabled": true}], "links": {}}`)
			return true
		}
		return false
	}
	server := httptest.NewServer(k)
	defer server.Close()
	g := registration(server.URL).withDefaults()
	s, err := g.Keystone.reach(t.Context(), direct{}, new(provision.Facts))
	if err == nil {
		err = s.logIn(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	steps := g.compare(registry{at: time.Now().Add(-time.Hour)})
	if err := steps[0].do(t.Context(), s); err != nil || !looked {
		t.Errorf("%s: %v; looked again: %v", steps[0].id, err, looked)
	}
}
