package sqlcatalog

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"glancectl/service/glance"
)

// tables returns the names of the tables in the database.
func tables(t *testing.T, c *Catalog) []string {
	t.Helper()
	list, err := column(t.Context(), c.readers, c.target.dialect.tables)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// revise writes the rows that name the revision.
func revise(t *testing.T, c *Catalog, revisions string) {
	t.Helper()
	mustExec(t, c, `DELETE FROM alembic_version`)
	for v := range strings.FieldsSeq(revisions) {
		mustExec(t, c, `INSERT INTO alembic_version (version_num) VALUES ('`+v+`')`)
	}
}

func TestUpgrade(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := open(t, url)
		for _, test := range []struct {
			to, want string
			changed  bool
		}{
			{"", Head, true},
			{"", Head, false},
			{"zed_contract01", "zed_contract01", true},
			{"wallaby_contract01", "zed_contract01", false}, // never back
			{"2024_1_contract01", "2024_1_contract01", true},
			{"", "2024_1_contract01", false},
		} {
			changed, err := c.Upgrade(t.Context(), test.to)
			if changed != test.changed || err != nil {
				t.Errorf("Upgrade to %q = %t, %v; want %t", test.to, changed, err, test.changed)
			}
			if v, err := c.Version(t.Context()); v != test.want || err != nil {
				t.Errorf("Version after Upgrade to %q = %q, %v; want %q", test.to, v, err, test.want)
			}
			if got, want := slices.Contains(tables(t, c), "cached_images"), test.want == Latest; got != want {
				t.Errorf("at %s there is a cache list: %t; want %t", test.want, got, want)
			}
		}
		if _, err := c.Upgrade(t.Context(), "train_contract01"); !errors.Is(err, glance.ErrInvalid) {
			t.Errorf("Upgrade to a revision of long ago: %v; want %v", err, glance.ErrInvalid)
		}
	})
}

// OpenStack Glance upgrades in steps, and leaves two rows after the first.
func TestContract(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		for revisions, want := range map[string]string{
			"pike_contract01 wallaby_expand01":      "wallaby_contract01",
			"train_contract01 2023_1_expand01":      "2023_1_contract01",
			"wallaby_contract01 2024_1_expand01":    "2024_1_contract01",
			"wallaby_contract01 ussuri_expand01":    "", // none that was ever written
			"2024_1_contract01 wallaby_expand01":    "",
			"rocky_contract01 2031_1_expand01":      "",
			"train_contract01 a_expand01 b_expand1": "",
		} {
			revise(t, c, revisions)
			phase, err := c.Phase(t.Context())
			if wanted := map[bool]Phase{true: Expanded, false: Unusable}[want != ""]; phase != wanted || err == nil {
				t.Errorf("Phase of %s = %d, %v; want %d", revisions, phase, err, wanted)
			}
			err = c.Sync(t.Context())
			if v, _ := c.Version(t.Context()); want != "" && (v != want || err != nil) {
				t.Errorf("Version after Sync of %s = %q, %v; want %q", revisions, v, err, want)
			}
			if want == "" && err == nil {
				t.Errorf("Sync of %s succeeds", revisions)
			}
		}
	})
}

func TestControl(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := open(t, url)
		ctx := t.Context()
		if err := c.Control(ctx, Head); !errors.Is(err, glance.ErrInvalid) {
			t.Errorf("Control of an empty database at %s: %v; want %v", Head, err, glance.ErrInvalid)
		}
		if err := c.Control(ctx, ""); err != nil {
			t.Fatal(err)
		}
		if err := c.Control(ctx, ""); !errors.Is(err, glance.ErrConflict) {
			t.Errorf("Control twice: %v; want %v", err, glance.ErrConflict)
		}
		if err := c.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		mustExec(t, c, `DROP TABLE alembic_version`)
		for revision, want := range map[string]error{"": glance.ErrConflict, "x": glance.ErrInvalid, Latest: glance.ErrInvalid} {
			if err := c.Control(ctx, revision); !errors.Is(err, want) {
				t.Errorf("Control of tables at %q: %v; want %v", revision, err, want)
			}
		}
		mustExec(t, c, `ALTER TABLE tasks RENAME COLUMN user_id TO other`)
		if err := c.Control(ctx, "zed_contract01"); !errors.Is(err, glance.ErrInvalid) {
			t.Errorf("Control of older tables: %v; want %v", err, glance.ErrInvalid)
		}
		mustExec(t, c, `ALTER TABLE tasks RENAME COLUMN other TO user_id`)
		if err := c.Control(ctx, "zed_contract01"); err != nil {
			t.Fatal(err)
		}
		if v, err := c.Version(ctx); v != "zed_contract01" || err != nil || c.Check(ctx) != nil {
			t.Errorf("Version after Control = %q, %v; want zed_contract01, of use", v, err)
		}
	})
}
