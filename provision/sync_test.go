package provision_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"glancectl/provision/machine"
)

// watchSync makes the machine tell which files it writes down for good: the
// program sync is one that notes, for each file, its name and what is in it,
// and what is in the place of it by then.
func watchSync(t *testing.T) (log string) {
	t.Helper()
	sync, err := exec.LookPath("sync")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	log = filepath.Join(bin, "log")
	script := `#!/bin/sh
for f; do
n=${f##*/}; n=${n#.}; n=${n%.glancectl-new}; n=${n%.new}
is=$(sha256sum <"$f"); was=$({ sha256sum <"${f%/*}/$n"; } 2>/dev/null)
echo "$f ${is%% *} was ${was%% *}" >>` + log + `
done
exec ` + sync + ` "$@"
`
	if err := os.WriteFile(filepath.Join(bin, "sync"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return log
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// Whatever is written on a machine is written under another name and is safe on
// the disk before it has its own: files, programs, receipts, what was there
// before, and that again when it comes back.
func TestSyncedBeforeRenamed(t *testing.T) {
	log := watchSync(t)
	s := newSite(t)
	if err := os.MkdirAll(s.path("a", ""), 0o755); err != nil {
		t.Fatal(err)
	}
	theirs := []byte("theirs\n")
	if err := os.WriteFile(s.path("a", "foreign"), theirs, 0o640); err != nil {
		t.Fatal(err)
	}
	// synced checks that a file was synced with its content as name, while
	// something else was in its place.
	synced := func(what, name string, content []byte) {
		t.Helper()
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		_, was, found := strings.Cut("\n"+string(text), "\n"+name+" "+sum(content)+" was ")
		was, _, _ = strings.Cut(was, "\n")
		if !found || was == sum(content) {
			t.Errorf("%s: it was not synced as %s before it was put in place:\n%s", what, name, text)
		}
	}
	// inPlace does so for a file as it is now.
	inPlace := func(name string) {
		t.Helper()
		path := s.path("a", name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		synced(name, filepath.Dir(path)+"/."+filepath.Base(path)+".glancectl-new", content)
	}
	program := machine.Binary{Path: s.path("a", "program"), Mode: 0o755, Source: func(string) (machine.Payload, error) {
		content := bytes.Repeat([]byte("program\n"), 1000)
		return machine.Payload{SHA256: sum(content), Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = w.Write(content) // a Buffer takes everything
			return io.NopCloser(&z), w.Close()
		}}, nil
	}}
	s.done(stage("one", target("a", s.file("a", "one", "1\n"), s.file("a", "two", "2\n"), s.file("a", "foreign", "ours\n"), program)))
	for _, name := range []string{"one", "two", "foreign", "program", "var/lib/glancectl/production/receipt.toml"} {
		inPlace(name)
	}
	synced("the original", s.path("a", "var/lib/glancectl/production/originals")+s.path("a", "foreign.new"), theirs)

	// A file that is alone goes another way than many.
	s.done(stage("one", target("a", s.file("a", "one", "changed\n"), s.file("a", "two", "2\n"), s.file("a", "foreign", "ours\n"), program)))
	inPlace("one")
	inPlace("var/lib/glancectl/production/receipt.toml")

	s.done(stage("destroy", target("a", machine.Removal{})))
	if b, err := os.ReadFile(s.path("a", "foreign")); !bytes.Equal(b, theirs) {
		t.Fatalf("the foreign file is %q, %v", b, err)
	}
	inPlace("foreign")
}
