package filestore

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/glance/storetest"
)

// A store in several directories passes the suite, whichever of them is
// chosen.
func TestStoreInSeveralDirectories(t *testing.T) {
	storetest.Run(t, func(t *testing.T) glance.Store {
		dir := t.TempDir()
		s, err := OpenAll([]Dir{{filepath.Join(dir, "a"), 0}, {filepath.Join(dir, "b"), 0}, {filepath.Join(dir, "c"), 0}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.free = func(string) (uint64, error) { return rand.Uint64N(1 << 20), nil }
		return s
	})
}

func TestThinStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) glance.Store {
		s, err := Open(t.TempDir(), Options{Hole: 8})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// An object goes to the directory with the highest priority that has space.
func TestRoomiest(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		free map[string]uint64 // what is missing cannot be asked
		want string
		err  error
	}{
		{map[string]uint64{"low": 100, "high1": 1, "high2": 1}, "high1", nil},
		{map[string]uint64{"low": 100, "high1": 1, "high2": 2}, "high2", nil},
		{map[string]uint64{"low": 100, "high1": 0, "high2": 1}, "high2", nil},
		{map[string]uint64{"low": 100, "high1": 0, "high2": 0}, "low", nil},
		{map[string]uint64{"low": 100, "high2": 7}, "high2", nil},
		{map[string]uint64{"low": 1}, "low", nil},
		{map[string]uint64{"low": 0, "high1": 0, "high2": 0}, "", glance.ErrStoreFull},
		{map[string]uint64{"low": 0}, "", glance.ErrStoreFull},
		{nil, "", glance.ErrUnavailable},
	} {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		s, err := OpenAll([]Dir{{at("low"), 1}, {at("high1"), 200}, {at("high2"), 200}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.free = func(dir string) (uint64, error) {
			n, ok := test.free[filepath.Base(dir)]
			if !ok {
				return 0, broken
			}
			return n, nil
		}
		url, _, err := s.Put(t.Context(), id, strings.NewReader("data"))
		want := ""
		if test.want != "" {
			want = "file://" + at(test.want) + "/" + string(id)
		}
		if url != want || !errors.Is(err, test.err) {
			t.Errorf("with %v Put = %s, %v; want %s, %v", test.free, url, err, want, test.err)
		}
	}
}

// What one directory has is found there, also when new objects go elsewhere.
func TestObjectsInAllDirectories(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, path := range []string{a, b} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	const other glance.ID = "b2173dd3-7ad6-4362-baa6-a68bce3565cb"
	for _, f := range []string{filepath.Join(a, string(id)), filepath.Join(b, string(other))} {
		if err := os.WriteFile(f, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := OpenAll([]Dir{{Path: a, Priority: 1}, {Path: b}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b, partPrefix+string(id)+"-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Put(t.Context(), other, strings.NewReader("new")); !errors.Is(err, glance.ErrExists) {
		t.Errorf("Put of what the other directory has: %v; want %v", err, glance.ErrExists)
	}
	for url, want := range map[string]bool{
		"file://" + a + "/" + string(id): true, "file://" + b + "/" + string(other): true, "file://" + b + "/nothing": true,
		"file://" + dir + "/" + string(id): false, "http://x/" + string(id): false,
	} {
		if got := s.Owns(url); got != want {
			t.Errorf("Owns(%s) = %t; want %t", url, got, want)
		}
	}
	rc, err := s.Open(t.Context(), "file://"+b+"/"+string(other), 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); string(got) != "ld" || err != nil {
		t.Errorf("data is %q, %v", got, err)
	}
	whole, parts, err := s.Held(t.Context())
	if len(whole) != 2 || len(parts) != 1 || err != nil {
		t.Errorf("Held = %v, %v, %v; want both images and a part", whole, parts, err)
	}
	if err := s.Discard(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "file://"+b+"/"+string(other)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{a, b} {
		if entries, err := os.ReadDir(path); len(entries) != 0 || err != nil {
			t.Errorf("%s has %v, %v; want nothing", path, entries, err)
		}
	}
}

func TestHolesTakeNoSpace(t *testing.T) {
	s, err := Open(t.TempDir(), Options{Hole: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	const hole = 8 << 20
	want := append(bytes.Repeat([]byte("data"), 1000), make([]byte, hole)...)
	want = append(append(want, "middle"...), make([]byte, hole)...)
	url, n, err := s.Put(t.Context(), id, bytes.NewReader(want))
	if err != nil || n != int64(len(want)) {
		t.Fatalf("Put = %d, %v; want %d bytes", n, err, len(want))
	}
	rc, err := s.Open(t.Context(), url, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); !bytes.Equal(got, want) || err != nil {
		t.Errorf("read %d bytes back, %v; want the %d that were put", len(got), err, len(want))
	}
	var st syscall.Stat_t
	if err := syscall.Stat(strings.TrimPrefix(url, "file://"), &st); err != nil {
		t.Fatal(err)
	}
	if used := st.Blocks * 512; used > 1<<20 {
		t.Errorf("%d bytes, nearly all zeros, take %d on the disk", len(want), used)
	}
}

// Who may read the files can get to them.
func TestFileMode(t *testing.T) {
	for _, test := range []struct{ mode, file, dir os.FileMode }{
		{0, 0o640, 0o700}, {0o640, 0o640, 0o710}, {0o644, 0o644, 0o711}, {0o600, 0o600, 0o700}, {0o404, 0o404, 0o701},
	} {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Options{Mode: test.mode})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Put(t.Context(), id, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]os.FileMode{dir: test.dir, filepath.Join(dir, string(id)): test.file} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != want {
				t.Errorf("with mode %o, that of %s is %o; want %o", test.mode, path, got, want)
			}
		}
	}
}
