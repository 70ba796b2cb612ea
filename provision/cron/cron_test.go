package cron_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/provision"
	"glancectl/provision/cron"
)

var job = cron.Job{Entry: "/etc/cron.d/x", Record: "/lock/x.runs", Lock: "/lock/x.lock", Log: "/log/x"}

// noon is when the tests look.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const entry = `# a comment
SHELL=/bin/sh
PATH=/usr/bin:/bin
MAILTO=""

*/5 1-2 * jan,feb mon  glance  /usr/bin/x --file '/etc/it'\''s 100\%.conf' --timeout 1h0m0s --jitter 30s
`

// facts are those of a machine on which the lock has a holder.
func facts(record string, holder int) *provision.Facts {
	f := &provision.Facts{Now: noon, Files: map[string]provision.FileFact{}, Locks: map[string]int{}}
	f.Files[job.Entry] = provision.FileFact{Content: []byte(entry), Mtime: noon.Add(-time.Hour)}
	if record != "" {
		f.Files[job.Record] = provision.FileFact{Content: []byte(record)}
	}
	if holder != 0 {
		f.Locks[job.Lock] = holder
	}
	return f
}

func TestEntry(t *testing.T) {
	s, err := job.State(facts("", 0))
	if err != nil {
		t.Fatal(err)
	}
	want := &cron.Entry{
		Schedule: "*/5 1-2 * jan,feb mon", User: "glance", Since: noon.Add(-time.Hour),
		Env:  []string{"SHELL=/bin/sh", "PATH=/usr/bin:/bin", "MAILTO="},
		Argv: []string{"/usr/bin/x", "--file", "/etc/it's 100%.conf", "--timeout", "1h0m0s", "--jitter", "30s"},
	}
	if d := cmp.Diff(want, s.Entry); d != "" {
		t.Errorf("entry: -want +got:\n%s", d)
	}
	none := facts("", 0)
	delete(none.Files, job.Entry)
	if s, err := job.State(none); err != nil || s.Entry != nil {
		t.Errorf("without a file: %+v, %v; want no entry", s.Entry, err)
	}
	for _, line := range []string{
		"", "* * * * * glance", "* * * * * glance /x >/dev/null", "* * * * * glance /x | y", "* * * * * glance /x; y", `* * * * * glance "/x"`,
		"* * * * * glance /x $HOME", "* * * * * glance '/x", "* * * * * glance /x%y", "@daily glance /x", "* * * * * glance /x\n* * * * * glance /y",
	} {
		f := facts("", 0)
		f.Files[job.Entry] = provision.FileFact{Content: []byte(line + "\n")}
		if s, err := job.State(f); err == nil || !strings.Contains(err.Error(), "changed by hand") {
			t.Errorf("entry %q = %+v, %v; want that it was changed by hand", line, s.Entry, err)
		}
	}
}

// record returns a record; a run is "RESULT PID MINUTES-AGO".
func record(t *testing.T, runs ...string) string {
	t.Helper()
	var all []string
	for _, r := range runs {
		var result string
		var pid int
		var ago time.Duration
		if _, err := fmt.Sscan(r, &result, &pid, (*minutes)(&ago)); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf(`{"pid":%d,"start":%q,"end":null,"result":%q,"done":1,"skipped":2,"failed":3,"bytes":4}`,
			pid, noon.Add(-ago).Format(time.RFC3339Nano), result))
	}
	return `{"version":1,"job":"x","runs":[` + strings.Join(all, ",") + `]}`
}

type minutes time.Duration

func (m *minutes) Scan(s fmt.ScanState, _ rune) error {
	var f float64
	_, err := fmt.Fscan(s, &f)
	*m = minutes(f * float64(time.Minute))
	return err
}

func TestState(t *testing.T) {
	for _, test := range []struct {
		name          string
		runs          []string
		holder        int
		current, last string // "RESULT PID", "" for none
		begun         time.Duration
	}{
		{name: "just installed", begun: time.Hour},
		{name: "idle", runs: []string{"failed 1 20", "done 2 10"}, last: "done 2", begun: 10 * time.Minute},
		{name: "at work", runs: []string{"done 1 20", "running 2 10"}, holder: 2, current: "running 2", last: "done 1", begun: 10 * time.Minute},
		{name: "killed", runs: []string{"done 1 20", "running 2 10"}, last: "died 2", begun: 10 * time.Minute},
		{name: "killed, and the next is at work", runs: []string{"running 1 20", "running 2 10"}, holder: 2, current: "running 2", last: "died 1", begun: 10 * time.Minute},
		{name: "beside another", runs: []string{"running 1 20", "skipped 2 10"}, holder: 1, current: "running 1", begun: 20 * time.Minute},
		{name: "it began while we looked", runs: []string{"done 1 20", "running 2 0.01"}, current: "running 2", last: "done 1", begun: 600 * time.Millisecond},
		{name: "older than its entry", runs: []string{"done 1 90"}, last: "done 1", begun: time.Hour},
	} {
		text := ""
		if test.runs != nil {
			text = record(t, test.runs...)
		}
		s, err := job.State(facts(text, test.holder))
		if err != nil {
			t.Fatal(err)
		}
		said := func(r *cron.Run) string {
			if r == nil {
				return ""
			}
			return fmt.Sprint(r.Result, " ", r.PID)
		}
		if said(s.Current()) != test.current || said(s.Last()) != test.last || !s.Begun().Equal(noon.Add(-test.begun)) {
			t.Errorf("%s: current %q, last %q, begun %v; want %q, %q, %v", test.name,
				said(s.Current()), said(s.Last()), noon.Sub(s.Begun()), test.current, test.last, test.begun)
		}
	}
	for _, text := range []string{"{", `{"version":2}`} {
		if _, err := job.State(facts(text, 0)); err == nil || !strings.Contains(err.Error(), job.Record) {
			t.Errorf("record %q: %v; want an error that names it", text, err)
		}
	}
}
