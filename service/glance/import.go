package glance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// An ImportRequest says how the data of an image is to come.
type ImportRequest struct {
	Method string
	URI    string // of WebDownload
	From   Source // of GlanceDownload
	To     StoreChoice
	Body   json.RawMessage // the request as it was made, for the task's input
}

// Import begins to bring data into an image. It returns when that is under
// way; the image is importing, with a task that says how it goes, and in the
// end active, or queued again with neither data nor staged data. An image that
// CopyImage brings into more stores is active all the time.
//
// ErrInvalid if the method is not offered, the choice of stores makes no sense,
// the data is there already or the URI may not be fetched; ErrNotFound;
// ErrForbidden; ErrConflict if the image is not in the right status for the
// method, has no formats, is busy with another import, or there is no such
// store; ErrUnavailable when the service is about to end; *Elsewhere if the data
// is staged with another service, which has to be asked then.
func (s *Images) Import(ctx context.Context, id ID, r ImportRequest) error {
	if !slices.Contains(s.imports.Methods, r.Method) {
		return refuse(ErrInvalid, "Unknown import method name '%s'.", r.Method)
	}
	if err := s.limit(ctx, ImageSizeTotal, 0); err != nil {
		return err
	}
	before, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	to, err := s.allowImport(ctx, before, r)
	if err != nil || to == nil {
		return err
	}
	if r.Method == GlanceDirect {
		if err := s.elsewhere(before); err != nil {
			return err
		}
	}
	if before, err = s.freed(ctx, before, r); err != nil {
		return err
	}
	if !s.imports.enter() {
		return refuse(ErrUnavailable, "The service is about to end.")
	}
	task, importing, err := s.claimImport(ctx, before, r, to)
	if err != nil {
		s.imports.running.Done()
		return err
	}
	go func() {
		defer s.imports.running.Done()
		s.run(WithCaller(s.imports.ctx, CallerFrom(ctx)), task, importing, r, to)
	}()
	return nil
}

// allowImport reports why data may not be brought into im that way, or else
// where it goes; nil if it is there already.
func (s *Images) allowImport(ctx context.Context, im *Image, r ImportRequest) (*delivery, error) {
	live, err := s.busy(ctx, im)
	if err != nil {
		return nil, err
	}
	if err := importable(im, r.Method, live); err != nil {
		return nil, err
	}
	if r.Method == GlanceDownload {
		if err := r.From.check(); err != nil {
			return nil, err
		}
	}
	rule := ModifyImage
	if r.Method == CopyImage {
		rule = CopyImageRule
	}
	if err := s.allow(CallerFrom(ctx), rule, Target{Image: im}); err != nil {
		return nil, err
	}
	if live {
		return nil, activeTask()
	}
	to, err := s.plan(im, r)
	if err != nil || r.Method != WebDownload {
		return to, err
	}
	if err := s.imports.Fetcher.Check(ctx, r.URI); err != nil {
		s.o.Log.InfoContext(ctx, "a URI may not be fetched", "image", im.ID, "cause", err)
		return nil, refuse(ErrInvalid, "URI for %s does not pass filtering: %s", WebDownload, r.URI)
	}
	return to, nil
}

func activeTask() error { return refuse(ErrConflict, "Image has active task") }

// importable reports what keeps an image from an import by its status and its
// formats. An import whose process died leaves the image importing: then it is
// as if it were queued.
func importable(im *Image, method string, live bool) error {
	status := im.Status
	if status == Importing {
		if live {
			return activeTask()
		}
		status = Queued
	}
	switch {
	case status == Active && method != CopyImage:
		return refuse(ErrConflict, "Image with status active cannot be target for import")
	case status != Active && method == CopyImage:
		return refuse(ErrConflict, "Only images with status active can be targeted for copying")
	case (method == WebDownload || method == GlanceDownload) && status != Queued:
		return refuse(ErrConflict, "Image needs to be in 'queued' state to use '%s' method", method)
	case method == GlanceDirect && (status != Uploading || im.Size == nil):
		return refuse(ErrConflict, "Image needs to be staged before '%s' method can be used", method)
	case method == GlanceDownload: // the formats come with the data
	case im.ContainerFormat == nil || *im.ContainerFormat == "":
		return refuse(ErrConflict, "'container_format' needs to be set before import")
	case im.DiskFormat == nil || *im.DiskFormat == "":
		return refuse(ErrConflict, "'disk_format' needs to be set before import")
	}
	return nil
}

// A task that says nothing for so long is dead.
const (
	deadAfter        = time.Hour
	deadPendingAfter = 2 * time.Hour
)

// busy says whether a task that is alive holds the import lock of im.
func (s *Images) busy(ctx context.Context, im *Image) (bool, error) {
	id, held := im.Properties[ImportLock]
	if !held {
		return false, nil
	}
	if strings.HasPrefix(id, removalLock) {
		return s.now().Sub(im.UpdatedAt) < deadAfter, nil
	}
	t, err := s.imports.Tasks.Task(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("import %s: %w", im.ID, err)
	}
	limit := deadAfter
	if t.Status == TaskPending {
		limit = deadPendingAfter
	}
	return !t.Status.Ended() && s.now().Sub(t.UpdatedAt) < limit, nil
}

// freed returns im as it is when a dead import no longer holds it.
func (s *Images) freed(ctx context.Context, im *Image, r ImportRequest) (*Image, error) {
	if _, held := im.Properties[ImportLock]; !held && im.Status != Importing {
		return im, nil
	}
	if err := s.abandon(ctx, im); err != nil {
		return nil, err
	}
	now, err := s.find(ctx, im.ID)
	if err != nil {
		return nil, err
	}
	live, err := s.busy(ctx, now)
	if err != nil {
		return nil, err
	}
	return now, importable(now, r.Method, live)
}

// claimImport makes a task and takes the image for it, against all others.
func (s *Images) claimImport(ctx context.Context, before *Image, r ImportRequest, to *delivery) (*run, *Image, error) {
	stores := []*string{nil} // one store, which has no name
	if s.stores.named {
		stores = stores[:0]
		for _, store := range to.to {
			stores = append(stores, &store.ID)
		}
	}
	input, err := json.Marshal(struct {
		Image   ID              `json:"image_id"`
		Request json.RawMessage `json:"import_req"`
		Backend []*string       `json:"backend"`
	}{before.ID, r.Body, stores})
	if err != nil {
		return nil, nil, fmt.Errorf("import %s: %w", before.ID, err)
	}
	task, err := s.newTask(ctx, Task{Type: ImageImport, ImageID: before.ID, Input: input})
	if err != nil {
		return nil, nil, err
	}
	importing, err := s.take(ctx, before, task.task.ID, to)
	if err != nil {
		task.end(ctx, TaskFailure, func(t *Task) { t.Message = "The image was not free." })
		return nil, nil, err
	}
	return task, importing, nil
}

// take gives the image to one task only, and makes it importing unless it is
// active.
func (s *Images) take(ctx context.Context, before *Image, taskID string, to *delivery) (*Image, error) {
	importing := before.Clone()
	if importing.Status != Active {
		if err := importing.moveTo(Importing); err != nil {
			return nil, err
		}
	}
	to.mark(importing)
	importing.Properties[ImportLock] = taskID
	err := s.catalog.Update(ctx, before, importing)
	switch {
	case errors.Is(err, ErrConflict):
		return nil, refuse(ErrConflict, "New operation on image '%s' is not permitted as prior operation is still in progress", before.ID)
	case errors.Is(err, ErrNotFound):
		return nil, noImage(before.ID)
	case err != nil:
		return nil, fmt.Errorf("import %s: %w", before.ID, err)
	}
	return importing, nil
}

// run is an import from the moment on when it has the image to its end.
func (s *Images) run(ctx context.Context, r *run, importing *Image, req ImportRequest, to *delivery) {
	active, err := s.bring(ctx, r, importing, req, to)
	end := context.WithoutCancel(ctx)
	s.unstage(end, importing.ID)
	if err != nil {
		s.endImport(end, r, importing.ID, to)
		s.failed(ctx, r, importing, err)
		return
	}
	s.succeeded(end, r, active, importing.Status)
}

// succeeded ends the task of an import that made the image active, or found it
// so.
func (s *Images) succeeded(ctx context.Context, r *run, active *Image, from Status) {
	s.notify(ctx, Event{Type: "image.upload", Image: active})
	if from != Active {
		s.notify(ctx, Event{Type: "image.activate", Image: active})
	}
	s.notify(ctx, Event{Type: "image.update", Image: active})
	r.end(ctx, TaskSuccess, func(t *Task) {
		t.Message, t.Result = r.progress(), resultOf(active)
	})
}

// resultOf is what comes of a task that brought data into im. An ID needs no
// quoting.
func resultOf(im *Image) json.RawMessage {
	return json.RawMessage(`{"image_id": "` + string(im.ID) + `"}`)
}

// failed ends the task of an import that failed, of an image or before there
// was one. What its owner may know of the reason stands in it, all of it in
// the log.
func (s *Images) failed(ctx context.Context, r *run, im *Image, err error) {
	message := "Task failed due to Internal Error"
	refusal, refused := errors.AsType[*Refusal](err)
	switch {
	case ctx.Err() != nil:
		message = "The import was broken off because the service ended."
	case refused:
		message = refusal.Message
	default:
		s.o.Log.ErrorContext(ctx, "import failed", "task", r.task.ID, "error", err)
	}
	r.end(ctx, TaskFailure, func(t *Task) { t.Message = message })
	if im != nil {
		s.notify(context.WithoutCancel(ctx), Event{Type: "image.upload", Image: im, Err: err})
	}
}

// bring brings data into an image that the task has taken, and returns the
// image when it is active. It waits until not too many others do the same.
func (s *Images) bring(ctx context.Context, r *run, im *Image, req ImportRequest, to *delivery) (*Image, error) {
	defer r.alive(ctx)()
	release, err := s.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := r.change(ctx, func(t *Task) { t.Status = TaskProcessing }); err != nil {
		return nil, fmt.Errorf("import %s: %w", im.ID, err)
	}
	if err := s.limitImport(ctx, im, req); err != nil {
		return nil, err
	}
	s.notify(ctx, Event{Type: "image.update", Image: im})
	s.notify(ctx, Event{Type: "image.prepare", Image: im, Store: to.to[0].ID})
	if req.Method == CopyImage {
		if im.Size != nil {
			to.size = *im.Size
		}
		to.open = func(ctx context.Context) (io.ReadCloser, error) { return s.copied(ctx, im) }
		return s.deliver(ctx, r, im, to)
	}
	size, err := s.arrive(ctx, r, im, req, to)
	if err != nil {
		return nil, err
	}
	declared := to.fill.of(im)
	to.open = func(ctx context.Context) (io.ReadCloser, error) { return s.unpacked(ctx, declared, size) }
	made, err := s.convert(ctx, declared, to)
	if err != nil {
		return nil, err
	}
	defer made.remove(ctx)
	to.fill = append(to.fill, func(im *Image) { s.inject(CallerFrom(ctx), im) })
	return s.deliver(ctx, r, im, to)
}

// arrive has the data in the staging area, and returns how much there is.
func (s *Images) arrive(ctx context.Context, r *run, im *Image, req ImportRequest, to *delivery) (int64, error) {
	switch {
	case req.URI != "":
		return s.fetch(ctx, im.ID, req.URI)
	case req.Method == GlanceDownload:
		change, size, err := s.describePeer(ctx, im, req.From)
		if err != nil {
			return 0, err
		}
		to.fill = append(to.fill, change)
		return size, s.fetchPeer(ctx, r, im.ID, req.From, size)
	case im.Size != nil:
		return *im.Size, nil
	}
	return 0, nil
}

// unpacked returns the staged data of an image as it is to be stored.
func (s *Images) unpacked(ctx context.Context, im *Image, size int64) (io.ReadCloser, error) {
	data, err := s.unpack(ctx, im, size)
	if errors.Is(err, ErrNotFound) {
		return nil, refuse(ErrNotFound, "The staged data of image %s is not here.", im.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", im.ID, err)
	}
	return data, nil
}

// limitImport returns ErrTooLarge if an import would take more than the
// caller's project may use. What is to be fetched goes through the staging
// area; what is there already has a size.
func (s *Images) limitImport(ctx context.Context, im *Image, req ImportRequest) error {
	if req.URI == "" && req.Method != GlanceDownload {
		var size int64
		if im.Size != nil {
			size = *im.Size
		}
		return s.limit(ctx, ImageSizeTotal, size>>20)
	}
	if err := s.limit(ctx, ImageStageTotal, 0); err != nil {
		return err
	}
	return s.limit(ctx, ImageCountUploading, 0)
}

// inject gives an image the properties that all imported images get.
func (s *Images) inject(c Caller, im *Image) {
	if slices.ContainsFunc(c.Roles, func(role string) bool { return slices.Contains(s.imports.Spared, role) }) {
		return
	}
	maps.Copy(im.Properties, s.imports.Inject)
}

// fetch downloads data to the staging area and returns how much there is.
func (s *Images) fetch(ctx context.Context, id ID, uri string) (int64, error) {
	data, size, err := s.imports.Fetcher.Fetch(ctx, uri)
	if err != nil {
		return 0, err
	}
	defer data.Close()
	if size > s.o.MaxSize {
		return 0, tooLarge()
	}
	n, err := s.stage(ctx, id, breakable{data})
	if err == nil && size >= 0 && n != size {
		err = brokeOff()
	}
	return n, err
}

// breakable is a download that may break off; it says so in its own words.
type breakable struct{ r io.Reader }

func (b breakable) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", brokeOff(), err)
	}
	return n, err
}

func brokeOff() error { return refuse(ErrUnavailable, "The download broke off before its end.") }
