package glance_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"testing"

	"glancectl/service/glance"
)

func TestAddLocation(t *testing.T) {
	sha := sha1.Sum([]byte("abcd"))
	for _, test := range []struct {
		name     string
		o        glance.LocationOptions
		v        glance.Validation
		fail     int
		algo     string
		sum, md5 string
	}{
		{name: "plain", algo: "sha512", sum: sum("abcd"), md5: md5sum("abcd")},
		{name: "with its hash", v: glance.Validation{HashAlgo: "sha512", HashValue: strings.ToUpper(sum("abcd"))}, algo: "sha512", sum: sum("abcd"), md5: md5sum("abcd")},
		{name: "with its hash of the usual kind", v: glance.Validation{HashValue: sum("abcd")}, algo: "sha512", sum: sum("abcd"), md5: md5sum("abcd")},
		{name: "with an old hash", v: glance.Validation{HashAlgo: "sha1", HashValue: hex.EncodeToString(sha[:])}, algo: "sha1", sum: hex.EncodeToString(sha[:]), md5: md5sum("abcd")},
		{name: "without hashing", o: glance.LocationOptions{NoHash: true}},
		{name: "believed", o: glance.LocationOptions{NoHash: true}, v: glance.Validation{HashAlgo: "sha512", HashValue: sum("other")}, algo: "sha512", sum: sum("other")},
		{name: "at the third try", fail: 2, algo: "sha512", sum: sum("abcd"), md5: md5sum("abcd")},
	} {
		h, s := placed(t, glance.Options{Locations: test.o})
		s.fail = test.fail
		im := h.create(t)
		h.events.take()
		got, err := h.AddLocation(as(t, "member t1"), im.ID, glance.LocationRequest{URL: "http://u:secret@a/1", Validation: test.v})
		if err != nil || got.Status != glance.Queued || got.ID != im.ID {
			t.Fatalf("%s: AddLocation = %+v, %v", test.name, got, err)
		}
		task := h.finish(t, im.ID)
		if err := h.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if task.Type != glance.LocationImport || task.Status != glance.TaskSuccess || bytes.Contains(task.Input, []byte("secret")) {
			t.Errorf("%s: task is %+v, %s", test.name, task, task.Input)
		}
		now := h.get(t, im.ID)
		text := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		if now.Status != glance.Active || *now.Size != 4 || urls(now) != "http://u:secret@a/1" || len(now.Properties) != 0 ||
			text(now.HashAlgo) != test.algo || text(now.HashValue) != test.sum || text(now.Checksum) != test.md5 {
			t.Errorf("%s: image is %+v with %s %s %s", test.name, now, text(now.HashAlgo), text(now.HashValue), text(now.Checksum))
		}
		unclaimed(t, h.house)
		if got := h.events.take(); !strings.Contains(got, "image.activate") {
			t.Errorf("%s: events are %s", test.name, got)
		}
	}
}

// What fails leaves the image as it was, and one without a hash that could be
// had is active all the same.
func TestAddLocationFails(t *testing.T) {
	for _, test := range []struct {
		name   string
		url    string
		v      glance.Validation
		fail   int
		broken bool
		text   string
		status glance.Status
	}{
		{name: "nothing there", url: "http://a/nothing", text: "Invalid location", status: glance.Queued},
		{name: "no data there", url: "http://a/empty", text: "Invalid location", status: glance.Queued},
		{name: "nobody answers", url: "http://a/1", fail: 3, text: "The Store URI was malformed.", status: glance.Queued},
		{name: "other data", url: "http://a/1", v: glance.Validation{HashAlgo: "sha512", HashValue: sum("other")},
			text: "os_hash_value: (" + sum("other") + ") not matched with actual os_hash_value: (" + sum("abcd") + ")", status: glance.Queued},
		{name: "breaks off", url: "http://a/1", v: glance.Validation{HashAlgo: "sha512", HashValue: sum("abcd")}, broken: true,
			text: "Hash calculation failed for image IMAGE data", status: glance.Queued},
		{name: "breaks off, without a hash", url: "http://a/1", broken: true, text: "Copied 0 MiB", status: glance.Active},
	} {
		h, s := placed(t, glance.Options{})
		s.fail, s.broken = test.fail, test.broken
		im := h.create(t)
		if _, err := h.AddLocation(as(t, "member t1"), im.ID, glance.LocationRequest{URL: test.url, Validation: test.v}); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		task := h.finish(t, im.ID)
		if err := h.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		unclaimed(t, h.house)
		now := h.get(t, im.ID)
		if task.Message != strings.Replace(test.text, "IMAGE", string(im.ID), 1) || now.Status != test.status || now.HashValue != nil || now.Checksum != nil || len(now.Properties) != 0 {
			t.Errorf("%s: task says %q, image is %+v", test.name, task.Message, now)
		}
		if now.Status == glance.Queued && (len(now.Locations) != 0 || now.Size != nil) {
			t.Errorf("%s: the queued image has %d bytes at %s", test.name, now.Size, urls(now))
		}
		if len(s.deleted) != 0 {
			t.Errorf("%s: removed are %v", test.name, s.deleted)
		}
	}
}

func TestAddLocationRefused(t *testing.T) {
	h, _ := placed(t, glance.Options{})
	active, queued := h.active(t, "x").ID, h.create(t).ID
	bare := h.create(t, func(d *glance.Draft) { d.ContainerFormat = nil }).ID
	for _, test := range []struct {
		name string
		who  string
		id   glance.ID
		v    glance.Validation
		want error
		text string
	}{
		{"to no image", "member t1", number(99), glance.Validation{}, glance.ErrNotFound, "No image found with ID " + string(number(99))},
		{"to another's", "member t2", queued, glance.Validation{}, glance.ErrNotFound, "No image found with ID " + string(queued)},
		{"by a reader", "reader t1", queued, glance.Validation{}, glance.ErrForbidden, "You are not authorized to complete add_image_location action."},
		{"to an active one", "member t1", active, glance.Validation{}, glance.ErrConflict, "It's not allowed to add locations if image status is active."},
		{"without formats", "member t1", bare, glance.Validation{}, glance.ErrInvalid, "Property container_format must be set prior to saving data."},
		{"with half a hash", "member t1", queued, glance.Validation{HashAlgo: "md5"}, glance.ErrInvalid, "os_hash_algo says nothing without os_hash_value."},
		{"with no hex", "member t1", queued, glance.Validation{HashAlgo: "md5", HashValue: "xy"}, glance.ErrInvalid, "os_hash_value (xy) is not a valid hexadecimal value"},
		{"with a short hash", "member t1", queued, glance.Validation{HashAlgo: "sha256", HashValue: md5sum("")}, glance.ErrInvalid,
			"os_hash_value: (" + md5sum("") + ") is not the correct size for (sha256) (should be (32) bytes)"},
		{"by a reader to an active one", "reader t1", active, glance.Validation{}, glance.ErrConflict, "It's not allowed to add locations if image status is active."},
	} {
		_, err := h.AddLocation(as(t, test.who), test.id, glance.LocationRequest{URL: "http://a/1", Validation: test.v})
		says(t, "AddLocation "+test.name, err, test.want, test.text)
	}
	plain := newImporter(t, glance.Options{})
	im := plain.create(t)
	const enable = "http store must be enabled to use location API by normal user."
	for _, test := range []struct {
		name string
		h    *glance.Images
		who  string
		id   glance.ID
		url  string
		want error
		text string
	}{
		{"without a store for it", plain.Images, "member t1", im.ID, "http://a/1", glance.ErrForbidden, enable},
		{"by an admin without a store for it", plain.Images, "admin", im.ID, "http://a/1", glance.ErrForbidden, enable},
		{"by a service without a store for it", plain.Images, "service t1", im.ID, "http://a/1", glance.ErrInvalid, "Invalid location"},
		{"of a file", h.Images, "member t1", queued, "file:///etc/passwd", glance.ErrForbidden, enable},
		{"of what a store has", h.Images, "member t1", queued, "memory://1", glance.ErrForbidden, enable},
		{"of a file by a service", h.Images, "service t1", queued, "file:///etc/passwd", glance.ErrInvalid, "Invalid location"},
	} {
		_, err := test.h.AddLocation(as(t, test.who), test.id, glance.LocationRequest{URL: test.url})
		says(t, "AddLocation "+test.name, err, test.want, test.text)
	}
}

// An image that is deleted, or taken, while its data is looked at stays so.
func TestAddLocationBesideDelete(t *testing.T) {
	h, s := placed(t, glance.Options{})
	s.hold = make(chan struct{})
	im := h.create(t)
	v := glance.Validation{HashAlgo: "sha512", HashValue: sum("abcd")}
	if _, err := h.AddLocation(as(t, "member t1"), im.ID, glance.LocationRequest{URL: "http://a/1", Validation: v}); err != nil {
		t.Fatal(err)
	}
	_, err := h.AddLocation(as(t, "member t1"), im.ID, glance.LocationRequest{URL: "http://a/2"})
	is(t, "AddLocation beside another", err, glance.ErrConflict)
	is(t, "Upload beside it", h.Upload(as(t, "member t1"), im.ID, strings.NewReader("x"), glance.UploadOptions{}), glance.ErrConflict)
	if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
		t.Fatal(err)
	}
	close(s.hold)
	if task := h.finish(t, im.ID); task.Status != glance.TaskFailure {
		t.Errorf("task is %+v", task)
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	unclaimed(t, h.house)
	if got := h.get(t, im.ID); got.Status != glance.Deleted {
		t.Errorf("image is %s", got.Status)
	}
}

// No more data is read at the same time than is imported.
func TestAddLocationsAtOnce(t *testing.T) {
	h, s := placed(t, glance.Options{})
	o := h.offered()
	o.AtOnce = 2
	s.hold = make(chan struct{})
	images, err := glance.New(h.catalog, []glance.Backend{{Store: s}, {Store: h.store}}, h.options(glance.Options{
		DefaultStore: "memory", Import: o, Locations: glance.LocationOptions{Filter: s},
	}))
	if err != nil {
		t.Fatal(err)
	}
	h.Images = images
	var ids []glance.ID
	for range 6 {
		im := h.create(t)
		ids = append(ids, im.ID)
		if _, err := h.AddLocation(as(t, "member t1"), im.ID, glance.LocationRequest{URL: "http://a/1"}); err != nil {
			t.Fatal(err)
		}
	}
	for range ids {
		s.hold <- struct{}{}
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if im := h.get(t, id); im.HashValue == nil {
			t.Errorf("image %s is %s and has no hash", id, im.Status)
		}
	}
	if s.most > 2 {
		t.Errorf("%d data are read at once; want 2", s.most)
	}
}

// unclaimed checks that nobody is at work on an image of the house.
func unclaimed(t *testing.T, h *house) {
	t.Helper()
	claims, err := h.catalog.Claims(t.Context())
	if err != nil || len(claims) != 0 {
		t.Errorf("claims are left: %+v, %v", claims, err)
	}
}
