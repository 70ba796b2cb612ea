package imagecache

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A stored is a download from a store whose file can be linked.
type stored struct {
	*os.File
	failed error // of Link
}

func (s stored) Link(name string) error {
	if s.failed != nil {
		return s.failed
	}
	return os.Link(s.Name(), name)
}

// keep writes data into a file of a store beside the cache.
func keep(t *testing.T, c *Cache, data []byte) string {
	t.Helper()
	name := filepath.Join(filepath.Dir(c.dir), "stored")
	check(t, os.WriteFile(name, data, 0o640))
	return name
}

// from returns what fetches a file.
func from(t *testing.T, name string, failed error) func(off, n int64) (io.ReadCloser, error) {
	return func(_, _ int64) (io.ReadCloser, error) {
		f, err := os.Open(name)
		check(t, err)
		return stored{f, failed}, nil
	}
}

// empty fails the test if there is anything in the cache.
func empty(t *testing.T, c *Cache) {
	t.Helper()
	for _, dir := range []string{"", stateDir, incompleteDir, invalidDir} {
		entries, err := os.ReadDir(filepath.Join(c.dir, dir))
		check(t, err)
		for _, e := range entries {
			if !e.IsDir() {
				t.Errorf("the cache has %s", filepath.Join(dir, e.Name()))
			}
		}
	}
}

func TestLink(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 1000)
	file := keep(t, c, im.data)
	first, err := c.Open(t.Context(), im.Image, 0, -1, from(t, file, nil))
	check(t, err)
	second, err := c.Open(t.Context(), im.Image, 0, -1, from(t, file, nil)) // the work is done once
	check(t, err)
	if _, ok := second.(*linked); ok {
		t.Error("two downloads at once are both verified")
	}
	for _, r := range []io.ReadCloser{second, first} {
		got, err := io.ReadAll(r)
		if string(got) != string(im.data) || err != nil {
			t.Errorf("download = %d bytes, %v", len(got), err)
		}
		if c.Has(im.Image) {
			t.Error("the data is an entry before it was verified")
		}
		check(t, r.Close())
	}
	check(t, c.Wait(t.Context()))
	own, err := os.Stat(file)
	check(t, err)
	entry, err := os.Stat(c.data(im.ID))
	check(t, err)
	if !os.SameFile(own, entry) || !c.Has(im.Image) {
		t.Errorf("the entry is another file, or none: %t", c.Has(im.Image))
	}
	// The store's file goes; the entry stays, and then goes as well.
	check(t, os.Remove(file))
	if got := read(t, c, im, 10, 20); string(got) != string(im.data[10:30]) || im.fetches.Load() != 0 {
		t.Errorf("a part of the entry is %q; %d times the store was asked", got, im.fetches.Load())
	}
	check(t, c.Drop(t.Context(), im.ID))
	empty(t, c)
}

// What one download links another does not copy meanwhile, however old the
// file is: its age says nothing about who is at work on it.
func TestLinkOfOldFile(t *testing.T) {
	c, _ := newCache(t, Options{})
	im := newImage(1, 1000)
	file := keep(t, c, im.data)
	old := time.Now().AddDate(-1, 0, 0)
	check(t, os.Chtimes(file, old, old))
	first, err := c.Open(t.Context(), im.Image, 0, -1, from(t, file, nil))
	check(t, err)
	second, err := c.Open(t.Context(), im.Image, 0, -1, from(t, file, nil))
	check(t, err)
	entries, err := os.ReadDir(filepath.Join(c.dir, incompleteDir))
	check(t, err)
	if len(entries) != 1 {
		t.Errorf("%d fills are under way; want 1", len(entries))
	}
	for _, r := range []io.ReadCloser{second, first} {
		got, err := io.ReadAll(r)
		if string(got) != string(im.data) || err != nil {
			t.Errorf("download = %d bytes, %v", len(got), err)
		}
		check(t, r.Close())
	}
	check(t, c.Wait(t.Context()))
	if !c.Has(im.Image) {
		t.Error("the image is not cached")
	}
}

// A download that is handed to a connection as a file counts as one that was
// read, and one that breaks off does not.
func TestLinkIsSent(t *testing.T) {
	for _, whole := range []bool{true, false} {
		c, _ := newCache(t, Options{})
		im := newImage(1, 1_000_000)
		r, err := c.Open(t.Context(), im.Image, 0, -1, from(t, keep(t, c, im.data), nil))
		check(t, err)
		to := &cutting{cut: func() {}}
		if whole {
			_, err = io.Copy(&to.Buffer, r)
		} else {
			_, err = io.Copy(to, r)
		}
		check(t, errors.Join(err, r.Close()))
		check(t, c.Wait(t.Context()))
		if c.Has(im.Image) != whole {
			t.Errorf("sent whole: %t; it is an entry: %t", whole, c.Has(im.Image))
		}
	}
}

func TestLinkIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		name   string
		o      Options
		change func(data []byte) []byte
		read   int64
		log    string
	}{
		{"broken off", Options{}, nil, 999, ""},
		{"not begun", Options{}, nil, 0, ""},
		{"other data", Options{}, func(d []byte) []byte { return append([]byte("x"), d[1:]...) }, 1000, "wrong length or checksum"},
		{"too large", Options{MaxSize: 999}, nil, 1000, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := newCache(t, test.o)
			im := newImage(1, 1000)
			data := im.data
			if test.change != nil {
				data = test.change(data)
			}
			file := keep(t, c, data)
			r, err := c.Open(t.Context(), im.Image, 0, -1, from(t, file, nil))
			check(t, err)
			if n, err := io.CopyN(io.Discard, r, test.read); n != test.read || err != nil {
				t.Errorf("read %d bytes, %v", n, err)
			}
			check(t, r.Close())
			check(t, c.Wait(t.Context()))
			empty(t, c)
			if test.log != "" && !strings.Contains(log.String(), test.log) {
				t.Errorf("the log has no %q: %s", test.log, log)
			}
			if _, err := os.Stat(file); err != nil {
				t.Error(err)
			}
		})
	}
}

// What cannot be linked is copied.
func TestLinkFails(t *testing.T) {
	for name, failed := range map[string]error{"another disk": syscall.EXDEV, "no right": errors.New("no right")} {
		t.Run(name, func(t *testing.T) {
			c, _ := newCache(t, Options{})
			im := newImage(1, 1000)
			r, err := c.Open(t.Context(), im.Image, 0, -1, from(t, keep(t, c, im.data), failed))
			check(t, err)
			_, err = io.Copy(io.Discard, struct{ io.Reader }{r})
			check(t, errors.Join(err, r.Close()))
			check(t, c.Wait(t.Context()))
			if !c.Has(im.Image) {
				t.Error("the image is not cached")
			}
		})
	}
}
