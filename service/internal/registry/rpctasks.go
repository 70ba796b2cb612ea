package registry

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"glancectl/service/glance"
)

// A taskRow is a task as the original's database returns it.
type taskRow struct {
	ID        string            `json:"id"`
	Type      glance.TaskType   `json:"type"`
	Status    glance.TaskStatus `json:"status"`
	Owner     string            `json:"owner"`
	ImageID   *glance.ID        `json:"image_id"`
	RequestID string            `json:"request_id"`
	UserID    string            `json:"user_id"`
	Input     json.RawMessage   `json:"input"`
	Result    json.RawMessage   `json:"result"`
	Message   string            `json:"message"`
	ExpiresAt *moment           `json:"expires_at"`
	CreatedAt moment            `json:"created_at"`
	UpdatedAt moment            `json:"updated_at"`
	DeletedAt *moment           `json:"deleted_at"`
	Deleted   bool              `json:"deleted"`
}

func taskRowOf(t *glance.Task) taskRow {
	r := taskRow{
		ID: t.ID, Type: t.Type, Status: t.Status, Owner: t.Owner, RequestID: t.RequestID, UserID: t.UserID,
		Input: orNull(t.Input), Result: orNull(t.Result), Message: t.Message,
		ExpiresAt: momentOf(t.ExpiresAt), CreatedAt: moment(t.CreatedAt), UpdatedAt: moment(t.UpdatedAt),
	}
	if t.ImageID != "" {
		r.ImageID = &t.ImageID
	}
	return r
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// task returns a task of the caller's project, to an admin any.
func (h *Handler) task(ctx context.Context, args values) (*glance.Task, error) {
	id, err := args.needed("task_id")
	if err != nil {
		return nil, err
	}
	t, err := h.o.Tasks.Task(ctx, id)
	if errors.Is(err, glance.ErrNotFound) || err == nil && t.ExpiresAt != nil && t.ExpiresAt.Before(h.o.Now()) {
		return nil, raise("TaskNotFound", "Task with the given id %s was not found", id)
	}
	if c := glance.CallerFrom(ctx); err == nil && !c.Admin && t.Owner != c.ProjectID {
		return nil, raise("Forbidden", "Forbidding request, task %s is not visible", id)
	}
	return t, err
}

// task gives a task what v has of it.
func (v values) task(t *glance.Task) {
	if v.has("status") {
		t.Status = glance.TaskStatus(v.text("status"))
	}
	if v.has("message") {
		t.Message = v.text("message")
	}
	if v.has("image_id") {
		t.ImageID = glance.ID(v.text("image_id"))
	}
	if raw, ok := v["result"]; ok {
		t.Result = raw
	}
	if at, ok := v.time("expires_at"); ok {
		t.ExpiresAt = &at
	}
}

func (h *Handler) rpcTaskCreate(ctx context.Context, args values) (any, error) {
	v, err := args.object("values")
	if err != nil {
		return nil, err
	}
	c := glance.CallerFrom(ctx)
	now := h.o.Now().UTC().Truncate(time.Second)
	t := &glance.Task{
		ID: v.text("id"), Type: glance.TaskType(v.text("type")), Status: glance.TaskPending, Owner: c.ProjectID,
		RequestID: v.text("request_id"), UserID: v.text("user_id"), Input: v["input"], CreatedAt: now, UpdatedAt: now,
	}
	if c.Admin && v.has("owner") {
		t.Owner = v.text("owner")
	}
	if t.ID == "" {
		t.ID = string(h.o.NewID())
	}
	if err := h.ofImage(ctx, v); err != nil {
		return nil, err
	}
	v.task(t)
	if err := h.o.Tasks.CreateTask(ctx, t); err != nil {
		return nil, err
	}
	return taskRowOf(t), nil
}

func (h *Handler) rpcTaskGet(ctx context.Context, args values) (any, error) {
	t, err := h.task(ctx, args)
	if err != nil {
		return nil, err
	}
	return taskRowOf(t), nil
}

func (h *Handler) rpcTaskUpdate(ctx context.Context, args values) (any, error) {
	v, err := args.object("values")
	if err != nil {
		return nil, err
	}
	if err := h.ofImage(ctx, v); err != nil {
		return nil, err
	}
	_, after, err := h.retask(ctx, args, v.task)
	if err != nil {
		return nil, err
	}
	return taskRowOf(after), nil
}

// ofImage refuses to make a task one of an image that is not the caller's, for
// what is left of a task that died is cleared away with its image.
func (h *Handler) ofImage(ctx context.Context, v values) error {
	id, null := plain(v["image_id"])
	if null || id == "" {
		return nil
	}
	_, err := h.mutable(ctx, id)
	return reached(id, err)
}

// rpcTaskDelete has a task expire, which is how tasks end here. It has done so
// for two seconds already, as there are databases that know of none shorter.
func (h *Handler) rpcTaskDelete(ctx context.Context, args values) (any, error) {
	now := h.o.Now().UTC()
	past := now.Add(-2 * time.Second)
	before, after, err := h.retask(ctx, args, func(t *glance.Task) { t.ExpiresAt = &past })
	if err != nil {
		return nil, err
	}
	after.ExpiresAt = before.ExpiresAt
	row := taskRowOf(after)
	row.Deleted, row.DeletedAt = true, momentOf(&now)
	return row, nil
}

// retask has f change a task. It returns the task as it was and as it is.
func (h *Handler) retask(ctx context.Context, args values, f func(t *glance.Task)) (before, after *glance.Task, err error) {
	if before, err = h.task(ctx, args); err != nil {
		return nil, nil, err
	}
	after = before.Clone()
	f(after)
	return before, after, h.o.Tasks.UpdateTask(ctx, before, after)
}

func (h *Handler) rpcTaskGetAll(ctx context.Context, args values) (any, error) {
	c := glance.CallerFrom(ctx)
	q := glance.TaskQuery{Now: h.o.Now().UTC(), Marker: args.text("marker"), Sort: args.text("sort_key"), Ascending: args.text("sort_dir") == "asc"}
	if raw, ok := args["limit"]; ok {
		n, _, err := integer("limit", raw, 1<<31-1)
		if err != nil {
			return nil, err
		}
		q.Limit = int(n)
	}
	if filters, err := args.object("filters"); err == nil {
		q.Type, q.Status = glance.TaskType(filters.text("type")), glance.TaskStatus(filters.text("status"))
		q.Owner, q.ImageID = filters.text("owner"), glance.ID(filters.text("image_id"))
	}
	if !c.Admin {
		q.Owner = c.ProjectID
	}
	tasks, err := h.o.Tasks.Tasks(ctx, q)
	if err != nil {
		return nil, err
	}
	rows := make([]taskRow, len(tasks))
	for i, t := range tasks {
		rows[i] = taskRowOf(t)
	}
	return rows, nil
}
