package machine_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glancectl/provision"
	"glancectl/provision/localhost"
	"glancectl/provision/machine"
)

// A bench is this machine below a directory, and plans and applies for it.
type bench struct {
	t    *testing.T
	ctx  context.Context // goes on when the test is cleaned up
	root string
	o    provision.Options

	connect provision.Connect
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, ctx: context.WithoutCancel(t.Context()), root: t.TempDir()}
	b.o = provision.Options{Proposal: "test", Root: func(string) string { return b.root }}
	b.connect = func(context.Context, string) (provision.Host, error) { return localhost.New("node"), nil }
	return b
}

func (b *bench) path(p string) string { return filepath.Join(b.root, p) }

// plan returns what would be done to have rs.
func (b *bench) plan(rs ...provision.Resource) (*provision.Plan, []provision.Change) {
	b.t.Helper()
	p, err := provision.Observe(b.ctx, []provision.Stage{{
		Name: "nodes", Targets: []provision.Target{{Host: "node", Name: "node", Resources: rs}},
	}}, b.connect, b.o)
	if err == nil {
		err = p.Err()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return p, p.Stages[0].Targets[0].Changes
}

// apply brings rs about, checks that nothing is left to do, and returns what
// was done.
func (b *bench) apply(rs ...provision.Resource) []provision.Change {
	b.t.Helper()
	p, changes := b.plan(rs...)
	if _, err := provision.Apply(b.ctx, p, b.connect, b.o); err != nil {
		b.t.Fatal(err)
	}
	if _, left := b.plan(rs...); len(left) > 0 {
		b.t.Fatalf("after the apply there is still to do: %+v", left)
	}
	return changes
}

// applyError applies rs and returns the error, which must come.
func (b *bench) applyError(rs ...provision.Resource) error {
	b.t.Helper()
	p, _ := b.plan(rs...)
	_, err := provision.Apply(b.ctx, p, b.connect, b.o)
	if err == nil {
		b.t.Fatal("Apply = nil; want an error")
	}
	return err
}

func (b *bench) write(p, content string, mode fs.FileMode) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(p)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.path(p), []byte(content), mode); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chmod(b.path(p), mode); err != nil {
		b.t.Fatal(err)
	}
}

// want checks the content and mode of a file.
func (b *bench) want(p, content string, mode fs.FileMode) {
	b.t.Helper()
	got, err := os.ReadFile(b.path(p))
	if err != nil {
		b.t.Error(err)
		return
	}
	fi, err := os.Stat(b.path(p))
	if err != nil {
		b.t.Error(err)
		return
	}
	if string(got) != content || fi.Mode() != mode {
		b.t.Errorf("%s is %v %.200q; want %v %q", p, fi.Mode(), got, mode, content)
	}
}

// tree lists everything below the root, and its modes.
func (b *bench) tree() string {
	b.t.Helper()
	var s []string
	err := filepath.WalkDir(b.root, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(b.root, p)
		if rel == "." || err != nil {
			return err
		}
		fi, err := d.Info()
		s = append(s, rel+" "+fi.Mode().String())
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(s, " ")
}

// one is the only change of a list.
func one(t *testing.T, changes []provision.Change) provision.Change {
	t.Helper()
	if len(changes) != 1 {
		t.Fatalf("%d changes; want one: %+v", len(changes), changes)
	}
	return changes[0]
}

func TestFile(t *testing.T) {
	b := newBench(t)
	f := machine.File{Path: b.path("conf"), Mode: 0o640, Content: []byte("a = 1\nb = 2\n")}
	c := one(t, b.apply(f))
	if c.Action != provision.Create || !strings.Contains(c.Diff, "+a = 1\n") {
		t.Errorf("first change = %s with diff\n%s", c.Action, c.Diff)
	}
	b.want("conf", "a = 1\nb = 2\n", 0o640)

	f.Content = []byte("a = 1\nb = 3\n")
	c = one(t, b.apply(f))
	if c.Action != provision.Update || c.Drifted || !strings.Contains(c.Diff, "-b = 2\n+b = 3\n") {
		t.Errorf("change of the proposal = %s, drifted %v, diff\n%s", c.Action, c.Drifted, c.Diff)
	}

	b.write("conf", "a = 9\n", 0o640)
	c = one(t, b.apply(f))
	if !c.Drifted || !strings.Contains(c.Diff, "-a = 9\n") {
		t.Errorf("change by hand = drifted %v, diff\n%s", c.Drifted, c.Diff)
	}

	b.write("conf", "a = 1\nb = 3\n", 0o604)
	c = one(t, b.apply(f))
	if !c.Drifted || c.Diff != "" || !strings.Contains(c.Summary, "0604 -> 0640") {
		t.Errorf("mode by hand = drifted %v, %q, diff %q", c.Drifted, c.Summary, c.Diff)
	}

	f.Mode = 0o600
	if c = one(t, b.apply(f)); c.Drifted || !strings.Contains(c.Summary, "0640 -> 0600") {
		t.Errorf("mode of the proposal = drifted %v, %q", c.Drifted, c.Summary)
	}

	if err := os.Remove(b.path("conf")); err != nil {
		t.Fatal(err)
	}
	if c = one(t, b.apply(f)); c.Action != provision.Create || !c.Drifted {
		t.Errorf("removed by hand = %s, drifted %v", c.Action, c.Drifted)
	}
}

// Contents survive whatever bytes they are made of.
func TestFileContents(t *testing.T) {
	b := newBench(t)
	for _, content := range []string{"", "no newline", "EOF\n", "$(id) `id` \\ '\"\n", "\x00\xff\x01", strings.Repeat("long line ", 30000)} {
		b.apply(machine.File{Path: b.path("it's a $file"), Mode: 0o600, Content: []byte(content)})
		b.want("it's a $file", content, 0o600)
	}
}

func TestFileInTheWay(t *testing.T) {
	b := newBench(t)
	for _, r := range []provision.Resource{
		machine.File{Path: b.root, Mode: 0o600},
		machine.Link{Path: b.root, Target: "x"},
		machine.Absent{Path: b.root},
		machine.Dir{Path: "/dev/null", Mode: 0o755},
		machine.File{Path: "/dev/null/x", Mode: 0o600},
	} {
		p, err := provision.Observe(t.Context(), []provision.Stage{{
			Targets: []provision.Target{{Host: "node", Resources: []provision.Resource{r}}},
		}}, b.connect, b.o)
		if err != nil {
			t.Fatal(err)
		}
		if p.Err() == nil {
			t.Errorf("%s: no error though something else is in the way", r.ID())
		}
	}
}

func TestSecretsInDiffs(t *testing.T) {
	b := newBench(t)
	file := func(password, debug string) machine.File {
		return machine.File{
			Path: b.path("conf"), Mode: 0o600, Secrets: []string{password},
			Content: []byte("debug = " + debug + "\nconnection = mysql+pymysql://glance:" + password + "@db/glance\n" +
				"[keystone_authtoken]\npassword = " + password + "\nnote " + password + "\n"),
		}
	}
	check := func(c provision.Change, masked bool) {
		t.Helper()
		for _, s := range []string{"alpha-1", "beta-2"} {
			if strings.Contains(c.Diff, s) {
				t.Errorf("the diff shows the secret %s:\n%s", s, c.Diff)
			}
		}
		if got := strings.Contains(c.Diff, "(sensitive value changed)"); got != masked {
			t.Errorf("the diff says that a secret changed: %v; want %v:\n%s", got, masked, c.Diff)
		}
	}
	check(one(t, b.apply(file("alpha-1", "false"))), false)
	check(one(t, b.apply(file("alpha-1", "true"))), false)
	// Of the old secret only the place is known. The last line has none, so
	// it is not one that a configuration would have.
	f := file("beta-2", "true")
	f.Content = bytes.ReplaceAll(f.Content, []byte("note beta-2\n"), nil)
	f.Secrets = append(f.Secrets, "alpha-1")
	check(one(t, b.apply(f)), true)
	f = file("alpha-1", "true")
	f.Content = bytes.ReplaceAll(f.Content, []byte("note alpha-1\n"), nil)
	check(one(t, b.apply(f)), true)
}

// What an option of a proposal held is known by its name alone, and when the
// option is gone not even that it was a secret.
func TestSecretOptionsInDiffs(t *testing.T) {
	const head = "[DEFAULT]\ndebug = false\n[cors]\nallowed_origin = https://a\n"
	for _, test := range []struct {
		name, from, to string
		keys           []string
		want, never    []string // in the diff
	}{
		{
			name: "changed", from: head + "pin = 1234\n", to: head + "pin = 99\n", keys: []string{"cors/pin"},
			want: []string{"(sensitive value changed)"}, never: []string{"1234", "99"},
		},
		{
			name: "added", from: head, to: head + "pin = 1234\n", keys: []string{"cors/pin"},
			want: []string{"+pin = (sensitive)"}, never: []string{"1234"},
		},
		{
			name: "gone", from: head + "pin = 1234\n", to: head,
			want: []string{"-pin = (sensitive)"}, never: []string{"1234"},
		},
		{
			name: "gone from one section", from: "[a]\nx = 1234\n" + head + "x = 5\n", to: head + "x = 5\n",
			want: []string{"-x = (sensitive)"}, never: []string{"1234"},
		},
		{
			name: "gone with its section", from: head + "[mine]\n  \npin: 1234\n\t5678\n; remark\n", to: head,
			want: []string{"-[mine]", "-pin: (sensitive)", "-\t(sensitive)"}, never: []string{"1234", "5678"},
		},
		{
			name: "several values", from: head + "pin = 1234\npin = 5678\n", to: head + "pin = 5678\n", keys: []string{"cors/pin"},
			want: []string{"-pin = (sensitive)"}, never: []string{"1234", "5678"},
		},
		{
			name: "no secret", from: head, to: strings.Replace(head, "https://a", "https://b", 1), keys: []string{"cors/pin"},
			want: []string{"-allowed_origin = https://a", "+allowed_origin = https://b"}, never: []string{"sensitive"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			b.write("conf", test.from, 0o600)
			c := one(t, b.apply(machine.File{
				Path: b.path("conf"), Mode: 0o600, Content: []byte(test.to), INI: true, SecretKeys: test.keys,
			}))
			for _, want := range test.want {
				if !strings.Contains(c.Diff, want) {
					t.Errorf("the diff does not say %q:\n%s", want, c.Diff)
				}
			}
			for _, never := range test.never {
				if strings.Contains(c.Diff, never) {
					t.Errorf("the diff shows %q:\n%s", never, c.Diff)
				}
			}
		})
	}
}

// An option that was a secret at the last apply is not shown when the proposal
// does not call it one any more.
func TestOptionIsNoSecretAnyMore(t *testing.T) {
	b := newBench(t)
	file := func(pin string, keys ...string) machine.File {
		return machine.File{Path: b.path("conf"), Mode: 0o600, Content: []byte("[cors]\npin = " + pin + "\n"), INI: true, SecretKeys: keys}
	}
	b.apply(file("1234", "cors/pin"))
	c := one(t, b.apply(file("99")))
	if strings.Contains(c.Diff, "1234") || !strings.Contains(c.Diff, "-pin = (sensitive)") || !strings.Contains(c.Diff, "+pin = 99") {
		t.Errorf("the diff shows the old secret, or not the new value:\n%s", c.Diff)
	}
	if c = one(t, b.apply(file("100"))); !strings.Contains(c.Diff, "-pin = 99") {
		t.Errorf("the diff does not show what was no secret:\n%s", c.Diff)
	}
}

func TestDirsAndParents(t *testing.T) {
	b := newBench(t)
	rs := []provision.Resource{
		machine.Dir{Path: b.path("a/b/c"), Mode: 0o750},
		machine.File{Path: b.path("a/x/file"), Mode: 0o600, Content: []byte("x")},
		machine.Link{Path: b.path("a/b/link"), Target: "../x/file"},
		machine.Dir{Path: b.path("a/b/c/d"), Mode: 0o700, Data: true},
	}
	b.apply(rs...)
	b.want("a/b/link", "x", 0o600)
	if fi, err := os.Stat(b.path("a/b/c")); err != nil || fi.Mode() != fs.ModeDir|0o750 {
		t.Errorf("a/b/c = %v, %v; want mode 0750", fi.Mode(), err)
	}
	if err := os.Chmod(b.path("a/b/c"), 0o777); err != nil {
		t.Fatal(err)
	}
	if c := one(t, b.apply(rs...)); !c.Drifted {
		t.Errorf("mode by hand = %+v; want it drifted", c)
	}
	b.apply(machine.Removal{})
	if got := b.tree(); got != "" {
		t.Errorf("after the removal there is left: %s", got)
	}
}

// What was there before us is there after us.
func TestRemovalRestores(t *testing.T) {
	b := newBench(t)
	b.write("etc/foreign", "theirs", 0o604)
	b.write("etc/gone", "theirs too", 0o600)
	if err := os.Symlink("elsewhere", b.path("etc/link")); err != nil {
		t.Fatal(err)
	}
	b.write("etc/alike", "one", 0o604)
	for name, mode := range map[string]fs.FileMode{"etc/dir": 0o711, "etc/wide": 0o777 | fs.ModeSticky, "etc/data": 0o711} {
		if err := errors.Join(os.MkdirAll(b.path(name), 0o711), os.Chmod(b.path(name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	b.write("etc/data/theirs", "kept", 0o600)
	before := b.tree()
	rs := func(content string) []provision.Resource {
		return []provision.Resource{
			machine.File{Path: b.path("etc/foreign"), Mode: 0o600, Content: []byte(content)},
			machine.File{Path: b.path("etc/dir/ours"), Mode: 0o600, Content: []byte(content)},
			machine.Link{Path: b.path("etc/link"), Target: content},
			machine.Absent{Path: b.path("etc/gone")},
			machine.Dir{Path: b.path("etc/dir"), Mode: 0o711},
			machine.File{Path: b.path("etc/alike"), Mode: 0o600, Content: []byte(content)},
			machine.Dir{Path: b.path("etc/wide"), Mode: 0o750 | fs.FileMode(len(content)-3)},
			machine.Dir{Path: b.path("etc/data"), Mode: 0o700, Data: true},
		}
	}
	for _, c := range b.apply(rs("one")...) {
		if c.ID == "file:"+b.path("etc/alike") && (c.Diff != "" || !strings.Contains(c.Summary, "0604 -> 0600 (replaces what is there; kept for destroy)")) {
			t.Errorf("a file of another mode: %q, diff %q", c.Summary, c.Diff)
		}
	}
	b.apply(rs("two")...)
	b.want("etc/foreign", "two", 0o600)
	if _, err := os.Lstat(b.path("etc/gone")); !os.IsNotExist(err) {
		t.Errorf("the absent file: %v; want it gone", err)
	}
	if err := os.Chmod(b.path("etc/wide"), 0o700); err != nil { // by hand
		t.Fatal(err)
	}
	b.apply(rs("three")...)
	var said []string
	for _, c := range b.apply(machine.Removal{Images: true}) {
		said = append(said, c.Summary)
	}
	if want := "dir " + b.path("etc/data"); !slices.Contains(said, want) {
		t.Errorf("the removal does %q; want %q", said, want)
	}
	b.want("etc/alike", "one", 0o604)
	b.want("etc/foreign", "theirs", 0o604)
	b.want("etc/gone", "theirs too", 0o600)
	if target, err := os.Readlink(b.path("etc/link")); target != "elsewhere" {
		t.Errorf("the link points to %q, %v; want elsewhere", target, err)
	}
	if got := b.tree(); got != before {
		t.Errorf("after the removal: %s\nbefore us: %s", got, before)
	}
}

// A file that becomes a link keeps its past.
func TestFileBecomesLink(t *testing.T) {
	b := newBench(t)
	b.write("x", "theirs", 0o600)
	b.apply(machine.File{Path: b.path("x"), Mode: 0o600, Content: []byte("ours")})
	b.apply(machine.Link{Path: b.path("x"), Target: "y"})
	b.apply(machine.Removal{})
	b.want("x", "theirs", 0o600)
}

// What is not wanted any more goes, the rest stays.
func TestLeftovers(t *testing.T) {
	b := newBench(t)
	keep := machine.File{Path: b.path("d/keep"), Mode: 0o600, Content: []byte("k")}
	b.apply(keep, machine.File{Path: b.path("d/e/old"), Mode: 0o600, Content: []byte("o")})
	var ids []string
	for _, c := range b.apply(keep) {
		ids = append(ids, string(c.Action)+" "+c.ID)
	}
	want := "delete file:" + b.path("d/e/old") + ", delete dir:" + b.path("d/e")
	if got := strings.Join(ids, ", "); got != want {
		t.Errorf("changes = %s; want %s", got, want)
	}
	if got := b.tree(); !strings.HasPrefix(got, "d drwxr-xr-x d/keep -rw------- var ") {
		t.Errorf("left: %s", got)
	}
}

func TestRemovalKeepsData(t *testing.T) {
	b := newBench(t)
	rs := []provision.Resource{
		machine.Dir{Path: b.path("lib"), Mode: 0o750},
		machine.Dir{Path: b.path("lib/images"), Mode: 0o750, Data: true},
		machine.File{Path: b.path("conf"), Mode: 0o600},
	}
	b.apply(rs...)
	b.write("lib/images/1", "data", 0o600)
	changes := b.apply(machine.Removal{})
	if last := changes[len(changes)-1].Summary; !strings.Contains(last, "kept: ") || !strings.Contains(last, "lib/images") {
		t.Errorf("the last change does not say what is kept: %q", last)
	}
	b.want("lib/images/1", "data", 0o600)
	b.apply(machine.Removal{Images: true})
	if got := b.tree(); got != "" {
		t.Errorf("after the removal with images there is left: %s", got)
	}
}

func payload(t *testing.T, content []byte) machine.Payload {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(content)
	return machine.Payload{
		SHA256: hex.EncodeToString(h[:]), Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(z.Bytes())), nil },
	}
}

func TestBinary(t *testing.T) {
	b := newBench(t)
	content := bytes.Repeat([]byte("program\n"), 300_000)
	p := payload(t, content)
	var arch string
	r := machine.Binary{Path: b.path("bin/prog"), Mode: 0o755, Source: func(a string) (machine.Payload, error) {
		arch = a
		return p, nil
	}}
	b.apply(r)
	b.want("bin/prog", string(content), 0o755)
	if arch != "amd64" && arch != "arm64" {
		t.Errorf("asked for a program for %q", arch)
	}
	// The stamp is believed: this one says something else than the content.
	stamps, err := os.ReadFile(b.path("var/lib/glancectl/test/stamps"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(stamps, []byte(p.SHA256)) {
		t.Errorf("stamps = %s; want the sum first", stamps)
	}
	b.write("var/lib/glancectl/test/stamps", strings.Replace(string(stamps), p.SHA256, strings.Repeat("0", 64), 1), 0o600)
	if _, changes := b.plan(r); len(changes) != 1 {
		t.Errorf("%d changes with another stamp; want one", len(changes))
	}
	b.apply(r)

	// Somebody else's program in its place.
	content[0] = 'P'
	b.write("bin/prog", string(content), 0o755)
	if c := one(t, b.apply(r)); !c.Drifted {
		t.Errorf("change = %+v; want it drifted", c)
	}
	content[0] = 'p'
	b.want("bin/prog", string(content), 0o755)
}

// A payload that is not what it says leaves nothing behind.
func TestBinaryBroken(t *testing.T) {
	b := newBench(t)
	good := payload(t, []byte("program"))
	for name, open := range map[string]func() (io.ReadCloser, error){
		"cut":     func() (io.ReadCloser, error) { r, _ := good.Open(); return io.NopCloser(io.LimitReader(r, 20)), nil },
		"other":   payload(t, []byte("prograM")).Open,
		"no file": func() (io.ReadCloser, error) { return os.Open(b.path("missing")) },
	} {
		p := good
		p.Open = open
		err := b.applyError(machine.Binary{Path: b.path(name), Mode: 0o755, Source: func(string) (machine.Payload, error) { return p, nil }})
		if !strings.Contains(err.Error(), "upload "+b.path(name)) {
			t.Errorf("%s: %v; want it to name the upload", name, err)
		}
	}
	if got := b.tree(); strings.Contains(got, "glancectl-new") || strings.HasPrefix(got, "cut") {
		t.Errorf("left behind: %s", got)
	}
}
