package swiftstore

import (
	"net/http"
	"time"

	"github.com/ncw/swift/v2"
)

// A transport sends the requests of a connection. It knows where those are to
// go that the connection does not know the address for: several that begin
// while nobody is logged in all see no address, one of them logs in, and the
// others go on without one.
type transport struct {
	*http.Transport
	conn *swift.Connection
}

func newTransport(conn *swift.Connection) *transport {
	return &transport{&http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		MaxIdleConnsPerHost:   512,
		ExpectContinueTimeout: 5 * time.Second,
	}, conn}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "" {
		return t.Transport.RoundTrip(r)
	}
	address, err := t.conn.GetStorageUrl(r.Context())
	if err != nil {
		return nil, err
	}
	whole, err := r.URL.Parse(address)
	if err != nil {
		return nil, err
	}
	whole.Path += r.URL.Path
	whole.RawQuery = r.URL.RawQuery
	out := r.Clone(r.Context())
	out.URL, out.Host = whole, ""
	return t.Transport.RoundTrip(out)
}
