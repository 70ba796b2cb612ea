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
	ManageExpand   = 3 // db check: the schema has to be synced
	ManageContract = 5 // db check: an upgrade has to be finished by contracting
)

// ManageUsageText lists the commands of glance-manage.
const ManageUsageText = `usage: glance-manage [--config-file FILE]... COMMAND

  index        list the images of the service at -H HOST -p PORT, or of the one
               that the catalog of the Keystone at OS_AUTH_URL has, with the
               token of -A, or as OS_USERNAME

  db sync [REVISION]
               make the tables, or do nothing if they are there
  db check     exit 0 if the tables can be used, 3 if they have to be synced,
               5 if an upgrade has to be contracted
  db version   print the revision of the tables
  db expand, db migrate, db contract
               the steps of a sync one by one; expand does all of it
  db upgrade [REVISION]
               the same as sync
  db downgrade [REVISION]
               exit 0 if the tables are of that revision; nothing takes them
               back but a backup
  db version_control [REVISION]
               mark an empty database, or tables that have lost their revision

  db purge [--age_in_days 30] [--max_rows 100]
               remove rows that were deleted that long ago, so many of each
               table (-1: all); the rows of images stay
  db purge_images_table [--age_in_days 180] [--max_rows 100]
               remove the rows of images that were purged of everything else

  db load_metadefs [--path PATH] [--merge [--prefer_new | --overwrite]]
               put the metadata definitions of a file, or of the *.json in a
               directory, into the database; those that are there stay as they
               are unless they are merged
  db export_metadefs [--path DIRECTORY]
               write the metadata definitions to files
  db unload_metadefs
               remove all metadata definitions from the database

Each is also known by its old name: db_sync, db_check, db_version and so on,
and by the oldest: upgrade, downgrade, version_control.
`

// A command is a call of glance-manage.
type command struct {
	p       *process
	catalog *sqlcatalog.Catalog
	name    string   // such as "db sync"
	args    []string // what stands behind its name
	old     bool     // it was called by its old name
	out     io.Writer
}

// commands has what glance-manage can do.
var commands = map[string]func(context.Context, command) (int, error){
	"db sync":               dbSync,
	"db upgrade":            dbUpgrade,
	"db downgrade":          dbDowngrade,
	"db expand":             plain(dbExpand),
	"db migrate":            plain(dbMigrate),
	"db contract":           plain(dbContract),
	"db check":              plain(dbCheck),
	"db version":            plain(dbVersion),
	"db version_control":    dbVersionControl,
	"db purge":              dbPurge,
	"db purge_images_table": dbPurgeImages,
	"db load_metadefs":      loadMetadefs,
	"db export_metadefs":    exportMetadefs,
	"db unload_metadefs":    plainly(unloadMetadefs),
}

// plain is a command that takes no arguments.
func plain(f func(context.Context, command) (int, error)) func(context.Context, command) (int, error) {
	return func(ctx context.Context, c command) (int, error) {
		if len(c.args) > 0 {
			return ManageUsage, fmt.Errorf("unexpected argument %q", c.args[0])
		}
		return f(ctx, c)
	}
}

// plainly is plain for what needs nothing but the catalog.
func plainly(f func(context.Context, *sqlcatalog.Catalog, io.Writer) (int, error)) func(context.Context, command) (int, error) {
	return plain(func(ctx context.Context, c command) (int, error) { return f(ctx, c.catalog, c.out) })
}

// oldest are the names that commands had before there was a db in them.
var oldest = []string{"version_control", "upgrade", "downgrade"}

func asksForHelp(arg string) bool {
	return arg == "-h" || arg == "-help" || arg == "--help"
}

// split returns the name of a command and what stands behind it.
func split(args []string) (name string, rest []string, old bool) {
	switch {
	case len(args) > 0 && slices.Contains(oldest, args[0]):
		return "db " + args[0], args[1:], true
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
	out := o.Stdout
	if out == nil {
		out = os.Stdout
	}
	name, rest, old := split(args)
	if name == "help" || name == "db help" || slices.ContainsFunc(args, asksForHelp) {
		return say(out, ManageDone, ManageUsageText)
	}
	if name == "index" {
		return index(ctx, o, out)
	}
	run, ok := commands[name]
	if !ok {
		return ManageUsage, fmt.Errorf("no such command: %q\n%s", name, strings.TrimSuffix(ManageUsageText, "\n"))
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
	if err := p.reach(ctx, catalog); err != nil {
		return ManageFailed, err
	}
	return run(ctx, command{p, catalog, name, rest, old, out})
}

func say(out io.Writer, code int, lines ...string) (int, error) {
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, strings.TrimSuffix(line, "\n")); err != nil {
			return ManageFailed, err
		}
	}
	return code, nil
}
