package sqlcatalog

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"

	"glancectl/service/glance"
)

// However many different statements there are, the server keeps the plans of
// a bounded number, and a plan that is given up while somebody uses it serves
// to the end.
func TestPlansAreBounded(t *testing.T) {
	url := mariaDB(t)
	if url == "" {
		return
	}
	c := synced(t, url)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 2 * maxPrepared {
				n := (worker*7 + i) % (2 * maxPrepared)
				var got int
				rows, err := c.prepared.QueryContext(t.Context(), fmt.Sprintf(`SELECT %d + ?`, n), 1)
				if err != nil {
					t.Error(err)
					return
				}
				if !rows.Next() || rows.Scan(&got) != nil || got != n+1 {
					t.Errorf("SELECT %d + 1 = %d, %v", n, got, rows.Err())
				}
				rows.Close()
			}
		})
	}
	wg.Wait()
	c.prepared.mu.Lock()
	defer c.prepared.mu.Unlock()
	if n := len(c.prepared.known); n == 0 || n > maxPrepared {
		t.Errorf("%d plans are kept; want 1 to %d", n, maxPrepared)
	}
	for query, known := range c.prepared.known {
		if known.users != 0 || known.given {
			t.Errorf("%s: has %d users, given up: %t; want a plan at rest", query, known.users, known.given)
		}
	}
}

// A meddler is a source beside which something happens before the last query.
type meddler struct {
	source
	queries int
	meddle  func()
}

func (m *meddler) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if m.queries--; m.queries == 0 {
		m.meddle()
	}
	return m.source.QueryContext(ctx, query, args...)
}

// What is chosen for a page and then changed is noticed, and not shown as half
// the one and half the other.
func TestChangeWhileListing(t *testing.T) {
	urls := map[string]string{"sqlite": sqliteURL(t)}
	if url := mariaDB(t); url != "" {
		wipe(t, url)
		urls["mariadb"] = url
	}
	for kind, url := range urls {
		t.Run(kind, func(t *testing.T) {
			c := synced(t, url)
			ids := []glance.ID{"00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"}
			for _, id := range ids {
				im := &glance.Image{ID: id, Status: glance.Queued, Visibility: glance.Public, Properties: map[string]string{"p": "old"}}
				if err := c.Create(t.Context(), im); err != nil {
					t.Fatal(err)
				}
			}
			order, err := orderOf([]glance.SortKey{{Attribute: "name"}}) // which takes two statements
			if err != nil {
				t.Fatal(err)
			}
			p := pageQuery{q: glance.Query{Limit: 10, Admin: true}, order: order}
			list, same, err := c.list(t.Context(), c.single(), p)
			if len(list) != 2 || !same || err != nil {
				t.Fatalf("list = %d images, %t, %v; want 2 that are the same", len(list), same, err)
			}
			for _, test := range []struct {
				what   string
				change func(im *glance.Image)
				left   int
			}{
				{"hidden from others", func(im *glance.Image) { im.Visibility = glance.Private }, 2},
				{"deleted", func(im *glance.Image) { im.Status = glance.Deleted }, 1},
			} {
				m := &meddler{source: c.single(), queries: 2, meddle: func() {
					before, err := c.Get(t.Context(), ids[0], false)
					if err != nil {
						t.Error(err)
						return
					}
					after := before.Clone()
					test.change(after)
					if err := c.Update(t.Context(), before, after); err != nil {
						t.Error(err)
					}
				}}
				list, same, err := c.list(t.Context(), m, p)
				if same || err != nil || len(list) != test.left {
					t.Errorf("%s meanwhile: list = %d images, %t, %v; want %d that are not the same", test.what, len(list), same, err, test.left)
				}
			}
		})
	}
}
