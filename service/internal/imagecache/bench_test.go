package imagecache

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// BenchmarkDownload compares ways to get an image over HTTP from this machine:
// straight from a file, from the cache, and while the cache is filled. They
// take turns, and the best time of each counts, so that the ratios hold on a
// busy machine as well.
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
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open := func() (io.ReadCloser, error) { return fetch(0, -1) }
		if r.URL.Path == "/cache" {
			open = func() (io.ReadCloser, error) { return c.Open(r.Context(), im.Image, 0, -1, fetch) }
		}
		data, err := open()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer data.Close()
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{data}, make([]byte, 256<<10)) // the client sees a short body
	}))
	defer srv.Close()
	direct, filling, cached := time.Hour, time.Hour, time.Hour
	for b.Loop() {
		direct = min(direct, timeDownload(b, srv.URL+"/file"))
		filling = min(filling, timeDownload(b, srv.URL+"/cache"))
		if err := c.Wait(b.Context()); err != nil || !c.Has(im.Image) {
			b.Fatalf("the image is not cached: %v", err)
		}
		cached = min(cached, timeDownload(b, srv.URL+"/cache"))
		if err := c.Drop(b.Context(), im.ID); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(*im.Size)/direct.Seconds()/1e6, "direct-MB/s")
	b.ReportMetric(cached.Seconds()/direct.Seconds(), "cached/direct")
	b.ReportMetric(filling.Seconds()/direct.Seconds(), "filling/direct")
}

// timeDownload returns how long it takes to read all that url gives.
func timeDownload(b *testing.B, url string) time.Duration {
	b.Helper()
	began := time.Now()
	resp, err := http.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 1<<20))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
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
