package apiv1

import (
	"errors"
	"fmt"
	"net/http"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
	"glancectl/service/internal/v1wire"
)

// codes says how each kind of failure is answered.
var codes = []struct {
	kind error
	code int
}{
	{glance.ErrNotFound, http.StatusNotFound},
	{glance.ErrExists, http.StatusConflict},
	{glance.ErrConflict, http.StatusConflict},
	{glance.ErrForbidden, http.StatusForbidden},
	{glance.ErrInvalid, http.StatusBadRequest},
	{glance.ErrTooLarge, http.StatusRequestEntityTooLarge},
	{glance.ErrWrongFormat, http.StatusBadRequest},
	{glance.ErrStoreFull, http.StatusRequestEntityTooLarge},
	{glance.ErrGone, http.StatusGone},
	{glance.ErrStoreReadOnly, http.StatusServiceUnavailable},
	{glance.ErrUnavailable, http.StatusServiceUnavailable},
}

// faultOf returns how err is answered. What is no known kind is a fault of
// ours; its text is not for the client.
func faultOf(err error) *fault.Fault {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f
	}
	f := &fault.Fault{Code: http.StatusInternalServerError}
	for _, c := range codes {
		if errors.Is(err, c.kind) {
			f.Code = c.code
			break
		}
	}
	refusal, ok := errors.AsType[*glance.Refusal](err)
	switch {
	case !ok, refusal.Rule != "":
	case refusal.Property != "":
		f.Text = fmt.Sprintf("Property '%s' is protected", refusal.Property)
	case refusal.Remark:
		f.Detail = refusal.Message
	default:
		f.Text = refusal.Message
	}
	return f
}

// fail answers with what err says and logs the faults of the service, and
// only those. That a client went away is none.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := faultOf(err)
	if f.Code >= http.StatusInternalServerError && r.Context().Err() == nil {
		a.o.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path,
			"request", glance.CallerFrom(r.Context()).RequestID, "error", err)
	}
	if r.Method == http.MethodHead {
		a.failHead(w, f)
		return
	}
	f.Write(w, r)
}

// failHead answers a HEAD: there is no page whose length could be told.
func (a *API) failHead(w http.ResponseWriter, f *fault.Fault) {
	kind := "text/plain; charset=UTF-8"
	if f.Code == http.StatusMethodNotAllowed {
		kind = "text/html; charset=UTF-8"
	}
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	empty(w, f.Code, kind)
}

// empty answers without a body.
func empty(w http.ResponseWriter, code int, kind string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(code)
}

func bad(format string, args ...any) error {
	return v1wire.Refused(http.StatusBadRequest, format, args...)
}

func forbidden(format string, args ...any) error {
	return v1wire.Refused(http.StatusForbidden, format, args...)
}

// noImage is the answer to an image that there is not, or not for the caller.
func noImage(id string) error {
	return v1wire.Detailed(http.StatusNotFound, "Image with identifier %s not found", id)
}

// nested is a fault in the words in which the registry reports f.
func nested(code int, f *fault.Fault) error {
	return v1wire.Refused(code, "%s", f.Page())
}

// find returns the image that the path names, also a deleted one to an admin.
func (a *API) find(r *http.Request) (*glance.Image, error) {
	name := r.PathValue("id")
	id, err := glance.ParseID(name)
	if err != nil {
		return nil, noImage(name)
	}
	im, err := a.images.Look(r.Context(), id)
	if errors.Is(err, glance.ErrNotFound) {
		return nil, noImage(name)
	}
	return im, err
}
