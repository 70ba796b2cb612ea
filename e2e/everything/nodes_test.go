package everything

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"glancectl/e2e/rig"
)

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// settles waits until an image is active.
func (s *site) settles(t *testing.T, id string) {
	t.Helper()
	rig.Eventually(t, "active image "+id, func() bool { return s.on(nodes[0]).status(t, id) == "active" })
}

// limits has quotas hold, for both versions.
func (s *site) limits(t *testing.T) {
	t.Helper()
	c := s.on(nodes[1])
	c.want(t, 413, "POST", "/v2/images", `{"name": "x"`+many(33, `, "p%d": "x"`)+`}`)
	var headers []string
	for i := range 33 {
		headers = append(headers, fmt.Sprint("X-Image-Meta-Property-P", i), "x")
	}
	c.want(t, 413, "POST", "/v1/images", "", append(headers, "X-Image-Meta-Name", "x")...)
	c.want(t, 413, "POST", "/v2/images", `{"name": "x", "tags": ["x"`+many(33, `, "t%d"`)+`]}`)
}

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// twoNodes have one catalog and one store: what came in through one is there
// through the other, and what is staged on one is imported through the other.
func twoNodes(t *testing.T, s *site) {
	one, two := s.on(nodes[0]), s.on(nodes[1])
	first, second := data(100_000), data(200_000)
	a, b := one.upload(t, "a", first), two.uploadV1(t, "b", second)
	two.download(t, a, first)
	one.download(t, b, second)
	if got := one.want(t, 200, "GET", "/v1/images/"+a, "").body; got != first {
		t.Error("version 1 gives other data")
	}
	list := two.want(t, 200, "GET", "/v2/images", "").body
	if !strings.Contains(list, a) || !strings.Contains(list, b) {
		t.Errorf("the list through %s is %s; want %s and %s", nodes[1], list, a, b)
	}

	c := one.create(t, "c")
	one.want(t, 204, "PUT", "/v2/images/"+c+"/stage", second)
	two.want(t, 202, "POST", "/v2/images/"+c+"/import", `{"method": {"name": "glance-direct"}}`)
	s.settles(t, c)
	two.download(t, c, second)
	for i, id := range []string{a, b, c} {
		s.on(nodes[i%2]).want(t, 204, "DELETE", "/v2/images/"+id, "")
		s.on(nodes[(i+1)%2]).want(t, 404, "GET", "/v2/images/"+id, "")
	}
}

// caches fills the cache of each node past its size and prunes it. What one
// does is nothing to the other.
func caches(t *testing.T, s *site) {
	const size = 1 << 20
	var all []string
	one, two := s.on(nodes[0]), s.on(nodes[1])
	for _, node := range nodes {
		s.adminOn(node).want(t, 204, "DELETE", "/v2/cache", "")
	}
	for i := range 12 {
		text := data(size)
		id := one.upload(t, fmt.Sprint("cached-", i), text)
		one.download(t, id, text)
		s.cachedSoon(t, nodes[0], id)
		all = append(all, id)
	}
	if got := s.cached(t, nodes[1]); len(got) != 0 {
		t.Errorf("%s has cached %v, and nobody has downloaded from there", nodes[1], got)
	}
	for _, id := range all[:10] {
		two.want(t, 200, "GET", "/v1/images/"+id, "")
		s.cachedSoon(t, nodes[1], id)
	}
	one.want(t, 200, "GET", "/v2/images/"+all[0]+"/file", "") // from the cache, which makes it the latest

	kept := append([]string{all[0]}, all[12-pruned/size+1:]...)
	s.prune(t, nodes[0], kept)
	if got := s.cached(t, nodes[1]); len(got) != 10 {
		t.Errorf("pruning %s has left %d of 10 images in the cache of %s", nodes[0], len(got), nodes[1])
	}
	s.prune(t, nodes[1], all[10-pruned/size:10])
	// Below its size a cache is left alone.
	s.prune(t, nodes[0], kept)

	tool := "OS_AUTH_TOKEN=" + s.admin + " glance-cache-manage -H " + s.Node(nodes[0]).Address + " "
	if got := s.On(t, nodes[0], tool+"list-cached"); strings.Count(got, "-4000-8000-") != len(kept) {
		t.Errorf("glance-cache-manage list-cached:\n%s\nwant %d images", got, len(kept))
	}
	// What is queued on one node is fetched by that one.
	s.On(t, nodes[1], strings.Replace(tool, s.Node(nodes[0]).Address, s.Node(nodes[1]).Address, 1)+"--force queue-image "+all[11])
	for _, node := range nodes {
		s.On(t, node, s.CronLine(t, node, "glance-prefetcher"))
	}
	if got := s.cached(t, nodes[1]); !slices.Contains(got, all[11]) {
		t.Errorf("the prefetcher of %s has fetched %v; want %s", nodes[1], got, all[11])
	}
	for _, id := range all {
		one.want(t, 204, "DELETE", "/v2/images/"+id, "")
	}
}

// prune runs the pruner of a node, which has to keep what is given.
func (s *site) prune(t *testing.T, node string, want []string) {
	t.Helper()
	s.On(t, node, s.CronLine(t, node, "glance-pruner"))
	got := s.cached(t, node)
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("the pruner of %s leaves %q; want %q", node, got, want)
	}
}

// cached returns the images in the cache of a node.
func (s *site) cached(t *testing.T, node string) []string {
	t.Helper()
	var list struct {
		Cached []struct {
			ID string `json:"image_id"`
		} `json:"cached_images"`
	}
	if err := json.Unmarshal([]byte(s.adminOn(node).want(t, 200, "GET", "/v1/cached_images", "").body), &list); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, im := range list.Cached {
		ids = append(ids, im.ID)
	}
	return ids
}

// cachedSoon waits for what a download has left in the cache.
func (s *site) cachedSoon(t *testing.T, node, id string) {
	t.Helper()
	rig.Eventually(t, id+" in the cache of "+node, func() bool { return slices.Contains(s.cached(t, node), id) })
}
