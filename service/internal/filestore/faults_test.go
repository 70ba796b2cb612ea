package filestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"glancectl/service/glance"

	"golang.org/x/sys/unix"
)

// apart calls f on a thread that sees mounts of its own, which are gone
// afterwards. Only root can have such; for others there is nothing to be seen.
func apart(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); errors.Is(err, unix.EPERM) {
			return // in a container
		} else if err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// mount mounts a file system of so many bytes in memory.
func mount(t *testing.T, dir string, size int) bool {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Error(err)
		return false
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // is gone with its thread, as a rule
	return true
}

// filled yields n bytes that are no hole.
func filled(n int) io.Reader {
	return struct{ io.Reader }{bytes.NewReader(bytes.Repeat([]byte("data"), n/4))}
}

// A disk that becomes full leaves nothing behind, and the next upload that it
// has room for succeeds.
func TestPutFillsDisk(t *testing.T) {
	apart(t, func() {
		for name, o := range map[string]Options{"cached": {}, "direct": {Direct: true}, "thin": {Hole: alignment}} {
			dir := t.TempDir()
			if !mount(t, dir, 8<<20) {
				return
			}
			s, err := Open(dir, o)
			if err != nil {
				t.Error(err)
				return
			}
			if url, n, err := s.Put(context.Background(), id, filled(32<<20)); !errors.Is(err, glance.ErrStoreFull) {
				t.Errorf("%s: Put = %q, %d, %v; want %v", name, url, n, err, glance.ErrStoreFull)
			}
			if entries, err := os.ReadDir(dir); len(entries) != 0 || err != nil {
				t.Errorf("%s: left behind are %v, %v", name, entries, err)
			}
			if _, n, err := s.Put(context.Background(), id, filled(7<<20)); n != 7<<20 || err != nil {
				t.Errorf("%s: Put of what there is room for = %d, %v", name, n, err)
			}
		}
	})
}

// A disk that breaks in the middle of an upload is noticed, whether it says so
// when it is written to or only when it is told to keep what it has: there is no
// object, whatever else a broken disk lets us do.
func TestPutBreaksDisk(t *testing.T) {
	for _, tool := range []string{"mkfs.ext4", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			return
		}
	}
	apart(t, func() {
		for _, o := range []Options{{}, {Direct: true}} {
			// The disk is a file that says it has 64 MiB, on a disk of 24 MiB.
			below, dir := t.TempDir(), t.TempDir()
			disk := filepath.Join(below, "disk")
			if !mount(t, below, 24<<20) {
				return
			}
			if err := errors.Join(os.WriteFile(disk, nil, 0o600), os.Truncate(disk, 64<<20)); err != nil {
				t.Error(err)
				return
			}
			if out, err := exec.Command("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard", disk).CombinedOutput(); err != nil {
				t.Errorf("mkfs.ext4: %v, %s", err, out)
				return
			}
			if _, err := exec.Command("mount", "-o", "loop,errors=continue", disk, dir).CombinedOutput(); err != nil {
				return // there are no disks of this kind here
			}
			s, err := Open(dir, o)
			if err != nil {
				t.Error(err)
			} else if url, n, err := s.Put(context.Background(), id, filled(48<<20)); err == nil {
				t.Errorf("direct %t: Put = %q, %d; want an error", o.Direct, url, n)
			} else {
				t.Logf("direct %t: %v", o.Direct, err)
			}
			if _, err := os.Lstat(filepath.Join(dir, string(id))); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("direct %t: there is an object, %v", o.Direct, err)
			}
			if err := unix.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		}
	})
}
