// Package webdownload gets image data from other machines by HTTP, for people
// who are not trusted: a [glance.Fetcher] that cannot be made to ask what only
// this machine can reach.
//
// The service opens one for imports and one for the http store. A URI is judged
// by its scheme, host and port and by the addresses that the host has; the
// connection then goes to an address that was judged, whatever the name means
// by then, and the same holds for every redirect. The package knows nothing of
// images.
package webdownload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"glancectl/service/glance"
)

// Options are the settings of New. The zero value allows http and https on any
// port of any host but those that are never allowed without being named.
type Options struct {
	AllowedSchemes, DisallowedSchemes []string
	// AllowedHosts are the only ones that are asked, unless there are none. A
	// host is named as in the URI, or by its address. Only here can an address
	// of this machine or of its link be allowed.
	AllowedHosts, DisallowedHosts []string
	AllowedPorts, DisallowedPorts []int

	Resolver Resolver    // nil means that of the system
	Dial     Dial        // nil means that of a net.Dialer
	Roots    *tls.Config // trust for https; nil means that of the system
	// Proxies are asked in place of the hosts themselves, by the scheme of the
	// URI: HOST:PORT, or a URL. A host is judged all the same, but it is the
	// proxy that finds its address then.
	Proxies   map[string]string
	Connect   time.Duration // how long a connection may take to come about, and the head of an answer after it; 0 means 30 seconds
	Stall     time.Duration // how long the data may pause; 0 means a minute
	Total     time.Duration // how long all may take; 0 means 24 hours
	Redirects int           // how many are followed; 0 means 5
	Log       *slog.Logger  // is told why something fails; nil means nobody is
}

// A Dial connects to an address and a port.
type Dial func(ctx context.Context, network, at string) (net.Conn, error)

// A Resolver finds the addresses of a host.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A Fetcher is a glance.Fetcher. Its methods may be called from several
// goroutines at once.
type Fetcher struct {
	o       Options
	proxies map[string]*url.URL
}

var _ glance.Fetcher = (*Fetcher)(nil)

// New returns a fetcher. It is an error if a proxy is none.
func New(o Options) (*Fetcher, error) {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Connect == 0 {
		o.Connect = 30 * time.Second
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: o.Connect}).DialContext
	}
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	if o.Total == 0 {
		o.Total = 24 * time.Hour
	}
	if o.Redirects == 0 {
		o.Redirects = 5
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Fetcher{o: o, proxies: make(map[string]*url.URL)}
	for scheme, at := range o.Proxies {
		proxy, err := parseProxy(at)
		if _, known := ports[scheme]; !known || err != nil {
			return nil, fmt.Errorf("proxy %s:%s: want a scheme of http or https and an address of a proxy", scheme, at)
		}
		f.proxies[scheme] = proxy
	}
	return f, nil
}

// Check implements glance.Fetcher. It resolves the host but connects to
// nothing.
func (f *Fetcher) Check(ctx context.Context, uri string) error {
	u, err := url.Parse(uri)
	if err != nil {
		return errors.New("not a URI")
	}
	_, err = f.judge(ctx, u)
	return err
}

// Fetch implements glance.Fetcher.
func (f *Fetcher) Fetch(ctx context.Context, uri string) (io.ReadCloser, int64, error) {
	resp, err := f.Do(ctx, http.MethodGet, uri, nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = status(resp.StatusCode)
		resp.Body.Close()
	}
	if err != nil {
		return nil, 0, f.explain(ctx, err)
	}
	return resp.Body, resp.ContentLength, nil
}

// Do sends a request without a body to a URI, if it may be fetched, and
// follows redirects that may be followed. The header may be nil; a token in it
// goes nowhere but to the machine that the URI names. The answer is returned
// whatever its status is, and reading its body fails when nothing comes for too
// long. The caller closes the body. The error is a glance.ErrInvalid if the URI
// may not be fetched, else a glance.ErrUnavailable; it does not hold the URI.
func (f *Fetcher) Do(ctx context.Context, method, uri string, header http.Header) (*http.Response, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URI", glance.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, f.o.Total)
	d := &download{f: f, pins: make(map[string][]netip.Addr)}
	end := func() { cancel(); d.close() }
	resp, err := d.do(ctx, method, u, header)
	if err != nil {
		end()
		err = withoutURL(err)
		kind := glance.ErrUnavailable
		if _, ok := errors.AsType[*refusal](err); ok {
			kind = glance.ErrInvalid
		}
		return nil, fmt.Errorf("%w: host %q: %w", kind, u.Host, err)
	}
	body := &body{rc: resp.Body, stall: f.o.Stall, close: end}
	body.watch = time.AfterFunc(f.o.Stall, cancel)
	body.watch.Stop() // it runs only while somebody waits for data
	resp.Body = body
	return resp, nil
}

func filtered() error {
	return &glance.Refusal{Kind: glance.ErrInvalid, Message: "URI for web-download does not pass filtering."}
}

// A status is an answer that is no data.
type status int

func (s status) Error() string { return fmt.Sprintf("answered with status %d", int(s)) }

// explain returns what the person who gave the URI is told. What the network
// around this machine looks like is none of it.
func (f *Fetcher) explain(ctx context.Context, err error) error {
	f.o.Log.InfoContext(ctx, "a download failed", "error", err)
	if errors.Is(err, glance.ErrInvalid) {
		return filtered()
	}
	text := "The data could not be downloaded."
	if s, ok := errors.AsType[status](err); ok {
		text = fmt.Sprintf("The data could not be downloaded: the server %s.", s)
	}
	return &glance.Refusal{Kind: glance.ErrInvalid, Message: text}
}

// withoutURL takes the URL off an error: it may hold a password.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// A download is one Fetch, with the addresses that its hosts have for as long
// as it lasts.
type download struct {
	f         *Fetcher
	transport *http.Transport

	mu   sync.Mutex
	pins map[string][]netip.Addr // by host and port, as they are dialled
}

func (d *download) do(ctx context.Context, method string, u *url.URL, header http.Header) (*http.Response, error) {
	if err := d.pin(ctx, u); err != nil {
		return nil, err
	}
	d.transport = &http.Transport{
		Proxy:                 d.f.proxy,
		DialContext:           d.dial,
		TLSClientConfig:       d.f.o.Roots.Clone(),
		TLSHandshakeTimeout:   d.f.o.Connect,
		ResponseHeaderTimeout: d.f.o.Connect,
		DisableCompression:    true, // the data is wanted as it is
		DisableKeepAlives:     true,
	}
	client := &http.Client{Transport: d.transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > d.f.o.Redirects {
			return errors.New("too many redirects")
		}
		r.Header.Del("Referer")
		if !sameOrigin(r.URL, u) {
			r.Header.Del(tokenHeader)
		}
		return d.pin(ctx, r.URL)
	}}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", "glance")
	return client.Do(r)
}

// tokenHeader carries what lets its bearer pass for somebody.
const tokenHeader = "X-Auth-Token"

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && canonical(a.Hostname()) == canonical(b.Hostname()) && portOf(a) == portOf(b)
}

// pin judges a URL and keeps the addresses it is judged by. A host that was
// judged before keeps those it had.
func (d *download) pin(ctx context.Context, u *url.URL) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := net.JoinHostPort(u.Hostname(), portOf(u))
	if d.pins[at] != nil {
		return d.f.allowURL(u)
	}
	addrs, err := d.f.judge(ctx, u)
	if err == nil {
		d.pins[at] = addrs
	}
	return err
}

// dial connects to an address that was judged, and to no other.
func (d *download) dial(ctx context.Context, network, at string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	addrs := d.pins[net.JoinHostPort(host, port)]
	d.mu.Unlock()
	if addrs == nil && d.f.isProxy(at) {
		return d.f.o.Dial(ctx, network, at)
	}
	err = refuse("host %q was not judged", host)
	for _, addr := range addrs {
		var c net.Conn
		if c, err = d.f.o.Dial(ctx, network, net.JoinHostPort(addr.String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func (d *download) close() {
	if d.transport != nil {
		d.transport.CloseIdleConnections()
	}
}

// A body is data that must not pause for too long.
type body struct {
	rc    io.ReadCloser
	stall time.Duration
	watch *time.Timer // ends the download
	close func()
}

func (b *body) Read(p []byte) (int, error) {
	b.watch.Reset(b.stall)
	defer b.watch.Stop()
	return b.rc.Read(p)
}

func (b *body) Close() error {
	b.watch.Stop()
	defer b.close()
	return b.rc.Close()
}
