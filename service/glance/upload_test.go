package glance_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"glancectl/service/glance"
)

func TestUpload(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	h.events.take()
	data := strings.Repeat("0123456789", 100_000)
	if err := h.Upload(as(t, "member t1"), im.ID, strings.NewReader(data), glance.UploadOptions{Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	got := h.get(t, im.ID)
	if got.Status != glance.Active || *got.Size != int64(len(data)) || *got.VirtualSize != int64(len(data)) {
		t.Errorf("image is %s with %d bytes, virtually %d; want active with %d", got.Status, *got.Size, *got.VirtualSize, len(data))
	}
	if want := fmt.Sprintf("%x", md5.Sum([]byte(data))); *got.Checksum != want {
		t.Errorf("checksum = %s; want %s", *got.Checksum, want)
	}
	if want := fmt.Sprintf("%x", sha512.Sum512([]byte(data))); *got.HashAlgo != "sha512" || *got.HashValue != want {
		t.Errorf("hash = %s %s; want sha512 %s", *got.HashAlgo, *got.HashValue, want)
	}
	if len(got.Locations) != 1 || got.Locations[0].Status != glance.Active || !strings.HasPrefix(got.Locations[0].URL, "memory:") {
		t.Errorf("locations = %+v; want one in memory", got.Locations)
	}
	if got, err := h.read(as(t, "member t1"), im.ID, 0, -1); err != nil || got != data {
		t.Errorf("download yields %d bytes, %v; want the %d uploaded", len(got), err, len(data))
	}
	if got, want := h.events.take(), "image.update, image.prepare, image.upload, image.activate, image.update"; got != want {
		t.Errorf("events = %s; want %s", got, want)
	}
}

func TestUploadHash(t *testing.T) {
	h := newHouse(t, glance.Options{HashAlgo: "sha256"})
	im := h.active(t, "abc")
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("abc"))); *im.HashAlgo != "sha256" || *im.HashValue != want {
		t.Errorf("hash = %s %s; want sha256 %s", *im.HashAlgo, *im.HashValue, want)
	}
	if _, err := glance.New(h.catalog, []glance.Backend{{Store: h.store}}, glance.Options{HashAlgo: "crc32"}); err == nil {
		t.Error("New with an unknown hash succeeds")
	}
}

// A failed upload leaves the image as it was before, and no data.
func TestUploadFails(t *testing.T) {
	broken := errors.New("connection reset")
	for _, test := range []struct {
		name string
		o    glance.UploadOptions
		r    io.Reader
		put  error // of the store
		want error
		text string
	}{
		{"the client goes away", glance.UploadOptions{}, io.MultiReader(strings.NewReader("01234"), iotest.ErrReader(broken)), nil, glance.ErrInvalid, "Client disconnected before sending all data to backend"},
		{"the client sends less than it said", glance.UploadOptions{}, io.MultiReader(strings.NewReader("01234"), iotest.ErrReader(io.ErrUnexpectedEOF)), nil, glance.ErrInvalid, "Client disconnected before sending all data to backend"},
		{"more than the limit", glance.UploadOptions{}, strings.NewReader("01234567890"), nil, glance.ErrTooLarge, "The incoming image is too large: The provided image is too large."},
		{"more than the limit, announced", glance.UploadOptions{Size: 11}, strings.NewReader("01234567890"), nil, glance.ErrTooLarge, "The incoming image is too large: The provided image is too large."},
		{"the store is full", glance.UploadOptions{}, strings.NewReader("0"), glance.ErrStoreFull, glance.ErrStoreFull, ""},
		{"the store is read-only", glance.UploadOptions{}, strings.NewReader("0"), glance.ErrStoreReadOnly, glance.ErrStoreReadOnly, ""},
		{"the store has data", glance.UploadOptions{}, strings.NewReader("0"), glance.ErrExists, glance.ErrConflict, ""},
		{"the store fails", glance.UploadOptions{}, strings.NewReader("0"), broken, broken, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &faulty{err: test.put}
			h := newHouse(t, glance.Options{MaxSize: 10}, store)
			store.Store = h.store
			im := h.create(t)
			err := h.Upload(as(t, "member t1"), im.ID, test.r, test.o)
			is(t, "Upload", err, test.want)
			if test.text != "" && err.Error() != test.text {
				t.Errorf("Upload: %q; want %q", err, test.text)
			}
			h.isFresh(t, im.ID)
			store.err = nil
			if err := h.Upload(as(t, "member t1"), im.ID, strings.NewReader("0123456789"), glance.UploadOptions{Size: 10}); err != nil {
				t.Errorf("Upload after a failed one: %v", err)
			}
		})
	}
}

// isFresh checks that the image waits for data and that there is none.
func (h *house) isFresh(t *testing.T, id glance.ID) {
	t.Helper()
	im := h.get(t, id)
	if im.Status != glance.Queued || im.Size != nil || im.Checksum != nil || im.HashValue != nil || len(im.Locations) > 0 {
		t.Errorf("image is %+v; want it queued, without a trace of data", im)
	}
	if n := h.store.Len(); n != 0 {
		t.Errorf("the store keeps %d objects; want none", n)
	}
}

// A faulty store fails to Put with err, if it is not nil.
type faulty struct {
	glance.Store
	err error
}

func (f *faulty) Scheme() string { return "memory" }

func (f *faulty) Put(ctx context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	if f.err != nil {
		return "", 0, f.err
	}
	return f.Store.Put(ctx, id, r)
}

// When the request ends in the middle, the clean-up still happens.
func TestUploadCancelled(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	ctx, cancel := context.WithCancel(as(t, "member t1"))
	defer cancel()
	r := io.MultiReader(strings.NewReader("01234"), hook(func() { cancel() }), zeros{})
	is(t, "Upload", h.Upload(ctx, im.ID, r, glance.UploadOptions{}), glance.ErrInvalid)
	h.isFresh(t, im.ID)
}

// hook is an empty reader that calls itself.
type hook func()

func (h hook) Read([]byte) (int, error) {
	h()
	return 0, io.EOF
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// An image that is deleted while its data arrives stays deleted, and the data
// goes: a quota cannot be cheated that way.
func TestUploadOfDeleted(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	r := io.MultiReader(strings.NewReader("01234"), hook(func() {
		if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
			t.Error(err)
		}
	}), strings.NewReader("56789"))
	is(t, "Upload", h.Upload(as(t, "member t1"), im.ID, r, glance.UploadOptions{}), glance.ErrGone)
	if got := h.get(t, im.ID); got.Status != glance.Deleted {
		t.Errorf("image is %s; want deleted", got.Status)
	}
	if n := h.store.Len(); n != 0 {
		t.Errorf("the store keeps %d objects; want none", n)
	}
}

// Of many uploads at once one succeeds, and the image has its data.
func TestUploadsAtOnce(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := ""
	for i := range 8 {
		wg.Go(func() {
			data := strings.Repeat(fmt.Sprint(i), 300_000)
			err := h.Upload(as(t, "member t1"), im.ID, strings.NewReader(data), glance.UploadOptions{})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && won == "":
				won = data
			case !errors.Is(err, glance.ErrConflict):
				t.Errorf("Upload beside others: %v; want %v", err, glance.ErrConflict)
			}
		})
	}
	wg.Wait()
	if got, err := h.read(as(t, "member t1"), im.ID, 0, -1); err != nil || got != won || won == "" {
		t.Errorf("the image has %d bytes, %v; want the %d that were uploaded with success", len(got), err, len(won))
	}
}

// A change of the image while its data arrives is not lost.
func TestUpdateDuringUpload(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	r := io.MultiReader(strings.NewReader("01234"), hook(func() {
		_, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{
			{Op: glance.Replace, Attribute: "name", Value: "renamed"},
			{Op: glance.Add, Attribute: "new", Value: "property"},
		})
		if err != nil {
			t.Error(err)
		}
	}), strings.NewReader("56789"))
	if err := h.Upload(as(t, "member t1"), im.ID, r, glance.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	got := h.get(t, im.ID)
	if got.Status != glance.Active || *got.Name != "renamed" || got.Properties["new"] != "property" {
		t.Errorf("image is %s, %q, %v; want it active, renamed, with its new property", got.Status, *got.Name, got.Properties)
	}
}

func TestUploadMemory(t *testing.T) {
	for _, test := range []struct {
		name  string
		store glance.Store
	}{
		{"to a store that copies", drain{}},
		{"to a store that reads", drain{buffer: make([]byte, 64<<10)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, glance.Options{}, test.store)
			im := h.create(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := h.Upload(as(t, "member t1"), im.ID, io.LimitReader(zeros{}, 1<<30), glance.UploadOptions{}); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 { // twelve blocks are 3 MiB
				t.Errorf("uploading 1 GiB allocated %d bytes; want at most 4 MiB", got)
			}
			if got := *h.get(t, im.ID).Checksum; got != "cd573cfaace07e7949bc0c46028904ff" {
				t.Errorf("checksum of 1 GiB of zeros = %s", got)
			}
		})
	}
}

// A drain is a store that keeps nothing.
type drain struct {
	glance.Store
	buffer []byte // nil: io.Copy
}

func (drain) Scheme() string { return "drain" }

func (d drain) Put(_ context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	url := "drain:" + string(id)
	if d.buffer == nil {
		n, err := io.Copy(io.Discard, r)
		return url, n, err
	}
	total := int64(0)
	for {
		n, err := r.Read(d.buffer)
		total += int64(n)
		if err == io.EOF {
			return url, total, nil
		}
		if err != nil {
			return url, total, err
		}
	}
}

const benchSize = 256 << 20

// BenchmarkUpload is an upload whose data goes nowhere: what the hashes cost.
// BenchmarkSHA512 and BenchmarkMD5 are the two hashes alone, for comparison.
func BenchmarkUpload(b *testing.B) {
	h := newHouse(b, glance.Options{}, drain{})
	b.SetBytes(benchSize)
	for b.Loop() {
		im := h.create(b)
		if err := h.Upload(as(b, "member t1"), im.ID, io.LimitReader(zeros{}, benchSize), glance.UploadOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSHA512(b *testing.B) {
	buf := make([]byte, 128<<10)
	b.SetBytes(benchSize)
	for b.Loop() {
		h := sha512.New()
		for range benchSize / len(buf) {
			h.Write(buf)
		}
		h.Sum(nil)
	}
}

func BenchmarkMD5(b *testing.B) {
	buf := make([]byte, 128<<10)
	b.SetBytes(benchSize)
	for b.Loop() {
		h := md5.New()
		for range benchSize / len(buf) {
			h.Write(buf)
		}
		h.Sum(nil)
	}
}
