package glance_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
)

// A shelf is a store in memory whose URLs have its name, as those of a file
// store have its directory. It fails to Open with err, and to Put with putErr,
// if they are not nil. Once Put has the data it calls atPut, if that is not nil.
type shelf struct {
	memory.Store
	name   string
	err    error
	putErr error
	delErr error
	atPut  func()

	reads     io.Reader // in place of what is there, if it is not nil
	beforePut func()
	atDelete  func()
}

func (s *shelf) prefix() string { return "memory://" + s.name + "/" }

func (s *shelf) Owns(url string) bool { return strings.HasPrefix(url, s.prefix()) }

func (s *shelf) Put(ctx context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	if s.beforePut != nil {
		s.beforePut()
	}
	if s.putErr != nil {
		return "", 0, s.putErr
	}
	url, n, err := s.Store.Put(ctx, id, r)
	if s.atPut != nil {
		s.atPut()
	}
	return strings.Replace(url, "memory://", s.prefix(), 1), n, err
}

func (s *shelf) inner(url string) string { return strings.Replace(url, s.prefix(), "memory://", 1) }

func (s *shelf) Open(ctx context.Context, url string, off, n int64) (io.ReadCloser, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.reads != nil {
		return io.NopCloser(s.reads), nil
	}
	return s.Store.Open(ctx, s.inner(url), off, n)
}

func (s *shelf) Delete(ctx context.Context, url string) error {
	if s.atDelete != nil {
		s.atDelete()
	}
	if s.delErr != nil {
		return s.delErr
	}
	return s.Store.Delete(ctx, s.inner(url))
}

// A mansion is a house with named stores.
type mansion struct {
	*importer
	shelves map[string]*shelf
	stores  []glance.Backend
	o       glance.Options
}

// newMansion returns a house with the stores named, the first of them the
// default one; weights are by name. The store web takes no data.
func newMansion(t testing.TB, o glance.Options, weights map[string]int, names ...string) *mansion {
	t.Helper()
	m := &mansion{importer: newImporter(t, glance.Options{}), shelves: make(map[string]*shelf)}
	atOnce := o.Import.StoresAtOnce
	o.Import = m.offered()
	o.Import.StoresAtOnce = atOnce
	o.Import.Methods = append(o.Import.Methods, glance.CopyImage)
	var stores []glance.Backend
	for _, name := range names {
		m.shelves[name] = &shelf{name: name}
		stores = append(stores, glance.Backend{Store: m.shelves[name], ID: name, Kind: "memory", Weight: weights[name], ReadOnly: name == "web"})
	}
	m.stores, m.o = stores, o
	return m.reopen(t)
}

// reopen lets another process work with what the house has.
func (m *mansion) reopen(t testing.TB) *mansion {
	t.Helper()
	images, err := glance.New(m.catalog, m.stores, m.options(m.o))
	if err != nil {
		t.Fatal(err)
	}
	m.Images = images
	t.Cleanup(func() {
		if err := images.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// holds checks which of the shelves have an image's data, and no others.
func (m *mansion) holds(t *testing.T, id glance.ID, want string) {
	t.Helper()
	var got []string
	for name, s := range m.shelves {
		if rc, err := s.Store.Open(t.Context(), "memory://"+string(id), 0, -1); err == nil {
			rc.Close()
			got = append(got, name)
		}
	}
	slices.Sort(got)
	if strings.Join(got, "") != want {
		t.Errorf("%v have data of image %s; want %s", got, id, want)
	}
}

// put records that image id has data in the shelves, under URLs as they are
// given: "a" is a location that names its store, "a?" one that does not, and
// "a?b" one in a that names b.
func (m *mansion) put(t *testing.T, id glance.ID, data string, places ...string) {
	t.Helper()
	before := m.get(t, id)
	after := before.Clone()
	after.Status, after.Size = glance.Active, p(int64(len(data)))
	after.Checksum = p(fmt.Sprintf("%x", md5.Sum([]byte(data))))
	for _, place := range places {
		name, claim, old := strings.Cut(place, "?")
		url, _, err := m.shelves[name].Put(t.Context(), id, strings.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		l := glance.Location{URL: url, Metadata: map[string]string{}, Status: glance.Active}
		if !old {
			claim = name
		}
		if claim != "" {
			l.Metadata["store"] = claim
		}
		after.Locations = append(after.Locations, l)
	}
	if err := m.catalog.Update(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
}

func TestUploadGoesToTheDefaultStore(t *testing.T) {
	m := newMansion(t, glance.Options{DefaultStore: "b"}, nil, "a", "b")
	im := m.active(t, "data")
	want := []glance.Location{{URL: "memory://b/" + string(im.ID), Metadata: map[string]string{"store": "b"}, Status: glance.Active}}
	if diff := cmp.Diff(want, im.Locations); diff != "" {
		t.Errorf("locations (-want +got):\n%s", diff)
	}
}

// A location is in the store that it names, if there is one of that name, and
// else in the one whose URL it has.
func TestSources(t *testing.T) {
	m := newMansion(t, glance.Options{}, map[string]int{"b": 5, "c": 5, "d": -1}, "a", "b", "c", "d")
	for _, test := range []struct {
		places []string
		want   string
	}{
		{[]string{"a"}, "a"},
		{[]string{"a", "b"}, "b a"},
		{[]string{"d", "c", "a", "b"}, "c b a d"},
		{[]string{"b", "c"}, "b c"},
		{[]string{"b?"}, "b"},
		{[]string{"a?", "c?"}, "c a"},
		{[]string{"a?gone", "b?renamed"}, "b a"},
	} {
		im := m.create(t)
		m.put(t, im.ID, "data", test.places...)
		var got []string
		for _, l := range m.Sources(m.get(t, im.ID)) {
			got = append(got, l.Metadata["store"])
			if _, _, err := m.shelves[l.Metadata["store"]].Put(t.Context(), im.ID, strings.NewReader("")); !errors.Is(err, glance.ErrExists) {
				t.Errorf("%v: %s is said to be in %s, which has no data of it: %v", test.places, l.URL, l.Metadata["store"], err)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("Sources of %v = %v; want %s", test.places, got, test.want)
		}
	}
}

// Locations from before stores had names are shown with the store that they
// are in, in the order in which they were added.
func TestShownLocationsNameTheirStores(t *testing.T) {
	m := newMansion(t, glance.Options{Locations: glance.LocationOptions{Shown: true}}, map[string]int{"b": 5}, "a", "b", "c")
	im := m.create(t)
	m.put(t, im.ID, "data", "a?", "b?gone", "c")
	shown, ok := m.ShownLocations(as(t, "member t1"), m.get(t, im.ID))
	if len(shown) != 3 || !ok {
		t.Fatalf("locations are %v, %t", shown, ok)
	}
	for i, want := range []string{"a", "b", "c"} {
		if got := shown[i].Metadata["store"]; got != want {
			t.Errorf("location %d is said to be in %q; want %s", i, got, want)
		}
	}
}

// A store that fails is passed over for the next.
func TestDownloadFromTheNextStore(t *testing.T) {
	m := newMansion(t, glance.Options{}, map[string]int{"b": 5}, "a", "b", "c")
	im := m.create(t)
	m.put(t, im.ID, "data", "a", "b", "c")
	down := errors.New("down")
	for _, fails := range [][]string{{}, {"b"}, {"a", "b"}} {
		for name, s := range m.shelves {
			s.err = nil
			if strings.Contains(strings.Join(fails, ""), name) {
				s.err = down
			}
		}
		if got, err := m.read(as(t, "member t1"), im.ID, 1, 2); got != "at" || err != nil {
			t.Errorf("read while %v are down = %q, %v; want the data", fails, got, err)
		}
	}
	m.shelves["c"].err = down
	if got, err := m.read(as(t, "member t1"), im.ID, 0, -1); !errors.Is(err, down) {
		t.Errorf("read while all are down = %q, %v; want %v", got, err, down)
	}
}

// So is one that begins to give data and fails, or has none.
func TestDownloadThatDoesNotBegin(t *testing.T) {
	broken := errors.New("broken")
	for _, broken := range []io.Reader{iotest.ErrReader(broken), strings.NewReader("")} {
		m := newMansion(t, glance.Options{}, map[string]int{"b": 5}, "a", "b")
		im := m.create(t)
		m.put(t, im.ID, "data", "a", "b")
		m.shelves["b"].reads = broken
		if got, err := m.read(as(t, "member t1"), im.ID, 0, -1); got != "data" || err != nil {
			t.Errorf("read = %q, %v; want the data", got, err)
		}
	}
	m := newMansion(t, glance.Options{}, map[string]int{"b": 5}, "a", "b")
	im := m.create(t)
	m.put(t, im.ID, "", "a", "b")
	if got, err := m.read(as(t, "member t1"), im.ID, 0, -1); got != "" || err != nil {
		t.Errorf("read of an empty image = %q, %v", got, err)
	}
}

func TestPrefer(t *testing.T) {
	m := newMansion(t, glance.Options{}, map[string]int{"b": 5}, "a", "b", "c")
	im := m.create(t)
	m.put(t, im.ID, "data", "a", "b")
	for name, s := range m.shelves {
		s.reads = strings.NewReader(name)
	}
	for prefer, want := range map[string]string{"a": "a", "b,a": "b", "c": "b", "c,a": "a", "a,b": "a"} {
		for name, s := range m.shelves {
			s.reads = strings.NewReader(name)
		}
		data, err := m.Download(as(t, "member t1"), im.ID)
		if err == nil {
			err = data.Prefer(as(t, "member t1"), strings.Split(prefer, ","))
		}
		if err != nil {
			t.Fatal(err)
		}
		rc, err := data.Open(t.Context(), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(rc); string(got) != want || err != nil {
			t.Errorf("with %s, the data comes from %s, %v; want %s", prefer, got, err, want)
		}
		rc.Close()
	}
	data, err := m.Download(as(t, "admin"), im.ID)
	if err != nil {
		t.Fatal(err)
	}
	says(t, "Prefer of no store", data.Prefer(as(t, "admin"), []string{"a", "x"}), glance.ErrInvalid, "Store 'x' does not exist.")
	is(t, "Prefer by a reader", data.Prefer(as(t, "reader t1"), []string{"a"}), glance.ErrForbidden)
	h := newHouse(t, glance.Options{})
	if data, err = h.Download(as(t, "admin"), h.active(t, "abc").ID); err != nil {
		t.Fatal(err)
	}
	is(t, "Prefer without names", data.Prefer(as(t, "admin"), []string{"a"}), glance.ErrInvalid)
}

// What is deleted is deleted everywhere.
func TestDeleteFromAllStores(t *testing.T) {
	for _, delayed := range []bool{false, true} {
		m := newMansion(t, glance.Options{DelayedDelete: delayed}, nil, "a", "b", "c")
		im := m.create(t)
		m.put(t, im.ID, "data", "a", "b?", "c?old")
		if err := m.Delete(as(t, "member t1"), im.ID); err != nil {
			t.Fatal(err)
		}
		if delayed {
			for name, s := range m.shelves {
				if s.Len() != 1 {
					t.Errorf("%s has %d objects before Scrub; want the delayed one", name, s.Len())
				}
			}
			if err := m.Scrub(as(t, "admin"), im.ID); err != nil {
				t.Fatal(err)
			}
		}
		for name, s := range m.shelves {
			if s.Len() != 0 {
				t.Errorf("delayed=%t: %s has %d objects in the end", delayed, name, s.Len())
			}
		}
		if got := m.get(t, im.ID).Status; got != glance.Deleted {
			t.Errorf("delayed=%t: status is %s; want %s", delayed, got, glance.Deleted)
		}
	}
}

func TestNewRefusesStores(t *testing.T) {
	store := new(memory.Store)
	for _, test := range []struct {
		stores []glance.Backend
		first  string
		want   string
	}{
		{[]glance.Backend{{Store: store, ID: "a"}, {Store: store, ID: "a"}}, "a", `"a"`},
		{[]glance.Backend{{Store: store, ID: "a"}, {Store: store}}, "a", "names"},
		{[]glance.Backend{{Store: store, ID: "os_glance_staging_store"}}, "", "os_glance_staging_store"},
		{[]glance.Backend{{Store: store, ID: "a,b"}}, "", "a,b"},
		{[]glance.Backend{{Store: store, ID: "a"}}, "memory", `"memory"`},
	} {
		_, err := glance.New(new(memory.Catalog), test.stores, glance.Options{DefaultStore: test.first})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New: %v; want an error with %s in it", err, test.want)
		}
	}
}
