package notifier_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
	"glancectl/service/internal/notifier"
)

var at = time.Date(2026, 11, 20, 11, 0, 43, 806926000, time.UTC)

func p[T any](v T) *T { return &v }

// told is a notifier, and the messages that it wrote.
type told struct {
	*notifier.Notifier
	lines []string
}

func newTold(disabled ...string) *told {
	n := new(told)
	n.Notifier = notifier.New(notifier.Options{
		Disabled: disabled, Now: func() time.Time { return at },
		Line: func(_ context.Context, level slog.Level, event, text string) {
			n.lines = append(n.lines, level.String()+" "+event+" "+text)
		},
	})
	return n
}

// payload returns the priority and the payload of the only message.
func (n *told) payload(t *testing.T) (priority string, payload any) {
	t.Helper()
	if len(n.lines) != 1 {
		t.Fatalf("%d messages %q; want one", len(n.lines), n.lines)
	}
	var m struct {
		Publisher string `json:"publisher_id"`
		Priority  string
		Timestamp string
		Payload   any
		ID        string `json:"message_id"`
		Unique    string `json:"_unique_id"`
	}
	_, text, _ := strings.Cut(n.lines[0], "{")
	if err := json.Unmarshal([]byte("{"+text), &m); err != nil {
		t.Fatal(err)
	}
	if m.Publisher != "image.localhost" || m.Timestamp != "2026-11-20 11:00:43.806926" || len(m.ID) != 36 || len(m.Unique) != 32 {
		t.Errorf("message %s: not as the original's", n.lines[0])
	}
	n.lines = nil
	return m.Priority, m.Payload
}

// created is an image with everything that a payload has, and what it must
// not have.
func created() *glance.Image {
	return &glance.Image{
		ID: "0b51de00-0000-4000-8000-000000000700", Name: p("n<"), Status: glance.Active, Visibility: glance.Public,
		DiskFormat: p("raw"), ContainerFormat: p("bare"), Owner: p("o"), Size: p(int64(6)), Checksum: p("e80b"),
		CreatedAt: at, UpdatedAt: at, Tags: []string{"a", "b"},
		Properties: map[string]string{"p": "v", glance.ImportingStores: "one,two", glance.FailedStores: ""},
		Locations:  []glance.Location{{URL: "http://user:planted@host/x", Status: glance.Active}},
	}
}

const (
	image = `{"id": "0b51de00-0000-4000-8000-000000000700", "name": "n<", "status": "active", "created_at": "2026-11-20T11:00:43Z",
		"updated_at": "2026-11-20T11:00:43Z", "min_disk": 0, "min_ram": 0, "protected": false, "checksum": "e80b", "owner": "o",
		"disk_format": "raw", "container_format": "bare", "size": 6, "virtual_size": null, "is_public": true, "visibility": "public",
		"properties": {"p": "v", "os_glance_importing_to_stores": "one,two", "os_glance_failed_import": ""}, "tags": ["a", "b"], `
	alive = `"deleted": false, "deleted_at": null`
	dead  = `"deleted": true, "deleted_at": "2026-11-20T11:00:43Z"`
)

func TestPayloads(t *testing.T) {
	member := &glance.Member{ImageID: "0b51de00-0000-4000-8000-000000000700", ProjectID: "q", Status: glance.Pending, CreatedAt: at, UpdatedAt: at}
	task := &glance.Task{ID: "t", Type: glance.ImageImport, Status: glance.TaskPending, Owner: "o", CreatedAt: at, UpdatedAt: at,
		Input: json.RawMessage(`"planted"`), Message: "planted"}
	for _, test := range []struct {
		event    glance.Event
		priority string
		want     string
	}{
		{glance.Event{Type: "image.create", Image: created()}, "INFO", image + alive + "}"},
		{glance.Event{Type: "image.delete", Image: created()}, "INFO", image + dead + "}"},
		{glance.Event{Type: "image.prepare", Image: created(), Store: "one"}, "INFO",
			image + alive + `, "os_glance_importing_to_stores": ["one", "two"], "os_glance_failed_import": [], "backend": "one"}`},
		{glance.Event{Type: "image.upload", Image: created(), Err: &glance.Refusal{Kind: glance.ErrTooLarge, Message: "The provided image is too large."}}, "ERROR",
			`"Failed to upload image data for image 0b51de00-0000-4000-8000-000000000700 due to internal error: The provided image is too large."`},
		{glance.Event{Type: "image.upload", Image: created(), Err: errors.New("PUT http://user:planted@host/: refused")}, "ERROR",
			`"Failed to upload image data for image 0b51de00-0000-4000-8000-000000000700 due to internal error"`},
		{glance.Event{Type: "image.upload", Image: created(), Err: fmt.Errorf("x: %w", &glance.Refusal{Kind: glance.ErrStoreFull, Message: "Image storage media is full: x"})}, "ERROR",
			`"Image storage media is full: x"`},
		{glance.Event{Type: "image.send", Image: created(), Sent: 6}, "INFO",
			`{"bytes_sent": 6, "image_id": "0b51de00-0000-4000-8000-000000000700", "owner_id": "o", "receiver_tenant_id": "p", "receiver_user_id": null}`},
		{glance.Event{Type: "image.send", Image: created(), Sent: 6, To: "192.0.2.7"}, "INFO",
			`{"bytes_sent": 6, "image_id": "0b51de00-0000-4000-8000-000000000700", "owner_id": "o", "receiver_tenant_id": "p", "receiver_user_id": null, "destination_ip": "192.0.2.7"}`},
		{glance.Event{Type: "image.send", Image: created(), Sent: 2, Err: errors.New("short")}, "ERROR",
			`{"bytes_sent": 2, "image_id": "0b51de00-0000-4000-8000-000000000700", "owner_id": "o", "receiver_tenant_id": "p", "receiver_user_id": null}`},
		{glance.Event{Type: "image.member.delete", Image: created(), Member: member}, "INFO",
			`{"image_id": "0b51de00-0000-4000-8000-000000000700", "member_id": "q", "status": "pending", "created_at": "2026-11-20T11:00:43Z", "updated_at": "2026-11-20T11:00:43Z", ` + dead + "}"},
		{glance.Event{Type: "task.delete", Task: task}, "INFO",
			`{"id": "t", "type": "api_image_import", "status": "pending", "result": null, "owner": "o", "message": null, "expires_at": "2026-11-20T11:00:43Z",
			"created_at": "2026-11-20T11:00:43Z", "updated_at": "2026-11-20T11:00:43Z", ` + dead + "}"},
	} {
		n := newTold()
		n.Notify(glance.WithCaller(t.Context(), glance.Caller{ProjectID: "p"}), test.event)
		if text := fmt.Sprint(n.lines); strings.Contains(text, "planted") || strings.Contains(text, `\u003c`) {
			t.Errorf("%s: message %s", test.event.Type, text)
		}
		compare(t, n, test.event.Type, test.priority, test.want)
	}
}

func compare(t *testing.T, n *told, event, priority, want string) {
	t.Helper()
	wantLine := map[string]string{"INFO": "INFO ", "ERROR": "ERROR "}[priority] + event + " {"
	if len(n.lines) != 1 || !strings.HasPrefix(n.lines[0], wantLine) {
		t.Errorf("lines %q; want one that begins with %q", n.lines, wantLine)
	}
	gotPriority, got := n.payload(t)
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" || gotPriority != priority {
		t.Errorf("%s with priority %s, want %s; payload (-want +got):\n%s", event, gotPriority, priority, diff)
	}
}

// TestDefinitions has what only a unit can see: entries without times of their
// own, as they are in a namespace that was just made.
func TestDefinitions(t *testing.T) {
	ns := &metadef.Namespace{Entry: metadef.Entry{Name: "M", CreatedAt: at}, Visibility: glance.Private, Owner: "o"}
	const born = `"created_at": "2026-11-20T11:00:43Z", "updated_at": "2026-11-20T11:00:43Z", `
	for _, test := range []struct {
		event metadef.Event
		want  string
	}{
		{metadef.Event{Type: "metadef_namespace.update", Namespace: ns, Old: "N"},
			`{"namespace": "M", "namespace_old": "N", "display_name": null, "protected": false, "visibility": "private", "owner": "o", "description": null, ` + born + alive + "}"},
		{metadef.Event{Type: "metadef_tag.delete", Namespace: ns, Tag: &metadef.Tag{Entry: metadef.Entry{Name: "t"}}},
			`{"namespace": "M", "name": "t", "name_old": "t", ` + born + dead + "}"},
		{metadef.Event{Type: "metadef_object.create", Namespace: ns, Object: &metadef.Object{Entry: metadef.Entry{Name: "o"}}},
			`{"namespace": "M", "name": "o", "name_old": "o", "properties": [], "required": [], "description": null, ` + born + alive + "}"},
	} {
		n := newTold()
		n.NotifyDefinition(t.Context(), test.event)
		compare(t, n, test.event.Type, "INFO", test.want)
	}
}

func TestDisabled(t *testing.T) {
	for _, test := range []struct {
		disabled, event string
		told            bool
	}{
		{"image", "image.create", false},
		{"image", "image.member.create", false},
		{"image.member", "image.member.create", false},
		{"image.member", "image.create", true},
		{"image.create", "image.create", false},
		{"image.create", "image.update", true},
		{"ima", "image.create", true},
		{"metadef_tag", "metadef_tag.create", false},
		{"metadef_tag", "metadef_object.create", true},
	} {
		n := newTold("other", test.disabled)
		if strings.HasPrefix(test.event, "image") {
			n.Notify(t.Context(), glance.Event{Type: test.event, Image: created()})
		} else {
			n.NotifyDefinition(t.Context(), metadef.Event{Type: test.event, Namespace: new(metadef.Namespace)})
		}
		if told := len(n.lines) > 0; told != test.told {
			t.Errorf("with %s disabled, %s is told: %t; want %t", test.disabled, test.event, told, test.told)
		}
	}
}
