package apiv2

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"glancectl/service/glance"
	"glancectl/service/internal/fault"
)

// A handler answers a request, or returns why it cannot. It must not have
// written anything when it returns an error.
type handler func(w http.ResponseWriter, r *http.Request) error

func bad(format string, args ...any) error {
	return &fault.Fault{Code: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}

func forbidden(format string, args ...any) error {
	return &fault.Fault{Code: http.StatusForbidden, Text: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &fault.Fault{Code: http.StatusNotFound, Text: fmt.Sprintf(format, args...)}
}

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
	{glance.ErrWrongFormat, http.StatusUnsupportedMediaType},
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
	if r, ok := errors.AsType[*glance.Refusal](err); ok {
		if r.Remark {
			f.Detail = r.Message
		} else {
			f.Text = r.Message
		}
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
	f.Write(w, r)
}

// reply sends a JSON document.
func reply(w http.ResponseWriter, code int, body []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	w.Write(body)
	return nil
}

// done answers that a request was carried out.
func done(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8") // of nothing, as ever
	w.WriteHeader(http.StatusNoContent)
	return nil
}
