package sqlcatalog

import (
	"context"
	"strings"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/catalogtest"
)

// server returns a way to open a database, which is empty at first, as another
// server.
func server(t *testing.T, url string) func(owner string) glance.Catalog {
	synced(t, url)
	return func(owner string) glance.Catalog {
		c, err := Open(url, Options{Owner: owner})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

func TestSharedSQLite(t *testing.T) {
	catalogtest.RunShared(t, func(t *testing.T) func(string) glance.Catalog { return server(t, sqliteURL(t)) })
}

func TestSharedMariaDB(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	catalogtest.RunShared(t, func(t *testing.T) func(string) glance.Catalog {
		wipe(t, url)
		return server(t, url)
	})
}

// A claim is a row that nobody takes for a task.
func TestClaimRows(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		c := server(t, url)("us").(*Catalog)
		at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
		c.now = func() time.Time { return at }
		im := &glance.Image{ID: shared, Status: glance.Queued, Visibility: glance.Shared}
		if err := c.Create(t.Context(), im); err != nil {
			t.Fatal(err)
		}
		saving := im.Clone()
		saving.Status = glance.Saving
		if err := c.Update(t.Context(), im, saving); err != nil {
			t.Fatal(err)
		}
		want := "us " + string(shared) + " 1 1 1"
		if got := strings.Join(cells(t, c, `SELECT owner, image_id, deleted, expires_at = created_at, deleted_at IS NULL FROM tasks`), " "); got != want {
			t.Errorf("the row is %q; want %q", got, want)
		}
		if list, err := c.Tasks().Tasks(t.Context(), glance.TaskQuery{ImageID: shared}); len(list) != 0 || err != nil {
			t.Errorf("there are tasks %v, %v", list, err)
		}
		if _, err := c.Purge(t.Context(), at.AddDate(1, 0, 0), -1); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Minute)
		if err := c.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		claims, err := c.Claims(t.Context())
		if err != nil || len(claims) != 1 || !claims[0].RenewedAt.Equal(at) {
			t.Errorf("claims are %+v, %v; want one, renewed at %v", claims, err, at)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if c.Renew(ended) == nil {
			t.Error("Renew without a database succeeds")
		}
	})
}

// The claim on a task lasts from its beginning to its end.
func TestTaskClaims(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		open := server(t, url)
		us, other := open("us").(*Catalog).Tasks(), open("other").(*Catalog).Tasks()
		at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
		task := &glance.Task{ID: "71c675ab-d94f-49cd-a114-e12490b328d9", Type: glance.ImageImport, Status: glance.TaskPending, Owner: "o", ImageID: shared, CreatedAt: at, UpdatedAt: at}
		if err := us.CreateTask(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		for _, to := range []glance.TaskStatus{glance.TaskPending, glance.TaskProcessing, glance.TaskFailure} {
			after := task.Clone()
			after.Status = to
			if err := other.UpdateTask(t.Context(), task, after); err != nil {
				t.Fatal(err)
			}
			task = after
			claims, err := other.Claims(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if to == glance.TaskFailure && len(claims) != 0 || to != glance.TaskFailure && (len(claims) != 1 || claims[0].TaskID != task.ID || claims[0].Owner != "us" || claims[0].ImageID != "") {
				t.Errorf("claims of a task that is %s are %+v", to, claims)
			}
			if err := other.Release(t.Context(), glance.Claim{TaskID: task.ID}); err != nil {
				t.Error(err)
			}
		}
		if n := strings.Join(cells(t, us.c, `SELECT COUNT(*) FROM tasks`), ""); n != "1" {
			t.Errorf("there are %s rows; want the task alone", n)
		}
	})
}
