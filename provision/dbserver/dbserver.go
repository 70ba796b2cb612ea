// Package dbserver gives a service its database on a MySQL or MariaDB server:
// the database, the user and exactly the privileges that it needs.
//
// It talks to the server through the connection to the server's node, so no
// port has to be open and no client has to be installed there. Package roles
// makes the resources. It knows nothing of what is stored in the database.
package dbserver

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"glancectl/provision"
)

// A Server is a MySQL or MariaDB server and the way to administer it from
// its own node: as root by the server's socket when AdminUser is empty,
// otherwise with that account by TCP, or by the socket when Port is 0.
type Server struct {
	Name          string // of the instance, for people
	Socket        string // "" means /run/mysqld/mysqld.sock
	Host          string // what to connect to from the node; "" means 127.0.0.1
	Port          int
	AdminUser     string
	AdminPassword string
}

// An Account is a database and the one user who works in it. As a resource it
// sees to it that
//
//   - the database exists and has the wanted character set,
//   - the user exists for every host ('user'@'%') and can log in with Password,
//   - the user holds [Privileges] on the database and nothing else.
//
// A database that exists is never emptied; only its default character set is
// changed. Other accounts with the same user name and a host are left alone.
//
// On MariaDB the password is stored by mysql_native_password, which every
// client library speaks, and only its hash is sent, so that it cannot appear
// in the server's general log. MySQL 8 gets the password itself, because its
// default method cannot be given a hash by anybody else, and masks it in its
// logs.
type Account struct {
	Server   Server
	Database string
	Charset  string // "" means utf8
	User     string
	Password string
}

// Removal takes away what an Account put there. An empty Database or User is
// left alone.
type Removal struct {
	Server   Server
	Database string // dropped with everything in it
	User     string // 'user'@'%'
}

// Errors that tell what kind of failure it was; everything else is an answer
// of the server that nobody expected.
var (
	// ErrConnect means that no server answered.
	ErrConnect = errors.New("cannot connect")
	// ErrRefused means that the server let the administrator not in, or not
	// do what was needed.
	ErrRefused = errors.New("refused")
	// ErrBusy means that another run works on the same database.
	ErrBusy = errors.New("another run is working on it")
)

// ID names the resource.
func (a Account) ID() string { return "database:" + a.Server.Name + "/" + a.Database }

// ID names the resource.
func (r Removal) ID() string {
	return "database-removal:" + r.Server.Name + "/" + r.Database + "/" + r.User
}

// String names the account without its password.
func (a Account) String() string {
	return fmt.Sprintf("database %s, user %s on %s", a.Database, a.User, a.Server)
}

// GoString is String, so that no verb of fmt shows a password.
func (a Account) GoString() string { return a.String() }

// String names the server without its password.
func (s Server) String() string { return "mysql " + s.Name }

// GoString is String, so that no verb of fmt shows a password.
func (s Server) GoString() string { return s.String() }

// Queries asks nothing of the machine itself.
func (a Account) Queries() []provision.Query { return nil }

// Queries asks nothing of the machine itself.
func (r Removal) Queries() []provision.Query { return nil }

// Observe asks the server what is there. It returns up to three changes:
// database, user, privileges.
func (a Account) Observe(ctx context.Context, r provision.Reader, _ *provision.Facts) ([]provision.Change, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	s, err := a.Server.open(ctx, r, direct)
	if err != nil {
		return nil, err
	}
	defer s.close()

	var changes []provision.Change
	add := func(part string, action provision.Action, summary string, do func(context.Context, *session) error) {
		changes = append(changes, provision.Change{
			ID:      a.ID() + "/" + part,
			Action:  action,
			Summary: summary,
			Do: func(ctx context.Context, w provision.Writer) error {
				return a.Server.locked(ctx, w, s.way, a.Database, do)
			},
		})
	}
	charset, err := s.charset(ctx, a.Database)
	if err != nil {
		return nil, err
	}
	switch {
	case charset == "":
		add("database", provision.Create, "database "+a.Database, a.makeDatabase)
	case !sameCharset(charset, a.charset()):
		add("database", provision.Update,
			fmt.Sprintf("database %s: character set %s -> %s", a.Database, charset, a.charset()), a.makeDatabase)
	}

	accounts, err := s.accounts(ctx, a.User)
	if err != nil {
		return nil, err
	}
	if _, ok := accounts.wanted(a.User); !ok {
		add("user", provision.Create, "database user "+a.User, a.makeUser)
		add("privileges", provision.Create, "privileges of "+a.User+" on "+a.Database, a.setPrivileges)
		return changes, nil
	}
	problem, err := a.login(ctx, r, s, accounts)
	if err != nil {
		return nil, err
	}
	if problem != "" {
		add("user", provision.Update, fmt.Sprintf("database user %s: %s", a.User, problem), a.makeUser)
	}
	grants, err := s.grants(ctx, a.User)
	if err != nil {
		return nil, err
	}
	if d := compareGrants(grants, a.Database); d.any() {
		add("privileges", provision.Update, fmt.Sprintf("privileges of %s on %s: %s", a.User, a.Database, d), a.setPrivileges)
	}
	return changes, nil
}

// Observe asks the server what of it is still there.
func (r Removal) Observe(ctx context.Context, reader provision.Reader, _ *provision.Facts) ([]provision.Change, error) {
	s, err := r.Server.open(ctx, reader, direct)
	if err != nil {
		return nil, err
	}
	defer s.close()

	var changes []provision.Change
	drop := func(part, summary, statement string) {
		changes = append(changes, provision.Change{
			ID: r.ID() + "/" + part, Action: provision.Delete, Summary: summary,
			Do: func(ctx context.Context, w provision.Writer) error {
				return r.Server.locked(ctx, w, s.way, r.Database, func(ctx context.Context, s *session) error {
					return s.exec(ctx, "drop "+summary, statement)
				})
			},
		})
	}
	if r.User != "" {
		accounts, err := s.accounts(ctx, r.User)
		if err != nil {
			return nil, err
		}
		if _, ok := accounts.wanted(r.User); ok {
			drop("user", "database user "+r.User, "DROP USER IF EXISTS "+grantee(r.User))
		}
	}
	if r.Database != "" {
		charset, err := s.charset(ctx, r.Database)
		if err != nil {
			return nil, err
		}
		if charset != "" {
			drop("database", "database "+r.Database+" with everything in it", "DROP DATABASE IF EXISTS "+quoteName(r.Database))
		}
	}
	return changes, nil
}

// check finds what the server would only answer with a riddle.
func (a Account) check() error {
	switch {
	case a.Database == "" || len(a.Database) > 64 || strings.ContainsAny(a.Database, "\x00/\\"):
		return fmt.Errorf("database %q on %s: not a database name", a.Database, a.Server)
	case a.User == "" || len(a.User) > 80 || strings.Contains(a.User, "\x00"):
		return fmt.Errorf("database user %q on %s: not a user name", a.User, a.Server)
	case a.Password == "":
		return fmt.Errorf("database user %s on %s: no password given", a.User, a.Server)
	case strings.Trim(a.charset(), "abcdefghijklmnopqrstuvwxyz0123456789") != "":
		return fmt.Errorf("database %s on %s: character set %q: not a name", a.Database, a.Server, a.Charset)
	}
	return nil
}

func (a Account) charset() string {
	if a.Charset == "" {
		return "utf8"
	}
	return a.Charset
}

// sameCharset knows that utf8 has been called utf8mb3 since MariaDB 10.6 and
// MySQL 8.0.
func sameCharset(a, b string) bool {
	long := func(s string) string {
		if s == "utf8" {
			return "utf8mb3"
		}
		return s
	}
	return long(a) == long(b)
}

func (a Account) makeDatabase(ctx context.Context, s *session) error {
	what := "create database " + a.Database
	set := quoteName(a.Database) + " CHARACTER SET " + a.charset()
	if err := s.exec(ctx, what, "CREATE DATABASE IF NOT EXISTS "+set); err != nil {
		return err
	}
	charset, err := s.charset(ctx, a.Database)
	if err != nil || sameCharset(charset, a.charset()) {
		return err
	}
	return s.exec(ctx, what, "ALTER DATABASE "+set)
}

// makeUser creates the user when it is missing, gives it the password and
// unlocks it. It does not look first: the statements may be repeated.
func (a Account) makeUser(ctx context.Context, s *session) error {
	s.secrets = append(s.secrets, a.Password, nativeHash(a.Password))
	identified := " IDENTIFIED BY " + quoteString(a.Password)
	if s.mariadb {
		identified = " IDENTIFIED VIA mysql_native_password USING " + quoteString(nativeHash(a.Password))
	}
	what := "create database user " + a.User
	if err := s.exec(ctx, what, "CREATE USER IF NOT EXISTS "+grantee(a.User)+identified); err != nil {
		return err
	}
	return s.exec(ctx, what, "ALTER USER "+grantee(a.User)+identified+" ACCOUNT UNLOCK")
}

func (a Account) setPrivileges(ctx context.Context, s *session) error {
	grants, err := s.grants(ctx, a.User)
	if err != nil {
		return err
	}
	for _, statement := range compareGrants(grants, a.Database).statements(a.User) {
		if err := s.exec(ctx, "set privileges of "+a.User, statement); err != nil {
			return err
		}
	}
	return nil
}

// nativeHash is what mysql_native_password stores of a password.
func nativeHash(password string) string {
	inner := sha1.Sum([]byte(password))
	outer := sha1.Sum(inner[:])
	return "*" + strings.ToUpper(hex.EncodeToString(outer[:]))
}
