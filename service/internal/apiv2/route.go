package apiv2

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

// A route is a path and what may be done there. Its methods stand in the
// order in which Allow lists them.
type route struct {
	path    string // {name} stands for one segment
	methods []method
}

type method struct {
	name   string
	body   bool // a body is expected; without, one is refused
	handle handler
}

// anyMethod is the name of a method that stands for all others, behind them.
const anyMethod = "*"

// routes is everything under /v2. The order is that of the paths' age; no two
// of them match the same request.
func (a *API) routes() []route {
	return []route{
		{"/v2/schemas/image", []method{{"GET", false, a.showSchema(a.imageSchema)}}},
		{"/v2/schemas/images", []method{{"GET", false, a.showSchema(a.imagesSchema)}}},
		{"/v2/schemas/member", []method{{"GET", false, a.showSchema(memberSchema)}}},
		{"/v2/schemas/members", []method{{"GET", false, a.showSchema(membersSchema)}}},
		{"/v2/images", []method{
			{"GET", true, a.listImages}, // nobody has ever minded one
			{"POST", true, a.createImage},
		}},
		{"/v2/images/{id}", []method{
			{"GET", false, a.showImage},
			{"PATCH", true, a.patchImage},
			{"DELETE", false, a.deleteImage},
		}},
		{"/v2/images/{id}/actions/deactivate", []method{{"POST", false, a.deactivate}}},
		{"/v2/images/{id}/actions/reactivate", []method{{"POST", false, a.reactivate}}},
		{"/v2/images/{id}/file", []method{
			{"GET", false, a.download},
			{"PUT", true, a.upload},
		}},
		{"/v2/images/{id}/tags/{tag}", []method{
			{"PUT", false, a.addTag},
			{"DELETE", false, a.removeTag},
		}},
		{"/v2/images/{id}/members", []method{
			{"GET", false, a.listMembers},
			{"POST", true, a.addMember},
		}},
		{"/v2/images/{id}/members/{member}", []method{
			{"GET", false, a.showMember},
			{"PUT", true, a.setMember},
			{"DELETE", false, a.removeMember},
		}},
	}
}

// match says whether the route is the one for path, and sets what its names
// stand for. Paths match as they are: a slash at the end is another path.
func (rt route) match(path string, set func(name, value string)) bool {
	pattern := rt.path
	for pattern != "" && path != "" {
		var want, got string
		want, pattern = segment(pattern)
		got, path = segment(path)
		if name, ok := strings.CutPrefix(want, "{"); ok && got != "" {
			set(strings.TrimSuffix(name, "}"), got)
			continue
		}
		if want != got {
			return false
		}
	}
	return pattern == "" && path == ""
}

// segment cuts the first segment off a path that starts with a slash.
func segment(path string) (first, rest string) {
	path = path[1:]
	if at := strings.IndexByte(path, '/'); at >= 0 {
		return path[:at], path[at:]
	}
	return path, ""
}

// ServeHTTP answers a request whose path starts with /v2.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, err := a.identify(w, r)
	if err == nil {
		err = a.serve(w, r)
	}
	if err != nil {
		a.fail(w, r, err)
	}
}

// identify gives the request its ID: the client's own, so that one operation
// over several services can be followed, or a new one.
func (a *API) identify(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	id := r.Header.Get("X-Openstack-Request-Id")
	tooLong := a.o.MaxRequestID > 0 && len(id) > a.o.MaxRequestID
	switch {
	case id == "" || tooLong:
		id = a.o.NewRequestID()
	case !strings.HasPrefix(id, "req-"):
		id = "req-" + id
	}
	w.Header().Set("X-Openstack-Request-Id", id)
	if c := glance.CallerFrom(r.Context()); c.RequestID != id {
		c.RequestID = id
		r = r.WithContext(glance.WithCaller(r.Context(), c))
	}
	if tooLong {
		return r, &fault.Fault{Code: http.StatusRequestHeaderFieldsTooLarge}
	}
	return r, nil
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	if !utf8.ValidString(r.URL.Path) {
		return undecodable()
	}
	if !strings.HasPrefix(r.URL.Path, "/") {
		return &fault.Fault{Code: http.StatusNotFound}
	}
	if r.URL.Path == "/v2" {
		w.Header().Set("Location", a.root(r)+"/v2/")
		w.Header().Set("Content-Type", "text/plain; charset=utf8")
		w.WriteHeader(http.StatusFound)
		return nil
	}
	for _, rt := range a.table {
		if !rt.match(r.URL.Path, r.SetPathValue) {
			continue
		}
		var allowed []string
		for _, m := range rt.methods {
			if m.name != r.Method && m.name != anyMethod {
				allowed = append(allowed, m.name)
				continue
			}
			if !m.body && hasBody(r) {
				return bad("A body is not expected with this request.")
			}
			return m.handle(w, r)
		}
		return &fault.Fault{
			Code:   http.StatusMethodNotAllowed,
			Text:   fmt.Sprintf("The method %s is not allowed for this resource.", r.Method),
			Header: http.Header{"Allow": {strings.Join(allowed, ", ")}},
		}
	}
	return &fault.Fault{Code: http.StatusNotFound}
}

func hasBody(r *http.Request) bool {
	if r.ContentLength > 0 {
		return true
	}
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return len(r.TransferEncoding) > 0
	}
	return false
}

func undecodable() error {
	return bad("Error decoding your request. Either the URL or the request body contained characters that could not be decoded by Glance")
}

// imageID returns the image that the path names. What is no UUID is answered
// like an image that is not there; format says how.
// Who has no name may look, but nothing more, at whatever image.
func imageID(r *http.Request, format string) (glance.ID, error) {
	if r.Method != http.MethodGet && glance.CallerFrom(r.Context()).Anonymous {
		return "", &fault.Fault{Code: http.StatusForbidden, Detail: "Read-only access"}
	}
	id, err := glance.ParseID(r.PathValue("id"))
	if err != nil {
		return "", notFound(format, r.PathValue("id"))
	}
	return id, nil
}

// The ways of saying that there is no such image.
const (
	noImage       = "No image found with ID %s"
	noImageFound  = "Image %s not found."
	noImageDelete = "Failed to find image %s to delete"
)
