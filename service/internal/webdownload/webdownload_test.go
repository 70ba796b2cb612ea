package webdownload

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
)

func made(t testing.TB, o Options) *Fetcher {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// names is a Resolver. Each time a name is asked for it has its next address,
// the last one for ever; several addresses at once are separated by spaces.
type names struct {
	mu    sync.Mutex
	of    map[string][]string
	asked int
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	left := n.of[host]
	if len(left) == 0 {
		return nil, errors.New("no such host")
	}
	if len(left) > 1 {
		n.of[host] = left[1:]
	}
	var addrs []netip.Addr
	for s := range strings.FieldsSeq(left[0]) {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs, nil
}

func resolver() *names {
	return &names{of: map[string][]string{
		"good.example":     {"192.0.2.1"},
		"two.example":      {"192.0.2.1 2001:db8::1"},
		"private.example":  {"10.0.0.1"},
		"inside.example":   {"127.0.0.1"},
		"mixed.example":    {"192.0.2.1 127.0.0.1"},
		"mapped.example":   {"::ffff:169.254.169.254"},
		"metadata.example": {"169.254.169.254"},
		"six.example":      {"::1"},
		"any.example":      {"0.0.0.0"},
		"rebind.example":   {"192.0.2.1", "127.0.0.1"},
		"localhost":        {"127.0.0.1 ::1"},
	}}
}

// TestCheck has every way that is known of naming what must not be asked, and
// the ways that are fine.
func TestCheck(t *testing.T) {
	f := made(t, Options{AllowedSchemes: []string{"http", "https"}, AllowedPorts: []int{80, 443}, Resolver: resolver()})
	for _, test := range []struct {
		ok   bool
		uris string
	}{
		{true, "http://good.example/x https://good.example http://GOOD.example./x?y#z http://good.example:80/ https://good.example:443/ http://good.example:443/"},
		{true, "HTTP://good.example/ http://two.example/ http://user:pw@good.example/ http://good.example:/x"},
		{true, "http://private.example/ http://10.0.0.1/ http://192.0.2.1/ http://[2001:db8::1]/ http://3221225985/ http://[::ffff:192.0.2.1]/"},

		{false, "x good.example http: http:/// http://:80/ //good.example/ http:good.example http://%zz/"},
		{false, "file:///etc/passwd ftp://good.example/ gopher://good.example/ swift+config://ref/a/b filesystem:///x data:,x javascript:x"},
		{false, "http://nosuch.example/ http://good.example:22/ http://good.example:0/ http://good.example:65536/ http://good.example:-1/"},

		// this machine
		{false, "http://127.0.0.1/ http://127.0.0.1:80/ http://127.1/ http://127.0.1/ http://127.255.255.254/ http://localhost/ http://LOCALHOST./ http://inside.example/"},
		{false, "http://2130706433/ http://0x7f000001/ http://0X7F000001/ http://017700000001/ http://0177.0.0.1/ http://0x7f.0.0.1/ http://0x7f.1/ http://127.0.0.0x1/ http://127.0.0.01/"},
		{false, "http://[::1]/ http://[0:0:0:0:0:0:0:1]/ http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/ http://[::127.0.0.1]/ http://[::ffff:0:127.0.0.1]/ http://six.example/"},
		{false, "http://0.0.0.0/ http://0/ http://0.1.2.3/ http://[::]/ http://any.example/"},
		// its link, and what clouds tell there
		{false, "http://169.254.169.254/latest/meta-data/ http://169.254.0.1/ http://2852039166/ http://0xa9fea9fe/ http://0251.0376.0251.0376/ http://metadata.example/"},
		{false, "http://[fe80::1]/ http://[fe80::1%25eth0]/ http://[febf::1]/ http://[::ffff:169.254.169.254]/ http://[::ffff:a9fe:a9fe]/ http://mapped.example/ http://mixed.example/"},
		{false, "http://[fd00:ec2::254]/ http://100.100.100.200/ http://168.63.129.16/ http://192.0.0.192/"},
		// tunnels to it
		{false, "http://[64:ff9b::127.0.0.1]/ http://[64:ff9b::a9fe:a9fe]/ http://[2002:7f00:1::]/ http://[2002:a9fe:a9fe::1]/"},
		// everybody and nobody
		{false, "http://224.0.0.1/ http://255.255.255.255/ http://[ff02::1]/"},
		// what one program takes for a name and another for an address
		{false, "http://256.0.0.1/ http://1.2.3.4.5/ http://127.0.0.08/ http://0x/ http://0x7f.0.0.0.1/ http://good.example.1/ http://4294967296/"},
		{false, "http://①②⑦.⓪.⓪.①/ http://ⓛocalhost/ http://good。example/ http://good.example%00/ http://good.example%2f@127.0.0.1/"},
		{false, "http://good.example@127.0.0.1/ http://good.example:80@localhost/ http://127.0.0.1#@good.example/ http://127.0.0.1?@good.example/ http://good.example\\@127.0.0.1/"},
	} {
		for uri := range strings.FieldsSeq(test.uris) {
			if err := f.Check(t.Context(), uri); (err == nil) != test.ok {
				t.Errorf("Check(%s) = %v; allowed: %t", uri, err, test.ok)
			}
		}
	}
	if err := f.Check(t.Context(), ""); err == nil {
		t.Error("Check of nothing succeeds")
	}
}

func TestLists(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
		ok   string
		not  string
	}{
		{"nothing set", Options{}, "http://good.example:8080/ https://good.example/", "http://127.0.0.1/ ftp://good.example/"},
		{"schemes", Options{AllowedSchemes: []string{"https"}}, "https://good.example/", "http://good.example/"},
		{"no schemes", Options{DisallowedSchemes: []string{"http"}}, "https://good.example/", "http://good.example/"},
		{"a scheme that nobody can", Options{AllowedSchemes: []string{"ftp"}}, "", "ftp://good.example/ http://good.example/"},
		{"hosts", Options{AllowedHosts: []string{"Good.Example"}}, "http://good.example./", "http://two.example/ http://192.0.2.1/"},
		{"no hosts", Options{DisallowedHosts: []string{"good.example"}}, "http://two.example/", "http://good.example/ http://GOOD.EXAMPLE./"},
		{"no address", Options{DisallowedHosts: []string{"192.0.2.1"}}, "http://private.example/", "http://good.example/ http://two.example/ http://3221225985/ http://[::ffff:c000:201]/"},
		{"both: only the first counts", Options{AllowedHosts: []string{"good.example"}, DisallowedHosts: []string{"good.example"}}, "http://good.example/", "http://two.example/"},
		{"ports", Options{AllowedPorts: []int{8080}}, "http://good.example:8080/", "http://good.example/ http://good.example:80/"},
		{"no ports", Options{DisallowedPorts: []int{80}}, "http://good.example:8080/ https://good.example/", "http://good.example/"},
		{"this machine by name", Options{AllowedHosts: []string{"localhost"}}, "http://localhost/", "http://127.0.0.1/ http://inside.example/"},
		{"this machine by address", Options{AllowedHosts: []string{"127.0.0.1"}}, "http://127.0.0.1/ http://0x7f.1/ http://[::ffff:127.0.0.1]/", "http://localhost/ http://127.0.0.2/"},
		{"the metadata", Options{AllowedHosts: []string{"169.254.169.254"}}, "http://169.254.169.254/", "http://metadata.example/"},
	} {
		test.o.Resolver = resolver()
		f := made(t, test.o)
		for uri := range strings.FieldsSeq(test.ok) {
			if err := f.Check(t.Context(), uri); err != nil {
				t.Errorf("%s: Check(%s) = %v", test.name, uri, err)
			}
		}
		for uri := range strings.FieldsSeq(test.not) {
			if err := f.Check(t.Context(), uri); err == nil {
				t.Errorf("%s: Check(%s) succeeds", test.name, uri)
			}
		}
	}
}

// fetch returns what a URI yields.
func fetch(t *testing.T, f *Fetcher, uri string) (string, int64, error) {
	t.Helper()
	rc, size, err := f.Fetch(t.Context(), uri)
	if err != nil {
		return "", 0, err
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	return string(data), size, err
}

// A trap is a server that nobody may ask.
func trap(t *testing.T) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the trap is asked for %s", r.URL)
	}))
	t.Cleanup(srv.Close)
	return srv
}

// open returns a fetcher that may ask the hosts on this machine that are
// named.
func open(t testing.TB, hosts ...string) *Fetcher {
	t.Helper()
	return made(t, Options{AllowedHosts: hosts, Resolver: resolver(), Redirects: 3})
}

func TestFetch(t *testing.T) {
	secret := trap(t)
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	port := srv.URL[strings.LastIndexByte(srv.URL, ':'):]
	mux.HandleFunc("/data", func(w http.ResponseWriter, r *http.Request) {
		if user, pw, _ := r.BasicAuth(); r.Header.Get("Referer") != "" || user+pw != "" && user+pw != "userpw" {
			t.Errorf("request has headers %v", r.Header)
		}
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asked with encoding %s", r.Header.Get("Accept-Encoding"))
		}
		io.WriteString(w, "abcd")
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("u"), http.StatusFound)
	})
	mux.HandleFunc("/short", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "abcd")
	})
	mux.HandleFunc("/part", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusPartialContent) })
	to := func(u string) string { return "http://inside.example" + port + "/to?u=" + url.QueryEscape(u) }
	good := "http://inside.example" + port + "/data"

	f := open(t, "inside.example")
	for _, uri := range []string{good, strings.Replace(good, "//", "//user:pw@", 1), to(good), to("/data"), to(to(to(good)))} {
		if data, size, err := fetch(t, f, uri); data != "abcd" || size != 4 || err != nil {
			t.Errorf("Fetch(%s) = %q, %d, %v; want abcd", uri, data, size, err)
		}
	}
	const no, broken = "URI for web-download does not pass filtering.", "The data could not be downloaded."
	for _, test := range []struct{ uri, want string }{
		{secret.URL, no}, // by its address, which is not what was named
		{to(secret.URL), no},
		{to(to(secret.URL)), no},
		{to("http://localhost" + port + "/data"), no},
		{to("http://2130706433" + port + "/data"), no},
		{to("http://[::ffff:127.0.0.1]" + port + "/data"), no},
		{to("http://169.254.169.254/latest/meta-data/"), no},
		{to("http://metadata.example/"), no},
		{to("file:///etc/passwd"), no},
		{to("ftp://inside.example/"), no},
		{to("http://nosuch.example/"), no},
		{to(to(to(to(to(good))))), broken},
		{"http://inside.example" + port + "/nothing", broken[:len(broken)-1] + ": the server answered with status 404."},
		{"http://inside.example" + port + "/part", broken[:len(broken)-1] + ": the server answered with status 206."},
		{"http://inside.example:1/", broken},
		{"%", no},
	} {
		_, _, err := fetch(t, f, test.uri)
		refusal, ok := errors.AsType[*glance.Refusal](err)
		if !ok || refusal.Message != test.want || !errors.Is(err, glance.ErrInvalid) {
			t.Errorf("Fetch(%s): %v; want %s", test.uri, err, test.want)
		}
	}
	if _, _, err := fetch(t, f, "http://inside.example"+port+"/short"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Fetch of data that ends early: %v", err)
	}
}

// A name that changes its address after it was judged leads nowhere else.
func TestRebinding(t *testing.T) {
	secret := trap(t)
	port := secret.URL[strings.LastIndexByte(secret.URL, ':'):]
	f := made(t, Options{Resolver: resolver(), Connect: 50 * time.Millisecond})
	if _, _, err := fetch(t, f, "http://rebind.example"+port+"/"); err == nil {
		t.Error("Fetch from an address where nobody is succeeds")
	}
	// Judged once more it means this machine.
	if _, _, err := fetch(t, f, "http://rebind.example"+port+"/"); err == nil {
		t.Error("Fetch from this machine succeeds")
	}

	n := resolver()
	d := &download{f: made(t, Options{Resolver: n}), pins: make(map[string][]netip.Addr)}
	u, _ := url.Parse("http://rebind.example/")
	for range 3 { // as redirects to the same host do
		if err := d.pin(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(d.pins); got != "map[rebind.example:80:[192.0.2.1]]" || n.asked != 1 {
		t.Errorf("pinned is %s after %d questions; want the first address, asked for once", got, n.asked)
	}
	if _, err := d.dial(t.Context(), "tcp", "other.example:80"); err == nil {
		t.Error("dial connects to a host that was not judged")
	}
}

// The certificate is that of the name, though the connection goes to an
// address.
func TestHTTPS(t *testing.T) {
	var asked string
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.TLS.ServerName + " " + r.Host
		io.WriteString(w, "abcd")
	}))
	srv.StartTLS()
	defer srv.Close()
	port := srv.URL[strings.LastIndexByte(srv.URL, ':'):]
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	n := resolver()
	n.of["example.com"] = []string{"127.0.0.1"}
	f := made(t, Options{AllowedHosts: []string{"example.com", "inside.example"}, Resolver: n, Roots: &tls.Config{RootCAs: roots}})
	if data, _, err := fetch(t, f, "https://example.com"+port+"/"); data != "abcd" || err != nil || asked != "example.com example.com"+port {
		t.Errorf("Fetch = %q, %v; the server was asked as %s", data, err, asked)
	}
	if _, _, err := fetch(t, f, "https://inside.example"+port+"/"); err == nil {
		t.Error("Fetch believes a certificate of another name")
	}
	f = made(t, Options{AllowedHosts: []string{"example.com"}, Resolver: n})
	if _, _, err := fetch(t, f, "https://example.com"+port+"/"); err == nil {
		t.Error("Fetch believes a certificate of nobody")
	}
}

// A server that says nothing for too long is given up, whether it has begun
// or not.
func TestTimeLimits(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stall":
			io.WriteString(w, "ab")
			w.(http.Flusher).Flush()
			<-hang
		case "/silent":
			<-hang
		case "/drip":
			for range 1000 {
				io.WriteString(w, "x")
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		}
	}))
	defer srv.Close()
	defer close(hang)
	f := made(t, Options{
		AllowedHosts: []string{"127.0.0.1"}, Connect: 200 * time.Millisecond, Stall: 200 * time.Millisecond, Total: 500 * time.Millisecond,
	})
	for path, want := range map[string]string{"/stall": "ab", "/silent": "", "/drip": "x"} {
		begin := time.Now()
		rc, _, err := f.Fetch(t.Context(), srv.URL+path)
		var data []byte
		if err == nil {
			data, err = io.ReadAll(rc)
			rc.Close()
		}
		if err == nil || !strings.HasPrefix(string(data), want) || time.Since(begin) > 5*time.Second {
			t.Errorf("%s: %q, %v after %v; want it given up", path, data, err, time.Since(begin))
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, uri := range []string{"http://good.example/", "http://0x7f.1/", "http://[::ffff:7f00:1]/", "http://127.0.0.1.:80/", "http://2002:7f00:1::/"} {
		f.Add(uri)
	}
	fetcher := made(f, Options{Resolver: resolver()})
	f.Fuzz(func(t *testing.T, uri string) {
		u, err := url.Parse(uri)
		if err != nil {
			return
		}
		addrs, err := fetcher.judge(t.Context(), u)
		if err != nil {
			return
		}
		for _, addr := range addrs {
			if near(addr) || addr.Is4In6() {
				t.Errorf("judge(%q) allows %s", uri, addr)
			}
		}
	})
}

// A token goes to the machine that the URI names, and to no other that it
// leads to.
func TestTokenStaysHome(t *testing.T) {
	var mu sync.Mutex
	got := make(map[string]string)
	handler := func(name string, to func() string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			got[name+r.URL.Path] = r.Header.Get("X-Auth-Token") + r.Header.Get("Accept")
			mu.Unlock()
			if r.URL.Path == "/end" {
				return
			}
			http.Redirect(w, r, to()+"/end", http.StatusFound)
		})
	}
	other := httptest.NewServer(handler("other", nil))
	defer other.Close()
	where := other.URL
	srv := httptest.NewServer(handler("home", func() string { return where }))
	defer srv.Close()
	f := open(t, "127.0.0.1", "localhost", "inside.example")
	port := srv.URL[strings.LastIndexByte(srv.URL, ':'):]
	header := http.Header{"X-Auth-Token": {"secret"}, "Accept": {"all"}}
	for _, to := range []string{other.URL, "http://inside.example" + port, srv.URL} {
		where = to
		resp, err := f.Do(t.Context(), http.MethodGet, srv.URL+"/begin", header)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want := "all"
		name := "home"
		if to == other.URL {
			name = "other"
		}
		if to == srv.URL {
			want = "secretall"
		}
		mu.Lock()
		if got["home/begin"] != "secretall" || got[name+"/end"] != want {
			t.Errorf("on the way to %s the headers are %q", to, got)
		}
		clear(got)
		mu.Unlock()
	}
}

func TestProxies(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			http.Error(w, "no tunnel", http.StatusTeapot)
			return
		}
		fmt.Fprintf(w, "%s for %s", r.Method, r.URL)
	}))
	defer proxy.Close()
	at := strings.TrimPrefix(proxy.URL, "http://")
	f := made(t, Options{Proxies: map[string]string{"http": at, "https": at}, Resolver: resolver()})
	if data, _, err := fetch(t, f, "http://good.example/x"); data != "GET for http://good.example/x" || err != nil {
		t.Errorf("Fetch by a proxy = %q, %v", data, err)
	}
	if _, _, err := fetch(t, f, "https://good.example/x"); err == nil {
		t.Error("Fetch by a proxy that refuses succeeds")
	}
	// The proxy is trusted, where it is to go is not.
	for _, uri := range []string{"http://inside.example/", "http://127.0.0.1/", proxy.URL, "http://169.254.169.254/"} {
		if _, err := f.Do(t.Context(), http.MethodGet, uri, nil); !errors.Is(err, glance.ErrInvalid) {
			t.Errorf("Do(%s) by a proxy: %v; want %v", uri, err, glance.ErrInvalid)
		}
	}
	for scheme, at := range map[string]string{"ftp": "x:1", "http": "", "https": "socks5://x:1"} {
		if _, err := New(Options{Proxies: map[string]string{scheme: at}}); err == nil {
			t.Errorf("New with proxy %s:%s succeeds", scheme, at)
		}
	}
}
