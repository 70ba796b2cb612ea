package provision

import (
	"encoding/base64"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An answer as a Debian 12 node with systemd 252 gives it.
const answer = `Welcome to this machine!
machine is not what this line tells

glancectl-begin
machine aarch64 0
os debian
files
81a0 root glance 12 1789999000.000000001 1789999001.500000000 77 /etc/glance/a.conf
41ed root root 4096 1789999000.000000000 1789999000.000000000 78 /etc/glance
a1ff root root 9 1789999000.000000000 1789999000.000000000 79 /usr/bin/x -> ../lib/x -> y
81a4 root root 4 1789999990.000000000 1789999990.000000000 80 /run/p.pid
.
sums
9f86d081  /etc/glance/a.conf
.
content aGVsbG8= /etc/glance/a.conf
empty 1
users
glance:x:64:65:Glance:/var/lib/glance:/bin/false
.
groups
glance:x:65:
.
units
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
NeedDaemonReload=no
MainPID=412
ExecMainStartTimestamp=Fri 2026-11-20 06:37:12 UTC

LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
NeedDaemonReload=no
MainPID=0
ExecMainStartTimestamp=
.
lock 77 4711
lock 12345 4712
zone 
now 1790000000.250000000
process 0 99 100000 2000.25 c2xlZXAAMTAA
command 0 3 bm90IHVwIHRvIGRhdGUK
end
`

func TestParse(t *testing.T) {
	q, err := sortQueries([]Query{
		FileQuery{Path: "/etc/glance/a.conf"}, FileQuery{Path: "/etc/glance"}, FileQuery{Path: "/usr/bin/x"},
		FileQuery{Path: "/missing"}, UserQuery{"glance"}, GroupQuery{"glance"}, UnitQuery{"glance-api.service"}, UnitQuery{"other.service"},
		ProcessQuery{"/run/p.pid"}, CommandQuery{Argv: []string{"check"}, User: "glance"},
		LockQuery{"/etc/glance/a.conf"}, LockQuery{"/usr/bin/x"}, ClockQuery{},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.parse(answer)
	if err != nil {
		t.Fatal(err)
	}
	at := func(sec, ns int64) time.Time { return time.Unix(sec, ns).UTC() }
	want := &Facts{
		Arch: "arm64", OS: "debian", now: at(1790000000, 250000000), Now: at(1790000000, 250000000),
		Locks: map[string]int{"/etc/glance/a.conf": 4711},
		Files: map[string]FileFact{
			"/etc/glance/a.conf": {
				Mode: 0o640, Owner: "root", Group: "glance", Size: 12, Mtime: at(1789999000, 1), Ctime: at(1789999001, 500000000),
				Inode: 77, SHA256: "9f86d081", Content: []byte("hello"),
			},
			"/etc/glance": {Type: fs.ModeDir, Mode: 0o755, Owner: "root", Group: "root", Size: 4096, Mtime: at(1789999000, 0), Ctime: at(1789999000, 0), Inode: 78, Empty: true},
			"/usr/bin/x":  {Type: fs.ModeSymlink, Mode: 0o777, Owner: "root", Group: "root", Size: 9, Mtime: at(1789999000, 0), Ctime: at(1789999000, 0), Inode: 79, Target: "../lib/x -> y"},
			"/run/p.pid":  {Mode: 0o644, Owner: "root", Group: "root", Size: 4, Mtime: at(1789999990, 0), Ctime: at(1789999990, 0), Inode: 80},
		},
		Users:  map[string]UserFact{"glance": {Name: "glance", UID: 64, GID: 65, Home: "/var/lib/glance", Shell: "/bin/false"}},
		Groups: map[string]GroupFact{"glance": {Name: "glance", GID: 65}},
		Units: map[string]UnitFact{
			"glance-api.service": {LoadState: "loaded", Active: "active", Sub: "running", Enabled: "enabled", MainPID: 412, Started: time.Date(2026, 11, 20, 6, 37, 12, 0, time.UTC)},
			"other.service":      {LoadState: "not-found", Active: "inactive", Sub: "dead"},
		},
		Processes: map[string]ProcessFact{"/run/p.pid": {PID: 99, Argv: []string{"sleep", "10"}, Started: at(1789999000, 0), Ticks: "100000"}},
		Commands:  map[string]CommandFact{"glance:check": {Status: 3, Output: "not up to date\n"}},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(Facts{})); d != "" {
		t.Errorf("parse: -want +got:\n%s", d)
	}
}

// A number that another process has got since is not the process.
func TestParseReusedPID(t *testing.T) {
	q, err := sortQueries([]Query{ProcessQuery{"/run/p.pid"}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := q.parse(`
glancectl-begin
machine x86_64 0
files
81a4 root root 4 1789990000.000000000 1789990000.000000000 80 /run/p.pid
.
now 1790000000.0
process 0 99 100000 2000.25 c2xlZXAA
end
`)
	if err != nil || len(f.Processes) != 0 {
		t.Errorf("processes = %+v, %v; want none: it started after its file was written", f.Processes, err)
	}
}

// Answers that are not whole, or not to what was asked, are no facts.
func TestParseErrors(t *testing.T) {
	q, err := sortQueries([]Query{FileQuery{Path: "/a"}, UnitQuery{"a.service"}, UnitQuery{"b.service"}})
	if err != nil {
		t.Fatal(err)
	}
	begin := "\nglancectl-begin\n"
	head := begin + "machine x86_64 0\n"
	for _, answer := range []string{
		"",
		head,
		begin + "end\n",
		strings.TrimPrefix(head, begin) + "end\n",
		head + "surprise\nend\n",
		head + "files\n81a4 root root 4 1.0 1.0 80 /b\n.\nend\n",
		head + "files\n81a4 root root\n.\nend\n",
		head + "files\n81a4 root root 4 1.0 1.0 80 /a\nend\n",
		head + "sums\n00  /a\n.\nend\n",
		head + "content 00 /a\nend\n",
		head + "empty 9\nend\n",
		head + "receipt !!\nend\n",
		head + "receipt " + base64.StdEncoding.EncodeToString([]byte("schema = 9")) + "\nend\n",
		head + "users\nx\n.\nend\n",
		head + "groups\nx\n.\nend\n",
		head + "units\nLoadState=loaded\n.\nend\n",
		head + "now then\nend\n",
		head + "zone QUJD\nend\n",
		head + "lock 1\nend\n",
		head + "lock x 1\nend\n",
		head + "process 0 1 1 1 \nend\n",
		head + "command 0 0 \nend\n",
	} {
		if f, err := q.parse(answer); err == nil {
			t.Errorf("parse(%q) = %+v; want an error", answer, f)
		}
	}
}

func TestQueries(t *testing.T) {
	for _, p := range []string{"", "relative", "/a\nb", "/a\\b", "/a\x00", "/a "} {
		if _, err := sortQueries([]Query{FileQuery{Path: p}}); err == nil {
			t.Errorf("a query for %q = nil; want an error", p)
		}
	}
	if _, err := sortQueries([]Query{CommandQuery{}}); err == nil {
		t.Error("a query for no command = nil; want an error")
	}
	q, err := sortQueries([]Query{
		FileQuery{Path: "/a"}, FileQuery{Path: "/a", Content: true, Unless: "1"}, FileQuery{Path: "/a", Empty: true},
		FileQuery{Path: "/b", Content: true, Unless: "1"}, FileQuery{Path: "/b", Content: true, Unless: "2"},
		UserQuery{"u"}, UserQuery{"u"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []FileQuery{{Path: "/a", Content: true, Unless: "1", Empty: true}, {Path: "/b", Content: true}}
	if d := cmp.Diff(want, q.files); d != "" || len(q.users) != 1 {
		t.Errorf("users %q, files: -want +got:\n%s", q.users, d)
	}
}

func TestReceipt(t *testing.T) {
	r := &Receipt{Schema: 1, Proposal: "p", Digest: "d", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Entries: []Entry{
		{ID: "file:/a", Hash: "1", Attrs: "0640 root:glance", Created: true},
		{ID: "file:/b", Hash: "2", Pending: "3", Original: "/o/b"},
		{ID: "file:/d", Hash: "5", Masked: "a/pin"},
	}}
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseReceipt(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r, back); d != "" {
		t.Errorf("written and read: -want +got:\n%s", d)
	}
	changes := []Change{
		{ID: "file:/a", Action: Update, Hash: "9"},
		{ID: "file:/c", Action: Create, Record: &Entry{Hash: "4", Created: true}},
		{ID: "file:/b", Action: Delete},
		{ID: "file:/d", Action: Update, Record: &Entry{Hash: "6", Masked: "b/pin"}},
		{ID: "command:x", Action: Run},
	}
	announced := r.announce(changes).announce(changes) // twice is as good as once
	for id, want := range map[string]string{"file:/a": "9", "file:/b": "3", "file:/c": "4"} {
		if e := announced.Entry(id); e == nil || e.Pending != want {
			t.Errorf("announced %s = %+v; want %s pending", id, e, want)
		}
	}
	// Until the file is written, what was a secret and what will be one both are.
	if e := announced.Entry("file:/d"); e.Masked != "a/pin\nb/pin" {
		t.Errorf("announced options with secrets: %q", e.Masked)
	}
	settled := announced.settle(changes)
	want := []Entry{
		{ID: "file:/a", Hash: "9", Created: true},
		{ID: "file:/d", Hash: "6", Masked: "b/pin"},
		{ID: "file:/c", Hash: "4", Created: true},
	}
	if d := cmp.Diff(want, settled.Entries); d != "" {
		t.Errorf("settled: -want +got:\n%s", d)
	}
	if r.Entries[0].Hash != "1" || len(r.Entries) != 3 {
		t.Errorf("the old receipt changed: %+v", r.Entries)
	}
}

// A script that is cut anywhere does nothing at all: sh refuses it.
func TestScriptIsWhole(t *testing.T) {
	b := batch{mark: "mark"}
	s := b.render([]Op{PutFile{Path: "/tmp/x", Content: []byte("x"), Mode: 0o600}})
	if !strings.HasPrefix(s, "{\n") || !strings.HasSuffix(s, "\n}\n") {
		t.Errorf("the script does not stand between braces:\n%s", s)
	}
	if strings.Count(s, "eA==") != 1 {
		t.Errorf("the content is not in it:\n%s", s)
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&StepError{Node: "a", Step: "file:/x", Op: "write /x", Status: 1, Log: "cat: x\nNo space left on device\n"},
			"a: file:/x: write /x: exit status 1: No space left on device"},
		{&StepError{Node: "a", Step: "file:/x", Status: 1}, "a: file:/x: exit status 1"},
		{&StepError{Node: "a", Step: "file:/x", Err: errCut}, "a: file:/x: the session ended before the script did"},
		{&ConnectError{Node: "a", Address: "10.0.0.1:22", Err: errCut}, "connect a (10.0.0.1:22): the session ended before the script did"},
		{&CheckError{Node: "a", Check: "answers", Err: errCut}, `a: check "answers": the session ended before the script did`},
		{&LockedError{Node: "a", Path: "/l", Holder: Holder{Who: "eve", Host: "h", PID: 7, Operation: "apply", Started: time.Unix(0, 0).UTC()}},
			"lock /l on a: held by eve@h (apply, process 7) since 1970-01-01T00:00:00Z"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%T = %q; want %q", test.err, got, test.want)
		}
	}
}
