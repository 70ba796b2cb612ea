package swiftstore

import (
	"net/http"
	"sync"
	"testing"
)

// A request that began before anybody was logged in has no address. It goes
// where it belongs, and so do many at once.
func TestRequestsWithoutAddress(t *testing.T) {
	c := newCluster(t)
	if err := open(t, c.config()).conn.ContainerCreate(t.Context(), "images", nil); err != nil {
		t.Fatal(err)
	}
	s := open(t, c.config())
	client := &http.Client{Transport: s.conn.Transport}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/images?format=json", nil)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.conn.GetStorageUrl(t.Context()); err != nil { // the one who logs in
				t.Error(err)
			}
			r.Header.Set("X-Auth-Token", s.conn.AuthToken)
			resp, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("the list of the container is answered with %s", resp.Status)
			}
		})
	}
	all.Wait()
}
