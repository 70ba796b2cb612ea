package service

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"glancectl/service/internal/config"
	"glancectl/service/internal/sqlcatalog"
)

// The exit codes of glance-manage.
const (
	ManageDone     = 0
	ManageFailed   = 1
	ManageUsage    = 2 // there is no such command
	ManageOutdated = 3 // db check: the schema has to be synced
)

// manageUsage is what there is to say to somebody who asks for nothing.
const manageUsage = `usage: glance-manage [--config-file FILE]... COMMAND

  db sync      make the tables, or do nothing if they are there
  db check     exit 0 if the tables can be used, 3 if they have to be synced
  db version   print the revision of the tables

  db load_metadefs [--path PATH] [--merge [--prefer_new | --overwrite]]
               put the metadata definitions of a file, or of the *.json in a
               directory, into the database; those that are there stay as they
               are unless they are merged
  db export_metadefs [--path DIRECTORY]
               write the metadata definitions to files
  db unload_metadefs
               remove all metadata definitions from the database

Each is also known by its old name: db_sync, db_check, db_version and so on.
`

// A command is a call of glance-manage.
type command struct {
	p       *process
	catalog *sqlcatalog.Catalog
	args    []string // what stands behind its name
	old     bool     // it was called by its old name
	out     io.Writer
}

// commands has what glance-manage can do.
var commands = map[string]func(context.Context, command) (int, error){
	"db sync":            plainly(dbSync),
	"db check":           plainly(dbCheck),
	"db version":         plainly(dbVersion),
	"db load_metadefs":   loadMetadefs,
	"db export_metadefs": exportMetadefs,
	"db unload_metadefs": plainly(unloadMetadefs),
}

// plainly is a command that takes no arguments.
func plainly(f func(context.Context, *sqlcatalog.Catalog, io.Writer) (int, error)) func(context.Context, command) (int, error) {
	return func(ctx context.Context, c command) (int, error) {
		if len(c.args) > 0 {
			return ManageUsage, fmt.Errorf("unexpected argument %q", c.args[0])
		}
		return f(ctx, c.catalog, c.out)
	}
}

// split returns the name of a command and what stands behind it.
func split(args []string) (name string, rest []string, old bool) {
	switch {
	case len(args) > 0 && strings.HasPrefix(args[0], "db_"):
		return "db " + strings.TrimPrefix(args[0], "db_"), args[1:], true
	case len(args) > 1:
		return args[0] + " " + args[1], args[2:], false
	}
	return strings.Join(args, " "), nil, false
}

// Manage carries out a command of glance-manage and returns its exit code,
// which is ManageFailed or ManageUsage if there is an error.
func Manage(ctx context.Context, o Options, args []string) (code int, err error) {
	name, rest, old := split(args)
	run, ok := commands[name]
	if !ok {
		return ManageUsage, fmt.Errorf("no such command: %q\n%s", name, strings.TrimSuffix(manageUsage, "\n"))
	}
	out := o.Stdout
	if out == nil {
		out = os.Stdout
	}
	if slices.ContainsFunc(rest, func(s string) bool { return s == "-h" || s == "--help" }) {
		return say(out, ManageDone, strings.TrimSuffix(manageUsage, "\n"))
	}
	p, err := begin(config.Manage, o)
	if err != nil {
		return ManageFailed, err
	}
	defer p.end()
	catalog, err := p.catalog()
	if err != nil {
		return ManageFailed, err
	}
	defer catalog.Close()
	return run(ctx, command{p, catalog, rest, old, out})
}

func dbSync(ctx context.Context, c *sqlcatalog.Catalog, out io.Writer) (int, error) {
	if err := c.Sync(ctx); err != nil {
		return ManageFailed, err
	}
	return say(out, ManageDone, "Database is synced successfully.")
}

// dbCheck tells a database that cannot be reached, which is a failure, from
// one that can be and has no tables that serve.
func dbCheck(ctx context.Context, c *sqlcatalog.Catalog, out io.Writer) (int, error) {
	broken := c.Check(ctx)
	if broken == nil {
		return say(out, ManageDone, "Database is up to date. No upgrades needed.")
	}
	if _, err := c.Version(ctx); err != nil {
		return ManageFailed, err
	}
	return say(out, ManageOutdated, "Your database is not up to date: "+broken.Error())
}

func dbVersion(ctx context.Context, c *sqlcatalog.Catalog, out io.Writer) (int, error) {
	version, err := c.Version(ctx)
	if err != nil {
		return ManageFailed, err
	}
	if version == "" {
		return ManageDone, nil // no tables, no revision: as the original
	}
	return say(out, ManageDone, slices.Collect(strings.Lines(version))...)
}

func say(out io.Writer, code int, lines ...string) (int, error) {
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, strings.TrimSuffix(line, "\n")); err != nil {
			return ManageFailed, err
		}
	}
	return code, nil
}
