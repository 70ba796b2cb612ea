package glance_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
)

// die leaves an image as a process leaves it that dies in an import: with a
// task that last said something at the given time.
func (h *importer) die(t *testing.T, im *glance.Image, kind glance.TaskType, at time.Time) *glance.Task {
	t.Helper()
	task := &glance.Task{ID: glance.NewUUID(), Type: kind, Status: glance.TaskProcessing, Owner: "t1", ImageID: im.ID, CreatedAt: at, UpdatedAt: at}
	h.tasks.Owner = "dead"
	if err := h.tasks.CreateTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	h.as(t, "dead", im.ID, func(im *glance.Image) {
		im.Status = glance.Importing
		im.Properties = map[string]string{glance.ImportLock: task.ID, "os_distro": "x"}
	})
	return task
}

// as changes an image as another process does.
func (h *house) as(t *testing.T, owner string, id glance.ID, change func(im *glance.Image)) {
	t.Helper()
	defer func(owner string) { h.catalog.Owner = owner }(h.catalog.Owner)
	h.catalog.Owner = owner
	before := h.get(t, id)
	after := before.Clone()
	change(after)
	if err := h.catalog.Update(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
}

// recovery returns the house's recovery after the process called dead has died.
func (h *house) recovery(t *testing.T) func(ctx context.Context) error {
	t.Helper()
	settle, err := h.Recovery(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) error {
		return settle(ctx, func(owner string) bool { return owner == "dead" })
	}
}

// unclaimed requires that there is no claim, but on the images given.
func (h *house) unclaimed(t *testing.T, but ...glance.ID) {
	t.Helper()
	claims, err := h.catalog.Claims(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range claims {
		if !slices.Contains(but, c.ImageID) {
			t.Errorf("there is a claim %+v", c)
		}
	}
	if len(claims) < len(but) {
		t.Errorf("there are %d claims; want %d", len(claims), len(but))
	}
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
	h.catalog.Now = func() time.Time { return noon }
	waiting := h.stage(t, "abc")
	halfStaged := h.create(t) // its size was never recorded
	h.as(t, "dead", halfStaged.ID, func(im *glance.Image) { im.Status = glance.Uploading })
	h.put(t, h.staging, halfStaged.ID)
	dead := h.stage(t, "abc")
	deadTask := h.die(t, dead, glance.ImageImport, noon)
	h.put(t, h.store, dead.ID) // and nobody knew
	legacy := h.create(t)
	h.put(t, h.staging, legacy.ID)
	h.die(t, legacy, glance.LegacyImport, noon)
	elsewhere, stale := h.create(t), h.create(t) // of services that make no claims
	h.die(t, elsewhere, glance.ImageImport, noon.Add(-59*time.Minute))
	staleTask := h.die(t, stale, glance.ImageImport, noon.Add(-61*time.Minute))
	for _, im := range []*glance.Image{elsewhere, stale} {
		c := glance.Claim{ImageID: im.ID, TaskID: h.get(t, im.ID).Properties[glance.ImportLock], Owner: "dead"}
		if err := errors.Join(h.catalog.Release(t.Context(), c), h.tasks.Release(t.Context(), c)); err != nil {
			t.Fatal(err)
		}
	}
	done := h.create(t) // its process died when all was done but saying so
	doneTask := h.die(t, done, glance.ImageImport, noon)
	h.put(t, h.staging, done.ID)
	h.put(t, h.store, done.ID)
	h.as(t, "dead", done.ID, func(im *glance.Image) {
		im.Status, im.Size = glance.Active, p(int64(3))
		im.Locations = []glance.Location{{URL: "memory://" + string(im.ID), Status: glance.Active}}
		delete(im.Properties, glance.ImportLock)
	})
	h.put(t, h.staging, number(99)) // was deleted long ago
	forgotten := h.create(t)        // staged data that nobody waits for
	h.put(t, h.staging, forgotten.ID)

	recover := h.recovery(t)
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
			waiting: glance.Uploading, halfStaged: glance.Queued, dead: glance.Queued, legacy: glance.Deleted, forgotten: glance.Queued,
			elsewhere: glance.Importing, stale: glance.Queued, done: glance.Active, late: glance.Uploading,
		} {
			im := h.get(t, what.ID)
			_, locked := im.Properties[glance.ImportLock]
			if im.Status != want || locked != (want == glance.Importing) {
				t.Errorf("image %s is %s, locked: %t; want %s", im.ID, im.Status, locked, want)
			}
		}
		h.unclaimed(t)
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
	if task, err := h.tasks.Task(t.Context(), doneTask.ID); err != nil || task.Status != glance.TaskSuccess || string(task.Result) != `{"image_id": "`+string(done.ID)+`"}` || task.ExpiresAt == nil {
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

// A process dies in an upload: before it has stored anything, after it has, and
// when the image was deleted meanwhile.
func TestRecoveryOfUploads(t *testing.T) {
	h := newHouse(t, glance.Options{})
	h.catalog.Now = func() time.Time { return noon }
	saving := func(im *glance.Image) { im.Status = glance.Saving }
	begun, stored, deleted, live, silent, foreign := h.create(t), h.create(t), h.create(t), h.create(t), h.create(t), h.create(t)
	for _, im := range []*glance.Image{begun, stored, deleted} {
		h.as(t, "dead", im.ID, saving)
	}
	h.as(t, "dead", deleted.ID, func(im *glance.Image) { im.Status = glance.Deleted })
	h.as(t, "live", live.ID, saving)
	h.as(t, "", foreign.ID, saving) // of a service that makes no claims
	h.catalog.Now = func() time.Time { return noon.Add(-61 * time.Minute) }
	h.as(t, "silent", silent.ID, saving)
	h.catalog.Now = func() time.Time { return noon }
	kept := h.active(t, "abc")
	for _, im := range []*glance.Image{stored, deleted, live, silent, foreign} {
		if _, _, err := h.store.Put(t.Context(), im.ID, strings.NewReader("abc")); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.recovery(t)(t.Context()); err != nil {
		t.Fatal(err)
	}
	for im, want := range map[*glance.Image]glance.Status{
		begun: glance.Queued, stored: glance.Queued, deleted: glance.Deleted, silent: glance.Queued,
		live: glance.Saving, foreign: glance.Saving, kept: glance.Active,
	} {
		if got := h.get(t, im.ID).Status; got != want {
			t.Errorf("image %s is %s; want %s", im.ID, got, want)
		}
	}
	if got := h.store.Len(); got != 3 {
		t.Errorf("%d objects are stored; want those of the three that live", got)
	}
	h.unclaimed(t, live.ID)
	if err := h.Upload(as(t, "member t1"), stored.ID, strings.NewReader("new"), glance.UploadOptions{}); err != nil {
		t.Errorf("Upload after the recovery: %v", err)
	}
	h.unclaimed(t, live.ID)
}

// Whatever becomes of an upload or an import that does not die, it leaves no
// claim.
func TestNoClaimsLeft(t *testing.T) {
	h := newImporter(t, glance.Options{MaxSize: 3})
	h.catalog.Owner, h.tasks.Owner = "us", "us"
	h.web.data["http://x/y"] = strings.NewReader("abc")
	h.web.data["http://x/z"] = strings.NewReader("abcd")
	h.active(t, "abc")
	ctx := as(t, "member t1")
	is(t, "Upload of too much", h.Upload(ctx, h.create(t).ID, strings.NewReader("abcd"), glance.UploadOptions{}), glance.ErrTooLarge)
	is(t, "Stage of too much", h.Stage(ctx, h.create(t).ID, strings.NewReader("abcd"), glance.UploadOptions{}), glance.ErrTooLarge)
	for _, uri := range []string{"http://x/y", "http://x/z"} {
		im := h.create(t)
		if err := h.Import(ctx, im.ID, glance.ImportRequest{Method: glance.WebDownload, URI: uri}); err != nil {
			t.Fatal(err)
		}
		h.finish(t, im.ID)
	}
	doomed := h.create(t)
	is(t, "Upload to an image that goes", h.Upload(ctx, doomed.ID, readerFunc(func([]byte) (int, error) {
		if err := h.Delete(ctx, doomed.ID); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}), glance.UploadOptions{}), glance.ErrGone)
	waiting := h.stage(t, "abc")
	h.unclaimed(t)
	if err := h.Import(ctx, waiting.ID, direct); err != nil {
		t.Fatal(err)
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.unclaimed(t)
	if claims, err := h.tasks.Claims(t.Context()); len(claims) > 0 || err != nil {
		t.Errorf("there are claims on tasks %+v, %v", claims, err)
	}
	if h.store.Len() != 3 {
		t.Errorf("%d objects are stored; want 3", h.store.Len())
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Tasks of which nobody hears any more fail, if no image shows that they live.
func TestRecoveryOfTasks(t *testing.T) {
	h := newImporter(t, glance.Options{})
	task := func(kind glance.TaskType, im glance.ID, age time.Duration) string {
		at := noon.Add(-age)
		made := &glance.Task{ID: glance.NewUUID(), Type: kind, Status: glance.TaskPending, ImageID: im, CreatedAt: at, UpdatedAt: at}
		if err := h.tasks.CreateTask(t.Context(), made); err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	own, other := h.create(t), h.create(t)
	const old = 25 * time.Hour
	for id, want := range map[string]glance.TaskStatus{
		task(glance.LegacyImport, "", old):               glance.TaskFailure,
		task(glance.LegacyImport, own.ID, old):           glance.TaskFailure,
		task(glance.ImageImport, other.ID, old):          glance.TaskFailure,
		task(glance.ImageImport, number(99), old):        glance.TaskFailure,
		task(glance.ImageImport, other.ID, 23*time.Hour): glance.TaskPending,
		task("export", "", old):                          glance.TaskPending,
	} {
		if err := h.recovery(t)(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := h.tasks.Task(t.Context(), id); err != nil || got.Status != want {
			t.Errorf("task is %+v, %v; want %s", got, err, want)
		}
	}
	if got := h.get(t, own.ID).Status; got != glance.Deleted {
		t.Errorf("the image that a dead task had made is %s; want it deleted", got)
	}
	if got := h.get(t, other.ID).Status; got != glance.Queued {
		t.Errorf("the image that a dead task was to fill is %s; want it queued", got)
	}
}

// A lateCatalog does something else before its first Update, as a database
// server does that carries out what the dead have told it.
type lateCatalog struct {
	*memory.Catalog
	late func()
}

func (c *lateCatalog) Update(ctx context.Context, before, after *glance.Image) error {
	if late := c.late; late != nil {
		c.late = nil
		late()
	}
	return c.Catalog.Update(ctx, before, after)
}

// The last thing that a process told the database comes when it is dead and
// its image is about to be put in order.
func TestRecoveryMeetsTheDead(t *testing.T) {
	for _, test := range []struct {
		name         string
		begun, ended func(im *glance.Image)
		is           glance.Status
		stored, held int // what is left in the store, and staged
	}{
		{
			"upload", func(im *glance.Image) { im.Status = glance.Saving },
			func(im *glance.Image) {
				im.Status = glance.Active
				im.Locations = []glance.Location{{URL: "memory://" + string(im.ID), Status: glance.Active}}
			}, glance.Active, 1, 0,
		},
		{
			"failed upload", func(im *glance.Image) { im.Status = glance.Saving },
			func(im *glance.Image) { im.Status = glance.Queued }, glance.Queued, 0, 0,
		},
		{
			"staging", func(im *glance.Image) { im.Status = glance.Uploading },
			func(im *glance.Image) { im.Size = p(int64(3)) }, glance.Uploading, 1, 1,
		},
		{
			"delete in an upload", func(im *glance.Image) { im.Status = glance.Saving },
			func(im *glance.Image) { im.Status = glance.Deleted }, glance.Deleted, 0, 0,
		},
		{
			"nothing", func(im *glance.Image) { im.Status = glance.Saving },
			func(im *glance.Image) { im.Name = p("patched") }, glance.Queued, 0, 0,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newImporter(t, glance.Options{})
			h.catalog.Now = func() time.Time { return noon }
			im := h.create(t)
			h.as(t, "dead", im.ID, test.begun)
			h.put(t, h.store, im.ID)
			h.put(t, h.staging, im.ID)
			c := &lateCatalog{Catalog: h.catalog, late: func() { h.as(t, "dead", im.ID, test.ended) }}
			h.catalog.Owner = "us"
			var err error
			h.Images, err = glance.New(c, []glance.Backend{{Store: h.store}}, glance.Options{
				Now:    func() time.Time { return noon },
				Import: glance.ImportOptions{Methods: []string{glance.GlanceDirect}, Tasks: h.tasks, Staging: h.staging},
			})
			if err != nil {
				t.Fatal(err)
			}
			recover := h.recovery(t)
			for range 2 {
				if err := recover(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			now := h.get(t, im.ID)
			if _, locked := now.Properties[glance.ImportLock]; now.Status != test.is || locked {
				t.Errorf("image is %s, locked: %t; want %s", now.Status, locked, test.is)
			}
			if h.store.Len() != test.stored || h.staging.Len() != test.held {
				t.Errorf("%d objects are stored and %d staged; want %d and %d", h.store.Len(), h.staging.Len(), test.stored, test.held)
			}
			h.unclaimed(t)
		})
	}
}
