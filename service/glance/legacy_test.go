package glance_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"glancectl/service/glance"
)

func TestLook(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.active(t, "data")
	if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
		t.Fatal(err)
	}
	_, err := h.Look(as(t, "member t1"), im.ID)
	is(t, "Look at a deleted image as a member", err, glance.ErrNotFound)
	if got, err := h.Look(as(t, "admin"), im.ID); err != nil || got.Status != glance.Deleted {
		t.Errorf("Look at a deleted image as an admin = %v, %v; want it", got, err)
	}
	_, err = h.Look(as(t, "admin"), number(9))
	is(t, "Look at no image", err, glance.ErrNotFound)
	other := h.create(t)
	_, err = h.Look(as(t, "member t2"), other.ID)
	is(t, "Look at an image of others", err, glance.ErrNotFound)
}

func TestEmptyDraft(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t, func(d *glance.Draft) { d.Size, d.Empty = p(int64(0)), true })
	if im.Status != glance.Active || *im.Size != 0 {
		t.Errorf("an image without data to come is %s; want it active", im.Status)
	}
	if got, err := h.Download(as(t, "member t1"), im.ID); err != nil || !got.Empty() {
		t.Errorf("its data = %v, %v; want none", got, err)
	}
}

// failing fails after some data.
type failing struct{ r io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// TestKill uploads what cannot stay: the image is killed, and nothing is left
// of its data.
func TestKill(t *testing.T) {
	h := newHouse(t, glance.Options{MaxSize: 10})
	for _, test := range []struct {
		what string
		r    io.Reader
		o    glance.UploadOptions
		err  error
		want glance.Status
	}{
		{"another size", strings.NewReader("data"), glance.UploadOptions{Kill: true, WantSize: p(int64(5))}, glance.ErrInvalid, glance.Killed},
		{"another checksum", strings.NewReader("data"), glance.UploadOptions{Kill: true, WantChecksum: "x"}, glance.ErrInvalid, glance.Killed},
		{"another checksum, queued again", strings.NewReader("data"), glance.UploadOptions{WantChecksum: "x"}, glance.ErrInvalid, glance.Queued},
		{"too much", strings.NewReader("more than ten"), glance.UploadOptions{Kill: true}, glance.ErrTooLarge, glance.Killed},
		{"broken off", failing{strings.NewReader("da")}, glance.UploadOptions{Kill: true}, glance.ErrInvalid, glance.Killed},
		{"right", strings.NewReader("data"), glance.UploadOptions{Kill: true, WantSize: p(int64(4)), WantChecksum: "8d777f385d3dfec8815d20f7496026dc"}, nil, glance.Active},
	} {
		im := h.create(t)
		is(t, test.what, h.Upload(as(t, "member t1"), im.ID, test.r, test.o), test.err)
		now := h.get(t, im.ID)
		if now.Status != test.want || (len(now.Locations) > 0) != (test.want == glance.Active) {
			t.Errorf("%s: the image is %s with %v; want %s", test.what, now.Status, now.Locations, test.want)
		}
		_, _, err := h.store.Put(t.Context(), im.ID, strings.NewReader("x")) // fails if there is data
		if (err == nil) == (test.want == glance.Active) {
			t.Errorf("%s: putting data of the image: %v", test.what, err)
		}
	}
	im := h.create(t)
	is(t, "Kill by others", h.Kill(as(t, "member t2"), im.ID), glance.ErrNotFound)
	is(t, "Kill", h.Kill(as(t, "member t1"), im.ID), nil)
	is(t, "Kill again", h.Kill(as(t, "member t1"), im.ID), glance.ErrConflict)
	is(t, "Upload to a killed image", h.Upload(as(t, "member t1"), im.ID, strings.NewReader("x"), glance.UploadOptions{}), glance.ErrConflict)
	is(t, "Delete of a killed image", h.Delete(as(t, "member t1"), im.ID), nil)
}

func TestExpect(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im, active := h.create(t), h.active(t, "data")
	is(t, "Expect", h.Expect(as(t, "member t1"), im.ID, p(int64(7)), p("sum")), nil)
	if now := h.get(t, im.ID); *now.Size != 7 || *now.Checksum != "sum" {
		t.Errorf("size and checksum are %d and %s; want 7 and sum", *now.Size, *now.Checksum)
	}
	is(t, "Expect nothing", h.Expect(as(t, "member t1"), active.ID, nil, nil), nil)
	is(t, "Expect what is", h.Expect(as(t, "member t1"), active.ID, active.Size, active.Checksum), nil)
	is(t, "Expect another size", h.Expect(as(t, "admin"), active.ID, p(int64(7)), nil), glance.ErrForbidden)
	is(t, "Expect another checksum", h.Expect(as(t, "admin"), active.ID, nil, p("sum")), glance.ErrForbidden)
	is(t, "Expect by others", h.Expect(as(t, "member t2"), im.ID, p(int64(7)), nil), glance.ErrNotFound)
}

func TestSharing(t *testing.T) {
	h := newHouse(t, glance.Options{MemberQuota: 3})
	im := h.create(t)
	members := func(want string) {
		t.Helper()
		list, err := h.Sharers(as(t, "member t1"), im.ID)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range list {
			s := m.ProjectID
			if m.CanShare {
				s += "+"
			}
			got = append(got, s)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("members are %v; want %s", got, want)
		}
	}
	share := func(who, project string, can *bool) error {
		return h.Share(as(t, who), im.ID, glance.Sharing{ProjectID: project, CanShare: can})
	}
	is(t, "Share by others", share("member t2", "t2", nil), glance.ErrNotFound)
	is(t, "Share", share("member t1", "t2", nil), nil)
	is(t, "Share by a member", share("member t2", "t3", nil), glance.ErrForbidden)
	is(t, "Share by a reader", share("reader t1", "t3", nil), glance.ErrForbidden)
	is(t, "Share again", share("member t1", "t2", p(true)), nil)
	members("t2+")
	is(t, "Share by who may", share("member t2", "t3", nil), nil)
	is(t, "Share as it is", share("member t1", "t2", nil), nil)
	members("t2+ t3")
	is(t, "Share with one too many", share("member t1", "t4", nil), nil)
	is(t, "Share beyond the quota", share("member t1", "t5", nil), glance.ErrTooLarge)
	is(t, "Share with a bad name", h.ShareOnly(as(t, "member t1"), im.ID, []glance.Sharing{{ProjectID: "\U0001F600"}}), glance.ErrInvalid)
	is(t, "ShareOnly", h.ShareOnly(as(t, "member t1"), im.ID, []glance.Sharing{{ProjectID: "t3", CanShare: p(true)}, {ProjectID: "t7"}}), nil)
	members("t3+ t7")
	is(t, "ShareOnly beyond the quota", h.ShareOnly(as(t, "member t1"), im.ID, make([]glance.Sharing, 4)), glance.ErrTooLarge)
	is(t, "Unshare by a member", h.Unshare(as(t, "member t7"), im.ID, "t3"), glance.ErrForbidden)
	is(t, "Unshare", h.Unshare(as(t, "member t1"), im.ID, "t7"), nil)
	is(t, "Unshare again", h.Unshare(as(t, "member t1"), im.ID, "t7"), glance.ErrNotFound)
	members("t3+")
	for who, want := range map[string]int{"member t3": 1, "member t1": 1, "admin": 1, "member t2": 0} {
		if list, err := h.SharedWith(as(t, who), "t3"); len(list) != want || err != nil {
			t.Errorf("SharedWith t3 as %s = %v, %v; want %d", who, list, err, want)
		}
	}
}

// scripted is a Fetcher whose answers are written down. An answer that waits
// ends with the context.
type scripted struct {
	data    string
	err     error
	wait    bool
	fetched atomic.Int32
	closed  atomic.Int32
}

func (s *scripted) Check(_ context.Context, uri string) error {
	if uri == "http://bad/" {
		return errors.New("not allowed")
	}
	return nil
}

func (s *scripted) Fetch(ctx context.Context, _ string) (io.ReadCloser, int64, error) {
	s.fetched.Add(1)
	if s.err != nil {
		return nil, 0, s.err
	}
	r := io.Reader(strings.NewReader(s.data))
	if s.wait {
		r = ended{ctx}
	}
	return &counted{r, s}, int64(len(s.data)), nil
}

type ended struct{ ctx context.Context }

func (e ended) Read([]byte) (int, error) {
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

type counted struct {
	io.Reader
	s *scripted
}

func (c *counted) Close() error {
	c.s.closed.Add(1)
	return nil
}

// awaitStatus waits until an image has a status.
func (h *house) awaitStatus(t *testing.T, id glance.ID, want glance.Status) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); h.get(t, id).Status != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("image %s is %s; want %s", id, h.get(t, id).Status, want)
		}
	}
}

func TestCopy(t *testing.T) {
	web := &scripted{data: "from afar"}
	h := newHouse(t, glance.Options{Import: glance.ImportOptions{Fetcher: web, AtOnce: 1}})
	ctx := as(t, "member t1")
	for who, want := range map[string]error{"reader t1": glance.ErrForbidden, "anonymous": glance.ErrForbidden} {
		_, err := h.OpenCopy(as(t, who), "http://good/")
		is(t, "OpenCopy as "+who, err, want)
	}
	_, err := h.OpenCopy(ctx, "http://bad/")
	is(t, "OpenCopy of what may not be fetched", err, glance.ErrInvalid)
	if web.fetched.Load() != 0 {
		t.Error("it was asked for what may not be fetched")
	}
	_, err = newHouse(t, glance.Options{}).OpenCopy(ctx, "http://good/")
	is(t, "OpenCopy without a Fetcher", err, glance.ErrNotFound)

	c, err := h.OpenCopy(ctx, "http://good/")
	if err != nil || c.Size != 9 {
		t.Fatalf("OpenCopy = %v, %v; want 9 bytes", c, err)
	}
	im := h.create(t)
	is(t, "CopyInto by others", h.CopyInto(as(t, "member t2"), im.ID, c), glance.ErrNotFound)
	short, cancel := context.WithCancel(ctx)
	is(t, "CopyInto", h.CopyInto(short, im.ID, c), nil)
	cancel() // the request is over, the copy is not
	h.awaitStatus(t, im.ID, glance.Active)
	if got, err := h.read(ctx, im.ID, 0, -1); got != "from afar" || err != nil {
		t.Errorf("data = %q, %v", got, err)
	}
	given, err := h.OpenCopy(ctx, "http://good/")
	if err != nil {
		t.Fatal(err)
	}
	given.Close()
	for deadline := time.Now().Add(10 * time.Second); web.closed.Load() < web.fetched.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("of %d answers %d were closed", web.fetched.Load(), web.closed.Load())
		}
	}
}

// TestCopyKilled breaks copies off: their images are killed.
func TestCopyKilled(t *testing.T) {
	web := &scripted{data: "from afar", wait: true}
	h := newHouse(t, glance.Options{Import: glance.ImportOptions{Fetcher: web, AtOnce: 1}})
	ctx := as(t, "member t1")
	var ids []glance.ID
	for range 2 { // the second waits for the first
		c, err := h.OpenCopy(ctx, "http://good/")
		if err != nil {
			t.Fatal(err)
		}
		im := h.create(t)
		if err := h.CopyInto(ctx, im.ID, c); err != nil {
			t.Fatal(err)
		}
		if ids = append(ids, im.ID); len(ids) == 1 {
			h.awaitStatus(t, im.ID, glance.Saving)
		}
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Drain(now); err == nil {
		t.Error("Drain with copies under way: no error")
	}
	for _, id := range ids {
		if got := h.get(t, id).Status; got != glance.Killed {
			t.Errorf("image %s is %s after its copy was broken off; want %s", id, got, glance.Killed)
		}
	}
	c, err := h.OpenCopy(ctx, "http://good/")
	if err == nil {
		err = h.CopyInto(ctx, h.create(t).ID, c)
		c.Close()
	}
	is(t, "CopyInto after the end", err, glance.ErrUnavailable)
}

func TestRefer(t *testing.T) {
	h := newHouse(t, glance.Options{})
	for _, url := range []string{"file:///etc/passwd", "http://h/x", "nonsense"} {
		im := h.create(t)
		is(t, "Refer to "+url, h.Refer(as(t, "member t1"), im.ID, url, nil), glance.ErrInvalid)
		_, err := h.SizeAt(as(t, "member t1"), url)
		is(t, "SizeAt "+url, err, glance.ErrInvalid)
		if got := h.get(t, im.ID); got.Status != glance.Queued || len(got.Locations) > 0 {
			t.Errorf("after that the image is %s with %v", got.Status, got.Locations)
		}
	}
}
