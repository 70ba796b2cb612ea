package registry

import (
	"fmt"
	"net/http"

	"glancectl/service/internal/fault"
)

var (
	notFound      = &fault.Fault{Code: http.StatusNotFound}
	unauthorized  = &fault.Fault{Code: http.StatusUnauthorized}
	internalError = &fault.Fault{Code: http.StatusInternalServerError}
)

// badRequest is a fault with a text of its own.
func badRequest(text string) *fault.Fault {
	return &fault.Fault{Code: http.StatusBadRequest, Text: text}
}

// invalid is a fault with the usual text and a detail.
func invalid(detail string) *fault.Fault {
	return &fault.Fault{Code: http.StatusBadRequest, Detail: detail}
}

// notAllowed is the answer to a method; allow is the value of the Allow
// header, which may be empty.
func notAllowed(method, allow string) *fault.Fault {
	f := &fault.Fault{Code: http.StatusMethodNotAllowed, Text: fmt.Sprintf("The method %s is not allowed for this resource.", method)}
	if allow != "" {
		f.Header = http.Header{"Allow": {allow}}
	}
	return f
}
