package sqlcatalog

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	// The SQLite driver is only used by its name, "sqlite".
	_ "modernc.org/sqlite"
)

// A target is the database that a URL means.
type target struct {
	dialect dialect
	server  *mysql.Config // for MySQL and MariaDB
	path    string        // for SQLite
}

// parseURL reads a database URL as SQLAlchemy takes it. The parts are cut by
// hand: net/url puts the whole URL, with the password, into its errors.
func parseURL(s string) (target, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return target{}, errors.New("database connection: not a URL; write mysql+pymysql://USER:PASSWORD@HOST/DATABASE or sqlite:////PATH")
	}
	engine, _, _ := strings.Cut(scheme, "+")
	rest, query, _ := strings.Cut(rest, "?")
	switch engine {
	case "mysql", "mariadb":
		return parseServer(rest, query)
	case "sqlite":
		return parseFile(rest)
	}
	return target{}, fmt.Errorf("database connection: %q is no database this service can use; use mysql+pymysql or sqlite", scheme)
}

func parseFile(rest string) (target, error) {
	host, path, _ := strings.Cut(rest, "/")
	if host != "" || !filepath.IsAbs(path) {
		return target{}, errors.New("database connection: sqlite needs an absolute path after three slashes, as in sqlite:////var/lib/glance/glance.sqlite")
	}
	// SQLAlchemy takes the path as it is, without percent decoding.
	return target{dialect: sqlite, path: filepath.Clean(path)}, nil
}

func parseServer(rest, query string) (target, error) {
	where, database, _ := strings.Cut(rest, "/")
	login := ""
	if i := strings.LastIndexByte(where, '@'); i >= 0 {
		login, where = where[:i], where[i+1:]
	}
	name, password, _ := strings.Cut(login, ":")
	c := mysql.NewConfig()
	for _, part := range []struct {
		to         *string
		what, text string
	}{
		{&c.User, "user", name},
		{&c.Passwd, "password", password},
		{&c.DBName, "database name", database},
	} {
		text, err := url.PathUnescape(part.text)
		if err != nil {
			return target{}, fmt.Errorf("database connection: %s: bad percent-encoding", part.what)
		}
		*part.to = text
	}
	if c.DBName == "" {
		return target{}, errors.New("database connection: no database name after the host, as in mysql+pymysql://USER:PASSWORD@HOST/DATABASE")
	}
	if err := address(c, where); err != nil {
		return target{}, err
	}
	if err := settings(c, query); err != nil {
		return target{}, err
	}
	return target{dialect: mariadb, server: c}, nil
}

// address sets the host and port of c.
func address(c *mysql.Config, where string) error {
	host, port, err := net.SplitHostPort(where)
	if err != nil {
		host, port = strings.Trim(where, "[]"), "3306"
	}
	if host == "" {
		host = "localhost"
	}
	c.Net, c.Addr = "tcp", net.JoinHostPort(host, port)
	if strings.Contains(where, "@") || strings.ContainsAny(host, " /") {
		return errors.New("database connection: bad host; an @ or / in the password must be percent-encoded")
	}
	for _, r := range port {
		if r < '0' || r > '9' {
			return errors.New("database connection: the port is no number; a : in the password must be percent-encoded")
		}
	}
	return nil
}

// settings applies the parameters of the URL and what the catalog relies on.
func settings(c *mysql.Config, query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("database connection: bad parameters after the ?")
	}
	// The tables are utf8. A connection that speaks something wider makes the
	// server convert the columns, and then no index serves.
	c.Collation = "utf8_general_ci"
	for name := range values {
		value := values.Get(name)
		switch name {
		case "charset":
			switch value {
			case "utf8", "utf8mb3":
			case "utf8mb4":
				c.Collation = "utf8mb4_general_ci"
			default:
				return fmt.Errorf("database connection: charset %q: use utf8", value)
			}
		case "unix_socket":
			c.Net, c.Addr = "unix", value
		default:
			return fmt.Errorf("database connection: unknown parameter %q; charset and unix_socket are known", name)
		}
	}
	c.ParseTime = true
	c.Loc = time.UTC
	c.InterpolateParams = true // one round trip a statement instead of three
	c.ClientFoundRows = true   // a row that is set to what it was counts too
	// Without it a server may cut a value that is too long, and say nothing.
	// MariaDB is besides to look up a list of keys without first trying out how
	// many rows each has; releases before 10.2.18 always try.
	c.Params = map[string]string{"sql_mode": "'TRADITIONAL' /*M!100218 , eq_range_index_dive_limit = 10 */"}
	c.Logger = &mysql.NopLogger{} // errors are returned; the driver need not print them as well
	return nil
}

// open gives c its pools.
func (t target) open(c *Catalog, o Options) error {
	if t.server != nil {
		return c.connect(t.server, o)
	}
	var err error
	if c.readers, err = sql.Open("sqlite", t.dsn("")); err != nil {
		return fmt.Errorf("database connection: %w", err)
	}
	if c.writers, err = sql.Open("sqlite", t.dsn("&_txlock=immediate")); err != nil {
		return fmt.Errorf("database connection: %w", err)
	}
	c.readers.SetMaxOpenConns(o.MaxOpen)
	c.readers.SetMaxIdleConns(o.MaxOpen)
	// SQLite has one writer at a time. In one process they queue here, where
	// nobody starves; against other processes there is the busy timeout.
	c.writers.SetMaxOpenConns(1)
	return nil
}

// dsn returns what the driver needs to open the file. Mode rw: only Sync makes
// a database, a mistyped path must not. What was committed is on the disk: a
// process that is killed loses none of it, nor does a machine without power.
func (t target) dsn(more string) string {
	path := (&url.URL{Path: t.path}).EscapedPath()
	return "file:" + path + "?mode=rw" +
		"&_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=foreign_keys(1)" + more
}
