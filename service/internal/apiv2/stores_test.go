package apiv2

import (
	"net/http"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
)

// TestStoreExchanges is TestExchanges for a service with several stores.
func TestStoreExchanges(t *testing.T) {
	playAll(t, "testdata/stores/*.txtar", func(t *testing.T) http.Handler {
		return newServiceOf(t, Options{}, glance.Options{}, namedStores()).handler()
	})
}

// namedStores are several stores, each empty.
func namedStores() []glance.Backend {
	details := []glance.Detail{{Name: "data_dir", Value: "/srv/1"}, {Name: "chunk_size", Value: int64(65536)}, {Name: "thin_provisioning", Value: false}}
	return []glance.Backend{
		{ID: "store1", Store: new(memory.Store), Kind: "file", Description: "First", Details: details},
		{ID: "store2", Store: new(memory.Store), Kind: "swift", Weight: 100},
		{ID: "web", Store: new(memory.Store), Kind: "http", ReadOnly: true},
	}
}
