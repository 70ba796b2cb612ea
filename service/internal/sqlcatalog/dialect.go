package sqlcatalog

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"glancectl/service/glance"
	"glancectl/service/internal/seal"
)

// A dialect is what the two kinds of database do not have in common.
type dialect struct {
	name      string
	forUpdate string // ends a SELECT that holds its rows until the commit
	// exactly compares a text column with a parameter byte by byte. MySQL's
	// collation takes "A" and "a" for the same.
	exactly string
	// hidden stands before and behind a column so that no index on it is used.
	hidden [2]string
	// join joins a table that is looked at for each row of the one before it,
	// never the other way round.
	join string
	// inOrder makes the planner read a table in the order of an index.
	inOrder string
	// reclaim ends an INSERT of a claim: one that is there is taken over.
	reclaim string
	// narrow says that text has no character beyond the first 65,536.
	narrow bool
	seal   *seal.Seal // of the URLs of locations; a catalog's own
	tables string     // selects the names of the tables
	schema []string   // statements that make the tables of Head
	latest []string   // statements that add those of Latest
}

var (
	sqlite = dialect{
		name:    "sqlite",
		exactly: "%[1]s = ?",
		hidden:  [2]string{"+", ""},
		join:    "CROSS JOIN",
		reclaim: " ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, request_id = excluded.request_id, updated_at = excluded.updated_at",
		tables:  `SELECT name FROM sqlite_master WHERE type = 'table'`,
		schema:  statements(sqliteSchema),
		latest:  statements(sqliteLatest),
	}
	mariadb = dialect{
		name:      "mysql",
		forUpdate: " FOR UPDATE",
		exactly:   "CAST(%[1]s AS BINARY) = CAST(? AS BINARY)",
		hidden:    [2]string{"COALESCE(", ")"},
		join:      "STRAIGHT_JOIN",
		inOrder:   " FORCE INDEX FOR ORDER BY (%s)",
		reclaim:   " ON DUPLICATE KEY UPDATE owner = VALUES(owner), request_id = VALUES(request_id), updated_at = VALUES(updated_at)",
		narrow:    true,
		tables:    `SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()`,
		schema:    statements(mysqlSchema),
		latest:    statements(mysqlLatest),
	}
)

// same returns the condition that column is, to the byte, the next parameter.
func (d dialect) same(column string) string { return fmt.Sprintf(d.exactly, column) }

// hide returns a column in a form that keeps the planner off its indexes: for
// columns where nearly every row has the same value, which the planner of
// SQLite does not know and that of MariaDB does not mind.
func (d dialect) hide(column string) string { return d.hidden[0] + column + d.hidden[1] }

// sqlTime is how SQLAlchemy writes a time into SQLite. It compares as text.
const sqlTime = "2006-01-02 15:04:05.000000"

// time returns t as a parameter.
func (d dialect) time(t time.Time) any {
	if d.name == "sqlite" {
		return t.UTC().Format(sqlTime)
	}
	return t.UTC()
}

// timeOrNull returns *t as a parameter, or a null.
func (d dialect) timeOrNull(t *time.Time) any {
	if t == nil {
		return nil
	}
	return d.time(*t)
}

// A stamp is a time as either database returns it, or a null.
type stamp struct {
	time.Time
	valid bool
}

// Scan implements sql.Scanner.
func (s *stamp) Scan(v any) (err error) {
	s.valid = v != nil
	switch v := v.(type) {
	case nil:
		s.Time = time.Time{}
	case time.Time:
		s.Time = v.UTC()
	case string:
		s.Time, err = time.Parse("2006-01-02 15:04:05.999999", v)
	case []byte:
		s.Time, err = time.Parse("2006-01-02 15:04:05.999999", string(v))
	default:
		err = fmt.Errorf("%T is no time", v)
	}
	return err
}

func (s stamp) pointer() *time.Time {
	if !s.valid {
		return nil
	}
	return &s.Time
}

// wide tells whether the database cannot hold s.
func (d dialect) wide(s string) bool {
	return d.narrow && strings.ContainsFunc(s, func(r rune) bool { return r > 0xFFFF }) || !utf8.ValidString(s)
}

// The codes of MySQL and MariaDB that mean something here.
const (
	mysqlTooManyConnections = 1040
	mysqlDatabaseDenied     = 1044
	mysqlDenied             = 1045
	mysqlNotReady           = 1047 // a Galera node that has left its cluster
	mysqlNoDatabase         = 1049
	mysqlShutdown           = 1053
	mysqlDuplicate          = 1062
	mysqlNoTable            = 1146
	mysqlLockTimeout        = 1205
	mysqlDeadlock           = 1213
	mysqlChanged            = 1020 // since the snapshot was taken
	mysqlOutOfRange         = 1264
	mysqlBadCharacter       = 1300
	mysqlBadText            = 1366
	mysqlTooLong            = 1406
)

// codes returns the error code of either driver; 0 if err is another error.
func codes(err error) (server uint16, file int) {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number, 0
	}
	if e, ok := errors.AsType[*sqlitedriver.Error](err); ok {
		return 0, e.Code()
	}
	return 0, 0
}

// duplicate tells whether a unique key refused a row.
func duplicate(err error) bool {
	server, file := codes(err)
	return server == mysqlDuplicate || file == sqlite3.SQLITE_CONSTRAINT_UNIQUE || file == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// again tells whether a transaction failed only because of another one.
func (d dialect) again(err error) bool {
	server, file := codes(err)
	switch server {
	case mysqlDeadlock, mysqlLockTimeout, mysqlChanged:
		return true
	}
	switch file & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return true
	}
	return false
}

// translate returns err in the terms of package glance.
func (d dialect) translate(err error) error {
	server, file := codes(err)
	switch server {
	case mysqlOutOfRange, mysqlBadCharacter, mysqlBadText, mysqlTooLong:
		return fmt.Errorf("%w: %v", glance.ErrInvalid, err)
	case mysqlTooManyConnections, mysqlDatabaseDenied, mysqlDenied, mysqlNotReady, mysqlNoDatabase, mysqlShutdown:
		return fmt.Errorf("%w: %v", glance.ErrUnavailable, err)
	case mysqlNoTable:
		return fmt.Errorf("%w: %v; run: glance-manage db sync", glance.ErrUnavailable, err)
	}
	switch file & 0xff {
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR:
		return fmt.Errorf("%w: %v", glance.ErrUnavailable, err)
	case sqlite3.SQLITE_ERROR:
		if strings.Contains(err.Error(), "no such table") {
			return fmt.Errorf("%w: %v; run: glance-manage db sync", glance.ErrUnavailable, err)
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) {
		return fmt.Errorf("%w: %v", glance.ErrUnavailable, err)
	}
	return err
}
