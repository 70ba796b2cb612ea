package lab

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	stateDir     = "/var/lib/glancectl-lab"
	liveDir      = stateDir + "/live" // everything of the running lab
	lockName     = stateDir + "/lock"
	infoName     = "lab.json"
	detachedName = "detached"
)

//go:embed scripts/reap.sh
var reapScript string

// A hold is the right to be the one lab of the machine. It is a lock on a
// file, shared with the reaper, so that it outlives a killed owner until
// everything is cleaned up.
type hold struct{ file *os.File }

// take waits for its turn and removes what a lab without an owner left.
func take(ctx context.Context, log io.Writer) (*hold, error) {
	h, err := lock(ctx, lockName, func(owner string) {
		fmt.Fprintf(log, "lab: waiting for the lab of %s to end\n", owner)
	})
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(liveDir, detachedName)); err == nil {
		return nil, errors.Join(errors.New("lab: one is up already: end it with `make lab-down`"), h.release())
	}
	if err := reap(ctx); err != nil {
		return nil, errors.Join(err, h.release())
	}
	return h, nil
}

// lock takes the lock of a file, in which the owner's name is written.
func lock(ctx context.Context, name string, waiting func(owner string)) (*hold, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	told := false
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
		}
		if !told && waiting != nil {
			owner, _ := os.ReadFile(name) // only for people
			waiting(strings.TrimSpace(string(owner)))
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s: %w", name, ctx.Err()), f.Close())
		case <-time.After(200 * time.Millisecond):
		}
	}
	owner := fmt.Sprintf("process %d (%s), since %s\n", os.Getpid(), filepath.Base(os.Args[0]), time.Now().Format(time.TimeOnly))
	if err := errors.Join(f.Truncate(0), writeAt(f, owner)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &hold{f}, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func (h *hold) release() error {
	if h.file == nil {
		return nil
	}
	f := h.file
	h.file = nil
	return f.Close() // the lock goes with its last file
}

// A reaper is a process that takes the lab down when its standard input
// closes, which happens whichever way the owner ends.
type reaper struct {
	cmd    *exec.Cmd
	owner  io.Closer
	output bytes.Buffer
}

// startReaper writes a script that waits for the end of its standard input
// and then takes down what its arguments say, and starts it.
func startReaper(name, script string, h *hold, args ...string) (*reaper, error) {
	if err := os.WriteFile(name, []byte(script), 0o700); err != nil {
		return nil, err
	}
	r := &reaper{cmd: exec.Command("sh", append([]string{name}, args...)...)}
	// A session of its own: an interrupt at the terminal must not reach it.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r.cmd.ExtraFiles = []*os.File{h.file}
	r.cmd.Stdout, r.cmd.Stderr = &r.output, &r.output
	var err error
	if r.owner, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the reaper of the lab: %w", err)
	}
	return r, nil
}

// finish lets the reaper do its work and waits for it.
func (r *reaper) finish() error {
	_ = r.owner.Close() // this is the signal; there is nothing to lose
	if err := r.cmd.Wait(); err != nil {
		return fmt.Errorf("take the lab down: %w: %s", err, strings.TrimSpace(r.output.String()))
	}
	return nil
}

// reap removes what is left of a lab. The caller holds the lock.
func reap(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "sh", "-s", liveDir)
	cmd.Stdin = strings.NewReader(limitsScript + reapScript)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("remove what an earlier lab left: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Down ends a detached lab and removes what any lab and any test without an
// owner left. It waits for a lab that somebody else owns.
func Down(ctx context.Context, log io.Writer) error {
	h, err := lock(ctx, lockName, func(owner string) {
		fmt.Fprintf(log, "lab: waiting for the lab of %s to end\n", owner)
	})
	if err != nil {
		return err
	}
	err = errors.Join(reap(ctx), h.release())
	places, placesErr := lockPlaces(ctx)
	if placesErr == nil {
		placesErr = places.release()
	}
	return errors.Join(err, placesErr)
}

// Status describes the lab that is up; nil when there is none.
func Status() (*Info, error) {
	text, err := os.ReadFile(filepath.Join(liveDir, infoName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info := new(Info)
	return info, json.Unmarshal(text, info)
}

// Clean is Down, and removes the images too.
func Clean(ctx context.Context, log io.Writer) error {
	if err := Down(ctx, log); err != nil {
		return err
	}
	h, err := lock(ctx, filepath.Join(cacheDir, "lock"), func(owner string) {
		fmt.Fprintf(log, "lab: waiting for %s to build images\n", owner)
	})
	if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(cacheDir), h.release())
}
