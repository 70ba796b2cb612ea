// Package notifier tells others what happens to images, tasks and metadata
// definitions: in the log, or on a message broker (RabbitMQ) in the form that
// OpenStack's notifications have.
//
// The assembly makes one [Notifier] of the configuration and hands it to
// whoever is asked to change something. No request waits for it and none fails
// because of it: what cannot be delivered is queued, and beyond the queue's
// bounds dropped and counted. The package knows nothing of how images are kept
// and puts nothing into a message that says where their data is.
package notifier

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
)

// Options say what is told to whom.
type Options struct {
	Publisher string   // who says so; "" means image.localhost
	Disabled  []string // types of events, or groups of them, that nobody is told of
	// Line is called with every message, and how bad it is; nil means nothing is.
	Line func(ctx context.Context, level slog.Level, event, text string)
	// Broker is where events go, too; nil means nowhere.
	Broker *Broker
	Now    func() time.Time // nil means time.Now
}

// A Notifier is a glance.Notifier and a metadef.Notifier. It may be told of
// several things at once.
type Notifier struct{ o Options }

// New returns a Notifier. Whoever made the Broker closes it.
func New(o Options) *Notifier {
	if o.Publisher == "" {
		o.Publisher = "image.localhost"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Notifier{o}
}

// Notify implements glance.Notifier.
func (n *Notifier) Notify(ctx context.Context, e glance.Event) {
	if !n.enabled(e.Type) {
		return
	}
	priority := info
	if e.Err != nil {
		priority = failure
	}
	n.send(ctx, e.Type, priority, payloadOf(ctx, e, n.o.Now()))
}

// NotifyDefinition implements metadef.Notifier.
func (n *Notifier) NotifyDefinition(ctx context.Context, e metadef.Event) {
	if n.enabled(e.Type) {
		n.send(ctx, e.Type, info, definitionOf(e, n.o.Now()))
	}
}

// enabled says whether anybody is told of events of a type. A group is what
// stands before a dot: image is all of image.create, image.member.create and so
// on, image.member only the latter.
func (n *Notifier) enabled(event string) bool {
	for _, d := range n.o.Disabled {
		if event == d || strings.HasPrefix(event, d+".") {
			return false
		}
	}
	return true
}

func (n *Notifier) send(ctx context.Context, event string, p priority, payload any) {
	m := newMessage(event, p, payload)
	m.Publisher, m.Timestamp = n.o.Publisher, n.o.Now().UTC().Format("2006-01-02 15:04:05.000000")
	text := encode(m)
	if n.o.Line != nil {
		level := slog.LevelInfo
		if p == failure {
			level = slog.LevelError
		}
		n.o.Line(ctx, level, event, string(text))
	}
	if n.o.Broker != nil {
		n.o.Broker.offer(p, text)
	}
}
