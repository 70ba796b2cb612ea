package filestore

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/glance/storetest"
)

func TestStaging(t *testing.T) {
	storetest.RunStaging(t, func(t *testing.T) glance.Staging {
		s, err := Open(t.TempDir(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// What a process that died has left is found by the image it was for, and
// removed without the rest.
func TestParts(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const a, b = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
	for _, name := range []string{".part-" + a + "-1", ".part-" + a + "-22", ".part-" + b + "-1", ".part-x-1", ".part-", ".lock", "notes", b} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole, parts, err := s.Held(t.Context())
	if !slices.Equal(whole, []glance.ID{b}) || !slices.Equal(parts, []glance.ID{a, a, b}) || err != nil {
		t.Errorf("Held = %v, %v, %v; want b whole and parts of a, a, b", whole, parts, err)
	}
	if err := s.Discard(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if _, parts, _ := s.Held(t.Context()); !slices.Equal(parts, []glance.ID{b}) {
		t.Errorf("after Discard(a) there are parts of %v; want b", parts)
	}
	if err := s.Discard(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 4 {
		t.Errorf("Discard left %v, %v; want what belongs to no image", left, err)
	}
}

// A Put whose data is discarded under it does not come back.
func TestDiscardUnderway(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	const a = "00000000-0000-4000-8000-00000000000a"
	r := io.MultiReader(strings.NewReader("first"), discarder{t, s, a}, strings.NewReader("second"))
	if _, _, err := s.Put(t.Context(), a, r); err == nil {
		t.Error("Put succeeds although its data was discarded")
	}
	if whole, parts, _ := s.Held(t.Context()); len(whole)+len(parts) > 0 {
		t.Errorf("there is data of %v, %v; want none", whole, parts)
	}
}

// A discarder is an empty reader that discards the data of an image.
type discarder struct {
	t  *testing.T
	s  *Store
	id glance.ID
}

func (d discarder) Read([]byte) (int, error) {
	if err := d.s.Discard(d.t.Context(), d.id); err != nil {
		d.t.Error(err)
	}
	return 0, io.EOF
}
