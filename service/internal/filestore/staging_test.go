package filestore

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// What is made beside staged data counts as a part of it, and stays as long as
// its maker lives.
func TestTemp(t *testing.T) {
	s := open(t)
	url, _, err := s.Put(t.Context(), id, strings.NewReader("data"))
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.File(url)
	if data, rerr := os.ReadFile(path); string(data) != "data" || err != nil || rerr != nil {
		t.Errorf("File(%s) = %s, %v, which holds %q, %v", url, path, err, data, rerr)
	}
	if path, err := s.File("file:///etc/passwd"); err == nil {
		t.Errorf("File of what is elsewhere is %s", path)
	}
	f, err := s.Temp(id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if filepath.Dir(f.Name()) != filepath.Dir(path) {
		t.Errorf("Temp makes %s; want it beside %s", f.Name(), path)
	}
	if whole, parts, err := s.Held(t.Context()); len(whole) != 1 || len(parts) != 1 || parts[0] != id || err != nil {
		t.Errorf("Held = %v, %v, %v", whole, parts, err)
	}
	if _, err := Open(filepath.Dir(path), Options{Now: func() time.Time { return time.Now().Add(1000 * time.Hour) }}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.Name()); err != nil {
		t.Errorf("a file that is in use is cleared away: %v", err)
	}
	if err := s.Discard(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); len(entries) != 0 || err != nil {
		t.Errorf("Discard leaves %v, %v", entries, err)
	}
	for _, bad := range []glance.ID{"", "..", "a/b", ".x"} {
		if f, err := s.Temp(bad); err == nil {
			t.Errorf("Temp(%q) makes %s", bad, f.Name())
		}
	}
}
