package service

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
	"glancectl/service/internal/httpstore"
	"glancectl/service/internal/webdownload"
)

// A fickle resolver has other addresses for a name each time it is asked, the
// last ones for ever.
type fickle struct {
	mu sync.Mutex
	of map[string][]string
}

func (f *fickle) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := f.of[host]
	if len(left) == 0 {
		return nil, errors.New("no such host")
	}
	if len(left) > 1 {
		f.of[host] = left[1:]
	}
	var addrs []netip.Addr
	for s := range strings.FieldsSeq(left[0]) {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs, nil
}

// A walled web has one server, at an address outside. Whoever connects
// anywhere else fails the test.
type walled struct {
	t  *testing.T
	at string // of the server
}

const outside = "192.0.2.1"

func (w *walled) dial(ctx context.Context, network, at string) (net.Conn, error) {
	if at != outside+":80" {
		w.t.Errorf("the service connects to %s", at)
		return nil, errors.New("nobody is there")
	}
	return new(net.Dialer).DialContext(ctx, network, w.at)
}

// A liar is a server that shows everybody an image until it is told to lead
// them elsewhere.
type liar struct{ leads atomic.Bool }

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if to := r.URL.Query().Get("u"); to != "" && (l.leads.Load() || r.URL.Path == "/now") {
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
}

// An attacked service has images whose locations callers may change.
type attacked struct {
	*glance.Images
	t     *testing.T
	ctx   context.Context
	names *fickle
	liar  *liar
}

func attack(t *testing.T) *attacked {
	a := &attacked{t: t, liar: new(liar), names: &fickle{of: map[string][]string{
		"site.example":     {outside},
		"inside.example":   {"127.0.0.1"},
		"both.example":     {outside + " 127.0.0.1"},
		"mapped.example":   {"::ffff:127.0.0.1"},
		"metadata.example": {"169.254.169.254"},
		"evil.example":     {outside},
		"localhost":        {"127.0.0.1 ::1"},
	}}}
	srv := httptest.NewServer(a.liar)
	t.Cleanup(srv.Close)
	wall := &walled{t, strings.TrimPrefix(srv.URL, "http://")}
	web, err := webdownload.New(webdownload.Options{
		AllowedPorts: []int{80, 443}, DisallowedHosts: []string{"evil.example"}, Resolver: a.names, Dial: wall.dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Images, err = glance.New(new(memory.Catalog), []glance.Backend{{Store: new(memory.Store)}, {Store: httpstore.New(web)}}, glance.Options{
		Locations: glance.LocationOptions{Shown: true, Filter: web},
		Import:    glance.ImportOptions{Tasks: new(memory.Tasks)},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.ctx = glance.WithCaller(t.Context(), glance.Caller{Admin: true})
	return a
}

func (a *attacked) create() glance.ID {
	a.t.Helper()
	format, container := "raw", "bare"
	im, err := a.Create(a.ctx, glance.Draft{DiskFormat: &format, ContainerFormat: &container})
	if err != nil {
		a.t.Fatal(err)
	}
	return im.ID
}

// try gives a new image a location.
func (a *attacked) try(uri string) (glance.ID, error) {
	a.t.Helper()
	id := a.create()
	_, err := a.Update(a.ctx, id, []glance.Change{{
		Op: glance.Add, Attribute: "locations", Position: "-", Value: []glance.NewLocation{{URL: uri}},
	}})
	return id, err
}

func (a *attacked) read(id glance.ID) (string, error) {
	d, err := a.Download(a.ctx, id)
	if err != nil {
		return "", err
	}
	rc, err := d.Open(a.ctx, 0, -1)
	if err != nil {
		return "", err
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	return string(data), err
}

const unfiltered = "URI for add location does not pass filtering: "

// TestLocationAttacks: whoever may give images locations cannot have the
// service ask what only this machine can reach, by no way of naming it and by
// no redirect; neither when a location is added nor when an image that has one
// is read.
func TestLocationAttacks(t *testing.T) {
	a := attack(t)
	for _, uri := range []string{
		"http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://017700000001/",
		"http://0177.0.0.1/", "http://127.0.0.01/", "http://0/", "http://0.0.0.0/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
		"http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[::]/", "http://localhost/", "http://LOCALHOST./",
		"http://inside.example/", "http://both.example/", "http://mapped.example/", "http://metadata.example/latest/meta-data/",
		"http://169.254.169.254/latest/meta-data/", "http://0xa9fea9fe/", "http://2852039166/", "http://[fe80::1]/", "http://[::ffff:a9fe:a9fe]/",
		"http://evil.example/", "http://nosuch.example/", "http://site.example:22/", "http://site.example:6379/", "http://site.example@127.0.0.1/",
		"http://127.0.0.1#@site.example/", "http://127.0.0.1?@site.example/", "https://127.0.0.1/", "http://[fd00:ec2::254]/",
	} {
		_, err := a.try(uri)
		if !errors.Is(err, glance.ErrInvalid) || !strings.HasPrefix(err.Error(), unfiltered) {
			t.Errorf("location %s: %v", uri, err)
		}
		_, err = a.AddLocation(a.ctx, a.create(), glance.LocationRequest{URL: uri})
		if !errors.Is(err, glance.ErrInvalid) || !strings.HasPrefix(err.Error(), unfiltered) {
			t.Errorf("new location %s: %v", uri, err)
		}
		// The same by a redirect, before there is an image and afterwards.
		to := url.QueryEscape(uri)
		if _, err := a.try("http://site.example/now?u=" + to); !errors.Is(err, glance.ErrInvalid) {
			t.Errorf("location that leads to %s: %v", uri, err)
		}
		a.liar.leads.Store(false)
		id, err := a.try("http://site.example/later?u=" + to)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := a.read(id); data != "0123456789" || err != nil {
			t.Errorf("an image reads %q, %v", data, err)
		}
		a.liar.leads.Store(true)
		if data, err := a.read(id); err == nil {
			t.Errorf("an image whose data leads to %s reads %q", uri, data)
		}
	}
	if err := a.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRebindingAttacks: a name that is outside when it is judged and this
// machine afterwards leads nowhere, whenever it changes.
func TestRebindingAttacks(t *testing.T) {
	a := attack(t)
	for questions, fails := range map[int]string{
		1: "when the data is asked for its size",
		2: "when the data is read",
		3: "when the data is read again",
	} {
		answers := make([]string, questions, questions+1)
		for i := range answers {
			answers[i] = outside
		}
		a.names.mu.Lock()
		a.names.of["fickle.example"] = append(answers, "127.0.0.1")
		a.names.mu.Unlock()
		id, err := a.try("http://fickle.example/x")
		if questions > 1 && err == nil {
			_, err = a.read(id)
		}
		if questions > 2 && err == nil {
			_, err = a.read(id)
		}
		if err == nil {
			t.Errorf("a name that changes %s is followed", fails)
		}
	}
}
