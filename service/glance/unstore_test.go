package glance_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/service/glance"
)

func TestDeleteFromStore(t *testing.T) {
	m := newMansion(t, glance.Options{}, map[string]int{"b": 7}, "a", "b", "c")
	im := m.create(t)
	m.put(t, im.ID, "abc", "a", "b?", "c?gone")
	for _, test := range []struct{ who, store, id string }{{"admin", "b", "ac"}, {"admin", "c", "a"}} {
		m.events.take()
		if err := m.DeleteFromStore(as(t, test.who), im.ID, test.store); err != nil {
			t.Fatal(err)
		}
		m.is(t, im.ID, glance.Active, test.id, "")
		if got := m.events.take(); got != "image.update" {
			t.Errorf("events: %s", got)
		}
	}
	if err := m.DeleteFromStore(as(t, "admin"), im.ID, "a"); !errors.Is(err, glance.ErrForbidden) {
		t.Errorf("the last store: %v", err)
	}
	if got, err := m.read(as(t, "member t1"), im.ID, 0, -1); got != "abc" || err != nil {
		t.Errorf("read = %q, %v", got, err)
	}
}

func TestDeleteFromStoreFails(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b")
	im := m.create(t)
	m.put(t, im.ID, "abc", "a", "b")
	m.shelves["a"].delErr = errors.New("broken")
	is(t, "DeleteFromStore of a store that fails", m.DeleteFromStore(as(t, "admin"), im.ID, "a"), m.shelves["a"].delErr)
	m.shelves["a"].delErr = fmt.Errorf("a clone of it: %w", glance.ErrConflict)
	says(t, "DeleteFromStore of data in use", m.DeleteFromStore(as(t, "admin"), im.ID, "a"), glance.ErrConflict,
		"The data for Image "+string(im.ID)+" could not be deleted because it is in use.")
	m.holds(t, im.ID, "ab")
	if got := m.StoreIDs(as(t, "admin"), m.get(t, im.ID)); len(got) != 2 {
		t.Errorf("image is in %v; want both stores", got)
	}
	m.shelves["a"].delErr = nil
	if err := m.DeleteFromStore(as(t, "admin"), im.ID, "a"); err != nil {
		t.Error(err)
	}
	m.is(t, im.ID, glance.Active, "b", "")
}

// While data is removed nothing is imported.
func TestImportDuringRemoval(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b", "c")
	m.catalog.Now = func() time.Time { return noon }
	im := m.create(t)
	m.put(t, im.ID, "abc", "a", "b")
	m.shelves["a"].atDelete = func() {
		says(t, "copy", m.Import(as(t, "admin"), im.ID, copyTo("c")), glance.ErrConflict, "Image has active task")
		m.shelves["a"].atDelete = nil
	}
	if err := m.DeleteFromStore(as(t, "admin"), im.ID, "a"); err != nil {
		t.Fatal(err)
	}
	m.is(t, im.ID, glance.Active, "b", "")
	m.unclaimed(t)
}

// However many remove an image from its stores, it stays in one.
func TestDeleteFromStoresAtOnce(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	for range 20 {
		m := newMansion(t, glance.Options{}, nil, names...)
		im := m.create(t)
		m.put(t, im.ID, "abc", names...)
		var wg sync.WaitGroup
		errs := make([]error, len(names))
		for i, name := range names {
			wg.Go(func() { errs[i] = m.DeleteFromStore(as(t, "admin"), im.ID, name) })
		}
		wg.Wait()
		left := ""
		for i, err := range errs {
			if errors.Is(err, glance.ErrForbidden) {
				left += names[i]
			} else if err != nil {
				t.Errorf("DeleteFromStore(%s): %v", names[i], err)
			}
		}
		m.is(t, im.ID, glance.Active, left, "")
		if len(left) != 1 {
			t.Errorf("%q are left; want one", left)
		}
	}
}

// A copy whose process died is put in order by the next one.
func TestRecoveryOfCopies(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b", "c")
	im := m.create(t)
	m.put(t, im.ID, "abc", "a", "c")
	task := m.dieCopying(t, im.ID, noon)
	for range 2 {
		if err := m.recovery(t)(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if task, err := m.tasks.Task(t.Context(), task.ID); err != nil || task.Status != glance.TaskFailure {
		t.Errorf("task is %+v, %v", task, err)
	}
	m.holds(t, im.ID, "ac") // what was on its way to c is the image's already
	m.is(t, im.ID, glance.Active, "ac", "")
	m.unclaimed(t)
}

// So is an import that some stores had the data of, and one that was to go to
// all of them.
func TestRecoveryOfDeliveries(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b", "c")
	for _, status := range []glance.Status{glance.Active, glance.Importing} {
		im := m.stage(t, "abc")
		task := m.die(t, im, glance.ImageImport, noon)
		m.as(t, "dead", im.ID, func(im *glance.Image) {
			im.Status = status
			im.Properties[glance.ImportingStores], im.Properties[glance.FailedStores] = "b,c", "x"
			im.Locations = []glance.Location{{URL: "memory://a/" + string(im.ID), Metadata: map[string]string{"store": "a"}, Status: glance.Active}}
			if status == glance.Active {
				im.Size, im.Checksum = p(int64(3)), p("x")
			}
		})
		for _, name := range []string{"a", "b"} {
			if _, _, err := m.shelves[name].Put(t.Context(), im.ID, strings.NewReader("abc")); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.recovery(t)(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, stores := glance.Active, "a"
		if status == glance.Importing {
			want, stores = glance.Queued, ""
		}
		m.is(t, im.ID, want, stores, "x")
		if task, err := m.tasks.Task(t.Context(), task.ID); err != nil || task.Status != glance.TaskFailure || m.staging.Len() != 0 {
			t.Errorf("task is %+v, %v; %d objects are staged", task, err, m.staging.Len())
		}
		m.unclaimed(t)
	}
}

// A removal that was cut short is finished by the next process, or by the next
// import.
func TestRecoveryOfRemovals(t *testing.T) {
	for _, next := range []func(m *mansion, id glance.ID) error{
		func(m *mansion, id glance.ID) error { return m.recovery(t)(t.Context()) },
		func(m *mansion, id glance.ID) error {
			if err := m.Import(as(t, "admin"), id, copyTo("a")); err != nil {
				return err
			}
			return m.Drain(t.Context())
		},
	} {
		m := newMansion(t, glance.Options{}, nil, "a", "b", "c")
		im := m.create(t)
		m.put(t, im.ID, "abc", "a", "b")
		m.catalog.Owner = "dead"
		m.catalog.Now = func() time.Time { return noon.Add(-61 * time.Minute) }
		dies, end := make(chan bool), make(chan bool)
		m.shelves["a"].atDelete = func() { close(dies); <-end }
		var dead sync.WaitGroup
		dead.Go(func() { m.DeleteFromStore(as(t, "admin"), im.ID, "a") })
		<-dies
		defer dead.Wait()
		defer close(end)
		m.shelves["a"].atDelete = nil
		m.catalog.Owner = "next"
		if err := next(m, im.ID); err != nil {
			t.Fatal(err)
		}
		m.unclaimed(t)
		if got := m.get(t, im.ID); got.Properties[glance.ImportLock] != "" {
			t.Errorf("image is locked: %v", got.Properties)
		}
		stores := strings.Join(m.StoreIDs(as(t, "admin"), m.get(t, im.ID)), "")
		m.holds(t, im.ID, map[string]string{"b": "b", "ba": "ab"}[stores])
	}
}

// A dead copy gives way to the next one.
func TestCopyAfterADeadOne(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b", "c")
	im := m.create(t)
	m.put(t, im.ID, "abc", "a")
	m.dieCopying(t, im.ID, noon.Add(-61*time.Minute))
	if err := m.Import(as(t, "admin"), im.ID, copyTo("b")); err != nil {
		t.Fatal(err)
	}
	if err := m.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.is(t, im.ID, glance.Active, "ab", "")
}

// dieCopying leaves an image as a process does that dies when it has written
// to b and c and recorded c alone.
func (m *mansion) dieCopying(t *testing.T, id glance.ID, at time.Time) *glance.Task {
	t.Helper()
	task := &glance.Task{ID: glance.NewUUID(), Type: glance.ImageImport, Status: glance.TaskProcessing, Owner: "t1", ImageID: id, CreatedAt: at, UpdatedAt: at}
	if err := m.tasks.CreateTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	m.as(t, "dead", id, func(im *glance.Image) {
		im.Properties = map[string]string{glance.ImportLock: task.ID, glance.ImportingStores: "b,c", glance.FailedStores: ""}
	})
	if _, _, err := m.shelves["b"].Put(t.Context(), id, strings.NewReader("ab")); err != nil {
		t.Fatal(err)
	}
	return task
}
