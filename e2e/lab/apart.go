package lab

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

const (
	apartDir     = stateDir + "/apart"      // a directory for each test binary that runs apart
	apartGroup   = "glancectl-lab-"         // and a control group
	insideMarker = "GLANCECTL_LAB_IS_APART" // in the environment of a test binary that does
)

var (
	//go:embed scripts/apart.sh
	apartScript string
	//go:embed scripts/apart-end.sh
	apartEndScript string
)

// apart runs this program again with network, processes, mounts and control
// groups of its own, so that its lab is the only one it sees, and returns the
// exit code. The images are made before, with the machine's network. Whatever
// ends this process, all that the other started ends as well.
func apart() (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Build(ctx, os.Stderr); err != nil {
		return 1, err
	}
	p, err := newPlace(ctx)
	if err != nil {
		return 1, err
	}
	code, err = p.run(ctx)
	if err = errors.Join(err, p.remove()); err != nil {
		code = 1
	}
	return code, err
}

// A place is what a program that runs apart has on the machine.
type place struct {
	dir    string
	reaper *reaper
	hold   *hold // tells that somebody sees to its end
}

func group(dir string) string { return apartGroup + filepath.Base(dir) }

// newPlace makes a place, with a reaper. It removes those that nobody sees to
// any more.
func newPlace(ctx context.Context) (*place, error) {
	places, err := lockPlaces(ctx)
	if err != nil {
		return nil, err
	}
	p, err := makePlace(ctx)
	return p, errors.Join(err, places.release())
}

// lockPlaces takes the right to make places and removes those that nobody
// sees to any more.
func lockPlaces(ctx context.Context) (*hold, error) {
	places, err := lock(ctx, filepath.Join(apartDir, "lock"), nil)
	if err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(apartDir, "*.lock"))
	if err != nil {
		return nil, errors.Join(err, places.release())
	}
	for _, name := range found {
		h, held := tryLock(name)
		if held {
			continue
		}
		err = errors.Join(err, endPlace(ctx, name[:len(name)-len(".lock")]), h.release())
	}
	if err != nil {
		return nil, errors.Join(err, places.release())
	}
	return places, nil
}

// tryLock takes the lock of a file if nobody has it.
func tryLock(name string) (h *hold, held bool) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h, err := lock(ctx, name, nil)
	return h, err != nil
}

func endPlace(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "sh", "-s", group(dir), dir)
	cmd.Stdin = bytes.NewBufferString(limitsScript + apartEndScript)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("remove what earlier tests left: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

func makePlace(ctx context.Context) (*place, error) {
	dir, err := os.MkdirTemp(apartDir, "")
	if err != nil {
		return nil, err
	}
	p := &place{dir: dir}
	if p.hold, err = lock(ctx, dir+".lock", nil); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	err = errors.Join(
		os.Mkdir(p.state(), 0o700),
		os.WriteFile(p.script(), []byte(apartScript), 0o700),
		roomForWatches(ctx, limitsDir, filepath.Base(dir), settingsDir),
	)
	if err == nil {
		p.reaper, err = startReaper(filepath.Join(dir, "end.sh"), limitsScript+apartEndScript, p.hold, group(dir), dir, "wait")
	}
	if err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

func (p *place) state() string  { return filepath.Join(p.dir, "state") }
func (p *place) script() string { return filepath.Join(p.dir, "apart.sh") }

// run runs this program there and returns how it ended.
func (p *place) run(ctx context.Context) (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	args := append([]string{p.script(), group(p.dir), p.state(), stateDir, self}, os.Args[1:]...)
	cmd := exec.CommandContext(ctx, "sh", args...)
	cmd.Env = append(os.Environ(), insideMarker+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// The kernel takes the end of the thread for that of the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	if ended := new(exec.ExitError); errors.As(err, &ended) && ended.Exited() {
		return ended.ExitCode(), nil
	}
	if ctx.Err() != nil {
		return 130, errors.New("interrupted")
	}
	return cmd.ProcessState.ExitCode(), err
}

// remove ends what runs there, and removes the place.
func (p *place) remove() error {
	var err error
	if p.reaper != nil {
		err = p.reaper.finish()
	}
	if p.reaper == nil || err != nil { // it never was, or somebody killed it
		err = endPlace(context.Background(), p.dir)
	}
	return errors.Join(err, p.hold.release())
}
