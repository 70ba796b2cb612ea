package apiv2

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"glancectl/service/glance"
)

// site is a store of what is at good.example: four bytes wherever one looks,
// but for what is called nothing.
type site struct{}

func (site) Scheme() string       { return "http" }
func (site) Owns(url string) bool { return strings.HasPrefix(url, "http") }

func (site) Put(context.Context, glance.ID, io.Reader) (string, int64, error) {
	return "", 0, glance.ErrStoreReadOnly
}

func (site) Open(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(strings.NewReader("abcd"), off, max(n, 4))), nil
}

func (site) Delete(context.Context, string) error { return nil }

func (site) Size(_ context.Context, url string) (int64, error) {
	if strings.HasSuffix(url, "nothing") {
		return 0, glance.ErrNotFound
	}
	return 4, nil
}

func (site) Check(_ context.Context, uri string) error {
	if !strings.Contains(uri, "good.example") {
		return errors.New("not allowed")
	}
	return nil
}

// Locations are seen and changed only where the service is told so.
func TestLocationExchanges(t *testing.T) {
	playAll(t, "testdata/locations/*.txtar", func(t *testing.T) http.Handler {
		l := glance.LocationOptions{Shown: true, Quota: 3, Filter: site{}}
		return newServiceWith(t, Options{ShowDirectURL: true}, l, glance.Backend{Store: site{}}).handler()
	})
}
