// Package apiv1 answers version 1 of the Images API over HTTP: an image's
// metadata is in the headers of requests and answers, its data in their
// bodies.
//
// It turns requests into calls of [glance.Images] and what they return into
// headers and documents, in the words and with the status codes of the last
// Glance that had this version. Who asks is in the request's context; whether
// the metadata is in a catalog or behind a registry is not its business.
package apiv1

import (
	"log/slog"
	"net/http"
	"strings"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
	"glancectl/service/internal/turns"
	"glancectl/service/internal/v1wire"
)

// Options are the optional settings of New. The zero value is ready to use.
type Options struct {
	LimitDefault int          // images in a list when the request does not say; 0 means 25
	LimitMax     int          // most images in a list; 0 means 1000
	MaxSize      int64        // largest upload in bytes; 0 means 1 TiB
	Log          *slog.Logger // is told of faults; nil means nobody is
}

// An API is the handler of everything under /v1. It expects the request's
// [glance.Caller] in the context.
type API struct {
	images *glance.Images
	limits v1wire.Limits
	o      Options
	lists  turns.Group[[]byte]
}

// New returns the API of images.
func New(images *glance.Images, o Options) *API {
	if o.LimitDefault == 0 {
		o.LimitDefault = 25
	}
	if o.LimitMax == 0 {
		o.LimitMax = 1000
	}
	if o.MaxSize == 0 {
		o.MaxSize = 1 << 40
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &API{images: images, limits: v1wire.Limits{Default: o.LimitDefault, Max: o.LimitMax}, o: o}
}

// A handler answers a request, or returns why it cannot. It must not have
// written anything when it returns an error.
type handler func(w http.ResponseWriter, r *http.Request) error

// A route is a path and what may be done there.
type route struct {
	path    string // {name} stands for one segment
	methods map[string]handler
	allow   string // the methods, as they are told to who tries another one
}

// anyMethod is the name of a method that stands for all.
const anyMethod = "*"

func (a *API) routes() []route {
	return []route{
		{"/", map[string]handler{anyMethod: a.index}, ""},
		{"/images", map[string]handler{"GET": a.index, "POST": a.create}, "GET, POST"},
		{"/images/detail", map[string]handler{"GET": a.detail, "HEAD": a.noDetail}, "GET, HEAD"},
		{"/images/{id}", map[string]handler{"GET": a.data, "HEAD": a.meta, "PUT": a.update, "DELETE": a.remove}, "GET, HEAD, PUT, DELETE"},
		{"/images/{id}/members", map[string]handler{"GET": a.members, "PUT": a.replaceMembers}, "GET, PUT"},
		{"/images/{id}/members/{member}", map[string]handler{"GET": a.noMember, "PUT": a.setMember, "DELETE": a.removeMember}, "GET, PUT, DELETE"},
		{"/shared-images/{member}", map[string]handler{anyMethod: a.sharedImages}, ""},
	}
}

// match says whether the route is the one for the segments of a path, and sets
// what its names stand for.
func (rt route) match(path []string, r *http.Request) bool {
	pattern := strings.Split(rt.path[1:], "/")
	if len(pattern) != len(path) {
		return false
	}
	for i, p := range pattern {
		name, ok := strings.CutPrefix(p, "{")
		switch {
		case ok && path[i] != "":
			r.SetPathValue(strings.TrimSuffix(name, "}"), path[i])
		case p != path[i]:
			return false
		}
	}
	return true
}

// ServeHTTP answers a request whose path starts with /v1.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a.serve(w, r); err != nil {
		a.fail(w, r, err)
	}
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path == "/v1" {
		w.Header().Set("Location", base(r)+"/v1/")
		w.Header().Set("Content-Type", "text/plain; charset=utf8")
		w.WriteHeader(http.StatusFound)
		return nil
	}
	path, ok := v1wire.Segments(strings.TrimPrefix(r.URL.EscapedPath(), "/v1"))
	if !ok {
		return &fault.Fault{Code: http.StatusNotFound}
	}
	for _, rt := range a.routes() {
		if !rt.match(path, r) {
			continue
		}
		for _, method := range []string{r.Method, anyMethod} {
			if h, ok := rt.methods[method]; ok {
				return h(w, r)
			}
		}
		return v1wire.NotAllowed(r.Method, rt.allow)
	}
	return &fault.Fault{Code: http.StatusNotFound}
}
