package glance_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

func TestCreate(t *testing.T) {
	h := newHouse(t, glance.Options{})
	got, err := h.Create(as(t, "member t1"), glance.Draft{Name: p("n"), Tags: []string{"b", "a", "b"}, Properties: map[string]string{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	now := got.CreatedAt
	want := &glance.Image{
		ID: number(1), Name: p("n"), Status: glance.Queued, Visibility: glance.Shared, Owner: p("t1"),
		CreatedAt: now, UpdatedAt: now, Tags: []string{"a", "b"}, Properties: map[string]string{"k": "v"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Create (-want +got):\n%s", diff)
	}
	if now.Nanosecond() != 0 {
		t.Errorf("CreatedAt is %v; want whole seconds", now)
	}
	if diff := cmp.Diff(got, h.get(t, got.ID)); diff != "" {
		t.Errorf("the catalog has another image (-made +kept):\n%s", diff)
	}
	if events := h.events.take(); events != "image.create" {
		t.Errorf("events = %s; want image.create", events)
	}
}

func TestCreateRefused(t *testing.T) {
	h := newHouse(t, glance.Options{PropertyQuota: 1, TagQuota: 1, DiskFormats: []string{"raw"}, ContainerFormats: []string{"bare"}})
	taken := h.create(t).ID
	h.events.take()
	for _, test := range []struct {
		name string
		who  string
		d    glance.Draft
		want error
	}{
		{"ID there", "member t1", glance.Draft{ID: taken}, glance.ErrExists},
		{"for another project", "member t1", glance.Draft{Owner: p("t2")}, glance.ErrForbidden},
		{"for nobody", "member t1", glance.Draft{Ownerless: true}, glance.ErrForbidden},
		{"public", "member t1", glance.Draft{Visibility: glance.Public}, glance.ErrForbidden},
		{"by a reader", "reader t1", glance.Draft{}, glance.ErrForbidden},
		{"by nobody", "anonymous", glance.Draft{}, glance.ErrForbidden},
		{"reserved property", "admin", glance.Draft{Properties: map[string]string{"os_glance_import_task": "x"}}, glance.ErrForbidden},
		{"negative disk", "member t1", glance.Draft{MinDisk: -1}, glance.ErrInvalid},
		{"huge memory", "member t1", glance.Draft{MinRAM: 1 << 31}, glance.ErrInvalid},
		{"four-byte name", "member t1", glance.Draft{Name: p("\U0001F600")}, glance.ErrInvalid},
		{"long name", "member t1", glance.Draft{Name: p(strings.Repeat("ä", 256))}, glance.ErrInvalid},
		{"four-byte property", "member t1", glance.Draft{Properties: map[string]string{"x": "\U0001F600"}}, glance.ErrInvalid},
		{"four-byte tag", "member t1", glance.Draft{Tags: []string{"\U0001F600"}}, glance.ErrInvalid},
		{"long tag", "member t1", glance.Draft{Tags: []string{strings.Repeat("x", 256)}}, glance.ErrInvalid},
		{"unknown disk format", "member t1", glance.Draft{DiskFormat: p("qcow2")}, glance.ErrInvalid},
		{"unknown container format", "member t1", glance.Draft{ContainerFormat: p("ovf")}, glance.ErrInvalid},
		{"too many properties", "member t1", glance.Draft{Properties: map[string]string{"a": "", "b": ""}}, glance.ErrTooLarge},
		{"too many tags", "member t1", glance.Draft{Tags: []string{"a", "b"}}, glance.ErrTooLarge},
	} {
		_, err := h.Create(as(t, test.who), test.d)
		is(t, "Create "+test.name, err, test.want)
		if _, ok := errors.AsType[*glance.Refusal](err); !ok {
			t.Errorf("Create %s: %v says nothing to the caller", test.name, err)
		}
	}
	if got := h.events.take(); got != "" {
		t.Errorf("events = %s; want none", got)
	}
	if list, _, err := h.List(as(t, "admin"), glance.Query{Limit: -1}); err != nil || len(list) != 1 {
		t.Errorf("%d images, %v; want only the first", len(list), err)
	}
}

// All changes are made or none is.
func TestUpdateWhole(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	_, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{
		{Op: glance.Replace, Attribute: "name", Value: "new"},
		{Op: glance.Add, Attribute: "k", Value: "v"},
		{Op: glance.Remove, Attribute: "nope"},
	})
	is(t, "Update", err, glance.ErrConflict)
	if diff := cmp.Diff(im, h.get(t, im.ID)); diff != "" {
		t.Errorf("a refused update changed the image (-before +after):\n%s", diff)
	}
}

func TestUpdateValues(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	for _, ch := range []glance.Change{
		{Attribute: "name", Value: 1},
		{Attribute: "min_ram", Value: "1"},
		{Attribute: "min_ram", Value: int64(-1)},
		{Attribute: "protected", Value: nil},
		{Attribute: "visibility", Value: "secret"},
		{Attribute: "tags", Value: "x"},
		{Attribute: "k", Value: nil},
		{Attribute: "disk_format", Value: "zip"},
	} {
		_, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{ch})
		is(t, fmt.Sprintf("Update(%s = %v)", ch.Attribute, ch.Value), err, glance.ErrInvalid)
	}
	for _, name := range []string{"id", "status", "size", "checksum", "os_hash_value", "created_at", "self", "deleted", "location", "os_glance_x", "locations"} {
		_, err := h.Update(as(t, "admin"), im.ID, []glance.Change{{Attribute: name, Value: "x"}})
		is(t, "Update("+name+")", err, glance.ErrForbidden)
	}
	if diff := cmp.Diff(im, h.get(t, im.ID)); diff != "" {
		t.Errorf("refused updates changed the image (-before +after):\n%s", diff)
	}
}

// An image with more than the quota keeps what it has.
func TestUpdateOverQuota(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t, func(d *glance.Draft) { d.Properties = map[string]string{"a": "", "b": "", "c": ""} })
	strict, err := glance.New(h.catalog, []glance.Backend{{Store: h.store}}, glance.Options{PropertyQuota: 2})
	if err != nil {
		t.Fatal(err)
	}
	set := func(op glance.Op, name string) error {
		_, err := strict.Update(as(t, "member t1"), im.ID, []glance.Change{{Op: op, Attribute: name, Value: "x"}})
		return err
	}
	is(t, "change of one", set(glance.Replace, "a"), nil)
	is(t, "another", set(glance.Add, "d"), glance.ErrTooLarge)
	is(t, "removal", set(glance.Remove, "b"), nil)
}

// Changes of different attributes by many at once all survive.
func TestUpdatesAtOnce(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	var wg sync.WaitGroup
	want := make(map[string]string)
	for i := range 20 {
		key := fmt.Sprintf("key%02d", i)
		want[key] = "v"
		wg.Go(func() {
			_, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{{Op: glance.Add, Attribute: key, Value: "v"}})
			if err != nil {
				t.Errorf("Update beside others: %v", err)
			}
		})
	}
	wg.Go(func() {
		if err := h.Upload(as(t, "member t1"), im.ID, strings.NewReader("data"), glance.UploadOptions{}); err != nil {
			t.Errorf("Upload beside others: %v", err)
		}
	})
	wg.Wait()
	got := h.get(t, im.ID)
	if diff := cmp.Diff(want, got.Properties); diff != "" || got.Status != glance.Active {
		t.Errorf("image is %s; properties (-want +got):\n%s", got.Status, diff)
	}
}

func TestTags(t *testing.T) {
	h := newHouse(t, glance.Options{TagQuota: 2})
	im := h.create(t)
	ctx := as(t, "member t1")
	for _, tag := range []string{"b", "a", "b"} {
		is(t, "AddTag("+tag+")", h.AddTag(ctx, im.ID, tag), nil)
	}
	is(t, "AddTag over the quota", h.AddTag(ctx, im.ID, "c"), glance.ErrTooLarge)
	is(t, "RemoveTag", h.RemoveTag(ctx, im.ID, "a"), nil)
	is(t, "second RemoveTag", h.RemoveTag(ctx, im.ID, "a"), glance.ErrNotFound)
	if got := h.get(t, im.ID).Tags; !cmp.Equal(got, []string{"b"}) {
		t.Errorf("tags = %q; want b", got)
	}
}

func TestActions(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	ctx := as(t, "member t1")
	is(t, "Deactivate of a queued image", h.Deactivate(ctx, im.ID), glance.ErrForbidden)
	is(t, "Reactivate of a queued image", h.Reactivate(ctx, im.ID), glance.ErrForbidden)
	if err := h.Upload(ctx, im.ID, strings.NewReader("x"), glance.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	h.events.take()
	for range 2 {
		is(t, "Deactivate", h.Deactivate(ctx, im.ID), nil)
	}
	if got := h.events.take(); got != "image.update" {
		t.Errorf("events = %s; want one image.update", got)
	}
	for range 2 {
		is(t, "Reactivate", h.Reactivate(ctx, im.ID), nil)
	}
	if got := h.get(t, im.ID); got.Status != glance.Active || *got.Size != 1 {
		t.Errorf("image is %s with %d bytes; want it active again", got.Status, *got.Size)
	}
}

func TestMembers(t *testing.T) {
	h := newHouse(t, glance.Options{MemberQuota: 2})
	im := h.create(t)
	owner, guest, other := as(t, "member t1"), as(t, "member guest"), as(t, "member other")
	h.events.take()
	for _, project := range []string{"guest", "second"} {
		if m, err := h.AddMember(owner, im.ID, project); err != nil || m.Status != glance.Pending {
			t.Fatalf("AddMember(%s) = %+v, %v; want it pending", project, m, err)
		}
	}
	_, err := h.AddMember(owner, im.ID, "guest")
	is(t, "second AddMember", err, glance.ErrExists)
	_, err = h.AddMember(owner, im.ID, "third")
	is(t, "AddMember over the quota", err, glance.ErrTooLarge)
	_, err = h.AddMember(guest, im.ID, "third")
	is(t, "AddMember by a member", err, glance.ErrForbidden)
	_, err = h.AddMember(other, im.ID, "third")
	is(t, "AddMember by another", err, glance.ErrNotFound)

	for who, want := range map[string]string{"member t1": "guest second", "reader t1": "guest second", "admin": "guest second", "member guest": "guest"} {
		members, err := h.Members(as(t, who), im.ID)
		var got []string
		for _, m := range members {
			got = append(got, m.ProjectID)
		}
		if strings.Join(got, " ") != want || err != nil {
			t.Errorf("Members for %s = %q, %v; want %s", who, got, err, want)
		}
	}
	_, err = h.Members(other, im.ID)
	is(t, "Members for another", err, glance.ErrNotFound)

	_, err = h.SetMember(owner, im.ID, "guest", glance.Accepted)
	is(t, "SetMember by the owner", err, glance.ErrForbidden)
	_, err = h.SetMember(guest, im.ID, "second", glance.Accepted)
	is(t, "SetMember of another", err, glance.ErrNotFound)
	_, err = h.SetMember(guest, im.ID, "guest", "perhaps")
	is(t, "SetMember to no status", err, glance.ErrInvalid)
	m, err := h.SetMember(guest, im.ID, "guest", glance.Accepted)
	if err != nil || m.Status != glance.Accepted {
		t.Errorf("SetMember = %+v, %v; want it accepted", m, err)
	}
	is(t, "RemoveMember by the member", h.RemoveMember(guest, im.ID, "guest"), glance.ErrForbidden)
	is(t, "RemoveMember of a stranger", h.RemoveMember(owner, im.ID, "other"), glance.ErrNotFound)
	is(t, "RemoveMember", h.RemoveMember(owner, im.ID, "guest"), nil)
	_, err = h.Get(guest, im.ID)
	is(t, "Get by one who was a member", err, glance.ErrNotFound)
	if got, want := h.events.take(), "image.member.create, image.member.create, image.member.update, image.member.delete"; got != want {
		t.Errorf("events = %s; want %s", got, want)
	}
}

// Only shared images have members, whatever the catalog still knows.
func TestMembersOfPrivate(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.create(t)
	owner := as(t, "member t1")
	if _, err := h.AddMember(owner, im.ID, "guest"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Update(owner, im.ID, []glance.Change{{Op: glance.Replace, Attribute: "visibility", Value: "private"}}); err != nil {
		t.Fatal(err)
	}
	_, err := h.Members(owner, im.ID)
	is(t, "Members", err, glance.ErrForbidden)
	_, err = h.AddMember(owner, im.ID, "x")
	is(t, "AddMember", err, glance.ErrForbidden)
	_, err = h.Member(owner, im.ID, "guest")
	is(t, "Member", err, glance.ErrNotFound)
	_, err = h.Get(as(t, "member guest"), im.ID)
	is(t, "Get by a member", err, glance.ErrNotFound)
}
