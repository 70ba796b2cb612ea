package sqlcatalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"glancectl/service/glance"
	"glancectl/service/glance/catalogtest"
)

func open(t testing.TB, url string) *Catalog {
	t.Helper()
	c, err := Open(url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func sqliteURL(t testing.TB) string {
	return "sqlite:///" + filepath.Join(t.TempDir(), "glance.sqlite")
}

func synced(t testing.TB, url string) *Catalog {
	t.Helper()
	c := open(t, url)
	if err := c.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSQLite(t *testing.T) {
	catalogtest.Run(t, func(t *testing.T) glance.Catalog { return synced(t, sqliteURL(t)) })
}

// The suite's catalogs are small. With small windows their pages are looked for
// in both ways, and images read in both, too.
func TestSQLiteSmallWindow(t *testing.T) {
	catalogtest.Run(t, func(t *testing.T) glance.Catalog {
		c := synced(t, sqliteURL(t))
		c.window, c.rowsEach = 3, 4
		return c
	})
}

func TestMariaDB(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	catalogtest.Run(t, func(t *testing.T) glance.Catalog {
		wipe(t, url)
		return synced(t, url)
	})
}

func TestMariaDBSmallWindow(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	catalogtest.Run(t, func(t *testing.T) glance.Catalog {
		wipe(t, url)
		c := synced(t, url)
		c.window, c.rowsEach = 3, 4
		return c
	})
}

// each runs a test on an empty database of every kind there is.
func each(t *testing.T, f func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, sqliteURL(t)) })
	t.Run("mariadb", func(t *testing.T) {
		if url := mariaDB(t); url != "" {
			wipe(t, url)
			f(t, url)
		}
	})
}

func TestSync(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := open(t, url)
		ctx := t.Context()
		if v, err := c.Version(ctx); v != "" || err != nil {
			t.Errorf("Version of an empty database = %q, %v; want none", v, err)
		}
		if err := c.Check(ctx); !errors.Is(err, glance.ErrUnavailable) || !strings.Contains(err.Error(), "glance-manage db sync") {
			t.Errorf("Check of an empty database: %v; want what to run", err)
		}
		for range 2 {
			if err := c.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			if v, err := c.Version(ctx); v != Head || err != nil {
				t.Errorf("Version = %q, %v; want %q", v, err, Head)
			}
			if err := c.Check(ctx); err != nil {
				t.Error(err)
			}
		}
	})
}

// Every node of a deployment may run a sync at the same time.
func TestSyncAtOnce(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 6 {
			c := open(t, url)
			wg.Go(func() {
				if err := c.Sync(t.Context()); err != nil {
					t.Error(err)
				}
				if err := c.Check(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

// MySQL commits every statement by itself, so a sync can end between any two.
func TestSyncFinishesWhatWasCutOff(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	all := mariadb.schema
	for _, n := range []int{1, 2, len(all) / 2, len(all)} {
		wipe(t, url)
		c := open(t, url)
		for _, statement := range all[:n] {
			if _, err := c.writers.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Check(t.Context()); err == nil {
			t.Errorf("Check after %d of %d statements finds nothing wrong", n, len(all))
		}
		if err := c.Sync(t.Context()); err != nil {
			t.Errorf("Sync after %d of %d statements: %v", n, len(all), err)
		}
		if err := c.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Databases of other releases.
func TestRevisions(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		for _, test := range []struct {
			revisions string
			want      string // of the error; "" for none
		}{
			{"2024_1_contract01", ""},
			{"zed_contract01", ""},
			{"wallaby_contract01", ""},
			{"pike_contract01", "schema revision pike_contract01"},
			{"2031_1_contract01", "schema revision 2031_1_contract01"},
			{"wallaby_expand01", "schema revision wallaby_expand01"},
			{"ocata_contract01 wallaby_expand01", "half done (ocata_contract01, wallaby_expand01)"},
			{"ocata_contract01 queens_expand01", "half done (ocata_contract01, queens_expand01)"},
		} {
			mustExec(t, c, `DELETE FROM alembic_version`)
			for v := range strings.FieldsSeq(test.revisions) {
				mustExec(t, c, `INSERT INTO alembic_version (version_num) VALUES ('`+v+`')`)
			}
			for what, err := range map[string]error{"Check": c.Check(t.Context()), "Sync": c.Sync(t.Context())} {
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "glance-manage db sync")) {
					t.Errorf("%s of %s: %v; want %q and what to run", what, test.revisions, err, test.want)
				}
			}
			v, err := c.Version(t.Context())
			if want := strings.ReplaceAll(test.revisions, " ", "\n"); v != want || err != nil {
				t.Errorf("Version = %q, %v; want %q, which Sync leaves alone", v, err, want)
			}
		}
		mustExec(t, c, `DROP TABLE alembic_version`)
		if err := c.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "before Ocata") {
			t.Errorf("Sync of a database without a revision: %v; want a refusal", err)
		}
	})
}

func mustExec(t testing.TB, c *Catalog, statement string, args ...any) {
	t.Helper()
	if _, err := c.writers.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// The rows are what OpenStack Glance expects to find in them.
func TestRows(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		at := time.Date(2024, 2, 29, 23, 59, 58, 700_000_000, time.UTC)
		c.now = func() time.Time { return at }
		im := &glance.Image{
			ID: "71c675ab-d94f-49cd-a114-e12490b328d9", Status: glance.Active, Visibility: glance.Shared,
			CreatedAt: at, UpdatedAt: at,
			Properties: map[string]string{"os": "linux"},
			Tags:       []string{"lts"},
			Locations:  []glance.Location{{URL: "file:///x", Status: glance.Active}, {URL: "file:///y", Metadata: map[string]string{"store": "a"}, Status: glance.Active}},
		}
		if err := c.Create(t.Context(), im); err != nil {
			t.Fatal(err)
		}
		deleted := *im
		deleted.Status = glance.PendingDelete
		if err := c.Update(t.Context(), im, &deleted); err != nil {
			t.Fatal(err)
		}
		now := "2024-02-29 23:59:58"
		if c.target.server == nil {
			now += ".000000"
		}
		for query, want := range map[string]string{
			`SELECT CONCAT(created_at, ''), CONCAT(updated_at, ''), CONCAT(deleted_at, ''), deleted, status FROM images`: now + " " + now + " " + now + " 1 pending_delete",
			`SELECT value, meta_data, status, deleted, CONCAT(deleted_at, '') FROM image_locations ORDER BY id`:          "file:///x {} pending_delete 1 " + now + " file:///y {\"store\":\"a\"} pending_delete 1 " + now,
			`SELECT name, value, deleted, CONCAT(deleted_at, '') FROM image_properties`:                                  "os linux 1 " + now,
			`SELECT value, deleted, CONCAT(deleted_at, '') FROM image_tags`:                                              "lts 1 " + now,
			`SELECT COUNT(*) FROM images WHERE os_hidden = 0 AND protected = 0 AND min_disk = 0`:                         "1",
			`SELECT COUNT(*) FROM images WHERE name IS NULL AND size IS NULL AND checksum IS NULL`:                       "1",
			`SELECT COUNT(*) FROM image_locations l JOIN images i ON i.id = l.image_id`:                                  "2",
		} {
			if got := strings.Join(cells(t, c, query), " "); got != want {
				t.Errorf("%s = %q; want %q", query, got, want)
			}
		}
	})
}

// cells returns all values that a query selects, as the database writes them.
func cells(t testing.TB, c *Catalog, query string) []string {
	t.Helper()
	rows, err := c.readers.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for rows.Next() {
		values := make([]any, len(names))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			switch v := (*v.(*any)).(type) {
			case []byte:
				list = append(list, string(v))
			case bool:
				list = append(list, map[bool]string{true: "1", false: "0"}[v])
			default:
				list = append(list, fmt.Sprint(v))
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// Rows that OpenStack Glance wrote: times with microseconds, values that are
// not text in the metadata of a location, nulls.
func TestForeignRows(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		const when = "2024-02-29 23:59:58.123456"
		mustExec(t, c, `INSERT INTO images (id, status, visibility, min_disk, min_ram, protected, os_hidden, created_at, deleted)
			VALUES ('71c675ab-d94f-49cd-a114-e12490b328d9', 'active', 'public', 0, 0, 0, 0, ?, 0)`, when)
		mustExec(t, c, `INSERT INTO image_locations (image_id, value, meta_data, status, created_at, deleted)
			VALUES ('71c675ab-d94f-49cd-a114-e12490b328d9', 'rbd://x', '{"store": "rbd", "n": 3, "deep": {"a": [1]}, "none": null}', 'active', ?, 0)`, when)
		mustExec(t, c, `INSERT INTO image_properties (image_id, name, value, created_at, deleted)
			VALUES ('71c675ab-d94f-49cd-a114-e12490b328d9', 'kernel_id', NULL, ?, 0)`, when)
		im, err := c.Get(t.Context(), "71c675ab-d94f-49cd-a114-e12490b328d9", false)
		if err != nil {
			t.Fatal(err)
		}
		want := time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC)
		if c.target.server == nil {
			want = want.Add(123456 * time.Microsecond)
		}
		if !im.CreatedAt.Equal(want) || !im.UpdatedAt.Equal(want) {
			t.Errorf("times are %v and %v; want %v", im.CreatedAt, im.UpdatedAt, want)
		}
		if v, ok := im.Properties["kernel_id"]; !ok || v != "" {
			t.Errorf("property without a value = %q, %t; want an empty one", v, ok)
		}
		if im.Locations[0].ID != 1 {
			t.Errorf("location has number %d; want that of its row, 1", im.Locations[0].ID)
		}
		meta := im.Locations[0].Metadata
		if meta["store"] != "rbd" || meta["n"] != "3" || meta["deep"] != `{"a": [1]}` || meta["none"] != "" {
			t.Errorf("metadata = %q", meta)
		}
		// An update of the locations leaves it as it is written.
		after := im.Clone()
		after.Locations = append(after.Locations, glance.Location{URL: "file:///y", Metadata: map[string]string{"store": "b"}, Status: glance.Active})
		if err := c.Update(t.Context(), im, after); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(cells(t, c, `SELECT meta_data FROM image_locations ORDER BY id`), " ")
		if want := `{"store": "rbd", "n": 3, "deep": {"a": [1]}, "none": null} {"store":"b"}`; got != want {
			t.Errorf("after an update the metadata is %s; want %s", got, want)
		}
	})
}

// Names that differ only in case are one name to MySQL, two to SQLite. The
// catalog follows, but never mixes them up.
func TestPropertyCase(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	wipe(t, url)
	c := synced(t, url)
	im := &glance.Image{ID: "71c675ab-d94f-49cd-a114-e12490b328d9", Status: glance.Queued, Visibility: glance.Shared, Properties: map[string]string{"Arch": "x86"}}
	if err := c.Create(t.Context(), im); err != nil {
		t.Fatal(err)
	}
	both := *im
	both.Properties = map[string]string{"Arch": "x86", "arch": "arm"}
	if err := c.Update(t.Context(), im, &both); !errors.Is(err, glance.ErrInvalid) {
		t.Errorf("Update to names that differ in case: %v; want %v", err, glance.ErrInvalid)
	}
	lower := *im
	lower.Properties = map[string]string{"arch": "arm"}
	if err := c.Update(t.Context(), im, &lower); err != nil {
		t.Fatal(err)
	}
	got, err := c.Get(t.Context(), im.ID, false)
	if err != nil || len(got.Properties) != 1 || got.Properties["arch"] != "arm" {
		t.Errorf("properties after a change of case = %q, %v; want arch alone", got.Properties, err)
	}
}

// childURL makes the test binary a process that updates an image of the
// catalog at that URL.
const childURL = "SQLCATALOG_TEST_CHILD"

// shared is the image that several processes update.
const shared glance.ID = "71c675ab-d94f-49cd-a114-e12490b328d9"

// updates is how often each of them does.
const updates = 40

func child(url string) int {
	c, err := Open(url, Options{})
	if err == nil {
		err = busy(context.Background(), c, fmt.Sprint("child", os.Getpid()))
	}
	if err == nil {
		err = c.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// busy reads and writes, several at once, as a service does.
func busy(ctx context.Context, c *Catalog, name string) error {
	var g errgroup.Group
	for i := range updates {
		g.Go(func() error {
			before, err := c.Get(ctx, shared, false)
			if err != nil {
				return err
			}
			after := before.Clone()
			after.Properties[fmt.Sprint(name, "-", i)] = "x"
			if err := c.Update(ctx, before, after); err != nil {
				return err
			}
			_, err = c.List(ctx, glance.Query{Admin: true, Limit: 25})
			return err
		})
	}
	return g.Wait()
}

// An api and a registry, or two nodes, are processes of their own.
func TestProcesses(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		if err := c.Create(t.Context(), &glance.Image{ID: shared, Status: glance.Queued, Visibility: glance.Shared}); err != nil {
			t.Fatal(err)
		}
		const children = 2
		var g errgroup.Group
		for range children {
			g.Go(func() error {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), childURL+"="+url)
				if out, err := cmd.CombinedOutput(); err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			})
		}
		if err := busy(t.Context(), c, "parent"); err != nil {
			t.Error(err)
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		got, err := c.Get(t.Context(), shared, false)
		if err != nil {
			t.Fatal(err)
		}
		if want := (children + 1) * updates; len(got.Properties) != want {
			t.Errorf("image has %d properties after %d processes; want %d", len(got.Properties), children+1, want)
		}
	})
}

func TestOpenDoesNotConnect(t *testing.T) {
	c := open(t, "mysql+pymysql://glance:secret@127.0.0.1:1/glance")
	for what, err := range map[string]error{"Check": c.Check(t.Context()), "Sync": c.Sync(t.Context())} {
		if !errors.Is(err, glance.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s without a server: %v; want %v", what, err, glance.ErrUnavailable)
		}
	}
	path := filepath.Join(t.TempDir(), "glance.sqlite")
	c = open(t, "sqlite:///"+path)
	if _, err := c.Get(t.Context(), "x", false); !errors.Is(err, glance.ErrUnavailable) {
		t.Errorf("Get from a missing file: %v; want %v", err, glance.ErrUnavailable)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a read has made the database")
	}
}

func TestSQLiteFile(t *testing.T) {
	// SQLAlchemy does not decode the path, and neither does SQLite here.
	path := filepath.Join(t.TempDir(), "a b%20c#d.sqlite")
	c := synced(t, "sqlite:///"+path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o640 {
		t.Errorf("mode of the database is %v; want 0640", info.Mode())
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
		for name, db := range map[string]*sql.DB{"readers": c.readers, "writers": c.writers} {
			var got string
			if err := db.QueryRow(`PRAGMA ` + pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s of %s = %q, %v; want %q", pragma, name, got, err, want)
			}
		}
	}
}
