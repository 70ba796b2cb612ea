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

// Head is the revision of the schema that Sync makes, as Alembic names it.
const Head = "2024_1_contract01"

//go:embed schema/sqlite.sql
var sqliteSchema string

//go:embed schema/mysql.sql
var mysqlSchema string

// usable are the revisions whose tables the catalog works on. The later ones
// only added the tables of the central cache list, which nothing here reads, so
// a database of an older release stays as it is and that release can have it
// back.
var usable = []string{
	Head,
	"2023_1_contract01",
	"zed_contract01",
	"yoga_contract01",
	"xena_contract01",
	"wallaby_contract01",
}

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
	if c.missing() {
		return fmt.Errorf("database %s: %w: no such file; run: glance-manage db sync", c.target.path, glance.ErrUnavailable)
	}
	var s state
	err := c.read(ctx, func(tx *sql.Tx) (err error) {
		s, err = c.target.dialect.state(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("database check: %w", err)
	}
	ready, err := s.ready()
	if err == nil && !ready {
		err = errors.New("no tables yet; run: glance-manage db sync")
	}
	if err != nil {
		return fmt.Errorf("database check: %w: %v", glance.ErrUnavailable, err)
	}
	return nil
}

// Sync makes the tables if there are none and does nothing if there are some
// that the catalog can use. It may run on several nodes at once, and again
// after it was cut off. A database of a release too old to be used is refused
// with what to run. The file of a SQLite database is made, with mode 0640; its
// directory is not.
func (c *Catalog) Sync(ctx context.Context) error {
	var err error
	if c.target.server != nil {
		err = c.syncServer(ctx)
	} else {
		err = c.syncFile(ctx)
	}
	if err != nil {
		return fmt.Errorf("database sync: %w", err)
	}
	return nil
}

func (c *Catalog) syncFile(ctx context.Context) error {
	f, err := os.OpenFile(c.target.path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return c.write(ctx, func(tx *sql.Tx) error {
		s, err := sqlite.state(ctx, tx)
		if err != nil {
			return err
		}
		ready, err := s.ready()
		if err != nil || ready {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqliteSchema); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO alembic_version (version_num) VALUES (?)`, Head)
		return err
	})
}

// lockWait is how long a sync waits for another one, in seconds.
const lockWait = 300

// syncServer makes the tables under a lock of the server's. A Galera cluster
// does not share such locks: there it is the statements, each harmless when
// repeated, that let two syncs run at once.
func (c *Catalog) syncServer(ctx context.Context) error {
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
	s, err := mariadb.state(ctx, conn)
	if err != nil {
		return mariadb.translate(err)
	}
	ready, err := s.ready()
	if err != nil || ready {
		return err
	}
	for _, statement := range statements() {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return mariadb.translate(err)
		}
	}
	// The row comes last: with it the schema counts as whole.
	_, err = conn.ExecContext(ctx, `INSERT INTO alembic_version (version_num) VALUES (?)`, Head)
	if err != nil && !duplicate(err) {
		return mariadb.translate(err)
	}
	return nil
}

// statements returns the statements that make the tables on a server, which
// takes them one by one.
func statements() []string {
	return strings.Split(strings.TrimSuffix(strings.TrimSpace(mysqlSchema), ";"), ";\n")
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
}

// A state is what a database says about its schema.
type state struct {
	revisions []string // sorted
	migrate   bool     // it has the version table of the releases before Ocata
	old       bool     // it has an images table that no sync of ours began
}

// ready tells whether the tables are there, or why they cannot be used.
func (s state) ready() (bool, error) {
	switch {
	case len(s.revisions) == 1 && slices.Contains(usable, s.revisions[0]):
		return true, nil
	case len(s.revisions) > 1:
		return false, fmt.Errorf("an upgrade is half done (%s); finish it with glance-manage db sync of the OpenStack Glance that began it", strings.Join(s.revisions, ", "))
	case len(s.revisions) == 1:
		return false, fmt.Errorf("schema revision %s is none this service can use (%s to %s); run glance-manage db sync of an OpenStack Glance of these releases first",
			s.revisions[0], usable[len(usable)-1], Head)
	case s.migrate, s.old:
		return false, errors.New("tables of an OpenStack Glance before Ocata; run glance-manage db sync of OpenStack Glance Wallaby or later first")
	}
	return false, nil
}

// state reads what the database says about its schema.
func (d dialect) state(ctx context.Context, q querier) (s state, err error) {
	list := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if d.name == "mysql" {
		list = `SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()`
	}
	tables, err := column(ctx, q, list)
	if err != nil {
		return s, err
	}
	s.migrate = slices.Contains(tables, "migrate_version")
	if slices.Contains(tables, "alembic_version") {
		s.revisions, err = column(ctx, q, `SELECT version_num FROM alembic_version ORDER BY version_num`)
		return s, err
	}
	// Our own sync begins with alembic_version.
	s.old = slices.Contains(tables, "images")
	return s, nil
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
