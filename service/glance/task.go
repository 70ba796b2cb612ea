package glance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// TaskType is what a task does.
type TaskType string

// The types of tasks.
const (
	ImageImport  TaskType = "api_image_import" // brings the data of an image that is there
	LegacyImport TaskType = "import"           // makes an image of what a URI yields
)

// TaskStatus is how far a task has come.
type TaskStatus string

// The statuses of tasks.
const (
	TaskPending    TaskStatus = "pending"
	TaskProcessing TaskStatus = "processing"
	TaskSuccess    TaskStatus = "success"
	TaskFailure    TaskStatus = "failure"
)

// Ended says that the task will not change any more.
func (s TaskStatus) Ended() bool { return s == TaskSuccess || s == TaskFailure }

// A Task is work that goes on after the request that asked for it was
// answered.
type Task struct {
	ID        string // a UUID
	Type      TaskType
	Status    TaskStatus
	Owner     string // project
	ImageID   ID     // empty if it is about none, or none yet
	RequestID string
	UserID    string
	Input     json.RawMessage // an object; nil is a null
	Result    json.RawMessage
	Message   string
	CreatedAt time.Time // UTC; the catalog keeps whole seconds
	UpdatedAt time.Time
	ExpiresAt *time.Time // when it may be forgotten; nil until it has ended
}

// A TaskCatalog keeps tasks. Errors are the sentinels of this package, wrapped
// with what they are about. Every method is one transaction.
type TaskCatalog interface {
	// CreateTask adds a task; ErrExists if there is one of that ID. Tasks that
	// have expired by then are marked as deleted, and no method finds them any
	// more.
	CreateTask(ctx context.Context, t *Task) error
	// Task returns a task; else ErrNotFound.
	Task(ctx context.Context, id string) (*Task, error)
	// Tasks returns the tasks that q selects, in its order. ErrNotFound if
	// there is no task of the marker's ID, ErrInvalid for an unknown sort key.
	Tasks(ctx context.Context, q TaskQuery) ([]*Task, error)
	// UpdateTask writes status, image, result, message and expiry of after if
	// the task still has before.Status, else ErrConflict; ErrNotFound. It sets
	// after.UpdatedAt.
	UpdateTask(ctx context.Context, before, after *Task) error
}

// A TaskQuery selects tasks and orders them. Empty fields select all.
type TaskQuery struct {
	Type    TaskType
	Status  TaskStatus
	Owner   string
	ImageID ID
	Now     time.Time // tasks that expired before it are left out

	Marker    string // the task before the first one wanted
	Limit     int    // 0 means all
	Sort      string // id, type, status, owner, expires_at, created_at or updated_at; empty means created_at
	Ascending bool
}

// The rules about tasks. TasksAccess guards all of /v2/tasks.
const (
	TasksAccess Rule = "tasks_api_access"
	GetTask     Rule = "get_task"
	GetTasks    Rule = "get_tasks"
	AddTask     Rule = "add_task"
)

var errNoTasks = &Refusal{Kind: ErrNotFound, Message: "The resource could not be found."}

// Tasks returns the tasks that q selects; more says that the page was full.
// ErrForbidden unless the caller may use the tasks API; ErrInvalid if there is
// no such marker or sort key.
func (s *Images) Tasks(ctx context.Context, q TaskQuery) (tasks []*Task, more bool, err error) {
	if err := s.allowTasks(ctx, GetTasks); err != nil {
		return nil, false, err
	}
	q.Now = s.now()
	tasks, err = s.imports.Tasks.Tasks(ctx, q)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, false, refuse(ErrInvalid, "Task with the given id %s was not found", q.Marker)
	case errors.Is(err, ErrInvalid):
		return nil, false, refuse(ErrInvalid, "Sort key supplied was not valid.")
	case err != nil:
		return nil, false, fmt.Errorf("list tasks: %w", err)
	}
	return tasks, q.Limit > 0 && len(tasks) == q.Limit, nil
}

// Task returns one task. ErrForbidden unless the caller may use the tasks API;
// ErrNotFound.
func (s *Images) Task(ctx context.Context, id string) (*Task, error) {
	if err := s.allowTasks(ctx, GetTask); err != nil {
		return nil, err
	}
	t, err := s.imports.Tasks.Task(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && t.ExpiresAt != nil && t.ExpiresAt.Before(s.now()) {
		return nil, refuse(ErrNotFound, "Could not find task %s", id)
	}
	if err != nil {
		return nil, fmt.Errorf("get task %s: %w", id, err)
	}
	return t, nil
}

func (s *Images) allowTasks(ctx context.Context, r Rule) error {
	c := CallerFrom(ctx)
	if s.imports.Tasks == nil {
		return errNoTasks
	}
	if err := s.allow(c, TasksAccess, Target{}); err != nil {
		return err
	}
	return s.allow(c, r, Target{})
}

// ImageTasks returns the tasks of an image, the newest first: an admin sees
// all, others those of their own project.
func (s *Images) ImageTasks(ctx context.Context, id ID) ([]*Task, error) {
	_, err := s.find(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, errHidden
	}
	if err != nil {
		return nil, err
	}
	c := CallerFrom(ctx)
	if s.imports.Tasks == nil || !c.Admin && c.ProjectID == "" {
		return nil, nil
	}
	q := TaskQuery{ImageID: id, Now: s.now()}
	if !c.Admin {
		q.Owner = c.ProjectID
	}
	tasks, err := s.imports.Tasks.Tasks(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list tasks of image %s: %w", id, err)
	}
	return tasks, nil
}

// Clone returns a copy of t that shares nothing with it.
func (t *Task) Clone() *Task {
	c := *t
	c.Input = append(json.RawMessage(nil), t.Input...)
	c.Result = append(json.RawMessage(nil), t.Result...)
	c.ExpiresAt = clone(t.ExpiresAt)
	return &c
}
