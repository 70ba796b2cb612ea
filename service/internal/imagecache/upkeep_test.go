package imagecache

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"glancectl/service/glance"

	"github.com/google/go-cmp/cmp"
)

// start is long ago, so that whatever happens in a test is later.
var start = time.Date(2020, 1, 2, 7, 0, 0, 0, time.UTC)

// touch sets the time at which a file was written.
func touch(t *testing.T, name string, at time.Time) {
	t.Helper()
	check(t, os.Chtimes(name, at, at))
}

// put makes an entry of size bytes that was used last at accessed.
func put(t testing.TB, c *Cache, id glance.ID, size int64, accessed time.Time) {
	t.Helper()
	f, err := os.Create(c.data(id))
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close())
	}
	if err == nil {
		err = c.newState(identity{id, size, "0123456789abcdef0123456789abcdef"})
	}
	if err == nil {
		err = os.Chtimes(c.state(id), accessed, accessed)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestEntries(t *testing.T) {
	c, _ := newCache(t, Options{})
	never, often := newImage(1, 1000), newImage(2, 2000)
	download(t, c, never)
	download(t, c, often)
	modified := start.Add(-time.Hour)
	touch(t, c.data(often.ID), modified)
	touch(t, c.data(never.ID), modified)
	touch(t, c.state(never.ID), modified)
	for range 3 {
		download(t, c, often)
	}
	read(t, c, often, 10, 10)
	c.Has(often.Image) // is no hit
	check(t, os.WriteFile(filepath.Join(c.dir, "README"), nil, 0o600))
	got, err := c.Entries(t.Context())
	check(t, err)
	if len(got) != 2 {
		t.Fatalf("Entries = %d entries; want 2", len(got))
	}
	if since := time.Since(got[0].LastAccessed); since < 0 || since > time.Minute {
		t.Errorf("last access of the image just read was %v ago", since)
	}
	got[0].LastAccessed = time.Time{}
	want := []Entry{
		{ID: often.ID, Size: 2000, Hits: 4, LastModified: modified.Local()},
		{ID: never.ID, Size: 1000, LastModified: modified.Local(), LastAccessed: modified.Local()},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Entries (-want +got):\n%s", diff)
	}
}

func TestQueue(t *testing.T) {
	c, _ := newCache(t, Options{})
	cached := newImage(9, 10)
	download(t, c, cached)
	for _, step := range []struct {
		id   glance.ID
		want bool
	}{{id(3), true}, {id(1), true}, {id(2), true}, {id(1), false}, {cached.ID, false}} {
		if got, err := c.Queue(step.id); err != nil || got != step.want {
			t.Errorf("Queue(%s) = %t, %v; want %t", step.id, got, err, step.want)
		}
	}
	if _, err := c.Queue("../x"); !errors.Is(err, glance.ErrInvalid) {
		t.Errorf("Queue of no ID = %v; want %v", err, glance.ErrInvalid)
	}
	for i, n := range []int{3, 1, 2} {
		touch(t, c.queued(id(n)), start.Add(time.Duration(i)*time.Second))
	}
	check(t, c.Unqueue(id(1)))
	check(t, c.Unqueue(id(1)))
	got, err := c.Queued(t.Context())
	check(t, err)
	if diff := cmp.Diff([]glance.ID{id(3), id(2)}, got); diff != "" {
		t.Errorf("Queued (-want +got):\n%s", diff)
	}
}

func TestReap(t *testing.T) {
	c, _ := newCache(t, Options{StallTime: 24 * time.Hour, InvalidGrace: time.Hour})
	im := newImage(1, 1000)
	download(t, c, im)
	touch(t, c.data(im.ID), start.AddDate(-1, 0, 0))
	touch(t, c.state(im.ID), start.AddDate(-1, 0, 0))
	_, err := c.Queue(id(2))
	check(t, err)
	touch(t, c.queued(id(2)), start.AddDate(-1, 0, 0))
	for _, f := range []struct {
		name string
		age  time.Duration
	}{
		{"incomplete/" + string(id(3)) + ".1", 24 * time.Hour},
		{"incomplete/" + string(id(3)) + ".2", 24*time.Hour - time.Second},
		{"invalid/" + string(id(4)) + ".1", time.Hour},
		{"invalid/" + string(id(4)) + ".2", time.Hour - time.Second},
		{"state/" + string(id(5)), 24 * time.Hour},
		{"state/" + string(id(6)), 24*time.Hour - time.Second},
		{"state/." + string(id(7)) + ".1", 24 * time.Hour},
	} {
		name := filepath.Join(c.dir, f.name)
		check(t, os.WriteFile(name, []byte("0123456789"), 0o600))
		touch(t, name, start.Add(-f.age))
	}
	n, freed, err := c.Reap(t.Context(), start)
	if n != 4 || freed != 40 || err != nil {
		t.Errorf("Reap = %d, %d, %v; want 4, 40 and no error", n, freed, err)
	}
	checkFiles(t, c, "", im.ID)
	checkFiles(t, c, incompleteDir, id(3))
	checkFiles(t, c, invalidDir, id(4))
	checkFiles(t, c, stateDir, im.ID, id(6))
	checkFiles(t, c, queueDir, id(2))
	if n, freed, err := c.Reap(t.Context(), start); n != 0 || freed != 0 || err != nil {
		t.Errorf("Reap again = %d, %d, %v; want nothing", n, freed, err)
	}
}

// Invalid data is kept for the grace period from the moment it was found out,
// not from when it was written.
func TestGracePeriodBeginsLate(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 1000)
	download(t, c, im)
	check(t, os.Truncate(c.data(im.ID), 10))
	touch(t, c.data(im.ID), start.AddDate(-1, 0, 0))
	c.Has(im.Image)
	if n, _, err := c.Reap(t.Context(), time.Now().Add(59*time.Minute)); n != 0 || err != nil {
		t.Errorf("Reap before the grace period ends = %d, %v; want 0", n, err)
	}
	if n, _, err := c.Reap(t.Context(), time.Now().Add(61*time.Minute)); n != 1 || err != nil {
		t.Errorf("Reap after the grace period = %d, %v; want 1", n, err)
	}
}

func TestPrune(t *testing.T) {
	for _, test := range []struct {
		name  string
		max   int64
		extra float64
		left  []int // of ten entries of 100 bytes; 9 was used first, 0 last
	}{
		{"fits", 1000, 0.2, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"one too many", 950, 0, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"with extra", 950, 0.2, []int{0, 1, 2, 3, 4, 5, 6}},
		{"just under", 999, 0, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"most", 300, 0.5, []int{0}},
		{"all", 0, 0, nil},
		{"more extra than there is", 500, 7, nil},
	} {
		for _, batch := range []int{1, 2, 3, 100} { // what is kept in mind must not matter
			c, _ := newCache(t, Options{})
			c.pruneBatch = batch
			for n := range 10 {
				put(t, c, id(n), 100, start.Add(-time.Duration(n)*time.Minute))
			}
			n, freed, err := c.Prune(t.Context(), test.max, test.extra)
			if want := 10 - len(test.left); n != want || freed != int64(want)*100 || err != nil {
				t.Errorf("%s, batch %d: Prune = %d, %d, %v; want %d, %d", test.name, batch, n, freed, err, want, want*100)
			}
			var left []glance.ID
			for _, n := range test.left {
				left = append(left, id(n))
			}
			checkFiles(t, c, "", left...)
			checkFiles(t, c, stateDir, left...)
		}
	}
}

// A hit makes an entry young, whatever the file system does with access times.
func TestPruneTakesLeastRecentlyUsed(t *testing.T) {
	c, _ := newCache(t, Options{})
	old, used := newImage(1, 100), newImage(2, 100)
	for i, im := range []*image{used, old} {
		download(t, c, im)
		touch(t, c.data(im.ID), start.Add(time.Duration(i)*time.Hour))
		touch(t, c.state(im.ID), start.Add(time.Duration(i)*time.Hour))
	}
	read(t, c, used, 5, 1)
	_, _, err := c.Prune(t.Context(), 100, 0)
	check(t, err)
	checkFiles(t, c, "", used.ID)
}

func TestPruneGoesOnAfterFailure(t *testing.T) {
	c, _ := newCache(t, Options{})
	for n := range 3 {
		put(t, c, id(n), 100, start.Add(-time.Duration(n)*time.Minute))
	}
	// A directory in place of the state is something remove cannot remove.
	check(t, os.Remove(c.state(id(2))))
	check(t, os.MkdirAll(filepath.Join(c.state(id(2)), "x"), 0o700))
	touch(t, c.state(id(2)), start.Add(-time.Hour))
	n, freed, err := c.Prune(t.Context(), 100, 0)
	if n != 2 || freed != 200 || err == nil {
		t.Errorf("Prune = %d, %d, %v; want 2, 200 and an error", n, freed, err)
	}
	checkFiles(t, c, "", id(0))
}

func TestUpkeepEndsWithContext(t *testing.T) {
	c, _ := newCache(t, Options{})
	put(t, c, id(1), 100, start)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Prune(ctx, 0, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Prune after cancel = %v; want %v", err, context.Canceled)
	}
	if _, _, err := c.Reap(ctx, start); !errors.Is(err, context.Canceled) {
		t.Errorf("Reap after cancel = %v; want %v", err, context.Canceled)
	}
	checkFiles(t, c, "", id(1))
}

// A reader has the data to the end, even if it is pruned meanwhile.
func TestPruneWhileReading(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 1_000_000)
	download(t, c, im)
	r, err := c.Open(t.Context(), im.Image, 0, -1, im.fetch)
	check(t, err)
	if n, _, err := c.Prune(t.Context(), 0, 0); n != 1 || err != nil {
		t.Errorf("Prune = %d, %v; want 1", n, err)
	}
	got, err := io.ReadAll(r)
	check(t, errors.Join(err, r.Close()))
	if !bytes.Equal(got, im.data) || im.fetches.Load() != 1 {
		t.Errorf("read %d bytes with %d fetches; want the image's data with 1", len(got), im.fetches.Load())
	}
}

// victim is the environment variable that makes the test binary a process
// which is killed while it fills the cache in the directory it names.
const victim = "IMAGECACHE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		beVictim(dir)
		return
	}
	os.Exit(m.Run())
}

// beVictim caches one image, begins with a second, says so and waits.
func beVictim(dir string) {
	c, err := Open(dir, Options{})
	if err != nil {
		panic(err)
	}
	whole, part := newImage(1, 1_000_000), newImage(2, 4*bufferSize)
	if err := c.Fill(context.Background(), whole.Image, whole.all); err != nil {
		panic(err)
	}
	r, err := c.Open(context.Background(), part.Image, 0, -1, part.fetch)
	if err != nil {
		panic(err)
	}
	if _, err := io.CopyN(io.Discard, r, 3*bufferSize); err != nil {
		panic(err)
	}
	println("ready")
	select {}
}

func TestStateAfterKill(t *testing.T) {
	c, _ := newCache(t, Options{})
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), victim+"="+c.dir)
	out, err := process.StderrPipe()
	check(t, err)
	check(t, process.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	check(t, process.Process.Kill())
	_ = process.Wait() // it was killed
	if line != "ready\n" {
		t.Fatalf("the process said %q, %v; want ready", line, err)
	}

	whole, part := newImage(1, 1_000_000), newImage(2, 4*bufferSize)
	download(t, c, whole)
	if whole.fetches.Load() != 0 {
		t.Error("what the killed process cached is lost")
	}
	checkFiles(t, c, incompleteDir, part.ID)
	checkSweep(t, c, whole.ID)
	download(t, c, part) // nobody is at work on what was left
	checkFiles(t, c, "", whole.ID, part.ID)
	checkFiles(t, c, incompleteDir)
	if n, _, err := c.Reap(t.Context(), time.Now().Add(25*time.Hour)); n != 0 || err != nil {
		t.Errorf("Reap = %d, %v; want 0", n, err)
	}
}

// checkSweep has a copy of c swept, in which the given image exists.
func checkSweep(t *testing.T, c *Cache, there glance.ID) {
	t.Helper()
	dir := t.TempDir()
	check(t, os.CopyFS(dir, os.DirFS(c.dir)))
	swept, err := Open(dir, Options{})
	check(t, err)
	put(t, swept, id(7), 10, time.Now()) // deleted meanwhile
	foreign := filepath.Join(dir, incompleteDir, string(id(8)))
	check(t, os.WriteFile(foreign, nil, 0o600))
	check(t, os.WriteFile(swept.state(id(9)), nil, 0o600))
	check(t, os.WriteFile(filepath.Join(dir, stateDir, "."+string(id(9))+".1"), nil, 0o600))
	f, err := swept.createIncomplete(id(6)) // of a process that lives
	check(t, err)
	defer f.Close()
	check(t, swept.Sweep(t.Context(), func(id glance.ID) (bool, error) { return id == there, nil }))
	checkFiles(t, swept, "", there)
	checkFiles(t, swept, stateDir, there)
	if got := files(t, swept, incompleteDir); len(got) != 2 {
		t.Errorf("after a sweep there are %q; want those that others write on", got)
	}
	broken := errors.New("no catalog")
	if err := swept.Sweep(t.Context(), func(glance.ID) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("Sweep without a catalog: %v; want %v", err, broken)
	}
	checkFiles(t, swept, "", there)
}
