package service_test

import (
	"os"
	"testing"
	"time"

	"glancectl/service"
	"glancectl/service/glance"
	"glancectl/service/internal/sqlcatalog"
)

// The scrubber puts in order what a machine has left that has said nothing for
// an hour, and nothing of one that has.
func TestScrubberRecovers(t *testing.T) {
	s := newSite(t)
	now := time.Now()
	catalog := func(owner string, at time.Time) *sqlcatalog.Catalog {
		t.Helper()
		c, err := sqlcatalog.Open("sqlite:///"+s.path("glance.sqlite"), sqlcatalog.Options{Owner: owner, Now: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	begin := func(c *sqlcatalog.Catalog, id glance.ID) {
		t.Helper()
		im := &glance.Image{ID: id, Status: glance.Queued, Visibility: glance.Shared}
		if err := c.Create(t.Context(), im); err != nil {
			t.Fatal(err)
		}
		saving := im.Clone()
		saving.Status = glance.Saving
		if err := c.Update(t.Context(), im, saving); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.path("images", string(id)), []byte("part of it"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(s.path("images"), 0o700); err != nil {
		t.Fatal(err)
	}
	silent, busy := catalog("silent", now.Add(-61*time.Minute)), catalog("busy", now.Add(-59*time.Minute))
	begin(silent, imageA)
	begin(busy, imageB)
	if err := service.RunScrubber(t.Context(), service.Options{Files: []string{s.conf("scrubber", "")}, Stderr: new(logBuffer)}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[glance.ID]glance.Status{imageA: glance.Queued, imageB: glance.Saving} {
		im, err := silent.Get(t.Context(), id, false)
		if err != nil || im.Status != want || len(im.Properties) > 0 {
			t.Errorf("image is %+v, %v; want %s", im, err, want)
		}
		if _, err := os.Stat(s.path("images", string(id))); (err == nil) != (want == glance.Saving) {
			t.Errorf("data of the image that is %s: %v", want, err)
		}
	}
	if claims, err := silent.Claims(t.Context()); err != nil || len(claims) != 1 || claims[0].ImageID != imageB {
		t.Errorf("claims are %+v, %v; want that of the busy one", claims, err)
	}
}
