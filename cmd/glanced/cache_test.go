package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSharedCache has two processes serve the same images out of one cache, by
// the names of both drivers, while the pruner and the reaper work on it and one
// of the two is killed again and again.
func TestSharedCache(t *testing.T) {
	t.Parallel()
	program := build(t)
	t.Run("beside the images", func(t *testing.T) {
		t.Parallel()
		newSharedCache(t, program, filepath.Join(t.TempDir(), "cache")).run()
	})
	t.Run("on another file system", func(t *testing.T) {
		t.Parallel()
		dir, err := os.MkdirTemp("/dev/shm", "cache-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) }) // there is nothing to be done about it
		newSharedCache(t, program, dir).run()
	})
}

const (
	sharedImages = 8
	sharedKills  = 4
	sharedSize   = 6 << 20 // of the cache; the images have 11 MiB
)

// A sharedCache is a directory that two processes cache in.
type sharedCache struct {
	*deployment
	dir       string
	ids       []string
	data      map[string][]byte
	confs     [2]string
	addresses [2]string
	served    atomic.Int64
}

func newSharedCache(t *testing.T, program, dir string) *sharedCache {
	t.Helper()
	s := &sharedCache{dir: dir, data: make(map[string][]byte)}
	s.deployment = deploy(t, program, "sqlite:///"+filepath.Join(t.TempDir(), "glance.sqlite"), "http://127.0.0.1:1")
	for i, driver := range []string{"sqlite", "xattr"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.addresses[i] = l.Addr().String()
		_, port, _ := net.SplitHostPort(s.addresses[i])
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		s.confs[i] = s.path(driver + ".conf")
		touch(t, s.confs[i], fmt.Sprintf("[DEFAULT]\nbind_port = %s\nimage_cache_dir = %s\nimage_cache_driver = %s\nimage_cache_max_size = %d\nlog_file = %s.log\n[paste_deploy]\nflavor = cachemanagement\n",
			port, dir, driver, sharedSize, s.path(driver)))
	}
	return s
}

// begin starts one of the two and waits until it answers.
func (s *sharedCache) begin(i int) *exec.Cmd {
	s.t.Helper()
	c := s.command("api", "--config-file", s.confs[i])
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	at := *s.deployment
	at.address = s.addresses[i]
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	if !at.ready(ctx) {
		s.t.Fatal("the api does not answer")
	}
	return c
}

func (s *sharedCache) run() {
	t := s.t
	s.address = s.addresses[0]
	first, second := s.begin(0), s.begin(1)
	defer func() { s.kill(first); s.kill(second) }()
	for i := range sharedImages {
		data := make([]byte, 512<<10+i*256<<10)
		if _, err := rand.Read(data); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
		s.call("POST", "/v2/images", "application/json", strings.NewReader(`{"id": "`+id+`", "disk_format": "raw", "container_format": "bare"}`))
		s.call("PUT", "/v2/images/"+id+"/file", "application/octet-stream", bytes.NewReader(data))
		s.ids, s.data[id] = append(s.ids, id), data
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for i := range 6 {
		work.Go(func() { s.download(ctx, s.addresses[i%2], i%2 == 0) })
	}
	for i, job := range []string{"cache-pruner", "cache-reaper"} {
		work.Go(func() { s.jobs(ctx, job, s.confs[i]) })
	}
	for range sharedKills {
		for want := s.served.Load() + 60; s.served.Load() < want && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
		s.kill(second)
		second = s.begin(1)
	}
	cancel()
	work.Wait()
	s.check()
}

// download reads images, until ctx ends. What it gets must be right; only of a
// process that may be killed it need not be whole.
func (s *sharedCache) download(ctx context.Context, address string, lives bool) {
	for ctx.Err() == nil {
		id := s.ids[mathrand.IntN(len(s.ids))]
		if mathrand.IntN(3) == 0 {
			id = s.ids[0] // of which many are under way
		}
		got, err := fetched(ctx, address, id)
		if !bytes.HasPrefix(s.data[id], got) || err == nil && len(got) != len(s.data[id]) || err != nil && lives && ctx.Err() == nil {
			s.t.Errorf("download of %s from %s: %d bytes, which are its beginning: %t; %v", id, address, len(got), bytes.HasPrefix(s.data[id], got), err)
			return
		}
		if err == nil {
			s.served.Add(1)
		}
	}
}

// fetched returns the data of an image, or what has come of it.
func fetched(ctx context.Context, address, id string) ([]byte, error) {
	u := url.URL{Scheme: "http", Host: address, Path: "/v2/images/" + id + "/file"}
	req, err := http.NewRequestWithContext(ctx, "GET", u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, data)
	}
	return data, err
}

// jobs runs a job again and again, until ctx ends.
func (s *sharedCache) jobs(ctx context.Context, job, conf string) {
	for ctx.Err() == nil {
		if out, err := s.command(job, "--config-file", conf).CombinedOutput(); err != nil {
			s.t.Errorf("%s: %v: %s", job, err, out)
			return
		}
	}
}

// check requires that what is cached is right, that both processes and the jobs
// can read it, and that all images can still be had from either.
func (s *sharedCache) check() {
	t := s.t
	for _, address := range s.addresses {
		for id, want := range s.data {
			if got, err := fetched(t.Context(), address, id); err != nil || !bytes.Equal(got, want) {
				t.Errorf("afterwards %s gives %d bytes of %s, %v; want %d", address, len(got), id, err, len(want))
			}
		}
	}
	// What is read last is cached in the end, however often that was tried before.
	awaits(t, "the cache to have all images", func() bool {
		for _, id := range s.ids {
			if _, err := fetched(t.Context(), s.addresses[1], id); err != nil {
				t.Fatal(err)
			}
		}
		return len(s.listed(0)) == sharedImages
	})
	// What the killed ones have left the reaper takes when it is due.
	due := s.path("due.conf")
	touch(t, due, "[DEFAULT]\nimage_cache_stall_time = 1\n")
	awaits(t, "the reaper to leave nothing", func() bool {
		if out, err := s.command("cache-reaper", "--config-file", s.confs[0], "--config-file", due).CombinedOutput(); err != nil {
			t.Fatalf("cache-reaper: %v: %s", err, out)
		}
		left, err := os.ReadDir(filepath.Join(s.dir, "incomplete"))
		return err == nil && len(left) == 0
	})
	for id, want := range s.data {
		got, err := os.ReadFile(filepath.Join(s.dir, id))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("the cache has %d bytes of %s, %v; want %d", len(got), id, err, len(want))
		}
	}
	if invalid, err := os.ReadDir(filepath.Join(s.dir, "invalid")); err != nil || len(invalid) > 0 {
		t.Errorf("the cache has taken right data for wrong: %v, %v", invalid, err)
	}
	for _, id := range s.ids {
		if _, err := fetched(t.Context(), s.addresses[0], id); err != nil {
			t.Error(err)
		}
	}
	one, two := s.listed(0), s.listed(1)
	for id, e := range one {
		if e != two[id] || e.Size != len(s.data[id]) || e.Hits < 1 {
			t.Errorf("of %s one says %+v, the other %+v; want the same, %d bytes and hits", id, e, two[id], len(s.data[id]))
		}
	}
	if out, err := s.command("cache-pruner", "--config-file", s.confs[1]).CombinedOutput(); err != nil {
		t.Errorf("cache-pruner: %v: %s", err, out)
	}
	size := 0
	for _, e := range s.listed(1) {
		size += e.Size
	}
	if size == 0 || size > sharedSize {
		t.Errorf("the pruner has left %d bytes; want at most %d", size, sharedSize)
	}
	for _, job := range []string{"cache-pruner", "cache-reaper"} {
		if r := s.lastRun(job, 1); r.Result != "done" || r.Failed != 0 {
			t.Errorf("%s: %+v", job, r)
		}
	}
	t.Logf("%d downloads, %d kills", s.served.Load(), sharedKills)
}

// A cachedImage is what the cache says of an image.
type cachedImage struct {
	ID           string `json:"image_id"`
	Size, Hits   int
	LastModified float64 `json:"last_modified"`
}

// listed returns what one of the two processes has cached.
func (s *sharedCache) listed(i int) map[string]cachedImage {
	s.t.Helper()
	at := *s.deployment
	at.address = s.addresses[i]
	var list struct {
		Images []cachedImage `json:"cached_images"`
	}
	if err := json.Unmarshal(at.call("GET", "/v2/cached_images", "", nil), &list); err != nil {
		s.t.Fatal(err)
	}
	images := make(map[string]cachedImage)
	for _, im := range list.Images {
		images[im.ID] = im
	}
	return images
}
