package machine_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glancectl/provision"
	"glancectl/provision/hosttest"
	"glancectl/provision/machine"
	"glancectl/provision/sshhost"
)

// manager is a systemctl that keeps what it knows of units in files: enabled,
// active (with the time of the start as the file's) and reload. A unit whose
// file has the word "broken" does not start.
const manager = `#!/bin/sh
d=$(dirname "$0")/units
echo "$*" >>"$d/calls"
verb=$1; shift
flags=$*
case $verb in show|is-active|start|restart) ;; *) set -- $(printf '%s\n' "$@" | grep -v ^-) ;; esac
for u do :; done
case $verb in
show)
	if [ "$1" = -p ] && [ "$3" = --value ]; then
		[ -e "$d/$u" ] && echo loaded || echo not-found
		exit
	fi
	past=; first=1
	for u do
		if [ -z "$past" ]; then [ "$u" = -- ] && past=1; continue; fi
		[ -n "$first" ] || echo
		first=
		[ -e "$d/$u" ] && echo LoadState=loaded || echo LoadState=not-found
		if [ -e "$d/$u.active" ]; then
			echo ActiveState=active; echo SubState=running; echo MainPID=1
			echo "ExecMainStartTimestamp=$(date -r "$d/$u.active" '+%a %Y-%m-%d %H:%M:%S UTC')"
		else
			echo ActiveState=inactive; echo SubState=dead; echo MainPID=0; echo ExecMainStartTimestamp=
		fi
		if [ -e "$d/$u.enabled" ]; then echo UnitFileState=enabled; elif [ -e "$d/$u" ]; then echo UnitFileState=disabled; else echo UnitFileState=; fi
		if [ "$d/$u" -nt "$d/read" ]; then echo NeedDaemonReload=yes; else echo NeedDaemonReload=no; fi
	done ;;
daemon-reload) touch "$d/read" ;;
reset-failed) ;;
enable) for u do touch "$d/$u.enabled"; done ;;
stop) rm -f "$d/$u.active" ;;
start|restart)
	s=0
	for u do
		if grep -q broken "$d/$u"; then rm -f "$d/$u.active"; echo "Job for $u failed." >&2; s=1; else touch "$d/$u.active"; fi
	done
	exit $s ;;
is-active) [ -e "$d/$u.active" ] ;;
disable) rm -f "$d/$u.enabled"; case $flags in *--now*) rm -f "$d/$u.active" ;; esac ;;
esac
`

// newManaged is a bench on which systemctl and journalctl are programs of
// the test. units is where unit files go.
func newManaged(t *testing.T) (b *bench, units string) {
	t.Helper()
	b = newBench(t)
	bin := t.TempDir()
	units = filepath.Join(bin, "units")
	if err := os.Mkdir(units, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"systemctl":  manager,
		"journalctl": "#!/bin/sh\necho the journal says why\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := hosttest.NewServer(t, "PATH="+bin+":"+os.Getenv("PATH"))
	b.connect = func(ctx context.Context, node string) (provision.Host, error) {
		return sshhost.Dial(ctx, sshhost.Config{Name: node, Address: s.Host, Port: s.Port, PrivateKey: s.KeyFile, KnownHosts: s.KnownHosts})
	}
	return b, units
}

func TestUnit(t *testing.T) {
	b, units := newManaged(t)
	file := machine.File{Path: units + "/api.service", Mode: 0o644, Content: []byte("[Unit]\n")}
	conf := machine.File{Path: b.path("conf"), Mode: 0o600, Content: []byte("1")}
	unit := machine.Unit{Name: "api.service", Watch: []string{file.ID(), conf.ID()}}
	changes := b.apply(file, conf, unit)
	if c := changes[len(changes)-1]; c.Action != provision.Create || c.ID != "unit:api.service" || c.Drifted {
		t.Errorf("first apply ends with %+v; want the unit started", c)
	}
	for _, state := range []string{"active", "enabled"} {
		if _, err := os.Stat(units + "/api.service." + state); err != nil {
			t.Errorf("the unit is not %s: %v", state, err)
		}
	}

	conf.Content = []byte("2")
	changes = b.apply(file, conf, unit)
	if c := changes[len(changes)-1]; c.Action != provision.Restart || !strings.Contains(c.Summary, conf.ID()+" changes") {
		t.Errorf("after a watched file changed: %+v; want a restart", c)
	}

	remove(t, units+"/api.service.active")
	if c := one(t, b.apply(file, conf, unit)); c.Action != provision.Update || !c.Drifted {
		t.Errorf("after it was stopped by hand: %+v; want it started, as drifted", c)
	}
	remove(t, units+"/api.service.enabled")
	if c := one(t, b.apply(file, conf, unit)); c.Action != provision.Update || !c.Drifted {
		t.Errorf("after it was disabled by hand: %+v; want it enabled, as drifted", c)
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(units+"/api.service.active", past, past); err != nil {
		t.Fatal(err)
	}
	if c := one(t, b.apply(file, conf, unit)); c.Action != provision.Restart || !strings.Contains(c.Summary, "newer than the process") {
		t.Errorf("a process older than its file: %+v; want a restart", c)
	}

	b.apply(machine.Removal{})
	entries, err := os.ReadDir(units)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "api.service") {
			t.Errorf("after the removal there is %s", e.Name())
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// A unit that does not start says why, and starts once the reason is gone.
func TestUnitThatFails(t *testing.T) {
	b, units := newManaged(t)
	file := machine.File{Path: units + "/api.service", Mode: 0o644, Content: []byte("broken\n")}
	unit := machine.Unit{Name: "api.service", Watch: []string{file.ID()}}
	err := b.applyError(file, unit)
	for _, want := range []string{"node", "unit:api.service", "the journal says why"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v; want it to say %q", err, want)
		}
	}
	file.Content = []byte("[Unit]\n")
	for _, c := range b.apply(file, unit) {
		if c.Drifted {
			t.Errorf("%s is taken for a change by hand after an apply that failed", c.ID)
		}
	}
}

// Units that follow each other are started together; the one that does not
// start is named.
func TestUnits(t *testing.T) {
	b, units := newManaged(t)
	a := machine.File{Path: units + "/a.service", Mode: 0o644, Content: []byte("[Unit]\n")}
	c := machine.File{Path: units + "/c.service", Mode: 0o644, Content: []byte("broken\n")}
	ua, uc := machine.Unit{Name: "a.service", Watch: []string{a.ID()}}, machine.Unit{Name: "c.service", Watch: []string{c.ID()}}
	err := b.applyError(a, c, ua, uc)
	for _, want := range []string{"unit:c.service", "start c.service", "the journal says why"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v; want it to say %q", err, want)
		}
	}
	c.Content = []byte("[Unit]\n")
	b.apply(a, c, ua, uc)
	b.apply(a, c, ua, uc)
	calls, err := os.ReadFile(units + "/calls")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(calls), "start a.service c.service"); n != 1 {
		t.Errorf("both were started together %d times; want once, at first:\n%s", n, calls)
	}
}

// Without systemd, or with a masked unit, the plan says so.
func TestUnitErrors(t *testing.T) {
	unit := machine.Unit{Name: "api.service"}
	for _, f := range []provision.Facts{
		{},
		{Units: map[string]provision.UnitFact{"api.service": {LoadState: "masked"}}},
	} {
		if changes, err := unit.Observe(t.Context(), nil, &f); err == nil {
			t.Errorf("Observe(%+v) = %+v; want an error", f.Units, changes)
		}
	}
}

func TestUsersAndGroups(t *testing.T) {
	facts := &provision.Facts{
		Users:  map[string]provision.UserFact{"glance": {Name: "glance", GID: 64, Home: "/var/lib/glance", Shell: "/bin/false"}},
		Groups: map[string]provision.GroupFact{"glance": {Name: "glance", GID: 64}, "other": {Name: "other", GID: 65}},
	}
	user := machine.User{Name: "glance", Group: "glance", Home: "/var/lib/glance", Shell: "/bin/false"}
	for _, test := range []struct {
		name    string
		r       provision.Resource
		uid     int
		summary string // "": no change
		err     bool
	}{
		{"user as wanted", user, 0, "", false},
		{"user as wanted, not root", user, 1000, "", false},
		{"group as wanted", machine.Group{Name: "glance"}, 1000, "", false},
		{"no such group", machine.Group{Name: "new"}, 0, "group new", false},
		{"no such group, not root", machine.Group{Name: "new"}, 1000, "", true},
		{"no such user", machine.User{Name: "new"}, 0, "user new", false},
		{"no such user, not root", machine.User{Name: "new"}, 1000, "", true},
		{"other group", machine.User{Name: "glance", Group: "other"}, 0, "user glance: group other", false},
		{"other home", machine.User{Name: "glance", Home: "/srv"}, 0, "user glance: home /var/lib/glance -> /srv", false},
		{"other shell", machine.User{Name: "glance", Shell: "/bin/sh"}, 0, "user glance: shell /bin/false -> /bin/sh", false},
	} {
		facts.UID = test.uid
		changes, err := test.r.Observe(t.Context(), nil, facts)
		if (err != nil) != test.err {
			t.Errorf("%s: error %v", test.name, err)
		}
		got := ""
		if len(changes) > 0 {
			got = changes[0].Summary
		}
		if got != test.summary || len(changes) > 1 {
			t.Errorf("%s: changes %+v; want %q", test.name, changes, test.summary)
		}
	}
}

// Owners are looked after by root only; for everybody else what they make is
// theirs.
func TestOwners(t *testing.T) {
	f := machine.File{Path: "/f", Owner: "root", Group: "glance", Mode: 0o640}
	facts := &provision.Facts{Files: map[string]provision.FileFact{"/f": {
		Mode: 0o640, Owner: "me", Group: "mine",
		SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	}}}
	c, err := f.Observe(t.Context(), nil, facts)
	if err != nil || len(c) != 1 || !strings.Contains(c[0].Summary, "0640 me:mine -> 0640 root:glance") {
		t.Errorf("as root: %+v, %v; want the owner changed", c, err)
	}
	facts.UID = 1000
	if c, err := f.Observe(t.Context(), nil, facts); err != nil || len(c) != 0 {
		t.Errorf("not as root: %+v, %v; want nothing", c, err)
	}
}

// A unit that was there before us is what it was after us: with its own file
// again, and started, stopped, enabled or disabled as it was.
func TestUnitBeforeUs(t *testing.T) {
	for _, was := range []struct{ active, enabled bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		b, units := newManaged(t)
		if err := os.WriteFile(units+"/api.service", []byte("theirs\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for state, on := range map[string]bool{"active": was.active, "enabled": was.enabled} {
			if !on {
				continue
			}
			if err := os.WriteFile(units+"/api.service."+state, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		file := machine.File{Path: units + "/api.service", Mode: 0o644, Content: []byte("ours\n")}
		b.apply(file, machine.Unit{Name: "api.service", Watch: []string{file.ID()}})
		past := time.Now().Add(-time.Hour)
		if err := os.Chtimes(units+"/api.service.active", past, past); err != nil {
			t.Fatal(err)
		}
		b.apply(machine.Removal{})
		if text, err := os.ReadFile(units + "/api.service"); string(text) != "theirs\n" {
			t.Errorf("%+v: the unit's file is %q, %v; want theirs", was, text, err)
		}
		for state, want := range map[string]bool{"active": was.active, "enabled": was.enabled} {
			fi, err := os.Stat(units + "/api.service." + state)
			if (err == nil) != want {
				t.Errorf("%+v: after the removal %s is %t; want %t", was, state, err == nil, want)
			}
			if state == "active" && err == nil && fi.ModTime().Before(past.Add(time.Minute)) {
				t.Errorf("%+v: it was not started anew: what runs is ours", was)
			}
		}
	}
}

// A user who was there before us gets back what we changed.
func TestUserBeforeUs(t *testing.T) {
	f := &provision.Facts{
		Users:  map[string]provision.UserFact{"glance": {Name: "glance", UID: 1001, GID: 1001, Home: "/home/glance", Shell: "/bin/bash"}},
		Groups: map[string]provision.GroupFact{"glance": {Name: "glance", GID: 107}},
	}
	user := machine.User{Name: "glance", Group: "glance", Home: "/var/lib/glance", Shell: "/usr/sbin/nologin"}
	changes, err := user.Observe(t.Context(), nil, f)
	if err != nil || len(changes) != 1 || changes[0].Record.Created {
		t.Fatalf("Observe = %+v, %v; want one change of a user who is there", changes, err)
	}
	entry := *changes[0].Record
	entry.ID = changes[0].ID
	removal, kept := provision.RemovalChanges(f, []provision.Entry{entry}, false)
	want := provision.AddUser{Name: "glance", Group: "1001", Home: "/home/glance", Shell: "/bin/bash", Modify: true}
	if len(removal) != 1 || len(kept) > 0 || len(removal[0].Ops) != 1 || removal[0].Ops[0] != want {
		t.Errorf("the removal does %+v, keeps %v; want %+v", removal, kept, want)
	}
	f.Receipt = &provision.Receipt{Entries: []provision.Entry{entry}}
	if changes, err = user.Observe(t.Context(), nil, f); err != nil || changes[0].Record.Before != "" {
		t.Errorf("Observe = %+v, %v; want what was before us remembered once", changes, err)
	}
}
