package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
	"glancectl/service/internal/jobs"

	"github.com/google/go-cmp/cmp"
)

// A site is a running image service on a clock that tests move.
type site struct {
	*glance.Images
	catalog memory.Catalog
	store   brokenStore
	mu      sync.Mutex
	time    time.Time
}

// A brokenStore is a store that fails for some objects.
type brokenStore struct {
	memory.Store
	broken map[string]bool
}

func (s *brokenStore) Delete(ctx context.Context, url string) error {
	if s.broken[url] {
		return errors.New("store broke")
	}
	return s.Store.Delete(ctx, url)
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{time: time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC), store: brokenStore{broken: make(map[string]bool)}}
	s.catalog.Now = s.now
	images, err := glance.New(&s.catalog, []glance.Backend{{Store: &s.store}}, glance.Options{Now: s.now, DelayedDelete: true})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	s.Images = images
	return s
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.time
}

func (s *site) wait(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.time = s.time.Add(d)
}

var admin = glance.Caller{Admin: true}

// id returns the n-th image ID.
func id(n int) glance.ID { return glance.ID(fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)) }

// upload makes an active image with data.
func (s *site) upload(t *testing.T, n int, data string) {
	t.Helper()
	ctx := glance.WithCaller(t.Context(), admin)
	raw, bare := "raw", "bare"
	_, err := s.Create(ctx, glance.Draft{ID: id(n), DiskFormat: &raw, ContainerFormat: &bare})
	if err == nil {
		err = s.Upload(ctx, id(n), strings.NewReader(data), glance.UploadOptions{})
	}
	if err != nil {
		t.Fatalf("upload image %d: %v", n, err)
	}
}

// condemn makes an image that is pending_delete.
func (s *site) condemn(t *testing.T, n int, data string) {
	t.Helper()
	s.upload(t, n, data)
	if err := s.Delete(glance.WithCaller(t.Context(), admin), id(n)); err != nil {
		t.Fatalf("delete image %d: %v", n, err)
	}
}

// url returns where the data of an image is.
func (s *site) url(t *testing.T, n int) string {
	t.Helper()
	im, err := s.catalog.Get(t.Context(), id(n), true)
	if err != nil || len(im.Locations) != 1 {
		t.Fatalf("image %d: %v; want one with one location", n, err)
	}
	return im.Locations[0].URL
}

func (s *site) status(t *testing.T, n int) glance.Status {
	t.Helper()
	im, err := s.catalog.Get(t.Context(), id(n), true)
	if err != nil {
		t.Fatal(err)
	}
	return im.Status
}

// counts is a report without what the failures say.
type counts struct {
	done, skipped, failed int
	bytes                 int64
}

func countsOf(r jobs.Report) counts {
	return counts{r.Done, r.Skipped, len(r.Failures), r.Bytes}
}

func TestScrub(t *testing.T) {
	s := newSite(t)
	s.upload(t, 1, "active")
	s.condemn(t, 2, "old")
	s.condemn(t, 3, "without data")
	if err := s.store.Store.Delete(t.Context(), s.url(t, 3)); err != nil {
		t.Fatal(err)
	}
	s.condemn(t, 4, "broken")
	s.store.broken[s.url(t, 4)] = true
	s.wait(time.Hour)
	s.condemn(t, 5, "young")

	due := s.now().Add(-time.Hour)
	r := jobs.Scrub(t.Context(), &s.catalog, s, due)
	if got, want := countsOf(r), (counts{2, 1, 1, int64(len("old") + len("without data"))}); got != want {
		t.Errorf("Scrub = %+v; want %+v", got, want)
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), string(id(4))) || !strings.Contains(err.Error(), "store broke") {
		t.Errorf("Scrub: failure is %v; want one that says which image and why", err)
	}
	want := []glance.Status{glance.Active, glance.Deleted, glance.Deleted, glance.PendingDelete, glance.PendingDelete}
	for i, want := range want {
		if got := s.status(t, i+1); got != want {
			t.Errorf("image %d is %s; want %s", i+1, got, want)
		}
	}
	if n := s.store.Len(); n != 3 {
		t.Errorf("objects in the store = %d; want 3: active, broken and young", n)
	}

	// The next run goes on with what is left.
	s.store.broken = nil
	r = jobs.Scrub(t.Context(), &s.catalog, s, s.now())
	if got, want := countsOf(r), (counts{2, 0, 0, int64(len("broken") + len("young"))}); got != want {
		t.Errorf("second Scrub = %+v; want %+v", got, want)
	}
	if r := jobs.Scrub(t.Context(), &s.catalog, s, s.now()); countsOf(r) != (counts{}) {
		t.Errorf("third Scrub = %+v; want nothing", countsOf(r))
	}
	if got := s.status(t, 1); got != glance.Active || s.store.Len() != 1 {
		t.Errorf("the active image is %s, %d objects are left; want active, 1", got, s.store.Len())
	}
}

func TestScrubManyPages(t *testing.T) {
	s := newSite(t)
	const n = 1203 // no multiple of a page
	for i := range n {
		s.condemn(t, i, "x")
	}
	r := jobs.Scrub(t.Context(), &s.catalog, s, s.now())
	if got, want := countsOf(r), (counts{n, 0, 0, n}); got != want {
		t.Errorf("Scrub = %+v; want %+v", got, want)
	}
	if s.store.Len() != 0 {
		t.Errorf("objects left = %d; want 0", s.store.Len())
	}
}

// Scrubbers on several nodes share the work and none of them reports a
// failure.
func TestScrubbersDoNotFight(t *testing.T) {
	s := newSite(t)
	const n = 200
	for i := range n {
		s.condemn(t, i, "x")
	}
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			r := jobs.Scrub(t.Context(), &s.catalog, s, s.now())
			if r.Err() != nil || r.Done+r.Skipped > n {
				t.Errorf("Scrub beside others = %+v, %v; want no failure", countsOf(r), r.Err())
			}
		})
	}
	g.Wait()
	for i := range n {
		if got := s.status(t, i); got != glance.Deleted {
			t.Errorf("image %d is %s; want deleted", i, got)
		}
	}
	if s.store.Len() != 0 {
		t.Errorf("objects left = %d; want 0", s.store.Len())
	}
}

// An image that is restored after the list was read is left alone.
func TestScrubSkipsWhatIsTaken(t *testing.T) {
	s := newSite(t)
	for i := range 3 {
		s.condemn(t, i, "x")
	}
	took := scrubFunc(func(ctx context.Context, id glance.ID) error {
		im, err := s.catalog.Get(ctx, id, true)
		if err != nil {
			return err
		}
		restored := im.Clone()
		restored.Status, restored.DeletedAt = glance.Active, nil
		if err := s.catalog.Update(ctx, im, restored); err != nil {
			return err
		}
		return s.Scrub(ctx, id)
	})
	r := jobs.Scrub(t.Context(), &s.catalog, took, s.now())
	if got, want := countsOf(r), (counts{skipped: 3}); got != want {
		t.Errorf("Scrub = %+v, %v; want %+v", got, r.Err(), want)
	}
	if s.store.Len() != 3 {
		t.Errorf("objects left = %d; want 3", s.store.Len())
	}
}

type scrubFunc func(ctx context.Context, id glance.ID) error

func (f scrubFunc) Scrub(ctx context.Context, id glance.ID) error { return f(ctx, id) }

func TestScrubEndsWithContext(t *testing.T) {
	s := newSite(t)
	for i := range 3 {
		s.condemn(t, i, "x")
	}
	ctx, cancel := context.WithCancel(t.Context())
	once := scrubFunc(func(ctx context.Context, id glance.ID) error {
		cancel()
		return s.Scrub(context.WithoutCancel(ctx), id)
	})
	r := jobs.Scrub(ctx, &s.catalog, once, s.now())
	if r.Done != 1 || !errors.Is(r.Err(), context.Canceled) {
		t.Errorf("Scrub that is cancelled after one image = %+v, %v; want 1 done and %v", countsOf(r), r.Err(), context.Canceled)
	}
	if s.store.Len() != 2 {
		t.Errorf("objects left = %d; want 2", s.store.Len())
	}
}

// brokenCatalog is a catalog whose database went away after the first page.
type brokenCatalog struct{ glance.Catalog }

func (c brokenCatalog) List(ctx context.Context, q glance.Query) ([]*glance.Image, error) {
	if q.Marker != "" {
		return nil, errors.New("database is away")
	}
	return c.Catalog.List(ctx, q)
}

func TestScrubReportsCatalog(t *testing.T) {
	s := newSite(t)
	for i := range 501 {
		s.condemn(t, i, "x")
	}
	r := jobs.Scrub(t.Context(), brokenCatalog{&s.catalog}, s, s.now())
	if got, want := countsOf(r), (counts{500, 0, 1, 500}); got != want {
		t.Errorf("Scrub = %+v; want %+v: what was listed before the failure", got, want)
	}
}

// A fakeCache keeps data in memory.
type fakeCache struct {
	queue  []glance.ID
	data   map[glance.ID]string
	refuse map[glance.ID]error
}

func (c *fakeCache) Queued(context.Context) ([]glance.ID, error) { return c.queue, nil }

func (c *fakeCache) Unqueue(id glance.ID) error {
	var rest []glance.ID
	for _, q := range c.queue {
		if q != id {
			rest = append(rest, q)
		}
	}
	c.queue = rest
	return nil
}

func (c *fakeCache) Fill(_ context.Context, im *glance.Image, fetch func() (io.ReadCloser, error)) error {
	if err := c.refuse[im.ID]; err != nil {
		return err
	}
	r, err := fetch()
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.data[im.ID] = string(data)
	return c.Unqueue(im.ID)
}

func TestPrefetch(t *testing.T) {
	s := newSite(t)
	s.upload(t, 1, "one")
	s.upload(t, 2, "three")
	s.upload(t, 3, "is being cached")
	s.upload(t, 4, "too large")
	s.upload(t, 5, "without data")
	s.condemn(t, 6, "deleted")
	if _, err := s.Create(glance.WithCaller(t.Context(), admin), glance.Draft{ID: id(7)}); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Store.Delete(t.Context(), s.url(t, 5)); err != nil {
		t.Fatal(err)
	}
	c := &fakeCache{
		data: make(map[glance.ID]string),
		refuse: map[glance.ID]error{
			id(3): fmt.Errorf("busy: %w", glance.ErrConflict),
			id(4): fmt.Errorf("no: %w", glance.ErrTooLarge),
		},
	}
	for _, n := range []int{8, 7, 6, 5, 4, 3, 2, 1} {
		c.queue = append(c.queue, id(n))
	}
	r := jobs.Prefetch(t.Context(), c, s)
	// Cached: 1, 2. Skipped: 3 is busy, 6 and 8 do not exist, 7 has no data yet.
	// Failed: 4 for good, 5 until its data is back.
	if got, want := countsOf(r), (counts{2, 4, 2, 8}); got != want {
		t.Errorf("Prefetch = %+v, %v; want %+v", got, r.Err(), want)
	}
	if diff := cmp.Diff(map[glance.ID]string{id(1): "one", id(2): "three"}, c.data); diff != "" {
		t.Errorf("cached (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]glance.ID{id(7), id(5), id(3)}, c.queue); diff != "" {
		t.Errorf("still queued (-want +got):\n%s", diff)
	}
}

func TestPrefetchEndsWithContext(t *testing.T) {
	s := newSite(t)
	s.upload(t, 1, "one")
	c := &fakeCache{queue: []glance.ID{id(1)}, data: make(map[glance.ID]string)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := jobs.Prefetch(ctx, c, s); r.Done != 0 || !errors.Is(r.Err(), context.Canceled) {
		t.Errorf("Prefetch after cancel = %+v, %v; want %v", countsOf(r), r.Err(), context.Canceled)
	}
}

// keeper is a cache that reports what it was asked for.
type keeper struct {
	now   time.Time
	max   int64
	extra float64
	err   error
}

func (k *keeper) Reap(_ context.Context, now time.Time) (int, int64, error) {
	k.now = now
	return 3, 300, k.err
}

func (k *keeper) Prune(_ context.Context, maxSize int64, extra float64) (int, int64, error) {
	k.max, k.extra = maxSize, extra
	return 5, 500, k.err
}

func TestReapAndPrune(t *testing.T) {
	for _, err := range []error{nil, errors.New("disk broke")} {
		k := &keeper{err: err}
		now := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
		reaped := jobs.Reap(t.Context(), k, now)
		pruned := jobs.Prune(t.Context(), k, 1000, 0.2)
		failed := 0
		if err != nil {
			failed = 1
		}
		if got, want := countsOf(reaped), (counts{3, 0, failed, 300}); got != want || !errors.Is(reaped.Err(), err) {
			t.Errorf("Reap = %+v, %v; want %+v, %v", got, reaped.Err(), want, err)
		}
		if got, want := countsOf(pruned), (counts{5, 0, failed, 500}); got != want || !errors.Is(pruned.Err(), err) {
			t.Errorf("Prune = %+v, %v; want %+v, %v", got, pruned.Err(), want, err)
		}
		if k.now != now || k.max != 1000 || k.extra != 0.2 {
			t.Errorf("the cache was asked with %v, %d, %v", k.now, k.max, k.extra)
		}
	}
}

func TestReportInLog(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("scrubbed", "report", jobs.Report{Done: 1, Skipped: 2, Bytes: 3, Failures: []error{errors.New("x")}})
	want := "level=INFO msg=scrubbed report.done=1 report.skipped=2 report.failed=1 report.bytes=3\n"
	if got := b.String(); got != want {
		t.Errorf("log line = %q; want %q", got, want)
	}
}
