package glance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// A NewImportRequest is an image to make, and where its data is.
type NewImportRequest struct {
	URI   string
	Draft Draft
	Input json.RawMessage // the request as it was made, for the task's input
}

// ImportNew begins to make an image of what a URI yields, and returns the task
// that does it. What the task makes is there in the end with all of its data
// or not at all. ErrForbidden unless the caller may use the tasks API;
// ErrNotFound if nothing can be downloaded here; ErrInvalid if the URI may not
// be fetched; ErrUnavailable when the service is about to end.
func (s *Images) ImportNew(ctx context.Context, r NewImportRequest) (*Task, error) {
	if err := s.allowTasks(ctx, AddTask); err != nil {
		return nil, err
	}
	if s.imports.Fetcher == nil || s.imports.Staging == nil {
		return nil, errNoTasks
	}
	if scheme := strings.ToLower(scheme(r.URI)); scheme == "file" || scheme == "filesystem" {
		return nil, refuse(ErrInvalid, "File based imports are not allowed. Please use a non-local source of image data.")
	}
	if err := s.imports.Fetcher.Check(ctx, r.URI); err != nil {
		s.o.Log.InfoContext(ctx, "a URI may not be fetched", "cause", err)
		return nil, refuse(ErrInvalid, "URI for legacy import task does not pass filtering: %s", r.URI)
	}
	if !s.imports.enter() {
		return nil, refuse(ErrUnavailable, "The service is about to end.")
	}
	task, err := s.newTask(ctx, Task{Type: LegacyImport, Input: r.Input})
	if err != nil {
		s.imports.running.Done()
		return nil, err
	}
	begun := task.task.Clone()
	go func() {
		defer s.imports.running.Done()
		s.runNew(WithCaller(s.imports.ctx, CallerFrom(ctx)), task, r)
	}()
	return begun, nil
}

// runNew makes the image and runs an import into it.
func (s *Images) runNew(ctx context.Context, task *run, r NewImportRequest) {
	to := newDelivery([]*Backend{s.stores.byDefault()}, false)
	to.quiet = true
	importing, err := s.begin(ctx, task, r.Draft, to)
	if err != nil {
		s.failed(ctx, task, nil, err)
		return
	}
	active, err := s.bring(ctx, task, importing, ImportRequest{Method: WebDownload, URI: r.URI}, to)
	end := context.WithoutCancel(ctx)
	s.unstage(end, importing.ID)
	if err != nil {
		s.undo(end, importing)
		s.letGo(end, importing.ID)
		s.failed(ctx, task, importing, err)
		return
	}
	s.succeeded(end, task, active, importing.Status)
}

// begin makes an image that is importing.
func (s *Images) begin(ctx context.Context, task *run, d Draft, to *delivery) (*Image, error) {
	created, err := s.Create(ctx, d)
	if err != nil {
		return nil, err
	}
	im, err := s.catalog.Get(ctx, created.ID, false)
	if err != nil {
		return nil, fmt.Errorf("import task: %w", err)
	}
	if err := im.complete(); err != nil {
		s.undo(ctx, im)
		return nil, err
	}
	if err := task.change(ctx, func(t *Task) { t.ImageID = im.ID }); err != nil {
		s.undo(ctx, im)
		return nil, fmt.Errorf("import task: %w", err)
	}
	importing, err := s.take(ctx, im, task.task.ID, to)
	if err != nil {
		s.undo(ctx, im)
		return nil, err
	}
	return importing, nil
}

// undo deletes an image that got no data.
func (s *Images) undo(ctx context.Context, im *Image) {
	gone, err := s.condemned(im)
	if err == nil {
		err = s.catalog.Update(ctx, im, gone)
	}
	if err != nil {
		s.o.Log.ErrorContext(ctx, "the image of a failed task stays behind", "image", im.ID, "error", err)
	}
}
