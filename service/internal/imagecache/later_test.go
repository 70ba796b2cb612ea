package imagecache

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A remote is a download from a store whose file is on another file system. It
// can be read again.
type remote struct {
	stored
	again func() (io.ReadCloser, error)
}

func (r remote) Again() (io.ReadCloser, error) { return r.again() }

// fromRemote returns what fetches such a file, and counts how often it is read
// again, which fails with an error unless that is nil.
func fromRemote(t *testing.T, name string, failed error) (fetch func(off, n int64) (io.ReadCloser, error), again *int) {
	again = new(int)
	return func(_, _ int64) (io.ReadCloser, error) {
		f, err := os.Open(name)
		check(t, err)
		return remote{stored{f, syscall.EXDEV}, func() (io.ReadCloser, error) {
			*again++
			if failed != nil {
				return nil, failed
			}
			return os.Open(name)
		}}, nil
	}, again
}

// Nothing is written to the cache before the download has ended.
func TestCopyLater(t *testing.T) {
	c, log := newCache(t, Options{})
	im := newImage(1, 5*bufferSize+1)
	fetch, again := fromRemote(t, keep(t, c, im.data), nil)
	var all []io.ReadCloser
	for range 3 { // the work is done once
		r, err := c.Open(t.Context(), im.Image, 0, -1, fetch)
		check(t, err)
		all = append(all, r)
	}
	for i, r := range all {
		got, err := io.ReadAll(r)
		if string(got) != string(im.data) || err != nil {
			t.Errorf("download = %d bytes, %v", len(got), err)
		}
		begun, err := c.incomplete(im.ID)
		check(t, err)
		if i == 0 && len(begun) != 1 || *again != 0 || c.Has(im.Image) {
			t.Errorf("before the end of a download it is begun %d times, read again %d times; want 1 and 0", len(begun), *again)
		}
		for _, f := range begun {
			if info, err := f.Info(); err != nil || info.Size() != 0 {
				t.Errorf("before the end of a download %v is written, %v", info, err)
			}
		}
	}
	for _, r := range all {
		check(t, r.Close())
	}
	wait(t, c)
	if *again != 1 || !c.Has(im.Image) || log.String() != "" {
		t.Errorf("after the downloads it was read again %d times, is cached: %t; %s", *again, c.Has(im.Image), log)
	}
	checkFiles(t, c, incompleteDir)
	download(t, c, im)
	if im.fetches.Load() != 0 {
		t.Error("the store was asked for what is cached")
	}
}

func TestCopyLaterIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		name   string
		read   int64
		change func(data []byte)
		failed error // of reading it again
		drop   bool  // before the copy
		again  int
		log    string
		aside  bool // it is kept as invalid
	}{
		{name: "broken off", read: 999},
		{name: "not begun"},
		{name: "dropped", read: 1000, drop: true, again: 1},
		{name: "gone", read: 1000, failed: fs.ErrNotExist, again: 1, log: "cannot read an image again to cache it"},
		{name: "other data", read: 1000, change: func(d []byte) { d[0] ^= 1 }, again: 1, log: "wrong length or checksum", aside: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := newCache(t, Options{})
			im := newImage(1, 1000)
			if test.change != nil {
				test.change(im.data)
			}
			fetch, again := fromRemote(t, keep(t, c, im.data), test.failed)
			r, err := c.Open(t.Context(), im.Image, 0, -1, fetch)
			check(t, err)
			if n, err := io.CopyN(io.Discard, r, test.read); n != test.read || err != nil {
				t.Errorf("read %d bytes, %v", n, err)
			}
			if test.drop {
				check(t, c.Drop(t.Context(), im.ID))
			}
			check(t, r.Close())
			wait(t, c)
			if *again != test.again || !strings.Contains(log.String(), test.log) || test.log == "" && log.String() != "" {
				t.Errorf("it was read again %d times; want %d. The log is %q; want %q", *again, test.again, log, test.log)
			}
			if !test.aside {
				empty(t, c)
			}
			if c.Has(im.Image) {
				t.Error("it is cached")
			}
			// What was given up is no hindrance.
			download(t, c, newImage(1, 1000))
			wait(t, c)
			if !c.Has(im.Image) {
				t.Error("the next download is not cached")
			}
		})
	}
}

// What the system has forgotten again by then is copied while it is read.
func TestCopyOfLargeImages(t *testing.T) {
	c, _ := newCache(t, Options{})
	if n := c.largest.Load(); n < 16<<20 {
		t.Errorf("images of %d bytes are taken for large", n)
	}
	im := newImage(1, 1000)
	for _, test := range []struct {
		largest int64
		again   int
	}{{1000, 1}, {999, 0}} {
		c.largest.Store(test.largest)
		fetch, again := fromRemote(t, keep(t, c, im.data), errors.New("not to be read again"))
		if test.again > 0 {
			fetch, again = fromRemote(t, keep(t, c, im.data), nil)
		}
		r, err := c.Open(t.Context(), im.Image, 0, -1, fetch)
		check(t, err)
		_, err = io.Copy(io.Discard, struct{ io.Reader }{r})
		check(t, errors.Join(err, r.Close()))
		wait(t, c)
		if *again != test.again || !c.Has(im.Image) {
			t.Errorf("if up to %d bytes are kept it was read again %d times, is cached: %t; want %d times", test.largest, *again, c.Has(im.Image), test.again)
		}
		check(t, c.Drop(t.Context(), im.ID))
	}
}

// What the system has not kept is not cached, and no image as large is left for
// later again.
func TestCopyOfWhatIsNotKept(t *testing.T) {
	c, log := newCache(t, Options{})
	for n, test := range []struct {
		size   int
		asked  int // whether it is in memory
		cached bool
	}{{1000, 1, false}, {1000, 0, true}, {2000, 0, true}, {999, 1, false}} {
		im := newImage(n+1, test.size)
		name := keep(t, c, im.data)
		asked := 0
		r, err := c.Open(t.Context(), im.Image, 0, -1, func(_, _ int64) (io.ReadCloser, error) {
			f, err := os.Open(name)
			check(t, err)
			return remote{stored{f, syscall.EXDEV}, func() (io.ReadCloser, error) {
				asked++
				return nil, nil
			}}, nil
		})
		check(t, err)
		_, err = io.Copy(io.Discard, struct{ io.Reader }{r})
		check(t, errors.Join(err, r.Close()))
		wait(t, c)
		if asked != test.asked || c.Has(im.Image) != test.cached {
			t.Errorf("image %d: asked for %d times, cached: %t; want %d, %t", n+1, asked, c.Has(im.Image), test.asked, test.cached)
		}
	}
	checkFiles(t, c, incompleteDir)
	if strings.Contains(log.String(), "WARN") {
		t.Errorf("log: %s", log)
	}
}
