package glance_test

import (
	"context"
	"strings"
	"testing"

	"glancectl/service/glance"
)

// TestSent tells of downloads, whole and not, also when the client has gone.
func TestSent(t *testing.T) {
	h := newHouse(t, glance.Options{})
	im := h.active(t, "data")
	h.events.take()
	ctx, cancel := context.WithCancel(as(t, "member t1"))
	d, err := h.Download(ctx, im.ID)
	if err != nil {
		t.Fatal(err)
	}
	d.Sent(ctx, 4, true)
	cancel()
	d.Sent(ctx, 2, false)
	if got, want := h.events.take(), "image.send, image.send failed"; got != want {
		t.Errorf("events = %s; want %s", got, want)
	}
}

// TestTooLargeIsTold tells of an upload that is refused before it begins.
func TestTooLargeIsTold(t *testing.T) {
	h := newHouse(t, glance.Options{MaxSize: 3})
	im := h.create(t)
	h.events.take()
	err := h.Upload(as(t, "member t1"), im.ID, strings.NewReader("data"), glance.UploadOptions{Size: 4})
	is(t, "Upload", err, glance.ErrTooLarge)
	if got, want := h.events.take(), "image.upload failed"; got != want {
		t.Errorf("events = %s; want %s", got, want)
	}
}
