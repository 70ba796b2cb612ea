package roles

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"glancectl/provision"
	"glancectl/provision/machine"
	"glancectl/service/client"
)

// checkTimeout is how long one question to a daemon may take.
const checkTimeout = 5 * time.Second

// disabledByFile is the answer of a daemon that a file takes out of service.
const disabledByFile = "DISABLED BY FILE"

// servicesStage has the daemons run with what is installed, and asks them. Only
// then cron learns of the jobs: before there are tables they could but fail.
func servicesStage(sites []site) (provision.Stage, error) {
	stage := provision.Stage{Name: "services"}
	for _, s := range sites {
		target := s.target()
		for _, d := range s.m.Daemons {
			target.Resources = append(target.Resources, s.daemon(d))
			target.Checks = append(target.Checks, s.check(d))
		}
		for _, f := range s.cronFiles() {
			target.Resources = append(target.Resources, f.resource())
		}
		stage.Targets = append(stage.Targets, target)
	}
	return stage, nil
}

// daemon returns a daemon as a unit, or as a process where there is no
// systemd. It is restarted when something that it read when it started has
// changed.
func (s site) daemon(d daemonManifest) provision.Resource {
	watch := s.watched(d)
	if s.systemd() {
		unit := machine.File{Path: s.path(s.unitFile(d))}
		return machine.Unit{Name: d.Program + ".service", Watch: append(watch, unit.ID())}
	}
	daemon, _ := daemonOf(s.g, d.Element)
	return machine.Process{
		Name: d.Program, Argv: s.argv(d), PIDFile: s.pidFile(d.Program), LogFile: s.output(daemon.LogFile),
		Watch: watch,
	}
}

// output is where a process without systemd says what does not go to its log.
func (s site) output(logFile string) string {
	return s.path(strings.TrimSuffix(logFile, path.Ext(logFile)) + ".out")
}

// watched are the resources that a daemon reads when it starts.
func (s site) watched(d daemonManifest) []string {
	daemon, _ := daemonOf(s.g, d.Element)
	files := []string{daemon.ConfigFile, daemon.PasteFile}
	if d.Element == "api" && s.swiftBacking() != nil {
		files = append(files, s.swiftFile())
	}
	watch := []string{s.binary().ID()}
	for _, f := range files {
		watch = append(watch, machine.File{Path: s.path(f)}.ID())
	}
	return watch
}

// check asks a daemon on its own node whether it is well.
func (s site) check(d daemonManifest) provision.Check {
	daemon, _ := daemonOf(s.g, d.Element)
	address := s.dialAddress(daemon)
	check := provision.Check{
		Name: fmt.Sprintf("%s answers on port %d", d.Program, daemon.Port),
		Ask: func(ctx context.Context, r provision.Reader) error {
			return askHealth(ctx, r, address)
		},
		Logs: []provision.Cmd{{Argv: []string{"tail", "-n", "20", s.path(daemon.LogFile)}}},
	}
	if s.systemd() {
		journal := provision.Cmd{Argv: []string{"journalctl", "-u", d.Program + ".service", "-n", "20", "--no-pager"}}
		check.Logs = append([]provision.Cmd{journal}, check.Logs...)
		return check
	}
	check.Logs = append(check.Logs, provision.Cmd{Argv: []string{"tail", "-n", "20", s.output(daemon.LogFile)}})
	return check
}

// askHealth returns nil if the daemon at an address of its node is well.
func askHealth(ctx context.Context, r provision.Reader, address string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	via := viaReader(r)
	defer via.CloseIdleConnections()
	c, err := client.New("http://"+address, client.Options{HTTP: via})
	if err != nil {
		return err
	}
	return healthy(ctx, c)
}

// healthy returns nil if a daemon is well. One that an operator took out of
// the balancer by hand says so, and is well all the same.
func healthy(ctx context.Context, c *client.Client) error {
	err := c.Health(ctx)
	if answer, ok := errors.AsType[*client.Error](err); ok && answer.Message == disabledByFile {
		return nil
	}
	return err
}

// viaReader returns a client whose connections begin on the machine of r.
func viaReader(r provision.Reader) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return r.Dial(ctx, network, address)
		},
	}}
}
