package sqlcatalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"glancectl/service/glance"
)

// counts returns how many rows each table has.
func counts(t *testing.T, c *Catalog) string {
	t.Helper()
	var list []string
	for _, table := range []string{"images", "image_properties", "image_tags", "image_members", "image_locations", "tasks", "task_info"} {
		list = append(list, strings.Join(cells(t, c, `SELECT COUNT(*) FROM `+table), ""))
	}
	return strings.Join(list, " ")
}

func TestPurge(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		ctx := t.Context()
		day := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
		at := day
		c.now = func() time.Time { return at }
		status := func(im *glance.Image, to glance.Status) *glance.Image {
			after := im.Clone()
			after.Status = to
			if err := c.Update(ctx, im, after); err != nil {
				t.Fatal(err)
			}
			return after
		}
		// One lives, one waits for the scrubber, one is dead and one dies later.
		var images []*glance.Image
		for i, end := range []glance.Status{glance.Active, glance.PendingDelete, glance.Deleted, glance.Active} {
			im := &glance.Image{
				ID: glance.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)), Status: glance.Active, Visibility: glance.Shared,
				Properties: map[string]string{"a": "1", "b": "2"}, Tags: []string{"x"},
				Locations: []glance.Location{{URL: "file:///x", Status: glance.Active}},
			}
			if err := c.Create(ctx, im); err != nil {
				t.Fatal(err)
			}
			if err := c.AddMember(ctx, &glance.Member{ImageID: im.ID, ProjectID: "p"}); err != nil {
				t.Fatal(err)
			}
			if end != glance.Active {
				im = status(im, end)
			}
			images = append(images, im)
		}
		less := images[0].Clone()
		delete(less.Properties, "b")
		if err := c.Update(ctx, images[0], less); err != nil {
			t.Fatal(err)
		}
		task := &glance.Task{ID: "t1", Type: glance.ImageImport, Status: glance.TaskSuccess, Owner: "o", CreatedAt: day, UpdatedAt: day, ExpiresAt: &day}
		if err := c.Tasks().CreateTask(ctx, task); err != nil {
			t.Fatal(err)
		}
		at = day.Add(time.Hour)
		if err := c.Tasks().CreateTask(ctx, &glance.Task{ID: "t2", Type: glance.ImageImport, Status: glance.TaskPending, Owner: "o", CreatedAt: at, UpdatedAt: at}); err != nil {
			t.Fatal(err)
		}
		at = day.AddDate(0, 0, 10)
		status(images[3], glance.Deleted)

		const all = "4 8 4 4 4 2 2"
		purge := func(before time.Time, most int, want string) {
			t.Helper()
			if _, err := c.Purge(ctx, before, most); err != nil {
				t.Fatal(err)
			}
			if got := counts(t, c); got != want {
				t.Errorf("after a purge of %d rows before %v there are %s; want %s", most, before, got, want)
			}
		}
		if got := counts(t, c); got != all {
			t.Fatalf("there are %s; want %s", got, all)
		}
		purge(day, -1, all)
		purge(day.AddDate(0, 0, 5), 0, all)
		purge(day.AddDate(0, 0, 5), 1, "4 7 3 3 3 1 1")
		purge(day.AddDate(0, 0, 5), -1, "4 5 3 3 3 1 1") // b of the first, and what the third had
		if _, err := c.PurgeImages(ctx, day.AddDate(0, 0, 20), -1); !errors.Is(err, glance.ErrConflict) {
			t.Errorf("PurgeImages beside what they had: %v; want %v", err, glance.ErrConflict)
		}
		if got, want := counts(t, c), "3 5 3 3 3 1 1"; got != want {
			t.Errorf("after PurgeImages there are %s; want %s", got, want)
		}
		purge(day.AddDate(0, 0, 20), -1, "3 3 2 2 2 1 1")
		if d, err := c.PurgeImages(ctx, day.AddDate(0, 0, 20), -1); d.Rows != 1 || err != nil {
			t.Errorf("PurgeImages = %+v, %v; want 1", d, err)
		}
		waits, err := c.Get(ctx, images[1].ID, true)
		if err != nil || len(waits.Locations) != 1 || len(waits.Properties) != 2 || len(waits.Tags) != 1 {
			t.Errorf("the image that waits for the scrubber is %+v, %v; want it whole", waits, err)
		}
	})
}

// A purge of much is many transactions, and between them others have their turn.
func TestPurgeInBatches(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := synced(t, url)
		im := &glance.Image{ID: shared, Status: glance.Queued, Visibility: glance.Shared}
		if err := c.Create(t.Context(), im); err != nil {
			t.Fatal(err)
		}
		const rows = purgeBatch + 7
		mustExec(t, c, `INSERT INTO image_tags (image_id, value, created_at, updated_at, deleted_at, deleted)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < `+fmt.Sprint(rows)+`)
			SELECT '`+string(shared)+`', CONCAT('tag', i), '2024-01-01 00:00:00', '2024-01-01 00:00:00', '2024-01-01 00:00:00', 1 FROM n`)
		for _, most := range []int{purgeBatch + 1, -1} {
			want := most
			if most < 0 {
				want = rows - purgeBatch - 1
			}
			done, err := c.Purge(t.Context(), time.Now(), most)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range done {
				if d.Table == "image_tags" && d.Rows != want {
					t.Errorf("Purge(%d) took %d tags; want %d", most, d.Rows, want)
				}
			}
		}
		if got := strings.Join(cells(t, c, `SELECT COUNT(*) FROM image_tags`), ""); got != "0" {
			t.Errorf("%s tags are left", got)
		}
	})
}
