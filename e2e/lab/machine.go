package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// tools are what the lab runs on this machine, and the packages they are in.
var tools = []struct{ program, packageName string }{
	{"mmdebstrap", "mmdebstrap"},
	{"systemd-nspawn", "systemd-container"},
	{"ip", "iproute2"},
	{"ssh", "openssh-client"},
}

var debian = regexp.MustCompile(`(?m)^ID="?debian"?$`)

// Check returns why there can be no lab on this machine, nil when there can.
func Check() error {
	release, err := os.ReadFile("/etc/os-release")
	switch {
	case runtime.GOOS != "linux" || err != nil || !debian.Match(release):
		return errors.New("lab: needs Debian")
	case os.Geteuid() != 0:
		return errors.New("lab: needs root")
	}
	return nil
}

// Install installs what is missing of the programs that the lab runs.
func Install(ctx context.Context, log io.Writer) error {
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, t.packageName)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	fmt.Fprintf(log, "lab: installing %s\n", strings.Join(missing, " "))
	for _, args := range [][]string{
		{"update"},
		append([]string{"install", "-y", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if err := run(cmd); err != nil {
			return err
		}
	}
	return nil
}
