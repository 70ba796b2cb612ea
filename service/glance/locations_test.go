package glance_test

import (
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

// sites is a store of what is at URLs, which it only reads.
type sites struct {
	mu      sync.Mutex
	data    map[string]string
	asked   int
	deleted []string
	fail    int           // so many times nobody answers
	hold    chan struct{} // data comes after it is closed; nil means at once
	broken  bool          // data breaks off

	deleting func() // is called before data is deleted; nil means nothing is

	open, most int // readers that wait for hold, and most of them at once
}

func (s *sites) Scheme() string       { return "http" }
func (s *sites) Owns(url string) bool { return strings.HasPrefix(url, "http") }

func (s *sites) Put(context.Context, glance.ID, io.Reader) (string, int64, error) {
	return "", 0, glance.ErrStoreReadOnly
}

func (s *sites) find(url string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	data, ok := s.data[url]
	switch {
	case s.fail > 0:
		s.fail--
		return "", glance.ErrUnavailable
	case !ok:
		return "", glance.ErrNotFound
	}
	return data, nil
}

func (s *sites) Open(_ context.Context, url string, off, n int64) (io.ReadCloser, error) {
	data, err := s.find(url)
	if err != nil {
		return nil, err
	}
	s.wait()
	if s.broken {
		return io.NopCloser(io.MultiReader(strings.NewReader(data[:1]), iotest.ErrReader(errors.New("reset")))), nil
	}
	if n < 0 {
		n = int64(len(data))
	}
	return io.NopCloser(io.NewSectionReader(strings.NewReader(data), off, n)), nil
}

// wait waits for hold.
func (s *sites) wait() {
	if s.hold == nil {
		return
	}
	s.mu.Lock()
	s.open++
	s.most = max(s.most, s.open)
	s.mu.Unlock()
	<-s.hold
	s.mu.Lock()
	s.open--
	s.mu.Unlock()
}

func (s *sites) Delete(_ context.Context, url string) error {
	if s.deleting != nil {
		s.deleting()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted = append(s.deleted, url)
	return nil
}

func (s *sites) Size(_ context.Context, url string) (int64, error) {
	data, err := s.find(url)
	return int64(len(data)), err
}

// Check implements glance.URLFilter.
func (s *sites) Check(_ context.Context, uri string) error {
	if strings.Contains(uri, "inside") {
		return errors.New("inside")
	}
	return nil
}

// placed returns a house with sites whose images have locations that can be
// seen.
func placed(t testing.TB, o glance.Options) (*importer, *sites) {
	t.Helper()
	s := &sites{data: map[string]string{"http://a/1": "abcd", "http://a/2": "abcd", "https://a/3": "abcd", "http://a/empty": "", "http://u:secret@a/1": "abcd"}}
	o.Locations.Shown = true
	o.Locations.Filter = s
	o.DefaultStore = "memory"
	h := newImporter(t, o, s)
	return h, s
}

func at(urls ...string) []glance.NewLocation {
	var all []glance.NewLocation
	for _, url := range urls {
		all = append(all, glance.NewLocation{URL: url, Metadata: map[string]string{}})
	}
	return all
}

func add(position string, l ...glance.NewLocation) glance.Change {
	return glance.Change{Op: glance.Add, Attribute: "locations", Position: position, Value: l}
}

func replace(l ...glance.NewLocation) glance.Change {
	return glance.Change{Op: glance.Replace, Attribute: "locations", Value: l}
}

func remove(position string) glance.Change {
	return glance.Change{Op: glance.Remove, Attribute: "locations", Position: position}
}

func urls(im *glance.Image) string {
	var all []string
	for _, l := range im.Locations {
		all = append(all, l.URL)
	}
	return strings.Join(all, " ")
}

// The first location makes an image active; its size is that of the data, and
// nothing is known of what is in it.
func TestFirstLocation(t *testing.T) {
	for name, change := range map[string]glance.Change{"add": add("-", at("http://a/1")...), "replace": replace(at("http://a/1")...)} {
		h, s := placed(t, glance.Options{})
		im := h.create(t)
		if _, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{change}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := h.get(t, im.ID)
		if got.Status != glance.Active || *got.Size != 4 || got.Checksum != nil || got.HashValue != nil || got.VirtualSize != nil || urls(got) != "http://a/1" {
			t.Errorf("%s: image is %+v", name, got)
		}
		if data, err := h.read(as(t, "member t1"), im.ID, 1, 2); data != "bc" || err != nil {
			t.Errorf("%s: data is %q, %v", name, data, err)
		}
		if err := h.Delete(as(t, "member t1"), im.ID); err != nil || strings.Join(s.deleted, " ") != "http://a/1" {
			t.Errorf("%s: Delete: %v, removed %v", name, err, s.deleted)
		}
	}
}

func TestLocationsComeAndGo(t *testing.T) {
	h, s := placed(t, glance.Options{})
	im := h.create(t)
	for _, test := range []struct {
		who    string
		change glance.Change
		want   string
	}{
		{"member t1", add("0", at("http://a/1")...), "http://a/1"},
		{"member t1", add("0", at("http://a/2")...), "http://a/2 http://a/1"},
		{"member t1", add("99999999999999999999", at("https://a/3")...), "http://a/2 http://a/1 https://a/3"},
		{"member t1", replace(at("https://a/3", "http://a/1", "http://a/2")...), "https://a/3 http://a/1 http://a/2"},
		{"admin", remove("-"), "https://a/3 http://a/1"},
		{"admin", remove("0"), "http://a/1"},
	} {
		_, err := h.Update(as(t, test.who), im.ID, []glance.Change{test.change})
		if got := h.get(t, im.ID); err != nil || urls(got) != test.want {
			t.Errorf("%+v: locations are %s, %v; want %s", test.change, urls(got), err, test.want)
		}
	}
	if got := strings.Join(s.deleted, " "); got != "http://a/2 https://a/3" {
		t.Errorf("removed are %s", got)
	}
	described := []glance.NewLocation{{URL: "http://a/1", Metadata: map[string]string{"k": "v"}}}
	if _, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{replace(described...)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"k": "v"}, h.get(t, im.ID).Locations[0].Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestLocationsRefused(t *testing.T) {
	h, s := placed(t, glance.Options{Locations: glance.LocationOptions{Quota: 2}})
	queued, bare := h.create(t).ID, h.create(t, func(d *glance.Draft) { d.DiskFormat = nil }).ID
	active := h.active(t, "abcd").ID
	full := h.create(t).ID
	if _, err := h.Update(as(t, "member t1"), full, []glance.Change{replace(at("http://a/1", "http://a/2")...)}); err != nil {
		t.Fatal(err)
	}
	staged := h.stage(t, "x").ID
	s.asked, s.deleted = 0, nil
	for _, test := range []struct {
		name   string
		who    string
		id     glance.ID
		change glance.Change
		want   error
		text   string
	}{
		{"nothing", "member t1", queued, replace(), glance.ErrForbidden, "Cannot set locations to empty list."},
		{"by a reader", "reader t1", queued, add("-", at("http://a/1")...), glance.ErrForbidden, "You are not authorized to complete set_image_location action."},
		{"by no admin", "member t1", full, remove("0"), glance.ErrForbidden, "You are not authorized to complete delete_image_location action."},
		{"while it is staged", "member t1", staged, add("-", at("http://a/1")...), glance.ErrConflict, "It's not allowed to add locations if image status is uploading."},
		{"replaced while it is staged", "member t1", staged, replace(at("http://a/1")...), glance.ErrConflict, "It's not allowed to replace locations if image status is uploading."},
		{"of a queued one", "admin", queued, remove("0"), glance.ErrConflict, "It's not allowed to remove locations if image status is queued."},
		{"the last", "admin", active, remove("0"), glance.ErrForbidden, "Cannot remove last location in the image."},
		{"behind the last", "admin", full, remove("2"), glance.ErrInvalid, "Invalid position for removing a location."},
		{"at no place", "admin", full, remove("-1"), glance.ErrInvalid, "Invalid position for removing a location."},
		{"far behind", "admin", full, remove("99999999999999999999"), glance.ErrInvalid, "Invalid position for removing a location."},
		{"no place", "member t1", queued, add("x", at("http://a/1")...), glance.ErrInvalid, "Invalid position for adding a location."},
		{"no place at all", "member t1", queued, add("", at("http://a/1")...), glance.ErrInvalid, "Invalid position for adding a location."},
		{"too many", "member t1", full, add("-", at("https://a/3")...), glance.ErrTooLarge, "The limit has been exceeded on the number of allowed image locations. Attempted: 3, Maximum: 2"},
		{"too many at once", "member t1", queued, replace(at("http://a/1", "http://a/2", "https://a/3")...), glance.ErrTooLarge, "The limit has been exceeded on the number of allowed image locations. Attempted: 3, Maximum: 2"},
		{"others", "member t1", full, replace(at("http://a/1", "https://a/3")...), glance.ErrInvalid, "Original locations is not empty"},
		{"fewer", "member t1", full, replace(at("http://a/1")...), glance.ErrInvalid, "Original locations is not empty"},
		{"twice", "member t1", full, replace(at("http://a/1", "http://a/1")...), glance.ErrInvalid, "The location http://a/1 already exists"},
		{"twice with a password", "member t1", queued, replace(at("http://u:secret@a/1", "http://u:secret@a/1")...), glance.ErrInvalid, "The location http://***@a/1 already exists"},
		{"without formats", "member t1", bare, add("-", at("http://a/1")...), glance.ErrInvalid, "Property disk_format must be set prior to saving data."},
		{"where nothing is", "member t1", queued, add("-", at("http://a/nothing")...), glance.ErrInvalid, "Invalid location"},
		{"where no data is", "member t1", queued, add("-", at("http://a/empty")...), glance.ErrInvalid, "Invalid location"},
	} {
		_, err := h.Update(as(t, test.who), test.id, []glance.Change{test.change})
		says(t, "location "+test.name, err, test.want, test.text)
	}
	s.fail, s.asked = 1, s.asked-1
	_, err := h.Update(as(t, "member t1"), queued, []glance.Change{add("-", at("http://a/1")...)})
	says(t, "location where nobody answers", err, glance.ErrInvalid, "The Store URI was malformed.")
	if asked := s.asked; asked != 4 { // for the size: twice with a password once, without formats, where nothing is, where no data is
		t.Errorf("%d times somebody was asked; want 4", asked)
	}
	if len(s.deleted) != 0 || h.get(t, queued).Status != glance.Queued || len(h.get(t, queued).Locations) != 0 || urls(h.get(t, full)) != "http://a/1 http://a/2" {
		t.Errorf("refused changes changed something; removed are %v", s.deleted)
	}
	var hidden = newHouse(t, glance.Options{}, s)
	im := hidden.create(t)
	for verb, change := range map[string]glance.Change{"add": add("-", at("http://a/1")...), "update": replace(at("http://a/1")...), "remove": remove("0")} {
		_, err := hidden.Update(as(t, "admin"), im.ID, []glance.Change{change})
		says(t, "hidden location", err, glance.ErrForbidden, "It's not allowed to "+verb+" locations if locations are invisible.")
	}
}

// Nothing of this machine becomes an image, and nobody is asked whose address
// is not allowed.
func TestLocationAttacks(t *testing.T) {
	h, s := placed(t, glance.Options{})
	im := h.create(t)
	for url, text := range map[string]string{
		"file:///etc/passwd":          "Invalid location",
		"FILE:///etc/passwd":          "Invalid location",
		"filesystem:///etc/passwd":    "Invalid location",
		"swift+config://ref1/c/o":     "Invalid location",
		"memory:///x":                 "Invalid location",
		"ftp://a/x":                   "Invalid location",
		"rbd://x":                     "Invalid location",
		"x":                           "Invalid location",
		"":                            "Invalid location",
		"http://inside/x":             "URI for add location does not pass filtering: http://inside/x",
		"https://u:secret@inside/x@y": "URI for add location does not pass filtering: https://***@inside/x@y",
		"HTTP://inside":               "Invalid location", // of no store: its URLs are in lower case
	} {
		for _, change := range []glance.Change{add("-", at(url)...), replace(at(url)...)} {
			_, err := h.Update(as(t, "admin"), im.ID, []glance.Change{change})
			says(t, "location "+url, err, glance.ErrInvalid, text)
		}
		_, err := h.AddLocation(as(t, "service t1"), im.ID, glance.LocationRequest{URL: url})
		says(t, "AddLocation "+url, err, glance.ErrInvalid, text)
	}
	if s.asked != 0 || h.get(t, im.ID).Status != glance.Queued {
		t.Errorf("%d questions were asked; the image is %s", s.asked, h.get(t, im.ID).Status)
	}
	if tasks, err := h.tasks.Tasks(t.Context(), glance.TaskQuery{}); len(tasks) != 0 || err != nil {
		t.Errorf("there are %d tasks, %v", len(tasks), err)
	}
}

// A caller cannot say which store a location is in: data would be taken from
// another one, or removed there.
func TestLocationStore(t *testing.T) {
	s := &sites{data: map[string]string{"http://a/1": "abcd", "http://a/2": "abcd"}}
	h := &house{events: new(events)}
	var err error
	catalog, store := newHouse(t, glance.Options{}).catalog, newHouse(t, glance.Options{}).store
	h.catalog = catalog
	o := h.options(glance.Options{DefaultStore: "cheap", Locations: glance.LocationOptions{Shown: true, Filter: s}})
	if h.Images, err = glance.New(catalog, []glance.Backend{{Store: store, ID: "cheap"}, {Store: s, ID: "web", ReadOnly: true}}, o); err != nil {
		t.Fatal(err)
	}
	im := h.create(t)
	hostile := func(url string) glance.NewLocation {
		return glance.NewLocation{URL: url, Metadata: map[string]string{"store": "cheap", "k": "v"}}
	}
	for _, change := range []glance.Change{replace(hostile("http://a/1")), add("-", hostile("http://a/2")), replace(hostile("http://a/2"), hostile("http://a/1"))} {
		if _, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{change}); err != nil {
			t.Fatal(err)
		}
		for _, l := range h.get(t, im.ID).Locations {
			if diff := cmp.Diff(map[string]string{"store": "web", "k": "v"}, l.Metadata); diff != "" {
				t.Errorf("metadata after %+v (-want +got):\n%s", change, diff)
			}
		}
	}
}

func sum(data string) string {
	s := sha512.Sum512([]byte(data))
	return hex.EncodeToString(s[:])
}

func md5sum(data string) string {
	s := md5.Sum([]byte(data))
	return hex.EncodeToString(s[:])
}

func TestValidationData(t *testing.T) {
	good := glance.Validation{Checksum: md5sum("abcd"), HashAlgo: "sha512", HashValue: sum("abcd")}
	with := func(url string, v glance.Validation) glance.NewLocation {
		return glance.NewLocation{URL: url, Validation: v}
	}
	h, _ := placed(t, glance.Options{})
	im := h.create(t)
	for _, test := range []struct {
		name string
		v    glance.Validation
		text string
	}{
		{"checksum is no hex", glance.Validation{Checksum: strings.Repeat("x", 32), HashAlgo: "sha512", HashValue: sum("")}, "checksum (" + strings.Repeat("x", 32) + ") is not a valid hexadecimal value"},
		{"checksum is short", glance.Validation{Checksum: "abcd", HashAlgo: "sha512", HashValue: sum("")}, "checksum (abcd) is not the correct size for md5 (should be 16 bytes)"},
		{"another algorithm", glance.Validation{HashAlgo: "sha256", HashValue: sum("")}, "os_hash_algo must be sha512, not sha256"},
		{"hash is no hex", glance.Validation{HashAlgo: "sha512", HashValue: "xy"}, "os_hash_value (xy) is not a valid hexadecimal value"},
		{"hash is short", glance.Validation{HashAlgo: "sha512", HashValue: "abcd"}, "os_hash_value (abcd) is not the correct size for sha512 (should be 64 bytes)"},
	} {
		_, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{add("-", with("http://a/1", test.v))})
		says(t, test.name, err, glance.ErrConflict, test.text)
	}
	other := good
	other.HashValue = sum("other")
	_, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{replace(with("http://a/1", good), with("http://a/2", other))})
	says(t, "two that differ", err, glance.ErrConflict, "Conflicting values for os_hash_value")
	if _, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{add("-", with("http://a/1", good))}); err != nil {
		t.Fatal(err)
	}
	got := h.get(t, im.ID)
	if got.Status != glance.Active || *got.Checksum != good.Checksum || *got.HashAlgo != "sha512" || *got.HashValue != good.HashValue {
		t.Errorf("image is %+v", got)
	}
	_, err = h.Update(as(t, "member t1"), im.ID, []glance.Change{add("-", with("http://a/2", other))})
	says(t, "another hash of an active image", err, glance.ErrConflict, "os_hash_value is already set with a different value")
	if _, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{add("-", with("http://a/2", good))}); err != nil {
		t.Errorf("the same hash of an active image: %v", err)
	}
	plain := h.create(t)
	_, err = h.Update(as(t, "member t1"), plain.ID, []glance.Change{add("-", at("http://a/1")...), add("-", with("http://a/2", good))})
	says(t, "a hash of an image that is active without", err, glance.ErrConflict,
		"New value(s) for checksum, os_hash_algo, os_hash_value may only be provided when image status is 'queued'")
}

func TestShownLocations(t *testing.T) {
	h, _ := placed(t, glance.Options{})
	im := h.create(t, func(d *glance.Draft) { d.Visibility = glance.Community })
	if _, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{replace(at("http://a/1", "http://a/2")...)}); err != nil {
		t.Fatal(err)
	}
	shown := func(who string) string {
		t.Helper()
		im, err := h.Get(as(t, who), im.ID)
		if err != nil {
			t.Fatal(err)
		}
		list, ok := h.ShownLocations(as(t, who), im)
		return fmt.Sprint(ok, len(list), " ", h.DirectURL(as(t, who), im))
	}
	for who, want := range map[string]string{"member t1": "true 2 http://a/1", "reader t1": "true 2 http://a/1", "member t2": "false 0 ", "admin": "true 2 http://a/1"} {
		if got := shown(who); got != want {
			t.Errorf("%s is shown %q; want %q", who, got, want)
		}
	}
	if err := h.Deactivate(as(t, "member t1"), im.ID); err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string]string{"member t1": "true 0 ", "admin": "true 2 http://a/1"} {
		if got := shown(who); got != want {
			t.Errorf("%s is shown %q of a deactivated image; want %q", who, got, want)
		}
	}
	for who, want := range map[string]error{"member t1": glance.ErrForbidden, "admin": nil, "reader t2": glance.ErrForbidden} {
		list, err := h.Locations(as(t, who), im.ID)
		is(t, "Locations for "+who, err, want)
		if err == nil && len(list) != 2 {
			t.Errorf("Locations for %s = %v", who, list)
		}
	}
	service := glance.WithCaller(t.Context(), glance.Caller{ProjectID: "service", Roles: []string{"service"}})
	if _, err := h.Locations(service, im.ID); err != nil {
		t.Errorf("Locations for a service: %v", err)
	}
	_, err := h.Locations(service, number(99))
	is(t, "Locations of no image", err, glance.ErrNotFound)
}

// While data is removed that no catalog knows of any more, the image says so:
// should the service die, the next one finds it.
func TestRemovalIsFound(t *testing.T) {
	h, s := placed(t, glance.Options{})
	im := h.create(t)
	if _, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{replace(at("http://a/1", "http://a/2")...)}); err != nil {
		t.Fatal(err)
	}
	during := ""
	s.deleting = func() { during = h.get(t, im.ID).Properties[glance.ImportLock] }
	after, err := h.Update(as(t, "admin"), im.ID, []glance.Change{remove("0")})
	if err != nil || !strings.HasPrefix(during, "removal-") {
		t.Errorf("Update: %v; the lock was %q", err, during)
	}
	if len(after.Properties) != 0 || len(h.get(t, im.ID).Properties) != 0 {
		t.Errorf("afterwards the properties are %v", after.Properties)
	}
	unclaimed(t, h.house)
}

// Removals at once leave a location, and no data of it goes.
func TestLastLocationAtOnce(t *testing.T) {
	h, s := placed(t, glance.Options{})
	im := h.create(t)
	if _, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{replace(at("http://a/1", "http://a/2", "https://a/3")...)}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := h.Update(as(t, "admin"), im.ID, []glance.Change{remove("0")}); err != nil && !errors.Is(err, glance.ErrForbidden) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	left := h.get(t, im.ID)
	if left.Status != glance.Active || len(left.Locations) == 0 {
		t.Errorf("image is %+v", left)
	}
	for _, l := range left.Locations {
		if strings.Contains(strings.Join(s.deleted, " "), l.URL) {
			t.Errorf("the data at %s is removed", l.URL)
		}
	}
}
