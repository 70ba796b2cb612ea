package imagecache

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// BenchmarkDownload compares ways to get an image over HTTP from this machine:
// straight from a file, from the cache, and while the cache is filled.
func BenchmarkDownload(b *testing.B) {
	im := newImage(1, 256<<20)
	c, err := Open(filepath.Join(b.TempDir(), "cache"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "image")
	if err := os.WriteFile(file, im.data, 0o600); err != nil {
		b.Fatal(err)
	}
	im.data = nil
	fetch := func(off, _ int64) (io.ReadCloser, error) {
		f, err := os.Open(file)
		if err == nil {
			_, err = f.Seek(off, io.SeekStart)
		}
		return f, err
	}
	direct := func() (io.ReadCloser, error) { return fetch(0, -1) }
	cached := func() (io.ReadCloser, error) { return c.Open(b.Context(), im.Image, 0, -1, fetch) }
	b.Run("direct", func(b *testing.B) { benchmarkHTTP(b, direct, nil) })
	b.Run("filling", func(b *testing.B) {
		benchmarkHTTP(b, cached, func() error { return errors.Join(c.Wait(b.Context()), c.Drop(b.Context(), im.ID)) })
	})
	if err := c.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := c.Fill(b.Context(), im.Image, direct); err != nil {
		b.Fatal(err)
	}
	b.Run("cached", func(b *testing.B) { benchmarkHTTP(b, cached, nil) })
}

// benchmarkHTTP measures downloads of what open gives, and calls between
// before each of them.
func benchmarkHTTP(b *testing.B, open func() (io.ReadCloser, error), between func() error) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r, err := open()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer r.Close()
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 256<<10)) // the client sees a short body
	}))
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{ReadBufferSize: 256 << 10, DialContext: (&net.Dialer{}).DialContext}}
	buf := make([]byte, 1<<20)
	for b.Loop() {
		if between != nil {
			b.StopTimer()
			if err := between(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		resp, err := client.Get(srv.URL)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(n)
	}
	client.CloseIdleConnections()
}

// BenchmarkPrune removes half of 100,000 entries.
func BenchmarkPrune(b *testing.B) {
	const entries = 100_000
	for b.Loop() {
		b.StopTimer()
		c, err := Open(filepath.Join(b.TempDir(), "cache"), Options{})
		if err != nil {
			b.Fatal(err)
		}
		for n := range entries {
			put(b, c, id(n), 1000, start.Add(time.Duration(n*7919%entries)*time.Second))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b.StartTimer()
		n, _, err := c.Prune(b.Context(), entries/2*1000, 0)
		b.StopTimer()
		runtime.ReadMemStats(&after)
		if n != entries/2 || err != nil {
			b.Fatalf("Prune = %d, %v; want %d", n, err, entries/2)
		}
		b.ReportMetric(float64(int64(after.HeapSys-before.HeapSys))/(1<<20), "MiB-heap")
		b.StartTimer()
	}
}
