package sqlcatalog

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
	"glancectl/service/glance/tasktest"
)

func TestTasks(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		tasktest.Run(t, func(t *testing.T) glance.TaskCatalog {
			mustExec(t, c, `DELETE FROM task_info`)
			mustExec(t, c, `DELETE FROM tasks`)
			return c.Tasks()
		})
	})
}

// The rows are what OpenStack Glance expects to find in them.
func TestTaskRows(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		at := time.Date(2024, 2, 29, 23, 59, 58, 700_000_000, time.UTC)
		task := &glance.Task{
			ID: "71c675ab-d94f-49cd-a114-e12490b328d9", Type: glance.ImageImport, Status: glance.TaskPending, Owner: "p",
			Input: json.RawMessage(`{"uri": "é"}`), CreatedAt: at, UpdatedAt: at,
		}
		if err := c.Tasks().CreateTask(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string][]string{
			`SELECT CONCAT(type, ' ', status, ' ', owner, ' ', deleted, ' ', image_id IS NULL, ' ', expires_at IS NULL) FROM tasks`: {"api_image_import pending p 0 1 1"},
			`SELECT SUBSTR(created_at, 1, 19) FROM tasks`:               {"2024-02-29 23:59:58"},
			`SELECT CONCAT(input, result, '-', message) FROM task_info`: {`{"uri": "\u00e9"}null-`},
		} {
			if diff := cmp.Diff(want, cells(t, c, query)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
	})
}

// Rows that OpenStack Glance has written can be read, also those without
// their second half.
func TestForeignTaskRows(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		mustExec(t, c, `INSERT INTO tasks (id, type, status, owner, created_at, deleted) VALUES ('a', 'import', 'failure', 'p', '2024-02-29 23:59:58', ?)`, false)
		mustExec(t, c, `INSERT INTO tasks (id, type, status, owner, created_at, deleted) VALUES ('b', 'import', 'failure', 'p', '2024-02-29 23:59:58', ?)`, false)
		mustExec(t, c, `INSERT INTO task_info (task_id, input, result, message) VALUES ('b', '{"a": 1', NULL, NULL)`)
		for _, id := range []string{"a", "b"} {
			task, err := c.Tasks().Task(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if task.Input != nil || task.Result != nil || task.Message != "" || !task.UpdatedAt.Equal(task.CreatedAt) || task.CreatedAt.IsZero() {
				t.Errorf("task is %+v", task)
			}
		}
	})
}

// To MySQL a removed property of another case has the row of the lock.
func TestLockOverAnotherCase(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		im := &glance.Image{
			ID: "71c675ab-d94f-49cd-a114-e12490b328d9", Status: glance.Queued, Visibility: glance.Shared,
			Properties: map[string]string{"OS_GLANCE_import_task": "x"},
		}
		if err := c.Create(t.Context(), im); err != nil {
			t.Fatal(err)
		}
		step := func(before, after map[string]string) {
			t.Helper()
			was, is := im.Clone(), im.Clone()
			was.Properties, is.Properties = before, after
			if err := c.Update(t.Context(), was, is); err != nil {
				t.Fatal(err)
			}
			got, err := c.Get(t.Context(), im.ID, false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(after, got.Properties); diff != "" {
				t.Errorf("properties (-want +got):\n%s", diff)
			}
		}
		step(im.Properties, map[string]string{})
		locked := map[string]string{glance.ImportLock: "task"}
		step(map[string]string{}, locked)
		step(locked, map[string]string{})
	})
}
