package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"glancectl/provision"
)

func TestClean(t *testing.T) {
	const secret = "s3cret-value"
	o := &session{server: Server{Name: "main"}, secrets: []string{"", secret}}
	for _, test := range []struct {
		name string
		err  error
		kind error // nil: none of ours
		text string
	}{
		{"refused", &mysql.MySQLError{Number: 1045, Message: "Access denied"}, ErrRefused, "refused: Access denied (1045)"},
		{"lacking", &mysql.MySQLError{Number: 1227, Message: "you need CREATE USER"}, ErrRefused, "the administrator needs"},
		{"syntax", &mysql.MySQLError{Number: 1064, Message: "near '" + secret[:6]}, nil, "server error 1064"},
		{"other", &mysql.MySQLError{Number: 1007, Message: "odd " + secret + " thing"}, nil, "server error 1007: odd (sensitive) thing"},
		{"network", errors.New("EOF after " + secret), ErrConnect, "cannot connect: EOF after (sensitive)"},
		{"wrapped", fmt.Errorf("x: %w", io.ErrUnexpectedEOF), ErrConnect, "unexpected EOF"},
		{"cancelled", fmt.Errorf("x: %w", context.Canceled), context.Canceled, "canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := o.clean(test.err)
			for _, kind := range []error{ErrConnect, ErrRefused, context.Canceled} {
				if errors.Is(got, kind) != (kind == test.kind) {
					t.Errorf("clean(%v) = %v; errors.Is(%v) is %v", test.err, got, kind, errors.Is(got, kind))
				}
			}
			if !strings.Contains(got.Error(), test.text) || strings.Contains(got.Error(), secret[:6]) {
				t.Errorf("clean(%v) = %q; want it to contain %q and no secret", test.err, got, test.text)
			}
		})
	}
}

// nowhere is a machine from which nothing can be reached.
type nowhere struct{ dialed, piped []string }

func (n *nowhere) Name() string { return "db-node" }
func (n *nowhere) Look(context.Context, []provision.Query) (*provision.Facts, error) {
	return new(provision.Facts), nil
}
func (n *nowhere) Dial(_ context.Context, network, address string) (net.Conn, error) {
	n.dialed = append(n.dialed, network+" "+address)
	return nil, errors.New("connection refused")
}
func (n *nowhere) Pipe(_ context.Context, argv []string) (net.Conn, error) {
	n.piped = append(n.piped, argv[len(argv)-1])
	return nil, errors.New("pipe broken")
}

// Root's socket is tried directly and through the relay, an admin account in
// one way only. What is reported is the first failure.
func TestWays(t *testing.T) {
	const secret = "s3cret-value"
	for _, test := range []struct {
		name   string
		server Server
		dialed string
		piped  string
	}{
		{"root", Server{Name: "main"}, "unix /run/mysqld/mysqld.sock", "/run/mysqld/mysqld.sock"},
		{"root, other socket", Server{Name: "main", Socket: "/tmp/s", Port: 3306}, "unix /tmp/s", "/tmp/s"},
		{"admin by TCP", Server{Name: "main", AdminUser: "boss", AdminPassword: secret, Port: 3307}, "tcp 127.0.0.1:3307", ""},
		{"admin by another address", Server{Name: "main", AdminUser: "boss", AdminPassword: secret, Host: "10.0.0.4", Port: 3306}, "tcp 10.0.0.4:3306", ""},
		{"admin by the socket", Server{Name: "main", AdminUser: "boss", AdminPassword: secret}, "unix /run/mysqld/mysqld.sock", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := new(nowhere)
			a := Account{Server: test.server, Database: "glance", User: "glance", Password: secret}
			changes, err := a.Observe(t.Context(), r, new(provision.Facts))
			if !errors.Is(err, ErrConnect) || changes != nil {
				t.Errorf("Observe = %v, %v; want nothing and ErrConnect", changes, err)
			}
			for _, want := range []string{"mysql main", "connection refused", "is the server running"} {
				if !strings.Contains(fmt.Sprint(err), want) {
					t.Errorf("Observe: %v; want it to contain %q", err, want)
				}
			}
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("Observe: %v: has a secret", err)
			}
			if len(r.dialed) == 0 || r.dialed[0] != test.dialed {
				t.Errorf("dialed %q; want %q", r.dialed, test.dialed)
			}
			if (len(r.piped) > 0) != (test.piped != "") || len(r.piped) > 0 && r.piped[0] != test.piped {
				t.Errorf("relayed to %q; want %q", r.piped, test.piped)
			}
		})
	}
}

func TestCheckAccount(t *testing.T) {
	good := Account{Server: Server{Name: "main"}, Database: "glance", User: "glance", Password: "p"}
	for name, spoil := range map[string]func(*Account){
		"no database":    func(a *Account) { a.Database = "" },
		"odd database":   func(a *Account) { a.Database = "a/b" },
		"long database":  func(a *Account) { a.Database = strings.Repeat("d", 65) },
		"no user":        func(a *Account) { a.User = "" },
		"no password":    func(a *Account) { a.Password = "" },
		"charset as SQL": func(a *Account) { a.Charset = "utf8; DROP" },
	} {
		a := good
		spoil(&a)
		r := new(nowhere)
		if _, err := a.Observe(t.Context(), r, new(provision.Facts)); err == nil || len(r.dialed) > 0 {
			t.Errorf("%s: Observe = %v after dialing %q; want an error before anything is dialed", name, err, r.dialed)
		}
	}
}

// No verb of fmt shows a password, however deep the account is.
func TestNothingPrintsAPassword(t *testing.T) {
	const secret = "s3cret-value"
	a := Account{Server: Server{Name: "main", AdminUser: "boss", AdminPassword: secret}, Database: "d", User: "u", Password: secret}
	for _, v := range []any{a, &a, a.Server, []any{a}, map[string]provision.Resource{"a": a}, Removal{Server: a.Server}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, secret) {
				t.Errorf("Sprintf(%q, %T) = %s", verb, v, text)
			}
		}
	}
}
