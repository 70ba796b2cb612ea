package glance_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"glancectl/service/glance"
)

// die leaves an image as a process leaves it that dies in an import: with a
// task that last said something at the given time.
func (h *importer) die(t *testing.T, im *glance.Image, kind glance.TaskType, at time.Time) *glance.Task {
	t.Helper()
	task := &glance.Task{ID: glance.NewUUID(), Type: kind, Status: glance.TaskProcessing, Owner: "t1", ImageID: im.ID, CreatedAt: at, UpdatedAt: at}
	if err := h.tasks.CreateTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	before := h.get(t, im.ID)
	after := before.Clone()
	after.Status = glance.Importing
	after.Properties = map[string]string{glance.ImportLock: task.ID, "os_distro": "x"}
	if err := h.catalog.Update(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
	return task
}

func (h *importer) put(t *testing.T, store glance.Store, id glance.ID) {
	t.Helper()
	if _, _, err := store.Put(t.Context(), id, strings.NewReader("abc")); err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 11, 20, 4, 30, 0, 0, time.UTC) // the tests' now, but for seconds

func TestRecovery(t *testing.T) {
	h := newImporter(t, glance.Options{})
	waiting := h.stage(t, "abc")
	halfStaged := h.stage(t, "abc") // its size was never recorded
	before := h.get(t, halfStaged.ID)
	after := before.Clone()
	after.Size = nil
	if err := h.catalog.Update(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
	dead := h.stage(t, "abc")
	deadTask := h.die(t, dead, glance.ImageImport, noon)
	h.put(t, h.store, dead.ID) // and nobody knew
	legacy := h.create(t)
	h.put(t, h.staging, legacy.ID)
	h.die(t, legacy, glance.LegacyImport, noon)
	elsewhere, stale := h.create(t), h.create(t) // nothing of them is here
	h.die(t, elsewhere, glance.ImageImport, noon.Add(-59*time.Minute))
	staleTask := h.die(t, stale, glance.ImageImport, noon.Add(-61*time.Minute))
	active := h.active(t, "abc")
	h.put(t, h.staging, active.ID) // its process died when all was done but saying so
	done := &glance.Task{ID: glance.NewUUID(), Type: glance.ImageImport, Status: glance.TaskProcessing, ImageID: active.ID, CreatedAt: noon, UpdatedAt: noon}
	if err := h.tasks.CreateTask(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	h.put(t, h.staging, number(99)) // was deleted long ago

	recover, err := h.Recovery(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late := h.stage(t, "abc") // while the recovery waits for the database
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := recover(ended); err == nil {
		t.Error("recovery without a database succeeds")
	}
	for range 2 { // the second time there is nothing to do
		if err := recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		for what, want := range map[*glance.Image]glance.Status{
			waiting: glance.Uploading, halfStaged: glance.Queued, dead: glance.Queued, legacy: glance.Deleted,
			elsewhere: glance.Importing, stale: glance.Queued, active: glance.Active, late: glance.Uploading,
		} {
			im := h.get(t, what.ID)
			_, locked := im.Properties[glance.ImportLock]
			if im.Status != want || locked != (want == glance.Importing) {
				t.Errorf("image %s is %s, locked: %t; want %s", im.ID, im.Status, locked, want)
			}
		}
	}
	if h.get(t, dead.ID).Properties["os_distro"] != "x" {
		t.Error("the recovery took a property away")
	}
	if whole, _, err := h.staging.Held(t.Context()); len(whole) != 2 || err != nil || h.store.Len() != 1 {
		t.Errorf("staged are %v, %v, and %d objects stored; want the two that wait, and the active one", whole, err, h.store.Len())
	}
	for _, task := range []*glance.Task{deadTask, staleTask} {
		if task, err := h.tasks.Task(t.Context(), task.ID); err != nil || task.Status != glance.TaskFailure || task.ExpiresAt == nil {
			t.Errorf("task of a dead import is %+v, %v", task, err)
		}
	}
	if task, err := h.tasks.Task(t.Context(), done.ID); err != nil || task.Status != glance.TaskSuccess || string(task.Result) != `{"image_id": "`+string(active.ID)+`"}` || task.ExpiresAt == nil {
		t.Errorf("task of an import that was done is %+v, %v", task, err)
	}
	if err := h.Import(as(t, "member t1"), waiting.ID, direct); err != nil {
		t.Errorf("Import after the recovery: %v", err)
	}
}

// A dead import is taken over by the next one, when it has been quiet for an
// hour; until then it may be alive.
func TestStaleLock(t *testing.T) {
	h := newImporter(t, glance.Options{})
	h.web.data["http://x/y"] = strings.NewReader("abcd")
	fresh, stale := h.create(t), h.create(t)
	h.die(t, fresh, glance.ImageImport, noon.Add(-59*time.Minute))
	old := h.die(t, stale, glance.ImageImport, noon.Add(-61*time.Minute))
	h.put(t, h.store, stale.ID)
	says(t, "Import", h.Import(as(t, "member t1"), fresh.ID, download), glance.ErrConflict, "Image has active task")
	is(t, "Import by a stranger", h.Import(as(t, "member t2"), stale.ID, download), glance.ErrNotFound)
	is(t, "Import by a reader", h.Import(as(t, "reader t1"), stale.ID, download), glance.ErrForbidden)
	if got := h.get(t, stale.ID).Status; got != glance.Importing {
		t.Errorf("a refused import made the image %s", got)
	}
	if err := h.Import(as(t, "member t1"), stale.ID, download); err != nil {
		t.Fatal(err)
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if im := h.get(t, stale.ID); im.Status != glance.Active || *im.Size != 4 {
		t.Errorf("image is %+v", im)
	}
	if task, err := h.tasks.Task(t.Context(), old.ID); err != nil || task.Status != glance.TaskFailure {
		t.Errorf("the dead task is %+v, %v", task, err)
	}
}

// An import that was thought to be dead and is not cannot harm the one that
// took its image.
func TestUndeadImport(t *testing.T) {
	h := newImporter(t, glance.Options{})
	im := h.stage(t, "abc")
	slow := &slowStore{Store: h.store, stored: make(chan struct{}), goOn: make(chan struct{})}
	undead := newImporter(t, glance.Options{}, slow)
	undead.Images = swap(t, h, undead, slow)
	if err := undead.Import(as(t, "member t1"), im.ID, direct); err != nil {
		t.Fatal(err)
	}
	<-slow.stored // it has written the object, and now it hangs for two hours
	tasks, err := h.tasks.Tasks(t.Context(), glance.TaskQuery{ImageID: im.ID})
	if err != nil {
		t.Fatal(err)
	}
	h.tasks.Now = func() time.Time { return noon.Add(-2 * time.Hour) }
	said := tasks[0].Clone()
	said.Message = "x"
	if err := h.tasks.UpdateTask(t.Context(), tasks[0], said); err != nil {
		t.Fatal(err)
	}
	h.web.data["http://x/y"] = strings.NewReader("other data")
	if err := h.Import(as(t, "member t1"), im.ID, download); err != nil {
		t.Fatal(err)
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(slow.goOn)
	if err := undead.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := h.read(as(t, "member t1"), im.ID, 0, -1); got != "other data" || err != nil {
		t.Errorf("data is %q, %v; want that of the second import", got, err)
	}
}

// swap returns Images over what h has, but with another store: a second
// process.
func swap(t *testing.T, h, other *importer, store glance.Store) *glance.Images {
	t.Helper()
	images, err := glance.New(h.catalog, []glance.Backend{{Store: store}}, glance.Options{
		Now: func() time.Time { return noon },
		Import: glance.ImportOptions{
			Methods: []string{glance.GlanceDirect}, Tasks: h.tasks, Staging: h.staging, Fetcher: other.web,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// A slowStore hangs when it has stored something.
type slowStore struct {
	glance.Store
	stored, goOn chan struct{}
}

func (s *slowStore) Put(ctx context.Context, id glance.ID, r io.Reader) (string, int64, error) {
	url, n, err := s.Store.Put(ctx, id, r)
	close(s.stored)
	<-s.goOn
	return url, n, err
}
