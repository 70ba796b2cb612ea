package lab

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	cacheDir     = "/var/cache/glancectl-lab"
	suite        = "bookworm"
	buildName    = "glab-build" // the machine that images are built in
	prepareLimit = 10 * time.Minute
)

// The scripts that turn packages into images. An image is made again when its
// script or its packages change.
var (
	//go:embed scripts/node.sh
	nodeScript string
	//go:embed scripts/database.sh
	databaseScript string
	//go:embed scripts/keystone.sh
	keystoneScript string
	//go:embed scripts/keystone-prepare.sh
	keystonePrepare string
	//go:embed scripts/web.sh
	webScript string
	//go:embed scripts/rabbit.sh
	rabbitScript string
	//go:embed scripts/glance.sh
	glanceScript string
	//go:embed scripts/glance-prepare.sh
	glancePrepare string
)

// An image is a root directory: what it adds to the image below it. It is
// built once and never written to again.
type image struct {
	name     string
	below    *image
	packages []string
	script   string // executed in the image when the packages are there
	// prepare is executed in the booted image, which ends afterwards; what it
	// did stays. It finds two passwords, $ADMIN and $DEMO, made for this image.
	prepare string
}

func nodeImage() image {
	return image{
		name: "node",
		packages: []string{
			"systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "cron", "sudo",
			"ca-certificates", "procps", "logrotate",
		},
		script: nodeScript,
	}
}

func databaseImage() image {
	node := nodeImage()
	return image{name: "database", below: &node, packages: []string{"mariadb-server"}, script: databaseScript}
}

// keystoneImage has a Keystone, and a Barbican that does not run.
func keystoneImage() image {
	database := databaseImage()
	return image{
		name: "keystone", below: &database,
		packages: []string{
			"keystone", "python3-openstackclient", "python3-glanceclient", "python3-pymysql", "uwsgi-plugin-python3",
			"barbican-api",
		},
		script:  keystoneScript,
		prepare: keystonePrepare,
	}
}

// peerImage has the Debian release's OpenStack Glance, and qemu-img for the
// conversion of images.
func peerImage() image {
	database := databaseImage()
	return image{
		name: "glance", below: &database,
		packages: []string{"glance-api", "python3-pymysql", "qemu-utils"},
		script:   glanceScript,
		prepare:  glancePrepare,
	}
}

// webImage has an nginx that does not run.
func webImage() image {
	node := nodeImage()
	return image{name: "web", below: &node, packages: []string{"nginx-light"}, script: webScript}
}

// rabbitImage has a RabbitMQ and an rsyslog: what the service speaks to that is
// neither a database nor a Keystone.
func rabbitImage() image {
	node := nodeImage()
	return image{name: "rabbit", below: &node, packages: []string{"rabbitmq-server", "rsyslog"}, script: rabbitScript}
}

// Build builds all images that are missing, but for those that only a
// benchmark needs.
func Build(ctx context.Context, log io.Writer) error {
	if err := Check(); err != nil {
		return err
	}
	if err := Install(ctx, log); err != nil {
		return err
	}
	for _, top := range []image{keystoneImage(), peerImage(), rabbitImage()} { // the others are below them
		if _, err := top.build(ctx, log); err != nil {
			return err
		}
	}
	return nil
}

// dir is where the image is kept. The name says everything that went into it.
func (i image) dir() string {
	sum := sha256.New()
	if i.below != nil {
		fmt.Fprintln(sum, i.below.dir())
	}
	fmt.Fprintf(sum, "%s\n%q\n%s\n%s", suite, i.packages, i.script, i.prepare)
	return filepath.Join(cacheDir, i.name+"-"+hex.EncodeToString(sum.Sum(nil))[:16])
}

// build returns the root directories of the image and of those below it,
// topmost first, building what is missing. Only one process builds at a time.
func (i image) build(ctx context.Context, log io.Writer) (layers []string, err error) {
	if i.below != nil {
		if layers, err = i.below.build(ctx, log); err != nil {
			return nil, err
		}
	}
	dir := i.dir()
	root := filepath.Join(dir, "root")
	layers = append([]string{root}, layers...)
	if exists(root) {
		return layers, nil
	}
	h, err := lock(ctx, filepath.Join(cacheDir, "lock"), func(owner string) {
		fmt.Fprintf(log, "lab: waiting for %s to build images\n", owner)
	})
	if err != nil {
		return nil, err
	}
	defer h.release()
	if exists(root) { // built while we waited
		return layers, nil
	}
	start := time.Now()
	fmt.Fprintf(log, "lab: building the %s image\n", i.name)
	if err := i.make(ctx, dir, layers[1:]); err != nil {
		return nil, fmt.Errorf("build the %s image: %w", i.name, err)
	}
	fmt.Fprintf(log, "lab: built the %s image in %v\n", i.name, time.Since(start).Round(time.Second))
	return layers, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// make builds the image beside dir and moves it there when it is whole.
func (i image) make(ctx context.Context, dir string, below []string) (err error) {
	tmp := filepath.Join(cacheDir, "new")
	if err := discard(tmp); err != nil { // from a build that was cut short
		return err
	}
	defer func() { err = errors.Join(err, discard(tmp)) }()
	root := filepath.Join(tmp, "upper")
	work := root // where the image is seen whole
	if i.below == nil {
		if err := i.bootstrap(ctx, root, tmp); err != nil {
			return err
		}
	} else {
		work = filepath.Join(tmp, "merged")
		if err := mountOverlay(below, tmp, work); err != nil {
			return err
		}
		if err := i.install(ctx, work); err != nil {
			return err
		}
	}
	if err := inside(ctx, work, i.script, "--resolv-conf=off"); err != nil {
		return err
	}
	if i.prepare != "" {
		if err := i.boot(ctx, work, tmp); err != nil {
			return err
		}
	}
	if work != root {
		if err := syscall.Unmount(work, 0); err != nil {
			return fmt.Errorf("unmount %s: %w", work, err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if i.prepare != "" {
		if err := os.Rename(filepath.Join(tmp, passwordsName), filepath.Join(dir, passwordsName)); err != nil {
			return err
		}
	}
	return os.Rename(root, filepath.Join(dir, "root"))
}

// discard removes a build directory, what is mounted in it and the control
// group of what ran there.
func discard(tmp string) error {
	for _, group := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"} {
		if group = filepath.Join(group, buildName); exists(group) {
			if err := run(exec.Command("find", group, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+")); err != nil {
				return err
			}
		}
	}
	if err := syscall.Unmount(filepath.Join(tmp, "merged"), 0); err != nil &&
		!errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("unmount %s: %w", tmp, err)
	}
	return os.RemoveAll(tmp)
}

// bootstrap makes a Debian system from nothing.
func (i image) bootstrap(ctx context.Context, root, tmp string) error {
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return err
	}
	// The files that nobody reads in a test are half of the size.
	return run(exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=minbase",
		"--include="+strings.Join(i.packages, ","),
		`--dpkgopt=path-exclude=/usr/share/man/*`,
		`--dpkgopt=path-exclude=/usr/share/doc/*`,
		`--dpkgopt=path-exclude=/usr/share/locale/*`,
		suite, root))
}

// install adds the packages with the image's own apt, over this machine's
// network.
func (i image) install(ctx context.Context, root string) error {
	proxy, err := aptProxy(ctx)
	if err != nil {
		return err
	}
	script := `set -eu
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
` + "apt() { apt-get -q " + proxy + ` "$@"; }
apt update
apt install -y --no-install-recommends ` + strings.Join(i.packages, " ") + `
apt clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /usr/sbin/policy-rc.d
`
	return inside(ctx, root, script, "--resolv-conf=copy-host")
}

// aptProxy is the option that makes apt take this machine's way out.
func aptProxy(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "shell", "PROXY", "Acquire::http::Proxy").Output()
	if err != nil {
		return "", fmt.Errorf("apt-config: %w", err)
	}
	value, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "PROXY=")
	if !ok {
		return "", nil
	}
	return "-o Acquire::http::Proxy=" + value, nil // apt-config has quoted it
}

// inside executes a script in a root directory whose services do not run.
func inside(ctx context.Context, root, script string, options ...string) error {
	cmd := nspawn(root, buildName, append(options, "--pipe", "sh", "-s")...)
	cmd.Stdin = strings.NewReader(script)
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	return run(cmd)
}

// run runs a command; its error has the last lines of the output.
func run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w:\n%s", filepath.Base(cmd.Path), err, tail(string(out), 20))
	}
	return nil
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
