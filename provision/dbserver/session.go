package dbserver

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"glancectl/provision"
)

const (
	defaultSocket  = "/run/mysqld/mysqld.sock"
	connectTimeout = 20 * time.Second
	lockWait       = 30 // seconds
)

// A way is how the server's socket is reached.
type way int

const (
	direct  way = iota // as who entered the node
	relayed            // as root, through sudo
)

// A session is one connection as administrator.
type session struct {
	server  Server
	way     way
	db      *sql.DB
	conn    *sql.Conn
	mariadb bool
	secrets []string // must not appear in an error
}

// open connects as administrator and finds out what kind of server it is.
// Root's own way in, the socket, is tried directly and then through a relay
// with sudo: the first serves where the node is entered as root, the second
// where it is entered as somebody who may become root.
func (s Server) open(ctx context.Context, r provision.Reader, w way) (*session, error) {
	user := s.AdminUser
	if user == "" {
		user = "root"
	}
	o := &session{server: s, way: w, secrets: []string{s.AdminPassword}}
	var version string
	login := func() error {
		return o.connect(ctx, s.config(r, o.way, user, s.AdminPassword), "SELECT CONCAT(@@version, ' ', @@version_comment)", &version)
	}
	err := login()
	if err != nil && w == direct && s.AdminUser == "" && ctx.Err() == nil {
		first := err
		o.way = relayed
		if err = login(); err != nil && !answered(err) {
			err = first // says more than a relay that just ended
		}
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s as %s: %w", s, user, o.explain(err))
	}
	o.mariadb = strings.Contains(strings.ToLower(version), "mariadb")
	return o, nil
}

// connect opens the connection and scans the answer to a first query.
func (o *session) connect(ctx context.Context, c *mysql.Config, query string, dest any) error {
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	o.db = sql.OpenDB(connector)
	o.conn, err = o.db.Conn(ctx)
	if err == nil {
		err = o.conn.QueryRowContext(ctx, query).Scan(dest)
	}
	if err != nil {
		o.close()
	}
	return err
}

func (o *session) close() {
	if o.conn != nil {
		_ = o.conn.Close() // the statements have been answered; nothing is lost
	}
	_ = o.db.Close()
}

// config says how a user reaches the server from its node.
func (s Server) config(r provision.Reader, w way, user, password string) *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Passwd = user, password
	c.Net, c.Addr = "unix", s.Socket
	if c.Addr == "" {
		c.Addr = defaultSocket
	}
	if s.byTCP() {
		c.Net, c.Addr = "tcp", net.JoinHostPort(s.host(), strconv.Itoa(s.Port))
	}
	c.Collation = "utf8mb4_general_ci"
	c.InterpolateParams = true
	// With an empty mode the quoting in quote.go is right whatever the
	// server's own setting is, and SHOW GRANTS quotes names one way.
	c.Params = map[string]string{"sql_mode": "''"}
	// For accounts that the server lets in with TLS only. Whose certificate it
	// is does not matter: the connection is the one to the node.
	c.TLSConfig = "preferred"
	c.Logger = new(mysql.NopLogger)
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if w == relayed {
			return r.Pipe(ctx, relayCommand(address))
		}
		return r.Dial(ctx, network, address)
	}
	return c
}

func (s Server) byTCP() bool { return s.AdminUser != "" && s.Port != 0 }

func (s Server) host() string {
	if s.Host == "" {
		return "127.0.0.1"
	}
	return s.Host
}

// locked runs do in a session that holds the server's lock for a database,
// so that two runs do not disturb each other.
func (s Server) locked(ctx context.Context, r provision.Reader, w way, database string, do func(context.Context, *session) error) error {
	o, err := s.open(ctx, r, w)
	if err != nil {
		return err
	}
	defer o.close() // ends the lock as well
	var got sql.NullInt64
	if err := o.conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", lockName(database), lockWait).Scan(&got); err != nil {
		return fmt.Errorf("lock database %s on %s: %w", database, s, o.clean(err))
	}
	if got.Int64 != 1 {
		return fmt.Errorf("lock database %s on %s: %w", database, s, ErrBusy)
	}
	return do(ctx, o)
}

// lockName stays below the 64 characters that MySQL allows.
func lockName(database string) string {
	name := "glancectl:" + database
	if len(name) > 64 {
		sum := sha256.Sum256([]byte(database))
		name = "glancectl:" + hex.EncodeToString(sum[:16])
	}
	return name
}

// exec runs one statement. what says in an error what it was for; the
// statement itself is never shown.
func (o *session) exec(ctx context.Context, what, statement string) error {
	if _, err := o.conn.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s on %s: %w", what, o.server, o.clean(err))
	}
	return nil
}

// charset returns the default character set of a database, "" when there is
// no such database.
func (o *session) charset(ctx context.Context, database string) (string, error) {
	var charset string
	err := o.conn.QueryRowContext(ctx,
		"SELECT DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA WHERE BINARY SCHEMA_NAME = ?", database).Scan(&charset)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for database %s on %s: %w", database, o.server, o.clean(err))
	}
	return charset, nil
}

// An account is one row of the server's user table.
type account struct {
	host, user, plugin, stored string
}

type accounts []account

// wanted returns the account that an Account makes: the user at every host.
func (as accounts) wanted(user string) (account, bool) {
	i := slices.IndexFunc(as, func(a account) bool { return a.user == user && a.host == "%" })
	if i < 0 {
		return account{}, false
	}
	return as[i], true
}

// hiding returns an account that the server may prefer to 'user'@'%' when
// somebody logs in from the server's own machine: it picks the most exact
// host first and looks at the user name, which may be empty, afterwards.
func (as accounts) hiding() (account, bool) {
	i := slices.IndexFunc(as, func(a account) bool { return a.host != "%" })
	if i < 0 {
		return account{}, false
	}
	return as[i], true
}

// accounts returns the rows for a user and for nobody in particular.
func (o *session) accounts(ctx context.Context, user string) (accounts, error) {
	fail := func(err error) (accounts, error) {
		return nil, fmt.Errorf("look for database user %s on %s: %w", user, o.server, o.clean(err))
	}
	rows, err := o.conn.QueryContext(ctx,
		"SELECT Host, User, plugin, COALESCE(authentication_string, '') FROM mysql.user WHERE User IN (?, '')", user)
	if err != nil {
		return fail(err)
	}
	defer rows.Close()
	var all accounts
	for rows.Next() {
		var a account
		if err := rows.Scan(&a.host, &a.user, &a.plugin, &a.stored); err != nil {
			return fail(err)
		}
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	return all, nil
}

// grants returns what 'user'@'%' holds.
func (o *session) grants(ctx context.Context, user string) ([]grant, error) {
	fail := func(err error) ([]grant, error) {
		return nil, fmt.Errorf("read privileges of %s on %s: %w", user, o.server, o.clean(err))
	}
	rows, err := o.conn.QueryContext(ctx, "SHOW GRANTS FOR "+grantee(user))
	if err != nil {
		return fail(err)
	}
	defer rows.Close()
	var all []grant
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return fail(err)
		}
		if g, ok := parseGrant(line); ok {
			all = append(all, g)
		}
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	return all, nil
}

// login tries the password the way the user's programs will. It returns what
// is wrong with the account, "" when nothing is.
func (a Account) login(ctx context.Context, r provision.Reader, s *session, all accounts) (problem string, err error) {
	probe := &session{server: a.Server, secrets: []string{a.Password}}
	var current string
	err = probe.connect(ctx, a.Server.config(r, s.way, a.User, a.Password), "SELECT CURRENT_USER()", &current)
	if err == nil {
		probe.close()
		if current == a.User+"@%" {
			return "", nil
		}
	}
	var answer *mysql.MySQLError
	if err != nil && !errors.As(err, &answer) {
		return "", fmt.Errorf("log in to %s as %s: %w", a.Server, a.User, probe.explain(err))
	}
	if answer != nil && !slices.Contains(loginRefusals, answer.Number) {
		return "", fmt.Errorf("log in to %s as %s: %w", a.Server, a.User, probe.clean(err))
	}
	const wrong = "log-in fails, set the password"
	hiding, ok := all.hiding()
	if !ok {
		return wrong, nil
	}
	// The trial says nothing about 'user'@'%'. What the server has stored does,
	// where it is a plain hash.
	if !s.mariadb {
		return "", fmt.Errorf("check password of %s on %s: account '%s'@'%s' hides '%s'@'%%' from log-ins on the node: drop it",
			a.User, a.Server, hiding.user, hiding.host, a.User)
	}
	account, _ := all.wanted(a.User)
	if account.plugin == "mysql_native_password" && strings.EqualFold(account.stored, nativeHash(a.Password)) {
		return "", nil
	}
	return "stored password differs, set the password", nil
}
