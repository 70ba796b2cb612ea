package swiftstore

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncw/swift/v2"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
)

// idOf returns an ID that sorts by n.
func idOf(n string) glance.ID { return glance.ID(n + string(id)[len(n):]) }

// put writes objects that nobody asked the store to write.
func put(t *testing.T, s *Store, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := s.conn.ObjectPutString(t.Context(), "images", name, "left", ""); err != nil {
			t.Fatal(err)
		}
	}
}

// sizes returns what the store has.
func sizes(t *testing.T, s *Store) map[string]int64 {
	t.Helper()
	got := map[string]int64{}
	err := s.Objects(t.Context(), func(o glance.Object) error {
		name := strings.TrimPrefix(o.URL, "swift+config://ref1/images/")
		if _, again := got[name]; again || !strings.HasPrefix(name, string(o.ID)) || time.Since(o.Written).Abs() > time.Minute {
			t.Errorf("Objects tells %+v", o)
		}
		got[name] = o.Size
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestObjects(t *testing.T) {
	c := newCluster(t)
	s := open(t, c.config())
	if got := sizes(t, s); len(got) > 0 {
		t.Errorf("without a container there is %v", got)
	}
	small, large, theirs, cut, beside := string(idOf("1")), string(idOf("2")), string(idOf("3")), string(idOf("4")), string(idOf("5"))
	for name, size := range map[string]int{small: 7, large: 600 << 10, beside: 300 << 10} {
		if _, _, err := s.Put(t.Context(), glance.ID(name), bytes.NewReader(make([]byte, size))); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "unrelated", "a-directory/x", large+"x", theirs+"-00001", theirs+"-00002", cut+"-ABCDEFGH-00001", beside+"-ABCDEFGH-00001", "zzz")
	h := swift.Headers{"X-Object-Manifest": "images/" + theirs + "-"}
	if _, err := s.conn.ObjectPut(t.Context(), "images", theirs, strings.NewReader(""), false, "", "", h); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{
		small: 7, large: 600 << 10, theirs: 8, beside: 300 << 10,
		cut + "-ABCDEFGH-00001": 4, beside + "-ABCDEFGH-00001": 4,
	}
	for _, page := range []int{objectsPage, 1, 2, 3} {
		s.page = page
		if d := cmp.Diff(want, sizes(t, s)); d != "" {
			t.Errorf("Objects in parts of %d: -want +got:\n%s", page, d)
		}
	}
	c.mu.Lock()
	c.deny["GET /images"] = 503
	c.mu.Unlock()
	if err := s.Objects(t.Context(), func(glance.Object) error { return nil }); err == nil {
		t.Error("Objects of a cluster that is away: no error")
	}
}

// What a process left that was killed while it wrote is found, and goes when
// it is told to; what images are made of stays.
func TestOrphans(t *testing.T) {
	c := newCluster(t)
	s := open(t, c.config())
	ahead := func() time.Time { return time.Now().Add(2 * time.Hour) }
	images, err := glance.New(new(memory.Catalog), []glance.Backend{{Store: s}}, glance.Options{Now: ahead})
	if err != nil {
		t.Fatal(err)
	}
	ctx := glance.WithCaller(t.Context(), glance.Caller{Admin: true})
	im, err := images.Create(ctx, glance.Draft{ID: id, DiskFormat: new("raw"), ContainerFormat: new("bare")})
	if err != nil {
		t.Fatal(err)
	}
	if err := images.Upload(ctx, im.ID, bytes.NewReader(make([]byte, 600<<10)), glance.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	lost, cut := string(idOf("a")), string(idOf("b"))
	if _, _, err := s.Put(ctx, glance.ID(lost), bytes.NewReader(make([]byte, 300<<10))); err != nil {
		t.Fatal(err)
	}
	put(t, s, cut+"-ABCDEFGH-00001", string(id)+"-ABCDEFGH-00001")
	var found []glance.Finding
	audit := func() (names []string) {
		t.Helper()
		found = nil
		if err := images.Audit(ctx, func(f glance.Finding) error {
			found = append(found, f)
			names = append(names, strings.TrimPrefix(f.URL, "swift+config://ref1/images/"))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return names
	}
	want := []string{string(id) + "-ABCDEFGH-00001", lost, cut + "-ABCDEFGH-00001"}
	if d := cmp.Diff(want, audit()); d != "" {
		t.Fatalf("orphans: -want +got:\n%s", d)
	}
	for _, f := range found {
		if err := images.RemoveOrphan(ctx, f); err != nil {
			t.Error(err)
		}
	}
	if got := audit(); got != nil {
		t.Errorf("after they were removed there are orphans: %q", got)
	}
	if got := sizes(t, s); len(got) != 1 || got[string(id)] != 600<<10 {
		t.Errorf("left: %v; want the image alone", got)
	}
}
