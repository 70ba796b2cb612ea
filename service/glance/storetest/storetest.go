// Package storetest is the suite that every [glance.Store] passes, and every
// wrapper around one.
//
// The tests of a store call [Run] with a way to make an empty store. The suite
// knows the contract in package glance and nothing of any storage product.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"glancectl/service/glance"
)

// Two images that the tests store.
const (
	id    glance.ID = "71c675ab-d94f-49cd-a114-e12490b328d9"
	other glance.ID = "b2173dd3-7ad6-4362-baa6-a68bce3565cb"
)

// Run tests the stores that open returns, an empty one each time.
func Run(t *testing.T, open func(t *testing.T) glance.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, glance.Store)
	}{
		{"whole", whole},
		{"empty", empty},
		{"ranges", ranges},
		{"exists", exists},
		{"reader fails", readerFails},
		{"reader is cut off", cutOff},
		{"context ends before", contextEnded},
		{"context ends during", contextEnds},
		{"one of many wins", oneWins},
		{"delete", remove},
		{"not found", notFound},
		{"foreign locations", foreign},
		{"hostile IDs", hostileIDs},
		{"side by side", sideBySide},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// data returns n bytes that tell their place.
func data(n int) []byte {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = fmt.Appendf(b, "%08x", len(b))
	}
	return b[:n]
}

func put(t *testing.T, s glance.Store, id glance.ID, want []byte) string {
	t.Helper()
	// One byte short of a buffer's end here and there: as a network yields it.
	url, n, err := s.Put(t.Context(), id, iotest.HalfReader(bytes.NewReader(want)))
	if err != nil || n != int64(len(want)) {
		t.Fatalf("Put(%s) = %d bytes, %v; want %d bytes", id, n, err, len(want))
	}
	if !strings.HasPrefix(url, s.Scheme()+"://") {
		t.Errorf("Put(%s) = %s; want a URL with scheme %s", id, url, s.Scheme())
	}
	return url
}

func get(t *testing.T, s glance.Store, url string, off, n int64) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), url, off, n)
	if err != nil {
		t.Fatalf("Open(%s, %d, %d): %v", url, off, n, err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("reading %d bytes from %d of %s: %v", n, off, url, err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing %s: %v", url, err)
	}
	return got
}

// absent checks that the store has nothing of the image: it can be stored.
func absent(t *testing.T, s glance.Store) {
	t.Helper()
	want := []byte("after all")
	url := put(t, s, id, want)
	if got := get(t, s, url, 0, -1); !bytes.Equal(got, want) {
		t.Errorf("image holds %q after a Put that failed and one that did not; want %q", got, want)
	}
}

func whole(t *testing.T, s glance.Store) {
	want := data(3<<20 + 17)
	url := put(t, s, id, want)
	if got := get(t, s, url, 0, -1); !bytes.Equal(got, want) {
		t.Errorf("read %d bytes back; want the %d that were put", len(got), len(want))
	}
	r, err := s.Open(t.Context(), url, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// A copy may take another way than reads do.
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Error(err)
	}
	if sum := sha256.Sum256(want); !bytes.Equal(h.Sum(nil), sum[:]) {
		t.Error("a copy differs from what was put")
	}
}

func empty(t *testing.T, s glance.Store) {
	url := put(t, s, id, nil)
	if got := get(t, s, url, 0, -1); len(got) != 0 {
		t.Errorf("an empty image holds %d bytes", len(got))
	}
	if err := s.Delete(t.Context(), url); err != nil {
		t.Errorf("Delete of an empty image: %v", err)
	}
}

func ranges(t *testing.T, s glance.Store) {
	want := data(1 << 20)
	url := put(t, s, id, want)
	for _, test := range []struct{ off, n int64 }{
		{0, 1},
		{0, 1 << 20},
		{1<<20 - 1, 1},
		{1<<20 - 1, -1},
		{7, -1},
		{256<<10 - 3, 6},
		{100, 256 << 10},
		{300 << 10, 512 << 10},
		{5, 0},
		{1 << 20, -1},
		{1 << 20, 7},
		{1<<20 - 3, 7},
	} {
		end := int64(len(want))
		if test.n >= 0 {
			end = min(end, test.off+test.n)
		}
		if got := get(t, s, url, test.off, test.n); !bytes.Equal(got, want[test.off:end]) {
			t.Errorf("Open(%d, %d) yields %d bytes that are not the %d there", test.off, test.n, len(got), end-test.off)
		}
	}
}

func exists(t *testing.T, s glance.Store) {
	want := []byte("the first")
	url := put(t, s, id, want)
	if _, _, err := s.Put(t.Context(), id, strings.NewReader("the second")); !errors.Is(err, glance.ErrExists) {
		t.Errorf("Put of an image that is there: %v; want %v", err, glance.ErrExists)
	}
	if got := get(t, s, url, 0, -1); !bytes.Equal(got, want) {
		t.Errorf("image holds %q after a refused Put; want %q", got, want)
	}
}

var errBroken = errors.New("broken reader")

func readerFails(t *testing.T, s glance.Store) {
	for _, n := range []int{0, 1, 2 << 20} {
		r := io.MultiReader(bytes.NewReader(data(n)), iotest.ErrReader(errBroken))
		if _, _, err := s.Put(t.Context(), id, r); !errors.Is(err, errBroken) {
			t.Errorf("Put of a reader that fails after %d bytes: %v; want %v", n, err, errBroken)
		}
	}
	absent(t, s)
}

// cutOff uses the error of a request body that ends before its time, which
// many a loop takes for the end.
func cutOff(t *testing.T, s glance.Store) {
	r := io.MultiReader(bytes.NewReader(data(1000)), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, _, err := s.Put(t.Context(), id, r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Put of a reader that is cut off: %v; want %v", err, io.ErrUnexpectedEOF)
	}
	absent(t, s)
}

func contextEnded(t *testing.T, s glance.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Put(ctx, id, bytes.NewReader(data(10))); !errors.Is(err, context.Canceled) {
		t.Errorf("Put after the end of its context: %v; want %v", err, context.Canceled)
	}
	absent(t, s)
}

// An endless reader calls after a while what it was given.
type endless struct {
	left int
	then func()
}

func (r *endless) Read(b []byte) (int, error) {
	clear(b)
	if r.left -= len(b); r.left < 0 {
		r.then()
	}
	return len(b), nil
}

func contextEnds(t *testing.T, s glance.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, _, err := s.Put(ctx, id, &endless{left: 3 << 20, then: cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put whose context ends: %v; want %v", err, context.Canceled)
	}
	absent(t, s)
}

func oneWins(t *testing.T, s glance.Store) {
	const n = 8
	var wg sync.WaitGroup
	var mu sync.Mutex
	var urls []string
	for i := range n {
		wg.Go(func() {
			url, _, err := s.Put(t.Context(), id, bytes.NewReader(bytes.Repeat([]byte{byte('a' + i)}, 1<<20)))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				urls = append(urls, url)
			case !errors.Is(err, glance.ErrExists):
				t.Errorf("Put beside others: %v; want %v", err, glance.ErrExists)
			}
		})
	}
	wg.Wait()
	if len(urls) != 1 {
		t.Fatalf("%d of %d Puts of one image succeed; want 1", len(urls), n)
	}
	got := get(t, s, urls[0], 0, -1)
	if len(got) != 1<<20 || len(bytes.Trim(got, string(got[:1]))) != 0 {
		t.Error("the data is not that of one Put alone")
	}
}

func remove(t *testing.T, s glance.Store) {
	url := put(t, s, id, data(100))
	kept := put(t, s, other, data(200))
	if err := s.Delete(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), url); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("second Delete: %v; want %v", err, glance.ErrNotFound)
	}
	if _, err := s.Open(t.Context(), url, 0, -1); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("Open after Delete: %v; want %v", err, glance.ErrNotFound)
	}
	if got := get(t, s, kept, 0, -1); !bytes.Equal(got, data(200)) {
		t.Error("Delete of one image changed another")
	}
	absent(t, s)
}

func notFound(t *testing.T, s glance.Store) {
	url := strings.Replace(put(t, s, id, data(100)), string(id), string(other), 1)
	if _, err := s.Open(t.Context(), url, 0, -1); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("Open of an unknown image: %v; want %v", err, glance.ErrNotFound)
	}
	if err := s.Delete(t.Context(), url); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("Delete of an unknown image: %v; want %v", err, glance.ErrNotFound)
	}
}

// foreignLocations are some that another program, or an attacker, may have
// left in the catalog; url is the location of an image that is there.
func foreignLocations(s glance.Store, url string) []string {
	dir := strings.TrimSuffix(url, string(id))
	return []string{
		"",
		"x",
		string(id),
		"unknown://" + string(id),
		s.Scheme() + "://",
		s.Scheme() + ":///",
		s.Scheme() + ":///etc/passwd",
		s.Scheme() + "://%zz",
		dir,
		dir + ".",
		dir + "..",
		dir + "../" + string(id),
		dir + "%2e%2e/" + string(id),
		dir + "..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
		dir + "x/" + string(id),
		url + "/",
		url + "%00",
	}
}

func foreign(t *testing.T, s glance.Store) {
	url := put(t, s, id, data(100))
	owner, isOwner := s.(glance.Owner)
	if isOwner && !owner.Owns(url) {
		t.Errorf("Owns(%s) = false; it is what Put returned", url)
	}
	if foreign := "unknown://" + string(id); isOwner && owner.Owns(foreign) {
		t.Errorf("Owns(%s) = true", foreign)
	}
	for _, bad := range foreignLocations(s, url) {
		r, err := s.Open(t.Context(), bad, 0, -1)
		if !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("Open(%q): %v; want %v", bad, err, glance.ErrNotFound)
		}
		if err == nil {
			r.Close()
		}
		if err := s.Delete(t.Context(), bad); !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("Delete(%q): %v; want %v", bad, err, glance.ErrNotFound)
		}
	}
	if got := get(t, s, url, 0, -1); !bytes.Equal(got, data(100)) {
		t.Error("the image is not what it was")
	}
}

// hostileIDs checks that a store does not rely on the check of IDs above it.
func hostileIDs(t *testing.T, s glance.Store) {
	for _, bad := range []glance.ID{"", ".", "..", "../x", "/etc/passwd", "a/b", "a/../../b", "x\x00y", ".hidden"} {
		if url, _, err := s.Put(t.Context(), bad, strings.NewReader("x")); !errors.Is(err, glance.ErrInvalid) {
			t.Errorf("Put(%q) = %q, %v; want %v", bad, url, err, glance.ErrInvalid)
		}
	}
}

func sideBySide(t *testing.T, s glance.Store) {
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			id := glance.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
			want := data(100_000 + i)
			url, _, err := s.Put(t.Context(), id, bytes.NewReader(want))
			if err != nil {
				t.Errorf("Put(%s): %v", id, err)
				return
			}
			r, err := s.Open(t.Context(), url, 0, -1)
			if err != nil {
				t.Errorf("Open(%s): %v", url, err)
				return
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s holds %d bytes, %v; want its own %d", id, len(got), err, len(want))
			}
			if err := s.Delete(t.Context(), url); err != nil {
				t.Errorf("Delete(%s): %v", url, err)
			}
		})
	}
	wg.Wait()
}
