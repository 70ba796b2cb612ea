package storetest

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"glancectl/service/glance"
)

// RunStaging tests what the staging areas that open returns, an empty one each
// time, can do besides what Run tests.
func RunStaging(t *testing.T, open func(t *testing.T) glance.Staging) {
	s := open(t)
	const a, b = glance.ID("00000000-0000-4000-8000-00000000000a"), glance.ID("00000000-0000-4000-8000-00000000000b")
	holds := func(want ...glance.ID) {
		t.Helper()
		whole, parts, err := s.Held(t.Context())
		slices.Sort(whole)
		if diff := cmp.Diff(want, whole, cmpopts.EquateEmpty()); diff != "" || len(parts) != 0 || err != nil {
			t.Errorf("Held = %v, %v, %v; want %v and no parts", whole, parts, err, want)
		}
	}
	holds()
	for _, id := range []glance.ID{a, b} {
		url, _, err := s.Put(t.Context(), id, strings.NewReader("data of "+string(id)))
		if err != nil {
			t.Fatal(err)
		}
		if url != s.URL(id) {
			t.Errorf("Put returns %s, URL %s", url, s.URL(id))
		}
	}
	holds(a, b)
	rc, err := s.Open(t.Context(), s.URL(a), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	for range 2 { // the second time there is nothing
		if err := s.Discard(t.Context(), a); err != nil {
			t.Errorf("Discard: %v", err)
		}
		holds(b)
	}
	if data, err := io.ReadAll(rc); string(data) != "data of "+string(a) || err != nil {
		t.Errorf("a reader from before Discard yields %q, %v", data, err)
	}
	if _, _, err := s.Put(t.Context(), a, strings.NewReader("again")); err != nil {
		t.Errorf("Put after Discard: %v", err)
	}
	holds(a, b)
}
