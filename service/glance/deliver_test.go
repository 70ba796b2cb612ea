package glance_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"glancectl/service/glance"
)

// to is an import of staged data into stores.
func to(stores ...string) glance.ImportRequest {
	r := direct
	r.To.Stores = stores
	return r
}

// copyTo is an import of an image's own data into more stores.
func copyTo(stores ...string) glance.ImportRequest {
	return glance.ImportRequest{Method: glance.CopyImage, To: glance.StoreChoice{Stores: stores}, Body: []byte(`{"method":{"name":"copy-image"}}`)}
}

func partly(r glance.ImportRequest) glance.ImportRequest {
	r.To.Partly = true
	return r
}

func everywhere(r glance.ImportRequest) glance.ImportRequest {
	r.To.All = true
	return r
}

// is checks an image after an import: its status, where it has data by its own
// account and by that of the stores, and which stores have failed.
func (m *mansion) is(t *testing.T, id glance.ID, status glance.Status, stores, failed string) {
	t.Helper()
	im := m.get(t, id)
	_, locked := im.Properties[glance.ImportLock]
	if im.Status != status || locked || im.Properties[glance.ImportingStores] != "" || im.Properties[glance.FailedStores] != failed {
		t.Errorf("image is %s with %v; want it %s, free, and %q failed", im.Status, im.Properties, status, failed)
	}
	if (im.Size == nil) != (status == glance.Queued) || (im.Checksum == nil) != (status == glance.Queued) {
		t.Errorf("image is %s and has size %v", im.Status, im.Size)
	}
	if got := strings.Join(m.StoreIDs(as(t, "admin"), im), ""); got != stores {
		t.Errorf("image is in %q; want %q", got, stores)
	}
	sorted := strings.Split(stores, "")
	slices.Sort(sorted)
	m.holds(t, id, strings.Join(sorted, ""))
}

func TestImportToStores(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name    string
		request glance.ImportRequest
		broken  string // stores that fail
		status  glance.Status
		stores  string
		failed  string
	}{
		{"default", direct, "", glance.Active, "a", ""},
		{"by header", glance.ImportRequest{Method: glance.GlanceDirect, To: glance.StoreChoice{Header: "c"}}, "", glance.Active, "c", ""},
		{"some", to("c", "a"), "", glance.Active, "ca", ""},
		{"one twice", to("b", "b"), "", glance.Active, "b", ""},
		{"all that take data", everywhere(direct), "", glance.Active, "abc", ""},
		{"the last fails", to("a", "b", "c"), "c", glance.Queued, "", "c"},
		{"the first fails", to("a", "b", "c"), "a", glance.Queued, "", "a"},
		{"one that takes no data", to("a", "web"), "", glance.Queued, "", "web"},
		{"partly: none fails", partly(to("a", "b")), "", glance.Active, "ab", ""},
		{"partly: the first fails", partly(to("a", "b", "c")), "a", glance.Active, "bc", "a"},
		{"partly: the last fails", partly(to("a", "b", "c")), "c", glance.Active, "ab", "c"},
		{"partly: all but one fail", partly(everywhere(direct)), "ac", glance.Active, "b", "a,c"},
		{"partly: all fail", partly(to("a", "b")), "ab", glance.Queued, "", "a,b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMansion(t, glance.Options{}, nil, "a", "b", "c", "web")
			for _, name := range strings.Split(test.broken, "") {
				m.shelves[name].putErr = broken
			}
			im := m.create(t)
			if err := m.Stage(as(t, "member t1"), im.ID, strings.NewReader("abc"), glance.UploadOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := m.Import(as(t, "member t1"), im.ID, test.request); err != nil {
				t.Fatal(err)
			}
			task := m.finish(t, im.ID)
			want := glance.TaskSuccess
			if test.status == glance.Queued {
				want = glance.TaskFailure
			}
			if task.Status != want {
				t.Errorf("task is %+v; want %s", task, want)
			}
			m.is(t, im.ID, test.status, test.stores, test.failed)
			if n := m.staging.Len(); n != 0 {
				t.Errorf("%d objects stay staged", n)
			}
		})
	}
}

func TestTaskOfAnImportToStores(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b")
	im := m.create(t)
	if err := m.Stage(as(t, "member t1"), im.ID, strings.NewReader("abc"), glance.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Import(as(t, "member t1"), im.ID, to("b", "a")); err != nil {
		t.Fatal(err)
	}
	task := m.finish(t, im.ID)
	want := `{"image_id":"` + string(im.ID) + `","import_req":{"method":{"name":"glance-direct"}},"backend":["b","a"]}`
	if string(task.Input) != want || task.Message != "Copied 0 MiB" {
		t.Errorf("task has input %s and message %q; want %s", task.Input, task.Message, want)
	}
}

// An image can be used as soon as one store has its data, if that will do.
// What is not in the catalog yet is nowhere when it is deleted then.
func TestImportIsActiveEarly(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b")
	im := m.create(t)
	if err := m.Stage(as(t, "member t1"), im.ID, strings.NewReader("abc"), glance.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	arrived, goOn := make(chan bool), make(chan bool)
	m.shelves["b"].atPut = func() { arrived <- true; <-goOn }
	if err := m.Import(as(t, "member t1"), im.ID, partly(to("a", "b"))); err != nil {
		t.Fatal(err)
	}
	<-arrived
	now := m.get(t, im.ID)
	if now.Status != glance.Active || now.Properties[glance.ImportingStores] != "b" || now.Properties[glance.ImportLock] == "" {
		t.Errorf("while the second store gets the data, the image is %s with %v", now.Status, now.Properties)
	}
	if got, err := m.read(as(t, "member t1"), im.ID, 0, -1); got != "abc" || err != nil {
		t.Errorf("read = %q, %v", got, err)
	}
	says(t, "another import", m.Import(as(t, "admin"), im.ID, copyTo("b")), glance.ErrConflict, "Image has active task")
	if err := m.Delete(as(t, "member t1"), im.ID); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if task := m.finish(t, im.ID); task.Status != glance.TaskFailure {
		t.Errorf("task is %+v", task)
	}
	m.holds(t, im.ID, "")
}

func TestCopyImage(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name    string
		request glance.ImportRequest
		broken  string // stores that take nothing
		lost    string // stores that give nothing
		stores  string
		failed  string
		task    glance.TaskStatus
	}{
		{"one", copyTo("b"), "", "", "ab", "", glance.TaskSuccess},
		{"two", copyTo("c", "b"), "", "", "acb", "", glance.TaskSuccess},
		{"all that are missing", everywhere(copyTo()), "", "", "abc", "", glance.TaskSuccess},
		{"the second fails", copyTo("b", "c"), "c", "", "a", "c", glance.TaskFailure},
		{"partly: one fails", partly(copyTo("b", "c")), "b", "", "ac", "b", glance.TaskSuccess},
		{"partly: all fail", partly(copyTo("b", "c")), "bc", "", "a", "b,c", glance.TaskSuccess},
		{"there is no source", copyTo("b"), "", "a", "a", "b", glance.TaskFailure},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMansion(t, glance.Options{}, nil, "a", "b", "c")
			im := m.active(t, "abc")
			for _, name := range strings.Split(test.broken, "") {
				m.shelves[name].putErr = broken
			}
			for _, name := range strings.Split(test.lost, "") {
				m.shelves[name].err = broken
			}
			if test.request.To.All {
				test.request.To.Stores = nil
			}
			is(t, "copy by the owner", m.Import(as(t, "member t1"), im.ID, test.request), glance.ErrForbidden)
			m.events.take()
			if err := m.Import(as(t, "admin t2"), im.ID, test.request); err != nil {
				t.Fatal(err)
			}
			if task := m.finish(t, im.ID); task.Status != test.task || task.Owner != "t2" {
				t.Errorf("task is %+v; want %s of t2", task, test.task)
			}
			m.is(t, im.ID, glance.Active, test.stores, test.failed)
			if events := m.events.take(); strings.Contains(events, "activate") {
				t.Errorf("events of a copy: %s", events)
			}
			if n := m.staging.Len(); n != 0 {
				t.Errorf("%d objects stay staged", n)
			}
			if now := m.get(t, im.ID); *now.Checksum != *im.Checksum || *now.Size != *im.Size || *now.HashValue != *im.HashValue {
				t.Error("a copy changed what the image says of its data")
			}
		})
	}
}

// The copy of a part that succeeds when tried again is no failure any more.
func TestCopyAgain(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b", "c")
	im := m.active(t, "abc")
	for _, name := range []string{"b", "c"} {
		m.shelves[name].putErr = errors.New("broken")
	}
	if err := m.Import(as(t, "admin"), im.ID, partly(copyTo("b", "c"))); err != nil {
		t.Fatal(err)
	}
	m.finish(t, im.ID)
	m.shelves["b"].putErr = nil
	if err := m.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.reopen(t)
	if err := m.Import(as(t, "admin"), im.ID, copyTo("b")); err != nil {
		t.Fatal(err)
	}
	if err := m.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.is(t, im.ID, glance.Active, "ab", "c")
}

func TestCopyRefused(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b", "web")
	queued, active, full := m.create(t), m.active(t, "abc"), m.active(t, "abc")
	m.put(t, full.ID, "abc", "b")
	says(t, "copy without data", m.Import(as(t, "admin"), queued.ID, copyTo("b")), glance.ErrConflict, "Only images with status active can be targeted for copying")
	says(t, "copy to where it is", m.Import(as(t, "admin"), active.ID, copyTo("b", "a")), glance.ErrInvalid, "Image is already present at store 'a'")
	says(t, "copy to the default store", m.Import(as(t, "admin"), active.ID, copyTo()), glance.ErrInvalid, "Image is already present at store 'a'")
	says(t, "copy to no store", m.Import(as(t, "admin"), active.ID, copyTo("x")), glance.ErrConflict, "Store for identifier x not found")
	if err := m.Import(as(t, "admin"), full.ID, glance.ImportRequest{Method: glance.CopyImage, To: glance.StoreChoice{All: true}}); err != nil {
		t.Errorf("copy to all stores when all have it: %v", err)
	}
	tasks, err := m.tasks.Tasks(t.Context(), glance.TaskQuery{})
	if len(tasks) != 0 || err != nil {
		t.Errorf("there are tasks %v, %v; want none", tasks, err)
	}
}

// What is copied is what was stored once, or nothing.
func TestCopyOfDamagedData(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b")
	im := m.active(t, "abc")
	if err := m.shelves["a"].Discard(t.Context(), im.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.shelves["a"].Put(t.Context(), im.ID, strings.NewReader("abd")); err != nil {
		t.Fatal(err)
	}
	if err := m.Import(as(t, "admin"), im.ID, copyTo("b")); err != nil {
		t.Fatal(err)
	}
	want := "The data of image " + string(im.ID) + " is not what was stored."
	if task := m.finish(t, im.ID); task.Status != glance.TaskFailure || task.Message != want {
		t.Errorf("task is %+v; want it failed: %s", task, want)
	}
	m.is(t, im.ID, glance.Active, "a", "b")
}

// While data is copied its image may be deactivated, changed and deleted.
func TestCopyBesideOthers(t *testing.T) {
	for _, test := range []struct {
		name   string
		do     func(m *mansion, id glance.ID) error
		status glance.Status
		stores string
	}{
		{"deactivate", func(m *mansion, id glance.ID) error { return m.Deactivate(as(t, "member t1"), id) }, glance.Deactivated, "ab"},
		{"delete", func(m *mansion, id glance.ID) error { return m.Delete(as(t, "member t1"), id) }, glance.Deleted, ""},
		{"tag", func(m *mansion, id glance.ID) error { return m.AddTag(as(t, "member t1"), id, "new") }, glance.Active, "ab"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMansion(t, glance.Options{}, nil, "a", "b")
			im := m.active(t, "abc")
			arrived, goOn := make(chan bool), make(chan bool)
			m.shelves["b"].atPut = func() { arrived <- true; <-goOn }
			if err := m.Import(as(t, "admin"), im.ID, copyTo("b")); err != nil {
				t.Fatal(err)
			}
			<-arrived
			if err := test.do(m, im.ID); err != nil {
				t.Error(err)
			}
			close(goOn)
			m.finish(t, im.ID)
			if now := m.get(t, im.ID); now.Status != test.status {
				t.Errorf("image is %s; want %s", now.Status, test.status)
			}
			m.holds(t, im.ID, test.stores)
		})
	}
}

// An import that was taken for dead and lives adds nothing any more.
func TestCopyThatWasTakenOver(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b", "c")
	im := m.active(t, "abc")
	arrived, goOn := make(chan bool), make(chan bool)
	m.shelves["b"].atPut = func() { arrived <- true; <-goOn }
	if err := m.Import(as(t, "admin"), im.ID, copyTo("b")); err != nil {
		t.Fatal(err)
	}
	<-arrived
	before := m.get(t, im.ID)
	after := before.Clone()
	delete(after.Properties, glance.ImportLock)
	if err := m.catalog.Update(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if task := m.finish(t, im.ID); task.Status != glance.TaskFailure {
		t.Errorf("task is %+v", task)
	}
	if got := m.StoreIDs(as(t, "admin"), m.get(t, im.ID)); len(got) != 1 {
		t.Errorf("image is in %v; want a alone", got)
	}
	m.holds(t, im.ID, "a")
}

// Stores get the data side by side, as many as may.
func TestImportToStoresAtOnce(t *testing.T) {
	for _, atOnce := range []int{1, 2, 3} {
		m := newMansion(t, glance.Options{Import: glance.ImportOptions{StoresAtOnce: atOnce}}, nil, "a", "b", "c")
		var under, most atomic.Int32
		full := make(chan bool)
		for _, s := range m.shelves {
			s.atPut = func() {
				n := under.Add(1)
				defer under.Add(-1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				if n == int32(atOnce) {
					select {
					case <-full:
					default:
						close(full)
					}
				}
				<-full
			}
		}
		im := m.create(t)
		if err := m.Stage(as(t, "member t1"), im.ID, strings.NewReader("abc"), glance.UploadOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := m.Import(as(t, "member t1"), im.ID, to("c", "a", "b")); err != nil {
			t.Fatal(err)
		}
		m.finish(t, im.ID)
		if got := most.Load(); got != int32(atOnce) {
			t.Errorf("%d stores get data at the same time; want %d", got, atOnce)
		}
		m.is(t, im.ID, glance.Active, "cab", "")
	}
}

// When one of them fails, those that are under way are broken off.
func TestImportToStoresAtOnceFails(t *testing.T) {
	m := newMansion(t, glance.Options{Import: glance.ImportOptions{StoresAtOnce: 3}}, nil, "a", "b", "c")
	im := m.active(t, "abc")
	begun := make(chan bool)
	m.shelves["b"].putErr = errors.New("broken")
	m.shelves["b"].beforePut = func() { <-begun }
	m.shelves["c"].atPut = func() { close(begun) }
	if err := m.Import(as(t, "admin"), im.ID, copyTo("b", "c")); err != nil {
		t.Fatal(err)
	}
	if task := m.finish(t, im.ID); task.Status != glance.TaskFailure {
		t.Errorf("task is %+v", task)
	}
	m.is(t, im.ID, glance.Active, "a", "b")
}

// What an import leaves in the properties counts in no quota.
func TestImportAndQuota(t *testing.T) {
	m := newMansion(t, glance.Options{PropertyQuota: 2}, nil, "a", "b")
	im := m.active(t, "abc")
	if err := m.Import(as(t, "admin"), im.ID, copyTo("b")); err != nil {
		t.Fatal(err)
	}
	m.finish(t, im.ID)
	ctx := as(t, "member t1")
	for _, name := range []string{"one", "two"} {
		if _, err := m.Update(ctx, im.ID, []glance.Change{{Attribute: name, Value: "x"}}); err != nil {
			t.Errorf("property %s: %v", name, err)
		}
	}
	_, err := m.Update(ctx, im.ID, []glance.Change{{Attribute: "three", Value: "x"}})
	says(t, "a third property", err, glance.ErrTooLarge, "The limit has been exceeded on the number of allowed image properties. Attempted: 3, Maximum: 2")
}

// Imports of the old kind have nothing to say about stores.
func TestImportNewIsQuiet(t *testing.T) {
	m := newMansion(t, glance.Options{}, nil, "a", "b")
	m.web.data["http://x/y"] = io.Reader(strings.NewReader("abc"))
	task, err := m.ImportNew(as(t, "admin t1"), glance.NewImportRequest{URI: "http://x/y", Draft: glance.Draft{DiskFormat: p("raw"), ContainerFormat: p("bare")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if task, err = m.tasks.Task(t.Context(), task.ID); err != nil || task.Status != glance.TaskSuccess {
		t.Fatalf("task is %+v, %v", task, err)
	}
	if im := m.get(t, task.ImageID); len(im.Properties) != 0 || im.Locations[0].Metadata["store"] != "a" {
		t.Errorf("image has properties %v and is at %v", im.Properties, im.Locations)
	}
}
