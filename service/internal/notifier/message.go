package notifier

import (
	"bytes"
	"encoding/json"
	"strings"

	"glancectl/service/glance"
)

// A priority is how bad it is.
type priority string

const (
	info    priority = "INFO"
	failure priority = "ERROR"
)

// key is the last part of a routing key.
func (p priority) key() string { return strings.ToLower(string(p)) }

// A message is a notification, with its names on the wire.
type message struct {
	ID        string   `json:"message_id"`
	Publisher string   `json:"publisher_id"`
	Event     string   `json:"event_type"`
	Priority  priority `json:"priority"`
	Payload   any      `json:"payload"`
	Timestamp string   `json:"timestamp"`
	// Unique lets whoever gets a message twice know it.
	Unique string `json:"_unique_id"`
}

func newMessage(event string, p priority, payload any) message {
	return message{
		ID: glance.NewUUID(), Event: event, Priority: p, Payload: payload,
		Unique: strings.ReplaceAll(glance.NewUUID(), "-", ""),
	}
}

// encode returns v as JSON that leaves letters such as < alone. All that comes
// here can be written as JSON: text, numbers, and what was read as JSON.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("notifier: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}

// envelope returns a message as version 2.0 wraps it.
func envelope(text []byte) []byte {
	return encode(struct {
		Version string `json:"oslo.version"`
		Message string `json:"oslo.message"`
	}{"2.0", string(text)})
}
