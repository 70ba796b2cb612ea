package roles

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// The checks ask a real server the way they ask a daemon.
func TestChecks(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   string // in the error; "" for none
	}{
		{"well", http.StatusOK, "OK", ""},
		{"taken out of the balancer by hand", http.StatusServiceUnavailable, "DISABLED BY FILE\n", ""},
		{"unwell", http.StatusInternalServerError, "the catalog is gone", "500 Internal Server Error: the catalog is gone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/healthcheck" {
					t.Errorf("asked for %s; want /healthcheck", r.URL.Path)
				}
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}))
			defer server.Close()
			p := quickstart()
			p.Glance.API.Port = port(t, server.Listener.Addr())
			stages := expand(t, p)
			checks := stages[len(stages)-1].Targets[0].Checks
			err := checks[1].Ask(t.Context(), fakeNode{name: "here"})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v; want %q", err, test.want)
			}
		})
	}
}

func TestCheckWithoutAServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := quickstart()
	p.Glance.API.Port = port(t, l.Addr())
	l.Close()
	stages := expand(t, p)
	check := stages[len(stages)-1].Targets[0].Checks[1]
	if err := check.Ask(t.Context(), fakeNode{name: "here"}); err == nil {
		t.Errorf("%s passes without a server", check.Name)
	}
}

func port(t *testing.T, a net.Addr) int {
	t.Helper()
	_, text, err := net.SplitHostPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A failed check shows the log that the daemon has, and how it was started.
func TestChecksKnowTheLogs(t *testing.T) {
	for name, want := range map[string][]string{
		"production": {"journalctl -u glance-api.service -n 20 --no-pager", "tail -n 20 /var/log/glance/api.log"},
		"quickstart": {"tail -n 20 /srv/quick start/var/log/glance/api.log", "tail -n 20 /srv/quick start/var/log/glance/api.out"},
	} {
		stages := expand(t, samples()[name]())
		var got []string
		for _, c := range stages[len(stages)-1].Targets[0].Checks[1].Logs {
			got = append(got, strings.Join(c.Argv, " "))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: logs %q; want %q", name, got, want)
		}
	}
}

// A daemon is asked where it listens.
func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		all              bool
		address          string
		wantBind, wantAt string
	}{
		{true, "10.77.0.21", "0.0.0.0", "127.0.0.1:9292"},
		{false, "10.77.0.21", "10.77.0.21", "10.77.0.21:9292"},
		{false, "fd00::21", "fd00::21", "[fd00::21]:9292"},
	} {
		p := single()
		p.Nodes[0].Address = test.address
		p.Glance.API.BindToAll = test.all
		sites, err := sitesOf(p, options())
		if err != nil {
			t.Fatal(err)
		}
		s := sites[0]
		if got := s.bindHost(p.Glance.API); got != test.wantBind {
			t.Errorf("bindHost with %+v = %s; want %s", test, got, test.wantBind)
		}
		if got := s.dialAddress(p.Glance.API); got != test.wantAt {
			t.Errorf("dialAddress with %+v = %s; want %s", test, got, test.wantAt)
		}
		if got, want := s.endpoint("fd00::1"), "http://[fd00::1]:9292"; got != want {
			t.Errorf("endpoint = %s; want %s", got, want)
		}
	}
}
