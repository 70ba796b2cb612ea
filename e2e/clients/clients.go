// Package clients runs the clients that people use, `openstack` and `glance`,
// on the lab's node of the Keystone: their own main functions, one command
// after the other in one process, because a process for each would spend most
// of its time on importing.
package clients

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"glancectl/e2e/lab"
)

//go:embed drive.py
var script string

// A Driver runs clients for one person: they remember who that is from one
// command to the next.
type Driver struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said strings.Builder // what the driver itself complained of
	env  map[string]string
}

// A Result is what came of a command.
type Result struct {
	Code int    `json:"code"`
	Out  string `json:"out"`
	Err  string `json:"err"`
}

// Start starts a driver with what the clients find in their environment. The
// caller must Close it. Commands start in /root.
func Start(l *lab.Lab, env map[string]string) (*Driver, error) {
	// Standard input is for the commands, so the program comes as an argument.
	argv := append(l.SSH(lab.KeystoneNode, "root"), "exec python3 -W ignore -c '"+strings.ReplaceAll(script, "'", `'\''`)+"'")
	d := &Driver{cmd: exec.Command(argv[0], argv[1:]...), env: env}
	d.cmd.Stderr = &d.said
	in, err := d.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.in, d.out = in, bufio.NewReader(out)
	return d, d.cmd.Start()
}

// Close ends the driver.
func (d *Driver) Close() error {
	if err := errors.Join(d.in.Close(), d.cmd.Wait()); err != nil {
		return fmt.Errorf("%w: %s", err, d.said.String())
	}
	return nil
}

// Run runs a program: openstack, glance, or commands, which lists the commands
// of the client that is its argument. That a client fails is no error.
func (d *Driver) Run(program string, args ...string) (Result, error) {
	order, err := json.Marshal(map[string]any{"program": program, "args": args, "env": d.env})
	if err != nil {
		return Result{}, err
	}
	if _, err := d.in.Write(append(order, '\n')); err != nil {
		return Result{}, fmt.Errorf("%w: %s", err, d.said.String())
	}
	line, err := d.out.ReadBytes('\n')
	if err != nil {
		return Result{}, fmt.Errorf("the driver ended: %w: %s", err, d.said.String())
	}
	var r Result
	return r, json.Unmarshal(line, &r)
}
