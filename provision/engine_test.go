package provision_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancectl/provision"
	"glancectl/provision/localhost"
	"glancectl/provision/machine"
)

// A site is a few nodes, each of them a directory of this machine.
type site struct {
	t     *testing.T
	dir   string
	o     provision.Options
	down  map[string]bool
	full  bool // no file can be larger than a few blocks
	trips atomic.Int64
	cut   func(node string) int // after how many lines of output a command of a node is cut off; 0: never

	events []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), down: make(map[string]bool)}
	s.o = provision.Options{
		Proposal: "production", Digest: "d1", Revision: "r1", Version: "test", Operation: "apply",
		Root: func(node string) string { return filepath.Join(s.dir, node) },
		Events: func(e provision.Event) { // one at a time: this is what the race detector looks at
			s.events = append(s.events, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Kind, e.Stage, e.Host, e.Step)))
		},
	}
	return s
}

func (s *site) path(node, p string) string { return filepath.Join(s.dir, node, p) }

func (s *site) connect(_ context.Context, node string) (provision.Host, error) {
	if s.down[node] {
		return nil, errors.New("no route to host")
	}
	return &host{Host: localhost.New(node), site: s}, nil
}

// A host counts and cuts the commands of the Host that it embeds.
type host struct {
	provision.Host
	site *site
}

func (h *host) Run(ctx context.Context, c provision.Cmd) (provision.Result, error) {
	h.site.trips.Add(1)
	if h.site.cut != nil && c.Stdout != nil {
		if n := h.site.cut(h.Name()); n > 0 {
			c.Stdout = &cutter{left: n, next: c.Stdout}
		}
	}
	if h.site.full {
		c.Argv = append([]string{"sh", "-c", `trap '' XFSZ; ulimit -f 20; exec "$@"`, "sh"}, c.Argv...)
	}
	return h.Host.Run(ctx, c)
}

// A cutter closes after so many lines, as a connection does that is lost.
type cutter struct {
	left int
	next interface{ Write([]byte) (int, error) }
}

func (c *cutter) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		if c.left--; c.left < 0 {
			return 0, errors.New("cut")
		}
		if _, err := c.next.Write(line); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (s *site) file(node, name, content string) machine.File {
	return machine.File{Path: s.path(node, name), Mode: 0o600, Content: []byte(content)}
}

func (s *site) plan(stages ...provision.Stage) *provision.Plan {
	s.t.Helper()
	p, err := provision.Observe(s.t.Context(), stages, s.connect, s.o)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *site) apply(stages ...provision.Stage) (*provision.Report, error) {
	s.t.Helper()
	return provision.Apply(s.t.Context(), s.plan(stages...), s.connect, s.o)
}

// done applies stages, which must work, and checks that nothing is left.
func (s *site) done(stages ...provision.Stage) *provision.Report {
	s.t.Helper()
	r, err := s.apply(stages...)
	if err != nil {
		s.t.Fatal(err)
	}
	if p := s.plan(stages...); !p.Empty() || p.Err() != nil {
		s.t.Fatalf("after the apply there is still to do: %s; %v", changes(p), p.Err())
	}
	return r
}

// changes lists the ids of all changes of a plan.
func changes(p *provision.Plan) string {
	var ids []string
	for _, s := range p.Stages {
		for _, t := range s.Targets {
			for _, c := range t.Changes {
				ids = append(ids, fmt.Sprintf("%s: %s %s", t.Name, c.Action, c.ID))
			}
		}
	}
	return strings.Join(ids, ", ")
}

func stage(name string, targets ...provision.Target) provision.Stage {
	return provision.Stage{Name: name, Targets: targets}
}

func target(node string, rs ...provision.Resource) provision.Target {
	return provision.Target{Host: node, Name: node, Resources: rs}
}

func (s *site) receipt(node string) *provision.Receipt {
	s.t.Helper()
	path := s.path(node, "var/lib/glancectl/production/receipt.toml")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
		s.t.Errorf("mode of the receipt = %v, %v; want 0600", fi.Mode(), err)
	}
	r, err := provision.ParseReceipt(b)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *site) exists(node, p string) bool {
	_, err := os.Lstat(s.path(node, p))
	return err == nil
}

func TestApply(t *testing.T) {
	s := newSite(t)
	stages := []provision.Stage{
		stage("first", target("a", s.file("a", "x", "1")), target("b", s.file("b", "x", "1"))),
		stage("second", target("a", s.file("a", "y", "1")), target("b")),
	}
	p := s.plan(stages...)
	if p.Empty() {
		t.Error("Empty() = true for a plan with changes")
	}
	if s.exists("a", "x") || s.exists("a", "var") {
		t.Error("the plan changed the node")
	}
	r := s.done(stages...)
	if r.Changed() < 3 || r.Interrupted || len(r.Failed()) != 0 {
		t.Errorf("report = %+v; want at least three changes and no failure", r)
	}
	rc := s.receipt("a")
	if rc.Digest != "d1" || rc.Revision != "r1" || rc.Version != "test" || rc.Time.IsZero() {
		t.Errorf("receipt = %+v; want what was applied in it", rc)
	}
	for _, name := range []string{"x", "y"} {
		e := rc.Entry("file:" + s.path("a", name))
		if e == nil || e.Hash == "" || e.Pending != "" || !e.Created {
			t.Errorf("entry of %s = %+v", name, e)
		}
	}
}

// The number of round trips does not depend on how much there is to look at.
func TestRoundTrips(t *testing.T) {
	s := newSite(t)
	stages := func(content string) []provision.Stage {
		var rs, more []provision.Resource
		for i := range 60 {
			rs = append(rs, s.file("a", fmt.Sprintf("conf%d", i), content))
			more = append(more, s.file("a", fmt.Sprintf("more%d", i), content))
		}
		return []provision.Stage{stage("one", target("a", rs...)), stage("two", target("a", more...))}
	}
	s.done(stages("1")...)
	s.trips.Store(0)
	if p := s.plan(stages("1")...); !p.Empty() {
		t.Fatalf("still to do: %s", changes(p))
	}
	if n := s.trips.Load(); n != 1 {
		t.Errorf("a plan with nothing to do took %d round trips; want 1", n)
	}
	p := s.plan(stages("2")...)
	s.trips.Store(0)
	if _, err := provision.Apply(t.Context(), p, s.connect, s.o); err != nil {
		t.Fatal(err)
	}
	if n := s.trips.Load(); n != 3 {
		t.Errorf("changing 120 files in two stages took %d round trips; want 1 a stage and 1 to look again", n)
	}
	p = s.plan(stages("2")...)
	s.trips.Store(0)
	if r, err := provision.Apply(t.Context(), p, s.connect, s.o); err != nil || r.Changed() != 0 {
		t.Errorf("an apply with nothing to do = %+v, %v", r, err)
	}
	if n := s.trips.Load(); n != 0 {
		t.Errorf("an apply with nothing to do took %d round trips; want none", n)
	}
}

// An apply without changes still notes which revision it applied.
func TestReceiptFollowsRevision(t *testing.T) {
	s := newSite(t)
	st := stage("one", target("a", s.file("a", "x", "1")))
	s.done(st)
	s.o.Revision, s.o.Digest, s.o.Modified = "r2", "d2", true
	if r := s.done(st); r.Changed() != 0 {
		t.Errorf("report = %+v; want no change", r)
	}
	if rc := s.receipt("a"); rc.Revision != "r2" || rc.Digest != "d2" || !rc.Modified {
		t.Errorf("receipt = %+v; want the new revision", rc)
	}
}

// A plan tells what the proposal has changed from what somebody has by hand,
// and from what no apply has finished.
func TestPlanTellsWhoChanged(t *testing.T) {
	s := newSite(t)
	s.done(stage("one", target("a", s.file("a", "kept", "1"), s.file("a", "edited", "1"), s.file("a", "dropped", "1"))))
	if err := os.WriteFile(s.path("a", "edited"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range s.plan(stage("one", target("a", s.file("a", "kept", "2"), s.file("a", "edited", "2"), s.file("a", "new", "2")))).Stages[0].Targets[0].Changes {
		got[filepath.Base(c.ID)] = fmt.Sprintf("%s %t %t", c.Action, c.Drifted, c.Proposed)
	}
	want := map[string]string{
		"kept": "update false true", "edited": "update true false", "new": "create false false", "dropped": "delete false true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("action, by hand, by the proposal (-want +got):\n%s", diff)
	}
}

// What happens is told in order, with the names that views need.
func TestEvents(t *testing.T) {
	s := newSite(t)
	f := s.file("a", "x", "1")
	s.done(stage("one", target("a", machine.Dir{Path: s.path("a", ""), Mode: 0o755})))
	s.events = nil
	tg := target("a", f, failing("bad"))
	if _, err := s.apply(stage("one", tg)); err == nil {
		t.Fatal("Apply = nil; want the failure")
	}
	want := []string{
		"observe_done  a", "stage_start one", "target_start one a",
		"step_start one a " + f.ID(), "step_done one a " + f.ID(),
		"step_start one a command:bad", "step_failed one a command:bad",
		"target_failed one a", "stage_done one",
	}
	if d := cmp.Diff(want, s.events); d != "" {
		t.Errorf("events: -want +got:\n%s", d)
	}
}

// failing is a resource that cannot be brought about.
func failing(name string) machine.Command {
	return machine.Command{Name: name, Check: []string{"false"}, Run: []string{"sh", "-c", "echo broken; exit 4"}}
}

// A node that fails is left out from then on; the others go on.
func TestFailureTakesOneNodeOut(t *testing.T) {
	s := newSite(t)
	stages := []provision.Stage{
		stage("one", target("a", s.file("a", "before", "1"), failing("bad"), s.file("a", "after", "1")), target("b", s.file("b", "x", "1"))),
		stage("two", target("a", s.file("a", "later", "1")), target("b", s.file("b", "later", "1"))),
	}
	r, err := s.apply(stages...)
	var se *provision.StepError
	if !errors.As(err, &se) || se.Node != "a" || se.Step != "command:bad" || se.Status != 4 || se.Log != "broken" {
		t.Errorf("Apply = %v (%+v); want the step that failed", err, se)
	}
	for _, test := range []struct {
		node, file string
		want       bool
	}{{"a", "before", true}, {"a", "after", false}, {"a", "later", false}, {"b", "x", true}, {"b", "later", true}} {
		if got := s.exists(test.node, test.file); got != test.want {
			t.Errorf("%s of %s exists: %v; want %v", test.file, test.node, got, test.want)
		}
	}
	if f := r.Failed(); len(f) != 1 || f[0].Host != "a" || len(f[0].Done) == 0 {
		t.Errorf("Failed() = %+v; want a, with what was done before", f)
	}
	stages[0].Targets[0].Resources[1] = s.file("a", "instead", "1")
	s.done(stages...)
}

func TestRequiredStage(t *testing.T) {
	s := newSite(t)
	first := stage("one", target("a", failing("bad")), target("b", s.file("b", "x", "1")))
	first.Required = true
	first.Targets[1].Checks = []provision.Check{{Name: "answers", Ask: func(context.Context, provision.Reader) error {
		t.Error("a node that is only half done was checked")
		return nil
	}}}
	if _, err := s.apply(first, stage("two", target("b", s.file("b", "y", "1")))); err == nil {
		t.Error("Apply = nil; want the failure")
	}
	if !s.exists("b", "x") || s.exists("b", "y") {
		t.Error("want the whole first stage done and nothing of the second")
	}
}

func TestUnreachable(t *testing.T) {
	s := newSite(t)
	s.down["b"] = true
	stages := []provision.Stage{
		stage("one", target("a", s.file("a", "x", "1")), target("b", s.file("b", "x", "1"))),
		stage("two", target("b", s.file("b", "y", "1"))),
	}
	p := s.plan(stages...)
	var ce *provision.ConnectError
	if !errors.As(p.Err(), &ce) || ce.Node != "b" || strings.Count(p.Err().Error(), "no route") != 1 {
		t.Errorf("Err() = %v; want node b, once", p.Err())
	}
	r, err := provision.Apply(t.Context(), p, s.connect, s.o)
	if !errors.As(err, &ce) || !s.exists("a", "x") {
		t.Errorf("Apply = %v; want a done and b reported", err)
	}
	if len(r.Failed()) != 1 {
		t.Errorf("Failed() = %+v; want b once", r.Failed())
	}
	delete(s.down, "b")
	s.done(stages...)
}

func TestOnce(t *testing.T) {
	once := func(s *site) provision.Stage {
		st := stage("schema", target("a", s.file("a", "schema", "1")), target("b", s.file("b", "schema", "1")), target("c", s.file("c", "schema", "1")))
		st.Once, st.Required = true, true
		return st
	}
	t.Run("first", func(t *testing.T) {
		s := newSite(t)
		s.done(once(s))
		if !s.exists("a", "schema") || s.exists("b", "schema") {
			t.Error("want it done on a alone")
		}
	})
	t.Run("first is down", func(t *testing.T) {
		s := newSite(t)
		s.down["a"] = true
		if _, err := s.apply(once(s)); err != nil {
			t.Error(err)
		}
		if !s.exists("b", "schema") || s.exists("c", "schema") {
			t.Error("want it done on b alone")
		}
	})
	t.Run("first failed before", func(t *testing.T) {
		s := newSite(t)
		_, err := s.apply(stage("nodes", target("a", failing("bad"))), once(s), stage("services", target("b", s.file("b", "y", "1"))))
		if err == nil {
			t.Error("Apply = nil; want the failure of a")
		}
		if s.exists("a", "schema") || !s.exists("b", "schema") || !s.exists("b", "y") {
			t.Error("want it done on b, and what comes after it")
		}
	})
	t.Run("nobody", func(t *testing.T) {
		s := newSite(t)
		s.down["a"], s.down["b"], s.down["c"] = true, true, true
		if _, err := s.apply(once(s), stage("services", target("d", s.file("d", "y", "1")))); err == nil || s.exists("d", "y") {
			t.Errorf("Apply = %v; want an error, and the next stage not begun", err)
		}
	})
}

func TestCancel(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	stages := []provision.Stage{
		stage("one", target("a", s.file("a", "x", "1"), machine.Command{
			Name: "slow", Check: []string{"test", "-e", s.path("a", "done")},
			Run: []string{"sh", "-c", "sleep 0.5; touch " + provision.Quote(s.path("a", "done"))},
		}, s.file("a", "y", "1"))),
		stage("two", target("b", s.file("b", "x", "1"))),
	}
	p := s.plan(stages...)
	o := s.o
	o.Events = func(e provision.Event) {
		if e.Kind == provision.StepStarted && e.Step == "command:slow" {
			cancel()
		}
	}
	r, err := provision.Apply(ctx, p, s.connect, o)
	if !errors.Is(err, context.Canceled) || !r.Interrupted {
		t.Errorf("Apply = %+v, %v; want it interrupted", r, err)
	}
	if !s.exists("a", "x") || s.exists("a", "y") || s.exists("b", "x") {
		t.Error("want what came before done, and nothing after it")
	}
	s.done(stages...)
}

func TestObserveCancelled(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := provision.Observe(ctx, []provision.Stage{stage("one", target("a", s.file("a", "x", "1")))}, s.connect, s.o); !errors.Is(err, context.Canceled) {
		t.Errorf("Observe = %v; want context.Canceled", err)
	}
}

func TestChecks(t *testing.T) {
	s := newSite(t)
	var asked atomic.Int64
	tg := target("a", s.file("a", "x", "1"))
	tg.Checks = []provision.Check{{Name: "answers", Ask: func(context.Context, provision.Reader) error {
		if asked.Add(1) < 3 {
			return errors.New("not yet")
		}
		return nil
	}}}
	s.done(stage("one", tg))
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times; want 3, and not again when nothing changed", n)
	}
	tg.Resources = []provision.Resource{s.file("a", "x", "2")}
	tg.Checks[0].Ask = func(context.Context, provision.Reader) error { return errors.New("connection refused") }
	tg.Checks[0].Logs = []provision.Cmd{{Argv: []string{"echo", "the log says why"}}}
	s.o.CheckTime = 300 * time.Millisecond
	_, err := s.apply(stage("one", tg))
	var ce *provision.CheckError
	if !errors.As(err, &ce) || ce.Check != "answers" || ce.Logs != "the log says why\n" || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Apply = %v (%+v); want the check with its reason and logs", err, ce)
	}
}

// A receipt of a newer version is not touched, nor is anything else there.
func TestUnknownReceipt(t *testing.T) {
	for name, content := range map[string]string{
		"schema":  "schema = 2\n",
		"field":   "schema = 1\nfuture = true\n",
		"garbage": "not a receipt",
	} {
		s := newSite(t)
		path := s.path("a", "var/lib/glancectl/production/receipt.toml")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.apply(stage("one", target("a", s.file("a", "x", "1"))))
		if err == nil || !strings.Contains(err.Error(), "receipt") || s.exists("a", "x") {
			t.Errorf("%s: Apply = %v; want it refused", name, err)
		}
	}
}

func TestBadProposalName(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"", "../x", "a/b", ".hidden", "a b"} {
		s.o.Proposal = name
		if _, err := provision.Observe(t.Context(), nil, s.connect, s.o); err == nil {
			t.Errorf("Observe with proposal %q = nil; want an error", name)
		}
	}
}

// A pool logs in once for everything.
func TestPool(t *testing.T) {
	s := newSite(t)
	var logins, closed atomic.Int64
	pool := provision.NewPool(func(ctx context.Context, node string) (provision.Host, error) {
		logins.Add(1)
		h, err := s.connect(ctx, node)
		return &closing{Host: h, closed: &closed}, err
	})
	stages := []provision.Stage{stage("one", target("a", s.file("a", "x", "1")), target("b", s.file("b", "x", "1")))}
	unlock, err := provision.Lock(t.Context(), []string{"a", "b"}, pool.Connect, s.o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provision.Observe(t.Context(), stages, pool.Connect, s.o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Apply(t.Context(), p, pool.Connect, s.o); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := pool.Close(); err != nil || logins.Load() != 2 || closed.Load() != 2 {
		t.Errorf("%d logins and %d closed, %v; want 2 and 2", logins.Load(), closed.Load(), err)
	}
}

type closing struct {
	provision.Host
	closed *atomic.Int64
}

func (c *closing) Close() error {
	c.closed.Add(1)
	return c.Host.Close()
}

// Stages beside each other are worked on at the same time, unless one of them
// is known to fail: then the other does not begin.
func TestBeside(t *testing.T) {
	s := newSite(t)
	met := make(chan struct{})
	meet := func(ctx context.Context, _ provision.Writer) error {
		select {
		case met <- struct{}{}:
		case <-met:
		case <-time.After(10 * time.Second):
			return errors.New("alone")
		}
		return nil
	}
	one := stage("one", target("a", &acting{id: "act:one", do: meet}))
	two := stage("two", target("b", &acting{id: "act:two", do: meet}))
	two.Beside, two.Required = true, true
	s.done(one, two)

	two.Targets[0].Resources = []provision.Resource{&acting{id: "act:two", err: errors.New("no")}}
	report, err := s.apply(stage("one", target("a", s.file("a", "x", "1"))), two)
	if err == nil || s.exists("a", "x") || report.Changed() != 0 {
		t.Errorf("Apply beside a stage that is known to fail = %+v, %v; want nothing begun", report, err)
	}
}

// acting is a resource that calls do, once.
type acting struct {
	id   string
	do   func(context.Context, provision.Writer) error
	err  error
	done bool
}

func (r *acting) ID() string                 { return r.id }
func (r *acting) Queries() []provision.Query { return nil }

func (r *acting) Observe(context.Context, provision.Reader, *provision.Facts) ([]provision.Change, error) {
	if r.err != nil || r.done {
		return nil, r.err
	}
	return []provision.Change{{ID: r.id, Action: provision.Run, Do: func(ctx context.Context, w provision.Writer) error {
		err := r.do(ctx, w)
		r.done = err == nil
		return err
	}}}, nil
}
