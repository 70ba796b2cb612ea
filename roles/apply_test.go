package roles

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/localhost"
	"glancectl/provision/machine"
)

// standIn is a program that can be installed, synced and started like the
// image service, and whose ports the test opens itself.
const standIn = `#!/bin/sh
synced="$(dirname "$0")/../../var/lib/glance/synced"
case "$(basename "$0") $4" in
"glance-manage check") test -e "$synced" || exit 3 ;;
"glance-manage sync") touch "$synced" ;;
*) exec sleep 600 ;;
esac
`

func standInPayload(string) (machine.Payload, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, standIn); err != nil {
		return machine.Payload{}, err
	}
	if err := w.Close(); err != nil {
		return machine.Payload{}, err
	}
	sum := sha256.Sum256([]byte(standIn))
	return machine.Payload{
		SHA256: hex.EncodeToString(sum[:]), Size: int64(len(standIn)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil },
	}, nil
}

// openPort opens a port that answers like a daemon, and returns it.
func openPort(t *testing.T) int {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "OK") // the client is the test
	}))
	t.Cleanup(server.Close)
	return port(t, server.Listener.Addr())
}

// A run is a proposal on this machine below a directory of its own.
type run struct {
	t       *testing.T
	p       *proposals.Proposal
	options provision.Options
}

func newRun(t *testing.T) run {
	p := quickstart()
	root := filepath.Join(t.TempDir(), "root of all")
	p.Nodes[0].Root = root
	p.Glance.API.Port, p.Glance.Registry.Port = openPort(t), openPort(t)
	r := run{t, p, provision.Options{Proposal: p.Name, Root: func(string) string { return root }}}
	t.Cleanup(func() { r.destroy(DestroyOptions{Images: true}) })
	return r
}

func connectHere(_ context.Context, node string) (provision.Host, error) {
	return localhost.New(node), nil
}

// apply makes stages so and returns what it changed.
func (r run) apply(stages []provision.Stage, err error) []string {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	ctx := context.Background() // it is used for cleaning up as well
	plan, err := provision.Observe(ctx, stages, connectHere, r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	report, err := provision.Apply(ctx, plan, connectHere, r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	var changed []string
	for _, target := range report.Targets {
		for _, c := range target.Done {
			changed = append(changed, string(c.Action)+" "+c.ID)
		}
	}
	return changed
}

func (r run) expand() []string {
	o := options()
	o.Service = standInPayload
	return r.apply(Expand(r.p, o))
}

func (r run) destroy(d DestroyOptions) []string {
	return r.apply(ExpandDestroy(r.p, Options{}, d))
}

func (r run) path(name string) string { return filepath.Join(r.p.Nodes[0].Root, name) }

// On a real machine: the expansion can be applied, the second apply finds
// nothing to do, a change restarts what reads it, and destroy leaves nothing.
func TestApply(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	if first := r.expand(); len(first) < 30 {
		t.Errorf("first apply made %d changes: %q", len(first), first)
	}
	if second := r.expand(); len(second) > 0 {
		t.Errorf("second apply made the changes %q", second)
	}
	info, err := os.Stat(r.path("/etc/glance/glance-api.conf"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("glance-api.conf: %v, %v; want mode 0640", info, err)
	}

	r.p.Glance.API.Debug = true
	changed := strings.Join(r.expand(), "\n")
	for _, want := range []string{
		"update file:" + r.path("/etc/glance/glance-api.conf"),
		"restart process:" + r.path("/var/run/glance/glance-api.pid"),
	} {
		if !strings.Contains(changed, want) {
			t.Errorf("turning on debug does not %s, but:\n%s", want, changed)
		}
	}
	if strings.Contains(changed, "glance-registry.pid") {
		t.Errorf("turning on debug of the api restarts the registry:\n%s", changed)
	}

	image := r.path("/var/lib/glance/images/an-image")
	if err := os.WriteFile(image, []byte("data"), 0o640); err != nil {
		t.Fatal(err)
	}
	r.destroy(DestroyOptions{})
	if _, err := os.Stat(image); err != nil {
		t.Errorf("destroy took the images along: %v", err)
	}
	r.destroy(DestroyOptions{Images: true})
	if left := files(t, r.p.Nodes[0].Root); len(left) > 0 {
		t.Errorf("destroying the images too left %q", left)
	}
}

// What is turned off is removed, cached data included. Logs stay where they
// are until everything goes.
func TestApplyWithoutTheCache(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.expand()
	conf := r.path("/etc/glance/glance-swift.conf")
	if err := os.WriteFile(conf, []byte("[ref1]\nkey = old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cached := r.path("/var/lib/glance/image-cache/an-image")
	if err := os.WriteFile(cached, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := r.path("/var/log/glance/api.log")
	if err := os.WriteFile(log, []byte("started\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.p.Glance.Cache.Enabled = false
	for _, e := range []*proposals.Element{
		&r.p.Glance.API.Element, &r.p.Glance.Registry.Element, &r.p.Glance.Scrubber.Element,
		&r.p.Glance.Reaper.Element, &r.p.Glance.Pruner.Element, &r.p.Glance.Prefetcher.Element,
	} {
		e.LogFile = strings.Replace(e.LogFile, "/var/log/glance/", "/var/log/elsewhere/", 1)
	}
	changed := strings.Join(r.expand(), "\n")
	for _, want := range []string{"delete file:" + conf, "delete dir:" + r.path("/var/lib/glance/image-cache")} {
		if !strings.Contains(changed, want) {
			t.Errorf("turning the cache off does not %s, but:\n%s", want, changed)
		}
	}
	if _, err := os.Stat(cached); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was cached is still there: %v", err)
	}
	if _, err := os.Stat(log); err != nil {
		t.Errorf("the logs of before went: %v", err)
	}
	if again := r.expand(); len(again) > 0 {
		t.Errorf("the apply after that made the changes %q", again)
	}
	r.destroy(DestroyOptions{Images: true})
	// The Swift file was not ours: it comes back.
	want := []string{r.path("/etc"), r.path("/etc/glance"), conf}
	if left := files(t, r.p.Nodes[0].Root); !slices.Equal(left, want) {
		t.Errorf("destroy left %q; want %q", left, want)
	}
}

// A daemon that does not answer fails the apply.
func TestApplyChecksTheDaemons(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.p.Glance.Registry.Port = port(t, l.Addr())
	l.Close()
	r.options.CheckTime = 1 // a nanosecond: the first answer counts
	o := options()
	o.Service = standInPayload
	stages, err := Expand(r.p, o)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := provision.Observe(t.Context(), stages, connectHere, r.options)
	if err != nil {
		t.Fatal(err)
	}
	_, err = provision.Apply(t.Context(), plan, connectHere, r.options)
	if err == nil || !strings.Contains(err.Error(), "glance-registry answers on port") {
		t.Errorf("Apply without a registry: error %v; want one about its check", err)
	}
}

// files returns what is below dir, if there is such a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if name != dir && !errors.Is(err, fs.ErrNotExist) {
			names = append(names, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}
