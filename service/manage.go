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

Each is also known by its old name: db_sync, db_check, db_version.
`

// commands has what glance-manage can do.
var commands = map[string]func(context.Context, *sqlcatalog.Catalog, io.Writer) (int, error){
	"db sync":    dbSync,
	"db check":   dbCheck,
	"db version": dbVersion,
}

// Manage carries out a command of glance-manage and returns its exit code,
// which is ManageFailed or ManageUsage if there is an error.
func Manage(ctx context.Context, o Options, args []string) (code int, err error) {
	name := strings.Join(args, " ")
	if old, ok := strings.CutPrefix(name, "db_"); ok {
		name = "db " + old
	}
	command, ok := commands[name]
	if !ok {
		return ManageUsage, fmt.Errorf("no such command: %q\n%s", name, strings.TrimSuffix(manageUsage, "\n"))
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
	out := o.Stdout
	if out == nil {
		out = os.Stdout
	}
	return command(ctx, catalog, out)
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
