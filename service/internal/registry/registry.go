// Package registry answers the HTTP API of glance-registry, by which
// glance-api processes, scrubbers and prefetchers read and change the catalog:
// images and members by their paths, and more by commands that are posted to
// /rpc. Its bodies and error texts are those of the original.
//
// It knows nothing about image data, and takes the caller from the request's
// context. It believes what it is told about statuses and locations, and shows
// where data is: it is for the services of one deployment and not for users.
package registry

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
	"glancectl/service/internal/fault"
	"glancectl/service/internal/v1wire"
)

// Options are the optional settings of New. The zero value is ready to use.
type Options struct {
	DefaultLimit int                  // length of a list when nothing is asked for; 0 means 25
	MaxLimit     int                  // longest list; 0 means 1000
	NoREST       bool                 // only commands are answered
	NoRPC        bool                 // commands are not
	Tasks        glance.TaskCatalog   // nil means that there are no commands about tasks
	Definitions  *metadef.Definitions // nil means that there are none about definitions
	Now          func() time.Time     // nil means time.Now
	NewID        func() glance.ID     // nil means random
	Log          *slog.Logger         // told why requests fail; nil means nobody
}

// A Handler answers registry requests.
type Handler struct {
	catalog glance.Catalog
	limits  v1wire.Limits
	o       Options
}

// New returns a handler that reads and changes c. Requests need a
// [glance.Caller] in their context.
func New(c glance.Catalog, o Options) *Handler {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() glance.ID { return glance.ID(glance.NewUUID()) }
	}
	return &Handler{catalog: c, limits: v1wire.Limits{Default: cmp.Or(o.DefaultLimit, 25), Max: cmp.Or(o.MaxLimit, 1000)}, o: o}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	owner := h.claimant(r)
	if owner != "" {
		r = r.WithContext(glance.WithClaimant(r.Context(), owner))
	}
	body, err := h.dispatch(r)
	if err == nil && owner != "" {
		w.Header().Set(v1wire.ClaimantHeader, owner)
	}
	switch {
	case err == nil && body == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	case err == nil:
		err = v1wire.Reply(w, http.StatusOK, body)
	}
	if err == nil {
		return
	}
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok {
		if r.Context().Err() == nil {
			h.o.Log.ErrorContext(r.Context(), "registry request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		}
		f = &fault.Fault{Code: http.StatusInternalServerError}
		if errors.Is(err, glance.ErrUnavailable) {
			f.Code = http.StatusServiceUnavailable
		}
	}
	f.Write(w, r)
}

// claimant returns whose claims are made with what r writes, "" if it is not
// said or the catalog remembers none. Who brings data is not the registry but
// who asks it to.
func (h *Handler) claimant(r *http.Request) string {
	owner := r.Header.Get(v1wire.ClaimantHeader)
	_, remembers := h.catalog.(glance.Claimer)
	if _, err := glance.ParseID(owner); err != nil || !remembers || r.Method != http.MethodPut {
		return ""
	}
	return owner
}

func notFound() *fault.Fault { return &fault.Fault{Code: http.StatusNotFound} }

// bad is a fault with a text of its own.
func bad(format string, args ...any) *fault.Fault {
	return v1wire.Refused(http.StatusBadRequest, format, args...)
}

// dispatch returns the document that answers r, nil for none. Paths match
// exactly, and a method that a path does not have is mostly no other thing
// than an unknown path, as in the original.
func (h *Handler) dispatch(r *http.Request) (any, error) {
	if glance.CallerFrom(r.Context()).Anonymous {
		return nil, &fault.Fault{Code: http.StatusUnauthorized}
	}
	path, ok := v1wire.Segments(r.URL.EscapedPath())
	if !ok {
		return nil, notFound()
	}
	get := r.Method == http.MethodGet
	switch {
	case len(path) == 1 && path[0] == "rpc" && r.Method == http.MethodPost && !h.o.NoRPC:
		return h.rpc(r)
	case h.o.NoREST:
	case len(path) == 1 && (path[0] == "" || path[0] == "images") && get:
		return h.list(r, func(im *glance.Image) any { return v1wire.BriefOf(im) })
	case len(path) == 1 && path[0] == "images" && r.Method == http.MethodPost:
		return h.create(r)
	case len(path) == 2 && path[0] == "shared-images" && get:
		return h.sharedImages(r.Context(), path[1])
	case path[0] != "images" || len(path) == 1:
	case len(path) == 2:
		return h.image(r, path[1])
	case path[2] == "members":
		return h.members(r, path[1], path[3:])
	}
	return nil, notFound()
}

// list answers a list of images in the form that show gives them.
func (h *Handler) list(r *http.Request, show func(*glance.Image) any) (any, error) {
	q, err := v1wire.Params(r.URL.Query()).Query(glance.CallerFrom(r.Context()), h.limits)
	if err != nil {
		return nil, err
	}
	images, err := h.catalog.List(r.Context(), q)
	if errors.Is(err, glance.ErrNotFound) && q.Marker != "" {
		return nil, v1wire.NoMarker()
	}
	if err != nil {
		return nil, err
	}
	shown := make([]any, len(images))
	for i, im := range images {
		shown[i] = show(unmarked(im))
	}
	return struct {
		Images []any `json:"images"`
	}{shown}, nil
}

// image answers a request about one image.
func (h *Handler) image(r *http.Request, name string) (any, error) {
	switch r.Method {
	case http.MethodGet:
		if name == "detail" {
			return h.list(r, func(im *glance.Image) any { return v1wire.RecordOf(im) })
		}
		return h.show(r.Context(), name)
	case http.MethodPut:
		return h.update(r, name)
	case http.MethodDelete:
		return h.remove(r.Context(), name)
	}
	return nil, notFound()
}

// one is the document of a single image.
func one(r v1wire.Record) any {
	return struct {
		Image v1wire.Record `json:"image"`
	}{r}
}
