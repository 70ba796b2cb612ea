package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glancectl/e2e/clients"
)

// testClients drives the real clients, whose every command is tried. glanced
// runs as in the last of the sites, where there is something for all of them.
func testClients(t *testing.T, site *Site) {
	last := sites[len(sites)-1]
	config, vars := configured(t, last.name, last.config)
	if err := site.StartOurs(t.Context(), config, vars); err != nil {
		t.Fatal(err)
	}
	if err := site.prepareClients(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := make(drivers)
	t.Cleanup(func() {
		for who, d := range all {
			if err := d.Close(); err != nil {
				t.Errorf("clients of %s: %v", who, err)
			}
		}
	})
	t.Run("gophercloud", func(t *testing.T) { testGophercloud(t, site) })
	for _, client := range []string{"openstack", "glance"} {
		t.Run(client, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata/clients", client+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			lines, err := parseClientScript(string(text))
			if err != nil {
				t.Fatal(err)
			}
			everyCommand(t, all.of(t, site, "admin"), client, lines)
			if err := site.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			drive(t, all, site, lines)
		})
	}
}

// drivers are the drivers that run, by persona.
type drivers map[string]*clients.Driver

func (all drivers) of(t *testing.T, site *Site, who string) *clients.Driver {
	t.Helper()
	if all[who] == nil {
		d, err := site.startDriver(who)
		if err != nil {
			t.Fatal(err)
		}
		all[who] = d
	}
	return all[who]
}

// everyCommand requires that a script has each command that the client has.
func everyCommand(t *testing.T, d *clients.Driver, client string, lines []clientLine) {
	t.Helper()
	r, err := d.Run("commands", client)
	if err != nil || r.Code != 0 {
		t.Fatalf("list the commands of %s: %v: %s", client, err, r.Err)
	}
	commands := strings.Fields(strings.ReplaceAll(strings.TrimSpace(r.Out), " ", "_"))
	if len(commands) < 10 {
		t.Fatalf("%s has the commands %q; want more", client, commands)
	}
	for _, c := range commands {
		words := strings.Split(c, "_")
		if !slices.ContainsFunc(lines, func(l clientLine) bool {
			return l.run && !l.fails && len(l.args) >= len(words) && slices.Equal(l.args[:len(words)], words)
		}) {
			t.Errorf("%s %s is not tried", client, strings.Join(words, " "))
		}
	}
	t.Logf("%d commands", len(commands))
}

// drive plays a script.
func drive(t *testing.T, all drivers, site *Site, lines []clientLine) {
	t.Helper()
	vars := with(site.ours.Vars, nil)
	var last clients.Result
	for _, l := range lines {
		switch {
		case l.says != "":
			want, err := finish(l.says, vars)
			if err != nil || !strings.Contains(last.Out+last.Err, want) {
				t.Errorf("line %d: want %q in the output: %v\n%s%s", l.number, want, err, last.Out, last.Err)
			}
		case l.run:
			last = command(t, all.of(t, site, l.who), l, vars)
		default:
			if _, err := site.ours.play(t.Context(), l.check, vars); err != nil {
				t.Error(err)
			}
		}
	}
}

// command runs a command and keeps what it is to.
func command(t *testing.T, d *clients.Driver, l clientLine, vars map[string]string) clients.Result {
	t.Helper()
	args := make([]string, len(l.args))
	for i := range l.args {
		var err error
		if args[i], err = finish(l.args[i], vars); err != nil {
			t.Fatalf("line %d: %v", l.number, err)
		}
	}
	r, err := d.Run(l.program, args...)
	if err != nil {
		t.Fatalf("line %d: %s: %v", l.number, l.text, err)
	}
	if (r.Code != 0) != l.fails {
		t.Errorf("line %d: %s: exit %d\n%s%s", l.number, l.text, r.Code, r.Out, r.Err)
	}
	for _, c := range l.capture {
		if vars[c.Name], err = find(r, c.From); err != nil {
			t.Fatalf("line %d: %s: keep %s: %v\n%s%s", l.number, l.text, c.Name, err, r.Out, r.Err)
		}
	}
	return r
}
