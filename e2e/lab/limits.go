package lab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	limitsDir   = stateDir + "/limits" // who needs the raised limits, and what they were
	settingsDir = "/proc/sys/fs/inotify"
)

//go:embed scripts/limits.sh
var limitsScript string

// roomForWatches raises the kernel's limits on inotify in settings where they
// are too low for labs beside each other: every systemd watches files. The
// reaper of the last lab that needs them puts back what dir remembers.
func roomForWatches(ctx context.Context, dir, name, settings string) (err error) {
	h, err := lock(ctx, filepath.Join(dir, "lock"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.release()) }()
	if err := os.WriteFile(filepath.Join(dir, "for-"+name), nil, 0o600); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		want int
	}{{"max_user_instances", 8192}, {"max_user_watches", 524288}} {
		file, saved := filepath.Join(settings, s.name), filepath.Join(dir, s.name)
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		now, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if now >= s.want {
			continue
		}
		if !exists(saved) {
			if err := os.WriteFile(saved, text, 0o600); err != nil {
				return err
			}
		}
		if err := os.WriteFile(file, []byte(strconv.Itoa(s.want)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
