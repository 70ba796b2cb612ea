package broker_test

import (
	"context"
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
[ "$1" = --formatter ] && shift 2
case $1 in
authenticate_user) IFS= read -r p; [ "$p" = "$(cat password)" ] ;;
add_user|change_password) IFS= read -r p; printf %s "$p" >password ;;
list_*) cat "$1" ;;
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
	n.says("[]", `[{"user":"guest","tags":["administrator"]}]`, "[]", "")
	return n
}

// says is what the broker has.
func (n *node) says(vhosts, users, permissions, password string) {
	n.Helper()
	for name, text := range map[string]string{
		"list_vhosts": vhosts, "list_users": users, "list_user_permissions": permissions, "password": password, "calls": "",
	} {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
			n.Fatal(err)
		}
	}
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
	const other, mine = `{"user":"guest","tags":["administrator"]}`, `{"user":"notifier","tags":[%s]}`
	const host, permitted = `[{"name":"/images"},{"name":"/"}]`, `[{"vhost":"/images","configure":".*","write":".*","read":".*"}]`
	user := func(tags string) string { return "[" + other + "," + fmt.Sprintf(mine, tags) + "]" }
	for _, test := range []struct {
		name                             string
		vhosts, users, permissions, pass string
		want                             []string
		calls                            string
	}{
		{"nothing", "[]", "[" + other + "]", "[]", "", []string{
			"create virtual host /images", "create broker user notifier", "create permissions of notifier in /images",
		}, "-q add_vhost /images\n-q add_user notifier\n-q set_permissions -p /images notifier .* .* .*\n"},
		{"all", host, user(""), permitted, password, nil, ""},
		{"another password", host, user(""), permitted, "x", []string{"update broker user notifier: another password"}, "-q change_password notifier\n"},
		{"tags", host, user(`"management"`), permitted, password, []string{"update broker user notifier: take away management"}, "-q set_user_tags notifier\n"},
		{"in another host", host, user(""), `[{"vhost":"/","configure":".*","write":".*","read":".*"}]`, password,
			[]string{"create permissions of notifier in /images"}, "-q set_permissions -p /images notifier .* .* .*\n"},
		{"others", host, user(""), `[{"vhost":"/images","configure":"","write":".*","read":"^a$"}]`, password,
			[]string{"update permissions of notifier in /images:  .* ^a$ -> .* .* .*"}, "-q set_permissions -p /images notifier .* .* .*\n"},
	} {
		n := newNode(t)
		n.says(test.vhosts, test.users, test.permissions, test.pass)
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

func TestRemoval(t *testing.T) {
	n := newNode(t)
	r := broker.Removal{Server: "mq", VirtualHost: "/images", User: "notifier"}
	if got, calls := n.brings(r); len(got) > 0 {
		t.Errorf("what is not there is removed: %q by %q", got, calls)
	}
	n.says(`[{"name":"/images"}]`, `[{"user":"notifier","tags":[]}]`, "[]", "")
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
		"refuses": {"#!/bin/sh\nIFS= read -r p\necho \"Error: no $p\"\necho more\nexit 64\n", "vhosts ended with status 64: Error: no"},
		"no JSON": {"#!/bin/sh\necho hello\n", "vhosts printed no JSON"},
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
