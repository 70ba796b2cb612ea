package conformance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"glancectl/e2e/clients"
	"glancectl/e2e/lab"
)

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

// prepareClients puts the files that the commands name where they are looked
// for.
func (s *Site) prepareClients(ctx context.Context) error {
	_, err := s.Lab.Run(ctx, lab.KeystoneNode, "printf 'a small disk\\n' >/root/disk\n"+
		`echo '{"namespace": "Imported", "visibility": "public", "properties": {"p": {"title": "P", "type": "string"}}}' >/root/namespace.json`)
	return err
}

// startDriver starts the clients for a persona. They run until they are closed.
func (s *Site) startDriver(who string) (*clients.Driver, error) {
	env := s.identity.environments()[who]
	if env == nil {
		return nil, fmt.Errorf("there is no persona %q with a password", who)
	}
	return clients.Start(s.Lab, env)
}

// find returns what a capture wants of what was printed.
func find(r clients.Result, from string) (string, error) {
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
