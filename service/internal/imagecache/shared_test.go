package imagecache

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"

	"glancectl/service/glance"
)

// Many clients want one image that is not there yet: all get it, and the disk
// has to take it once.
func TestConcurrentDownloads(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 2_000_000)
	var mu sync.Mutex
	most := 0
	im.wrap = func(r io.Reader) io.Reader {
		return iotest.OneByteReader(&watched{r, func() {
			all, err := os.ReadDir(filepath.Join(c.dir, incompleteDir))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			most = max(most, len(all))
		}})
	}
	var g sync.WaitGroup
	for range 8 {
		g.Go(func() {
			r, err := c.Open(t.Context(), im.Image, 0, -1, im.fetch)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, im.data) {
				t.Errorf("concurrent download = %d bytes, %v; want the image's data", len(got), err)
			}
		})
	}
	g.Wait()
	wait(t, c)
	if most != 1 {
		t.Errorf("up to %d fills at a time; want 1", most)
	}
	checkFiles(t, c, "", im.ID)
	checkFiles(t, c, incompleteDir)
}

// watched calls see before every thousandth read or so.
type watched struct {
	io.Reader
	see func()
}

func (w *watched) Read(p []byte) (int, error) {
	if rand.IntN(1000) == 0 {
		w.see()
	}
	return w.Reader.Read(p)
}

// Two caches over one directory are what two processes are.
func TestSharedDirectory(t *testing.T) {
	a, _ := newCache(t, Options{})
	b, err := Open(a.dir, Options{})
	check(t, err)
	var g sync.WaitGroup
	for n := range 10 {
		im := newImage(n, 300_000)
		for _, c := range []*Cache{a, b, a, b} {
			g.Go(func() {
				r, err := c.Open(t.Context(), im.Image, 0, -1, im.fetch)
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Close()
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, im.data) {
					t.Errorf("download = %d bytes, %v; want the image's data", len(got), err)
				}
			})
		}
	}
	g.Wait()
	wait(t, a)
	wait(t, b)
	for n := range 10 {
		im := newImage(n, 300_000)
		download(t, b, im)
		if im.fetches.Load() != 0 {
			t.Errorf("image %d is not in the cache", n)
		}
	}
	checkFiles(t, a, incompleteDir)
	checkFiles(t, a, invalidDir)
}

func TestOneFillAcrossProcesses(t *testing.T) {
	a, _ := newCache(t, Options{})
	b, err := Open(a.dir, Options{})
	check(t, err)
	im := newImage(1, 1000)
	r, err := a.Open(t.Context(), im.Image, 0, -1, im.fetch)
	check(t, err)
	if err := b.Fill(t.Context(), im.Image, im.all); !errors.Is(err, glance.ErrConflict) {
		t.Errorf("Fill while another process fills = %v; want %v", err, glance.ErrConflict)
	}
	if err := a.Fill(t.Context(), im.Image, im.all); !errors.Is(err, glance.ErrConflict) {
		t.Errorf("Fill while a download fills = %v; want %v", err, glance.ErrConflict)
	}
	check(t, r.Close())
	wait(t, a)
	check(t, b.Fill(t.Context(), im.Image, im.all))
	checkFiles(t, b, "", im.ID)
}
