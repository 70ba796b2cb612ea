package conformance

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"

	"glancectl/e2e/lab"
)

//go:embed testdata/clients/drive.py
var driveScript string

// A clientLine is a line of a script that drives the real clients:
//
//	$ WHO PROGRAM ARGUMENT... [-> name=.path]...   has to succeed
//	! WHO PROGRAM ARGUMENT...                      has to fail
//	says TEXT                                      was in what the last one printed
//	until .path=value WHO METHOD TARGET ...        as in a sequence, asked of glanced
//
// Arguments are words; one that begins with { goes to the last } of the line.
// A name is kept from JSON that was printed, or from the row of a table:
// row:id. Besides .path, until takes code, the status.
type clientLine struct {
	number  int
	text    string
	run     bool
	fails   bool
	says    string
	who     string
	program string
	args    []string
	capture []Capture
	check   Step
}

func parseClientScript(text string) ([]clientLine, error) {
	var all []clientLine
	for _, l := range logicalLines(text) {
		c := clientLine{number: l.number, text: l.text}
		var err error
		switch {
		case strings.HasPrefix(l.text, "$ "), strings.HasPrefix(l.text, "! "):
			err = c.parseRun(l.text)
		case strings.HasPrefix(l.text, "says "):
			c.says = l.text[len("says "):]
		default:
			c.check, err = parseStep(l.text)
			c.check.Line = l.number
			if err == nil && c.check.Until == "" {
				err = errors.New("neither a command nor a check")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func (c *clientLine) parseRun(text string) error {
	c.run, c.fails = true, text[0] == '!'
	parts := strings.Split(text[2:], " -> ")
	for _, p := range parts[1:] {
		name, from, ok := strings.Cut(p, "=")
		if !ok {
			return fmt.Errorf("%q: want NAME=FROM", p)
		}
		c.capture = append(c.capture, Capture{name, from})
	}
	text = parts[0]
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		end := strings.IndexByte(text+" ", ' ')
		if text[0] == '{' {
			end = strings.LastIndexByte(text, '}') + 1
		}
		c.args = append(c.args, text[:end])
		text = text[end:]
	}
	if len(c.args) < 3 {
		return errors.New("want WHO PROGRAM ARGUMENT")
	}
	c.who, c.program, c.args = c.args[0], c.args[1], c.args[2:]
	return nil
}

// A driver runs the clients on the node of the Keystone, for one persona: they
// remember who they are from one command to the next.
type driver struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said strings.Builder // what the driver itself complained of
	env  map[string]string
}

// What came of a command.
type driven struct {
	Code int    `json:"code"`
	Out  string `json:"out"`
	Err  string `json:"err"`
}

const drivePath = "/root/drive.py"

// prepareClients puts the driver's program and the files that the commands
// name where they are looked for.
func (s *Site) prepareClients(ctx context.Context) error {
	files := "cat >" + drivePath + " <<'END'\n" + driveScript + "END\nprintf 'a small disk\\n' >/root/disk\n" +
		`echo '{"namespace": "Imported", "visibility": "public", "properties": {"p": {"title": "P", "type": "string"}}}' >/root/namespace.json`
	_, err := s.Lab.Run(ctx, lab.KeystoneNode, files)
	return err
}

// startDriver starts a driver for a persona. It runs until it is closed.
func (s *Site) startDriver(who string) (*driver, error) {
	env := s.identity.environments()[who]
	if env == nil {
		return nil, fmt.Errorf("there is no persona %q with a password", who)
	}
	argv := append(s.Lab.SSH(lab.KeystoneNode, "root"), "python3 -W ignore "+drivePath)
	d := &driver{cmd: exec.Command(argv[0], argv[1:]...), env: env}
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

func (d *driver) close() error { return errors.Join(d.in.Close(), d.cmd.Wait()) }

// run runs a program.
func (d *driver) run(program string, args []string) (driven, error) {
	order, err := json.Marshal(map[string]any{"program": program, "args": args, "env": d.env})
	if err != nil {
		return driven{}, err
	}
	if _, err := d.in.Write(append(order, '\n')); err != nil {
		return driven{}, fmt.Errorf("%w: %s", err, d.said.String())
	}
	line, err := d.out.ReadBytes('\n')
	if err != nil {
		return driven{}, fmt.Errorf("the driver ended: %w: %s", err, d.said.String())
	}
	var r driven
	return r, json.Unmarshal(line, &r)
}

// find returns what a capture wants of what was printed.
func (r driven) find(from string) (string, error) {
	row, ok := strings.CutPrefix(from, "row:")
	if !ok {
		return Answer{Body: []byte(r.Out)}.at(from)
	}
	m := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(row) + ` +\| (\S+) +\|$`).FindStringSubmatch(r.Out)
	if m == nil {
		return "", fmt.Errorf("there is no row %s", row)
	}
	return m[1], nil
}
