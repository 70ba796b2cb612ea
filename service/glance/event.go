package glance

import (
	"context"
	"errors"
	"fmt"
)

// A Notifier is told what happened, after it happened. It must not block for
// long and must not change what it is told of.
type Notifier interface {
	Notify(ctx context.Context, e Event)
}

// An Event is something that happened to an image or a task.
type Event struct {
	Type   string // image.create, image.upload, image.member.delete, task.success and so on
	Image  *Image
	Member *Member // for image.member.*
	Task   *Task   // for task.*, which have no Image
	Store  string  // for image.prepare: the ID of the store, if stores have names
	Sent   int64   // for image.send: bytes
	To     string  // for image.send: the address of who got them, if that is told
	Err    error   // set when the event is about a failure
}

// Words says what went wrong, for whoever is told: nothing that the caller of
// the API may not know. It is empty for an event that is about no failure.
func (e Event) Words() string {
	if e.Err == nil || e.Image == nil {
		return ""
	}
	refusal, refused := errors.AsType[*Refusal](e.Err)
	switch {
	case refused && (errors.Is(e.Err, ErrStoreFull) || errors.Is(e.Err, ErrStoreReadOnly)):
		return refusal.Message
	case refused:
		return fmt.Sprintf("Failed to upload image data for image %s due to internal error: %s", e.Image.ID, refusal.Message)
	}
	return fmt.Sprintf("Failed to upload image data for image %s due to internal error", e.Image.ID)
}

func (s *Images) notify(ctx context.Context, e Event) {
	if s.o.Notify != nil {
		s.o.Notify.Notify(ctx, e)
	}
}

// notifyTask tells how far a task is: a word such as create or processing.
func (s *Images) notifyTask(ctx context.Context, what string, t *Task) {
	if s.o.Notify != nil {
		s.o.Notify.Notify(ctx, Event{Type: "task." + what, Task: t.Clone()})
	}
}

// errTruncated is the failure of an image.send.
var errTruncated = errors.New("the data was not sent to its end")

// Sent notes that n bytes of the data were sent to the caller, who was to get
// all of them or, else, fewer than it asked for.
func (d *Data) Sent(ctx context.Context, n int64, all bool) {
	e := Event{Type: "image.send", Image: d.Image, Sent: n, To: d.Receiver}
	if !all {
		e.Err = errTruncated
	}
	d.images.notify(context.WithoutCancel(ctx), e)
}
