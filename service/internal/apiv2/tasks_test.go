package apiv2

import (
	"testing"
	"time"

	"glancectl/service/glance"
)

// The documents of tasks are as OpenStack Glance has them: with one kind of
// time in the list of an image and another everywhere else.
func TestTaskDocuments(t *testing.T) {
	at := time.Date(2026, 11, 20, 4, 31, 7, 0, time.UTC)
	later := at.Add(48 * time.Hour)
	full := &glance.Task{
		ID: "f872d31c", Type: glance.ImageImport, Status: glance.TaskSuccess, Owner: "t1", ImageID: "f968535f", RequestID: "req-1", UserID: "u1",
		Input: []byte(`{"backend":[null],"import_req":{"method":{"name":"glance-direct"}},"n":12345678901234567890}`), Result: []byte(`{"image_id":"f968535f"}`),
		Message: "Copied 0 MiB", CreatedAt: at, UpdatedAt: at, ExpiresAt: &later,
	}
	bare := &glance.Task{ID: "0489212c", Type: glance.LegacyImport, Status: glance.TaskPending, CreatedAt: at, UpdatedAt: at}
	for _, test := range []struct {
		name string
		doc  object
		want string
	}{
		{"of an image", imageTaskDocument(full), `{"id": "f872d31c", "type": "api_image_import", "status": "success", "owner": "t1", ` +
			`"expires_at": "2026-11-22T04:31:07.000000", "created_at": "2026-11-20T04:31:07.000000", "updated_at": "2026-11-20T04:31:07.000000", "deleted_at": null, "deleted": false, ` +
			`"image_id": "f968535f", "request_id": "req-1", "user_id": "u1", "input": {"backend": [null], "import_req": {"method": {"name": "glance-direct"}}, "n": 12345678901234567890}, ` +
			`"result": {"image_id": "f968535f"}, "message": "Copied 0 MiB"}`},
		{"of an image, new", imageTaskDocument(bare), `{"id": "0489212c", "type": "import", "status": "pending", "owner": "", ` +
			`"expires_at": null, "created_at": "2026-11-20T04:31:07.000000", "updated_at": "2026-11-20T04:31:07.000000", "deleted_at": null, "deleted": false, ` +
			`"image_id": null, "request_id": null, "user_id": null, "input": null, "result": null, "message": ""}`},
		{"alone", taskDocument(full, true), `{"id": "f872d31c", "type": "api_image_import", "status": "success", "owner": "t1", ` +
			`"input": {"backend": [null], "import_req": {"method": {"name": "glance-direct"}}, "n": 12345678901234567890}, "result": {"image_id": "f968535f"}, "message": "Copied 0 MiB", ` +
			`"image_id": "f968535f", "request_id": "req-1", "user_id": "u1", "expires_at": "2026-11-22T04:31:07Z", "created_at": "2026-11-20T04:31:07Z", "updated_at": "2026-11-20T04:31:07Z", ` +
			`"self": "/v2/tasks/f872d31c", "schema": "/v2/schemas/task"}`},
		{"in a list", taskDocument(bare, false), `{"id": "0489212c", "type": "import", "status": "pending", "owner": "", ` +
			`"created_at": "2026-11-20T04:31:07Z", "updated_at": "2026-11-20T04:31:07Z", "self": "/v2/tasks/0489212c", "schema": "/v2/schemas/task"}`},
	} {
		if got := string(appendJSON(nil, test.doc)); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
		}
	}
}
