package webdownload

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// parseProxy reads the address of a proxy: HOST:PORT, or a URL with or without
// a port.
func parseProxy(at string) (*url.URL, error) {
	if !strings.Contains(at, "://") {
		at = "http://" + at
	}
	u, err := url.Parse(at)
	if err != nil || ports[u.Scheme] == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, errors.New("not the address of a proxy")
	}
	return u, nil
}

// proxy returns the proxy for a request, nil if it goes to its host itself.
// What the environment of the process says counts for nothing.
func (f *Fetcher) proxy(r *http.Request) (*url.URL, error) { return f.proxies[r.URL.Scheme], nil }

// isProxy says whether at, a host and a port, is where a proxy is.
func (f *Fetcher) isProxy(at string) bool {
	for _, p := range f.proxies {
		if net.JoinHostPort(p.Hostname(), portOf(p)) == at {
			return true
		}
	}
	return false
}
