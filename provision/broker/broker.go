// Package broker gives a service its place on a RabbitMQ: the virtual host,
// the user and what the user may do there.
//
// It asks the broker's own rabbitmqctl, through the connection to the broker's
// node, so no port has to be open and no management plug-in is needed. Package
// roles makes the resources. It knows nothing of what is sent.
package broker

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"glancectl/provision"
)

// An Account is a virtual host and a user who works in it. As a resource it
// sees to it that
//
//   - the virtual host exists,
//   - the user exists, can log in with Password and has no tags, which are
//     for administrators,
//   - the user may do everything in the virtual host.
//
// What is in the virtual host is left alone, and so is what the user may do
// in others.
type Account struct {
	Server      string // of the instance, for people
	VirtualHost string
	User        string
	Password    string
}

// Removal takes away what an Account put there. An empty VirtualHost or User is
// left alone.
type Removal struct {
	Server      string
	VirtualHost string // deleted with everything in it
	User        string
}

// ErrConnect means that the broker could not be asked.
var ErrConnect = errors.New("cannot ask the broker")

// ID names the resource.
func (a Account) ID() string { return "broker:" + a.Server + "/" + a.VirtualHost }

// ID names the resource.
func (r Removal) ID() string {
	return "broker-removal:" + r.Server + "/" + r.VirtualHost + "/" + r.User
}

// String names the account without its password.
func (a Account) String() string {
	return fmt.Sprintf("virtual host %s, user %s on rabbitmq %s", a.VirtualHost, a.User, a.Server)
}

// GoString is String, so that no verb of fmt shows a password.
func (a Account) GoString() string { return a.String() }

// Queries asks nothing of the machine itself.
func (a Account) Queries() []provision.Query { return nil }

// Queries asks nothing of the machine itself.
func (r Removal) Queries() []provision.Query { return nil }

// words are names that rabbitmqctl takes as they are.
var words = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./-]*$`)

// check finds what the broker would only answer with a riddle.
func (a Account) check() error {
	switch {
	case !words.MatchString(a.VirtualHost):
		return fmt.Errorf("rabbitmq %s: %q is not the name of a virtual host", a.Server, a.VirtualHost)
	case !words.MatchString(a.User):
		return fmt.Errorf("rabbitmq %s: %q is not a user name", a.Server, a.User)
	case a.Password == "" || strings.ContainsAny(a.Password, "\x00\r\n"):
		return fmt.Errorf("rabbitmq user %s on %s: no password of one line given", a.User, a.Server)
	}
	return nil
}

// Observe asks the broker what is there. It returns up to three changes:
// virtual host, user, permissions.
func (a Account) Observe(ctx context.Context, r provision.Reader, _ *provision.Facts) ([]provision.Change, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	there, err := look(ctx, r, session{a.Server, a.VirtualHost, a.User, a.Password})
	if err != nil {
		return nil, err
	}
	var changes []provision.Change
	add := func(part string, action provision.Action, summary string, steps ...string) {
		changes = append(changes, provision.Change{
			ID: a.ID() + "/" + part, Action: action, Summary: summary,
			Do: func(ctx context.Context, w provision.Writer) error {
				return session{a.Server, a.VirtualHost, a.User, a.Password}.do(ctx, w, steps...)
			},
		})
	}
	if !there.host {
		add("vhost", provision.Create, "virtual host "+a.VirtualHost, "add-vhost")
	}
	what := fmt.Sprintf("permissions of %s in %s", a.User, a.VirtualHost)
	if !there.user {
		add("user", provision.Create, "broker user "+a.User, "add-user")
		add("permissions", provision.Create, what, "permit")
		return changes, nil
	}
	if !there.login {
		add("user", provision.Update, fmt.Sprintf("broker user %s: another password", a.User), "set-password")
	}
	if len(there.tags) > 0 {
		add("tags", provision.Update, fmt.Sprintf("broker user %s: take away %s", a.User, strings.Join(there.tags, ", ")), "untag")
	}
	switch p := there.permissions; {
	case p == nil:
		add("permissions", provision.Create, what, "permit")
	case *p != everything:
		add("permissions", provision.Update, fmt.Sprintf("%s: %s -> %s", what, p, everything), "permit")
	}
	return changes, nil
}

// Observe asks the broker what of it is still there.
func (r Removal) Observe(ctx context.Context, reader provision.Reader, _ *provision.Facts) ([]provision.Change, error) {
	s := session{r.Server, r.VirtualHost, r.User, ""}
	there, err := look(ctx, reader, s)
	if err != nil {
		return nil, err
	}
	var changes []provision.Change
	drop := func(part, summary, step string) {
		changes = append(changes, provision.Change{
			ID: r.ID() + "/" + part, Action: provision.Delete, Summary: summary,
			Do: func(ctx context.Context, w provision.Writer) error { return s.do(ctx, w, step) },
		})
	}
	if r.User != "" && there.user {
		drop("user", "broker user "+r.User, "drop-user")
	}
	if r.VirtualHost != "" && there.host {
		drop("vhost", fmt.Sprintf("virtual host %s with everything in it", r.VirtualHost), "drop-vhost")
	}
	return changes, nil
}

// permissions are what a user may do in a virtual host, as patterns of names.
type permissions struct{ Configure, Write, Read string }

var everything = permissions{".*", ".*", ".*"}

func (p permissions) String() string { return p.Configure + " " + p.Write + " " + p.Read }

// A view is what is on the broker.
type view struct {
	host, user, login bool
	tags              []string
	permissions       *permissions // nil: none in the virtual host
}

// look asks the broker for all it needs in one start of rabbitmqctl, which
// takes seconds. Only a password that is kept in a way nobody here knows is
// tried in another.
func look(ctx context.Context, r provision.Reader, s session) (view, error) {
	var v view
	answers, err := s.run(ctx, r, "definitions")
	if err != nil {
		return v, err
	}
	d, err := answers[0].definitions(s)
	if err != nil {
		return v, err
	}
	for _, h := range d.VHosts {
		v.host = v.host || h.Name == s.vhost
	}
	for _, p := range d.Permissions {
		if p.VHost == s.vhost && p.User == s.user {
			v.permissions = &p.permissions
		}
	}
	at := slices.IndexFunc(d.Users, func(u user) bool { return u.Name == s.user })
	if at < 0 {
		return v, nil
	}
	v.user, v.tags = true, d.Users[at].Tags
	if s.password == "" {
		return v, nil
	}
	login, known := d.Users[at].has(s.password)
	if !known {
		if answers, err = s.run(ctx, r, "login"); err != nil {
			return v, err
		}
		login = answers[0].status == 0
	}
	v.login = login
	return v, nil
}

// A session is what the script on the broker's node is given.
type session struct{ server, vhost, user, password string }

// script runs rabbitmqctl for every step that it is given, and says how each
// ended. The password comes on its input and goes to rabbitmqctl on its input:
// it is in no list of processes.
const script = `vhost=$1 user=$2; shift 2
IFS= read -r password
ctl() { rabbitmqctl -q "$@" 2>&1 </dev/null; }
told() { printf '%s\n' "$password" | rabbitmqctl -q "$@" 2>&1; }
for step; do
	case $step in
	definitions) out=$(ctl export_definitions -) ;;
	login) out=$(told authenticate_user "$user") ;;
	add-vhost) out=$(ctl add_vhost "$vhost") ;;
	add-user) out=$(told add_user "$user") ;;
	set-password) out=$(told change_password "$user") ;;
	untag) out=$(ctl set_user_tags "$user") ;;
	permit) out=$(ctl set_permissions -p "$vhost" "$user" '.*' '.*' '.*') ;;
	drop-user) out=$(ctl delete_user "$user") ;;
	drop-vhost) out=$(ctl delete_vhost "$vhost") ;;
	esac
	printf '%s %s %s\n' "$step" $? "$(printf %s "$out" | base64 | tr -d '\n')"
done`

const becomeRoot = `if [ "$(id -u)" = 0 ]; then exec sh "$@"; fi
exec sudo -n sh "$@"`

// An answer is how a step ended.
type answer struct {
	step   string
	status int
	text   string
}

// run carries out steps and returns an answer for each.
func (s session) run(ctx context.Context, r provision.Reader, steps ...string) ([]answer, error) {
	argv := append([]string{"sh", "-c", becomeRoot, "sh", "-c", script, "broker", s.vhost, s.user}, steps...)
	conn, err := r.Pipe(ctx, argv)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq %s: %w: %w", s.server, ErrConnect, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, s.password+"\n"); err != nil {
		return nil, fmt.Errorf("rabbitmq %s: %w: %w", s.server, ErrConnect, err)
	}
	var out bytes.Buffer
	// Reading until every step has answered needs no end of the stream, which
	// not every way there has.
	for buf := make([]byte, 4096); bytes.Count(out.Bytes(), []byte("\n")) < len(steps); {
		n, err := conn.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	answers := parse(out.String())
	if len(answers) != len(steps) {
		return nil, fmt.Errorf("rabbitmq %s: %w: rabbitmqctl was broken off, or who logs in there may not use sudo", s.server, ErrConnect)
	}
	return answers, nil
}

// parse reads what script says.
func parse(text string) []answer {
	var answers []answer
	for line := range strings.Lines(text) {
		step, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		code, encoded, _ := strings.Cut(rest, " ")
		status, err := strconv.Atoi(code)
		plain, berr := base64.StdEncoding.DecodeString(encoded)
		if err != nil || berr != nil {
			return nil
		}
		answers = append(answers, answer{step, status, string(plain)})
	}
	return answers
}

// do carries out steps that change something.
func (s session) do(ctx context.Context, w provision.Writer, steps ...string) error {
	answers, err := s.run(ctx, w, steps...)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.status != 0 {
			return a.failure(s)
		}
	}
	return nil
}

// failure says that a step failed, in rabbitmqctl's words without the password.
func (a answer) failure(s session) error {
	text := strings.TrimSpace(a.text)
	if s.password != "" {
		text = strings.ReplaceAll(text, s.password, "(sensitive)")
	}
	if first, _, more := strings.Cut(text, "\n"); more && first != "" {
		text = first
	}
	if a.status == 127 {
		text = "there is no rabbitmqctl on the node"
	}
	return fmt.Errorf("rabbitmq %s: %w: %s ended with status %d: %s", s.server, ErrConnect, a.step, a.status, text)
}
