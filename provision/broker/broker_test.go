package broker_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glancectl/provision"
	"glancectl/provision/broker"
	"glancectl/provision/localhost"
)

const password = `s3cret-$x y'"`

// A node is this machine, with a rabbitmqctl that says what files say and
// notes how it was called. A real one is asked in the lab.
type node struct {
	*testing.T
	dir string
}

// A machine is this machine, as resources see it.
type machine struct{ *localhost.Host }

func (machine) Look(context.Context, []provision.Query) (*provision.Facts, error) {
	return new(provision.Facts), nil
}
func (machine) Do(context.Context, []provision.Op, func(int)) error {
	return errors.New("there are no ops")
}

const ctl = `#!/bin/sh
cd "$STATE" || exit
echo "$*" >>calls
shift
case $1 in
authenticate_user) IFS= read -r p; [ "$p" = "$(cat password)" ] ;;
add_user|change_password) IFS= read -r p; printf %s "$p" >password ;;
export_definitions) echo 'a warning' >&2; cat definitions ;;
esac
`

func newNode(t *testing.T) *node {
	n := &node{T: t, dir: t.TempDir()}
	for name, text := range map[string]string{"rabbitmqctl": ctl, "sudo": "#!/bin/sh\nshift\nexec \"$@\"\n"} {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", n.dir+":"+os.Getenv("PATH"))
	t.Setenv("STATE", n.dir)
	n.says("[]", `[{"name":"guest","tags":["administrator"]}]`, "[]", "")
	return n
}

// says is what the broker has, and the password that lets somebody in.
func (n *node) says(vhosts, users, permissions, password string) {
	n.Helper()
	for name, text := range map[string]string{
		"definitions": fmt.Sprintf(`{"rabbit_version":"3.10.8","vhosts":%s,"users":%s,"permissions":%s,"queues":[]}`, vhosts, users, permissions),
		"password":    password, "calls": "",
	} {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
			n.Fatal(err)
		}
	}
}

// hashed is a password as brokers keep it.
func hashed(algorithm, password string) string {
	const salt = "salt"
	sum := []byte("whatever")
	switch algorithm {
	case "sha256":
		s := sha256.Sum256([]byte(salt + password))
		sum = s[:]
	case "sha512":
		s := sha512.Sum512([]byte(salt + password))
		sum = s[:]
	case "md5":
		s := md5.Sum([]byte(salt + password))
		sum = s[:]
	}
	return base64.StdEncoding.EncodeToString([]byte(salt + string(sum)))
}

// brings observes r, makes its changes and returns them, and the calls that
// they took.
func (n *node) brings(r provision.Resource) (summaries []string, calls string) {
	n.Helper()
	m := machine{localhost.New("mq-node")}
	changes, err := r.Observe(n.Context(), m, new(provision.Facts))
	if err != nil {
		n.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.dir, "calls"), nil, 0o600); err != nil {
		n.Fatal(err)
	}
	for _, c := range changes {
		summaries = append(summaries, string(c.Action)+" "+c.Summary)
		if err := c.Do(n.Context(), m); err != nil {
			n.Errorf("%s: %v", c.Summary, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(n.dir, "calls"))
	if err != nil {
		n.Fatal(err)
	}
	return summaries, string(text)
}

var account = broker.Account{Server: "mq", VirtualHost: "/images", User: "notifier", Password: password}

func TestAccount(t *testing.T) {
	const other = `{"name":"guest","tags":["administrator"]}`
	const host, permitted = `[{"name":"/images"},{"name":"/"}]`, `[{"user":"notifier","vhost":"/images","configure":".*","write":".*","read":".*"}]`
	user := func(password, algorithm, tags string) string {
		return fmt.Sprintf(`[%s,{"name":"notifier","password_hash":%q,"hashing_algorithm":"rabbit_password_hashing_%s","tags":%s}]`,
			other, hashed(algorithm, password), algorithm, tags)
	}
	fine := user(password, "sha256", "[]")
	for _, test := range []struct {
		name                       string
		vhosts, users, permissions string
		want                       []string
		calls                      string
	}{
		{"nothing", "[]", "[" + other + "]", "[]", []string{
			"create virtual host /images", "create broker user notifier", "create permissions of notifier in /images",
		}, "-q add_vhost /images\n-q add_user notifier\n-q set_permissions -p /images notifier .* .* .*\n"},
		{"all", host, fine, permitted, nil, ""},
		{"all, of an old broker", host, user(password, "md5", `""`), permitted, nil, ""},
		{"all, more carefully", host, user(password, "sha512", `[]`), permitted, nil, ""},
		{"another password", host, user("x", "sha256", "[]"), permitted, []string{"update broker user notifier: another password"}, "-q change_password notifier\n"},
		{"no password", host, `[{"name":"notifier","password_hash":"","tags":[]}]`, permitted, []string{"update broker user notifier: another password"}, "-q change_password notifier\n"},
		{"tags", host, user(password, "sha256", `["management"]`), permitted, []string{"update broker user notifier: take away management"}, "-q set_user_tags notifier\n"},
		{"tags of an old broker", host, user(password, "sha256", `"management,monitoring"`), permitted,
			[]string{"update broker user notifier: take away management, monitoring"}, "-q set_user_tags notifier\n"},
		{"in another host", host, fine, `[{"user":"notifier","vhost":"/","configure":".*","write":".*","read":".*"}]`,
			[]string{"create permissions of notifier in /images"}, "-q set_permissions -p /images notifier .* .* .*\n"},
		{"somebody else's", host, fine, `[{"user":"guest","vhost":"/images","configure":".*","write":".*","read":".*"}]`,
			[]string{"create permissions of notifier in /images"}, "-q set_permissions -p /images notifier .* .* .*\n"},
		{"others", host, fine, `[{"user":"notifier","vhost":"/images","configure":"","write":".*","read":"^a$"}]`,
			[]string{"update permissions of notifier in /images:  .* ^a$ -> .* .* .*"}, "-q set_permissions -p /images notifier .* .* .*\n"},
	} {
		n := newNode(t)
		n.says(test.vhosts, test.users, test.permissions, "")
		got, calls := n.brings(account)
		if !slices.Equal(got, test.want) || calls != test.calls {
			t.Errorf("%s: changes %q by %q; want %q by %q", test.name, got, calls, test.want, test.calls)
		}
		if strings.Contains(test.calls, "add_user") || strings.Contains(test.calls, "change_password") {
			if text, err := os.ReadFile(filepath.Join(n.dir, "password")); string(text) != password || err != nil {
				t.Errorf("%s: the password is %q, %v; want %q", test.name, text, err, password)
			}
		}
	}
}

// To start rabbitmqctl takes seconds: to look takes one start, and another
// only if a password is kept in a way that nobody knows.
func TestObserveCalls(t *testing.T) {
	for _, test := range []struct {
		algorithm, password, calls string
		changes                    int
	}{
		{"sha256", password, "-q export_definitions -\n", 0},
		{"plugin", password, "-q export_definitions -\n-q authenticate_user notifier\n", 0},
		{"plugin", "another", "-q export_definitions -\n-q authenticate_user notifier\n", 1},
	} {
		n := newNode(t)
		n.says(`[{"name":"/images"}]`, fmt.Sprintf(`[{"name":"notifier","password_hash":%q,"hashing_algorithm":"rabbit_password_hashing_%s","tags":[]}]`,
			hashed(test.algorithm, test.password), test.algorithm),
			`[{"user":"notifier","vhost":"/images","configure":".*","write":".*","read":".*"}]`, test.password)
		changes, err := account.Observe(t.Context(), machine{localhost.New("mq-node")}, new(provision.Facts))
		if len(changes) != test.changes || err != nil {
			t.Errorf("%s, %s: Observe = %v, %v; want %d changes", test.algorithm, test.password, changes, err, test.changes)
		}
		if calls, err := os.ReadFile(filepath.Join(n.dir, "calls")); string(calls) != test.calls || err != nil {
			t.Errorf("%s, %s: calls %q, %v; want %q", test.algorithm, test.password, calls, err, test.calls)
		}
	}
}

func TestRemoval(t *testing.T) {
	n := newNode(t)
	r := broker.Removal{Server: "mq", VirtualHost: "/images", User: "notifier"}
	if got, calls := n.brings(r); len(got) > 0 {
		t.Errorf("what is not there is removed: %q by %q", got, calls)
	}
	n.says(`[{"name":"/images"}]`, `[{"name":"notifier","tags":[]}]`, "[]", "")
	got, calls := n.brings(r)
	want := []string{"delete broker user notifier", "delete virtual host /images with everything in it"}
	if !slices.Equal(got, want) || calls != "-q delete_user notifier\n-q delete_vhost /images\n" {
		t.Errorf("changes %q by %q; want %q", got, calls, want)
	}
}

func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		ctl  string
		want string
	}{
		"missing": {"", "there is no rabbitmqctl on the node"},
		"refuses": {"#!/bin/sh\nIFS= read -r p\necho \"Error: no $p\"\necho more\nexit 64\n", "definitions ended with status 64: Error: no"},
		"no JSON": {"#!/bin/sh\necho hello\n", "definitions printed no JSON"},
	} {
		n := newNode(t)
		if test.ctl == "" {
			t.Setenv("PATH", n.dir+":/usr/bin:/bin")
			if err := os.Remove(filepath.Join(n.dir, "rabbitmqctl")); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(filepath.Join(n.dir, "rabbitmqctl"), []byte(test.ctl), 0o755); err != nil {
			t.Fatal(err)
		}
		changes, err := account.Observe(t.Context(), machine{localhost.New("mq-node")}, new(provision.Facts))
		if !errors.Is(err, broker.ErrConnect) || !strings.Contains(err.Error(), "rabbitmq mq: ") || !strings.Contains(err.Error(), test.want) ||
			strings.Contains(err.Error(), "s3cret") || len(changes) > 0 {
			t.Errorf("%s: Observe = %v, %v; want %q", name, changes, err, test.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for name, spoil := range map[string]func(*broker.Account){
		"host":       func(a *broker.Account) { a.VirtualHost = "-p" },
		"odd host":   func(a *broker.Account) { a.VirtualHost = "a b" },
		"no user":    func(a *broker.Account) { a.User = "" },
		"no pass":    func(a *broker.Account) { a.Password = "" },
		"long story": func(a *broker.Account) { a.Password = "a\nb" },
	} {
		a := account
		spoil(&a)
		if _, err := a.Observe(t.Context(), nil, nil); err == nil {
			t.Errorf("%s: Observe of %v: no error", name, a)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", account, account, []any{account}); strings.Contains(text, "s3cret") {
		t.Errorf("an account prints as %s", text)
	}
}
