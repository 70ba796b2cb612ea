package glance_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
)

// An importer is a house that can import.
type importer struct {
	*house
	tasks   *memory.Tasks
	staging *memory.Store
	web     *web
}

// newImporter returns a house whose store is behind the given one, if that is
// not nil.
func newImporter(t testing.TB, o glance.Options, more ...glance.Store) *importer {
	t.Helper()
	h := &importer{tasks: new(memory.Tasks), staging: new(memory.Store), web: &web{data: map[string]io.Reader{}}}
	o.Import = h.offered()
	h.house = newHouse(t, o, more...)
	clock := func() time.Time { return time.Date(2026, 11, 20, 4, 30, 0, 0, time.UTC) }
	h.tasks.Now = clock
	t.Cleanup(func() {
		if err := h.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// offered is how data comes into images of the house.
func (h *importer) offered() glance.ImportOptions {
	return glance.ImportOptions{
		Methods: []string{glance.GlanceDirect, glance.WebDownload},
		Tasks:   h.tasks, Staging: h.staging, Fetcher: h.web,
	}
}

// web is a Fetcher of what is in it.
type web struct {
	data map[string]io.Reader
	size int64 // that is announced, if it is not 0
}

func (w *web) Check(_ context.Context, uri string) error {
	if !strings.HasPrefix(uri, "http:") {
		return errors.New("not http")
	}
	return nil
}

func (w *web) Fetch(_ context.Context, uri string) (io.ReadCloser, int64, error) {
	r, ok := w.data[uri]
	if !ok {
		return nil, 0, &glance.Refusal{Kind: glance.ErrInvalid, Message: "There is nothing."}
	}
	size := int64(-1)
	if w.size != 0 {
		size = w.size
	}
	return io.NopCloser(r), size, nil
}

// free says that an import has left nothing but what it always leaves.
func free(im *glance.Image) bool {
	return maps.Equal(im.Properties, map[string]string{glance.ImportingStores: "", glance.FailedStores: ""})
}

// stage makes an image with staged data.
func (h *importer) stage(t testing.TB, data string, change ...func(*glance.Draft)) *glance.Image {
	t.Helper()
	im := h.create(t, change...)
	if err := h.Stage(as(t, "member t1"), im.ID, strings.NewReader(data), glance.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	return h.get(t, im.ID)
}

// finish waits for the imports of an image and returns its latest task.
func (h *importer) finish(t testing.TB, id glance.ID) *glance.Task {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		tasks, err := h.tasks.Tasks(t.Context(), glance.TaskQuery{ImageID: id})
		if err != nil {
			t.Fatal(err)
		}
		if len(tasks) > 0 && (tasks[0].Status == glance.TaskSuccess || tasks[0].Status == glance.TaskFailure) {
			return tasks[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("image %s: tasks %+v do not end", id, tasks)
		}
	}
}

var (
	direct   = glance.ImportRequest{Method: glance.GlanceDirect, Body: []byte(`{"method":{"name":"glance-direct"}}`)}
	download = glance.ImportRequest{Method: glance.WebDownload, URI: "http://x/y", Body: []byte(`{"method":{"name":"web-download"}}`)}
)

// says checks the kind and the words of an error.
func says(t *testing.T, what string, err, want error, text string) {
	t.Helper()
	if !errors.Is(err, want) || err.Error() != text {
		t.Errorf("%s: %v; want %v: %s", what, err, want, text)
	}
}

func TestStageAndImport(t *testing.T) {
	h := newImporter(t, glance.Options{})
	im := h.stage(t, "abc")
	if im.Status != glance.Uploading || *im.Size != 3 || im.VirtualSize != nil || h.staging.Len() != 1 || h.store.Len() != 0 {
		t.Fatalf("staged image is %+v", im)
	}
	is(t, "Stage again", h.Stage(as(t, "member t1"), im.ID, strings.NewReader(""), glance.UploadOptions{}), glance.ErrConflict)
	h.events.take()
	if err := h.Import(as(t, "member t1"), im.ID, direct); err != nil {
		t.Fatal(err)
	}
	task := h.finish(t, im.ID)
	im = h.get(t, im.ID)
	if im.Status != glance.Active || *im.Size != 3 || *im.VirtualSize != 3 || im.Checksum == nil || len(im.Locations) != 1 || !free(im) {
		t.Errorf("imported image is %+v", im)
	}
	if got, err := h.read(as(t, "member t1"), im.ID, 0, -1); got != "abc" || err != nil {
		t.Errorf("data is %q, %v", got, err)
	}
	if h.staging.Len() != 0 {
		t.Error("staged data stays behind")
	}
	const input = `{"image_id":"00000000-0000-4000-8000-000000000001","import_req":{"method":{"name":"glance-direct"}},"backend":[null]}`
	if task.Status != glance.TaskSuccess || task.Owner != "t1" || string(task.Input) != input || string(task.Result) != `{"image_id": "`+string(im.ID)+`"}` ||
		task.Message != "Copied 0 MiB" || task.ExpiresAt.Sub(task.CreatedAt) < 47*time.Hour {
		t.Errorf("task is %+v, %s, %s", task, task.Input, task.Result)
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := h.events.take(), "task.create, task.run, task.processing, image.update, image.prepare, image.upload, image.activate, image.update, task.success"; got != want {
		t.Errorf("events = %s; want %s", got, want)
	}
}

func TestWebDownload(t *testing.T) {
	h := newImporter(t, glance.Options{})
	h.web.data["http://x/y"] = strings.NewReader("abcd")
	im := h.create(t)
	if err := h.Import(as(t, "member t1"), im.ID, download); err != nil {
		t.Fatal(err)
	}
	if task := h.finish(t, im.ID); task.Status != glance.TaskSuccess {
		t.Errorf("task is %+v", task)
	}
	if im := h.get(t, im.ID); im.Status != glance.Active || *im.Size != 4 || h.staging.Len() != 0 {
		t.Errorf("image is %+v, with %d objects staged", im, h.staging.Len())
	}
}

// A failed import leaves the image as it was before, and no data.
func TestImportFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		data    io.Reader
		size    int64
		format  string
		put     error
		message string
	}{
		{"nothing there", nil, 0, "raw", nil, "There is nothing."},
		{"too large, announced", strings.NewReader("x"), 11, "raw", nil, "The provided image is too large."},
		{"too large", strings.NewReader("01234567890"), 0, "raw", nil, "The provided image is too large."},
		{"breaks off", io.MultiReader(strings.NewReader("0123"), iotest.ErrReader(io.ErrUnexpectedEOF)), 0, "raw", nil, "The download broke off before its end."},
		{"ends early", strings.NewReader("0123"), 9, "raw", nil, "The download broke off before its end."},
		{"another format", strings.NewReader("0123"), 0, "qcow2", nil, "Image disk_format qcow2 does not match stream data raw"},
		{"store full", strings.NewReader("0123"), 0, "raw", glance.ErrStoreFull, "Image storage media is full: There is not enough disk space on the image storage media."},
		{"store broken", strings.NewReader("0123"), 0, "raw", errors.New("password secret refused"), "Task failed due to Internal Error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &faulty{err: test.put}
			h := newImporter(t, glance.Options{MaxSize: 10, Inspector: &sniffer{Verdict: glance.Verdict{Format: "raw"}}}, store)
			store.Store = h.store
			h.web.size = test.size
			if test.data != nil {
				h.web.data["http://x/y"] = test.data
			}
			im := h.create(t, func(d *glance.Draft) { d.DiskFormat = &test.format })
			h.events.take()
			if err := h.Import(as(t, "member t1"), im.ID, download); err != nil {
				t.Fatal(err)
			}
			task := h.finish(t, im.ID)
			if task.Status != glance.TaskFailure || task.Message != test.message || task.ExpiresAt == nil {
				t.Errorf("task is %+v; want it failed: %s", task, test.message)
			}
			h.isFresh(t, im.ID)
			if im := h.get(t, im.ID); !free(im) || h.staging.Len() > 0 {
				t.Errorf("image is %+v, with %d objects staged; want no trace of the import", im, h.staging.Len())
			}
			if err := h.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, want := h.events.take(), "task.create, task.run, task.processing, image.update, image.prepare, image.update, task.failure, image.upload failed"; got != want {
				t.Errorf("events = %s; want %s", got, want)
			}
		})
	}
}

func TestStageFails(t *testing.T) {
	h := newImporter(t, glance.Options{MaxSize: 10})
	im := h.create(t)
	for _, test := range []struct {
		name string
		r    io.Reader
		size int64
		who  string
		want error
	}{
		{"too large, announced", strings.NewReader(""), 11, "member t1", glance.ErrTooLarge},
		{"too large", strings.NewReader("01234567890"), 0, "member t1", glance.ErrTooLarge},
		{"client goes away", iotest.ErrReader(io.ErrUnexpectedEOF), 0, "member t1", glance.ErrInvalid},
		{"reader", strings.NewReader("0"), 0, "reader t1", glance.ErrForbidden},
		{"stranger", strings.NewReader("0"), 0, "member t2", glance.ErrNotFound},
	} {
		is(t, test.name, h.Stage(as(t, test.who), im.ID, test.r, glance.UploadOptions{Size: test.size}), test.want)
		h.isFresh(t, im.ID)
		if h.staging.Len() != 0 {
			t.Errorf("%s: staged data stays behind", test.name)
		}
	}
	// What is left of something that failed long ago does not matter.
	if _, _, err := h.staging.Put(t.Context(), im.ID, strings.NewReader("old")); err != nil {
		t.Fatal(err)
	}
	if err := h.Stage(as(t, "member t1"), im.ID, strings.NewReader("new"), glance.UploadOptions{}); err != nil {
		t.Errorf("Stage over old data: %v", err)
	}
	if err := h.Delete(as(t, "member t1"), im.ID); err != nil || h.staging.Len() != 0 {
		t.Errorf("Delete of a staged image: %v; %d objects stay", err, h.staging.Len())
	}
	plain := newHouse(t, glance.Options{})
	is(t, "Stage without imports", plain.Stage(as(t, "member t1"), im.ID, strings.NewReader(""), glance.UploadOptions{}), glance.ErrNotFound)
}

func TestImportRefused(t *testing.T) {
	h := newImporter(t, glance.Options{})
	queued, staged, active := h.create(t), h.stage(t, "abc"), h.active(t, "abc")
	bare := h.stage(t, "abc", func(d *glance.Draft) { d.ContainerFormat = nil })
	formless := h.create(t, func(d *glance.Draft) { d.DiskFormat = nil })
	local := download
	local.URI = "file:///etc/passwd"
	for _, test := range []struct {
		who  string
		im   *glance.Image
		r    glance.ImportRequest
		want error
		text string
	}{
		{"member t1", staged, glance.ImportRequest{Method: "copy-image"}, glance.ErrInvalid, "Unknown import method name 'copy-image'."},
		{"member t1", queued, direct, glance.ErrConflict, "Image needs to be staged before 'glance-direct' method can be used"},
		{"member t1", staged, download, glance.ErrConflict, "Image needs to be in 'queued' state to use 'web-download' method"},
		{"member t1", active, direct, glance.ErrConflict, "Image with status active cannot be target for import"},
		{"member t1", bare, direct, glance.ErrConflict, "'container_format' needs to be set before import"},
		{"member t1", formless, download, glance.ErrConflict, "'disk_format' needs to be set before import"},
		{"member t1", queued, local, glance.ErrInvalid, "URI for web-download does not pass filtering: file:///etc/passwd"},
		{"member t2", staged, direct, glance.ErrNotFound, "No image found with ID " + string(staged.ID)},
		{"reader t1", staged, direct, glance.ErrForbidden, "You are not authorized to complete modify_image action."},
	} {
		says(t, "Import", h.Import(as(t, test.who), test.im.ID, test.r), test.want, test.text)
		if now := h.get(t, test.im.ID); now.Status != test.im.Status || len(now.Properties) > 0 {
			t.Errorf("after a refused import the image is %+v", now)
		}
	}
	if tasks, err := h.tasks.Tasks(t.Context(), glance.TaskQuery{}); len(tasks) > 0 || err != nil {
		t.Errorf("refused imports made tasks: %+v, %v", tasks, err)
	}
}

// While an import is under way the image is taken; a delete goes through, and
// leaves nothing.
func TestImportUnderway(t *testing.T) {
	h := newImporter(t, glance.Options{})
	body, more := io.Pipe()
	h.web.data["http://x/y"] = body
	im := h.create(t)
	if err := h.Import(as(t, "member t1"), im.ID, download); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(more, "first"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []glance.ImportRequest{direct, download} {
		says(t, "Import", h.Import(as(t, "member t1"), im.ID, r), glance.ErrConflict, "Image has active task")
	}
	is(t, "Upload", h.Upload(as(t, "member t1"), im.ID, strings.NewReader(""), glance.UploadOptions{}), glance.ErrConflict)
	is(t, "Stage", h.Stage(as(t, "member t1"), im.ID, strings.NewReader(""), glance.UploadOptions{}), glance.ErrConflict)
	if _, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{{Attribute: "name", Value: "new"}}); err != nil {
		t.Errorf("Update: %v", err)
	}
	for _, attribute := range []string{"disk_format", "container_format"} { // it is looked at as what it was when it began
		_, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{{Op: glance.Replace, Attribute: attribute, Value: "ami"}})
		is(t, "Update of "+attribute, err, glance.ErrForbidden)
	}
	_, err := h.Update(as(t, "member t1"), im.ID, []glance.Change{{Op: glance.Remove, Attribute: glance.ImportLock}})
	is(t, "Update of the lock", err, glance.ErrForbidden)
	if err := h.Delete(as(t, "member t1"), im.ID); err != nil {
		t.Fatal(err)
	}
	more.Close()
	task := h.finish(t, im.ID)
	if task.Status != glance.TaskFailure {
		t.Errorf("task is %+v; want it failed", task)
	}
	if got := h.get(t, im.ID).Status; got != glance.Deleted || h.store.Len()+h.staging.Len() > 0 {
		t.Errorf("image is %s; %d objects stay", got, h.store.Len()+h.staging.Len())
	}
}

// Only one of many imports that begin at once gets the image.
func TestImportsAtOnce(t *testing.T) {
	h := newImporter(t, glance.Options{})
	im := h.stage(t, "abc")
	const n = 8
	errs := make(chan error, n)
	for range n {
		go func() { errs <- h.Import(as(t, "member t1"), im.ID, direct) }()
	}
	begun := 0
	for range n {
		switch err := <-errs; {
		case err == nil:
			begun++
		case !errors.Is(err, glance.ErrConflict):
			t.Errorf("Import: %v; want %v", err, glance.ErrConflict)
		}
	}
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.get(t, im.ID).Status; begun != 1 || got != glance.Active {
		t.Errorf("%d imports began and the image is %s; want 1 and active", begun, got)
	}
}

func TestDrainBreaksOff(t *testing.T) {
	h := newImporter(t, glance.Options{})
	body, more := io.Pipe()
	defer more.Close()
	h.web.data["http://x/y"] = body
	im := h.create(t)
	if err := h.Import(as(t, "member t1"), im.ID, download); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(more, "first"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	go more.CloseWithError(context.Canceled) // as a connection does that ends with its request
	if err := h.Drain(ctx); err == nil {
		t.Error("Drain breaks off an import and says nothing")
	}
	h.isFresh(t, im.ID)
	if task := h.finish(t, im.ID); task.Status != glance.TaskFailure || h.staging.Len() != 0 {
		t.Errorf("task is %+v", task)
	}
	is(t, "Import after Drain", h.Import(as(t, "member t1"), im.ID, download), glance.ErrUnavailable)
	if got := h.get(t, im.ID); got.Status != glance.Queued || !free(got) {
		t.Errorf("after a refused import the image is %+v", got)
	}
}

// Who sees an image sees the tasks of it that are their own project's.
func TestImageTasks(t *testing.T) {
	h := newImporter(t, glance.Options{})
	im := h.stage(t, "abc", func(d *glance.Draft) { d.Visibility = glance.Public })
	if err := h.Import(as(t, "member t1"), im.ID, direct); err != nil {
		t.Fatal(err)
	}
	task := h.finish(t, im.ID)
	for who, want := range map[string]int{"member t1": 1, "reader t1": 1, "admin": 1, "member t2": 0} {
		tasks, err := h.ImageTasks(as(t, who), im.ID)
		if err != nil || len(tasks) != want || want > 0 && tasks[0].ID != task.ID {
			t.Errorf("%s sees %v, %v; want %d task", who, tasks, err, want)
		}
	}
	tasks, err := h.ImageTasks(as(t, "anonymous"), im.ID)
	if len(tasks) > 0 {
		t.Errorf("anonymous sees %v, %v", tasks, err)
	}
	hidden := h.create(t)
	_, err = h.ImageTasks(as(t, "member t2"), hidden.ID)
	is(t, "ImageTasks of what is not to be seen", err, glance.ErrNotFound)
	if _, err := h.Task(as(t, "admin"), task.ID); err != nil {
		t.Errorf("Task: %v", err)
	}
	_, err = h.Task(as(t, "member t1"), task.ID)
	is(t, "Task of a member", err, glance.ErrForbidden)
	_, err = h.Task(as(t, "admin"), "nope")
	is(t, "Task of nobody", err, glance.ErrNotFound)
	_, _, err = h.Tasks(as(t, "member t1"), glance.TaskQuery{})
	is(t, "Tasks of a member", err, glance.ErrForbidden)
	page, more, err := h.Tasks(as(t, "admin"), glance.TaskQuery{Limit: 1})
	if len(page) != 1 || !more || err != nil {
		t.Errorf("Tasks = %v, %t, %v; want a full page", page, more, err)
	}
}

func TestImportNew(t *testing.T) {
	h := newImporter(t, glance.Options{})
	h.web.data["http://x/y"] = strings.NewReader("abcd")
	draft := glance.Draft{Name: p("new"), DiskFormat: p("raw"), ContainerFormat: p("bare")}
	request := glance.NewImportRequest{URI: "http://x/y", Draft: draft, Input: []byte(`{"import_from":"http://x/y"}`)}
	_, err := h.ImportNew(as(t, "member t1"), request)
	is(t, "ImportNew by a member", err, glance.ErrForbidden)
	for uri, text := range map[string]string{
		"FILE:///etc/passwd": "File based imports are not allowed. Please use a non-local source of image data.",
		"ftp://x/y":          "URI for legacy import task does not pass filtering: ftp://x/y",
	} {
		_, err := h.ImportNew(as(t, "admin t1"), glance.NewImportRequest{URI: uri, Draft: draft})
		says(t, "ImportNew", err, glance.ErrInvalid, text)
	}
	begin := func(r glance.NewImportRequest) *glance.Task {
		t.Helper()
		task, err := h.ImportNew(as(t, "admin t1"), r)
		if err != nil {
			t.Fatal(err)
		}
		if task.Status != glance.TaskPending || task.Type != glance.LegacyImport || string(task.Input) != string(r.Input) {
			t.Errorf("new task is %+v", task)
		}
		for deadline := time.Now().Add(10 * time.Second); task.ExpiresAt == nil && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if task, err = h.Task(as(t, "admin"), task.ID); err != nil {
				t.Fatal(err)
			}
		}
		return task
	}
	task := begin(request)
	im := h.get(t, task.ImageID)
	if task.Status != glance.TaskSuccess || im.Status != glance.Active || *im.Name != "new" || *im.Size != 4 || *im.Owner != "t1" || len(im.Properties) > 0 {
		t.Errorf("task is %+v, image %+v", task, im)
	}
	// Now there is nothing any more; then the image cannot be.
	h.web.data = nil
	formless := request
	formless.Draft.DiskFormat = nil
	wrong := request
	wrong.Draft.DiskFormat = p("nope")
	for _, r := range []glance.NewImportRequest{request, formless, wrong} {
		if task := begin(r); task.Status != glance.TaskFailure || task.Message == "" {
			t.Errorf("task is %+v; want it failed", task)
		}
	}
	images, _, err := h.List(as(t, "admin t1"), glance.Query{AllVisible: true, Limit: 10})
	if err != nil || len(images) != 1 || h.store.Len() != 1 || h.staging.Len() != 0 {
		t.Errorf("there are %d images, %v, with %d objects and %d staged; want the one that succeeded", len(images), err, h.store.Len(), h.staging.Len())
	}
}

func TestImportOptions(t *testing.T) {
	all := glance.ImportOptions{Methods: []string{glance.GlanceDirect, glance.WebDownload}, Tasks: new(memory.Tasks), Staging: new(memory.Store), Fetcher: new(web)}
	for what, change := range map[string]func(o *glance.ImportOptions){
		"an unknown method": func(o *glance.ImportOptions) { o.Methods = []string{"copy"} },
		"no tasks":          func(o *glance.ImportOptions) { o.Tasks = nil },
		"no staging":        func(o *glance.ImportOptions) { o.Staging = nil },
		"no fetcher":        func(o *glance.ImportOptions) { o.Fetcher = nil },
	} {
		o := all
		change(&o)
		if _, err := glance.New(new(memory.Catalog), []glance.Backend{{Store: new(memory.Store)}}, glance.Options{Import: o}); err == nil {
			t.Errorf("New with %s succeeds", what)
		}
	}
}
