package sqlcatalog

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"glancectl/service/glance"
)

// Tasks is a glance.TaskCatalog in the same database as a Catalog. Close of
// the Catalog ends it, too.
type Tasks struct{ c *Catalog }

// The suite in tasktest holds Tasks to the interface's comments.
var _ glance.TaskCatalog = (*Tasks)(nil)

// Tasks returns the tasks in the database of c.
func (c *Catalog) Tasks() *Tasks { return &Tasks{c} }

// taskColumns are what scanTask reads, of a table tasks known as t and
// task_info as i.
const taskColumns = `t.id, t.type, t.status, t.owner, t.image_id, t.request_id, t.user_id, i.input, i.result, i.message,
	t.created_at, t.updated_at, t.expires_at FROM tasks t LEFT JOIN task_info i ON i.task_id = t.id`

// scanTask reads one row of taskColumns.
func scanTask(scan func(dest ...any) error) (*glance.Task, error) {
	t := new(glance.Task)
	var image, request, user, input, result, message sql.NullString
	var created, updated, expires stamp
	err := scan(&t.ID, &t.Type, &t.Status, &t.Owner, &image, &request, &user, &input, &result, &message, &created, &updated, &expires)
	t.ImageID, t.RequestID, t.UserID, t.Message = glance.ID(image.String), request.String, user.String, message.String
	t.Input, t.Result = document(input), document(result)
	t.CreatedAt, t.UpdatedAt, t.ExpiresAt = created.Time, updated.Time, expires.pointer()
	if !updated.valid {
		t.UpdatedAt = t.CreatedAt
	}
	return t, err
}

// document returns JSON that a column holds. OpenStack Glance writes a null of
// JSON where there is nothing; what is no JSON at all is nothing, too.
func document(column sql.NullString) json.RawMessage {
	if !column.Valid || column.String == "null" || !json.Valid([]byte(column.String)) {
		return nil
	}
	return json.RawMessage(column.String)
}

// encoded returns doc as a column holds it.
func encoded(doc json.RawMessage) string {
	if doc == nil {
		return "null"
	}
	return asASCII(string(doc))
}

// asASCII returns JSON with everything beyond ASCII escaped: a database whose
// text ends at the 65,536th character holds that, too.
func asASCII(doc string) string {
	var b strings.Builder
	for _, r := range doc {
		switch {
		case r <= unicode.MaxASCII:
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// textOrNull returns s as a parameter, or a null if it is empty.
func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// CreateTask implements glance.TaskCatalog.
func (s *Tasks) CreateTask(ctx context.Context, t *glance.Task) error {
	d, now := s.c.target.dialect, s.c.time()
	err := s.c.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tasks SET deleted = ?, deleted_at = ?, updated_at = ? WHERE deleted = ? AND expires_at < ?`,
			true, d.time(now), d.time(now), false, d.time(now))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO tasks (id, type, status, owner, image_id, request_id, user_id, created_at, updated_at, expires_at, deleted)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			t.ID, t.Type, t.Status, t.Owner, textOrNull(string(t.ImageID)), textOrNull(t.RequestID), textOrNull(t.UserID),
			d.time(t.CreatedAt.Truncate(time.Second)), d.time(t.UpdatedAt.Truncate(time.Second)), d.timeOrNull(t.ExpiresAt), false)
		if duplicate(err) {
			return glance.ErrExists
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO task_info (task_id, input, result, message) VALUES (?, ?, ?, ?)`,
			t.ID, encoded(t.Input), encoded(t.Result), asText(d, t.Message))
		if err != nil {
			return err
		}
		return s.claim(ctx, tx, t)
	})
	if err != nil {
		return fmt.Errorf("create task %s: %w", t.ID, err)
	}
	return nil
}

// Task implements glance.TaskCatalog.
func (s *Tasks) Task(ctx context.Context, id string) (t *glance.Task, err error) {
	err = s.c.read(ctx, func(tx *sql.Tx) error {
		t, err = scanTask(tx.QueryRowContext(ctx, `SELECT `+taskColumns+` WHERE t.id = ? AND t.deleted = ?`, id, false).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return glance.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", id, err)
	}
	return t, nil
}

// taskOrder has what the rows are sorted by. Nulls come before all values.
var taskOrder = map[string]string{
	"id":         "%s.id",
	"type":       "%s.type",
	"status":     "%s.status",
	"owner":      "%s.owner",
	"created_at": "%s.created_at",
	"updated_at": "COALESCE(%s.updated_at, '')",
	"expires_at": "COALESCE(%s.expires_at, '')",
}

// Tasks implements glance.TaskCatalog.
func (s *Tasks) Tasks(ctx context.Context, q glance.TaskQuery) (list []*glance.Task, err error) {
	order, ok := taskOrder[cmp.Or(q.Sort, "created_at")]
	if !ok {
		return nil, fmt.Errorf("list tasks: %w: no sort key %q", glance.ErrInvalid, q.Sort)
	}
	err = s.c.read(ctx, func(tx *sql.Tx) error {
		list = nil
		if q.Marker != "" {
			found, err := column(ctx, tx, `SELECT id FROM tasks WHERE id = ? AND deleted = ?`, q.Marker, false)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return glance.ErrNotFound
			}
		}
		query, params := s.c.target.dialect.selectTasks(q, order)
		rows, err := tx.QueryContext(ctx, query, params...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			t, err := scanTask(rows.Scan)
			if err != nil {
				return err
			}
			list = append(list, t)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	return list, nil
}

// selectTasks returns the statement for q, with an order of taskOrder.
func (d dialect) selectTasks(q glance.TaskQuery, order string) (query string, params []any) {
	query, params = `SELECT `+taskColumns+` WHERE t.deleted = ?`, []any{false}
	and := func(condition string, values ...any) {
		query += " AND (" + condition + ")"
		params = append(params, values...)
	}
	for _, f := range []struct{ column, value string }{
		{"t.type", string(q.Type)},
		{"t.status", string(q.Status)},
		{"t.owner", q.Owner},
		{"t.image_id", string(q.ImageID)},
	} {
		if f.value != "" {
			and(f.column+" = ?", f.value)
		}
	}
	and("t.expires_at IS NULL OR t.expires_at >= ?", d.time(q.Now))
	key, direction, beyond := fmt.Sprintf(order, "t"), " DESC", " < "
	if q.Ascending {
		direction, beyond = " ASC", " > "
	}
	if q.Marker != "" {
		marked := `(SELECT ` + fmt.Sprintf(order, "m") + ` FROM tasks m WHERE m.id = ?)`
		and(key+beyond+marked+" OR "+key+" = "+marked+" AND t.id"+beyond+"?", q.Marker, q.Marker, q.Marker)
	}
	query += ` ORDER BY ` + key + direction + `, t.id` + direction
	if q.Limit > 0 {
		query += ` LIMIT ?`
		params = append(params, q.Limit)
	}
	return query, params
}

// UpdateTask implements glance.TaskCatalog.
func (s *Tasks) UpdateTask(ctx context.Context, before, after *glance.Task) error {
	d, now := s.c.target.dialect, s.c.time()
	err := s.c.write(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE tasks SET status = ?, image_id = ?, expires_at = ?, updated_at = ? WHERE id = ? AND status = ? AND deleted = ?`,
			after.Status, textOrNull(string(after.ImageID)), d.timeOrNull(after.ExpiresAt), d.time(now), before.ID, before.Status, false))
		if err != nil {
			return err
		}
		if n == 0 {
			found, err := column(ctx, tx, `SELECT status FROM tasks WHERE id = ? AND deleted = ?`, before.ID, false)
			switch {
			case err != nil:
				return err
			case len(found) == 0:
				return glance.ErrNotFound
			}
			return fmt.Errorf("%w: status is %s, no longer %s", glance.ErrConflict, found[0], before.Status)
		}
		_, err = tx.ExecContext(ctx, `UPDATE task_info SET result = ?, message = ? WHERE task_id = ?`,
			encoded(after.Result), asText(d, after.Message), before.ID)
		if err != nil {
			return err
		}
		return s.endClaim(ctx, tx, after)
	})
	if err != nil {
		return fmt.Errorf("update task %s: %w", before.ID, err)
	}
	after.UpdatedAt = now
	return nil
}

// asText returns a message as the database can keep it: it comes from outside
// and is for people to read.
func asText(d dialect, s string) string {
	runes := []rune(s)
	for i, r := range runes {
		if d.narrow && r > 0xFFFF {
			runes[i] = '\uFFFD'
		}
	}
	return string(runes)
}
