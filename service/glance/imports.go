package glance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// The ways in which data can come into an image that is there.
const (
	GlanceDirect = "glance-direct" // it was staged before
	WebDownload  = "web-download"  // it is fetched from a URI
)

// ImportLock is the property that names the task of the import that an image
// is busy with. Whoever sets it has the image for itself.
const ImportLock = "os_glance_import_task"

// ImportOptions are the settings of imports. Without Tasks there are no tasks;
// with Methods, Tasks and Staging must be set, and Fetcher for WebDownload.
type ImportOptions struct {
	Methods []string // those that are offered, in this order
	Tasks   TaskCatalog
	Staging Staging
	Fetcher Fetcher
	// Here is the URL by which other services on the same catalog reach this
	// one, for images that are staged here; empty means that they cannot.
	Here string

	TaskTTL time.Duration // how long a task is kept after its end; 0 means 48 hours
	AtOnce  int           // imports that run at the same time; 0 means 10
	// StoresAtOnce is how many stores one import writes to at the same time; 0
	// means 1.
	StoresAtOnce int

	// Unpack stores what is inside of gzip and zip archives instead of them.
	Unpack bool
	// Converter converts bare images; nil means that they stay as they are. It
	// needs an Inspector.
	Converter Converter
	// Peer has the images of other regions, for GlanceDownload, and Copied the
	// beginnings of the names of properties that come with them.
	Peer   Peer
	Copied []string
	// Inject are properties that imported images get, unless the caller has
	// one of the roles in Spared.
	Inject map[string]string
	Spared []string
}

// A Staging keeps data on its way into a store. Only this machine uses it.
type Staging interface {
	Store
	Discarder
	// URL returns the URL that the data of an image has, or would have.
	URL(id ID) string
	// Held returns the images that there is data of: whole, or left behind by
	// a Put that never ended.
	Held(ctx context.Context) (whole, parts []ID, err error)
}

// A Fetcher gets data from other machines. What it refuses is not asked for,
// by whatever way a URI leads there.
type Fetcher interface {
	// Check returns an error if uri may not be fetched.
	Check(ctx context.Context, uri string) error
	// Fetch returns the data at uri, and its size, -1 if that is not known. The
	// reader fails if the data ends early. The error is a *Refusal if it is the
	// fault of the URI or of what is there.
	Fetch(ctx context.Context, uri string) (data io.ReadCloser, size int64, err error)
}

// imports is what Images has for imports, and those that are under way.
type imports struct {
	ImportOptions
	ctx   context.Context // of those under way
	stop  context.CancelFunc
	slots chan struct{}

	mu      sync.Mutex
	closed  bool
	leaving chan struct{} // closed with closed
	running sync.WaitGroup
}

func newImports(o ImportOptions) (*imports, error) {
	for _, method := range o.Methods {
		switch {
		case method != GlanceDirect && method != WebDownload && method != GlanceDownload && method != CopyImage:
			return nil, fmt.Errorf("import method %q: there are %s, %s, %s and %s", method, GlanceDirect, WebDownload, GlanceDownload, CopyImage)
		case o.Tasks == nil || o.Staging == nil || method == WebDownload && o.Fetcher == nil || method == GlanceDownload && o.Peer == nil:
			return nil, fmt.Errorf("import method %s: there is nothing to do it with", method)
		}
	}
	if o.TaskTTL == 0 {
		o.TaskTTL = 48 * time.Hour
	}
	if o.AtOnce == 0 {
		o.AtOnce = 10
	}
	o.StoresAtOnce = max(1, o.StoresAtOnce)
	i := &imports{ImportOptions: o, slots: make(chan struct{}, o.AtOnce), leaving: make(chan struct{})}
	i.ctx, i.stop = context.WithCancel(context.Background())
	return i, nil
}

// enter says that an import is about to begin; false says that it must not.
// What entered calls running.Done at its end.
func (i *imports) enter() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return false
	}
	i.running.Add(1)
	return true
}

// Drain lets no import begin any more and waits for those under way. When ctx
// ends they are broken off; Drain still waits until they have put in order
// what they leave, and returns an error.
func (s *Images) Drain(ctx context.Context) error {
	i := s.imports
	i.mu.Lock()
	if !i.closed {
		close(i.leaving)
	}
	i.closed = true
	i.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		i.running.Wait()
		close(ended)
	}()
	defer i.stop()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	i.stop()
	<-ended
	return errors.New("imports were broken off")
}

// slot waits until not too much is brought in at the same time. The caller
// gives the slot back.
func (s *Images) slot(ctx context.Context) (release func(), err error) {
	select {
	case s.imports.slots <- struct{}{}:
		return func() { <-s.imports.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ImportMethods returns the ways of importing that are offered.
func (s *Images) ImportMethods() []string { return append([]string(nil), s.imports.Methods...) }

// beat is how often a task that is under way says so.
const beat = time.Minute

// A run is a task under way.
type run struct {
	s      *Images
	copied atomic.Int64 // bytes

	mu   sync.Mutex
	task *Task
}

// newTask adds a task of the caller.
func (s *Images) newTask(ctx context.Context, t Task) (*run, error) {
	c := CallerFrom(ctx)
	t.ID, t.Status = NewUUID(), TaskPending
	t.Owner, t.UserID, t.RequestID = c.ProjectID, c.UserID, c.RequestID
	t.CreatedAt = s.now()
	t.UpdatedAt = t.CreatedAt
	if err := s.imports.Tasks.CreateTask(ctx, &t); err != nil {
		return nil, fmt.Errorf("create task: %w", err)
	}
	s.notifyTask(ctx, "create", &t)
	return &run{s: s, task: &t}, nil
}

// change saves the task with what f changes in it.
func (r *run) change(ctx context.Context, f func(t *Task)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := r.task.Clone()
	f(after)
	if err := r.s.imports.Tasks.UpdateTask(ctx, r.task, after); err != nil {
		return err
	}
	moved := after.Status != r.task.Status
	r.task = after
	if moved {
		if after.Status == TaskProcessing {
			r.s.notifyTask(ctx, "run", after)
		}
		r.s.notifyTask(ctx, string(after.Status), after)
	}
	return nil
}

// end saves how the task ended, also when ctx has ended, too.
func (r *run) end(ctx context.Context, status TaskStatus, change func(t *Task)) {
	ctx = context.WithoutCancel(ctx)
	err := r.change(ctx, func(t *Task) {
		expires := r.s.now().Add(r.s.imports.TaskTTL)
		t.Status, t.ExpiresAt = status, &expires
		change(t)
	})
	if err != nil {
		r.s.o.Log.ErrorContext(ctx, "the end of a task is not recorded", "task", r.task.ID, "status", status, "error", err)
	}
}

// progress is what the task says of itself on its way.
func (r *run) progress() string { return fmt.Sprintf("Copied %d MiB", r.copied.Load()>>20) }

// alive keeps saying how far the task is, so that nobody takes it for dead.
// The caller ends that.
func (r *run) alive(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := r.change(ctx, func(t *Task) { t.Message = r.progress() }); err != nil && ctx.Err() == nil {
				r.s.o.Log.WarnContext(ctx, "the progress of a task is not recorded", "task", r.task.ID, "error", err)
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// A counter counts what is read from it, for the progress of a task.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
