package service

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"glancectl/service/glance"
	"glancectl/service/internal/sqlcatalog"
)

// What several commands say.
const (
	upToDate = "Database is up to date. No migrations needed."
	synced   = "Database is synced successfully."
)

// dbSync makes the tables, or brings them to the revision that is named.
func dbSync(ctx context.Context, c command) (int, error) {
	changed, err := c.bring(ctx)
	if err != nil {
		return failure(err), err
	}
	if !changed {
		return say(c.out, ManageDone, upToDate)
	}
	return say(c.out, ManageDone, synced)
}

// dbUpgrade is dbSync with another answer.
func dbUpgrade(ctx context.Context, c command) (int, error) {
	if _, err := c.bring(ctx); err != nil {
		return failure(err), err
	}
	version, err := c.catalog.Version(ctx)
	if err != nil {
		return ManageFailed, err
	}
	return say(c.out, ManageDone, "Upgraded database, current revision(s): "+strings.ReplaceAll(version, "\n", ", "))
}

// dbDowngrade does nothing: the tables of an earlier release would lose what is
// in those of this one, so nobody takes them back but a backup.
func dbDowngrade(ctx context.Context, c command) (int, error) {
	revision, err := c.revision(1)
	if err != nil {
		return failure(err), err
	}
	version, err := c.catalog.Version(ctx)
	if err != nil {
		return ManageFailed, err
	}
	if revision != "" && slices.Contains(strings.Split(version, "\n"), revision) {
		return say(c.out, ManageDone, "The database is at revision "+revision+" already.")
	}
	return ManageFailed, fmt.Errorf("the database is at revision %s, from which there is no way back: nothing is changed; restore a backup that was made before it",
		cmp.Or(strings.ReplaceAll(version, "\n", ", "), "none"))
}

// bring syncs the database to the revision that is named, if one is.
func (c command) bring(ctx context.Context) (changed bool, err error) {
	revision, err := c.revision(2)
	if err != nil {
		return false, err
	}
	if revision == "head" || revision == "heads" {
		revision = ""
	}
	return c.catalog.Upgrade(ctx, revision)
}

// revision returns the revision that is named, by --version or as the first
// of at most so many words.
func (c command) revision(words int) (revision string, err error) {
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&revision, "version", "", "")
	if err := f.Parse(c.args); err != nil {
		return "", fmt.Errorf("%w: %w", errUsage, err)
	}
	if f.NArg() > words {
		return "", fmt.Errorf("%w: unexpected argument %q", errUsage, f.Arg(words))
	}
	if f.NArg() > 0 {
		revision = f.Arg(0)
	}
	return revision, nil
}

// errUsage is a call that nobody can carry out.
var errUsage = errors.New("wrong usage")

// failure is the exit code for an error.
func failure(err error) int {
	if errors.Is(err, errUsage) || errors.Is(err, glance.ErrInvalid) {
		return ManageUsage
	}
	return ManageFailed
}

// dbExpand does all of an upgrade: there is no step that older and newer
// services have to be told apart by.
func dbExpand(ctx context.Context, c command) (int, error) {
	phase, err := c.catalog.Phase(ctx)
	if phase == sqlcatalog.Expanded {
		return say(c.out, ManageDone, "Database expansion is up to date. No expansion needed.")
	}
	if phase == sqlcatalog.Unusable {
		return ManageFailed, err
	}
	return dbSync(ctx, c)
}

// dbMigrate has nothing to do: no step that is left moves data.
func dbMigrate(ctx context.Context, c command) (int, error) {
	phase, err := c.catalog.Phase(ctx)
	switch phase {
	case sqlcatalog.Ready:
		return say(c.out, ManageDone, upToDate)
	case sqlcatalog.Expanded:
		return say(c.out, ManageDone, "Database migration is up to date. No migration needed.")
	case sqlcatalog.Empty:
		return ManageFailed, errors.New("data migration did not run: the database has to be expanded first; run: glance-manage db expand")
	}
	return ManageFailed, err
}

func dbContract(ctx context.Context, c command) (int, error) {
	phase, err := c.catalog.Phase(ctx)
	switch phase {
	case sqlcatalog.Empty:
		return ManageFailed, errors.New("database contraction did not run: the database has to be expanded first; run: glance-manage db expand")
	case sqlcatalog.Unusable:
		return ManageFailed, err
	}
	if phase == sqlcatalog.Ready {
		return say(c.out, ManageDone, upToDate)
	}
	return dbUpgrade(ctx, c)
}

// dbCheck tells a database that cannot be reached, which is a failure, from
// one that can be and has no tables that serve.
func dbCheck(ctx context.Context, c command) (int, error) {
	phase, broken := c.catalog.Phase(ctx)
	if phase == sqlcatalog.Ready {
		return say(c.out, ManageDone, "Database is up to date. No upgrades needed.")
	}
	if _, err := c.catalog.Version(ctx); err != nil {
		return ManageFailed, err
	}
	code := ManageExpand
	if phase == sqlcatalog.Expanded {
		code = ManageContract
	}
	return say(c.out, code, "Your database is not up to date: "+broken.Error())
}

// dbVersion prints the revisions, one a line.
func dbVersion(ctx context.Context, c command) (int, error) {
	version, err := c.catalog.Version(ctx)
	if err != nil {
		return ManageFailed, err
	}
	if version == "" {
		return say(c.out, ManageDone, "The database is not under version control, or was last used by a release before Ocata; run: glance-manage db check")
	}
	return say(c.out, ManageDone, strings.Split(version, "\n")...)
}

// dbVersionControl marks an empty database, or gives tables the revision that
// they are known to have. 0 is how releases before Ocata wrote the beginning.
func dbVersionControl(ctx context.Context, c command) (int, error) {
	revision, err := c.revision(1)
	if err != nil {
		return failure(err), err
	}
	if revision == "0" {
		revision = ""
	}
	if err := c.catalog.Control(ctx, revision); err != nil {
		return failure(err), err
	}
	if revision == "" {
		revision = "none yet"
	}
	return say(c.out, ManageDone, "Placed database under migration control at revision: "+revision)
}

// Purges keep so much if they are not told otherwise.
const (
	purgeAge       = 30  // days
	purgeImagesAge = 180 // days: until then nobody can make another image of the same ID
	purgeRows      = 100 // of each table
)

func dbPurge(ctx context.Context, c command) (int, error) {
	before, most, err := c.purgeOptions(purgeAge)
	if err != nil {
		return failure(err), err
	}
	done, err := c.catalog.Purge(ctx, before, most)
	for _, d := range done {
		c.p.log.InfoContext(ctx, "purged", slog.String("table", d.Table), slog.Int("rows", d.Rows))
	}
	if err != nil {
		return ManageFailed, err
	}
	return ManageDone, nil
}

func dbPurgeImages(ctx context.Context, c command) (int, error) {
	before, most, err := c.purgeOptions(purgeImagesAge)
	if err != nil {
		return failure(err), err
	}
	d, err := c.catalog.PurgeImages(ctx, before, most)
	c.p.log.InfoContext(ctx, "purged", slog.String("table", d.Table), slog.Int("rows", d.Rows))
	if err != nil {
		return ManageFailed, err
	}
	return ManageDone, nil
}

// purgeOptions returns what a purge takes away, by flags or as words: what was
// deleted before a time, and how many rows of each table.
func (c command) purgeOptions(days int) (before time.Time, most int, err error) {
	age, rows := strconv.Itoa(days), strconv.Itoa(purgeRows)
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&age, "age_in_days", age, "")
	f.StringVar(&rows, "max_rows", rows, "")
	if err := f.Parse(c.args); err != nil {
		return before, 0, fmt.Errorf("%w: %w", errUsage, err)
	}
	for i, to := range []*string{&age, &rows} {
		if f.NArg() > i {
			*to = f.Arg(i)
		}
	}
	if f.NArg() > 2 {
		return before, 0, fmt.Errorf("%w: unexpected argument %q", errUsage, f.Arg(2))
	}
	now := time.Now()
	days, err = strconv.Atoi(age)
	switch {
	case err != nil:
		return before, 0, fmt.Errorf("--age_in_days %q: not a number", age)
	case days < 0:
		return before, 0, fmt.Errorf("--age_in_days %d: must not be negative", days)
	case int64(days) >= now.Unix()/86400:
		return before, 0, fmt.Errorf("--age_in_days %d: that is before 1970", days)
	}
	most, err = strconv.Atoi(rows)
	switch {
	case err != nil:
		return before, 0, fmt.Errorf("--max_rows %q: not a number", rows)
	case most < -1:
		return before, 0, fmt.Errorf("--max_rows %d: must be -1, for all rows, or more", most)
	}
	return now.AddDate(0, 0, -days), most, nil
}
