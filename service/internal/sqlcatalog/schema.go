package sqlcatalog

import (
	"context"
	"database/sql"
	_ "embed" // the schema files
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"glancectl/service/glance"
)

//go:embed schema/sqlite.sql
var sqliteSchema string

//go:embed schema/mysql.sql
var mysqlSchema string

//go:embed schema/sqlite-2024_1.sql
var sqliteLatest string

//go:embed schema/mysql-2024_1.sql
var mysqlLatest string

// Version returns the revision of the schema as glance-manage prints it; ""
// when the database has no tables yet. Between the steps of an upgrade by
// OpenStack Glance there may be several, one a line.
func (c *Catalog) Version(ctx context.Context) (string, error) {
	if c.missing() {
		return "", nil
	}
	var s state
	err := c.read(ctx, func(tx *sql.Tx) (err error) {
		s, err = c.target.dialect.state(ctx, tx)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("database version: %w", err)
	}
	return strings.Join(s.revisions, "\n"), nil
}

// Check returns nil if the catalog can work with the database as it is, else
// an error that says what to run.
func (c *Catalog) Check(ctx context.Context) error {
	_, err := c.Phase(ctx)
	return err
}

// Phase returns how far the database is on its way to tables that serve, with
// an error that says what to run unless they do. The error is ErrUnavailable;
// with Unusable it may also say that the database cannot be reached.
func (c *Catalog) Phase(ctx context.Context) (Phase, error) {
	if c.missing() {
		return Empty, fmt.Errorf("database %s: %w: no such file; run: glance-manage db sync", c.target.path, glance.ErrUnavailable)
	}
	var s state
	err := c.read(ctx, func(tx *sql.Tx) (err error) {
		s, err = c.target.dialect.state(ctx, tx)
		return err
	})
	if err != nil {
		return Unusable, fmt.Errorf("database check: %w", err)
	}
	phase, err := s.phase()
	if err != nil {
		return phase, fmt.Errorf("database check: %w: %v", glance.ErrUnavailable, err)
	}
	return Ready, nil
}

// Sync makes the tables if there are none and does nothing if there are some
// that the catalog can use. It may run on several nodes at once, and again
// after it was cut off. An upgrade that lacks nothing but its last, empty step
// is finished; a database of a release too old to be used is refused with what
// to run. The file of a SQLite database is made, with mode 0640; its directory
// is not.
func (c *Catalog) Sync(ctx context.Context) error {
	_, err := c.Upgrade(ctx, "")
	return err
}

// Upgrade is Sync to a revision, or to a later one if the database is there
// already; "" means any that serves. ErrInvalid if there is no such revision.
// Changed says whether there was anything to do.
func (c *Catalog) Upgrade(ctx context.Context, revision string) (changed bool, err error) {
	if revision != "" {
		err = known(revision)
	}
	if err == nil {
		changed, err = c.bring(ctx, revision)
	}
	if err != nil {
		return false, fmt.Errorf("database sync: %w", err)
	}
	return changed, nil
}

// bring brings the database to a revision; an empty one to Head if that is "".
func (c *Catalog) bring(ctx context.Context, revision string) (changed bool, err error) {
	err = c.exclusive(ctx, func(q querier) error {
		d := c.target.dialect
		s, err := d.state(ctx, q)
		if err != nil {
			return err
		}
		steps, err := d.steps(s, revision)
		if err != nil {
			return err
		}
		for _, step := range steps {
			// A sync on another node of a cluster may have been faster.
			if _, err := q.ExecContext(ctx, step.sql, step.args...); err != nil && !duplicate(err) {
				return err
			}
		}
		changed = len(steps) > 0
		return nil
	})
	return changed, err
}

// A step is a statement of an upgrade.
type step struct {
	sql  string
	args []any
}

// steps returns what brings a database to a revision. The row that names the
// revision comes last: with it the tables count as whole.
func (d dialect) steps(s state, revision string) (steps []step, err error) {
	add := func(sql string, args ...any) { steps = append(steps, step{sql, args}) }
	at := ""
	switch phase, err := s.phase(); phase {
	case Unusable:
		return nil, err
	case Empty:
		for _, sql := range d.schema {
			add(sql)
		}
		at = Head
		if revision == "" {
			revision = Head
		}
	case Expanded:
		at = s.contractable()
		for _, r := range s.revisions {
			add(`DELETE FROM alembic_version WHERE version_num = ?`, r)
		}
		add(`INSERT INTO alembic_version (version_num) VALUES (?)`, at)
	case Ready:
		at = s.revisions[0]
	}
	if slices.Index(usable, revision) < slices.Index(usable, at) {
		revision = at
	}
	if revision == Latest && at != Latest {
		for _, sql := range d.latest {
			add(sql)
		}
	}
	switch {
	case len(s.revisions) == 0:
		add(`INSERT INTO alembic_version (version_num) VALUES (?)`, revision)
	case revision != at:
		add(`UPDATE alembic_version SET version_num = ? WHERE version_num = ?`, revision, at)
	}
	return steps, nil
}

// Control puts a database under version control. Without a revision there must
// be no tables: it is a mark that Sync goes on from. With one it must have the
// tables of that revision but not its row, as after a restore without the
// table of versions. ErrConflict if the database is under version control
// already, ErrInvalid if the tables are not those of the revision.
func (c *Catalog) Control(ctx context.Context, revision string) error {
	if revision != "" {
		if err := known(revision); err != nil {
			return fmt.Errorf("database version control: %w", err)
		}
	}
	err := c.exclusive(ctx, func(q querier) error {
		d := c.target.dialect
		tables, err := column(ctx, q, d.tables)
		if err != nil {
			return err
		}
		whole := !slices.ContainsFunc(needed(revision), func(t string) bool { return !slices.Contains(tables, t) })
		switch {
		case slices.Contains(tables, "alembic_version") || slices.Contains(tables, "migrate_version"):
			return fmt.Errorf("%w: it is under version control already", glance.ErrConflict)
		case revision == "" && slices.Contains(tables, "images"):
			return fmt.Errorf("%w: it has tables; say which revision they are of", glance.ErrConflict)
		case revision != "" && !whole:
			return fmt.Errorf("%w: it lacks tables of revision %s", glance.ErrInvalid, revision)
		}
		if revision != "" {
			// The columns that the last steps before Head added.
			if _, err := column(ctx, q, `SELECT CONCAT(t.user_id, i.os_hidden, i.os_hash_algo) FROM tasks t, images i WHERE 1 = 0`); err != nil {
				return fmt.Errorf("%w: its tables are not those of revision %s", glance.ErrInvalid, revision)
			}
		}
		if _, err := q.ExecContext(ctx, d.schema[0]); err != nil || revision == "" {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO alembic_version (version_num) VALUES (?)`, revision)
		return err
	})
	if err != nil {
		return fmt.Errorf("database version control: %w", err)
	}
	return nil
}

// needed returns the tables that a database of a revision has at least.
func needed(revision string) []string {
	list := []string{"images", "image_locations", "image_members", "image_properties", "image_tags", "tasks", "task_info", "metadef_namespaces", "metadef_tags"}
	if revision == Latest {
		list = append(list, "cached_images", "node_reference")
	}
	return list
}

// exclusive runs f, which changes tables, while no other process does that.
func (c *Catalog) exclusive(ctx context.Context, f func(q querier) error) error {
	if c.target.server != nil {
		return c.exclusiveOnServer(ctx, f)
	}
	file, err := os.OpenFile(c.target.path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return c.write(ctx, func(tx *sql.Tx) error { return f(tx) })
}

// lockWait is how long a sync waits for another one, in seconds.
const lockWait = 300

// exclusiveOnServer holds a lock of the server's. A Galera cluster does not
// share such locks: there it is the statements, each harmless when repeated,
// that let two syncs run at once.
func (c *Catalog) exclusiveOnServer(ctx context.Context, f func(q querier) error) error {
	conn, err := c.writers.Conn(ctx)
	if err != nil {
		return mariadb.translate(err)
	}
	defer conn.Close()
	const name = `CONCAT('glance-sync-', MD5(DATABASE()))`
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, `SELECT GET_LOCK(`+name+`, ?)`, lockWait).Scan(&got); err != nil {
		return mariadb.translate(err)
	}
	if got.Int64 != 1 {
		return fmt.Errorf("%w: another sync has run for %d s", glance.ErrConflict, lockWait)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), `DO RELEASE_LOCK(`+name+`)`)
	if err := f(conn); err != nil {
		return mariadb.translate(err)
	}
	return nil
}

// statements returns the statements of a script, which a server takes one by
// one.
func statements(script string) []string {
	return strings.Split(strings.TrimSuffix(strings.TrimSpace(script), ";"), ";\n")
}

// missing tells whether the database is a file that nobody made yet.
func (c *Catalog) missing() bool {
	if c.target.server != nil {
		return false
	}
	_, err := os.Stat(c.target.path)
	return errors.Is(err, fs.ErrNotExist)
}

// A querier is a transaction or a connection.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// column returns the one column of text that a query selects.
func column(ctx context.Context, q querier, query string, args ...any) ([]string, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}
