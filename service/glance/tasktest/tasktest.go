// Package tasktest is the suite that every [glance.TaskCatalog] passes.
//
// The tests of a catalog call [Run] with a way to make an empty one. The suite
// knows the contract in package glance and nothing of SQL.
package tasktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/glance"
)

// Run tests the catalogs that open returns, an empty one each time.
func Run(t *testing.T, open func(t *testing.T) glance.TaskCatalog) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, glance.TaskCatalog)
	}{
		{"create and get", createAndGet},
		{"create twice", createTwice},
		{"update", update},
		{"one of many wins", oneWins},
		{"select", selects},
		{"order and pages", pages},
		{"expired tasks go", expires},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// day is when the tests' tasks are made.
var day = time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC)

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-9000-%012d", n) }

func bare(n int) *glance.Task {
	at := day.Add(time.Duration(n) * time.Second)
	return &glance.Task{ID: id(n), Type: glance.ImageImport, Status: glance.TaskPending, Owner: "p1", CreatedAt: at, UpdatedAt: at}
}

// full is task n with everything.
func full(n int) *glance.Task {
	t := bare(n)
	t.ImageID = "71c675ab-d94f-49cd-a114-e12490b328d9"
	t.RequestID, t.UserID = "req-1", "u1"
	t.Input = json.RawMessage(`{"import_req": {"method": {"name": "glance-direct"}}, "backend": [null]}`)
	t.Result = json.RawMessage(`{"image_id": "x"}`)
	t.Message = "Copied 0 MiB; é"
	later := time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC) // the same each time that it is asked for
	t.ExpiresAt = &later
	return t
}

func create(t *testing.T, c glance.TaskCatalog, tasks ...*glance.Task) {
	t.Helper()
	for _, task := range tasks {
		if err := c.CreateTask(t.Context(), task); err != nil {
			t.Fatalf("CreateTask(%s): %v", task.ID, err)
		}
	}
}

func get(t *testing.T, c glance.TaskCatalog, id string) *glance.Task {
	t.Helper()
	task, err := c.Task(t.Context(), id)
	if err != nil {
		t.Fatalf("Task(%s): %v", id, err)
	}
	return task
}

func is(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v; want %v", what, got, want)
	}
}

// same compares tasks. The layout of documents is not compared.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	documents := cmp.Transformer("JSON", func(m json.RawMessage) (v any) {
		json.Unmarshal(m, &v)
		return v
	})
	if diff := cmp.Diff(want, got, documents); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func createAndGet(t *testing.T, c glance.TaskCatalog) {
	wide := bare(3)
	wide.Input = json.RawMessage(`{"import_from": "http://x/é😀"}`)
	create(t, c, bare(1), full(2), wide)
	same(t, "bare task", get(t, c, id(1)), bare(1))
	same(t, "full task", get(t, c, id(2)), full(2))
	same(t, "wide characters", get(t, c, id(3)).Input, wide.Input)
	_, err := c.Task(t.Context(), id(4))
	is(t, "Task of nobody", err, glance.ErrNotFound)
}

func createTwice(t *testing.T, c glance.TaskCatalog) {
	create(t, c, full(1))
	is(t, "CreateTask again", c.CreateTask(t.Context(), bare(1)), glance.ErrExists)
	same(t, "task", get(t, c, id(1)), full(1))
}

func update(t *testing.T, c glance.TaskCatalog) {
	create(t, c, bare(1), bare(2))
	before := get(t, c, id(1))
	after := full(1)
	after.Status, after.Input, after.RequestID, after.UserID = glance.TaskSuccess, nil, "", ""
	after.Message = "wide 😀 is kept or replaced"
	if err := c.UpdateTask(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
	got := get(t, c, id(1))
	if !got.UpdatedAt.Equal(after.UpdatedAt) || !got.UpdatedAt.After(before.UpdatedAt) {
		t.Errorf("updated at %v, as told %v; want after %v", got.UpdatedAt, after.UpdatedAt, before.UpdatedAt)
	}
	if !strings.HasPrefix(got.Message, "wide ") || !strings.HasSuffix(got.Message, " is kept or replaced") {
		t.Errorf("message = %q", got.Message)
	}
	got.Message = after.Message
	same(t, "updated task", got, after)
	same(t, "the other task", get(t, c, id(2)), bare(2))

	is(t, "UpdateTask from a status it has left", c.UpdateTask(t.Context(), before, full(1)), glance.ErrConflict)
	is(t, "UpdateTask of nobody", c.UpdateTask(t.Context(), bare(3), bare(3)), glance.ErrNotFound)
	if got := get(t, c, id(1)).Status; got != glance.TaskSuccess {
		t.Errorf("status after refused updates = %s", got)
	}
}

func oneWins(t *testing.T, c glance.TaskCatalog) {
	create(t, c, bare(1))
	before := get(t, c, id(1))
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			after := before.Clone()
			after.Status = glance.TaskProcessing
			errs[i] = c.UpdateTask(t.Context(), before, after)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, glance.ErrConflict):
			t.Errorf("UpdateTask beside others: %v; want %v", err, glance.ErrConflict)
		}
	}
	if won != 1 {
		t.Errorf("%d updates won; want 1", won)
	}
}

// list returns the numbers of the tasks that q selects.
func list(t *testing.T, c glance.TaskCatalog, q glance.TaskQuery) string {
	t.Helper()
	tasks, err := c.Tasks(t.Context(), q)
	if err != nil {
		t.Fatalf("Tasks(%+v): %v", q, err)
	}
	var b strings.Builder
	for _, task := range tasks {
		b.WriteString(strings.TrimLeft(task.ID[len(task.ID)-3:], "0"))
	}
	return b.String()
}

func selects(t *testing.T, c glance.TaskCatalog) {
	legacy, other, failed := bare(2), bare(3), full(4)
	legacy.Type, other.Owner, failed.Status = glance.LegacyImport, "p2", glance.TaskFailure
	create(t, c, bare(1), legacy, other, failed)
	for _, test := range []struct {
		q    glance.TaskQuery
		want string
	}{
		{glance.TaskQuery{}, "4321"},
		{glance.TaskQuery{Type: glance.LegacyImport}, "2"},
		{glance.TaskQuery{Owner: "p2"}, "3"},
		{glance.TaskQuery{Status: glance.TaskFailure}, "4"},
		{glance.TaskQuery{Status: glance.TaskPending, Owner: "p1"}, "21"},
		{glance.TaskQuery{ImageID: failed.ImageID}, "4"},
		{glance.TaskQuery{ImageID: "none"}, ""},
		{glance.TaskQuery{Now: failed.ExpiresAt.Add(time.Second)}, "321"},
	} {
		if got := list(t, c, test.q); got != test.want {
			t.Errorf("Tasks(%+v) = %s; want %s", test.q, got, test.want)
		}
	}
	tasks, err := c.Tasks(t.Context(), glance.TaskQuery{Status: glance.TaskFailure})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "listed task", tasks, []*glance.Task{failed})
	_, err = c.Tasks(t.Context(), glance.TaskQuery{Sort: "id; DROP TABLE tasks"})
	is(t, "Tasks by an unknown key", err, glance.ErrInvalid)
	_, err = c.Tasks(t.Context(), glance.TaskQuery{Marker: id(9)})
	is(t, "Tasks after an unknown marker", err, glance.ErrNotFound)
}

func pages(t *testing.T, c glance.TaskCatalog) {
	for n := range 7 {
		task := bare(n + 1)
		task.Owner = []string{"a", "b"}[n%2]
		task.CreatedAt, task.UpdatedAt = day, day.Add(-time.Duration(n)*time.Hour)
		if n%3 == 0 {
			task.ExpiresAt = full(n).ExpiresAt
		}
		create(t, c, task)
	}
	for _, test := range []struct {
		sort      string
		ascending bool
		want      string
	}{
		{"", false, "7654321"},
		{"created_at", true, "1234567"},
		{"updated_at", true, "7654321"},
		{"id", true, "1234567"},
		{"owner", true, "1357246"},
		{"owner", false, "6427531"},
		{"type", true, "1234567"},
		{"status", false, "7654321"},
		{"expires_at", true, "2356147"},
		{"expires_at", false, "7416532"},
	} {
		q := glance.TaskQuery{Sort: test.sort, Ascending: test.ascending}
		if got := list(t, c, q); got != test.want {
			t.Errorf("Tasks(%+v) = %s; want %s", q, got, test.want)
		}
		q.Limit = 3
		var got string
		for range 3 {
			page := list(t, c, q)
			got += page
			q.Marker = id(int(page[len(page)-1] - '0'))
		}
		if got != test.want {
			t.Errorf("pages of Tasks(%+v) = %s; want %s", q, got, test.want)
		}
	}
}

// expires has tasks that were to be forgotten long ago.
func expires(t *testing.T, c glance.TaskCatalog) {
	old := full(1)
	past := day.Add(48 * time.Hour)
	old.ExpiresAt = &past
	create(t, c, old)
	get(t, c, id(1)) // nobody has looked
	create(t, c, full(2))
	_, err := c.Task(t.Context(), id(1))
	is(t, "Task that has expired", err, glance.ErrNotFound)
	is(t, "UpdateTask of a task that has expired", c.UpdateTask(t.Context(), old, full(1)), glance.ErrNotFound)
	if got := list(t, c, glance.TaskQuery{}); got != "2" {
		t.Errorf("Tasks = %s; want 2", got)
	}
}
