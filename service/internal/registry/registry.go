// Package registry answers the HTTP API of glance-registry, by which older
// glance-api processes, scrubbers and prefetchers read the catalog. It has
// the calls that list and show images; its bodies and error texts are those of
// the original.
//
// It knows nothing about image data, and takes the caller from the request's
// context. The API shows where data is: it is for the services of one
// deployment and not for users.
package registry

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

// Options are the optional settings of New. The zero value is ready to use.
type Options struct {
	DefaultLimit int          // length of a list when nothing is asked for; 0 means 25
	MaxLimit     int          // longest list; 0 means 1000
	Log          *slog.Logger // told why requests fail; nil means nobody
}

// A catalog is what the registry needs of [glance.Catalog].
type catalog interface {
	Get(ctx context.Context, id glance.ID, deleted bool) (*glance.Image, error)
	List(ctx context.Context, q glance.Query) ([]*glance.Image, error)
	Members(ctx context.Context, id glance.ID) ([]glance.Member, error)
}

// A Handler answers registry requests.
type Handler struct {
	catalog catalog
	o       Options
}

// New returns a handler that reads from c. Requests need a [glance.Caller] in
// their context.
func New(c glance.Catalog, o Options) *Handler {
	o.DefaultLimit = cmp.Or(o.DefaultLimit, 25)
	o.MaxLimit = cmp.Or(o.MaxLimit, 1000)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return &Handler{catalog: c, o: o}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := h.dispatch(r)
	if err == nil {
		err = writeJSON(w, body)
	}
	if err == nil {
		return
	}
	var f *fault.Fault
	if !errors.As(err, &f) {
		if r.Context().Err() == nil {
			h.o.Log.ErrorContext(r.Context(), "registry request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		}
		f = internalError
	}
	f.Write(w, r)
}

// dispatch returns the document that answers r. Paths match exactly, and a
// method that a path does not have is mostly no other thing than an unknown
// path, as in the original.
func (h *Handler) dispatch(r *http.Request) (any, error) {
	if glance.CallerFrom(r.Context()).Anonymous {
		return nil, unauthorized
	}
	path := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	get := r.Method == http.MethodGet
	switch {
	case len(path) == 1 && (path[0] == "" || path[0] == "images") && get:
		return h.list(r, func(im *glance.Image) any { return briefOf(im) })
	case path[0] != "images":
	case len(path) == 2 && path[1] == "detail" && get:
		return h.list(r, func(im *glance.Image) any { return fullOf(im) })
	case len(path) == 2 && get:
		return h.show(r.Context(), path[1])
	case len(path) == 3 && path[2] == "members" && r.Method == http.MethodPost:
		return nil, notAllowed(r.Method, "PUT, DELETE")
	case len(path) == 4 && path[2] == "members" && get:
		return nil, notAllowed(r.Method, "")
	}
	return nil, notFound
}

// list answers a list of images in the form that show gives them.
func (h *Handler) list(r *http.Request, show func(*glance.Image) any) (any, error) {
	q, notPublic, err := h.query(glance.CallerFrom(r.Context()), r.URL.Query())
	if err != nil {
		return nil, err
	}
	images, err := h.images(r.Context(), q, notPublic)
	if errors.Is(err, glance.ErrNotFound) && q.Marker != "" {
		return nil, badRequest("Invalid marker. Image could not be found.")
	}
	if err != nil {
		return nil, err
	}
	shown := make([]any, len(images))
	for i, im := range images {
		shown[i] = show(im)
	}
	return struct {
		Images []any `json:"images"`
	}{shown}, nil
}

// images returns the images of q, without the public ones if notPublic is
// set. The catalog has no such question, so it is asked for more until there
// are enough.
func (h *Handler) images(ctx context.Context, q glance.Query, notPublic bool) ([]*glance.Image, error) {
	limit := q.Limit
	var found []*glance.Image
	for {
		page, err := h.catalog.List(ctx, q)
		if err != nil || !notPublic {
			return page, err
		}
		for _, im := range page {
			if im.Visibility != glance.Public && len(found) < limit {
				found = append(found, im)
			}
		}
		if len(found) == limit || len(page) < q.Limit || len(page) == 0 {
			return found, nil
		}
		q.Marker = page[len(page)-1].ID
	}
}

// show answers one image.
func (h *Handler) show(ctx context.Context, name string) (any, error) {
	id, err := glance.ParseID(name)
	if err != nil {
		return nil, notFound
	}
	caller := glance.CallerFrom(ctx)
	im, err := h.catalog.Get(ctx, id, caller.Admin)
	if errors.Is(err, glance.ErrNotFound) {
		return nil, notFound
	}
	if err != nil {
		return nil, err
	}
	switch visible, err := h.visible(ctx, caller, im); {
	case err != nil:
		return nil, err
	case !visible:
		return nil, notFound // not let on that it exists
	}
	return struct {
		Image full `json:"image"`
	}{fullOf(im)}, nil
}

// visible reports whether the caller may see im. The rules are the registry's
// own, fixed ones; policies belong to the API.
func (h *Handler) visible(ctx context.Context, c glance.Caller, im *glance.Image) (bool, error) {
	switch {
	case c.Admin, im.Owner == nil, im.Visibility == glance.Public, im.Visibility == glance.Community:
		return true, nil
	case c.ProjectID == "":
		return false, nil
	case *im.Owner == c.ProjectID:
		return true, nil
	case im.Visibility != glance.Shared:
		return false, nil
	}
	members, err := h.catalog.Members(ctx, im.ID)
	return slices.ContainsFunc(members, func(m glance.Member) bool { return m.ProjectID == c.ProjectID }), err
}
