// Package e2e holds the end-to-end tests: glancectl against real nodes, with
// real databases, a real Keystone and the real clients.
//
// `make e2e` runs them; they need root on Debian. They know glancectl as a
// program only: what it prints, how it ends, and what is on the nodes then.
package e2e

import (
	"testing"

	"glancectl/e2e/lab"
	"glancectl/e2e/rig"
)

func TestMain(m *testing.M) {
	lab.Main(m, "the end-to-end tests", "e2e")
}

// A site is a lab and the glancectl that works on it.
type site struct{ *rig.Site }

// newSite starts a lab that is taken down when the test ends.
func newSite(tb testing.TB, c lab.Config) *site {
	tb.Helper()
	s := &site{rig.New(tb, "..", c)}
	s.Env = []string{"PLANTED=" + planted, "PLANTED_DB=" + plantedDB, "PLANTED_NOTE=" + plantedNote}
	return s
}
