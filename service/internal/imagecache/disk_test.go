package imagecache

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is on the disk is only believed if it is what the image has to be.
func TestDamagedEntries(t *testing.T) {
	for _, test := range []struct {
		name    string
		damage  func(t *testing.T, c *Cache, im *image)
		invalid bool
	}{
		{"cut short", func(t *testing.T, c *Cache, im *image) {
			check(t, os.Truncate(c.data(im.ID), 10))
		}, true},
		{"state is gone", func(t *testing.T, c *Cache, im *image) {
			check(t, os.Remove(c.state(im.ID)))
		}, false},
		{"state is empty", func(t *testing.T, c *Cache, im *image) {
			check(t, os.Truncate(c.state(im.ID), 0))
		}, false},
		{"data of another image", func(t *testing.T, c *Cache, im *image) {
			check(t, c.newState(identity{im.ID, *im.Size, strings.Repeat("0", checksumLen)}))
		}, false},
		{"data is gone", func(t *testing.T, c *Cache, im *image) {
			check(t, os.Remove(c.data(im.ID)))
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _ := newCache(t, Options{})
			im := newImage(1, 1000)
			download(t, c, im)
			test.damage(t, c, im)
			if c.Has(im.Image) {
				t.Error("Has = true for a damaged entry")
			}
			download(t, c, im)
			download(t, c, im)
			if n := im.fetches.Load(); n != 2 {
				t.Errorf("the store was read %d times; want 2: once more after the damage", n)
			}
			if test.invalid {
				checkFiles(t, c, invalidDir, im.ID)
			} else {
				checkFiles(t, c, invalidDir)
			}
		})
	}
}

// The disk that holds an entry fails in the middle of a download.
func TestHitGoesOnFromStore(t *testing.T) {
	c, log := newCache(t, Options{})
	im := newImage(1, 1_000_000)
	download(t, c, im)
	r, err := c.Open(t.Context(), im.Image, 1000, 900_000, im.fetch)
	check(t, err)
	defer r.Close()
	head := make([]byte, 500_000)
	_, err = io.ReadFull(r, head)
	check(t, err)
	check(t, os.Truncate(c.data(im.ID), 10))
	rest, err := io.ReadAll(r)
	check(t, err)
	if !bytes.Equal(append(head, rest...), im.data[1000:901_000]) {
		t.Error("the download is not the image's data")
	}
	checkFiles(t, c, "")
	checkFiles(t, c, invalidDir, im.ID)
	if !strings.Contains(log.String(), "cannot read") {
		t.Errorf("log = %q; want a line about the failure", log)
	}
}

// cutting is a connection that makes the disk fail when it has got some of a
// file.
type cutting struct {
	bytes.Buffer
	cut func()
	err error
}

func (c *cutting) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.CopyN(&c.Buffer, r, 500_000)
	c.cut()
	return n, errors.Join(err, c.err)
}

// An entry is handed to a connection as a file. If the disk fails meanwhile
// the rest comes from the store, and if it is the connection, nothing does.
func TestHitIsSent(t *testing.T) {
	for _, test := range []struct {
		name    string
		keep    int64 // of the file
		err     error
		fetches int64
		want    int
	}{
		{"the file gets shorter", 10, nil, 1, 900_000},
		{"the disk fails", 10, errors.New("input/output error"), 1, 900_000},
		{"the connection ends", 1_000_000, errors.New("broken pipe"), 0, 500_000},
		{"in two pieces", 1_000_000, nil, 0, 900_000},
	} {
		c, _ := newCache(t, Options{})
		im := newImage(1, 1_000_000)
		download(t, c, im)
		before := im.fetches.Load()
		r, err := c.Open(t.Context(), im.Image, 1000, 900_000, im.fetch)
		check(t, err)
		to := &cutting{err: test.err, cut: func() { check(t, os.Truncate(c.data(im.ID), test.keep)) }}
		n, err := io.Copy(to, r)
		check(t, r.Close())
		if (err != nil) != (test.want < 900_000) || n != int64(test.want) || !bytes.Equal(to.Bytes(), im.data[1000:1000+test.want]) {
			t.Errorf("%s: copy = %d, %v with %d bytes; want %d of the image's data", test.name, n, err, to.Len(), test.want)
		}
		if got := im.fetches.Load() - before; int64(got) != test.fetches {
			t.Errorf("%s: %d fetches; want %d", test.name, got, test.fetches)
		}
	}
}

// The cache's directory cannot be used at all.
func TestDownloadWithoutDisk(t *testing.T) {
	for _, sub := range []string{incompleteDir, stateDir, invalidDir} {
		c, log := newCache(t, Options{})
		check(t, os.RemoveAll(filepath.Join(c.dir, sub)))
		check(t, os.WriteFile(filepath.Join(c.dir, sub), nil, 0o600))
		im := newImage(1, 1_000_000)
		download(t, c, im)
		download(t, c, im)
		if sub != invalidDir && !strings.Contains(log.String(), "not cached") {
			t.Errorf("without %s: log = %q; want a line that says so", sub, log)
		}
	}
}

// openFill begins a download and replaces the file it is cached in.
func openFill(t *testing.T, c *Cache, im *image, f *os.File) io.ReadCloser {
	t.Helper()
	r, err := c.Open(t.Context(), im.Image, 0, -1, im.fetch)
	check(t, err)
	w := r.(*tee).fill
	own := w.f // stays, with its lock, so that others see the fill
	t.Cleanup(func() { check(t, errors.Join(own.Close(), remove(own.Name()))) })
	w.f = f // the writer looks at it when the first buffer comes
	return r
}

func TestDownloadWithFullDisk(t *testing.T) {
	c, log := newCache(t, Options{})
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("the test needs /dev/full: %v", err)
	}
	im := newImage(1, 3*buffers*bufferSize)
	// Removing the file that has failed must not hit the device.
	link := filepath.Join(t.TempDir(), "full")
	check(t, os.Symlink("/dev/full", link))
	check(t, full.Close())
	full, err = os.OpenFile(link, os.O_RDWR, 0)
	check(t, err)
	r := openFill(t, c, im, full)
	got, err := io.ReadAll(r)
	check(t, errors.Join(err, r.Close()))
	if !bytes.Equal(got, im.data) {
		t.Error("the download is not the image's data")
	}
	wait(t, c)
	checkFiles(t, c, "")
	if !strings.Contains(log.String(), "no space left") {
		t.Errorf("log = %q; want a line about the full disk", log)
	}
}

// A disk that hangs takes nothing but a little patience.
func TestDownloadWithHangingDisk(t *testing.T) {
	c, log := newCache(t, Options{})
	c.patience = 500 * time.Millisecond
	stuck, hanging, err := os.Pipe() // writing blocks when the pipe is full
	check(t, err)
	im := newImage(1, 4*buffers*bufferSize)
	began := time.Now()
	r := openFill(t, c, im, hanging)
	got, err := io.ReadAll(r)
	check(t, errors.Join(err, r.Close()))
	// Waiting for each of the other buffers would take longer, on any machine.
	if took := time.Since(began); took > 3*buffers*c.patience {
		t.Errorf("the download took %v", took)
	}
	if !bytes.Equal(got, im.data) {
		t.Error("the download is not the image's data")
	}
	if again := read(t, c, im, 0, -1); !bytes.Equal(again, im.data) {
		t.Error("a second download while the disk hangs is not the image's data")
	}
	check(t, stuck.Close()) // the disk comes back, with an error
	wait(t, c)
	checkFiles(t, c, "")
	if !strings.Contains(log.String(), "not cached") {
		t.Errorf("log = %q; want a line that says so", log)
	}
}

func TestSlowDiskGivesUp(t *testing.T) {
	c, log := newCache(t, Options{})
	c.patience = 100 * time.Millisecond
	out, slow, err := os.Pipe()
	check(t, err)
	im := newImage(1, 4*buffers*bufferSize)
	r := openFill(t, c, im, slow)
	got, err := io.ReadAll(r)
	check(t, errors.Join(err, r.Close()))
	if !bytes.Equal(got, im.data) {
		t.Error("the download is not the image's data")
	}
	_, err = io.Copy(io.Discard, io.LimitReader(out, buffers*bufferSize)) // all that was buffered
	check(t, err)
	wait(t, c)
	check(t, out.Close())
	if !strings.Contains(log.String(), errSlow.Error()) {
		t.Errorf("log = %q; want %q", log, errSlow)
	}
}

// What root puts into the cache belongs to the cache's owner.
func TestFillForTheOwner(t *testing.T) {
	c, _ := newCache(t, Options{})
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 12345, 54321
		check(t, os.Chown(c.dir, uid, gid))
	}
	im := newImage(1, 1000)
	check(t, c.Fill(t.Context(), im.Image, im.all))
	for _, name := range []string{c.data(im.ID), filepath.Join(c.dir, stateDir, string(im.ID))} {
		info, err := os.Stat(name)
		check(t, err)
		if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != uid || int(owner.Gid) != gid {
			t.Errorf("%s belongs to %d:%d; want %d:%d", name, owner.Uid, owner.Gid, uid, gid)
		}
	}
}
