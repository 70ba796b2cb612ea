package dbserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// loginRefusals are the answers to a log-in that setting the password again
// and unlocking the account can mend.
var loginRefusals = []uint16{
	1045, // wrong password
	1698, // wrong password, said by a plug-in such as unix_socket
	1862, // password expired
	1820, // password must be changed first
	3118, // account locked, MySQL
	4151, // account locked, MariaDB
	1524, // the plug-in that the account names is not loaded
	1130, // no account for this host
}

// lacking are the answers to a statement that the administrator may not run.
var lacking = []uint16{1044, 1142, 1143, 1227, 1370, 1410, 1419}

// syntaxError quotes up to 80 characters of the statement, which may be half
// a password.
const syntaxError = 1064

// clean returns err as one of the kinds of this package, without secrets.
func (o *session) clean(err error) error {
	var answer *mysql.MySQLError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case !errors.As(err, &answer):
		return fmt.Errorf("%w: %s", ErrConnect, o.mask(err.Error()))
	case answer.Number == syntaxError:
		return fmt.Errorf("server error %d: the server does not understand the statement", answer.Number)
	case slices.Contains(lacking, answer.Number):
		return fmt.Errorf("%w: %s (%d): the administrator needs CREATE, DROP, CREATE USER, the privileges of the account with GRANT OPTION, and SELECT on mysql.*",
			ErrRefused, o.mask(answer.Message), answer.Number)
	case slices.Contains(loginRefusals, answer.Number):
		return fmt.Errorf("%w: %s (%d)", ErrRefused, o.mask(answer.Message), answer.Number)
	}
	return fmt.Errorf("server error %d: %s", answer.Number, o.mask(answer.Message))
}

// answered reports whether err is an answer of the server.
func answered(err error) bool {
	var answer *mysql.MySQLError
	return errors.As(err, &answer)
}

// explain is clean for a failed log-in: it says what to do.
func (o *session) explain(err error) error {
	cleaned := o.clean(err)
	switch {
	case errors.Is(cleaned, ErrRefused) && o.server.AdminUser == "":
		return fmt.Errorf("%w: enter the node as root or as a user with password-less sudo, or give an admin account", cleaned)
	case errors.Is(cleaned, ErrRefused):
		return fmt.Errorf("%w: check the admin user and password", cleaned)
	case errors.Is(cleaned, ErrConnect):
		return fmt.Errorf("%w: is the server running on the node?", cleaned)
	}
	return cleaned
}

func (o *session) mask(text string) string {
	for _, secret := range o.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "(sensitive)")
		}
	}
	return text
}
