package ownership

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// service is a user that is not the one of the test; root can give it files.
const service = 4711

// owner returns whose a file is.
func owner(t *testing.T, name string) int {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

// directory is one of the service, as far as this user can make it so, and its
// owner.
func directory(t *testing.T) (dir string, of int) {
	t.Helper()
	dir, of = t.TempDir(), os.Geteuid()
	if of == 0 {
		of = service
		if err := os.Chown(dir, of, of); err != nil {
			t.Fatal(err)
		}
	}
	return dir, of
}

func TestOpen(t *testing.T) {
	dir, of := directory(t)
	name := filepath.Join(dir, "log")
	for _, line := range []string{"one\n", "two\n"} {
		f, err := Open(name, os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(line); err != nil {
			t.Error(err)
		}
		f.Close()
	}
	if text, err := os.ReadFile(name); string(text) != "one\ntwo\n" {
		t.Errorf("the file has %q, %v", text, err)
	}
	if got := owner(t, name); got != of {
		t.Errorf("the file is of user %d; want %d, whose the directory is", got, of)
	}
	// What was there keeps its owner, also behind a link.
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	f, err := Open(link, os.O_RDWR, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got := owner(t, other); got != os.Geteuid() {
		t.Errorf("what a link leads to is of user %d now", got)
	}
	if _, err := Open(filepath.Join(dir, "none", "log"), os.O_RDWR, 0o640); err == nil {
		t.Error("a file is made where there is no directory")
	}
}

func TestGiveAway(t *testing.T) {
	dir, of := directory(t)
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := GiveAway(f, dir); err != nil {
		t.Fatal(err)
	}
	if got := owner(t, f.Name()); got != of {
		t.Errorf("the file is of user %d; want %d", got, of)
	}
}
