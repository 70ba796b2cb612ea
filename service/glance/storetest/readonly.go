package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"glancectl/service/glance"
)

// A Place puts data where a store finds it and returns its URL there.
type Place func(id glance.ID, data []byte) (url string)

// RunReadOnly tests the stores that open returns, which take no data: what is
// in them was put there by another way, and what they are told to delete stays.
func RunReadOnly(t *testing.T, open func(t *testing.T) (glance.Store, Place)) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, glance.Store)
	}{
		{"whole", whole},
		{"ranges", ranges},
		{"empty", readEmpty},
		{"not found", readMissing},
		{"foreign locations", readForeign},
		{"takes nothing", takesNothing},
		{"removes nothing", removesNothing},
		{"side by side", readSideBySide},
		{"size", sizes},
	} {
		t.Run(test.name, func(t *testing.T) {
			store, place := open(t)
			test.run(t, &filled{store, place})
		})
	}
}

// A filled store takes data by another way than its own.
type filled struct {
	glance.Store
	place Place
}

// Put implements glance.Store.
func (f *filled) Put(_ context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	return f.place(id, data), int64(len(data)), nil
}

func readEmpty(t *testing.T, s glance.Store) {
	if got := get(t, s, put(t, s, id, nil), 0, -1); len(got) != 0 {
		t.Errorf("an empty image holds %d bytes", len(got))
	}
}

func readMissing(t *testing.T, s glance.Store) {
	url := strings.Replace(put(t, s, id, data(100)), string(id), string(other), 1)
	for _, n := range []int64{-1, 0, 7} {
		if _, err := s.Open(t.Context(), url, 0, n); !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("Open of %d bytes of an unknown image: %v; want %v", n, err, glance.ErrNotFound)
		}
	}
}

func readForeign(t *testing.T, s glance.Store) {
	for _, bad := range foreignLocations(s, put(t, s, id, data(100))) {
		r, err := s.Open(t.Context(), bad, 0, -1)
		if !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("Open(%q): %v; want %v", bad, err, glance.ErrNotFound)
		}
		if err == nil {
			r.Close()
		}
	}
}

func takesNothing(t *testing.T, s glance.Store) {
	r := strings.NewReader("data")
	url, n, err := s.(*filled).Store.Put(t.Context(), id, r)
	if _, ok := errors.AsType[*glance.Refusal](err); !ok || url != "" || n != 0 || r.Len() != 4 {
		t.Errorf("Put = %q, %d, %v and leaves %d of 4 bytes; want a refusal and nothing read", url, n, err, r.Len())
	}
}

func removesNothing(t *testing.T, s glance.Store) {
	url := put(t, s, id, data(100))
	for _, u := range []string{url, strings.Replace(url, string(id), string(other), 1)} {
		if err := s.Delete(t.Context(), u); err != nil {
			t.Errorf("Delete(%s): %v", u, err)
		}
	}
	if got := get(t, s, url, 0, -1); !bytes.Equal(got, data(100)) {
		t.Error("Delete changed the image")
	}
}

func readSideBySide(t *testing.T, s glance.Store) {
	var wg sync.WaitGroup
	for i := range 10 {
		want := data(100_000 + i)
		url := put(t, s, glance.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)), want)
		wg.Go(func() {
			r, err := s.Open(t.Context(), url, 0, -1)
			if err != nil {
				t.Errorf("Open(%s): %v", url, err)
				return
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s holds %d bytes, %v; want its own %d", url, len(got), err, len(want))
			}
		})
	}
	wg.Wait()
}

func sizes(t *testing.T, s glance.Store) {
	sizer, ok := s.(*filled).Store.(glance.Sizer)
	if !ok {
		t.Fatalf("%T cannot tell sizes", s.(*filled).Store)
	}
	for _, want := range []int{0, 1, 1 << 20} {
		url := put(t, s, id, data(want))
		if n, err := sizer.Size(t.Context(), url); n != int64(want) || err != nil {
			t.Errorf("Size of %d bytes = %d, %v", want, n, err)
		}
		if _, err := sizer.Size(t.Context(), strings.Replace(url, string(id), string(other), 1)); !errors.Is(err, glance.ErrNotFound) {
			t.Errorf("Size of an unknown image: %v; want %v", err, glance.ErrNotFound)
		}
	}
}
