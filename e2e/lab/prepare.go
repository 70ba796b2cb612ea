package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const passwordsName = "passwords" // beside the root of a prepared image

// prepareUnit executes the script of an image once and ends the machine.
const prepareUnit = `[Unit]
Description=Prepare the image
After=mariadb.service keystone.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/bin/sh /lab-prepare >/var/log/lab-prepare.log 2>&1 && touch /lab-prepared'
ExecStopPost=/bin/systemctl --no-block poweroff
`

// boot boots the image without a network, so that it can prepare itself with
// its services running.
func (i image) boot(ctx context.Context, root, tmp string) error {
	admin, demo := newSecret(), newSecret()
	if err := os.WriteFile(filepath.Join(tmp, passwordsName), []byte(admin+"\n"+demo+"\n"), 0o600); err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(root, name) }
	const unit, wanted = "etc/systemd/system/lab-prepare.service", "etc/systemd/system/multi-user.target.wants/lab-prepare.service"
	script := "ADMIN=" + admin + " DEMO=" + demo + "\n" + i.prepare
	err := errors.Join(
		os.WriteFile(at("lab-prepare"), []byte(script), 0o600),
		os.WriteFile(at(unit), []byte(prepareUnit), 0o644),
		os.Symlink("/"+unit, at(wanted)),
	)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, prepareLimit)
	defer cancel()
	cmd := nspawn(root, buildName, "--resolv-conf=off", "--private-network", "--boot")
	// TERM shuts the machine down in order.
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(os.Interrupt) })
	console, runErr := cmd.CombinedOutput()
	stop()
	log, _ := os.ReadFile(at("var/log/lab-prepare.log")) // there is none when it did not get that far
	if !exists(at("lab-prepared")) {
		return fmt.Errorf("prepare: %w:\n%s\n%s", errors.Join(errors.New("the script did not end well"), runErr, ctx.Err()),
			tail(string(console), 10), tail(string(log), 20))
	}
	for _, name := range []string{"lab-prepare", "lab-prepared", unit, wanted} {
		if err := os.Remove(at(name)); err != nil {
			return err
		}
	}
	return nil
}

// preparedPasswords returns what the topmost image was prepared with.
func preparedPasswords(layers []string) (admin, demo string, err error) {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(layers[0]), passwordsName))
	if err != nil {
		return "", "", err
	}
	lines := strings.Fields(string(text))
	if len(lines) != 2 {
		return "", "", fmt.Errorf("%s: %d passwords, want 2", passwordsName, len(lines))
	}
	return lines[0], lines[1], nil
}
