package sqlcatalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"glancectl/service/glance"
)

// Head is the revision of the schema that Sync makes in an empty database, as
// Alembic names it. It is the oldest that the catalog works on, for every
// release of OpenStack Glance from Wallaby on can take such a database over:
// one of Wallaby to Zed finds its own revision, a later one upgrades it with
// its own db sync. A newer revision would be unknown to the former.
const Head = "wallaby_contract01"

// Latest is the newest revision that the catalog works on.
const Latest = "2024_1_contract01"

// usable are the revisions whose tables the catalog works on, oldest first.
// Behind Head there is but one difference: the last one has the tables of the
// central cache list, which nothing here reads or writes. So a database stays
// at the revision that it has, and whoever made it can have it back.
var usable = []string{
	Head,
	"xena_contract01",
	"yoga_contract01",
	"zed_contract01",
	"2023_1_contract01",
	Latest,
}

// bare are the revisions from which all that is left to contract is the row
// that names the revision: the steps that followed change nothing else.
var bare = []string{
	"pike_contract01",
	"queens_contract01",
	"rocky_contract01",
	"rocky_contract02",
	"train_contract01",
	"ussuri_contract01",
}

// A Phase is how far a database is on its way to a schema that serves.
type Phase int

// The phases.
const (
	Unusable Phase = iota // of another release; the error says what to run
	Empty                 // has no tables yet
	Expanded              // an upgrade has to be finished by contracting
	Ready                 // serves
)

// A state is what a database says about its schema.
type state struct {
	revisions []string // sorted
	migrate   bool     // it has the version table of the releases before Ocata
	old       bool     // it has an images table that no sync of ours began
}

// phase returns how far the database is, with an error unless that is Ready.
func (s state) phase() (Phase, error) {
	switch {
	case len(s.revisions) == 1 && slices.Contains(usable, s.revisions[0]):
		return Ready, nil
	case s.contractable() != "":
		return Expanded, fmt.Errorf("an upgrade is half done (%s); run: glance-manage db contract", strings.Join(s.revisions, ", "))
	case len(s.revisions) > 1:
		return Unusable, fmt.Errorf("an upgrade is half done (%s); finish it with glance-manage db sync of the OpenStack Glance that began it", strings.Join(s.revisions, ", "))
	case len(s.revisions) == 1:
		return Unusable, fmt.Errorf("schema revision %s is none this service can use (%s to %s); run glance-manage db sync of an OpenStack Glance of these releases first",
			s.revisions[0], Head, Latest)
	case s.migrate, s.old:
		return Unusable, errors.New("tables of an OpenStack Glance before Ocata; run glance-manage db sync of OpenStack Glance Wallaby or later first")
	}
	return Empty, errors.New("no tables yet; run: glance-manage db sync")
}

// contractable returns the revision that the database has when its upgrade is
// contracted; "" if there is none to contract, or this cannot be done here.
func (s state) contractable() string {
	if len(s.revisions) != 2 {
		return ""
	}
	for i, r := range s.revisions {
		target := strings.Replace(r, "_expand", "_contract", 1)
		other := s.revisions[1-i]
		if target == r || !slices.Contains(usable, target) {
			continue
		}
		if slices.Contains(bare, other) || slices.Index(usable, other) >= 0 && slices.Index(usable, other) < slices.Index(usable, target) {
			return target
		}
	}
	return ""
}

// state reads what the database says about its schema.
func (d dialect) state(ctx context.Context, q querier) (s state, err error) {
	tables, err := column(ctx, q, d.tables)
	if err != nil {
		return s, err
	}
	s.migrate = slices.Contains(tables, "migrate_version")
	if slices.Contains(tables, "alembic_version") {
		s.revisions, err = column(ctx, q, `SELECT version_num FROM alembic_version ORDER BY version_num`)
		return s, err
	}
	// Our own sync begins with alembic_version.
	s.old = slices.Contains(tables, "images")
	return s, nil
}

// known returns an error unless a revision is one that Upgrade can make.
func known(revision string) error {
	if slices.Contains(usable, revision) {
		return nil
	}
	return fmt.Errorf("%w: revision %q: there are %s", glance.ErrInvalid, revision, strings.Join(usable, ", "))
}
