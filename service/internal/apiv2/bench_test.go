package apiv2

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"glancectl/service/glance"
)

const benchSize = 256 << 20

// A folder is a store that is just files, so that the benchmarks measure what
// is above the stores.
type folder struct {
	glance.Store
	dir string
}

func (folder) Scheme() string { return "folder" }

func (f folder) Put(_ context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	path := filepath.Join(f.dir, string(id))
	file, err := os.Create(path)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	n, err := io.Copy(struct{ io.Writer }{file}, r)
	return "folder:" + path, n, err
}

func (f folder) Open(_ context.Context, url string, _, _ int64) (io.ReadCloser, error) {
	return os.Open(url[len("folder:"):])
}

func (f folder) Delete(_ context.Context, url string) error { return os.Remove(url[len("folder:"):]) }

// benchService returns a service on files with a server in front of it.
func benchService(b *testing.B) (*service, string) {
	s := newService(b, Options{})
	images, err := glance.New(s.catalog, []glance.Backend{{Store: folder{dir: b.TempDir()}}}, glance.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s.images, s.api = images, New(images, Options{})
	srv := httptest.NewServer(s.handler())
	b.Cleanup(srv.Close)
	return s, srv.URL
}

func (s *service) ready(b *testing.B) *glance.Image {
	format, container := "raw", "bare"
	im, err := s.images.Create(as(b.Context(), ""), glance.Draft{DiskFormat: &format, ContainerFormat: &container})
	if err != nil {
		b.Fatal(err)
	}
	return im
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func BenchmarkUpload(b *testing.B) {
	s, url := benchService(b)
	b.SetBytes(benchSize)
	for b.Loop() {
		im := s.ready(b)
		req, err := http.NewRequest("PUT", url+"/v2/images/"+string(im.ID)+"/file", io.LimitReader(zeros{}, benchSize))
		if err != nil {
			b.Fatal(err)
		}
		req.ContentLength = benchSize
		req.Header.Set("Content-Type", octets)
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusNoContent {
			b.Fatal(resp, err)
		}
		resp.Body.Close()
		b.StopTimer()
		if err := s.images.Delete(as(b.Context(), ""), im.ID); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkDownload(b *testing.B) {
	s, url := benchService(b)
	im := s.ready(b)
	if err := s.images.Upload(as(b.Context(), ""), im.ID, io.LimitReader(zeros{}, benchSize), glance.UploadOptions{}); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("connections=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n) * benchSize)
			for b.Loop() {
				var wg sync.WaitGroup
				for range n {
					wg.Go(func() { fetch(b, url+"/v2/images/"+string(im.ID)+"/file") })
				}
				wg.Wait()
			}
		})
	}
}

// fetch downloads and forgets.
func fetch(b *testing.B, url string) {
	resp, err := http.Get(url)
	if err != nil {
		b.Error(err)
		return
	}
	defer resp.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, make([]byte, 1<<20))
	if n != benchSize || err != nil {
		b.Errorf("download yields %d bytes, %v", n, err)
	}
}

// BenchmarkList lists a page of 25 of 1000 images with a few properties and
// tags. Most of it is the catalog in memory, which looks at every image;
// BenchmarkDocument is the rest.
func BenchmarkList(b *testing.B) {
	s := newService(b, Options{})
	for i := range 1000 {
		name := fmt.Sprint("image ", i)
		d := glance.Draft{Name: &name, Properties: map[string]string{"os_distro": "debian", "os_version": "12"}, Tags: []string{"lts"}}
		if _, err := s.images.Create(as(b.Context(), ""), d); err != nil {
			b.Fatal(err)
		}
	}
	h := s.handler()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/v2/images", nil))
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}

func BenchmarkDocument(b *testing.B) {
	s := newService(b, Options{})
	name := "debian-12-generic-amd64"
	im := &glance.Image{ID: numbered(1), Name: &name, Properties: map[string]string{"os_distro": "debian", "os_version": "12"}, Tags: []string{"lts"}}
	buf := make([]byte, 0, 2048)
	for b.Loop() {
		buf = s.api.appendImage(b.Context(), buf[:0], im)
	}
}
