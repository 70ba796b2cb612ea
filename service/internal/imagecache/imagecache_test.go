package imagecache

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"glancectl/service/glance"

	"github.com/google/go-cmp/cmp"
)

// An image is one whose data is in a store that can be watched and broken.
type image struct {
	*glance.Image
	data    []byte
	fetches atomic.Int64
	wrap    func(io.Reader) io.Reader // if set, around what the store gives
}

// newImage returns an image with random data; n makes its ID.
func newImage(n, size int) *image {
	data := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = rng.Read(data) // never fails
	sum := md5.Sum(data)
	length, checksum := int64(size), hex.EncodeToString(sum[:])
	return &image{Image: &glance.Image{ID: id(n), Size: &length, Checksum: &checksum, Status: glance.Active}, data: data}
}

func id(n int) glance.ID { return glance.ID(fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)) }

func (im *image) fetch(off, n int64) (io.ReadCloser, error) {
	im.fetches.Add(1)
	data := im.data[min(off, int64(len(im.data))):]
	if n >= 0 {
		data = data[:min(n, int64(len(data)))]
	}
	var r io.Reader = bytes.NewReader(data)
	if im.wrap != nil {
		r = im.wrap(r)
	}
	return io.NopCloser(r), nil
}

func (im *image) all() (io.ReadCloser, error) { return im.fetch(0, -1) }

// read returns a part of im's data by way of c.
func read(t *testing.T, c *Cache, im *image, off, n int64) []byte {
	t.Helper()
	r, err := c.Open(t.Context(), im.Image, off, n, im.fetch)
	if err != nil {
		t.Fatalf("Open(%d, %d): %v", off, n, err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read [%d, %d): %v", off, n, err)
	}
	return got
}

// download reads all of im, checks it and waits for the cache.
func download(t *testing.T, c *Cache, im *image) {
	t.Helper()
	if !bytes.Equal(read(t, c, im, 0, -1), im.data) {
		t.Error("the download is not the image's data")
	}
	wait(t, c)
}

func wait(t *testing.T, c *Cache) {
	t.Helper()
	if err := c.Wait(t.Context()); err != nil {
		t.Fatalf("Wait: %v", err)
	}
}

// newCache returns an empty cache and its log.
func newCache(t *testing.T, o Options) (*Cache, *syncBuffer) {
	t.Helper()
	log := new(syncBuffer)
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	c, err := Open(filepath.Join(t.TempDir(), "cache"), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	c.settle = 0
	return c, log
}

// files returns the names of the files in a directory of the cache, without
// what CreateTemp added.
func files(t *testing.T, c *Cache, sub string) []string {
	t.Helper()
	all, err := os.ReadDir(filepath.Join(c.dir, sub))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, f := range all {
		if f.Type().IsRegular() {
			name, _, _ := strings.Cut(f.Name(), ".")
			names = append(names, name)
		}
	}
	return names
}

func checkFiles(t *testing.T, c *Cache, sub string, want ...glance.ID) {
	t.Helper()
	names := []string{}
	for _, id := range want {
		names = append(names, string(id))
	}
	if diff := cmp.Diff(names, files(t, c, sub)); diff != "" {
		t.Errorf("files in %q (-want +got):\n%s", sub, diff)
	}
}

func TestDownloadFillsCache(t *testing.T) {
	for _, size := range []int{0, 1, bufferSize - 1, bufferSize, bufferSize + 1, 3*buffers*bufferSize + 17} {
		c, _ := newCache(t, Options{})
		im := newImage(1, size)
		download(t, c, im)
		download(t, c, im)
		if n := im.fetches.Load(); n != 1 {
			t.Errorf("two downloads of %d bytes read the store %d times; want 1", size, n)
		}
		checkFiles(t, c, "", im.ID)
		checkFiles(t, c, incompleteDir)
		info, err := os.Stat(c.data(im.ID))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o640 {
			t.Errorf("mode of an entry = %v; want 0640", got)
		}
	}
}

func TestRanges(t *testing.T) {
	im := newImage(1, 1000)
	ranges := []struct{ off, n, from, to int64 }{
		{0, 10, 0, 10},
		{990, -1, 990, 1000},
		{990, 100, 990, 1000},
		{500, 0, 500, 500},
		{1000, -1, 1000, 1000},
		{0, 1000, 0, 1000},
		{0, 5000, 0, 1000},
	}
	for _, warm := range []bool{false, true} {
		c, _ := newCache(t, Options{})
		if warm {
			download(t, c, im)
		}
		before := im.fetches.Load()
		for _, r := range ranges[:5] {
			if got := read(t, c, im, r.off, r.n); !bytes.Equal(got, im.data[r.from:r.to]) {
				t.Errorf("warm %t: Open(%d, %d) = %d bytes; want [%d, %d)", warm, r.off, r.n, len(got), r.from, r.to)
			}
		}
		wait(t, c)
		fetches := im.fetches.Load() - before
		if warm && fetches != 0 || !warm && fetches != 5 {
			t.Errorf("warm %t: 5 ranges read the store %d times", warm, fetches)
		}
		if !warm {
			checkFiles(t, c, "")
		}
		for _, r := range ranges[5:] { // these are whole downloads
			if got := read(t, c, im, r.off, r.n); !bytes.Equal(got, im.data) {
				t.Errorf("warm %t: Open(%d, %d) = %d bytes; want all", warm, r.off, r.n, len(got))
			}
		}
		wait(t, c)
		checkFiles(t, c, "", im.ID)
	}
}

// A handler that knows the length reads no further and never sees the end.
func TestReadOfExactLengthIsKept(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 100_000)
	r, err := c.Open(t.Context(), im.Image, 0, -1, im.fetch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, onlyReader{r}, int64(len(im.data))); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	checkFiles(t, c, "", im.ID)
}

type onlyReader struct{ io.Reader }

func TestAbortedDownloadLeavesNothing(t *testing.T) {
	broken := errors.New("store broke")
	for _, test := range []struct {
		name string
		wrap func(io.Reader) io.Reader
		read int64
		want error
	}{
		{"client goes away", nil, 600_000, nil},
		{"client reads nothing", nil, 0, nil},
		{"store breaks", func(r io.Reader) io.Reader {
			return io.MultiReader(io.LimitReader(r, 700_000), iotest.ErrReader(broken))
		}, 1 << 30, broken},
		{"store ends early", func(r io.Reader) io.Reader { return io.LimitReader(r, 700_000) }, 1 << 30, io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := newCache(t, Options{})
			im := newImage(1, 1_000_000)
			im.wrap = test.wrap
			r, err := c.Open(t.Context(), im.Image, 0, -1, im.fetch)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, r, test.read); !errors.Is(err, test.want) {
				t.Errorf("read = %v; want %v", err, test.want)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			wait(t, c)
			for _, sub := range []string{"", stateDir, incompleteDir, invalidDir} {
				checkFiles(t, c, sub)
			}
			if log.String() != "" {
				t.Errorf("log = %q; want nothing", log)
			}
			im.wrap = nil
			download(t, c, im)
			checkFiles(t, c, "", im.ID)
		})
	}
}

func TestWrongDataIsKeptApart(t *testing.T) {
	for _, test := range []struct {
		name    string
		wrap    func(io.Reader) io.Reader
		invalid bool // worth to be looked at
	}{
		{"other data", func(r io.Reader) io.Reader {
			return io.MultiReader(io.LimitReader(r, 999_999), strings.NewReader("x"))
		}, true},
		{"more data", func(r io.Reader) io.Reader { return io.MultiReader(r, strings.NewReader("x")) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := newCache(t, Options{})
			im := newImage(1, 1_000_000)
			im.data[999_999] = 'y'
			im.Checksum = checksumOf(im.data)
			im.wrap = test.wrap
			want, err := io.ReadAll(test.wrap(bytes.NewReader(im.data)))
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, c, im, 0, -1); !bytes.Equal(got, want) {
				t.Errorf("download = %d bytes; want what the store gives, %d", len(got), len(want))
			}
			wait(t, c)
			checkFiles(t, c, "")
			checkFiles(t, c, incompleteDir)
			if test.invalid {
				checkFiles(t, c, invalidDir, im.ID)
			}
			if !strings.Contains(log.String(), string(im.ID)) {
				t.Errorf("log = %q; want a line about the image", log)
			}
		})
	}
}

func checksumOf(data []byte) *string {
	sum := md5.Sum(data)
	s := hex.EncodeToString(sum[:])
	return &s
}

func TestImageThatCannotBeVerified(t *testing.T) {
	c, _ := newCache(t, Options{})
	odd := "../../../../../../../../../../../../"
	for _, change := range []func(*glance.Image){
		func(im *glance.Image) { im.Size = nil },
		func(im *glance.Image) { im.Checksum = nil },
		func(im *glance.Image) { s := "abc"; im.Checksum = &s },
		func(im *glance.Image) { im.ID = glance.ID(odd[:36]) },
	} {
		im := newImage(1, 10)
		change(im.Image)
		download(t, c, im)
		checkFiles(t, c, "")
		err := c.Fill(t.Context(), im.Image, im.all)
		if !errors.Is(err, glance.ErrInvalid) {
			t.Errorf("Fill = %v; want %v", err, glance.ErrInvalid)
		}
		if c.Has(im.Image) {
			t.Error("Has = true for an image that cannot be verified")
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFetchFails(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 10)
	want := errors.New("store is away")
	_, err := c.Open(t.Context(), im.Image, 0, -1, func(int64, int64) (io.ReadCloser, error) { return nil, want })
	if !errors.Is(err, want) {
		t.Errorf("Open = %v; want %v", err, want)
	}
	checkFiles(t, c, incompleteDir)
}

func TestLargerThanTheCache(t *testing.T) {
	c, _ := newCache(t, Options{MaxSize: 100})
	small, large := newImage(1, 100), newImage(2, 101)
	download(t, c, small)
	download(t, c, large)
	checkFiles(t, c, "", small.ID)
	if err := c.Fill(t.Context(), large.Image, large.all); !errors.Is(err, glance.ErrTooLarge) {
		t.Errorf("Fill of an image larger than the cache = %v; want %v", err, glance.ErrTooLarge)
	}
}

// A client that is very slow fills the cache, but does not keep it from being
// filled.
func TestSlowClient(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 1_000_000)
	r, err := c.Open(t.Context(), im.Image, 0, -1, im.fetch)
	check(t, err)
	read(t, c, im, 0, -1)
	checkFiles(t, c, "")
	started := r.(*tee).fill.f.Name()
	name := strings.Split(filepath.Base(started), ".")
	name[1] = strconv.FormatInt(time.Now().Add(-turnTime).Unix(), 10)
	check(t, os.Rename(started, filepath.Join(filepath.Dir(started), strings.Join(name, "."))))
	check(t, c.Fill(t.Context(), im.Image, im.all))
	checkFiles(t, c, "", im.ID)
	read(t, c, im, 0, 1)
	got, err := io.ReadAll(r)
	check(t, errors.Join(err, r.Close()))
	if !bytes.Equal(got, im.data) {
		t.Error("the slow download is not the image's data")
	}
	wait(t, c)
	entries, err := c.Entries(t.Context())
	check(t, err)
	if len(entries) != 1 || entries[0].Hits != 1 {
		t.Errorf("entries = %+v; want one with one hit: the slow one came too late", entries)
	}
}

func TestDrop(t *testing.T) {
	c, log := newCache(t, Options{})
	kept, gone := newImage(1, 1000), newImage(2, 1000)
	download(t, c, kept)
	download(t, c, gone)
	_, err := c.Queue(id(3))
	check(t, err)
	for _, id := range []glance.ID{gone.ID, id(3), id(4), "../state", ""} {
		if err := c.Drop(t.Context(), id); err != nil {
			t.Errorf("Drop(%q) = %v; want nil", id, err)
		}
	}
	checkFiles(t, c, "", kept.ID)
	checkFiles(t, c, stateDir, kept.ID)
	checkFiles(t, c, queueDir)

	// A download under way goes on, but does not bring the image back.
	im := newImage(5, 1_000_000)
	r, err := c.Open(t.Context(), im.Image, 0, -1, im.fetch)
	check(t, err)
	check(t, c.Drop(t.Context(), im.ID))
	got, err := io.ReadAll(r)
	check(t, errors.Join(err, r.Close()))
	if !bytes.Equal(got, im.data) {
		t.Error("the download is not the image's data")
	}
	wait(t, c)
	checkFiles(t, c, "", kept.ID)
	checkFiles(t, c, stateDir, kept.ID)
	if log.String() != "" {
		t.Errorf("log = %q; want nothing", log)
	}
}

func TestFill(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 3_000_000)
	_, err := c.Queue(im.ID)
	check(t, err)
	broken := errors.New("store broke")
	err = c.Fill(t.Context(), im.Image, func() (io.ReadCloser, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Errorf("Fill without a store = %v; want %v", err, broken)
	}
	err = c.Fill(t.Context(), im.Image, func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(im.data[:1000]), iotest.ErrReader(broken))), nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("Fill from a store that breaks = %v; want %v", err, broken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Fill(ctx, im.Image, im.all); !errors.Is(err, context.Canceled) {
		t.Errorf("Fill after cancel = %v; want %v", err, context.Canceled)
	}
	checkFiles(t, c, "")
	checkFiles(t, c, incompleteDir)
	checkFiles(t, c, queueDir, im.ID)
	check(t, c.Fill(t.Context(), im.Image, im.all))
	checkFiles(t, c, "", im.ID)
	checkFiles(t, c, queueDir) // it has got what it waited for
	fetches := im.fetches.Load()
	check(t, c.Fill(t.Context(), im.Image, im.all))
	if n := im.fetches.Load() - fetches; n != 0 {
		t.Errorf("Fill of a cached image read the store %d times; want 0", n)
	}
}

// A download costs a few buffers, however large the image is.
func TestMemory(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 64<<20)
	for _, warm := range []bool{false, true} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := c.Open(t.Context(), im.Image, 0, -1, im.fetch)
		check(t, err)
		_, err = io.Copy(io.Discard, r)
		check(t, errors.Join(err, r.Close()))
		wait(t, c)
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(buffers*bufferSize+1<<20); got > limit {
			t.Errorf("warm %t: a download of 64 MiB allocated %d bytes; want at most %d", warm, got, limit)
		}
	}
}

func TestOpenNeedsADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(filepath.Join(file, "cache"), Options{}); err == nil {
		t.Error("Open below a file = nil; want an error")
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 1000)
	r, err := c.Open(t.Context(), im.Image, 0, -1, im.fetch)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait during a download = %v; want %v", err, context.Canceled)
	}
	check(t, r.Close())
	wait(t, c)
}

// A syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var _ glance.DataCache = (*Cache)(nil)
